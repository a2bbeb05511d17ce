//! An entity as people and programs see it.

mod state;
mod words;

use std::fmt;

use serde::Serialize;
use wharf_core::record::{Block, Record};
use wharf_jetstream::names::Lineage;
use wharf_jetstream::parking::EntryPosition;

use super::read::Stored;
use crate::cli::table::counted;
use state::State;
pub use words::status;
use words::{ago, ahead, hex, time};

/// Everything that a record says.
#[derive(Debug, Serialize)]
pub struct View {
    handler: String,
    lineage: String,
    key: String,
    /// The record's subject, for tools of the broker.
    subject: String,
    revision: u64,
    status: &'static str,
    /// Why it does not flow freely. None: it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<Trouble>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Queue>,
    /// Events that are parked in the ledger, dead or queued.
    entries: usize,
    /// Dead events that later ones have passed.
    dead: Vec<Dead>,
    timers: Vec<Timer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Cursor>,
    /// Emissions of the last commit that may not have gone out.
    outbox: usize,
    outbox_owed: bool,
    /// Event ids by which duplicates are recognised.
    remembered: usize,
    /// The component that committed last. None: none has.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    written: String,
    #[serde(skip)]
    now_ms: u64,
    #[serde(skip)]
    written_ms: u64,
}

#[derive(Debug, Serialize)]
struct Trouble {
    #[serde(skip_serializing_if = "String::is_empty")]
    need: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    code: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    /// Counted failures of the handler's own.
    attempts: u32,
    guest_faults: u32,
    /// Uncounted waits in a row.
    waits: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_failure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_due: Option<String>,
    #[serde(skip)]
    next_due_ms: u64,
}

/// Sequences of the source stream: the first unresolved and the last queued.
#[derive(Debug, Serialize)]
struct Queue {
    head: u64,
    tail: u64,
}

#[derive(Debug, Serialize)]
struct Dead {
    /// A sequence, or a timer's id.
    event: String,
    code: String,
}

#[derive(Debug, Serialize)]
struct Timer {
    name: String,
    due: String,
    #[serde(skip)]
    due_ms: u64,
}

#[derive(Debug, Serialize)]
struct Cursor {
    stream: String,
    sequence: u64,
}

impl View {
    pub fn new(
        handler: &str,
        lineage: &Lineage,
        stored: &Stored,
        entries: &[EntryPosition],
        content_type: Option<&str>,
        now_ms: u64,
    ) -> Self {
        let record = &stored.record;
        Self {
            handler: handler.to_owned(),
            lineage: lineage.to_string(),
            key: record.key.clone(),
            subject: stored.subject.clone(),
            revision: stored.revision,
            status: status(record.status()),
            trouble: record
                .block
                .as_ref()
                .filter(|block| **block != queued_only(block))
                .map(Trouble::new),
            queue: record.queue().map(|(head, tail)| Queue { head, tail }),
            entries: entries.len(),
            dead: dead(record),
            timers: timers(record),
            state: record
                .state
                .as_ref()
                .map(|state| State::new(state, content_type)),
            cursor: record.cursor.as_ref().map(|cursor| Cursor {
                stream: cursor.stream.clone(),
                sequence: cursor.sequence,
            }),
            outbox: record
                .outbox
                .as_ref()
                .map_or(0, |outbox| outbox.emissions.len()),
            outbox_owed: record.owes_confirmation(),
            remembered: record.seen().count(),
            digest: (!record.digest.is_empty()).then(|| format!("sha256-{}", hex(&record.digest))),
            written: time(record.written_ms),
            now_ms,
            written_ms: record.written_ms,
        }
    }
}

/// A block that only says that events are queued.
fn queued_only(block: &Block) -> Block {
    Block {
        head: block.head,
        tail: block.tail,
        ..Block::default()
    }
}

fn dead(record: &Record) -> Vec<Dead> {
    let event = |sequence: u64, timer: &str| {
        if sequence > 0 {
            sequence.to_string()
        } else {
            timer.to_owned()
        }
    };
    let entries = record.dead.iter();
    entries
        .map(|dead| Dead {
            event: event(dead.sequence, &dead.timer_id),
            code: dead.code.clone(),
        })
        .collect()
}

fn timers(record: &Record) -> Vec<Timer> {
    let timers = record.timers.iter();
    let mut timers: Vec<Timer> = timers
        .map(|timer| Timer {
            name: timer.name.clone(),
            due: time(timer.due_ms),
            due_ms: timer.due_ms,
        })
        .collect();
    timers.sort_by_key(|timer| timer.due_ms);
    timers
}

impl Trouble {
    fn new(block: &Block) -> Self {
        let moment = |ms: u64| (ms > 0).then(|| time(ms));
        Self {
            need: block.need.clone(),
            code: block.code.clone(),
            message: block.message.clone(),
            attempts: block.transient,
            guest_faults: block.guest_faults,
            waits: block.waits,
            first_failure: moment(block.first_failure_ms),
            next_due: moment(block.next_due_ms),
            next_due_ms: block.next_due_ms,
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: String| writeln!(f, "{name:<12}{value}");
        line("handler", format!("{} ({})", self.handler, self.lineage))?;
        line("key", self.key.clone())?;
        line("status", self.status.to_owned())?;
        if let Some(trouble) = &self.trouble {
            for (name, value) in trouble.lines(self.now_ms) {
                line(name, value)?;
            }
        }
        if let Some(queue) = &self.queue {
            line(
                "queue",
                format!("sequences {} to {}", queue.head, queue.tail),
            )?;
        }
        line("parked", counted(self.entries, "event"))?;
        for dead in &self.dead {
            line("dead", format!("{} ({})", dead.event, dead.code))?;
        }
        for timer in &self.timers {
            line(
                "timer",
                format!(
                    "{} at {} ({})",
                    timer.name,
                    timer.due,
                    ahead(timer.due_ms, self.now_ms)
                ),
            )?;
        }
        if let Some(cursor) = &self.cursor {
            line("cursor", format!("{} {}", cursor.stream, cursor.sequence))?;
        }
        let owed = if self.outbox_owed {
            ", not confirmed"
        } else {
            ""
        };
        line(
            "outbox",
            format!(
                "{} of the last commit{owed}",
                counted(self.outbox, "emission")
            ),
        )?;
        line("remembers", counted(self.remembered, "event id"))?;
        line(
            "committed",
            self.digest.clone().unwrap_or_else(|| "never".to_owned()),
        )?;
        line(
            "written",
            format!(
                "{} ({}), revision {}",
                self.written,
                ago(self.written_ms, self.now_ms),
                self.revision
            ),
        )?;
        match &self.state {
            Some(state) => write!(f, "{state}"),
            None => writeln!(f, "{:<12}none", "state"),
        }
    }
}

impl Trouble {
    fn lines(&self, now_ms: u64) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        if !self.need.is_empty() {
            lines.push(("waits for", self.need.clone()));
        }
        if !self.code.is_empty() || !self.message.is_empty() {
            lines.push(("because", format!("{}: {}", self.code, self.message)));
        }
        let Self {
            attempts,
            guest_faults,
            waits,
            ..
        } = self;
        lines.push((
            "attempts",
            format!("{attempts} counted, {guest_faults} guest faults, {waits} waits"),
        ));
        if let Some(first) = &self.first_failure {
            lines.push(("failing", format!("since {first}")));
        }
        if let Some(due) = &self.next_due {
            lines.push((
                "next try",
                format!("{due} ({})", ahead(self.next_due_ms, now_ms)),
            ));
        }
        lines
    }
}
