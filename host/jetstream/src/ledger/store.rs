//! Brings one write to an end: repeats it, unchanged, while the broker is
//! silent or not able to answer, and says what became of it.

use std::fmt;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};

use crate::connection::Connection;
use crate::publisher::{PublishError, Publisher};

/// How long a write is repeated. The broker needs about seven seconds for a
/// new leader after the old one was killed.
const PATIENCE: Duration = Duration::from_secs(12);
const PAUSE_FIRST: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Tells one's own write from another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitId(pub [u8; 16]);

impl CommitId {
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// From the 32 hexadecimal digits that `to_string` writes.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written {
    Stored {
        sequence: u64,
    },
    /// The expected sequence was not the last. An earlier, unanswered sending
    /// of the same write may be the reason.
    Refused,
    /// It may be stored, or may be yet.
    Unanswered,
    /// Nothing is stored.
    Full,
    /// Nothing is stored.
    TooLarge,
    /// Nothing is stored.
    Unavailable {
        reason: String,
    },
}

/// What follows from one answer.
enum Next {
    Done(Written),
    /// Nothing is stored by this sending; another may succeed.
    Again {
        reason: String,
    },
    /// It is unknown whether this sending is stored.
    Silent,
}

/// Writes through a publisher.
#[derive(Clone)]
pub(crate) struct Store {
    connection: Connection,
    publisher: Publisher,
}

impl Store {
    pub(crate) fn new(connection: Connection, publisher: Publisher) -> Self {
        Self {
            connection,
            publisher,
        }
    }

    /// Sends until there is a definite answer or patience ends. Sending twice
    /// must be harmless: by an expected sequence, or by its meaning.
    pub(crate) async fn put(&self, subject: &str, headers: &HeaderMap, payload: &Bytes) -> Written {
        let until = Instant::now() + PATIENCE;
        let mut pause = PAUSE_FIRST;
        let mut was_silent = false;
        loop {
            let sent =
                self.publisher
                    .publish(subject.to_owned(), Some(headers.clone()), payload.clone());
            let answer = sent.await;
            let reason = match next(answer) {
                Next::Done(stored) => return settled(stored, was_silent),
                Next::Again { reason } => reason,
                Next::Silent => {
                    was_silent = true;
                    "the broker is silent".to_owned()
                }
            };
            let resume = Instant::now() + pause;
            // While the link is down there is nothing to send to.
            let is_late = resume >= until
                || Box::pin(timeout_at(until, self.connection.connected()))
                    .await
                    .is_err();
            if is_late {
                return settled(Written::Unavailable { reason }, was_silent);
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// After a silence, "nothing is stored" is true of the last sending only.
fn settled(stored: Written, was_silent: bool) -> Written {
    match stored {
        Written::Full | Written::TooLarge | Written::Unavailable { .. } if was_silent => {
            Written::Unanswered
        }
        Written::Stored { .. }
        | Written::Refused
        | Written::Unanswered
        | Written::Full
        | Written::TooLarge
        | Written::Unavailable { .. } => stored,
    }
}

fn next(answer: Result<crate::publisher::Ack, PublishError>) -> Next {
    let error = match answer {
        Ok(ack) => {
            return Next::Done(Written::Stored {
                sequence: ack.sequence,
            });
        }
        Err(error) => error,
    };
    let reason = error.to_string();
    match error {
        PublishError::WrongLastSequence { .. } => Next::Done(Written::Refused),
        PublishError::Full { .. } => Next::Done(Written::Full),
        PublishError::TooLarge => Next::Done(Written::TooLarge),
        PublishError::Denied
        | PublishError::BadSubject
        | PublishError::Other { .. }
        | PublishError::Closed => Next::Done(Written::Unavailable { reason }),
        PublishError::Busy { .. } | PublishError::NoStream | PublishError::Unavailable { .. } => {
            Next::Again { reason }
        }
        PublishError::Unanswered => Next::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_id_survives_its_header() {
        let id = CommitId::random();
        assert_eq!(CommitId::parse(id.to_string().as_bytes()), Some(id));
        assert_eq!(CommitId::parse(b"abc"), None);
    }

    #[test]
    fn after_a_silence_no_refusal_means_that_nothing_is_stored() {
        assert_eq!(settled(Written::Full, false), Written::Full);
        assert_eq!(settled(Written::Full, true), Written::Unanswered);
        assert_eq!(settled(Written::TooLarge, true), Written::Unanswered);
        assert_eq!(settled(Written::Refused, true), Written::Refused);
        let stored = Written::Stored { sequence: 3 };
        assert_eq!(settled(stored.clone(), true), stored);
    }
}
