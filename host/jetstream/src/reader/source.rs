//! Is the source still the one that was read?
//!
//! A stream restored from an older copy keeps its name and its creation time,
//! and uses sequence numbers again. A consumer that starts behind its end is
//! accepted and moved to its end without a word; one that starts before its
//! first message is moved there. So this is looked at, on the stream's leader,
//! before every new consumer.

use super::open::Failure;
use crate::api::Api;
use crate::api::message::Query;
use crate::connection::Connection;
use crate::error::Error;

/// JetStream's "stream not found".
const STREAM_NOT_FOUND: u64 = 10059;

/// What is known of the source from reading it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceMark {
    /// When the stream was created, nanoseconds since 1970.
    pub created_ns: u64,
    /// Everything at or below it was read; reading goes on behind it.
    pub watermark: u64,
    /// When the event at the watermark was stored, nanoseconds since 1970; 0
    /// when it is not known.
    pub stored_ns: u64,
}

/// The source is not the one that was read before. Somebody must decide
/// whether to begin again, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RolledBack {
    #[error("the stream was created at {found_ns} ns, and the one read before at {expected_ns} ns")]
    CreatedAgain { expected_ns: u64, found_ns: u64 },
    #[error("the stream ends at {last}, but was read up to {watermark}")]
    Shorter { watermark: u64, last: u64 },
    #[error(
        "event {sequence} was stored at {found_ns} ns, and the one read before at {expected_ns} ns"
    )]
    OtherEvent {
        sequence: u64,
        expected_ns: u64,
        found_ns: u64,
    },
}

/// A stream as its leader describes it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceFacts {
    /// Nanoseconds since 1970.
    pub created_ns: u64,
    /// Sequence of the first message; one more than `last` when there is none.
    pub first: u64,
    /// Sequence of the newest message, also when it is gone; 0 before the first.
    pub last: u64,
    /// The stream's own limit of a message in bytes.
    pub max_msg_size: Option<u64>,
}

impl SourceFacts {
    /// The mark of somebody who has read nothing and begins at `from`.
    pub fn mark_before(&self, from: u64) -> SourceMark {
        let watermark = from.saturating_sub(1);
        SourceMark {
            created_ns: self.created_ns,
            watermark,
            stored_ns: 0,
        }
    }
}

/// Describes a stream.
///
/// # Errors
/// `Api` with code 10059 when there is no such stream, and those of
/// [`Connection::api`].
pub async fn facts(control: &Connection, stream: &str) -> Result<SourceFacts, Error> {
    look(&Api::new(control.clone()), stream).await
}

pub(super) struct Checked {
    /// Where reading goes on.
    pub(super) next_sequence: u64,
    /// First and last sequence of what is gone unread.
    pub(super) lost: Option<(u64, u64)>,
    pub(super) max_msg_size: Option<u64>,
}

pub(super) async fn check(api: &Api, stream: &str, mark: &SourceMark) -> Result<Checked, Failure> {
    let facts = look(api, stream).await?;
    compare(&facts, mark).map_err(Failure::RolledBack)?;
    if mark.stored_ns != 0 && facts.first <= mark.watermark {
        let found = api.message(stream, &Query::at(mark.watermark)).await?;
        let found_ns = found.map_or(mark.stored_ns, |message| message.stored_ns);
        if found_ns != mark.stored_ns {
            return Err(Failure::RolledBack(RolledBack::OtherEvent {
                sequence: mark.watermark,
                expected_ns: mark.stored_ns,
                found_ns,
            }));
        }
    }
    let lost = lost(&facts, mark);
    let next_sequence = lost.map_or(mark.watermark, |(_, to)| to) + 1;
    Ok(Checked {
        next_sequence,
        lost,
        max_msg_size: facts.max_msg_size,
    })
}

fn compare(facts: &SourceFacts, mark: &SourceMark) -> Result<(), RolledBack> {
    if facts.created_ns != mark.created_ns {
        let (expected_ns, found_ns) = (mark.created_ns, facts.created_ns);
        return Err(RolledBack::CreatedAgain {
            expected_ns,
            found_ns,
        });
    }
    if facts.last < mark.watermark {
        return Err(RolledBack::Shorter {
            watermark: mark.watermark,
            last: facts.last,
        });
    }
    Ok(())
}

fn lost(facts: &SourceFacts, mark: &SourceMark) -> Option<(u64, u64)> {
    (facts.first > mark.watermark + 1).then(|| (mark.watermark + 1, facts.first - 1))
}

async fn look(api: &Api, stream: &str) -> Result<SourceFacts, Error> {
    let info = api.stream(stream).await?.ok_or_else(|| Error::Api {
        subject: format!("STREAM.INFO.{stream}"),
        err_code: STREAM_NOT_FOUND,
        status: 404,
        text: format!("there is no stream `{stream}`"),
    })?;
    Ok(SourceFacts {
        created_ns: info.created_ns,
        first: info.state.first_sequence.max(1),
        last: info.state.last_sequence,
        max_msg_size: u64::try_from(info.config.max_msg_size)
            .ok()
            .filter(|size| *size > 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: SourceFacts = SourceFacts {
        created_ns: 1,
        first: 11,
        last: 20,
        max_msg_size: None,
    };

    fn mark(created_ns: u64, watermark: u64) -> SourceMark {
        SourceMark {
            created_ns,
            watermark,
            stored_ns: 0,
        }
    }

    #[test]
    fn a_source_made_again_or_cut_off_is_another_one() {
        let made_again = RolledBack::CreatedAgain {
            expected_ns: 2,
            found_ns: 1,
        };
        assert_eq!(compare(&FACTS, &mark(2, 15)), Err(made_again));
        let shorter = RolledBack::Shorter {
            watermark: 21,
            last: 20,
        };
        assert_eq!(compare(&FACTS, &mark(1, 21)), Err(shorter));
        assert_eq!(compare(&FACTS, &mark(1, 20)), Ok(()));
    }

    #[test]
    fn what_is_gone_between_watermark_and_first_is_a_range() {
        assert_eq!(lost(&FACTS, &mark(1, 4)), Some((5, 10)));
        assert_eq!(lost(&FACTS, &mark(1, 9)), Some((10, 10)));
        assert_eq!(lost(&FACTS, &mark(1, 10)), None);
        assert_eq!(lost(&FACTS, &mark(1, 20)), None);
        assert_eq!(lost(&FACTS, &FACTS.mark_before(11)), None);
    }
}
