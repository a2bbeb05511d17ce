//! An entry in parts, and the label that holds them together.

use async_nats::HeaderMap;
use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use crate::api::message::StoredMessage;

const LABEL: &str = "Wharf-Entry";
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
const EXPECTED_SUBJECT: &str = "Nats-Expected-Last-Subject-Sequence-Subject";
const DIGEST_BYTES: usize = 16;

/// On every part: the number of parts and a digest of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    parts: u32,
    digest: [u8; DIGEST_BYTES],
}

impl Label {
    pub(super) fn of(entry: &[u8], parts: u32) -> Self {
        Self {
            parts,
            digest: digest(entry),
        }
    }

    pub(super) fn parts(&self) -> u32 {
        self.parts
    }

    /// The label, and the condition that `record` is still at `revision`.
    pub(super) fn headers(&self, record: &str, revision: u64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let digest = data_encoding::HEXLOWER.encode(&self.digest);
        headers.insert(LABEL, format!("{};{digest}", self.parts));
        headers.insert(EXPECTED, revision.to_string());
        headers.insert(EXPECTED_SUBJECT, record);
        headers
    }

    pub(super) fn from_message(message: &StoredMessage) -> Option<Self> {
        Self::parse(std::str::from_utf8(message.header(LABEL)?).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (parts, digest) = text.split_once(';')?;
        let digest = data_encoding::HEXLOWER.decode(digest.as_bytes()).ok()?;
        Some(Self {
            parts: parts.parse().ok()?,
            digest: digest.try_into().ok()?,
        })
    }
}

/// An empty entry is one empty part.
pub(super) fn cut(entry: &Bytes, part_bytes: usize) -> Vec<Bytes> {
    let starts = (0..entry.len().max(1)).step_by(part_bytes);
    starts
        .map(|at| entry.slice(at..entry.len().min(at.saturating_add(part_bytes))))
        .collect()
}

/// None when the parts are not those that the label was made for.
pub(super) fn join(parts: &[Bytes], label: &Label) -> Option<Bytes> {
    let whole = match parts {
        [one] => one.clone(),
        many => {
            let mut whole = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
            many.iter().for_each(|part| whole.extend_from_slice(part));
            whole.freeze()
        }
    };
    (digest(&whole) == label.digest).then_some(whole)
}

fn digest(entry: &[u8]) -> [u8; DIGEST_BYTES] {
    let hash: [u8; 32] = Sha256::digest(entry).into();
    let mut short = [0; DIGEST_BYTES];
    short.copy_from_slice(&hash[..DIGEST_BYTES]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_join_to_what_was_cut_and_to_nothing_else() {
        for length in [0, 1, 9, 10, 11, 30, 31] {
            let entry = Bytes::from((0u8..length).collect::<Vec<_>>());
            let parts = cut(&entry, 10);
            assert!(parts.iter().all(|part| part.len() <= 10));
            let label = Label::of(&entry, parts.len().try_into().unwrap());
            assert_eq!(join(&parts, &label), Some(entry.clone()), "{length} bytes");
            let other = Label::of(b"something else", label.parts());
            assert_eq!(join(&parts, &other), None);
        }
    }

    #[test]
    fn a_label_survives_its_header() {
        let label = Label::of(b"entry", 3);
        let headers = label.headers("r", 7);
        let text = headers.get(LABEL).unwrap().as_str();
        assert_eq!(Label::parse(text), Some(label));
        assert_eq!(Label::parse("3"), None);
        assert_eq!(Label::parse("3;zz"), None);
    }
}
