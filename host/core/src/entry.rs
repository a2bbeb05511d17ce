//! A parked event: everything that is needed to look at it and to run it later.

use bytes::Bytes;
use prost::Message;

use crate::event::Position;

/// The format that this version writes.
pub const FORMAT: u8 = 1;

/// The ledger's entry of a dead or queued event.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Entry {
    /// Empty for a stray.
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub stream: String,
    #[prost(uint64, tag = "3")]
    pub created_ns: u64,
    /// 0 for a timer.
    #[prost(uint64, tag = "4")]
    pub sequence: u64,
    #[prost(uint64, tag = "5")]
    pub stored_ns: u64,
    #[prost(string, tag = "6")]
    pub subject: String,
    /// The header block, from `NATS/1.0` to the empty line; not necessarily
    /// UTF-8. Empty when there were no headers.
    #[prost(bytes = "bytes", tag = "7")]
    pub header_block: Bytes,
    #[prost(bytes = "bytes", tag = "8")]
    pub data: Bytes,
    /// `queued`, or why it is dead.
    #[prost(string, tag = "9")]
    pub code: String,
    #[prost(string, tag = "10")]
    pub message: String,
    #[prost(uint32, tag = "11")]
    pub transient: u32,
    #[prost(uint32, tag = "12")]
    pub guest_faults: u32,
    #[prost(string, tag = "13")]
    pub backtrace: String,
    #[prost(string, tag = "14")]
    pub stderr_tail: String,
    #[prost(bytes = "vec", tag = "15")]
    pub digest: Vec<u8>,
    #[prost(string, tag = "16")]
    pub trace_id: String,
    #[prost(uint64, tag = "17")]
    pub first_failure_ms: u64,
    #[prost(uint64, tag = "18")]
    pub parked_ms: u64,
    #[prost(string, tag = "19")]
    pub event_id: String,
    #[prost(string, tag = "20")]
    pub event_type: String,
    /// The timer's id, for a dead timer.
    #[prost(string, tag = "21")]
    pub timer_id: String,
}

/// Why bytes are not an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the parked entry is empty")]
    Empty,
    #[error("entry format {found} is unknown to this version, which writes {FORMAT}")]
    Format { found: u8 },
    #[error("the parked entry does not parse: {reason}")]
    Malformed { reason: String },
}

/// The code of an entry that waits in the queue and is not dead.
pub const QUEUED: &str = "queued";

impl Entry {
    pub fn position(&self) -> Position {
        Position {
            sequence: self.sequence,
            stored_ns: self.stored_ns,
        }
    }
}

/// Reads an entry.
///
/// # Errors
/// See [`Error`].
pub fn decode(bytes: &[u8]) -> Result<Entry, Error> {
    let (format, body) = bytes.split_first().ok_or(Error::Empty)?;
    if *format != FORMAT {
        return Err(Error::Format { found: *format });
    }
    Entry::decode(body).map_err(|e| Error::Malformed {
        reason: e.to_string(),
    })
}

pub fn encode(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + entry.encoded_len());
    bytes.push(FORMAT);
    entry.encode_raw(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_parked_comes_back_whole() {
        let entry = Entry {
            key: "k".into(),
            data: Bytes::from_static(&[0, 255, 1]),
            header_block: Bytes::from_static(&[0xff]),
            ..Entry::default()
        };
        assert_eq!(decode(&encode(&entry)), Ok(entry));
        assert_eq!(decode(&[]), Err(Error::Empty));
        assert_eq!(decode(&[3]), Err(Error::Format { found: 3 }));
    }
}
