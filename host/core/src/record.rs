//! The entity's one ledger message: what happened, what is owed, what waits.
//!
//! Layout: one format byte, then protobuf. An unknown format is a host fault
//! and is never overwritten. Fields that this version does not know are kept at
//! the top level, so that an older host does not strip what a newer one wrote;
//! a nested message therefore never grows, its additions go to the top.

use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};

use crate::event::Position;
use crate::ids::{ContentHash, EventHash};

/// The `source` of the events that timers come back as.
pub const TIMER_SOURCE: &str = "wharf";
/// The format that this version writes.
pub const FORMAT: u8 = 1;
/// Timers that one entity may hold.
pub const TIMERS_MAX: usize = 16;
/// Ids that one entity may remember.
pub const IDS_MAX: usize = 256;
/// Dead events that a `continue` handler lists before the key blocks.
pub const DEAD_MAX: usize = 64;
/// Bytes of one id-list entry: event hash, content hash, seconds.
const ID_BYTES: usize = 16 + 8 + 4;
/// The highest field number of `Record` that this version knows.
const LAST_TAG: u32 = 12;

/// The ledger message of one (lineage, key).
#[derive(Clone, PartialEq, Message)]
pub struct Record {
    /// The raw key; the subject holds only its hash. Empty for a stray: an
    /// event that has no key because it could not be decoded.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The last event of the log that was settled. None with `ordering = "none"`.
    #[prost(message, optional, tag = "2")]
    pub cursor: Option<Cursor>,
    /// Packed `SeenId`s, oldest first. Packed because record size is speed:
    /// 256 B commits twice as fast as 2 KiB (interleaving 28).
    #[prost(bytes = "vec", tag = "3")]
    pub ids: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    pub state: Option<State>,
    #[prost(message, repeated, tag = "5")]
    pub timers: Vec<Timer>,
    /// What the last commit wants published.
    #[prost(message, optional, tag = "6")]
    pub outbox: Option<Outbox>,
    /// Drawn anew for every commit; tells whose an unanswered write was.
    #[prost(bytes = "vec", tag = "7")]
    pub commit_id: Vec<u8>,
    /// The component that committed last.
    #[prost(bytes = "vec", tag = "8")]
    pub digest: Vec<u8>,
    /// None: live, nothing queued.
    #[prost(message, optional, tag = "9")]
    pub block: Option<Block>,
    /// When this was written, by the writer's clock.
    #[prost(uint64, tag = "10")]
    pub written_ms: u64,
    /// Dead events that later ones have passed (`on_dead = "continue"`).
    #[prost(message, repeated, tag = "11")]
    pub dead: Vec<DeadEntry>,
    /// Ids forgotten before `dedup.for` had passed, ever.
    #[prost(uint64, tag = "12")]
    pub ids_evicted_early: u64,
    /// Top-level fields of a newer version, as they stood. The tag is the highest
    /// there is and is never on the wire: `encode` appends these bytes raw.
    #[prost(bytes = "vec", tag = "536870911")]
    pub unknown: Vec<u8>,
}

/// A place in one incarnation of a stream.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Cursor {
    #[prost(string, tag = "1")]
    pub stream: String,
    /// When the stream was created: a stream made again starts over.
    #[prost(uint64, tag = "2")]
    pub created_ns: u64,
    #[prost(uint64, tag = "3")]
    pub sequence: u64,
    /// The highest stored time seen.
    #[prost(uint64, tag = "4")]
    pub stored_ns: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct State {
    /// `state.version` of the manifest that put it.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub data: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Timer {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint64, tag = "2")]
    pub due_ms: u64,
    #[prost(bytes = "vec", tag = "3")]
    pub data: Vec<u8>,
    /// The event that set it, and where in its list of changes.
    #[prost(bytes = "vec", tag = "4")]
    pub set_by: Vec<u8>,
    #[prost(uint32, tag = "5")]
    pub position: u32,
    #[prost(message, optional, tag = "6")]
    pub flow: Option<Flow>,
}

/// What an emission or timer inherits from the event that caused it.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Flow {
    #[prost(string, tag = "1")]
    pub correlation_id: String,
    #[prost(string, tag = "2")]
    pub causation_id: String,
    #[prost(uint32, tag = "3")]
    pub hops: u32,
    #[prost(string, optional, tag = "4")]
    pub traceparent: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub tracestate: Option<String>,
}

