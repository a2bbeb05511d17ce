use super::*;
use async_nats::HeaderValue;

fn outgoing() -> Outgoing<'static> {
    Outgoing {
        subject: "shop.order.1.placed",
        id: "abc",
        event_type: "order.placed",
        source: "order-1",
        time_ms: 1_700_000_001_500,
        content_type: "application/json",
        attributes: vec![("zone", "a \"%\" €\r\nce-id: forged")],
        correlation_id: Some("flow ä"),
        causation_id: Some("cause"),
        hops: 4,
        traceparent: Some("00-a-b-01"),
        tracestate: Some("k=v,l=w"),
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
        (&*event.id, &*event.event_type, &*event.source),
        (sent.id, sent.event_type, sent.source)
    );
    assert_eq!((event.time_ms, event.hops), (sent.time_ms, sent.hops));
    assert_eq!(event.content_type, sent.content_type);
    let attributes: Vec<_> = event.attributes.iter().map(|(n, v)| (&**n, &**v)).collect();
    assert_eq!(attributes, sent.attributes);
    assert_eq!(
        (
            event.correlation_id.as_deref(),
            event.causation_id.as_deref()
        ),
        (sent.correlation_id, sent.causation_id)
    );
    assert_eq!(event.data, sent.data);
    assert_eq!(
        (event.traceparent.as_deref(), event.tracestate.as_deref()),
        (sent.traceparent, sent.tracestate)
    );
}

#[test]
fn attributes_that_cannot_be_sent_are_named() {
    let with = |names: &[&'static str]| {
        let attributes = names.iter().map(|name| (*name, "")).collect();
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
