//! One link, and the head that the next one joins.

use crate::Digest;
use serde::{Deserialize, Serialize};

/// Names this way to compute a hash; another way gets another name.
const DOMAIN: &[u8] = b"wharf-audit-1";

/// What of an event goes into its link.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    pub source: &'a str,
    pub id: &'a str,
    pub event_type: &'a str,
    pub subject: &'a str,
    /// Position in its stream.
    pub sequence: u64,
    pub data: &'a [u8],
}

/// The end of a chain. The one of an empty chain is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Links so far.
    pub n: u64,
    /// Hash of the last one; zero when there is none.
    pub hash: Digest,
}

/// One link: the data of an event `audit.appended`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The chain: `{aggregate}/{id}`.
    pub key: String,
    /// Position in the chain, from 1.
    pub n: u64,
    /// Hash of the link before; zero for the first.
    pub prev: Digest,
    /// Hash of this link, as the crate defines it.
    pub hash: Digest,
    pub source: String,
    pub id: String,
    #[serde(rename = "type")]
    pub event_type: String,
    pub subject: String,
    pub sequence: u64,
    pub data_sha256: Digest,
}

impl Head {
    pub const BYTES: usize = 8 + Digest::BYTES;

    /// The link that an event adds to the chain `key`.
    pub fn append(&self, key: &str, event: Event<'_>) -> Link {
        let mut link = Link {
            key: key.to_owned(),
            n: self.n + 1,
            prev: self.hash,
            hash: Digest::default(),
            source: event.source.to_owned(),
            id: event.id.to_owned(),
            event_type: event.event_type.to_owned(),
            subject: event.subject.to_owned(),
            sequence: event.sequence,
            data_sha256: Digest::of(event.data),
        };
        link.hash = link.computed_hash();
        link
    }

    /// The position, big-endian, and the hash.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.n.to_be_bytes());
        bytes[8..].copy_from_slice(self.hash.as_bytes());
        bytes
    }

    /// What [`Head::to_bytes`] wrote; none for another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (n, hash) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            n: u64::from_be_bytes(*n),
            hash: Digest::from_bytes(hash.try_into().ok()?),
        })
    }
}

impl Link {
    /// The hash that the link's other fields give.
    pub fn computed_hash(&self) -> Digest {
        Digest::of_parts(&[
            DOMAIN,
            self.prev.as_bytes(),
            &self.n.to_be_bytes(),
            self.key.as_bytes(),
            self.source.as_bytes(),
            self.id.as_bytes(),
            self.event_type.as_bytes(),
            self.subject.as_bytes(),
            &self.sequence.to_be_bytes(),
            self.data_sha256.as_bytes(),
        ])
    }

    /// The head of the chain that ends with this link.
    pub fn head(&self) -> Head {
        Head {
            n: self.n,
            hash: self.hash,
        }
    }

    /// Whether these are the data of the event that the link stands for.
    pub fn is_of(&self, data: &[u8]) -> bool {
        self.data_sha256 == Digest::of(data)
    }
}
