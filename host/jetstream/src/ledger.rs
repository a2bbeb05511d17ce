//! The ledger of one lineage: one record an entity, written by compare-and-set.
//!
//! A record is opaque bytes here. What this module knows is how a write is
//! brought to a certain end, and when a read may be believed: a leader's
//! always, a batched one only when it reaches everything that this host has to
//! have seen.

mod batch;
mod loader;
mod store;
mod sweep;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;

pub use store::CommitId;
pub(crate) use store::{Store, Written};
pub use sweep::{Held, Sweep};

use crate::api::Api;
use crate::api::message::StoredMessage;
use crate::connection::Connection;
use crate::error::Error;
use crate::names::Lineage;
use crate::publisher::Publisher;
use loader::Loader;

/// On records that somebody must look at after a restart: those with timers,
/// parked events or an unconfirmed outbox.
const HOLD: &str = "Wharf-Hold";
const COMMIT: &str = "Wharf-Commit";
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
const TTL: &str = "Nats-TTL";

/// Reads and writes records, checkpoints and (for `parking`) parts of entries.
/// Clones share the floor and the batching of reads.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    lineage: Lineage,
    stream: String,
    api: Api,
    store: Store,
    floor: Arc<Floor>,
    loader: Loader,
}

/// A record or checkpoint as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its sequence in the ledger stream, which the next write must name.
    pub revision: u64,
    /// By the broker's clock, in nanoseconds since 1970.
    pub stored_ns: u64,
    pub bytes: Bytes,
    /// Who wrote it; None when the header is missing or is none.
    pub commit_id: Option<CommitId>,
}

/// What goes with a record besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitOptions {
    /// The record vanishes this long after this write, in whole seconds
    /// rounded up; None keeps it for ever.
    pub ttl: Option<Duration>,
    /// Marks the record for `sweep_held`.
    pub hold: bool,
    /// New for each commit, the same for each repetition of one.
    pub commit_id: CommitId,
}

/// How a compare-and-set ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitResult {
    /// It is stored, by this call or by an earlier one with this commit id.
    Committed { revision: u64 },
    /// Another write won; what the leader has now, None when that is nothing.
    Lost { current: Option<Stored> },
    /// It may be stored, now or soon. Only a later read of the leader, or the
    /// same commit again, tells.
    Unanswered,
    /// The ledger takes no more; nothing is stored.
    Full,
    /// Larger than the broker or the stream takes; nothing is stored.
    TooLarge,
    /// Nothing is stored, and the broker said why.
    Unavailable { reason: String },
}

/// How full the ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    /// None: the stream has no limit.
    pub bytes_max: Option<u64>,
    pub messages: u64,
}

impl Usage {
    /// At 80 % of its limit a handler stops pulling, while what it has begun
    /// can still be written.
    pub fn is_nearly_full(&self) -> bool {
        self.bytes_max
            .is_some_and(|max| u128::from(self.bytes) * 5 >= u128::from(max) * 4)
    }
}

/// Reads of records so far, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    /// Records asked for in batches.
    pub batched: u64,
    /// Requests that those batches took.
    pub batches: u64,
    /// Reads of single records from the leader.
    pub leader: u64,
}

impl Ledger {
    /// Binds to the ledger stream of a lineage, whose shape `assets` has made
    /// or verified. Records are read and written on `connection`, to which
    /// `publisher` belongs too.
    ///
    /// Must be called within a tokio runtime: a task gathers reads.
    pub fn open(connection: Connection, publisher: Publisher, lineage: Lineage) -> Self {
        let stream = lineage.ledger_stream();
        let floor = Arc::new(Floor::unknown());
        let api = Api::new(connection);
        let loader = Loader::start(api.clone(), lineage.clone(), floor.clone());
        let store = Store::new(api.connection().clone(), publisher);
        Self {
            inner: Arc::new(Inner {
                lineage,
                stream,
                api,
                store,
                floor,
                loader,
            }),
        }
    }

