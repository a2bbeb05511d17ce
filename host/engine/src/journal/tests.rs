use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing::span;
use wharf_core::trace::Context;

use super::*;

fn event() -> Arc<Event> {
    Arc::new(Event {
        id: "evt-1".into(),
        source: String::new(),
        event_type: "thing.happened".into(),
        subject: String::new(),
        key: "K-1".into(),
        content_type: String::new(),
        time_ms: 0,
        now_ms: 0,
        sequence: 1,
        attempt: 1,
        first_try: true,
        idempotency_key: "00".into(),
        correlation_id: "evt-1".into(),
        causation_id: None,
        attributes: Vec::new(),
    })
}

/// Keeps every event as the text of its fields.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text(format!(
            "{} {} ",
            event.metadata().target(),
            event.metadata().level()
        ));
        event.record(&mut text);
        self.0.lock().expect("no panic while locked").push(text.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// The lines that `speak` leads to, and how many bytes were cut.
fn lines(budget: u64, speak: impl FnOnce(&mut Journal)) -> (Vec<String>, u64) {
    let speaker = Speaker {
        handler: "order".into(),
        version: "abcd".into(),
        event: event(),
        trace: Context::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
            .map_or(Trace::None, Trace::Span),
    };
    let heard = Lines::default();
    let cut = tracing::subscriber::with_default(heard.clone(), || {
        let mut journal = Journal::new(Some(speaker), budget);
        speak(&mut journal);
        journal.finish()
    });
    let lines = heard.0.lock().expect("no panic while locked").clone();
    (lines, cut)
}

#[test]
fn a_line_carries_the_keys_of_its_attempt() {
    let fields = [("order".to_owned(), "a\"b\n".to_owned())];
    let (lines, cut) = lines(1000, |journal| {
        journal.write(Level::Warn, "hi\x1b[2J", &fields);
    });
    assert_eq!(cut, 0);
    let expected = r#"guest WARN message=hi[2J handler="order" version="abcd" event_id="evt-1" key="K-1" trace_id="4bf92f3577b34da6a3ce929d0e0e4736" fields={"order":"a\"b "} "#;
    assert_eq!(lines, [expected]);
}

#[test]
fn what_goes_beyond_the_budget_is_cut_counted_and_said_once() {
    let (lines, cut) = lines(74, |journal| {
        journal.write(Level::Info, "12345678", &[]);
        journal.write(Level::Info, "abcdef", &[]);
        journal.write(Level::Info, "never", &[]);
        journal.print(Source::Stdout, b"nor this\n");
    });
    assert_eq!(cut, 32 + 4 + 32 + 5 + 9);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[1].contains("message=ab "), "{lines:?}");
    assert!(
        lines[2].contains("82 bytes of log lines were cut"),
        "{lines:?}"
    );
}

#[test]
fn pieces_of_stdout_become_whole_lines() {
    let (lines, _) = lines(1000, |journal| {
        journal.print(Source::Stdout, b"one ");
        journal.print(Source::Stdout, b"line\nanother");
        journal.print(Source::Stderr, b"between\n");
    });
    let messages: Vec<_> = lines
        .iter()
        .map(|line| line.split(" handler").next())
        .collect();
    assert_eq!(
        messages,
        [
            Some("guest INFO message=one line"),
            Some("guest WARN message=between"),
            Some("guest INFO message=another")
        ]
    );
}

#[test]
fn a_line_without_end_is_split() {
    let (lines, _) = lines(1 << 20, |journal| {
        for _ in 0..3 {
            journal.print(Source::Stdout, &[b'x'; LINE_BYTES_MAX]);
        }
    });
    assert_eq!(lines.len(), 3);
}

#[test]
fn the_end_of_stderr_is_kept_even_without_a_budget() {
    let mut journal = Journal::new(None, 0);
    journal.print(Source::Stderr, &[b'x'; 10_000]);
    journal.print(Source::Stderr, b"panicked at 'why'\n");
    let tail = journal.stderr_tail();
    assert!(tail.ends_with("panicked at 'why'"));
    assert!(tail.len() <= text::TEXT_BYTES_MAX);
    assert_eq!(journal.finish(), 10_018);
}
