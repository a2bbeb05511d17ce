use super::*;
use async_nats::HeaderValue;

fn outgoing() -> Outgoing {
    Outgoing {
        subject: "shop.order.1.placed".into(),
        id: "abc".into(),
        event_type: "order.placed".into(),
        source: "order-1".into(),
        time_ms: 1_700_000_001_500,
        content_type: "application/json".into(),
        attributes: vec![("zone".into(), "a \"%\" €\r\nce-id: forged".into())],
        correlation_id: Some("flow ä".into()),
        causation_id: Some("cause".into()),
        hops: 4,
        traceparent: Some("00-a-b-01".into()),
        tracestate: Some("k=v,l=w".into()),
        data: "{}".into(),
    }
}

#[test]
fn what_is_encoded_decodes_to_the_same_event() {
    let sent = outgoing();
    let encoded = encode(sent.clone()).expect("valid");
    assert_eq!(
        encoded.headers.get("Nats-Msg-Id").map(HeaderValue::as_str),
        Some("abc")
    );
    assert_eq!(
        encoded.bytes(),
        Headers::Parsed(encoded.headers.clone()).bytes() + 2
    );
    let received = delivery(Headers::Parsed(encoded.headers), encoded.payload);
    let event = decode(&received, &Limits::default()).expect("valid");
    assert_eq!(
        (event.id, event.event_type, event.source),
        (sent.id, sent.event_type, sent.source)
    );
    assert_eq!((event.time_ms, event.hops), (sent.time_ms, sent.hops));
    assert_eq!(event.content_type, sent.content_type);
    assert_eq!(event.attributes, sent.attributes);
    assert_eq!(
        (event.correlation_id, event.causation_id),
        (sent.correlation_id, sent.causation_id)
    );
    assert_eq!(event.data, sent.data);
    assert_eq!(
        (event.traceparent, event.tracestate),
        (sent.traceparent, sent.tracestate)
    );
}

#[test]
fn attributes_that_cannot_be_sent_are_named() {
    let with = |names: &[&str]| {
        let attributes = names
            .iter()
            .map(|name| ((*name).to_owned(), String::new()))
            .collect();
        encode(Outgoing {
            attributes,
            ..outgoing()
        })
    };
    for name in [
        "",
        "Zone",
        "a_b",
        "a:b",
        "ä",
        "a\r\nb",
        "abcdefghijklmnopqrstu",
    ] {
        let wanted = EncodeError::AttributeName {
            name: name.to_owned(),
        };
        assert_eq!(with(&[name]).expect_err(name), wanted);
    }
    for name in ["id", "wharfhops", "correlationid", "time", "traceparent"] {
        assert_eq!(
            with(&[name]).expect_err(name),
            EncodeError::Reserved {
                name: name.to_owned()
            }
        );
    }
    let twice = with(&["zone", "zone"]).expect_err("twice");
    assert_eq!(
        twice,
        EncodeError::Repeated {
            name: "zone".into()
        }
    );
}
