use super::*;
use crate::contract::Effects;
use crate::manifest;

const MANIFEST: &str = r#"
name = "order"
stream = "SHOP"
ordering = "key"
timers = ["unpaid"]

[[on]]
subjects = ["shop.order.{order}.placed"]
key = "{order}"

[emits]
"stock.reserve" = "shop.inventory.{key}.reserve"
"order.confirmed" = "shop.order.{key}.confirmed"

[state]
version = 1

[limits]
emits = 3
emit_bytes = "2KiB"
state_bytes = "1KiB"
hops = 5
"#;

const IDENTITY: Identity<'_> = Identity {
    lineage: "order-1",
    source: "web",
    id: "1",
    key: "ORD-1",
};

fn manifest() -> Manifest {
    manifest::parse("handler.toml", MANIFEST).expect("the manifest is valid")
}

fn check_with(manifest: &Manifest, effects: &Effects) -> Result<Vec<record::Emission>, Refusal> {
    check(&context(manifest), effects)
}

fn context(manifest: &Manifest) -> Context<'_> {
    Context {
        manifest,
        identity: IDENTITY,
        hops: 0,
        message_bytes_max: 1 << 20,
    }
}

fn refused(effects: &Effects) -> Refusal {
    check_with(&manifest(), effects).expect_err("refused")
}

fn emission() -> Emission {
    Emission {
        event_type: "stock.reserve".into(),
        key: Some("SKU-1".into()),
        content_type: None,
        attributes: Vec::new(),
        data: b"{}".to_vec(),
    }
}

fn emitting(emit: Vec<Emission>) -> Effects {
    Effects {
        emit,
        ..Effects::default()
    }
}

fn one(change: impl FnOnce(&mut Emission)) -> Effects {
    let mut one = emission();
    change(&mut one);
    emitting(vec![one])
}

fn attribute(name: &str) -> Effects {
    one(|emission| emission.attributes = vec![(name.into(), "x".into())])
}

fn put(bytes: usize) -> Effects {
    Effects {
        state: StateChange::Put(vec![1; bytes]),
        ..Effects::default()
    }
}

fn setting(name: &str, due: Due, data: usize) -> Effects {
    let timer = Timer {
        name: name.into(),
        due,
        data: vec![1; data],
    };
    Effects {
        timers: vec![TimerChange::Set(timer)],
        ..Effects::default()
    }
}

/// Data that makes an emission of the subject `shop.inventory.SKU-1.reserve`
/// count for `bytes`.
fn sized(bytes: u64) -> Emission {
    let rest = EMISSION_OVERHEAD + "shop.inventory.SKU-1.reserve".len() as u64;
    Emission {
        data: vec![b'1'; usize::try_from(bytes - rest).expect("small")],
        ..emission()
    }
}

#[test]
fn each_refusal_of_an_emission_names_what_was_found_and_what_is_allowed() {
    assert_refused(vec![
        (
            emitting(vec![emission(); 4]),
            Refusal::TooManyEmissions { found: 4, max: 3 },
        ),
        (
            emitting(vec![sized(1024), sized(1025)]),
            Refusal::EmissionsTooLarge {
                found: 2049,
                max: 2048,
            },
        ),
        (
            one(|e| e.event_type = "stock.release".into()),
            Refusal::TypeNotDeclared {
                index: 0,
                event_type: "stock.release".into(),
            },
        ),
        (
            attribute("Tenant"),
            bad_attribute("Tenant", "is not a name of `[a-z0-9]{1,20}`"),
        ),
        (
            attribute("a-b"),
            bad_attribute("a-b", "is not a name of `[a-z0-9]{1,20}`"),
        ),
        (
            attribute(""),
            bad_attribute("", "is not a name of `[a-z0-9]{1,20}`"),
        ),
        (
            attribute("abcdefghijklmnopqrstu"),
            bad_attribute("abcdefghijklmnopqrstu", "is not a name of `[a-z0-9]{1,20}`"),
        ),
        (
            attribute("traceparent"),
            bad_attribute("traceparent", "is set by the host"),
        ),
        (
            one(|e| {
                e.attributes = vec![("tenant".into(), "a".into()), ("tenant".into(), "b".into())];
            }),
            bad_attribute("tenant", "is given twice"),
        ),
        (one(|e| e.data.clear()), Refusal::EmptyData { index: 0 }),
        (
            one(|e| e.content_type = Some(String::new())),
            Refusal::ContentType { index: 0 },
        ),
        (
            one(|e| e.content_type = Some("a\r\nb".into())),
            Refusal::ContentType { index: 0 },
        ),
        (
            one(|e| e.content_type = Some("a".repeat(257))),
            Refusal::ContentType { index: 0 },
        ),
    ]);
}

