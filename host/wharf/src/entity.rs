//! What this host knows of one entity, and the only way to change it.
//!
//! The record in the ledger is the truth; this is a copy with its revision.
//! Every change is a compare-and-set against that revision, so a copy that is
//! out of date loses and is read again, from the leader.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::{Mutex, MutexGuard};
use wharf_core::outcome::HostFault;
use wharf_core::record::{self, Record};
use wharf_core::{commit, ids};
use wharf_jetstream::ledger::{CommitId, CommitOptions, CommitResult, Stored};

use crate::owner::Owner;
use crate::version::Version;
use crate::work::Stopped;

/// One (lineage, key), or one event where events have no key.
pub struct Entity {
    /// The raw key; empty for a stray.
    pub key: String,
    /// Stands for the key in subjects; worked out when it is asked for.
    token: OnceLock<String>,
    state: Mutex<State>,
    /// Held while leftovers are finished: nobody admits an event meanwhile.
    pub finishing: Mutex<()>,
    /// Bytes of the record in memory, for the bound on all of them.
    weight: AtomicUsize,
    published: AtomicU64,
}

#[derive(Default)]
struct State {
    known: Option<Known>,
    /// How often it was read from the ledger.
    loads: u64,
    /// What an earlier owner left of it, as of the last read, is finished.
    finished: bool,
    /// A lost compare-and-set or silence: only the leader can be believed.
    distrust: bool,
}

/// A record and its revision.
#[derive(Debug, Clone, Default)]
pub struct Known {
    record: Option<Arc<Record>>,
    /// The record's sequence in the ledger stream; 0: there is none.
    pub revision: u64,
}

/// Whether a change was made.
#[derive(Debug)]
pub enum Write {
    Written(Known),
    /// Somebody else's write came first: load and admit again.
    Lost,
}

/// Whether what an earlier owner may have left undone is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftovers {
    Finished,
    /// Of this read of the ledger.
    Unknown {
        load: u64,
    },
}

impl Known {
    pub fn record(&self) -> Option<&Record> {
        self.record.as_deref()
    }

    /// The record itself, to keep beside an attempt.
    pub fn shared(&self) -> Option<Arc<Record>> {
        self.record.clone()
    }
}

impl Entity {
    pub fn new(key: String) -> Self {
        Self::make(key, OnceLock::new())
    }

    /// An entity whose token is not its key's hash: a stray.
    pub fn with_token(key: String, token: String) -> Self {
        Self::make(key, OnceLock::from(token))
    }

    fn make(key: String, token: OnceLock<String>) -> Self {
        Self {
            key,
            token,
            state: Mutex::default(),
            finishing: Mutex::default(),
            weight: AtomicUsize::new(0),
            published: AtomicU64::new(0),
        }
    }

    /// Stands for the key in subjects.
    pub fn token(&self) -> &str {
        self.token.get_or_init(|| ids::entity_token(&self.key))
    }

    /// Takes it for one that has no record, unread. A write finds out when that
    /// is wrong.
    pub async fn presume_new(&self) {
        let mut state = self.state.lock().await;
        state.known = Some(Known::default());
        state.finished = true;
    }

    /// The record, from memory or from the ledger.
    ///
    /// # Errors
    /// [`Stopped`] while the broker does not answer and the lane has to end.
    pub async fn load(&self, owner: &Owner) -> Result<(Known, Leftovers), Stopped> {
        let mut state = self.state.lock().await;
        if let Some(known) = &state.known {
            let leftovers = if state.finished {
                Leftovers::Finished
            } else {
                Leftovers::Unknown { load: state.loads }
            };
            return Ok((known.clone(), leftovers));
        }
        let known = loop {
            let ledger = &owner.handler.ledger;
            let read = match state.distrust {
                true => Box::pin(ledger.load_leader(self.token())).await,
                false => ledger.load(self.token()).await,
            };
            match read
                .map_err(|e| broker(&e))
                .and_then(|stored| self.decode(stored))
            {
                Ok(known) => break known,
                Err(fault) => Box::pin(owner.pause_before(&fault, FAULT_PAUSE_MS)).await?,
            }
        };
        let load = state.loads + 1;
        *state = State {
            known: Some(known.clone()),
            loads: load,
            finished: false,
            distrust: false,
        };
        self.note(owner, &known);
        Ok((known, Leftovers::Unknown { load }))
    }

