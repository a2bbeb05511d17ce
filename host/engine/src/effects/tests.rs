use super::*;

fn emission() -> wit::Emission {
    wit::Emission {
        event_type: "order.placed".into(),
        key: Some("K".into()),
        content_type: None,
        attributes: vec![("partner".into(), "x".into())],
        data: b"{}".to_vec(),
    }
}

fn emit(emit: Vec<wit::Emission>) -> wit::Effects {
    wit::Effects { emit, state: wit::StateChange::Keep, timers: Vec::new() }
}

fn put(bytes: usize) -> wit::Effects {
    wit::Effects { state: wit::StateChange::Put(vec![1; bytes]), ..emit(Vec::new()) }
}

fn timer(name: &str, due: wit::Due, data: usize) -> wit::Effects {
    let set = wit::Timer { name: name.into(), due, data: vec![0; data] };
    wit::Effects { timers: vec![wit::TimerChange::Set(set)], ..emit(Vec::new()) }
}

fn small() -> Limits {
    Limits { emits: 2, emit_bytes: 400, state_bytes: 10, ..Limits::default() }
}

#[test]
fn effects_within_all_bounds_pass_unchanged() {
    let accepted = accept(emit(vec![emission(), emission()]), &small()).expect("within bounds");
    assert_eq!(accepted.emit.len(), 2);
    assert_eq!(accepted.emit[0].data, b"{}");
    assert_eq!(accept(put(10), &small()).map(|e| e.state), Ok(StateChange::Put(vec![1; 10])));
    let due = timer("payment", wit::Due::AfterMs(TEN_YEARS_MS), TIMER_BYTES_MAX);
    assert_eq!(accept(due, &small()).map(|e| e.timers.len()), Ok(1));
}

#[test]
fn every_bound_on_effects_is_refused_by_its_name() {
    let with = |change: fn(&mut wit::Emission)| {
        let mut changed = emission();
        change(&mut changed);
        emit(vec![changed])
    };
    let cancel = wit::TimerChange::Cancel("t".into());
    let cases = [
        (emit(vec![emission(); 3]), Broken::TooManyEmissions { count: 3, max: 2 }),
        (with(|e| e.data = vec![0; 400]), Broken::EmitBytes { bytes: 549, max: 400 }),
        (with(|e| e.event_type.clear()), Broken::EmissionType { at: 0, bytes: 0 }),
        (with(|e| e.key = Some(String::new())), Broken::EmissionKey { at: 0, bytes: 0 }),
        (with(|e| e.key = Some("k".repeat(257))), Broken::EmissionKey { at: 0, bytes: 257 }),
        (
            with(|e| e.attributes[0].0 = "Partner".into()),
            Broken::Attribute { at: 0, name: "Partner".into() },
        ),
        (with(|e| e.data.clear()), Broken::NoData { at: 0 }),
        (put(0), Broken::EmptyState),
        (put(11), Broken::StateBytes { bytes: 11, max: 10 }),
        (
            wit::Effects { timers: vec![cancel; 65], ..emit(Vec::new()) },
            Broken::TooManyTimers { count: 65 },
        ),
        (timer("", wit::Due::AtMs(0), 0), Broken::TimerName { bytes: 0 }),
        (
            timer("t", wit::Due::AtMs(0), 4097),
            Broken::TimerData { name: "t".into(), bytes: 4097 },
        ),
        (timer("t", wit::Due::AfterMs(u64::MAX), 0), Broken::TimerDue { name: "t".into() }),
    ];
    for (effects, expected) in cases {
        assert_eq!(accept(effects, &small()), Err(expected));
    }
}

#[test]
fn empty_data_need_a_content_type_that_is_not_json() {
    let with = |content_type: &str| {
        let content_type = Some(content_type.to_owned());
        let empty = wit::Emission { content_type, data: Vec::new(), ..emission() };
        accept(emit(vec![empty]), &small()).map(|_| ())
    };
    assert_eq!(with("text/plain"), Ok(()));
    for json in ["application/json; charset=utf-8", "application/problem+JSON", ""] {
        assert_eq!(with(json), Err(Broken::NoData { at: 0 }), "{json}");
    }
}

#[test]
fn codes_outside_the_pattern_become_other_and_long_texts_are_cut() {
    let problem = |code: &str| wit::Problem {
        code: code.into(),
        message: "é".repeat(4096),
        after_ms: Some(7),
    };
    for (given, kept) in [("unknown-currency", "unknown-currency"), ("", "other"), ("No", "other")] {
        let Failure::Reject(kept_problem) = accept_failure(wit::Failure::Reject(problem(given)))
        else {
            panic!("another failure came out");
        };
        assert_eq!(kept_problem.code, kept);
        assert_eq!(kept_problem.message.len(), 4096);
        assert_eq!(kept_problem.after_ms, Some(7));
    }
    let long = "x".repeat(65);
    let failure = accept_failure(wit::Failure::Retry(problem(&long)));
    assert!(matches!(failure, Failure::Retry(problem) if problem.code == "other"));
}
