//! Ids that are derived, never drawn: the same event in the same handler gives
//! the same ids in every try, on every host, in every version.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

/// Sixteen bytes that stand for (source, event id) in an id list.
pub type EventHash = [u8; 16];
/// Eight bytes that stand for an event's content (type, subject, data).
pub type ContentHash = [u8; 8];

/// What every derived id of an attempt begins with.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    pub lineage: &'a str,
    pub source: &'a str,
    pub id: &'a str,
    pub key: &'a str,
}

impl Identity<'_> {
    /// The id of the emission at `ordinal`: 26 characters of base32.
    pub fn emission(&self, ordinal: u32) -> String {
        let parts = [
            self.lineage,
            self.source,
            self.id,
            self.key,
            &ordinal.to_string(),
        ];
        token(&digest("emission", parts.map(str::as_bytes)))
    }

    /// The event's `idempotency-key`: 32 characters of `[0-9a-f]`.
    pub fn idempotency_key(&self) -> String {
        let parts = [self.lineage, self.source, self.id, self.key];
        hex16(&digest("attempt", parts.map(str::as_bytes)))
    }

    /// The key of the `n`th call (from 0) that equals others in need, method
    /// and path: 32 characters of `[0-9a-f]`. Naming the call, and not only
    /// counting it, keeps another version's call from taking its place.
    pub fn call(&self, need: &str, method: &str, path: &str, n: u32) -> String {
        let n = n.to_string();
        let parts = [
            self.lineage,
            self.source,
            self.id,
            self.key,
            need,
            method,
            path,
            &n,
        ];
        hex16(&digest("call", parts.map(str::as_bytes)))
    }
}

/// The token that stands for a key in subjects: raw keys hold `*`, `>` and dots.
pub fn entity_token(key: &str) -> String {
    token(&Sha256::digest(key.as_bytes()))
}

/// The entry of an id list for an event.
pub fn event_hash(source: &str, id: &str) -> EventHash {
    prefix(&digest("event", [source.as_bytes(), id.as_bytes()]))
}

/// Tells two contents under one id apart. Headers are left out: a republish
/// may carry another trace.
pub fn content_hash(event_type: &str, subject: &str, data: &[u8]) -> ContentHash {
    prefix(&digest(
        "content",
        [event_type.as_bytes(), subject.as_bytes(), data],
    ))
}

/// The key under which `ordering = "none"` keeps the record of one event.
pub fn event_entity(source: &str, id: &str) -> String {
    hex16(&digest("entity", [source.as_bytes(), id.as_bytes()]))
}

/// The id of the event that a timer comes back as.
pub fn timer_id(name: &str, set_by: &EventHash, position: u32) -> String {
    let position = position.to_string();
    let hash = digest(
        "timer",
        [name.as_bytes(), set_by.as_slice(), position.as_bytes()],
    );
    format!("{name}/{}", token(&hash))
}

/// Every part goes in behind its length, so that no two lists of parts meet.
fn digest<'a>(label: &'static str, parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in std::iter::once(label.as_bytes()).chain(parts) {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn token(hash: &[u8]) -> String {
    let mut text = BASE32_NOPAD.encode(hash);
    text.truncate(26);
    text.make_ascii_lowercase();
    text
}

fn hex16(hash: &[u8; 32]) -> String {
    data_encoding::HEXLOWER.encode(&hash[..16])
}

fn prefix<const N: usize>(hash: &[u8; 32]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&hash[..N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Identity<'_> = Identity {
        lineage: "order-1",
        source: "web",
        id: "1",
        key: "A",
    };

    #[test]
    fn ids_are_stable_across_releases() {
        assert_eq!(A.emission(0).len(), 26);
        assert_eq!(A.idempotency_key().len(), 32);
        assert_eq!(A.emission(0), A.emission(0));
        assert_eq!(entity_token("ORD-1").len(), 26);
    }

    #[test]
    fn interleaving_04_equal_producer_ids_on_two_keys_give_different_emission_ids() {
        let b = Identity { key: "B", ..A };
        assert_ne!(A.emission(0), b.emission(0));
    }

    #[test]
    fn a_byte_moved_from_one_part_to_the_next_changes_the_id() {
        let left = Identity {
            source: "we",
            id: "b1",
            ..A
        };
        let right = Identity {
            source: "web",
            id: "1",
            ..A
        };
        assert_ne!(left.emission(0), right.emission(0));
        assert_ne!(event_hash("we", "b1"), event_hash("web", "1"));
    }

    #[test]
    fn another_call_at_the_same_place_has_another_key() {
        let authorize = A.call("gateway", "POST", "/authorize", 0);
        let check = A.call("gateway", "POST", "/fraud-check", 0);
        assert_ne!(authorize, check);
        assert_ne!(authorize, A.call("gateway", "POST", "/authorize", 1));
    }
}