    pub fn lineage(&self) -> &Lineage {
        &self.inner.lineage
    }

    pub(crate) fn api(&self) -> &Api {
        &self.inner.api
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Asks the leader how far the ledger goes. From now on a batched read is
    /// believed only when it reaches that; before the first call, none is. To
    /// be called after each takeover, before the first `load`.
    ///
    /// A leader that has just been elected may say less than was acknowledged (seen
    /// with nats-server 2.15: by some messages, in 2 of 1,600 answers while the leader
    /// moved 15 times). Whoever takes over has its own write of the checkpoint behind
    /// it, which is above all that was acknowledged before; where there is no such
    /// write, the compare-and-set of the record finds out.
    ///
    /// # Errors
    /// As [`Api::call`]; the floor stays as it was.
    pub async fn set_floor_from_leader(&self) -> Result<u64, Error> {
        let info = self.inner.api.require_stream(&self.inner.stream).await?;
        self.inner.floor.set_leader(info.state.last_sequence);
        Ok(info.state.last_sequence)
    }

    /// The entity's record; many callers at once share few requests.
    ///
    /// # Errors
    /// As [`Api::call`]: not that there is no record.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn load(&self, ek: &str) -> Result<Option<Stored>, Error> {
        self.inner.loader.load(ek).await
    }

    /// The entity's record as its leader has it, in a request of its own.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn load_leader(&self, ek: &str) -> Result<Option<Stored>, Error> {
        self.inner
            .loader
            .load_leader(&self.inner.lineage.record(ek))
            .await
    }

    /// Writes the entity's record if it is still at `expected_revision` (0: if
    /// there is none). Repeats an unanswered write unchanged for some seconds.
    ///
    /// # Cancel safety
    /// The record may be stored, as with `Unanswered`.
    pub async fn commit(
        &self,
        ek: &str,
        expected_revision: u64,
        bytes: Bytes,
        options: &CommitOptions,
    ) -> CommitResult {
        let mut headers = HeaderMap::new();
        if let Some(ttl) = options.ttl {
            headers.insert(TTL, whole_seconds(ttl).to_string());
        }
        if options.hold {
            headers.insert(HOLD, "1");
        }
        let subject = self.inner.lineage.record(ek);
        self.swap(
            subject,
            expected_revision,
            headers,
            bytes,
            options.commit_id,
        )
        .await
    }

    /// The partition's checkpoint, from the leader.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn read_checkpoint(&self, partition: u32) -> Result<Option<Stored>, Error> {
        self.inner
            .loader
            .load_leader(&self.inner.lineage.checkpoint(partition))
            .await
    }

    /// Writes the partition's checkpoint, by the rules of `commit`.
    ///
    /// # Cancel safety
    /// As `commit`.
    pub async fn write_checkpoint(
        &self,
        partition: u32,
        expected_revision: u64,
        bytes: Bytes,
    ) -> CommitResult {
        let subject = self.inner.lineage.checkpoint(partition);
        let id = CommitId::random();
        self.swap(subject, expected_revision, HeaderMap::new(), bytes, id)
            .await
    }

    /// Begins to look for records written with `hold`, without their bytes.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn sweep_held(&self) -> Result<Sweep, Error> {
        Sweep::start(self.inner.api.clone(), self.inner.lineage.clone()).await
    }

    /// # Errors
    /// As [`Api::call`].
    pub async fn usage(&self) -> Result<Usage, Error> {
        let info = self.inner.api.require_stream(&self.inner.stream).await?;
        Ok(Usage {
            bytes: info.state.bytes,
            bytes_max: u64::try_from(info.config.max_bytes).ok(),
            messages: info.state.messages,
        })
    }

    pub fn reads(&self) -> Reads {
        self.inner.loader.reads()
    }

    async fn swap(
        &self,
        subject: String,
        expected_revision: u64,
        mut headers: HeaderMap,
        bytes: Bytes,
        id: CommitId,
    ) -> CommitResult {
        headers.insert(EXPECTED, expected_revision.to_string());
        headers.insert(COMMIT, id.to_string());
        match self.inner.store.put(&subject, &headers, &bytes).await {
            Written::Stored { sequence } => self.committed(sequence),
            Written::Full => CommitResult::Full,
            Written::TooLarge => CommitResult::TooLarge,
            Written::Unavailable { reason } => CommitResult::Unavailable { reason },
            Written::Refused | Written::Unanswered => {
                Box::pin(self.whose(&subject, expected_revision, id)).await
            }
        }
    }

    /// Reads the leader to see whether what stands there is our own write.
    async fn whose(&self, subject: &str, expected: u64, id: CommitId) -> CommitResult {
        let Ok(current) = self.inner.loader.load_leader(subject).await else {
            return CommitResult::Unanswered;
        };
        match current {
            Some(stored) if stored.commit_id == Some(id) => self.committed(stored.revision),
            // Where the expectation still holds, our write may yet arrive.
            current if revision_of(current.as_ref()) == expected => CommitResult::Unanswered,
            current => CommitResult::Lost { current },
        }
    }

    fn committed(&self, revision: u64) -> CommitResult {
        self.inner.floor.acknowledged(revision);
        CommitResult::Committed { revision }
    }
}

