//! The test kit itself: it must fail where the host would.

use serde_json::json;
use std::cell::Cell;
use wharf::testing::{Bounds, Entity, Random, answer, event, permutations};
use wharf::{Effects, Emit, Event, Failure, need};

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

fn calls() -> u32 {
    CALLS.set(CALLS.get() + 1);
    CALLS.get()
}

#[derive(wharf::Events)]
enum In {
    #[event("wild.remember")]
    Remember,
    #[event("wild.call")]
    Call,
    #[event("wild.talk")]
    Talk { times: usize, key: String },
    #[event("wild.grow")]
    Grow { bytes: usize },
    #[event("wild.fail")]
    Fail { code: String },
}

#[derive(wharf::Emit)]
enum Out {
    #[emit("wild.said")]
    Said { word: String },
}

#[wharf::handler]
fn wild(_event: &Event, input: In, state: &mut Option<String>) -> wharf::Result {
    let mut effects = Effects::new();
    match input {
        In::Remember => *state = Some(calls().to_string()),
        In::Call => {
            need!("world").get(format!("/{}", calls())).send()?;
        }
        In::Talk { times, key } => {
            for _ in 0..times {
                effects.emit(Out::Said { word: "x".into() }.to(&key));
            }
        }
        In::Grow { bytes } => *state = Some("x".repeat(bytes)),
        In::Fail { code } => return Err(Failure::retry(code, "")),
    }
    Ok(effects)
}

fn entity() -> Entity<wild> {
    Entity::new("W").need("world", |_| Ok(answer(200, &json!({}))))
}

#[test]
#[should_panic(expected = "not deterministic")]
fn memory_left_by_an_earlier_call_is_found_out() {
    let _ = entity().when(event("wild.remember", &json!({})));
}

#[test]
#[should_panic(expected = "it called otherwise in its second run")]
fn another_call_in_the_second_run_is_found_out() {
    let _ = entity().when(event("wild.call", &json!({})));
}

#[test]
fn effects_at_their_bounds_are_accepted() {
    entity()
        .when(event(
            "wild.talk",
            &json!({"times": 64, "key": "k".repeat(256)}),
        ))
        .ok();
    entity()
        .when(event("wild.grow", &json!({"bytes": 256 * 1024 - 2})))
        .ok();
    let more = Bounds {
        emits: 65,
        ..Bounds::default()
    };
    entity()
        .bounds(more)
        .when(event("wild.talk", &json!({"times": 65, "key": "k"})))
        .ok();
}

#[test]
#[should_panic(expected = "65 emissions, where 64 are allowed")]
fn too_many_emissions_fail_the_test() {
    let _ = entity().when(event("wild.talk", &json!({"times": 65, "key": "k"})));
}

#[test]
#[should_panic(expected = "a key of 0 bytes for wild.said")]
fn an_empty_key_fails_the_test() {
    let _ = entity().when(event("wild.talk", &json!({"times": 1, "key": ""})));
}

#[test]
#[should_panic(expected = "bytes of state, where 262144 are allowed")]
fn too_much_state_fails_the_test() {
    let _ = entity().when(event("wild.grow", &json!({"bytes": 256 * 1024})));
}

#[test]
#[should_panic(expected = "the failure code `Not A Code`")]
fn a_malformed_failure_code_fails_the_test() {
    let _ = entity().when(event("wild.fail", &json!({"code": "Not A Code"})));
}

#[test]
#[should_panic(expected = "the handler failed")]
fn ok_does_not_pass_a_failure() {
    entity()
        .when(event("wild.fail", &json!({"code": "x"})))
        .ok();
}

#[test]
#[should_panic(expected = "no timer `late` is set")]
fn a_timer_that_is_not_set_cannot_fire() {
    let _ = entity().fire("late");
}

#[test]
fn permutations_are_all_orders_and_each_once() {
    let all = permutations(&[1, 2, 3, 4]);
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (24, 24));
    assert_eq!(permutations::<u8>(&[]), [Vec::<u8>::new()]);
}

#[test]
fn a_seed_repeats_its_shuffle_and_loses_nothing() {
    let shuffled = |seed| {
        let mut items: Vec<u32> = (0..100).collect();
        Random::seeded(seed).shuffle(&mut items);
        items
    };
    assert_eq!(shuffled(7), shuffled(7));
    assert_ne!(shuffled(7), shuffled(8));
    let mut sorted = shuffled(7);
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..100));
}
