//! `http.send` against real sockets: what a handler may ask for, what the other
//! side sees, and what is told afterwards.

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use support::server::{Reaction, Server, answer, nobody};
use support::{Bench, event, guest_fault, put_text, settings};
use tokio_util::sync::CancellationToken;
use wharf_core::ids::Identity;
use wharf_core::manifest::{NeedPolicy, OnUnknown, RecordCalls, StatusSet};
use wharf_core::outcome::{Call, CallResult, GuestFaultKind, Outcome};
use wharf_engine::{Outbound, Place, Report, Settings};

fn policy() -> NeedPolicy {
    NeedPolicy {
        timeout: Duration::from_secs(5),
        required: true,
        failure_status: StatusSet(vec![(429, 429), (500, 599)]),
        idempotency_header: Some("idempotency-key".to_owned()),
        idempotency_ttl: Duration::from_secs(86_400),
        on_unknown: OnUnknown::Retry,
        record_calls: RecordCalls::Off,
    }
}

/// A handler that needs `gateway`, which is at this address.
fn needing(address: SocketAddr) -> Settings {
    let place = Place {
        url: format!("http://{address}/v2"),
        auth: Some(("authorization".to_owned(), "Bearer s3cret".to_owned())),
        max_in_flight: 2,
    };
    let places = BTreeMap::from([("gateway".to_owned(), place)]);
    Settings {
        needs: BTreeMap::from([("gateway".to_owned(), policy())]),
        outbound: Arc::new(Outbound::new(places).expect("a good place")),
        ..settings()
    }
}

async fn bench(server: &Server) -> Bench {
    Bench::new(needing(server.address)).await
}

const GET: &str = "gateway\nGET\n/charges?x=1\n-\n-\n\n";
const POST: &str = "gateway\nPOST\n/charges\n-\n-\ncontent-type: text/plain\n\nhello";

fn only_call(report: &Report) -> Call {
    let [call] = &report.calls[..] else {
        panic!("other calls: {:?}", report.calls)
    };
    call.clone()
}

#[tokio::test]
async fn a_call_reaches_its_need_with_what_the_host_adds() {
    let server = Server::answering("201 Created\r\nx-a: 1\r\nx-a: 2", "done").await;
    let report = bench(&server).await.run("call", POST).await;
    let expected = Call {
        need: "gateway".into(),
        result: CallResult::Answered,
        retry_after_ms: None,
        unsafe_method: true,
        took_ms: only_call(&report).took_ms,
    };
    assert_eq!(only_call(&report), expected);
    let exchanges = report.exchanges.clone();
    assert_eq!(put_text(report), "201 [x-a=1,x-a=2,content-length=4] done");

    let request = server.first_request().await;
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    let mut lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines.remove(0), "POST /v2/charges HTTP/1.1");
    assert_eq!(body, "hello");
    let host = format!("host: {}", server.address);
    for line in [
        host.as_str(),
        "authorization: Bearer s3cret",
        "content-type: text/plain",
    ] {
        assert!(lines.contains(&line), "{line} is not in {lines:?}");
    }
    let traceparent = lines.iter().find(|line| line.starts_with("traceparent: "));
    let traceparent = traceparent.expect("a trace context");
    assert!(traceparent.starts_with("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert!(
        !traceparent.contains("00f067aa0ba902b7"),
        "the span is the call's own"
    );
    let [exchange] = &exchanges[..] else {
        panic!("one call went out: {exchanges:?}")
    };
    assert!(traceparent.contains(&format!("-{:016x}-", exchange.span_id)));
    assert_eq!(exchange.method.as_str(), "POST");
    assert_eq!(exchange.status, Some(201));
    assert_eq!(exchange.result, CallResult::Answered);
    let at = exchange.server.as_ref().expect("its place is known");
    assert_eq!(
        format!("{}:{}", at.address, at.port),
        server.address.to_string()
    );
    assert!(exchange.took.is_some());
}

#[tokio::test]
async fn a_call_that_changes_something_carries_a_key_that_follows_from_it() {
    let server = Server::answering("200 OK", "").await;
    let bench = bench(&server).await;
    put_text(bench.run("calls", POST).await);
    put_text(bench.run("calls", POST).await);
    let keys: Vec<String> = server
        .requests()
        .iter()
        .filter_map(|request| request.split("idempotency-key: ").nth(1))
        .filter_map(|rest| rest.lines().next().map(str::to_owned))
        .collect();
    let identity = Identity {
        lineage: "adversary-1",
        source: "web",
        id: "evt-1",
        key: "ORD-1",
    };
    let one_try = [
        identity.call("gateway", "POST", "/charges", 0),
        identity.call("gateway", "POST", "/charges", 1),
        identity.call("gateway", "POST", "/charges/other", 0),
    ];
    assert_eq!(keys, [one_try.clone(), one_try].concat());
}