impl Stored {
    fn from_leader(message: StoredMessage) -> Self {
        let commit_id = message.header(COMMIT).and_then(CommitId::parse);
        Self {
            revision: message.sequence,
            stored_ns: message.stored_ns,
            bytes: message.data,
            commit_id,
        }
    }
}

/// How far a batched read must reach to be believed.
#[derive(Debug)]
struct Floor {
    /// The leader's last sequence after the takeover; the largest number means
    /// that it was never asked.
    leader: AtomicU64,
    acknowledged: AtomicU64,
}

impl Floor {
    fn unknown() -> Self {
        Self {
            leader: AtomicU64::new(u64::MAX),
            acknowledged: AtomicU64::new(0),
        }
    }

    fn set_leader(&self, sequence: u64) {
        self.leader.store(sequence, Ordering::SeqCst);
    }

    fn acknowledged(&self, sequence: u64) {
        self.acknowledged.fetch_max(sequence, Ordering::SeqCst);
    }

    fn get(&self) -> u64 {
        self.leader
            .load(Ordering::SeqCst)
            .max(self.acknowledged.load(Ordering::SeqCst))
    }

    fn is_known(&self) -> bool {
        self.get() != u64::MAX
    }
}

/// As an expectation names it: 0 is "no message".
fn revision_of(stored: Option<&Stored>) -> u64 {
    stored.map_or(0, |stored| stored.revision)
}

/// The broker counts lifetimes in whole seconds, from one.
fn whole_seconds(ttl: Duration) -> u64 {
    let up = u64::from(ttl.subsec_nanos() > 0);
    ttl.as_secs().saturating_add(up).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_never_shorter_than_asked_for() {
        assert_eq!(whole_seconds(Duration::from_millis(10)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(60)), 60);
        assert_eq!(whole_seconds(Duration::from_millis(60_001)), 61);
    }

    #[test]
    fn a_ledger_is_nearly_full_at_four_fifths_and_never_without_a_limit() {
        let usage = |bytes, bytes_max| Usage {
            bytes,
            bytes_max,
            messages: 1,
        };
        assert!(!usage(799, Some(1000)).is_nearly_full());
        assert!(usage(800, Some(1000)).is_nearly_full());
        assert!(!usage(u64::MAX, None).is_nearly_full());
    }

    #[test]
    fn no_batched_read_reaches_a_floor_that_was_never_set() {
        let floor = Floor::unknown();
        floor.acknowledged(7);
        assert!(!floor.is_known());
        floor.set_leader(5);
        assert_eq!((floor.is_known(), floor.get()), (true, 7));
    }
}
