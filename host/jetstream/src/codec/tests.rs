use super::*;
use crate::pull::{Headers, Origin};
use async_nats::HeaderMap;
use bytes::Bytes;
use rand::{RngExt as _, SeedableRng as _};
use std::sync::Arc;
use wharf_core::event::Position;

mod encoding;
mod structured;

/// When the broker stored every event of these tests.
const STORED_MS: u64 = 1_700_000_000_000;

fn delivery(headers: Headers, payload: impl Into<Bytes>) -> Delivery {
    Delivery {
        origin: Arc::new(Origin {
            stream: "SHOP".into(),
            created_ns: 5,
        }),
        position: Position {
            sequence: 7,
            stored_ns: STORED_MS * 1_000_000,
        },
        subject: "shop.order.1.placed".into(),
        headers,
        payload: payload.into(),
        delivered: 1,
        pending: 0,
        token: None,
    }
}

fn with(headers: &[(&str, &str)], payload: &'static str) -> Result<Event, Undecodable> {
    let mut block = b"NATS/1.0\r\n".to_vec();
    for (name, value) in headers {
        block.extend(format!("{name}: {value}\r\n").into_bytes());
    }
    block.extend(b"\r\n");
    let headers = if headers.is_empty() {
        Headers::None
    } else {
        Headers::raw(block.into())
    };
    decode(&delivery(headers, payload), &Limits::default())
}

const BINARY: [(&str, &str); 4] = [
    ("ce-specversion", "1.0"),
    ("ce-id", "1"),
    ("ce-source", "web"),
    ("ce-type", "placed"),
];

fn binary_with(more: &[(&str, &str)]) -> Result<Event, Undecodable> {
    with(&[&BINARY, more].concat(), "{}")
}

