//! What came of an event in one handler, told from the handler's record.
//!
//! No IO: the facts come from `wait`.

use std::fmt;

use serde::Serialize;
use wharf_core::ids::EventHash;
use wharf_core::record::{Block, Record, Status};

/// How far one handler is with the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Fate {
    /// Its effects took place, by this component.
    Committed {
        digest: String,
    },
    /// It was known already and took no effect.
    Duplicate,
    /// Its type is not among those that the handler lists.
    Ignored,
    /// Settled, and nothing more is known of it.
    Settled,
    /// It waits behind an earlier event of its key.
    Queued {
        behind: &'static str,
        head: u64,
    },
    Retrying(Trouble),
    /// It waits for a need to come back.
    WaitingNeed {
        need: String,
    },
    NotReady(Trouble),
    /// Parked for a person.
    Dead {
        code: String,
        message: String,
    },
    /// Committed; an emission is refused.
    OutboxBlocked {
        code: String,
        message: String,
    },
    /// Nothing is known yet.
    Pending,
}

/// How it fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    code: String,
    message: String,
    attempts: u32,
}

/// The event, as a record knows it.
#[derive(Debug, Clone, Copy)]
pub struct Sought<'a> {
    pub event: EventHash,
    pub stream: &'a str,
    pub sequence: u64,
    /// The record knew the id before this copy was stored.
    pub known_before: bool,
}

impl Fate {
    /// Whether nothing more will happen by itself.
    pub fn is_settled(&self) -> bool {
        match self {
            Self::Committed { .. }
            | Self::Duplicate
            | Self::Ignored
            | Self::Settled
            | Self::Dead { .. } => true,
            Self::Queued { .. }
            | Self::Retrying(_)
            | Self::WaitingNeed { .. }
            | Self::NotReady(_)
            | Self::OutboxBlocked { .. }
            | Self::Pending => false,
        }
    }

    pub fn is_dead(&self) -> bool {
        matches!(self, Self::Dead { .. })
    }
}

/// What a record says. `settled_to`: everything at or below it is settled.
pub fn of(record: Option<&Record>, sought: &Sought<'_>, settled_to: u64) -> Fate {
    record
        .and_then(|record| told(record, sought))
        .unwrap_or(match sought.sequence <= settled_to {
            true if sought.known_before => Fate::Duplicate,
            true => Fate::Settled,
            false => Fate::Pending,
        })
}

/// None: the record does not speak of the event.
fn told(record: &Record, sought: &Sought<'_>) -> Option<Fate> {
    if let Some(dead) = record
        .dead
        .iter()
        .find(|dead| dead.sequence == sought.sequence)
    {
        return Some(Fate::Dead {
            code: dead.code.clone(),
            message: String::new(),
        });
    }
    let block = record.block.as_ref();
    if let Some(block) = block.filter(|block| block.event == sought.event)
        && let Some(fate) = troubled(block)
    {
        return Some(fate);
    }
    if let (Some((head, tail)), Some(block)) = (record.queue(), block)
        && (head..=tail).contains(&sought.sequence)
    {
        let behind = crate::cli::entity::status(block.status());
        return Some(Fate::Queued { behind, head });
    }
    if record.find(&sought.event).is_some() {
        return Some(remembered(record, block, sought));
    }
    let cursor = record.cursor.as_ref()?;
    (cursor.stream == sought.stream && sought.sequence <= cursor.sequence).then_some(Fate::Settled)
}

fn troubled(block: &Block) -> Option<Fate> {
    let trouble = || Trouble {
        code: block.code.clone(),
        message: block.message.clone(),
        attempts: block.transient + block.guest_faults,
    };
    let (code, message) = (block.code.clone(), block.message.clone());
    match block.status() {
        Status::Live => None,
        Status::Retrying => Some(Fate::Retrying(trouble())),
        Status::WaitingNeed => Some(Fate::WaitingNeed {
            need: block.need.clone(),
        }),
        Status::NotReady => Some(Fate::NotReady(trouble())),
        Status::Dead => Some(Fate::Dead { code, message }),
        Status::OutboxBlocked => Some(Fate::OutboxBlocked { code, message }),
    }
}

