//! The registry: what is deployed, where needs are, what hosts report, and the
//! objects that deployments name.
//!
//! A key-value bucket changed by compare-and-set, and an object store of things
//! written once under the hash of their bytes. Reads go to the leader.

mod objects;
mod watch;

use std::fmt;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;

pub use objects::{OBJECT_BYTES_MAX, ObjectError, hash};
pub use watch::{Seen, Watch};

use crate::api::Api;
use crate::api::message::{Query, StoredMessage};
use crate::connection::{Connection, Links};
use crate::error::Error;
use crate::ledger::{Store, Written};
use crate::publisher::Publisher;

/// The bucket's stream.
pub const STREAM: &str = "KV_WHARF";
/// The object store's name, and its stream.
pub const CODE_STORE: &str = "WHARF-CODE";
pub const CODE_STREAM: &str = "OBJ_WHARF-CODE";
/// Revisions of a key that the bucket keeps.
pub const HISTORY: i64 = 8;

const PREFIX: &str = "$KV.WHARF.";
const OPERATION: &str = "KV-Operation";
const EXPIRED: &str = "Nats-Marker-Reason";
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
const TTL: &str = "Nats-TTL";
/// Writes under way; a registry is written rarely.
const WINDOW: usize = 16;

/// What a value in the bucket is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The deployment of a handler.
    Handler(String),
    /// Where a need is.
    Need(String),
    /// What a host reports.
    Host(String),
}

/// The kinds of keys, to list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Handlers,
    Needs,
    Hosts,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// For the next compare-and-set.
    pub revision: u64,
    pub bytes: Bytes,
}

/// What became of a compare-and-set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    Stored {
        revision: u64,
    },
    /// Somebody else changed it in between.
    Conflict,
    /// It is not known whether it is stored.
    Unanswered,
    /// Nothing is stored.
    Refused {
        reason: String,
    },
}

/// The registry as one process sees it.
#[derive(Clone)]
pub struct Registry {
    api: Api,
    store: Store,
}

impl Registry {
    /// # Errors
    /// The connection is closed.
    pub async fn open(connection: Connection) -> Result<Self, Error> {
        let publisher = Publisher::new(connection.clone(), WINDOW).await?;
        Ok(Self {
            api: Api::new(connection.clone()),
            store: Store::new(connection, publisher),
        })
    }

    /// What stands under a key now, as the leader knows it.
    ///
    /// # Errors
    /// As [`Api::call`]; without the bucket there is nothing.
    pub async fn read(&self, key: &Key) -> Result<Option<Entry>, Error> {
        let subject = key.subject();
        let found = self.api.message(STREAM, &Query::last(&subject)).await?;
        Ok(found.filter(is_value).map(|message| Entry {
            revision: message.sequence,
            bytes: message.data,
        }))
    }

