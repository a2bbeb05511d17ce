//! Were these messages published already? Asked before an old outbox is sent
//! again, when the destination's duplicate window no longer tells.
//!
//! "No" is answered only when the destination provably still holds everything
//! that it was sent since; else the answer is a doubt with its reason.

use std::collections::BTreeSet;

use serde::Serialize;

use super::transform::stored_filter;
use crate::api::Api;
use crate::api::message::{Query, StoredMessage};
use crate::api::stream::{Retention, StreamInfo, UNLIMITED};
use crate::error::Error;

/// Messages that one look-up reads at most; each costs the leader about 70 µs.
pub const SCAN_MAX: u32 = 10_000;

/// Sequences missing in a stream, above which they are not looked into.
const HOLES_MAX: u64 = 100_000;

/// What to look for, and where.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The destination stream.
    pub stream: &'a str,
    /// The subject that the messages were published on.
    pub subject: &'a str,
    /// Message ids that are looked for.
    pub ids: &'a BTreeSet<String>,
    /// None of them was published before this time, by the broker's clock, in
    /// nanoseconds since 1970. Clocks of leaders differ: leave room.
    pub since_ns: u64,
    /// When they were committed, by the host's clock: a stream that was created
    /// later is another incarnation. Not earlier than `since_ns`.
    pub committed_ns: u64,
    /// At most this many messages are read; `SCAN_MAX` unless a test says so.
    pub scan_max: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// These ids are stored, all others are not.
    Stored(BTreeSet<String>),
    Unsure(Doubt),
}

/// Why the destination cannot tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    NoStream,
    /// The stream is younger than the messages: another incarnation had them.
    BegunLater,
    /// Messages of that time were removed, by a limit, a purge or a deletion.
    Trimmed,
    /// It keeps only so many messages of a subject.
    KeepsLast,
    /// It is not a limits stream: what was read is gone.
    NotLimits,
    /// It renames subjects in a way that cannot be followed.
    Transform,
    /// More messages lie on the subject than a look-up reads.
    Bound,
}

impl Doubt {
    /// Half a sentence for people.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoStream => "the destination stream does not exist",
            Self::BegunLater => "the destination stream is younger than the commit",
            Self::Trimmed => "the destination stream has lost messages of that time",
            Self::KeepsLast => "the destination stream keeps only the last messages of a subject",
            Self::NotLimits => "the destination stream removes what was read",
            Self::Transform => "the destination stream renames subjects beyond recognition",
            Self::Bound => "too many messages lie on the subject since then",
        }
    }
}

/// Reads the destination on its leader until every id is found or all that was
/// stored since is read.
///
/// # Errors
/// As [`Api::call`]; then nothing is known.
pub async fn stored(api: &Api, question: &Question<'_>) -> Result<Answer, Error> {
    let Some(before) = api.stream(question.stream).await? else {
        return Ok(Answer::Unsure(Doubt::NoStream));
    };
    if let Some(doubt) = doubt(&before, question) {
        return Ok(Answer::Unsure(doubt));
    }
    let filter = match &before.config.subject_transform {
        Some(transform) => stored_filter(transform, question.subject),
        None => Some(question.subject.to_owned()),
    };
    let Some(filter) = filter else {
        return Ok(Answer::Unsure(Doubt::Transform));
    };
    let found = match scan(api, question, &filter).await? {
        Scan::Complete(found) => found,
        Scan::CutShort => return Ok(Answer::Unsure(Doubt::Bound)),
    };
    // All found: no hole can hide anything.
    if found.len() == question.ids.len() {
        return Ok(Answer::Stored(found));
    }
    match lost_since(api, question, before.created_ns).await? {
        Some(doubt) => Ok(Answer::Unsure(doubt)),
        None => Ok(Answer::Stored(found)),
    }
}

