//! What becomes of the state.

use serde_json::json;
use wharf::testing::{Entity, event};
use wharf::wire::StateChange;
use wharf::{Effects, Event, Failure, State, Undecodable};

#[derive(wharf::Events)]
enum In {
    #[event("count.set")]
    Set(u32),
    #[event("count.forget")]
    Forget,
    #[event("count.fail")]
    Fail,
    #[timer("late")]
    Late,
}

#[wharf::handler]
fn count(_event: &Event, input: In, state: &mut Option<u32>) -> wharf::Result {
    match input {
        In::Set(value) => *state = Some(value),
        In::Forget | In::Late => *state = None,
        In::Fail => {
            *state = Some(99);
            return Err(Failure::retry("on-purpose", "asked to"));
        }
    }
    Ok(Effects::new())
}

#[test]
fn changed_state_is_put_and_unchanged_state_is_kept() {
    let mut entity = Entity::<count>::new("C").given(&1_u32);
    assert_eq!(
        entity.when(event("count.set", &1)).ok().state_change(),
        Some(&StateChange::Keep)
    );
    let put = StateChange::Put(b"2".to_vec());
    assert_eq!(
        entity.when(event("count.set", &2)).ok().state_change(),
        Some(&put)
    );
}

#[test]
fn state_that_is_none_is_deleted_if_there_was_one() {
    let mut entity = Entity::<count>::new("C").given(&1_u32);
    assert_eq!(
        entity
            .when(event("count.forget", &json!({})))
            .ok()
            .state_change(),
        Some(&StateChange::Delete)
    );
    assert_eq!(
        entity
            .when(event("count.forget", &json!({})))
            .ok()
            .state_change(),
        Some(&StateChange::Keep)
    );
}

#[test]
fn a_failure_leaves_the_state_alone() {
    let mut entity = Entity::<count>::new("C").given(&1_u32);
    let then = entity.when(event("count.fail", &json!({})));
    assert!(then.failure().is_some());
    assert_eq!(entity.state::<u32>(), Some(1));
}

#[test]
#[should_panic(expected = "the stored state is not a u32: JSON of another shape")]
fn state_that_does_not_decode_traps() {
    let _ = Entity::<count>::new("C")
        .given_bytes(*b"\"one\"")
        .when(event("count.set", &1));
}

/// A state that some bytes cannot be, and that can have none.
struct Odd(Vec<u8>);

impl State for Odd {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        if bytes == b"?" {
            Err(Undecodable::new("a question"))
        } else {
            Ok(Self(bytes.to_vec()))
        }
    }

    fn encode(&self) -> Vec<u8> {
        self.0.clone()
    }
}

mod custom {
    use super::*;

    #[wharf::handler]
    pub fn empty(_event: &Event, _input: In, state: &mut Option<Odd>) -> wharf::Result {
        state.get_or_insert(Odd(vec![1])).0.clear();
        Ok(Effects::new())
    }
}

#[test]
#[should_panic(expected = "a question")]
fn a_form_of_its_own_traps_on_what_it_cannot_read() {
    let _ = Entity::<custom::empty>::new("C")
        .given_bytes(*b"?")
        .when(event("count.set", &1));
}

#[test]
#[should_panic(expected = "leave `None` to delete the state")]
fn state_without_a_byte_traps() {
    let _ = Entity::<custom::empty>::new("C").when(event("count.set", &1));
}