#[tokio::test]
async fn a_given_key_is_sent_and_a_safe_call_gets_none() {
    let server = Server::answering("200 OK", "").await;
    let bench = bench(&server).await;
    put_text(bench.run("call", "gateway\nPOST\n/a\n-\nmy-key\n\n").await);
    put_text(bench.run("call", GET).await);
    let requests = server.requests();
    assert!(
        requests[0].contains("idempotency-key: my-key\r\n"),
        "{requests:?}"
    );
    assert!(!requests[1].contains("idempotency-key"), "{requests:?}");
}

#[tokio::test]
async fn needs_that_the_manifest_does_not_name_are_denied() {
    let server = Server::answering("200 OK", "").await;
    let report = bench(&server)
        .await
        .run("call", "other\nGET\n/\n-\n-\n\n")
        .await;
    assert_eq!(only_call(&report).result, CallResult::Refused);
    assert!(put_text(report).starts_with("denied "));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn malformed_requests_are_invalid_and_never_sent() {
    let server = Server::answering("200 OK", "").await;
    let mut settings = needing(server.address);
    settings.limits.request_bytes = 1000;
    let bench = Bench::new(settings).await;
    for request in [
        "gateway\nget\n/\n-\n-\n\n",
        "gateway\nCONNECT\n/\n-\n-\n\n",
        "gateway\nGET\nhttp://other.example/\n-\n-\n\n",
        "gateway\nGET\n//other.example/\n-\n-\n\n",
        "gateway\nGET\n/../admin\n-\n-\n\n",
        "gateway\nGET\n/%2e%2e/admin\n-\n-\n\n",
        "gateway\nGET\n/a b\n-\n-\n\n",
        "gateway\nGET\n/\n-\n-\nhost: other\n\n",
        "gateway\nGET\n/\n-\n-\nauthorization: mine\n\n",
        "gateway\nGET\n/\n-\n-\ntraceparent: mine\n\n",
        "gateway\nGET\n/\n-\n-\nidempotency-key: mine\n\n",
        "gateway\nGET\n/\n-\n-\ntransfer-encoding: chunked\n\n",
        "gateway\nGET\n/\n-\n-\nX-Upper: a\n\n",
        "gateway\nPOST\n/\n-\na key\n\n",
        "gateway\nPOST\n/\n-\n-\n\n*1001",
    ] {
        let report = bench.run("call", request).await;
        assert_eq!(
            only_call(&report).result,
            CallResult::Refused,
            "{request:?}"
        );
        assert!(put_text(report).starts_with("invalid "), "{request:?}");
    }
    let largest = bench.run("call", "gateway\nPOST\n/\n-\n-\n\n*1000").await;
    assert!(put_text(largest).starts_with("200 "));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_need_that_refuses_the_connection_was_not_sent_to() {
    let bench = Bench::new(needing(nobody().await)).await;
    let report = bench.run("call", POST).await;
    assert_eq!(only_call(&report).result, CallResult::NotSent);
    assert!(put_text(report).starts_with("not-sent "));
    bench.is_unharmed().await;
}

#[tokio::test]
async fn a_need_without_a_place_was_not_sent_to() {
    let mut settings = settings();
    settings.needs = BTreeMap::from([("gateway".to_owned(), policy())]);
    let report = Bench::new(settings).await.run("call", POST).await;
    assert_eq!(only_call(&report).result, CallResult::NotSent);
    assert!(put_text(report).contains("needs.toml"));
}

#[tokio::test]
async fn a_call_that_was_not_sent_leaves_its_key_to_the_next() {
    let gateway = Server::start_with(|request| match request.contains("/hang") {
        true => Reaction::Hang,
        false => Reaction::Answer(answer("200 OK", "")),
    })
    .await;
    let signal = Server::answering("200 OK", "").await;
    let place = |server: &Server, max_in_flight| Place {
        url: format!("http://{}", server.address),
        auth: None,
        max_in_flight,
    };
    let names = ["gateway", "signal"].map(str::to_owned);
    let places = [place(&gateway, 1), place(&signal, 9)];
    let places = names.clone().into_iter().zip(places).collect();
    let bench = Bench::new(Settings {
        needs: names.into_iter().map(|name| (name, policy())).collect(),
        outbound: Arc::new(Outbound::new(places).expect("good places")),
        ..settings()
    })
    .await;

    // One attempt holds the only slot until the other has met it taken.
    let free = CancellationToken::new();
    let hang = b"gateway\nGET\n/hang\n-\n-\n\n";
    let (_, report, ()) = tokio::join!(
        bench.cancellable(event("call"), hang, None, free.clone()),
        async {
            gateway.first_request().await;
            bench.run("call-until-sent", POST).await
        },
        async {
            signal.first_request().await;
            free.cancel();
        },
    );
    assert_eq!(report.calls[0].result, CallResult::NotSent);
    assert!(put_text(report).starts_with("200 "));
    let identity = Identity {
        lineage: "adversary-1",
        source: "web",
        id: "evt-1",
        key: "ORD-1",
    };
    let key = identity.call("gateway", "POST", "/charges", 0);
    let requests = gateway.requests();
    assert!(
        requests.last().is_some_and(|last| last.contains(&key)),
        "{requests:?}"
    );
}

#[tokio::test]
async fn a_connection_cut_after_the_request_leaves_the_outcome_unknown_and_sends_nothing_twice() {
    let server = Server::start(Reaction::Cut).await;
    let bench = bench(&server).await;
    let report = bench.run("call", POST).await;
    assert_eq!(only_call(&report).result, CallResult::UnknownOutcome);
    assert!(put_text(report).starts_with("unknown-outcome "));
    assert_eq!(server.requests().len(), 1);
    bench.is_unharmed().await;
}

#[tokio::test]
async fn a_kept_connection_that_the_need_closed_is_never_a_second_request() {
    let closing = Reaction::AnswerAndClose(answer("200 OK", "one"));
    let server = Server::start(closing).await;
    let bench = bench(&server).await;
    for round in 1..=20 {
        let report = bench.run("call", POST).await;
        let calls = only_call(&report);
        // Either a fresh connection was used, or it is not known; never twice.
        assert!(matches!(
            calls.result,
            CallResult::Answered | CallResult::UnknownOutcome
        ));
        assert!(server.requests().len() <= round, "sent twice");
    }
}

#[tokio::test]
async fn an_answer_cut_in_its_body_leaves_the_outcome_unknown() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this".to_owned();
    let server = Server::start(Reaction::AnswerAndClose(head)).await;
    let report = bench(&server).await.run("call", POST).await;
    assert_eq!(only_call(&report).result, CallResult::UnknownOutcome);
    assert!(put_text(report).starts_with("unknown-outcome "));
}

#[tokio::test]
async fn what_is_no_http_leaves_the_outcome_unknown() {
    let server = Server::start(Reaction::AnswerAndClose("220 smtp ready\r\n".to_owned())).await;
    let report = bench(&server).await.run("call", POST).await;
    assert_eq!(only_call(&report).result, CallResult::UnknownOutcome);
}

#[tokio::test]
async fn a_need_that_hangs_is_left_at_its_timeout() {
    let server = Server::start(Reaction::Hang).await;
    let report = bench(&server)
        .await
        .run("call", "gateway\nPOST\n/a\n100\n-\n\n")
        .await;
    assert_eq!(only_call(&report).result, CallResult::UnknownOutcome);
    assert!(
        report.wall >= Duration::from_millis(100),
        "{:?}",
        report.wall
    );
    assert!(report.wall < Duration::from_secs(4), "{:?}", report.wall);
    assert!(put_text(report).starts_with("unknown-outcome "));
}

#[tokio::test]
async fn a_timeout_longer_than_the_needs_is_the_needs() {
    let server = Server::start(Reaction::Hang).await;
    let mut settings = needing(server.address);
    settings.needs.get_mut("gateway").expect("named").timeout = Duration::from_millis(100);
    let report = Bench::new(settings)
        .await
        .run("call", "gateway\nGET\n/a\n60000\n-\n\n")
        .await;
    assert!(report.wall < Duration::from_secs(4), "{:?}", report.wall);
    assert_eq!(only_call(&report).result, CallResult::UnknownOutcome);
}

#[tokio::test]
async fn a_call_in_flight_when_the_attempt_ends_is_known_to_be_unknown() {
    let server = Server::start(Reaction::Hang).await;
    let bench = bench(&server).await;
    let cancel = CancellationToken::new();
    let attempt = bench.cancellable(event("call"), POST.as_bytes(), None, cancel.clone());
    let (report, ()) = tokio::join!(attempt, async {
        server.first_request().await;
        cancel.cancel();
    });
    assert_eq!(report.outcome, Outcome::Cancelled);
    assert_eq!(only_call(&report).result, CallResult::UnknownOutcome);
    let slots = bench.component.settings().outbound.in_flight("gateway");
    assert_eq!(slots, Some(0), "a slot is lost");
}

#[tokio::test]
async fn a_call_is_bounded_by_the_time_left_to_the_attempt() {
    let server = Server::start(Reaction::Hang).await;
    let mut settings = needing(server.address);
    settings.limits.time = Duration::from_millis(200);
    let report = Bench::new(settings).await.run("call", POST).await;
    assert_eq!(only_call(&report).result, CallResult::UnknownOutcome);
    assert!(report.wall < Duration::from_secs(4), "{:?}", report.wall);
    match report.outcome {
        // The call and the attempt end at the same instant; either is first.
        Outcome::Done(_) => {}
        _ => assert_eq!(guest_fault(report).kind, GuestFaultKind::WallTime),
    }
}

#[tokio::test]
async fn calls_beyond_the_slots_of_a_need_are_not_sent() {
    let server = Server::start(Reaction::Hang).await;
    let bench = bench(&server).await;
    let cancel = CancellationToken::new();
    let hang = || bench.cancellable(event("call"), POST.as_bytes(), None, cancel.clone());
    let (_, _, third) = tokio::join!(hang(), hang(), async {
        while server.requests().len() < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let third = bench.run("call", POST).await;
        cancel.cancel();
        third
    });
    assert_eq!(only_call(&third).result, CallResult::NotSent);
    assert!(put_text(third).starts_with("not-sent all 2 slots"));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn statuses_of_the_policy_are_failures_of_the_need_and_others_are_answers() {
    for (status, expected) in [
        ("200 OK", CallResult::Answered),
        ("402 Payment Required", CallResult::Answered),
        ("429 Too Many Requests", CallResult::FailureStatus(429)),
        ("503 Service Unavailable", CallResult::FailureStatus(503)),
    ] {
        let server = Server::answering(status, "").await;
        let report = bench(&server).await.run("call", GET).await;
        assert_eq!(only_call(&report).result, expected);
        assert!(put_text(report).starts_with(&status[..3]));
    }
}

#[tokio::test]
async fn what_a_need_asks_for_in_retry_after_is_passed_on() {
    let server = Server::answering("503 Busy\r\nretry-after: 7", "").await;
    let call = only_call(&bench(&server).await.run("call", GET).await);
    assert_eq!(
        (call.retry_after_ms, call.unsafe_method),
        (Some(7000), false)
    );
}

#[tokio::test]
async fn redirects_are_answers_and_are_not_followed() {
    let other = Server::answering("200 OK", "").await;
    let location = format!("302 Found\r\nlocation: http://{}/", other.address);
    let server = Server::answering(&location, "").await;
    let text = put_text(bench(&server).await.run("call", GET).await);
    assert!(text.starts_with("302 "), "{text}");
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn an_answer_over_the_limit_is_not_kept() {
    let body = "r".repeat(100_001);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n186a1\r\n{body}\r\n0\r\n\r\n"
    );
    for reaction in [
        Reaction::Answer(answer("200 OK", &body)),
        Reaction::Answer(chunked),
    ] {
        let server = Server::start(reaction).await;
        let mut settings = needing(server.address);
        settings.limits.response_bytes = 100_000;
        let bench = Bench::new(settings).await;
        let report = bench.run("call", GET).await;
        assert_eq!(only_call(&report).result, CallResult::TooLarge);
        assert!(put_text(report).starts_with("response-too-large "));
        bench.is_unharmed().await;
    }
}

#[tokio::test]
async fn an_answer_at_the_limit_is_kept() {
    let server = Server::answering("200 OK", &"r".repeat(100_000)).await;
    let mut settings = needing(server.address);
    settings.limits.response_bytes = 100_000;
    let text = put_text(Bench::new(settings).await.run("call", GET).await);
    assert!(text.ends_with("rrr"), "the body is missing");
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let head = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n", "h".repeat(1 << 20));
    let server = Server::start(Reaction::Answer(head)).await;
    let bench = bench(&server).await;
    let report = bench.run("call", POST).await;
    assert_eq!(only_call(&report).result, CallResult::UnknownOutcome);
    bench.is_unharmed().await;
}