#[test]
fn each_refusal_of_state_or_a_timer_names_what_was_found_and_what_is_allowed() {
    assert_refused(vec![
        (put(0), Refusal::EmptyState),
        (
            put(1025),
            Refusal::StateTooLarge {
                found: 1025,
                max: 1024,
            },
        ),
        (
            setting("paid", Due::AfterMs(1), 0),
            Refusal::TimerNotDeclared {
                name: "paid".into(),
            },
        ),
        (
            Effects {
                timers: vec![TimerChange::Cancel("paid".into())],
                ..Effects::default()
            },
            Refusal::TimerNotDeclared {
                name: "paid".into(),
            },
        ),
        (
            setting("unpaid", Due::AfterMs(1), 4097),
            Refusal::TimerDataTooLarge {
                name: "unpaid".into(),
                found: 4097,
            },
        ),
        (
            setting("unpaid", Due::AfterMs(TIMER_AFTER_MAX_MS + 1), 0),
            Refusal::TimerTooFar {
                name: "unpaid".into(),
            },
        ),
    ]);
}

fn assert_refused(cases: Vec<(Effects, Refusal)>) {
    for (effects, expected) in cases {
        assert_eq!(refused(&effects), expected, "{effects:?}");
    }
}

fn bad_attribute(name: &str, reason: &'static str) -> Refusal {
    Refusal::Attribute {
        index: 0,
        name: name.into(),
        reason,
    }
}

#[test]
fn what_lies_exactly_at_a_limit_is_allowed() {
    for effects in [
        emitting(vec![emission(); 3]),
        emitting(vec![sized(1024), sized(1024)]),
        attribute("abcdefghijklmnopqrst"),
        one(|e| e.content_type = Some("a".repeat(256))),
        put(1),
        put(1024),
        setting("unpaid", Due::AfterMs(TIMER_AFTER_MAX_MS), 4096),
        setting("unpaid", Due::AtMs(u64::MAX), 0),
        Effects {
            timers: vec![TimerChange::Cancel("unpaid".into())],
            ..Effects::default()
        },
        Effects {
            state: StateChange::Delete,
            ..Effects::default()
        },
        Effects::default(),
    ] {
        assert_eq!(check_with(&manifest(), &effects).err(), None, "{effects:?}");
    }
}

#[test]
fn a_host_attribute_is_refused_whichever_it_is() {
    for name in HOST_ATTRIBUTES {
        assert_eq!(
            refused(&attribute(name)),
            bad_attribute(name, "is set by the host")
        );
    }
}

#[test]
fn state_without_a_declaration_is_refused_and_keeping_none_is_not() {
    let stateless = Manifest {
        state: None,
        ..manifest()
    };
    assert_eq!(
        check_with(&stateless, &put(1)),
        Err(Refusal::StateNotDeclared)
    );
    assert_eq!(check_with(&stateless, &Effects::default()), Ok(Vec::new()));
}

#[test]
fn data_may_be_empty_only_under_a_content_type_that_is_not_json() {
    let empty = |content_type: &str| {
        one(|emission| {
            emission.data.clear();
            emission.content_type = Some(content_type.into());
        })
    };
    for json in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/cloudevents+json",
    ] {
        assert_eq!(
            refused(&empty(json)),
            Refusal::EmptyData { index: 0 },
            "{json}"
        );
    }
    for other in [
        "text/plain",
        "application/octet-stream",
        "application/jsonx",
    ] {
        assert!(check_with(&manifest(), &empty(other)).is_ok(), "{other}");
    }
}

#[test]
fn a_chain_of_causes_ends_at_the_hop_limit_unless_nothing_is_emitted() {
    let manifest = manifest();
    let at = |hops, effects: &Effects| {
        check(
            &Context {
                hops,
                ..context(&manifest)
            },
            effects,
        )
        .err()
    };
    let emitting = one(|_| {});
    assert_eq!(at(4, &emitting), None);
    let refusal = at(5, &emitting).expect("the sixth hop");
    assert_eq!(refusal, Refusal::Loop { found: 6, max: 5 });
    assert!(refusal.is_loop());
    assert!(!Refusal::EmptyState.is_loop());
    assert_eq!(at(5, &put(1)), None);
}

