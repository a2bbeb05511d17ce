//! When which host had a key at work, as the hosts' logs tell.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::now_ms;

/// A host's account of its attempts.
pub struct Account {
    pub number: usize,
    log: PathBuf,
    /// When the process was seen to be gone.
    ended_ms: Option<u64>,
}

/// A time in which a key was at work.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    begun_ms: u64,
    ended_ms: u64,
    event_id: String,
    log: PathBuf,
}

/// A handler and a key.
type Entity = (String, String);

/// An attempt begins, or has ended.
struct Line {
    begins: bool,
    entity: Entity,
    event_id: String,
    at_ms: u64,
}

impl Line {
    /// None of a line that tells of something else.
    fn read(line: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(line).ok()?;
        let begins = match line["message"].as_str()? {
            "attempt begins" => true,
            "attempt ended" => false,
            _ => return None,
        };
        let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let time = OffsetDateTime::parse(&field("time"), &Rfc3339);
        Some(Self {
            begins,
            entity: (field("handler"), field("key")),
            event_id: field("event_id"),
            at_ms: millis(time.expect("a time")),
        })
    }
}

impl Account {
    pub fn new(number: usize, log: PathBuf) -> Self {
        Self {
            number,
            log,
            ended_ms: None,
        }
    }

    /// The process is gone: what it had begun has ended.
    pub fn ended(&mut self) {
        self.ended_ms = Some(now_ms());
    }

    /// Attempts on a handler's events that it began in between.
    pub fn begun_between(&self, handler: &str, from_ms: u64, to_ms: u64) -> usize {
        let lines = self.lines();
        let begun = lines.iter().filter(|line| {
            line.begins && line.entity.0 == handler && (from_ms..to_ms).contains(&line.at_ms)
        });
        begun.count()
    }

    fn lines(&self) -> Vec<Line> {
        let text = std::fs::read_to_string(&self.log).expect("a log");
        assert!(
            !text.contains("log lines were dropped"),
            "an account with gaps"
        );
        text.lines().filter_map(Line::read).collect()
    }

    fn read(&self, spans: &mut BTreeMap<Entity, Vec<Span>>) {
        let mut open: BTreeMap<(Entity, String), u64> = BTreeMap::new();
        for line in self.lines() {
            let Line {
                begins,
                entity,
                event_id,
                at_ms,
            } = line;
            if begins {
                open.insert((entity, event_id), at_ms);
                continue;
            }
            let begun_ms = open.remove(&(entity.clone(), event_id.clone()));
            let span = Span {
                begun_ms: begun_ms.expect("it had begun"),
                ended_ms: at_ms,
                event_id,
                log: self.log.clone(),
            };
            spans.entry(entity).or_default().push(span);
        }
        for ((entity, event_id), begun_ms) in open {
            let span = Span {
                begun_ms,
                ended_ms: self.ended_ms.unwrap_or(u64::MAX),
                event_id,
                log: self.log.clone(),
            };
            spans.entry(entity).or_default().push(span);
        }
    }
}

/// No key of an ordered handler was at work twice at the same moment, on one
/// host or on several.
pub fn assert_no_key_was_worked_twice_at_once(accounts: &[Account]) {
    let mut spans = BTreeMap::new();
    for account in accounts {
        account.read(&mut spans);
    }
    let mut attempts = 0;
    let mut moved = 0;
    for ((handler, key), mut spans) in spans {
        // Each event of an unordered handler is an entity of its own.
        if handler == "notification" {
            continue;
        }
        spans.sort_by_key(|span| (span.begun_ms, span.ended_ms));
        attempts += spans.len();
        for pair in spans.windows(2) {
            let (one, next) = (&pair[0], &pair[1]);
            moved += usize::from(one.log != next.log);
            assert!(
                next.begun_ms >= one.ended_ms,
                "{handler} {key} was worked twice at once: {one:?} and {next:?}"
            );
        }
    }
    println!(
        "{attempts} attempts, one at a time on each key; {moved} times the next was on another host"
    );
    assert!(
        moved > 0,
        "no key was worked by two hosts, one after the other"
    );
}

fn millis(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).expect("after 1970")
}