#[test]
fn binary_mode_reads_every_attribute_to_its_place() {
    let event = binary_with(&[
        ("ce-time", "2023-11-14T22:13:21.5+00:00"),
        ("ce-CorrelationId", "flow"),
        ("ce-causationid", "cause"),
        ("ce-wharfhops", "3"),
        ("ce-dataschema", "urn:x"),
        ("ce-zone", "a"),
        ("content-type", "application/json"),
        ("X-Tenant", "acme"),
        ("traceparent", "00-a-b-01"),
        ("tracestate", "k=v"),
        ("Nats-Msg-Id", "other"),
    ])
    .expect("valid");
    assert_eq!((event.id.as_str(), event.source.as_str()), ("1", "web"));
    assert_eq!(event.event_type, "placed");
    assert_eq!(event.subject, "shop.order.1.placed");
    assert_eq!(event.time_ms, 1_700_000_001_500);
    assert_eq!(event.correlation_id.as_deref(), Some("flow"));
    assert_eq!(event.causation_id.as_deref(), Some("cause"));
    assert_eq!(
        (event.hops, event.content_type.as_str()),
        (3, "application/json")
    );
    let attributes = [("dataschema", "urn:x"), ("zone", "a")];
    assert_eq!(
        event.attributes,
        attributes.map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
    assert!(event.headers.contains(&("x-tenant".into(), "acme".into())));
    assert_eq!(event.traceparent.as_deref(), Some("00-a-b-01"));
    assert_eq!(event.tracestate.as_deref(), Some("k=v"));
    assert_eq!((&event.data[..], event.position.sequence), (&b"{}"[..], 7));
}

#[test]
fn values_are_percent_decoded_once_and_must_be_text_then_too() {
    let event = binary_with(&[("ce-x", "Euro%20%E2%82%AC %2541 100%")]).expect("valid");
    assert_eq!(
        event.attributes,
        [("x".to_owned(), "Euro € %41 100%".to_owned())]
    );
    let broken = binary_with(&[("ce-x", "%FF")]);
    assert_eq!(
        broken,
        Err(Undecodable::HeaderNotUtf8 {
            name: "ce-x".into()
        })
    );
}

#[test]
fn what_binary_mode_must_have_is_named_when_it_is_missing_or_empty() {
    for name in ["specversion", "id", "source", "type"] {
        let missing = Err(Undecodable::MissingAttribute { name });
        let header = format!("ce-{name}");
        let rest: Vec<_> = BINARY
            .into_iter()
            .filter(|(found, _)| *found != header)
            .collect();
        assert_eq!(with(&rest, ""), missing);
        assert_eq!(
            with(&[&rest[..], &[(header.as_str(), "")]].concat(), ""),
            missing
        );
    }
    let old = with(&[("ce-specversion", "0.3"), ("ce-id", "1")], "");
    assert_eq!(
        old,
        Err(Undecodable::SpecVersion {
            found: "0.3".into()
        })
    );
}

#[test]
fn a_repeated_header_is_fine_with_one_value_and_undecodable_with_two() {
    assert!(binary_with(&[("CE-ID", "1"), ("ce-id", "1")]).is_ok());
    let twice = binary_with(&[("CE-Id", "2")]);
    assert_eq!(
        twice,
        Err(Undecodable::DuplicateHeader {
            name: "ce-id".into(),
            count: 2
        })
    );
    let kinds = binary_with(&[("content-type", "a/b"), ("Content-Type", "a/c")]);
    let name = "content-type".to_owned();
    assert_eq!(kinds, Err(Undecodable::DuplicateHeader { name, count: 2 }));
    let ids = with(&[("Nats-Msg-Id", "1"), ("nats-msg-id", "2")], "");
    let name = "nats-msg-id".to_owned();
    assert_eq!(ids, Err(Undecodable::DuplicateHeader { name, count: 2 }));
    // Other headers may be lists, and a trace is never worth a dead event.
    let event = binary_with(&[
        ("x", "1"),
        ("x", "2"),
        ("traceparent", "a"),
        ("traceparent", "b"),
    ]);
    let event = event.expect("valid");
    assert_eq!(
        event.headers.iter().filter(|(name, _)| name == "x").count(),
        2
    );
    assert_eq!(event.traceparent, None);
}

#[test]
fn headers_that_are_not_text_or_too_large_are_undecodable() {
    let block = Bytes::from_static(b"NATS/1.0\r\nx-bad: \xff\r\n\r\n");
    let bad = decode(&delivery(Headers::raw(block), ""), &Limits::default());
    assert_eq!(
        bad,
        Err(Undecodable::HeaderNotUtf8 {
            name: "x-bad".into()
        })
    );
    let mut map = HeaderMap::new();
    map.insert("x", "y".repeat(64 << 10));
    let large = decode(&delivery(Headers::Parsed(map), ""), &Limits::default());
    let wanted = Undecodable::HeadersTooLarge {
        bytes: (64 << 10) + 17,
        max: 64 << 10,
    };
    assert_eq!(large, Err(wanted));
}

#[test]
fn a_subject_that_is_not_text_is_undecodable_however_it_is_shown() {
    let shown = String::from_utf8_lossy(b"shop.order.\xff.placed").into_owned();
    let delivery = Delivery {
        subject: shown,
        ..delivery(Headers::None, "")
    };
    let decoded = decode(&delivery, &Limits::default());
    assert_eq!(decoded, Err(Undecodable::SubjectNotUtf8));
}

#[test]
fn ids_have_1_to_256_bytes() {
    let id = |bytes: usize| {
        let id = "i".repeat(bytes);
        let headers = [BINARY[0], ("ce-id", id.as_str()), BINARY[2], BINARY[3]];
        with(&headers, "").map(|event| event.id.len())
    };
    assert_eq!(id(256), Ok(256));
    assert_eq!(id(257), Err(Undecodable::IdLength { bytes: 257 }));
}

#[test]
fn a_time_that_is_none_gives_way_to_the_brokers() {
    for time in ["yesterday", "", "1969-12-31T23:59:59Z"] {
        let event = binary_with(&[("ce-time", time)]).expect("valid");
        assert_eq!(event.time_ms, STORED_MS, "{time}");
    }
}

#[test]
fn the_envelope_is_recognised_by_its_shape() {
    let event = with(
        &[("x", "y")],
        r#" {"id":"e-1","type":"placed","aggregate_id":"ORD-1","data":{"n":1.0},
            "timestamp":"2023-11-14T22:13:21Z","trace_id":"0af7651916cd43dd8448eb211c80319c"}"#,
    )
    .expect("valid");
    assert_eq!(
        (event.id.as_str(), event.event_type.as_str()),
        ("e-1", "placed")
    );
    assert_eq!(event.data, r#"{"n":1.0}"#);
    assert_eq!(event.time_ms, 1_700_000_001_000);
    assert_eq!(
        event.attributes,
        [("aggregate_id".to_owned(), "ORD-1".to_owned())]
    );
    assert_eq!(event.content_type, "application/json");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-8448eb211c80319c-01";
    assert_eq!(event.traceparent.as_deref(), Some(trace));
    let millis = with(
        &[],
        r#"{"id":"1","type":"t","data":null,"timestamp":1700000001000}"#,
    );
    assert_eq!(millis.expect("valid").time_ms, 1_700_000_001_000);
}

#[test]
fn what_only_looks_like_an_envelope_is_raw() {
    let payloads = [
        r#"{"id":1,"type":"t","data":1}"#,
        r#"{"id":"1","type":"t"}"#,
        r#"{"id":"1","data":1}"#,
        r#"{"id":"1","type":"t","data":1"#,
        r#"["id","type","data"]"#,
        "",
    ];
    for payload in payloads {
        let event = with(&[], payload).expect(payload);
        assert_eq!(event.id, "SHOP/5/7", "{payload}");
        assert_eq!(event.data, payload);
        assert_eq!((event.event_type.as_str(), event.time_ms), ("", STORED_MS));
    }
    let twice = with(&[], r#"{"id":"1","id":"2","type":"t","data":1}"#);
    assert!(
        matches!(twice, Err(Undecodable::Structured { .. })),
        "{twice:?}"
    );
    // With one `ce-` header the payload is data, whatever it looks like.
    let event = with(&BINARY, r#"{"id":"9","type":"t","data":1}"#).expect("valid");
    assert_eq!(event.id, "1");
}

#[test]
fn raw_bytes_take_their_id_from_the_message_id_or_the_place() {
    let event = with(
        &[("Nats-Msg-Id", "m-1"), ("content-type", "text/csv")],
        "a,b",
    )
    .expect("raw");
    assert_eq!(
        (event.id.as_str(), event.content_type.as_str()),
        ("m-1", "text/csv")
    );
    assert_eq!(
        with(&[("Nats-Msg-Id", "")], "a").expect("raw").id,
        "SHOP/5/7"
    );
}

#[test]
fn nothing_that_a_stream_can_hold_panics() {
    let mut random = rand::rngs::Xoshiro256PlusPlus::seed_from_u64(7);
    let pieces: [&[u8]; 14] = [
        b"ce-id",
        b"ce-",
        b"content-type",
        b"application/cloudevents+json",
        b": ",
        b"\r\n",
        b"%",
        b"%E2%82",
        b"\xff",
        b" ",
        b"1.0",
        b"{\"id\":\"1\",\"type\":\"t\",\"data\":",
        b"}",
        b"\"",
    ];
    let mut undecodable = 0;
    for _ in 0..20_000 {
        let mut bytes = |most: usize| {
            let mut bytes = Vec::new();
            for _ in 0..random.random_range(0..most) {
                match random.random_bool(0.8) {
                    true => bytes.extend_from_slice(pieces[random.random_range(0..pieces.len())]),
                    false => bytes.push(random.random()),
                }
            }
            bytes
        };
        let block = [b"NATS/1.0\r\n".to_vec(), bytes(12), b"\r\n\r\n".to_vec()].concat();
        let payload = bytes(8);
        let delivery = delivery(Headers::raw(block.into()), payload.clone());
        match decode(&delivery, &Limits { header_bytes: 256 }) {
            Ok(event) => assert!((1..=256).contains(&event.id.len())),
            Err(_) => undecodable += 1,
        }
        assert_eq!(delivery.payload, payload);
    }
    // The draw reaches both sides.
    assert!((1_000..19_000).contains(&undecodable), "{undecodable}");
}
