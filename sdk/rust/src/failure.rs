//! How a handler gives up, and what `?` makes of an error.

use crate::codec::Undecodable;
use crate::effects::Effects;
pub use crate::wire::{Outage, Problem};
use crate::{http, wire};
use std::any::Any;
use std::error::Error;
use std::time::Duration;

/// What a handler returns.
pub type Result<T = Effects> = std::result::Result<T, Failure>;

/// Why an attempt ends without effects.
///
/// Every error converts into one through `?`:
///
/// | error | becomes |
/// |---|---|
/// | [`http::Error`]: not sent, unknown outcome | `Unavailable` of that need |
/// | [`http::Error`]: anything else | as its variant says |
/// | `serde_json::Error`, [`Undecodable`] | `Reject`, code `bad-data` |
/// | anything else | `Retry`, code `unclassified` |
///
/// It is no `std::error::Error` itself: that would forbid the conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// May work later. Counted; dead-lettered when the policy is exhausted.
    Retry(Problem),
    /// Can never work. Dead-lettered at once.
    Reject(Problem),
    /// A need is out of service. Not counted; the event waits for the need.
    Unavailable(Outage),
    /// Something outside this entity has not happened yet. Not counted; later
    /// events of the entity wait behind it, so never wait for one of them.
    NotReady(Problem),
}

impl Failure {
    /// [`Failure::Retry`]. The code is `[a-z0-9-]{1,64}`, from a small fixed set.
    pub fn retry(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Retry(problem(code, message))
    }

    /// [`Failure::Reject`]. The code is `[a-z0-9-]{1,64}`, from a small fixed set.
    pub fn reject(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Reject(problem(code, message))
    }

    /// [`Failure::NotReady`]. The code is `[a-z0-9-]{1,64}`, from a small fixed set.
    pub fn not_ready(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::NotReady(problem(code, message))
    }

    /// [`Failure::Unavailable`], for what only the answer's content tells: the
    /// host sees refused connections, timeouts and failing statuses itself.
    pub fn unavailable(need: http::Need, message: impl Into<String>) -> Self {
        Self::Unavailable(Outage {
            need: need.name().to_owned(),
            message: message.into(),
            after_ms: None,
        })
    }

    /// Asks for at least this long before the next attempt, in whole
    /// milliseconds. Without effect on `Reject`.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        let delay_ms = u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
        match &mut self {
            Self::Retry(problem) | Self::Reject(problem) | Self::NotReady(problem) => {
                problem.after_ms = Some(delay_ms);
            }
            Self::Unavailable(outage) => outage.after_ms = Some(delay_ms),
        }
        self
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let any: &dyn Any = &error;
        if let Some(error) = any.downcast_ref::<http::Error>() {
            error.failure()
        } else if let Some(error) = any.downcast_ref::<Undecodable>() {
            bad_data(error)
        } else if let Some(error) = any.downcast_ref::<serde_json::Error>() {
            bad_data(&Undecodable::from(error))
        } else {
            Self::retry("unclassified", error.to_string())
        }
    }
}

impl From<Failure> for wire::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Retry(problem) => Self::Retry(problem),
            Failure::Reject(problem) => Self::Reject(problem),
            Failure::Unavailable(outage) => Self::Unavailable(outage),
            Failure::NotReady(problem) => Self::NotReady(problem),
        }
    }
}

fn bad_data(error: &Undecodable) -> Failure {
    Failure::reject("bad-data", error.to_string())
}

fn problem(code: impl Into<String>, message: impl Into<String>) -> Problem {
    Problem {
        code: code.into(),
        message: message.into(),
        after_ms: None,
    }
}
