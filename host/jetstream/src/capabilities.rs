//! What the broker can do, and how well it keeps what it acknowledged.
//!
//! Asked once at start, so that a broker that cannot serve is refused with a
//! reason, and by `doctor`.

mod durability;

use serde::Deserialize;

use crate::api::{Api, LEVEL_SCHEDULES, code};
use crate::connection::Connection;
use crate::error::{Action, Error};

pub use durability::{SYNC_ADVICE, Weakness, weaknesses};

/// What the broker says of itself, and of this account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Of the server that answered; a cluster may be mixed.
    pub version: String,
    pub cluster: Option<String>,
    /// Largest message, headers and payload, in bytes.
    pub max_payload: u64,
    pub jetstream: JetStream,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JetStream {
    Enabled(Account),
    /// The server runs without it.
    Disabled,
    /// The server has it, this account does not.
    NotForAccount,
    /// The server has it, and nobody answers for it: no leader yet.
    NoLeader,
    Denied {
        action: Action,
        subject: String,
    },
    /// No answer and no reason.
    Silent {
        subject: String,
        after_ms: u64,
    },
}

/// What the account has and may have. None is "no limit".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// 2 since nats-server 2.12; 0 is 2.10 or older.
    pub api_level: u32,
    pub streams: u64,
    pub consumers: u64,
    pub storage_bytes: u64,
    pub storage_bytes_max: Option<u64>,
    pub streams_max: Option<u64>,
    pub consumers_max: Option<u64>,
    /// Every stream must have a limit of bytes.
    pub max_bytes_required: bool,
}

/// Why this broker cannot serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    #[error("JetStream is disabled on the broker: start nats-server with `--jetstream`")]
    Disabled,
    #[error("JetStream is not enabled for this account: enable it in the account's configuration")]
    NotForAccount,
    #[error("nobody answers for JetStream: the cluster has no leader at the moment")]
    NoLeader,
    #[error(
        "nats-server {version} (API level {level}) is too old: {} or later is needed, for timers",
        VERSION_MIN
    )]
    TooOld { version: String, level: u32 },
    #[error("{}: grant it in the user's permissions", denied(*.action, subject))]
    Denied { action: Action, subject: String },
    #[error(
        "`{subject}` was not answered within {after_ms} ms: the user may lack the permission to \
         publish there or to subscribe to its inbox, or the broker is overloaded"
    )]
    Silent { subject: String, after_ms: u64 },
}

/// The first version with everything that Wharf uses.
pub const VERSION_MIN: &str = "2.12";

fn denied(action: Action, subject: &str) -> Error {
    Error::Denied {
        action,
        subject: subject.to_owned(),
    }
}

/// Asks the broker. Whatever it refuses is part of the answer.
///
/// # Errors
/// Only what leaves the question open: the connection is closed, or the answer
/// is not understood.
pub async fn probe(connection: &Connection) -> Result<Capabilities, Error> {
    let server = connection.client().server_info();
    let mut denials = connection.denials();
    let jetstream = match Api::new(connection.clone())
        .call("INFO", &serde_json::json!({}))
        .await
    {
        Ok(account) => JetStream::Enabled(Account::from_answer(&account)),
        Err(Error::Denied { action, subject }) => JetStream::Denied { action, subject },
        Err(Error::NoResponder { .. }) if !server.jetstream => JetStream::Disabled,
        // The account of the system, and those that do not have it, see this.
        Err(Error::NoResponder { .. }) => JetStream::NotForAccount,
        Err(Error::TimedOut { subject, after_ms }) => match denials.try_recv() {
            // Nothing else is asked on a connection that has just been made.
            Ok(denial) => JetStream::Denied {
                action: denial.action,
                subject: denial.subject,
            },
            Err(_) => JetStream::Silent { subject, after_ms },
        },
        Err(error) => refused(error)?,
    };
    Ok(Capabilities {
        version: server.version,
        cluster: server.cluster,
        max_payload: connection.max_payload(),
        jetstream,
    })
}