    /// All values of a kind, by name.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn list(&self, kind: Kind) -> Result<Vec<(String, Entry)>, Error> {
        let subjects = self.api.subjects(STREAM, kind.filter()).await?;
        let mut found = Vec::with_capacity(subjects.len());
        for key in subjects.iter().filter_map(|subject| Key::parse(subject)) {
            // Gone since they were listed: nothing is there.
            if let Some(entry) = self.read(&key).await? {
                found.push((key.name().to_owned(), entry));
            }
        }
        Ok(found)
    }

    /// Writes a value if the one with revision `expected` is still the last; 0
    /// when there must be none.
    ///
    /// # Cancel safety
    /// It may be stored although nobody waited for it.
    pub async fn write(&self, key: &Key, expected: u64, bytes: Bytes) -> Saved {
        let subject = key.subject();
        // A deleted key has a marker as its last message.
        let expected = match expected {
            0 => match self.api.message(STREAM, &Query::last(&subject)).await {
                Ok(Some(found)) if is_value(&found) => return Saved::Conflict,
                Ok(found) => found.map_or(0, |marker| marker.sequence),
                Err(error) => {
                    let reason = error.to_string();
                    return Saved::Refused { reason };
                }
            },
            revision => revision,
        };
        let mut headers = HeaderMap::new();
        headers.insert(EXPECTED, expected.to_string());
        match self.put(&subject, &headers, &bytes).await {
            Saved::Conflict => self.own_write(key, expected, &bytes).await,
            saved => saved,
        }
    }

    async fn put(&self, subject: &str, headers: &HeaderMap, bytes: &Bytes) -> Saved {
        let refused = |reason: &str| Saved::Refused {
            reason: reason.to_owned(),
        };
        match self.store.put(subject, headers, bytes).await {
            Written::Stored { sequence } => Saved::Stored { revision: sequence },
            Written::Refused => Saved::Conflict,
            Written::Unanswered => Saved::Unanswered,
            Written::Full => refused("the bucket, or the account, is full"),
            Written::TooLarge => refused("the value is larger than a message may be"),
            Written::Unavailable { reason } => Saved::Refused { reason },
        }
    }

    /// An unanswered sending of the same write may be why the next one lost.
    async fn own_write(&self, key: &Key, expected: u64, bytes: &Bytes) -> Saved {
        match self.read(key).await {
            Ok(Some(entry)) if entry.revision > expected && entry.bytes == *bytes => {
                Saved::Stored {
                    revision: entry.revision,
                }
            }
            Ok(_) => Saved::Conflict,
            Err(_) => Saved::Unanswered,
        }
    }

    /// Writes what a host reports. It vanishes after `ttl`, in whole seconds and
    /// at least one, when the host writes no more.
    pub async fn report(&self, host: &str, bytes: Bytes, ttl: Duration) -> Saved {
        let mut headers = HeaderMap::new();
        headers.insert(TTL, format!("{}s", ttl.as_secs().max(1)));
        let subject = Key::Host(host.to_owned()).subject();
        self.put(&subject, &headers, &bytes).await
    }

    /// Removes a key and its history.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn remove(&self, key: &Key) -> Result<(), Error> {
        self.api.purge(STREAM, &key.subject()).await.map(drop)
    }

    /// Everything in the bucket that hosts follow, from the beginning, and then
    /// every change.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn watch(&self, links: Links, label: &str) -> Result<Watch, Error> {
        Watch::open(&self.api, links, label).await
    }

    pub fn connection(&self) -> &Connection {
        self.api.connection()
    }
}

impl Key {
    pub fn name(&self) -> &str {
        match self {
            Self::Handler(name) | Self::Need(name) | Self::Host(name) => name,
        }
    }

    fn subject(&self) -> String {
        format!("{PREFIX}{self}")
    }

    /// None: the bucket holds it, and it is of no kind that this version knows.
    fn parse(subject: &str) -> Option<Self> {
        let (kind, name) = subject.strip_prefix(PREFIX)?.split_once('.')?;
        let name = name.to_owned();
        match kind {
            "handler" => Some(Self::Handler(name)),
            "need" => Some(Self::Need(name)),
            "host" => Some(Self::Host(name)),
            _ => None,
        }
    }
}

/// As the bucket's key.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Handler(_) => "handler",
            Self::Need(_) => "need",
            Self::Host(_) => "host",
        };
        write!(f, "{kind}.{}", self.name())
    }
}

impl Kind {
    fn filter(self) -> &'static str {
        match self {
            Self::Handlers => "$KV.WHARF.handler.*",
            Self::Needs => "$KV.WHARF.need.*",
            Self::Hosts => "$KV.WHARF.host.*",
        }
    }
}

/// Deleted and expired keys leave a message without a value.
fn is_value(message: &StoredMessage) -> bool {
    message.header(OPERATION).is_none() && message.header(EXPIRED).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        for key in [
            Key::Handler("order".to_owned()),
            Key::Need("gateway".to_owned()),
            Key::Host("pod-1-00ff".to_owned()),
        ] {
            assert_eq!(Key::parse(&key.subject()), Some(key));
        }
        assert_eq!(Key::parse("$KV.WHARF.policy.x"), None);
        assert_eq!(Key::parse("$KV.OTHER.handler.x"), None);
    }
}
