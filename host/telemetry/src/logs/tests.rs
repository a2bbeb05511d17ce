use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};
use tracing::subscriber::with_default;

use super::*;

/// Everything that was written.
#[derive(Debug, Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A stderr that is read only when the test lets it.
struct Stuck {
    gate: Receiver<()>,
    page: Page,
}

fn stuck() -> (Stuck, SyncSender<()>, Page) {
    let (open, gate) = sync_channel(1);
    let page = Page::default();
    (
        Stuck {
            gate,
            page: page.clone(),
        },
        open,
        page,
    )
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Closed for good once the test has dropped its end.
        let _opened = self.gate.recv();
        self.page.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: Format, filter: &str, work: impl FnOnce()) -> Vec<String> {
    let page = Page::default();
    let (logs, layer) = begin(format, filter, page.clone()).unwrap();
    with_default(tracing_subscriber::registry().with(layer), work);
    assert!(
        logs.flush(Duration::from_secs(10)),
        "the page is never slow"
    );
    page.text().lines().map(str::to_owned).collect()
}

fn logged_json(filter: &str, work: impl FnOnce()) -> Vec<Value> {
    let lines = logged(Format::Json, filter, work);
    lines
        .iter()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

#[test]
fn a_line_has_time_level_target_message_and_its_fields_flattened() {
    let lines = logged(Format::Json, "info", || {
        tracing::warn!(target: "t", handler = "order", attempt = 3_u64, share = 0.5, ok = false, "he said \"no\"");
    });
    let (time, rest) = lines[0].split_at(r#"{"time":"2026-01-02T03:04:05.678Z","#.len());
    let expected = r#""level":"warn","target":"t","message":"he said \"no\"","handler":"order","attempt":3,"share":0.5,"ok":false}"#;
    assert_eq!(rest, expected);
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, r#"{"time":"0000-00-00T00:00:00.000Z","#);
}

#[test]
fn fields_of_spans_are_merged_from_the_outermost_in_and_the_events_own_win() {
    let lines = logged_json("info", || {
        let outer = tracing::info_span!(
            "outer",
            handler = "order",
            key = "A",
            trace_id = tracing::field::Empty
        );
        let _outer = outer.enter();
        outer.record("trace_id", "abc");
        let _inner = tracing::info_span!("inner", key = "B", version = "v2").entered();
        tracing::info!(version = "v3", "done");
    });
    let line = &lines[0];
    assert_eq!(line["handler"], "order");
    assert_eq!(line["key"], "B");
    assert_eq!(line["version"], "v3");
    assert_eq!(line["trace_id"], "abc");
}

#[test]
fn a_field_cannot_take_the_place_of_the_lines_own_keys() {
    let lines = logged(Format::Json, "info", || {
        tracing::info!(level = 9, time = "never", "x");
    });
    assert!(lines[0].contains(r#""level":"info""#), "{}", lines[0]);
    assert!(
        lines[0].ends_with(r#""level_":9,"time_":"never"}"#),
        "{}",
        lines[0]
    );
}

#[test]
fn fields_of_a_guests_line_are_embedded_as_an_object_and_other_text_stays_text() {
    let lines = logged_json("info", || {
        tracing::info!(target: "guest", fields = r#"{"amount":"5","level":"x"}"#, "charged");
        for text in ["not json", "[1]", "{\"cut\":"] {
            tracing::info!(target: "guest", fields = text, "odd");
        }
        tracing::info!(fields = r#"{"a":1}"#, "the host's own");
    });
    let fields: Vec<&Value> = lines.iter().map(|line| &line["fields"]).collect();
    let embedded = json!({"amount": "5", "level": "x"});
    assert_eq!(
        fields,
        [
            &embedded,
            &json!("not json"),
            &json!("[1]"),
            &json!("{\"cut\":"),
            &json!("{\"a\":1}")
        ]
    );
}

#[test]
fn a_line_of_any_text_stays_one_line() {
    let text = "a\nb\r\u{1b}[31m\u{9b}c\u{2028}";
    for format in [Format::Json, Format::Text] {
        let lines = logged(format, "info", || tracing::info!(field = text, "{text}"));
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
    let text = &logged(Format::Text, "info", || {
        tracing::info!(field = text, "{text}");
    })[0];
    assert!(!text.contains(char::is_control), "{text:?}");
}

#[test]
fn a_long_text_is_cut_at_a_character_and_says_so() {
    let long = "ä".repeat(5_000);
    let lines = logged_json("info", || tracing::info!(long, "x"));
    let text = lines[0]["long"].as_str().unwrap();
    assert_eq!(text.len(), 8192 + "…".len());
    assert!(text.ends_with("ä…"));
}

#[test]
fn an_error_is_written_with_its_causes_and_what_is_no_number_as_text() {
    let error = Error::LogWriter(io::Error::other("no more threads"));
    let lines = logged_json("info", || {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            share = f64::NAN,
            "failed"
        );
    });
    assert_eq!(
        lines[0]["error"],
        "the thread that writes logs does not start: no more threads"
    );
    assert_eq!(lines[0]["share"], "NaN");
}

#[test]
fn the_filter_has_a_level_for_each_target() {
    let lines = logged_json("warn,guest=debug", || {
        tracing::info!("hidden");
        tracing::warn!("shown");
        tracing::debug!(target: "guest", "shown too");
        tracing::trace!(target: "guest", "hidden");
    });
    let messages: Vec<&Value> = lines.iter().map(|line| &line["message"]).collect();
    assert_eq!(messages, ["shown", "shown too"]);
}

#[test]
fn a_filter_that_hides_lines_leaves_the_fields_of_the_spans_around_the_others() {
    let lines = logged_json("warn", || {
        let _span = tracing::info_span!("event", key = "A").entered();
        tracing::info!("hidden");
        tracing::warn!("shown");
    });
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["message"], &lines[0]["key"]),
        (&json!("shown"), &json!("A"))
    );
}

#[test]
fn a_filter_or_format_that_does_not_parse_is_an_error_that_shows_it() {
    let error = begin(Format::Json, "info,guest=loud", io::sink())
        .err()
        .expect("refused")
        .to_string();
    assert!(error.contains("`info,guest=loud`"), "{error}");
    assert!(
        "xml"
            .parse::<Format>()
            .unwrap_err()
            .to_string()
            .contains("`xml`")
    );
    assert_eq!("json".parse::<Format>().unwrap(), Format::Json);
    assert_eq!("text".parse::<Format>().unwrap(), Format::Text);
}

#[test]
fn text_reads_like_a_sentence_with_pairs_behind_it() {
    let lines = logged(Format::Text, "info", || {
        tracing::info!(target: "wharf", key = "A 1", count = 2, empty = "", "committed");
    });
    let (_clock, rest) = lines[0].split_once(' ').unwrap();
    assert_eq!(rest, r#"INFO  wharf: committed key="A 1" count=2 empty="""#);
}

#[test]
fn a_stderr_that_nobody_reads_blocks_nobody_and_every_dropped_line_is_counted_and_told() {
    const LINES: usize = 100_000;
    let (writer, open, page) = stuck();
    let (logs, layer) = begin(Format::Json, "info", writer).unwrap();
    // Not one byte can be written before the gate opens below, so this ends
    // only if nobody waits.
    let (ended, end) = sync_channel(1);
    std::thread::spawn(move || {
        with_default(tracing_subscriber::registry().with(layer), || {
            for n in 0..LINES {
                tracing::info!(
                    n,
                    padding = "------------------------------------------------",
                    "flood"
                );
            }
        });
        ended.send(()).expect("the test waits");
    });
    end.recv_timeout(Duration::from_secs(60))
        .expect("whoever logs never waits for stderr");
    assert!(
        !logs.flush(Duration::from_millis(10)),
        "nothing was written yet"
    );
    let dropped = usize::try_from(logs.dropped().lines()).unwrap();
    assert!(dropped > 0);

    drop(open);
    assert!(logs.flush(Duration::from_secs(10)));
    let text = page.text();
    let written = text
        .lines()
        .filter(|line| line.contains("\"flood\""))
        .count();
    assert_eq!(written + dropped, LINES);
    let told: usize = text
        .lines()
        .filter(|line| line.contains("log lines were dropped"))
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["lines"]
                .as_u64()
                .unwrap()
        })
        .map(|lines| usize::try_from(lines).unwrap())
        .sum();
    assert_eq!(told, dropped);
}

#[test]
fn a_stderr_that_never_takes_a_byte_does_not_keep_the_process_from_ending() {
    let (writer, open, _page) = stuck();
    let (logs, layer) = begin(Format::Json, "info", writer).unwrap();
    with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!("never seen");
    });
    let began = Instant::now();
    drop(logs);
    assert!(began.elapsed() >= FLUSH_MAX, "it tried");
    assert!(began.elapsed() < FLUSH_MAX + Duration::from_secs(5));
    drop(open);
}

#[test]
fn lines_that_a_closed_stderr_refuses_are_counted() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (logs, layer) = begin(Format::Json, "info", Closed).unwrap();
    with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!("one");
        tracing::info!("two");
    });
    assert!(logs.flush(Duration::from_secs(10)));
    assert_eq!(logs.dropped().lines(), 2);
}
