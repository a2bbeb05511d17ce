//! What can go wrong between the host and the broker.
//!
//! Outcomes that a caller must decide on (a lost compare-and-set, a full
//! stream, a reader whose source was rolled back) are enums of the module they
//! belong to. This one is for reporting: whoever sees it tries again later or
//! tells a person.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A file that the settings name cannot be used; retrying does not help.
    #[error("{}: {reason}", file.display())]
    File { file: PathBuf, reason: String },
    /// The NATS context asks for something that has no effect here.
    #[error("{}: the context sets `{key}`, which is not supported", file.display())]
    ContextKey { file: PathBuf, key: String },
    #[error("the settings name no server")]
    NoServers,
    #[error("`{server}` is not a server address: {reason}")]
    ServerAddress { server: String, reason: String },
    #[error("no broker at {servers}: connection refused")]
    Refused { servers: String },
    #[error("the broker at {servers} does not accept the credentials")]
    Unauthorized { servers: String },
    #[error("no TLS connection to {servers}: {reason}")]
    Tls { servers: String, reason: String },
    #[error("no connection to {servers}: {reason}")]
    Unreachable { servers: String, reason: String },
    /// The connection was closed by this process.
    #[error("the connection is closed")]
    Closed,
    /// The account's permissions forbid it.
    #[error("the broker forbids to {action} `{subject}`", action = action.verb())]
    Denied { action: Action, subject: String },
    /// Silence; whether the request was carried out is unknown.
    #[error("no answer on `{subject}` within {after_ms} ms")]
    TimedOut { subject: String, after_ms: u64 },
    /// Nobody listens: JetStream is off, or there is no leader just now.
    #[error("nobody answers on `{subject}`")]
    NoResponder { subject: String },
    /// The request is larger than the broker's `max_payload`, or its subject
    /// is not one.
    #[error("`{subject}` cannot be requested: {reason}")]
    Unsendable { subject: String, reason: String },
    /// JetStream refused; `err_code` is from its public list.
    #[error("`{subject}`: {text} ({err_code})")]
    Api {
        subject: String,
        err_code: u64,
        status: u16,
        text: String,
    },
    /// A copy that was read does not reach what the leader has.
    #[error("a copy of the stream `{stream}` lags behind its leader")]
    Lagging { stream: String },
    #[error("the answer on `{subject}` is not understood: {reason}")]
    Malformed { subject: String, reason: String },
}

/// What a permission is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Publish,
    Subscribe,
}

impl Action {
    fn verb(self) -> &'static str {
        match self {
            Self::Publish => "publish to",
            Self::Subscribe => "subscribe to",
        }
    }
}

impl Error {
    /// True when the settings themselves are at fault, so that trying again
    /// without changing them cannot help.
    pub fn is_in_settings(&self) -> bool {
        matches!(
            self,
            Self::File { .. }
                | Self::ContextKey { .. }
                | Self::NoServers
                | Self::ServerAddress { .. }
        )
    }

    /// JetStream's error code, when it was JetStream that answered.
    pub fn api_code(&self) -> Option<u64> {
        match self {
            Self::Api { err_code, .. } => Some(*err_code),
            _ => None,
        }
    }
}
