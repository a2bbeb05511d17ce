//! Emissions and timers.

use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;
use wharf::testing::{Entity, event};
use wharf::wire::Due;
use wharf::{Effects, Emit, Event, timer};

#[derive(wharf::Events)]
enum In {
    #[event("job.given")]
    Given,
    #[timer("late")]
    Late,
}

#[derive(wharf::Emit)]
enum Out {
    #[emit("job.begun")]
    Begun,
    #[emit("job.ended")]
    Ended { pages: u32, by: String },
}

#[derive(Serialize, wharf::Emit)]
#[emit("worker.wanted")]
struct Wanted {
    skill: &'static str,
}

#[wharf::handler]
fn jobs(_event: &Event, input: In) -> wharf::Result {
    let mut effects = Effects::new();
    match input {
        In::Given => {
            effects.emit(Out::Begun).emit(Out::Ended {
                pages: 3,
                by: "press".into(),
            });
            effects.emit(Wanted { skill: "ink" }.to("W-7").attribute("site", "attic"));
            effects.set(timer!("late").after(Duration::from_millis(1500)));
        }
        In::Late => {
            effects.set(timer!("late").at_ms(5)).cancel(timer!("late"));
        }
    }
    Ok(effects)
}

#[test]
fn emissions_keep_their_order_types_and_data() {
    let then = Entity::<jobs>::new("J-1")
        .when(event("job.given", &json!({})))
        .ok();
    assert_eq!(then.types(), ["job.begun", "job.ended", "worker.wanted"]);
    assert_eq!(then.data::<Value>("job.begun"), [json!({})]);
    assert_eq!(
        then.data::<Value>("job.ended"),
        [json!({"pages": 3, "by": "press"})]
    );
    assert_eq!(
        then.data::<Value>("worker.wanted"),
        [json!({"skill": "ink"})]
    );
}

#[test]
fn an_emission_is_for_the_entity_at_hand_unless_addressed() {
    let then = Entity::<jobs>::new("J-1")
        .when(event("job.given", &json!({})))
        .ok();
    let keys: Vec<_> = then
        .emitted()
        .iter()
        .map(|emission| emission.key.as_deref())
        .collect();
    assert_eq!(keys, [None, None, Some("W-7")]);
    assert_eq!(
        then.emitted()[2].attributes,
        [("site".to_owned(), "attic".to_owned())]
    );
}

#[test]
fn timers_are_set_relative_to_now_or_at_a_time_and_changed_in_order() {
    let mut entity = Entity::<jobs>::new("J-1");
    entity.when(event("job.given", &json!({}))).ok();
    assert_eq!(entity.timers()["late"], Duration::from_millis(1500));
    entity.fire("late").ok();
    assert!(
        entity.timers().is_empty(),
        "set and cancelled in one go: {:?}",
        entity.timers()
    );
}

#[test]
fn a_delay_beyond_what_milliseconds_hold_is_the_longest_one() {
    let timer = timer!("late").after(Duration::MAX);
    assert_eq!(timer.due, Due::AfterMs(u64::MAX));
}