/// Its id is remembered: it is done, now or in an earlier copy.
fn remembered(record: &Record, block: Option<&Block>, sought: &Sought<'_>) -> Fate {
    if sought.known_before {
        return Fate::Duplicate;
    }
    let blocked = block.filter(|block| block.status() == Status::OutboxBlocked);
    let is_own = record
        .outbox
        .as_ref()
        .is_some_and(|outbox| outbox.event == sought.event);
    match blocked {
        Some(block) if is_own => Fate::OutboxBlocked {
            code: block.code.clone(),
            message: block.message.clone(),
        },
        Some(_) | None => Fate::Committed {
            digest: super::draft::hex(&record.digest),
        },
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |f: &mut fmt::Formatter<'_>, what: &str, code: &str, message: &str| match message
        {
            "" => write!(f, "{what}: {code}"),
            _ => write!(f, "{what}: {code}: {message}"),
        };
        match self {
            Self::Committed { digest } => write!(
                f,
                "committed by sha256-{}",
                digest.get(..12).unwrap_or(digest)
            ),
            Self::Duplicate => f.write_str("duplicate, no effect"),
            Self::Ignored => f.write_str("ignored, its type is not listed"),
            Self::Settled => f.write_str("settled"),
            Self::Queued { behind, head } => {
                write!(f, "queued behind sequence {head}, which is {behind}")
            }
            Self::Retrying(Trouble {
                code,
                message,
                attempts,
            }) => said(
                f,
                &format!("retrying after {attempts} attempts"),
                code,
                message,
            ),
            Self::WaitingNeed { need } => write!(f, "waiting for need {need}"),
            Self::NotReady(Trouble { code, message, .. }) => said(f, "not ready", code, message),
            Self::Dead { code, message } => said(f, "dead", code, message),
            Self::OutboxBlocked { code, message } => {
                said(f, "committed, outbox blocked", code, message)
            }
            Self::Pending => f.write_str("not settled yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_core::record::{Cursor, DeadEntry, Outbox, SeenId};

    const EVENT: EventHash = [7; 16];

    fn sought(known_before: bool) -> Sought<'static> {
        Sought {
            event: EVENT,
            stream: "S",
            sequence: 10,
            known_before,
        }
    }

    fn with_block(status: Status, event: EventHash, queue: (u64, u64)) -> Record {
        let mut block = Block {
            event: event.to_vec(),
            head: queue.0,
            tail: queue.1,
            need: "mail".into(),
            code: "c".into(),
            ..Block::default()
        };
        block.set_status(status);
        Record {
            block: Some(block),
            ..Record::new("k")
        }
    }

    fn with_id() -> Record {
        let mut record = Record {
            digest: vec![0xab; 32],
            ..Record::new("k")
        };
        record.remember(
            SeenId {
                event: EVENT,
                content: [0; 8],
                at_s: 1,
            },
            8,
            1_000,
        );
        record
    }

    #[test]
    fn a_record_tells_each_fate() {
        let dead = Record {
            dead: vec![DeadEntry {
                sequence: 10,
                timer_id: String::new(),
                code: "bad".into(),
            }],
            ..Record::new("k")
        };
        let blocked = Record {
            outbox: Some(Outbox {
                event: EVENT.to_vec(),
                ..Outbox::default()
            }),
            block: with_block(Status::OutboxBlocked, [0; 16], (0, 0)).block,
            ..with_id()
        };
        let cursor = Cursor {
            stream: "S".into(),
            sequence: 12,
            ..Cursor::default()
        };
        let passed = Record {
            cursor: Some(cursor),
            ..Record::new("k")
        };
        let cases: Vec<(Record, bool, &str)> = vec![
            (with_id(), false, "committed by sha256-abababababab"),
            (with_id(), true, "duplicate, no effect"),
            (dead, false, "dead: bad"),
            (with_block(Status::Dead, EVENT, (10, 10)), false, "dead: c"),
            (
                with_block(Status::Dead, [1; 16], (4, 12)),
                false,
                "queued behind sequence 4, which is dead",
            ),
            (
                with_block(Status::Retrying, EVENT, (0, 0)),
                false,
                "retrying after 0 attempts: c",
            ),
            (
                with_block(Status::WaitingNeed, EVENT, (0, 0)),
                false,
                "waiting for need mail",
            ),
            (
                with_block(Status::NotReady, EVENT, (0, 0)),
                false,
                "not ready: c",
            ),
            (blocked, false, "committed, outbox blocked: c"),
            (passed, false, "settled"),
            (Record::new("k"), false, "not settled yet"),
        ];
        for (record, known_before, expected) in cases {
            assert_eq!(
                of(Some(&record), &sought(known_before), 0).to_string(),
                expected,
                "{record:?}"
            );
        }
    }

    #[test]
    fn without_a_record_only_the_position_tells() {
        assert_eq!(of(None, &sought(false), 9), Fate::Pending);
        assert_eq!(of(None, &sought(false), 10), Fate::Settled);
        assert_eq!(of(None, &sought(true), 10), Fate::Duplicate);
    }

    #[test]
    fn a_commit_of_another_stream_at_a_higher_sequence_says_nothing() {
        let cursor = Cursor {
            stream: "OTHER".into(),
            sequence: 12,
            ..Cursor::default()
        };
        let record = Record {
            cursor: Some(cursor),
            ..Record::new("k")
        };
        assert_eq!(of(Some(&record), &sought(false), 0), Fate::Pending);
    }
}
