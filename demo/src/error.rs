//! What can go wrong around a demo, each with what to do about it.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// The cause of a broker's refusal, whichever of the client's errors it was.
pub type BrokerCause = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("port {port} for {what} is in use; free it, or choose another with {flag}")]
    PortInUse {
        port: u16,
        what: &'static str,
        flag: &'static str,
    },
    #[error("{what} not found; {remedy}")]
    Missing { what: String, remedy: &'static str },
    #[error("{doing}: {source}")]
    Io {
        doing: String,
        source: std::io::Error,
    },
    #[error("{what} ended by itself ({status}); its last lines:\n{tail}")]
    Exited {
        what: &'static str,
        status: ExitStatus,
        tail: String,
    },
    #[error("{what} was not ready after {waited:?}: {last}")]
    NotReady {
        what: &'static str,
        waited: Duration,
        last: String,
    },
    #[error("an operator's command failed ({status}):\n{output}")]
    Deploy { status: ExitStatus, output: String },
    #[error("{path} is not empty and was not made by a demo; name another folder with --data")]
    NotOurs { path: PathBuf },
    #[error("{doing}: {source}")]
    Broker { doing: String, source: BrokerCause },
    #[error("{subject}: not acknowledged in {tries} tries over {waited:?}: {last}")]
    NotAcknowledged {
        subject: String,
        tries: u32,
        waited: Duration,
        last: String,
    },
    #[error("{what} is not what was expected: {reason}")]
    Malformed { what: String, reason: String },
    #[error("GET {url}: {reason}")]
    Http { url: String, reason: String },
    #[error("{flag}: {reason}")]
    Usage { flag: &'static str, reason: String },
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// An IO error with what was being done when it happened.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// A broker's refusal with what was being asked of it.
    pub(crate) fn broker<E: Into<BrokerCause>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |source| Self::Broker {
            doing,
            source: source.into(),
        }
    }

    pub(crate) fn malformed(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Malformed {
            what: what.into(),
            reason: reason.to_string(),
        }
    }
}
