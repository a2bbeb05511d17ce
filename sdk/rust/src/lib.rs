//! Write Wharf event handlers as plain functions.
//!
//! A handler is a function from one event and the state of one entity to new
//! state, new events and timers. The host does the rest: retry, dedup, order,
//! breakers, dead letters, tracing, drain. This crate puts types on the wire
//! contract `wharf:handler` and checks every name against the `handler.toml`
//! beside the crate's `Cargo.toml` while it compiles.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use wharf::{Effects, Emit, Event};
//!
//! #[derive(wharf::Events)]
//! enum In {
//!     #[event("cart.filled")]
//!     Filled { items: u32 },
//!     #[timer("reminder")]
//!     Reminder,
//! }
//!
//! #[derive(wharf::Emit)]
//! enum Out {
//!     #[emit("mail.wanted")]
//!     Mail { items: u32 },
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! struct Cart {
//!     items: u32,
//! }
//!
//! #[wharf::handler]
//! fn cart(event: &Event, input: In, state: &mut Option<Cart>) -> wharf::Result {
//!     let mut effects = Effects::new();
//!     match input {
//!         In::Filled { items } => {
//!             *state = Some(Cart { items });
//!             effects.set(wharf::timer!("reminder").after(std::time::Duration::from_secs(3600)));
//!         }
//!         In::Reminder => {
//!             if let Some(cart) = state.take() {
//!                 effects.emit(Out::Mail { items: cart.items }.to(&event.key));
//!             }
//!         }
//!     }
//!     Ok(effects)
//! }
//! # fn main() {
//! let mut entity = wharf::testing::Entity::<cart>::new("C-1");
//! entity.when(wharf::testing::event("cart.filled", &serde_json::json!({"items": 2}))).ok();
//! let then = entity.fire("reminder").ok();
//! assert_eq!(then.types(), ["mail.wanted"]);
//! # }
//! ```
//!
//! What follows from an event, in order:
//!
//! - A type without a variant in the input enum: `Ok` with no effects.
//! - Data that do not decode: [`Failure::Reject`] with the code `bad-data`.
//! - State that does not decode: a panic, which traps the component. The version
//!   is wrong then, not the event, and the host keeps the state as it is.
//! - State after the call: put when its bytes changed, deleted when the handler
//!   left `None`, kept otherwise.
//!
//! A handler depends on its arguments, [`config!`], the answers of its needs and
//! the clock at `event.now_ms`, and on nothing else; the test kit ([`testing`])
//! runs every attempt twice to see that.
#![warn(missing_docs)]

extern crate self as wharf;

mod codec;
pub mod config;
mod effects;
mod event;
mod failure;
mod host;
pub mod http;
pub mod log;
pub mod metrics;
mod run;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod wire;

pub use codec::{Raw, State, Undecodable};
pub use effects::{Effects, Emission, Emit, Timer, TimerName};
pub use event::{Event, Events};
pub use failure::{Failure, Outage, Problem, Result};
pub use run::Handler;

/// Takes the types of the events that a handler listens to from an enum.
///
/// Each variant carries `#[event("type")]` or `#[timer("name")]`. A variant
/// without fields ignores the data; `Placed(Placed)` decodes the data as one
/// value; `Reserved { sku: String }` takes members, and `#[serde(...)]` works on
/// them. When every `[[on]]` of the manifest has `types`, the types are compared
/// with it; timers always are, and each declared timer needs a variant.
pub use wharf_sdk_macros::Events;

/// Makes an enum or a struct something that [`Effects::emit`] takes.
///
/// Each variant, or the struct, carries `#[emit("type")]`, and the manifest's
/// `[emits]` must list it. A variant with one unnamed field emits that value, one
/// with named fields an object of them, one without fields an empty object.
pub use wharf_sdk_macros::Emit;

/// Turns one function into the component.
///
/// ```text
/// #[wharf::handler]
/// fn order(event: &Event, input: In, state: &mut Option<Order>) -> wharf::Result
/// ```
///
/// `In` implements [`trait@Events`]; the state, any type that serde reads and writes,
/// or one that implements [`State`]. Without state, leave the argument out. A type
/// of the function's name is made beside it and implements [`Handler`].
pub use wharf_sdk_macros::handler;

/// A need of the manifest, ready to be called: `need!("gateway").get("/")`.
/// See [`http::Need`].
pub use wharf_sdk_macros::need;

/// A timer of the manifest: `timer!("unpaid").after(duration)` for
/// [`Effects::set`], or by itself for [`Effects::cancel`].
pub use wharf_sdk_macros::timer;

/// A setting or secret of the manifest: a `String` when the manifest makes sure
/// of a value (`default`, `required`), else an `Option<String>`.
pub use wharf_sdk_macros::config;

/// A metric of the manifest with all its labels:
/// `metric!("jobs_total", kind = "mail").add(1.0)`. Gives a
/// [`metrics::Counter`] or a [`metrics::Histogram`], as the manifest says.
pub use wharf_sdk_macros::metric;

/// What the macros' output refers to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::codec::{decode, encode};
    pub use crate::run::{Component, with_state, without_state};
    pub use serde;
}
