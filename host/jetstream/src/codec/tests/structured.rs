use super::*;

const STRUCTURED_TYPE: (&str, &str) = (
    "Content-Type",
    "application/CloudEvents+json; charset=utf-8",
);

fn structured(payload: &'static str) -> Result<Event, Undecodable> {
    with(&[STRUCTURED_TYPE], payload)
}

#[test]
fn structured_data_keeps_its_source_text() {
    let event = structured(
        r#"{"specversion":"1.0","id":"1","source":"web","type":"placed","n":12,"b":true,
            "nil":null,"wharfhops":2,"data": { "b":1.50,"a" : 1e400 } }"#,
    )
    .expect("valid");
    assert_eq!(event.data, r#"{ "b":1.50,"a" : 1e400 }"#);
    assert_eq!(event.hops, 2);
    let attributes = [("b", "true"), ("n", "12")];
    assert_eq!(
        event.attributes,
        attributes.map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
}

#[test]
fn structured_data_may_be_text_base64_or_nothing() {
    let cases = [
        (r#""data":"a\"b""#, "\"a\\\"b\""),
        (r#""datacontenttype":"text/plain","data":"a\"b""#, "a\"b"),
        (
            r#""datacontenttype":"application/x+json","data":"a""#,
            "\"a\"",
        ),
        (r#""datacontenttype":"text/plain","data":[1]"#, "[1]"),
        (r#""data_base64":"aGk=""#, "hi"),
        (r#""data":null"#, "null"),
        (r#""z":"1""#, ""),
    ];
    for (members, data) in cases {
        let payload =
            format!(r#"{{"specversion":"1.0","id":"1","source":"w","type":"t",{members}}}"#);
        let headers =
            Headers::raw("NATS/1.0\r\ncontent-type: application/cloudevents+json\r\n\r\n".into());
        let event = decode(&delivery(headers, payload), &Limits::default()).expect(members);
        assert_eq!(event.data, data, "{members}");
    }
}

#[test]
fn broken_structured_events_are_not_read_as_anything_else() {
    let cases = [
        "",
        "[]",
        "{",
        r#"{"specversion":"1.0","id":"1","id":"1","source":"w","type":"t"}"#,
        r#"{"specversion":"1.0","id":"1","source":"w","type":"t","data":1,"data":1}"#,
        r#"{"specversion":"1.0","id":"1","source":"w","type":"t","data":1,"data_base64":""}"#,
        r#"{"specversion":"1.0","id":"1","source":"w","type":"t","data_base64":"*"}"#,
        r#"{"specversion":"1.0","id":"1","source":"w","type":"t","data_base64":1}"#,
        r#"{"specversion":"1.0","id":"1","source":"w","type":"t","x":{}}"#,
    ];
    for payload in cases {
        let found = structured(payload);
        assert!(
            matches!(found, Err(Undecodable::Structured { .. })),
            "{payload}: {found:?}"
        );
    }
    for media_type in [
        "application/cloudevents-batch+json",
        "application/cloudevents+avro",
    ] {
        let found = with(&[("content-type", media_type)], "{}");
        assert!(
            matches!(found, Err(Undecodable::Structured { .. })),
            "{media_type}"
        );
    }
    let missing = structured(r#"{"specversion":"1.0","id":"1","type":"t"}"#);
    assert_eq!(
        missing,
        Err(Undecodable::MissingAttribute { name: "source" })
    );
}
