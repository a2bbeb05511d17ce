//! A test kit: given state and answers, when an event, then effects.
//!
//! It runs natively, through the same decoding and encoding as the component's
//! export, and it holds a handler to the contract as the host would: bounds of
//! effects, codes of failures. Every attempt is run twice with the same answers,
//! and a handler whose second run differs fails the test: replay and shadow runs
//! need that.
//!
//! ```
//! # use wharf::{Effects, Event};
//! # #[derive(wharf::Events)]
//! # enum In { #[event("cart.filled")] Filled { items: u32 }, #[timer("reminder")] Reminder }
//! # #[wharf::handler]
//! # fn cart(event: &Event, input: In, state: &mut Option<u32>) -> wharf::Result {
//! #     match input {
//! #         In::Filled { items } => *state = Some(state.unwrap_or(0) + items),
//! #         In::Reminder => *state = None,
//! #     }
//! #     Ok(Effects::new())
//! # }
//! # fn main() {
//! use serde_json::json;
//! use wharf::testing::{Entity, event};
//!
//! let mut entity = Entity::<cart>::new("C-1").given(&2_u32);
//! entity.when(event("cart.filled", &json!({"items": 3}))).ok();
//! assert_eq!(entity.state::<u32>(), Some(5));
//! # }
//! ```

mod attempt;
mod bounds;
mod delivery;
mod entity;
pub(crate) mod host;
mod needs;
mod orders;
mod then;

pub use bounds::Bounds;
pub use delivery::{Delivery, bytes, event};
pub use entity::Entity;
pub use needs::{Answer, Call, Outcome, answer, scripted};
pub use orders::{Random, permutations};
pub use then::{Line, Sample, Then};
