//! From an event to the handler's input.

use serde_json::json;
use wharf::testing::{Entity, bytes, event};
use wharf::wire::StateChange;
use wharf::{Effects, Event, Failure, Raw};

#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Job {
    name: String,
}

#[derive(Debug, PartialEq, Eq, wharf::Events)]
enum In {
    #[event("job.given")]
    Given(Job),
    #[event("job.moved")]
    Moved {
        place: String,
        #[serde(default)]
        floor: i32,
    },
    #[event("job.dropped")]
    Dropped,
    #[timer("late")]
    Late { since: u64 },
}

/// Keeps the last input as text.
#[wharf::handler]
fn echo(_event: &Event, input: In, state: &mut Option<String>) -> wharf::Result {
    let mut effects = Effects::new();
    if matches!(input, In::Given(_)) {
        effects.set(wharf::timer!("late").at_ms(1).with(&json!({"since": 7})));
    }
    *state = Some(format!("{input:?}"));
    Ok(effects)
}

fn entity() -> Entity<echo> {
    Entity::new("J-1")
}

#[track_caller]
fn echoed(entity: &Entity<echo>) -> String {
    entity.state().expect("the handler keeps its input")
}

#[test]
fn a_variant_with_one_type_takes_the_data_as_a_whole() {
    let mut entity = entity();
    entity
        .when(event(
            "job.given",
            &Job {
                name: "print".into(),
            },
        ))
        .ok();
    assert_eq!(echoed(&entity), "Given(Job { name: \"print\" })");
}

#[test]
fn a_variant_with_fields_takes_members_and_their_defaults() {
    let mut entity = entity();
    entity
        .when(event("job.moved", &json!({"place": "attic", "more": true})))
        .ok();
    assert_eq!(echoed(&entity), "Moved { place: \"attic\", floor: 0 }");
}

#[test]
fn a_variant_without_fields_does_not_read_the_data() {
    let mut entity = entity();
    entity.when(bytes("job.dropped", *b"\xff not json")).ok();
    assert_eq!(echoed(&entity), "Dropped");
}

#[test]
fn a_timer_brings_its_data_back() {
    let mut entity = entity();
    entity
        .when(event(
            "job.given",
            &Job {
                name: "print".into(),
            },
        ))
        .ok();
    entity.fire("late").ok();
    assert_eq!(echoed(&entity), "Late { since: 7 }");
    assert!(entity.timers().is_empty());
}

#[test]
fn a_type_without_a_variant_is_ok_and_changes_nothing_even_if_the_state_is_unreadable() {
    let mut entity = entity().given_bytes(*b"\xff");
    let then = entity.when(event("job.painted", &json!({}))).ok();
    assert!(then.emitted().is_empty());
    assert_eq!(then.state_change(), Some(&StateChange::Keep));
}

#[test]
fn data_that_do_not_fit_are_rejected_and_not_repeated_in_the_message() {
    let wrong = [
        &b"{\"name\": 5151}"[..],
        b"{}",
        b"not 5151",
        b"",
        b"{\"name\": \"5151",
    ];
    for data in wrong {
        let then = entity().when(bytes("job.given", data));
        let Some(Failure::Reject(problem)) = then.failure() else {
            panic!("{then:?}")
        };
        assert_eq!(problem.code, "bad-data");
        assert!(!problem.message.contains("5151"), "{}", problem.message);
        assert!(problem.message.contains("line 1"), "{}", problem.message);
    }
}

mod raw {
    use super::*;

    #[wharf::handler]
    pub fn collect(event: &Event, Raw(data): Raw, state: &mut Option<Raw>) -> wharf::Result {
        let Raw(all) = state.get_or_insert(Raw(Vec::new()));
        all.extend_from_slice(event.event_type.as_bytes());
        all.extend_from_slice(&data);
        Ok(Effects::new())
    }
}

#[test]
fn raw_input_and_raw_state_are_bytes_as_they_are() {
    let mut entity = Entity::<raw::collect>::new("J-1");
    entity.when(bytes("a", *b"\xff\x00")).ok();
    entity.when(bytes("b", *b"")).ok();
    assert_eq!(entity.state_bytes(), Some(&b"a\xff\x00b"[..]));
}