    /// Writes the next record over `known`. How long it lives is for the version
    /// to say that made it.
    ///
    /// # Errors
    /// [`Stopped`] when the broker does not answer until the lane is cut off:
    /// whether the write was made is then found out by who loads the record.
    pub fn write(
        &self,
        owner: &Owner,
        by: &Version,
        known: &Known,
        next: Record,
    ) -> impl Future<Output = Result<Write, Stopped>> {
        // An `async fn` holds its arguments twice; a record is large.
        self.write_shared(owner, by, known, Arc::new(next))
    }

    async fn write_shared(
        &self,
        owner: &Owner,
        by: &Version,
        known: &Known,
        next: Arc<Record>,
    ) -> Result<Write, Stopped> {
        let mut state = self.state.lock().await;
        if state
            .known
            .as_ref()
            .is_none_or(|current| current.revision != known.revision)
        {
            return Ok(Write::Lost);
        }
        let handler = &owner.handler;
        let manifest = &by.manifest;
        let ttl_ms = commit::ttl_ms(&next, &manifest.dedup, manifest.state.as_ref());
        let options = CommitOptions {
            ttl: ttl_ms.map(std::time::Duration::from_millis),
            hold: next.is_held(),
            commit_id: CommitId(next.commit_id.as_slice().try_into().unwrap_or_default()),
        };
        let bytes = bytes::Bytes::from(record::encode(&next));
        loop {
            let started = std::time::Instant::now();
            let commit =
                handler
                    .ledger
                    .commit(self.token(), known.revision, bytes.clone(), &options);
            let result = tokio::select! {
                result = commit => result,
                () = owner.cut.cancelled() => {
                    forget(&mut state);
                    return Err(Stopped);
                }
            };
            match result {
                CommitResult::Committed { revision } => {
                    handler.metrics.commit(started.elapsed());
                    let known = Known {
                        record: Some(next),
                        revision,
                    };
                    state.known = Some(known.clone());
                    self.note(owner, &known);
                    return Ok(Write::Written(known));
                }
                CommitResult::Lost { .. } => {
                    handler.metrics.commit_conflict();
                    forget(&mut state);
                    return Ok(Write::Lost);
                }
                other => Box::pin(self.wait_out(owner, &mut state, &other)).await?,
            }
        }
    }

    /// Keeps what must be known of the record without waiting for it.
    fn note(&self, owner: &Owner, known: &Known) {
        let record = known.record();
        let bytes = record.map_or(0, Record::bytes);
        self.weight.store(bytes, Ordering::Relaxed);
        let outbox = record.and_then(|record| record.outbox.as_ref());
        let sequence = outbox.map_or(0, |outbox| outbox.sequence);
        self.published.store(sequence, Ordering::Relaxed);
        owner.standing.see(self.token(), record);
    }

    /// The event whose emissions the record holds: until the watermark passes
    /// it, only memory tells that they are published. 0: none.
    pub fn outbox_sequence(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Bytes that its record takes in memory.
    pub fn weight(&self) -> usize {
        self.weight.load(Ordering::Relaxed)
    }

    /// Nothing is left undone of what that read of the ledger found. A later
    /// read may have found another owner's write.
    pub async fn finished(&self, load: u64) {
        let mut state = self.state.lock().await;
        state.finished = state.loads == load;
    }

    /// Forgets the copy, so that the next load asks the leader.
    pub async fn distrust(&self) {
        forget(&mut *self.state.lock().await);
    }

    async fn wait_out(
        &self,
        owner: &Owner,
        state: &mut MutexGuard<'_, State>,
        result: &CommitResult,
    ) -> Result<(), Stopped> {
        let fault = HostFault::broker(format!("commit: {result:?}"));
        let waited = owner.pause_after(&fault, FAULT_PAUSE_MS).await;
        if waited.is_err() {
            forget(state);
        }
        waited
    }

    fn decode(&self, stored: Option<Stored>) -> Result<Known, HostFault> {
        let Some(stored) = stored else {
            return Ok(Known::default());
        };
        let fault = |e: record::Error| HostFault::record(e.to_string());
        let record = record::decode(&stored.bytes).map_err(fault)?;
        record.check_key(&self.key).map_err(fault)?;
        Ok(Known {
            record: Some(Arc::new(record)),
            revision: stored.revision,
        })
    }
}

/// Between tries while the broker does not do its part.
const FAULT_PAUSE_MS: u64 = 250;

fn forget(state: &mut State) {
    state.known = None;
    state.finished = false;
    state.distrust = true;
}

fn broker(error: &wharf_jetstream::error::Error) -> HostFault {
    HostFault::broker(error.to_string())
}
