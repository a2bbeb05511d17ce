//! What goes to a collector, and what one that answers badly costs.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::*;

/// A collector that reads one request on each connection and gives these answers,
/// one after another; with none it never answers. What it read last.
fn collector(answers: &'static [&'static str]) -> (String, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let served = thread::spawn(move || {
        let mut seen = Vec::new();
        for answer in answers {
            let (mut stream, request) = next_request(&listener);
            seen = request;
            // An answer with a body brings its end of the head.
            let end = if answer.contains("\r\n\r\n") {
                ""
            } else {
                "\r\n\r\n"
            };
            let text = format!("HTTP/1.1 {answer}{end}");
            let answered = stream.write_all(text.as_bytes());
            answered.expect("the answer is sent");
        }
        if answers.is_empty() {
            let (mut stream, request) = next_request(&listener);
            seen = request;
            let patience = Some(Duration::from_secs(20));
            stream.set_read_timeout(patience).expect("a time-out");
            let gone = stream.read(&mut [0; 1]).expect("the other side gives up");
            assert_eq!(gone, 0, "nothing more is sent");
        }
        seen
    });
    (address, served)
}

fn next_request(listener: &TcpListener) -> (TcpStream, Vec<u8>) {
    let (mut stream, _) = listener.accept().expect("a connection");
    let mut seen = Vec::new();
    let mut bytes = [0; 4096];
    let whole = |seen: &[u8]| {
        let head = seen.windows(4).position(|at| at == b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&seen[..head]).to_lowercase();
        let length = text.split("content-length: ").nth(1)?;
        let length: usize = length.lines().next()?.parse().ok()?;
        (seen.len() >= head + 4 + length).then_some(())
    };
    while whole(&seen).is_none() {
        let count = stream.read(&mut bytes).expect("bytes");
        assert!(count > 0, "the request was cut off");
        seen.extend_from_slice(&bytes[..count]);
    }
    (stream, seen)
}

fn started(endpoint: &str, timeout: Duration) -> (Traces, Metrics) {
    let metrics = Metrics::new("0.0.0", &crate::logs::Dropped::default());
    let identity = Identity {
        version: "1.2.3",
        instance: "host-7",
    };
    let mut config = config(endpoint, "100", "50");
    config.headers.insert("api-key".into(), "k".into());
    config.timeout = timeout;
    let traces = Traces::start(&config, identity, metrics.spans()).expect("it starts");
    (traces, metrics)
}

/// Two spans, sent to a collector that gives these answers, or given up. Joining it
/// would last for ever where it was asked less often.
fn flushed(answers: &'static [&'static str]) -> (Metrics, thread::JoinHandle<Vec<u8>>) {
    let (address, served) = collector(answers);
    let (traces, metrics) = started(&address, Duration::from_secs(60));
    settled(&traces.tracer("order", "order-1"));
    assert!(traces.flush(Duration::from_secs(30)));
    (metrics, served)
}

#[test]
fn a_flush_sends_what_waits_and_says_so() {
    let (metrics, served) = flushed(&["200 OK"]);
    let seen = served.join().expect("served");
    let text = String::from_utf8_lossy(&seen);
    assert!(text.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{text}");
    for part in [
        "content-type: application/x-protobuf",
        "api-key: k",
        "process shop.order.{order}.placed",
        "service.version",
        "host-7",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let all = metrics.encode();
    assert!(all.contains("wharf_spans_exported_total 2"), "{all}");
}

#[test]
fn a_collector_that_refuses_costs_its_batch_and_is_counted() {
    let (metrics, served) = flushed(&["400 Bad Request"]);
    served.join().expect("served");
    assert_eq!(dropped(&metrics, "not-taken"), 2);
}

#[test]
fn what_a_busy_collector_refuses_is_sent_again() {
    let began = Instant::now();
    let (metrics, served) = flushed(&[
        "503 Service Unavailable",
        "429 Too Many Requests\r\nretry-after: 1",
        "200 OK",
    ]);
    assert!(began.elapsed() >= Duration::from_secs(1), "it was to wait");
    let all = metrics.encode();
    assert!(all.contains("wharf_spans_exported_total 2"), "{all}");
    assert_eq!(dropped(&metrics, "not-taken"), 0);
    served.join().expect("served");
}

#[test]
fn a_collector_that_asks_for_more_time_than_there_is_is_not_waited_for() {
    let (metrics, served) = flushed(&["429 Too Many Requests\r\nretry-after: 3600"]);
    assert_eq!(dropped(&metrics, "not-taken"), 2);
    served.join().expect("served");
}

#[test]
fn what_a_collector_takes_in_part_is_counted_in_parts() {
    // partial_success { rejected_spans: 1, error_message: "no" }
    let (metrics, served) =
        flushed(&["200 OK\r\ncontent-length: 8\r\n\r\n\x0a\x06\x08\x01\x12\x02no"]);
    let all = metrics.encode();
    assert!(all.contains("wharf_spans_exported_total 1"), "{all}");
    assert_eq!(dropped(&metrics, "not-taken"), 1);
    served.join().expect("served");
}

#[test]
fn a_flush_does_not_wait_for_a_collector_that_never_answers() {
    let (address, served) = collector(&[]);
    let (traces, _metrics) = started(&address, Duration::from_secs(2));
    let tracer = traces.tracer("order", "order-1");
    settled(&tracer);
    let began = Instant::now();
    assert!(!traces.flush(Duration::from_millis(200)));
    // Those who trace do not wait either.
    settled(&tracer);
    let took = began.elapsed();
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    served.join().expect("served");
}
