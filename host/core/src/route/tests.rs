use bytes::Bytes;

use super::{Route, route, route_begun};
use crate::event::{Event, Position, Undecodable};
use crate::manifest::{Manifest, parse};

fn manifest(on: &str) -> Manifest {
    let text = format!("name = \"x\"\nstream = \"S\"\n{on}\n");
    parse("handler.toml", &text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn event(subject: &str) -> Event {
    Event {
        id: "1".to_owned(),
        source: "sensor/7".to_owned(),
        event_type: "order.placed".to_owned(),
        subject: subject.to_owned(),
        content_type: "application/json".to_owned(),
        time_ms: 0,
        position: Position::default(),
        correlation_id: None,
        causation_id: None,
        attributes: vec![("tenant".to_owned(), "t1".to_owned())],
        headers: vec![("x-key".to_owned(), "* > a.b".to_owned())],
        hops: 0,
        traceparent: None,
        tracestate: None,
        data: Bytes::new(),
    }
}

fn run(key: &str, subscription: usize) -> Route {
    Route::Run {
        key: key.to_owned(),
        subscription,
    }
}

/// The code of what cannot be routed.
fn refused(route: Route) -> &'static str {
    match route {
        Route::Undecodable(reason) => reason.code(),
        Route::Run { .. } | Route::Ignored { .. } => panic!("{route:?}"),
    }
}

#[test]
fn the_subject_chooses_the_subscription_and_the_key() {
    let manifest = manifest(
        "[[on]]\nsubjects = [\"shop.order.{o}.placed\", \"shop.order.{o}.paid\"]\nkey = \"{o}\"\n\
         [[on]]\nsubjects = [\"shop.cart.{c}.>\"]\nkey = \"cart/{c}\"",
    );
    assert_eq!(
        route(&manifest, &event("shop.order.ORD-1.paid")),
        run("ORD-1", 0)
    );
    assert_eq!(
        route(&manifest, &event("shop.cart.a%2Eb.filled.twice")),
        run("cart/a.b", 1)
    );
    let stray = route(&manifest, &event("shop.cart.1"));
    assert_eq!(stray, Route::Undecodable(Undecodable::NoSubscription));
}

#[test]
fn a_type_that_is_not_listed_is_ignored_even_without_a_key() {
    let manifest =
        manifest("on = [{ subjects = [\"s.{k}\"], key = \"{k}\", types = [\"order.paid\"] }]");
    let key = Some("1".to_owned());
    assert_eq!(route(&manifest, &event("s.1")), Route::Ignored { key });
    assert_eq!(
        route(&manifest, &event("s.%ff")),
        Route::Ignored { key: None }
    );
    let paid = Event {
        event_type: "order.paid".to_owned(),
        ..event("s.1")
    };
    assert_eq!(route(&manifest, &paid), run("1", 0));
}

#[test]
fn without_a_key_rule_there_is_no_entity() {
    let manifest = manifest("on = [{ subjects = [\"s.>\"] }]");
    assert_eq!(route(&manifest, &event("s.1")), run("", 0));
}

#[test]
fn tokens_that_cannot_be_decoded_give_no_key() {
    let manifest = manifest("on = [{ subjects = [\"s.{k}\"], key = \"{k}\" }]");
    assert_eq!(refused(route(&manifest, &event("s.50%"))), "no-key");
    assert_eq!(refused(route(&manifest, &event("s.%ff"))), "no-key");
}

#[test]
fn keys_have_1_to_256_bytes_after_decoding() {
    let manifest = manifest("on = [{ subjects = [\"s.{k}\"], key = \"header:x-key\" }]");
    let with = |key: String| Event {
        headers: vec![("x-key".to_owned(), key)],
        ..event("s.1")
    };
    assert_eq!(
        route(&manifest, &with("k".repeat(256))),
        run(&"k".repeat(256), 0)
    );
    assert_eq!(
        refused(route(&manifest, &with("k".repeat(257)))),
        "key-length"
    );
    assert_eq!(
        refused(route(&manifest, &with("é".repeat(2500)))),
        "key-length"
    );
    assert_eq!(
        refused(route(&manifest, &with(String::new()))),
        "key-length"
    );
}

#[test]
fn a_header_gives_its_value_as_it_is() {
    let manifest = manifest("on = [{ subjects = [\"s.>\"], key = \"header:X-Key\" }]");
    assert_eq!(route(&manifest, &event("s.1")), run("* > a.b", 0));
    let pair = |value: &str| ("x-key".to_owned(), value.to_owned());
    let same = Event {
        headers: vec![pair("a"), pair("a")],
        ..event("s.1")
    };
    assert_eq!(route(&manifest, &same), run("a", 0));
    let two = Event {
        headers: vec![pair("a"), pair("b")],
        ..event("s.1")
    };
    assert_eq!(refused(route(&manifest, &two)), "no-key");
    assert_eq!(
        refused(route(
            &manifest,
            &Event {
                headers: vec![],
                ..event("s.1")
            }
        )),
        "no-key"
    );
}

#[test]
fn an_attribute_can_be_an_extension_or_the_source() {
    let tenant = manifest("on = [{ subjects = [\"s.>\"], key = \"attribute:tenant\" }]");
    assert_eq!(route(&tenant, &event("s.1")), run("t1", 0));
    let source = manifest("on = [{ subjects = [\"s.>\"], key = \"attribute:source\" }]");
    assert_eq!(route(&source, &event("s.1")), run("sensor/7", 0));
    let absent = manifest("on = [{ subjects = [\"s.>\"], key = \"attribute:absent\" }]");
    assert_eq!(refused(route(&absent, &event("s.1"))), "no-key");
}

#[test]
fn data_gives_a_string_or_a_whole_number() {
    let manifest = manifest("on = [{ subjects = [\"s.>\"], key = \"data:/order/id\" }]");
    let with = |data: &str| {
        route(
            &manifest,
            &Event {
                data: Bytes::copy_from_slice(data.as_bytes()),
                ..event("s.1")
            },
        )
    };
    assert_eq!(with("{\"order\":{\"id\":\"a.b\"}}"), run("a.b", 0));
    assert_eq!(with("{\"order\":{\"id\":7}}"), run("7", 0));
    assert_eq!(with("{\"order\":{\"id\":-7}}"), run("-7", 0));
    for data in [
        "",
        "{",
        "{}",
        "[]",
        "{\"order\":{\"id\":1.5}}",
        "{\"order\":{\"id\":null}}",
        "{\"order\":{\"id\":{}}}",
        "\u{1}",
    ] {
        assert_eq!(refused(with(data)), "no-key", "{data}");
    }
    assert_eq!(refused(with("{\"order\":{\"id\":\"\"}}")), "key-length");
    assert_eq!(refused(with(&"[".repeat(100_000))), "no-key");
}

#[test]
fn an_event_from_outside_cannot_pose_as_a_timer() {
    let manifest = manifest("[[on]]\nsubjects = [\"shop.order.{order}.>\"]\nkey = \"{order}\"");
    let posing = Event {
        event_type: "wharf.timer.unpaid".to_owned(),
        ..event("shop.order.A.placed")
    };
    assert_eq!(refused(route(&manifest, &posing)), "reserved-type");
}

#[test]
fn what_earlier_subscriptions_began_keeps_its_entity() {
    let before = manifest("[[on]]\nsubjects = [\"shop.{a}.{o}\", \"old.{o}\"]\nkey = \"{o}\"");
    let now = manifest(
        "[[on]]\nsubjects = [\"more.{o}\"]\nkey = \"{o}\"\n\
         [[on]]\nsubjects = [\"shop.{a}.{o}\"]\nkey = \"{a}/{o}\"\ntypes = [\"order.placed\"]",
    );
    let begun = |event: &Event| route_begun(&before.on, &now, event);
    assert_eq!(begun(&event("shop.x.7")), run("7", 1));
    let unlisted = Event {
        event_type: "order.paid".to_owned(),
        ..event("shop.x.7")
    };
    for ignored in [unlisted, event("old.7")] {
        let key = Some("7".to_owned());
        assert_eq!(begun(&ignored), Route::Ignored { key });
    }
    // It was nobody's: what comes behind the turn is this version's.
    assert_eq!(
        begun(&event("more.7")),
        Route::Undecodable(Undecodable::NoSubscription)
    );
    let nobodys = Route::Ignored { key: None };
    assert_eq!(begun(&event("else.7")), nobodys);
}
