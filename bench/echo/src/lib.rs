//! Does next to nothing: one emission with the event's own data, no state. What
//! an event costs with this handler, it costs without one.

mod bindings {
    #![allow(unsafe_code, clippy::all, clippy::mem_forget, reason = "generated")]
    wit_bindgen::generate!({ path: "../../wit", world: "service", generate_all });

    #[cfg(target_arch = "wasm32")]
    export!(Echo with_types_in self);
    #[cfg(target_arch = "wasm32")]
    use super::Echo;
}

use bindings::exports::wharf::handler::handler::Guest;
use bindings::wharf::handler::types::{Effects, Emission, Event, Failure, StateChange};

/// The component.
pub struct Echo;

impl Guest for Echo {
    fn handle(_event: Event, data: Vec<u8>, _state: Option<Vec<u8>>) -> Result<Effects, Failure> {
        let done = Emission {
            event_type: "bench.done".to_owned(),
            key: None,
            content_type: Some("application/octet-stream".to_owned()),
            attributes: Vec::new(),
            data,
        };
        Ok(Effects {
            emit: vec![done],
            state: StateChange::Keep,
            timers: Vec::new(),
        })
    }
}