#[test]
fn an_emission_is_addressed_by_its_type_and_key_and_gets_an_id_by_its_place() {
    let effects = emitting(vec![
        emission(),
        Emission {
            event_type: "order.confirmed".into(),
            key: None,
            ..emission()
        },
        Emission {
            key: Some("a.b *>é".into()),
            content_type: Some("text/plain".into()),
            attributes: vec![("tenant".into(), "x".into())],
            ..emission()
        },
    ]);
    let addressed = check_with(&manifest(), &effects).expect("allowed");
    let subjects: Vec<&str> = addressed
        .iter()
        .map(|emission| emission.subject.as_str())
        .collect();
    let encoded = "shop.inventory.a%2Eb%20%2A%3E%C3%A9.reserve";
    assert_eq!(
        subjects,
        [
            "shop.inventory.SKU-1.reserve",
            "shop.order.ORD-1.confirmed",
            encoded
        ]
    );
    let ids: Vec<&str> = addressed
        .iter()
        .map(|emission| emission.id.as_str())
        .collect();
    assert_eq!(
        ids,
        [
            IDENTITY.emission(0),
            IDENTITY.emission(1),
            IDENTITY.emission(2)
        ]
    );
    assert_eq!(addressed[0].content_type, "application/json");
    assert_eq!(addressed[2].content_type, "text/plain");
    assert_eq!(
        addressed[2].attributes,
        [record::Attribute {
            name: "tenant".into(),
            value: "x".into()
        }]
    );
    assert_eq!(
        check_with(&manifest(), &effects),
        Ok(addressed),
        "the same in every try"
    );
}

#[test]
fn a_refusal_shows_only_the_beginning_of_a_guests_text() {
    let Refusal::TypeNotDeclared { event_type, .. } =
        refused(&one(|e| e.event_type = format!("x{}", "é".repeat(1000))))
    else {
        panic!("another refusal")
    };
    assert_eq!(
        event_type,
        format!("x{}", "é".repeat(39)),
        "80 bytes, at a character"
    );
}

#[test]
fn interleaving_09_a_key_of_5000_bytes_or_none_in_an_emission_is_refused_before_the_commit() {
    for (key, bytes) in [
        ("k".repeat(5000), 5000),
        ("k".repeat(257), 257),
        (String::new(), 0),
    ] {
        let Refusal::Key { index: 0, reason } = refused(&one(|e| e.key = Some(key))) else {
            panic!("another refusal")
        };
        assert_eq!(
            reason,
            format!("the key has {bytes} bytes; 1 to 256 are allowed")
        );
    }
    assert!(check_with(&manifest(), &one(|e| e.key = Some(".".repeat(256)))).is_ok());
}

#[test]
fn interleaving_09_an_emission_that_the_broker_would_not_take_is_refused_before_the_commit() {
    let manifest = manifest();
    let context = Context {
        message_bytes_max: 500,
        ..context(&manifest)
    };
    let fits = check(&context, &emitting(vec![sized(500), sized(500)]));
    assert_eq!(fits.map(|emissions| emissions.len()), Ok(2));
    let refusal = check(&context, &emitting(vec![sized(500), sized(501)]));
    assert_eq!(
        refusal,
        Err(Refusal::MessageTooLarge {
            index: 1,
            found: 501,
            max: 500
        })
    );
}

#[test]
fn an_emissions_attributes_count_towards_its_size() {
    let manifest = manifest();
    let attributed = Emission {
        attributes: vec![("tenant".into(), "x".repeat(94))],
        ..sized(400)
    };
    let check_within = |max| {
        check(
            &Context {
                message_bytes_max: max,
                ..context(&manifest)
            },
            &emitting(vec![attributed.clone()]),
        )
    };
    assert!(check_within(500).is_ok());
    assert_eq!(
        check_within(499),
        Err(Refusal::MessageTooLarge {
            index: 0,
            found: 500,
            max: 499
        })
    );
}

#[test]
fn interleaving_13_an_at_least_once_handler_may_emit_once_an_event_and_no_more() {
    let at_least_once = Manifest {
        delivery: Delivery::AtLeastOnce,
        ..manifest()
    };
    assert!(check_with(&at_least_once, &emitting(vec![emission()])).is_ok());
    assert!(check_with(&at_least_once, &Effects::default()).is_ok());
    let refusal = check_with(&at_least_once, &emitting(vec![emission(); 2]));
    assert_eq!(refusal, Err(Refusal::NotOneEmission { found: 2 }));
}

#[test]
fn interleaving_09_attributes_that_would_not_fit_the_brokers_headers_are_refused_before_the_commit()
{
    let mut manifest = manifest();
    manifest.limits.emit_bytes = 1 << 20;
    let with = |value: String| Effects {
        emit: vec![Emission {
            attributes: vec![("note".into(), value)],
            ..emission()
        }],
        ..Effects::default()
    };
    let plain = with("x".repeat(20_000));
    assert!(check_with(&manifest, &plain).is_ok());
    // Each becomes three bytes.
    let encoded = with("%".repeat(20_000));
    assert!(matches!(
        check_with(&manifest, &encoded),
        Err(Refusal::AttributesTooLarge {
            index: 0,
            found: 60_000..
        })
    ));
}
