//! A handler without the SDK: the contract in `wit/`, `wit-bindgen`, and nothing
//! else.
//!
//! Counts the final events of each order. The state is the count as decimal
//! text. More than one would mean that an order ended twice, and is logged as an
//! error.

mod bindings {
    #![allow(unsafe_code, clippy::all, clippy::mem_forget, reason = "generated")]
    wit_bindgen::generate!({ path: "../../wit", world: "service", generate_all });

    #[cfg(target_arch = "wasm32")]
    export!(Component with_types_in self);
    #[cfg(target_arch = "wasm32")]
    use super::Component;
}

use bindings::exports::wharf::handler::handler::Guest;
use bindings::wharf::handler::log;
use bindings::wharf::handler::types::{Effects, Event, Failure, StateChange};

/// The component.
pub struct Component;

impl Guest for Component {
    fn handle(event: Event, _data: Vec<u8>, state: Option<Vec<u8>>) -> Result<Effects, Failure> {
        let count = counted(state.as_deref()) + 1;
        if count > 1 {
            let fields = [
                ("order".to_owned(), event.key),
                ("count".to_owned(), count.to_string()),
            ];
            log::write(log::Level::Error, "an order ended more than once", &fields);
        }
        Ok(Effects {
            emit: Vec::new(),
            state: StateChange::Put(count.to_string().into_bytes()),
            timers: Vec::new(),
        })
    }
}

/// The count so far. State that is not a number is a fault of this version, so
/// it traps: going on would begin to count anew.
fn counted(state: Option<&[u8]>) -> u64 {
    let Some(state) = state else { return 0 };
    let text = str::from_utf8(state).ok();
    text.and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("the state is not a count"))
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn counting_begins_at_nothing_and_goes_on_from_the_state() {
        assert_eq!(counted(None), 0);
        assert_eq!(counted(Some(b"41")), 41);
    }

    #[test]
    #[should_panic(expected = "not a count")]
    fn a_state_that_is_no_count_traps() {
        counted(Some(b"many"));
    }
}