/// Emissions of one commit, in order.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Outbox {
    /// The event whose commit this is.
    #[prost(bytes = "vec", tag = "1")]
    pub event: Vec<u8>,
    /// Its place in the log; 0 when the commit has none (timer, dispatch).
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// When it was committed: the emissions' `time`, and the look-up's start.
    #[prost(uint64, tag = "3")]
    pub committed_ms: u64,
    #[prost(message, optional, tag = "4")]
    pub flow: Option<Flow>,
    #[prost(message, repeated, tag = "5")]
    pub emissions: Vec<Emission>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Emission {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub subject: String,
    #[prost(string, tag = "3")]
    pub event_type: String,
    #[prost(string, tag = "4")]
    pub content_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attributes: Vec<Attribute>,
    #[prost(bytes = "vec", tag = "6")]
    pub data: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// Why the entity does not flow freely, and how its failing event fares.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Block {
    #[prost(enumeration = "Status", tag = "1")]
    pub status: i32,
    /// The need waited for.
    #[prost(string, tag = "2")]
    pub need: String,
    /// First unresolved and last queued sequence; 0: nothing is queued.
    #[prost(uint64, tag = "3")]
    pub head: u64,
    #[prost(uint64, tag = "4")]
    pub tail: u64,
    /// The event in trouble.
    #[prost(bytes = "vec", tag = "5")]
    pub event: Vec<u8>,
    /// Counted failures of the handler's own.
    #[prost(uint32, tag = "6")]
    pub transient: u32,
    /// Counted guest faults of `faults_digest`.
    #[prost(uint32, tag = "7")]
    pub guest_faults: u32,
    #[prost(bytes = "vec", tag = "8")]
    pub faults_digest: Vec<u8>,
    /// Uncounted waits in a row, for the backoff.
    #[prost(uint32, tag = "9")]
    pub waits: u32,
    #[prost(uint64, tag = "10")]
    pub first_failure_ms: u64,
    /// Time spent waiting for needs, left out of the age.
    #[prost(uint64, tag = "11")]
    pub excluded_ms: u64,
    /// 0, or since when it waits for a need.
    #[prost(uint64, tag = "12")]
    pub waiting_since_ms: u64,
    /// 0, or since when the handler says `not-ready`.
    #[prost(uint64, tag = "13")]
    pub not_ready_since_ms: u64,
    #[prost(uint64, tag = "14")]
    pub next_due_ms: u64,
    /// The digest that began on a suspect event; empty otherwise.
    #[prost(bytes = "vec", tag = "15")]
    pub started: Vec<u8>,
    #[prost(string, tag = "16")]
    pub code: String,
    #[prost(string, tag = "17")]
    pub message: String,
    /// The id of the dead timer event, when the head is one.
    #[prost(string, tag = "18")]
    pub head_timer: String,
    /// The call of `event` with an unknown outcome: when it was first made.
    #[prost(uint64, tag = "19")]
    pub unknown_since_ms: u64,
    /// Events in the queue.
    #[prost(uint32, tag = "20")]
    pub queued: u32,
}

/// What the entity's first unsettled event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Status {
    /// It runs; followers may be queued behind it.
    Live = 0,
    Retrying = 1,
    WaitingNeed = 2,
    NotReady = 3,
    /// It is a dead letter and waits for a person.
    Dead = 4,
    /// Committed, but an emission is refused for good.
    OutboxBlocked = 5,
}

impl Status {
    /// The entity's first unsettled event has failed, and is tried again.
    pub fn is_trouble(self) -> bool {
        match self {
            Self::Retrying | Self::WaitingNeed | Self::NotReady => true,
            Self::Live | Self::Dead | Self::OutboxBlocked => false,
        }
    }
}

/// A dead event that did not block its key.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct DeadEntry {
    /// 0 for a timer.
    #[prost(uint64, tag = "1")]
    pub sequence: u64,
    #[prost(string, tag = "2")]
    pub timer_id: String,
    #[prost(string, tag = "3")]
    pub code: String,
}

/// One remembered event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenId {
    pub event: EventHash,
    pub content: ContentHash,
    /// Seconds since 1970.
    pub at_s: u32,
}

/// Why bytes are not a record. Always a host fault: nothing is overwritten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the record is empty")]
    Empty,
    #[error("record format {found} is unknown to this version, which writes {FORMAT}")]
    Format { found: u8 },
    #[error("the record does not parse: {reason}")]
    Malformed { reason: String },
    #[error("the record is of key `{found}`, not of `{wanted}`")]
    OtherKey { found: String, wanted: String },
}

/// Reads a record.
///
/// # Errors
/// See [`Error`]. The caller must not write over what it could not read.
pub fn decode(bytes: &[u8]) -> Result<Record, Error> {
    let (format, body) = bytes.split_first().ok_or(Error::Empty)?;
    if *format != FORMAT {
        return Err(Error::Format { found: *format });
    }
    let malformed = |e: prost::DecodeError| Error::Malformed {
        reason: e.to_string(),
    };
    let mut record = Record::decode(body).map_err(malformed)?;
    if !record.ids.len().is_multiple_of(ID_BYTES) {
        return Err(Error::Malformed {
            reason: "the id list is cut".into(),
        });
    }
    record.unknown = unknown_fields(body).map_err(malformed)?;
    Ok(record)
}

/// Writes a record, with the fields of newer versions that came with it.
pub fn encode(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + record.encoded_len());
    bytes.push(FORMAT);
    if record.unknown.is_empty() {
        record.encode_raw(&mut bytes);
    } else {
        Record {
            unknown: Vec::new(),
            ..record.clone()
        }
        .encode_raw(&mut bytes);
        bytes.extend_from_slice(&record.unknown);
    }
    bytes
}

