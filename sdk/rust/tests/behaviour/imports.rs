//! Needs, settings, logs and metrics.

use serde_json::json;
use std::time::Duration;
use wharf::http::CallError;
use wharf::testing::{Entity, answer, event, scripted};
use wharf::{Effects, Event, Failure, config, log, metric, need};

#[derive(wharf::Events)]
enum In {
    #[event("job.given")]
    Given,
    #[timer("late")]
    Late,
}

#[derive(serde::Deserialize)]
struct Printed {
    pages: u32,
}

#[wharf::handler]
fn print(event: &Event, _input: In, state: &mut Option<String>) -> wharf::Result {
    let printed: Printed = need!("printer")
        .post("/print")
        .idempotency_key(format!("{}-print", event.idempotency_key))
        .header("x-floor", config!("floor").unwrap_or_default())
        .timeout(Duration::from_millis(250))
        .json(&json!({"pin": config!("pin")}))
        .send()?
        .success()?
        .json()?;
    log::info("printed", &[("pages", &printed.pages.to_string())]);
    metric!("jobs_total", end = "done", site = config!("site")).add(1.0);
    metric!("job_duration_seconds").observe(0.5);
    *state = Some(printed.pages.to_string());
    Ok(Effects::new())
}

fn entity() -> Entity<print> {
    Entity::new("J-1")
        .config("site", "attic")
        .config("pin", "1234")
}

#[test]
fn a_call_arrives_with_everything_that_was_said() {
    let mut entity = entity()
        .config("floor", "3")
        .need("printer", |_| Ok(answer(200, &json!({"pages": 4}))));
    let then = entity.when(event("job.given", &json!({}))).ok();
    assert_eq!(then.targets(), ["POST /print"]);
    let request = &then.calls()[0].0.request;
    let headers = [
        ("x-floor".to_owned(), "3".to_owned()),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    assert_eq!(request.headers, headers);
    assert_eq!(request.body, br#"{"pin":"1234"}"#);
    assert_eq!(request.timeout_ms, Some(250));
    assert!(
        request
            .idempotency_key
            .as_ref()
            .is_some_and(|key| key.ends_with("-print"))
    );
    assert_eq!(entity.state::<String>().as_deref(), Some("4"));
}

#[test]
fn lines_and_measurements_carry_their_fields_and_labels() {
    let mut entity = entity().need("printer", |_| Ok(answer(200, &json!({"pages": 4}))));
    let then = entity.when(event("job.given", &json!({}))).ok();
    assert_eq!(then.lines()[0].message, "printed");
    assert_eq!(
        then.lines()[0].fields,
        [("pages".to_owned(), "4".to_owned())]
    );
    let names: Vec<_> = then
        .samples()
        .iter()
        .map(|sample| sample.name.as_str())
        .collect();
    assert_eq!(names, ["jobs_total", "job_duration_seconds"]);
    let labels = [
        ("end".to_owned(), "done".to_owned()),
        ("site".to_owned(), "attic".to_owned()),
    ];
    assert_eq!(then.samples()[0].labels, labels);
}

#[test]
fn a_script_answers_one_call_after_another() {
    let script = scripted([
        Err(CallError::NotSent("no connection".into())),
        Ok(answer(503, &json!({}))),
        Ok(answer(200, &json!("no object"))),
        Ok(answer(200, &json!({"pages": 1}))),
    ]);
    let mut entity = entity().need("printer", script);
    let mut failures = Vec::new();
    for _ in 0..4 {
        failures.push(
            match entity
                .when(event("job.given", &json!({})).again())
                .failure()
            {
                None => "none".to_owned(),
                Some(Failure::Unavailable(outage)) => outage.need.clone(),
                Some(Failure::Retry(problem)) => problem.code.clone(),
                Some(other) => panic!("{other:?}"),
            },
        );
    }
    assert_eq!(
        failures,
        ["printer", "unexpected-status", "unexpected-answer", "none"]
    );
}

#[test]
#[should_panic(expected = "the host gave no value for `pin`")]
fn a_setting_that_the_manifest_promises_is_there_or_the_handler_traps() {
    let _ = Entity::<print>::new("J-1").when(event("job.given", &json!({})));
}

#[test]
#[should_panic(expected = "say with `Entity::need` what it answers")]
fn a_need_without_answers_fails_the_test() {
    let _ = entity().when(event("job.given", &json!({})));
}
