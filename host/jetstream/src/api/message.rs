//! Stored messages as `STREAM.MSG.GET` shows them: the leader's word.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::stamp;

/// Which message is wanted. The constructors are the combinations that the
/// broker takes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Query<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_by_subj: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_by_subj: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
}

impl<'a> Query<'a> {
    /// The message with this sequence.
    pub fn at(sequence: u64) -> Self {
        Self {
            seq: Some(sequence),
            ..Self::default()
        }
    }

    /// The newest message of a subject.
    pub fn last(subject: &'a str) -> Self {
        Self {
            last_by_subj: Some(subject),
            ..Self::default()
        }
    }

    /// The first message that matches `filter`, from `sequence` on.
    pub fn next(filter: &'a str, sequence: u64) -> Self {
        Self {
            next_by_subj: Some(filter),
            seq: Some(sequence.max(1)),
            ..Self::default()
        }
    }

    /// The first message that matches `filter` and was stored at or after a time.
    pub fn next_since(filter: &'a str, since_ns: u64) -> Self {
        Self {
            next_by_subj: Some(filter),
            start_time: Some(stamp::format(since_ns)),
            ..Self::default()
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) message: StoredMessage,
}

/// A message as the stream holds it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StoredMessage {
    pub subject: String,
    #[serde(rename = "seq")]
    pub sequence: u64,
    /// When the leader stored it, in nanoseconds since 1970.
    #[serde(rename = "time", deserialize_with = "stamp::deserialize")]
    pub stored_ns: u64,
    /// The header block as stored, not necessarily UTF-8; empty without headers.
    #[serde(rename = "hdrs", default, deserialize_with = "bytes")]
    pub header_block: Bytes,
    #[serde(default, deserialize_with = "bytes")]
    pub data: Bytes,
}

impl StoredMessage {
    /// The first value of a header, its name compared without case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let lines = self.header_block.split(|byte| *byte == b'\n').skip(1);
        lines
            .filter_map(split_header)
            .find_map(|(key, value)| key.eq_ignore_ascii_case(name.as_bytes()).then_some(value))
    }
}

fn split_header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    STANDARD
        .decode(text.as_bytes())
        .map(Bytes::from)
        .map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_without_case_and_need_not_be_text() {
        let text = serde_json::json!({
            "subject": "a.b", "seq": 7, "time": "2026-11-21T14:38:59.229910845Z",
            "hdrs": STANDARD.encode(b"NATS/1.0\r\nNats-Msg-Id: one\r\nX: \xff\r\n\r\n"),
            "data": STANDARD.encode("payload"),
        });
        let message: StoredMessage = serde_json::from_value(text).unwrap();
        assert_eq!(message.header("nats-msg-id"), Some(&b"one"[..]));
        assert_eq!(message.header("x"), Some(&b"\xff"[..]));
        assert_eq!(message.header("y"), None);
        assert_eq!(message.data, "payload");
    }
}