/// What the stream's shape and ends say.
fn doubt(info: &StreamInfo, question: &Question<'_>) -> Option<Doubt> {
    if info.config.retention != Retention::Limits {
        Some(Doubt::NotLimits)
    } else if info.config.max_msgs_per_subject != UNLIMITED {
        Some(Doubt::KeepsLast)
    } else if info.created_ns > question.committed_ns {
        Some(Doubt::BegunLater)
    } else if front_is_lost(info, question.since_ns) {
        Some(Doubt::Trimmed)
    } else {
        None
    }
}

/// Something that was stored at or after that time may be gone from the front.
fn front_is_lost(info: &StreamInfo, since_ns: u64) -> bool {
    let state = &info.state;
    match state.messages {
        // Emptied: the time of the last message tells, unless it was forgotten.
        0 => state.last_sequence > 0 && (state.last_ns == 0 || state.last_ns >= since_ns),
        _ => state.first_sequence > 1 && state.first_ns >= since_ns,
    }
}

enum Scan {
    Complete(BTreeSet<String>),
    CutShort,
}

async fn scan(api: &Api, question: &Question<'_>, filter: &str) -> Result<Scan, Error> {
    let mut found = BTreeSet::new();
    let mut query = Query::next_since(filter, question.since_ns);
    for _ in 0..question.scan_max {
        let Some(message) = api.message(question.stream, &query).await? else {
            return Ok(Scan::Complete(found));
        };
        found.extend(wanted_id(&message, question.ids));
        if found.len() == question.ids.len() {
            return Ok(Scan::Complete(found));
        }
        query = Query::next(filter, message.sequence + 1);
    }
    Ok(Scan::CutShort)
}

fn wanted_id(message: &StoredMessage, ids: &BTreeSet<String>) -> Option<String> {
    let id = std::str::from_utf8(message.header("Nats-Msg-Id")?).ok()?;
    ids.get(id).cloned()
}

/// Looks again after the reading, because a limit may have worked meanwhile,
/// and into the holes that deletions left behind.
async fn lost_since(
    api: &Api,
    question: &Question<'_>,
    created_ns: u64,
) -> Result<Option<Doubt>, Error> {
    #[derive(Serialize)]
    struct WithHoles {
        deleted_details: bool,
    }
    let Some(info) = api.stream(question.stream).await? else {
        return Ok(Some(Doubt::NoStream));
    };
    if info.created_ns != created_ns {
        return Ok(Some(Doubt::BegunLater));
    }
    if let Some(doubt) = doubt(&info, question) {
        return Ok(Some(doubt));
    }
    if info.state.deleted == 0 {
        return Ok(None);
    }
    if info.state.deleted > HOLES_MAX {
        return Ok(Some(Doubt::Trimmed));
    }
    let path = format!("STREAM.INFO.{}", question.stream);
    let info: StreamInfo = api
        .call(
            &path,
            &WithHoles {
                deleted_details: true,
            },
        )
        .await?;
    let first = api
        .message(question.stream, &Query::next_since(">", question.since_ns))
        .await?;
    let holes = info.state.deleted_sequences.unwrap_or_default();
    let is_lost = match first {
        Some(first) => hole_since(&holes, first.sequence),
        None => {
            holes.contains(&info.state.last_sequence) && info.state.last_ns >= question.since_ns
        }
    };
    Ok(is_lost.then_some(Doubt::Trimmed))
}

/// A hole at or behind the first message of that time; or right before it,
/// whose time nobody knows any more.
fn hole_since(holes: &[u64], first: u64) -> bool {
    holes.iter().any(|hole| hole + 1 >= first)
}

#[cfg(test)]
mod tests {
    use super::hole_since;

    #[test]
    fn a_hole_counts_from_right_before_the_first_message_of_the_time() {
        assert!(!hole_since(&[], 10));
        assert!(!hole_since(&[7, 8], 10));
        assert!(hole_since(&[8, 9], 10));
        assert!(hole_since(&[7, 12], 10));
    }
}