fn refused(error: Error) -> Result<JetStream, Error> {
    match error.api_code() {
        Some(code::NOT_ENABLED) => Ok(JetStream::Disabled),
        Some(code::NOT_ENABLED_FOR_ACCOUNT) => Ok(JetStream::NotForAccount),
        Some(code::CLUSTER_NOT_AVAILABLE) => Ok(JetStream::NoLeader),
        Some(_) | None => Err(error),
    }
}

impl Capabilities {
    /// The account, when the broker can serve.
    ///
    /// # Errors
    /// The first reason why it cannot.
    pub fn require(&self) -> Result<&Account, Lack> {
        match &self.jetstream {
            JetStream::Enabled(account) if account.api_level >= LEVEL_SCHEDULES => Ok(account),
            JetStream::Enabled(account) => Err(Lack::TooOld {
                version: self.version.clone(),
                level: account.api_level,
            }),
            JetStream::Disabled => Err(Lack::Disabled),
            JetStream::NotForAccount => Err(Lack::NotForAccount),
            JetStream::NoLeader => Err(Lack::NoLeader),
            JetStream::Denied { action, subject } => Err(Lack::Denied {
                action: *action,
                subject: subject.clone(),
            }),
            JetStream::Silent { subject, after_ms } => Err(Lack::Silent {
                subject: subject.clone(),
                after_ms: *after_ms,
            }),
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    storage: u64,
    streams: u64,
    consumers: u64,
    limits: Limits,
    #[serde(default)]
    api: Level,
}

#[derive(Deserialize)]
struct Limits {
    max_storage: i64,
    max_streams: i64,
    max_consumers: i64,
    #[serde(default)]
    max_bytes_required: bool,
}

#[derive(Default, Deserialize)]
struct Level {
    #[serde(default)]
    level: u32,
}

impl Account {
    fn from_answer(answer: &Answer) -> Self {
        Self {
            api_level: answer.api.level,
            streams: answer.streams,
            consumers: answer.consumers,
            storage_bytes: answer.storage,
            storage_bytes_max: u64::try_from(answer.limits.max_storage).ok(),
            streams_max: u64::try_from(answer.limits.max_streams).ok(),
            consumers_max: u64::try_from(answer.limits.max_consumers).ok(),
            max_bytes_required: answer.limits.max_bytes_required,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(jetstream: JetStream) -> Capabilities {
        Capabilities {
            version: "2.11.8".into(),
            cluster: None,
            max_payload: 1 << 20,
            jetstream,
        }
    }

    #[test]
    fn a_server_that_would_drop_schedules_silently_is_refused_by_version() {
        let text = r#"{"storage":0,"streams":0,"consumers":0,"api":{"level":1},
            "limits":{"max_storage":-1,"max_streams":-1,"max_consumers":5}}"#;
        let answer: Answer = serde_json::from_str(text).unwrap();
        let account = Account::from_answer(&answer);
        assert_eq!(
            (account.storage_bytes_max, account.consumers_max),
            (None, Some(5))
        );
        let lack = broker(JetStream::Enabled(account.clone()))
            .require()
            .unwrap_err();
        assert_eq!(
            lack,
            Lack::TooOld {
                version: "2.11.8".into(),
                level: 1
            }
        );
        assert!(lack.to_string().contains("2.12 or later"), "{lack}");
        let newer = Account {
            api_level: 2,
            ..account
        };
        assert!(broker(JetStream::Enabled(newer)).require().is_ok());
    }

    #[test]
    fn a_server_without_levels_is_older_still() {
        let text = r#"{"storage":0,"streams":0,"consumers":0,"api":{"total":3},
            "limits":{"max_storage":-1,"max_streams":-1,"max_consumers":-1}}"#;
        let answer: Answer = serde_json::from_str(text).unwrap();
        assert_eq!(Account::from_answer(&answer).api_level, 0);
    }
}
