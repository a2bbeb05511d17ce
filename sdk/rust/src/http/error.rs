//! What can go wrong with a call, and which failure each case is.

use super::{CallError, Need};
use crate::codec::Undecodable;
use crate::failure::Failure;
use std::fmt;

/// A call without the answer that the handler wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// No answer. Not sent, or sent with an unknown outcome: the need is
    /// `Unavailable`. Denied by the policy or an answer too large: `Retry`.
    /// Malformed: `Reject`, since it would be the same the next time.
    Call {
        /// Who was called.
        need: Need,
        /// Why there is no answer.
        error: CallError,
    },
    /// An answer with another status than [`Response::success`](super::Response::success)
    /// passes on. Becomes `Retry` with the code `unexpected-status`; if the policy
    /// counts the status as a failure of the need, the host waits for the need.
    Status {
        /// Who answered.
        need: Need,
        /// 100 to 599.
        status: u16,
    },
    /// An answer whose body is not what was expected. Becomes `Retry` with the
    /// code `unexpected-answer`: the event is not to blame.
    Answer {
        /// Who answered.
        need: Need,
        /// 100 to 599.
        status: u16,
        /// What is wrong with the body.
        problem: Undecodable,
    },
}

impl Error {
    /// The failure that `?` makes of it.
    pub(crate) fn failure(&self) -> Failure {
        let message = self.to_string();
        match self {
            Self::Call { need, error } => match error {
                CallError::NotSent(_) | CallError::UnknownOutcome(_) => {
                    Failure::unavailable(*need, message)
                }
                CallError::Denied(_) => Failure::retry("call-denied", message),
                CallError::ResponseTooLarge(_) => Failure::retry("answer-too-large", message),
                CallError::Invalid(_) => Failure::reject("call-invalid", message),
            },
            Self::Status { .. } => Failure::retry("unexpected-status", message),
            Self::Answer { .. } => Failure::retry("unexpected-answer", message),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { need, error } => {
                let (what, detail) = match error {
                    CallError::NotSent(detail) => ("was not called", detail),
                    CallError::UnknownOutcome(detail) => {
                        ("was called with an unknown outcome", detail)
                    }
                    CallError::Denied(detail) => ("may not be called", detail),
                    CallError::Invalid(detail) => ("cannot be called like this", detail),
                    CallError::ResponseTooLarge(detail) => ("answered too much", detail),
                };
                write!(f, "{} {what}: {detail}", need.name())
            }
            Self::Status { need, status } => {
                write!(f, "{} answered with status {status}", need.name())
            }
            Self::Answer {
                need,
                status,
                problem,
            } => {
                write!(
                    f,
                    "{} answered with status {status} and {problem}",
                    need.name()
                )
            }
        }
    }
}

impl std::error::Error for Error {}