/// Copies the top-level fields that this version has no name for.
fn unknown_fields(body: &[u8]) -> Result<Vec<u8>, prost::DecodeError> {
    let mut rest = body;
    let mut kept = Vec::new();
    while !rest.is_empty() {
        let field = rest;
        let (tag, wire) = decode_key(&mut rest)?;
        skip_field(wire, tag, &mut rest, DecodeContext::default())?;
        if tag > LAST_TAG {
            kept.extend_from_slice(&field[..field.len() - rest.len()]);
        }
    }
    Ok(kept)
}

impl Record {
    /// A record of an entity that has none yet.
    pub fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..Self::default()
        }
    }

    /// # Errors
    /// [`Error::OtherKey`] when two keys share a hash, or a subject was mixed up.
    pub fn check_key(&self, key: &str) -> Result<(), Error> {
        if self.key == key {
            return Ok(());
        }
        Err(Error::OtherKey {
            found: self.key.clone(),
            wanted: key.to_owned(),
        })
    }

    /// Oldest first.
    pub fn seen(&self) -> impl DoubleEndedIterator<Item = SeenId> + '_ {
        self.ids.chunks_exact(ID_BYTES).map(SeenId::unpack)
    }

    /// The entry of an event, if it is remembered.
    pub fn find(&self, event: &EventHash) -> Option<SeenId> {
        self.seen().rev().find(|seen| seen.event == *event)
    }

    /// Remembers an event and forgets what is too old or too many. What is
    /// forgotten before `keep_ms` has passed is counted.
    pub fn remember(&mut self, seen: SeenId, remember: usize, keep_ms: u64) {
        let horizon = u64::from(seen.at_s).saturating_sub(keep_ms / 1000);
        let old = self
            .seen()
            .take_while(|s| u64::from(s.at_s) < horizon)
            .count();
        let total = self.ids.len() / ID_BYTES + 1;
        let excess = (total - old).saturating_sub(remember.min(IDS_MAX));
        self.ids.drain(..(old + excess) * ID_BYTES);
        seen.pack(&mut self.ids);
        self.ids_evicted_early += excess as u64;
    }

    /// Bytes that it takes in the ledger.
    pub fn bytes(&self) -> usize {
        1 + self.encoded_len()
    }

    pub fn status(&self) -> Status {
        self.block.as_ref().map_or(Status::Live, Block::status)
    }

    /// Followers that wait, durably, behind this entity's head.
    pub fn queue(&self) -> Option<(u64, u64)> {
        let block = self.block.as_ref()?;
        (block.tail > 0).then_some((block.head, block.tail))
    }

    /// The timer that is due next; a dead one never is.
    pub fn next_timer(&self) -> Option<&Timer> {
        self.timers
            .iter()
            .filter(|timer| !self.is_dead_timer(timer))
            .min_by_key(|timer| (timer.due_ms, timer.position))
    }

    /// The first timer that is dead and whose entry may not be written yet.
    pub fn dead_timer(&self) -> Option<&Timer> {
        self.timers.iter().find(|timer| self.is_dead_timer(timer))
    }

    /// The timer whose attempts the block counts.
    pub fn troubled_timer(&self) -> Option<&Timer> {
        let block = self.block.as_ref().filter(|b| b.status().is_trouble())?;
        self.timers
            .iter()
            .find(|timer| crate::commit::is_event_of(timer, block))
    }

    /// Whether it is a dead letter whose data the record still holds.
    pub fn is_dead_timer(&self, timer: &Timer) -> bool {
        let head = self.block.as_ref().map_or("", |block| &block.head_timer);
        let mut dead = self.dead.iter().map(|dead| dead.timer_id.as_str());
        if head.is_empty() && self.dead.is_empty() {
            return false;
        }
        let id = crate::commit::record_timer_id(timer);
        head == id || dead.any(|dead| dead == id)
    }

    /// Whether something still has to happen to this entity by itself, so that
    /// the record may not expire and a sweep must find it.
    pub fn is_held(&self) -> bool {
        !self.timers.is_empty()
            || self.block.is_some()
            || !self.dead.is_empty()
            || self.owes_confirmation()
    }

    /// A commit without a sequence whose publishing no watermark tells of: its
    /// outbox is removed by a write of its own once it has gone out.
    pub fn owes_confirmation(&self) -> bool {
        self.outbox
            .as_ref()
            .is_some_and(|outbox| outbox.sequence == 0)
    }
}

impl Block {
    pub fn live() -> Self {
        Self::default()
    }
}

impl Cursor {
    pub fn position(&self) -> Position {
        Position {
            sequence: self.sequence,
            stored_ns: self.stored_ns,
        }
    }
}

impl SeenId {
    fn unpack(bytes: &[u8]) -> Self {
        let (event, rest) = bytes.split_at(16);
        let (content, at_s) = rest.split_at(8);
        Self {
            event: event.try_into().expect("chunks have ID_BYTES"),
            content: content.try_into().expect("chunks have ID_BYTES"),
            at_s: u32::from_be_bytes(at_s.try_into().expect("chunks have ID_BYTES")),
        }
    }

    fn pack(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.event);
        out.extend_from_slice(&self.content);
        out.extend_from_slice(&self.at_s.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
