//! An event on its way to a handler.

use crate::codec::encode;
use crate::wire::Event;
use serde::Serialize;

/// An event, with everything that the test leaves open filled in by
/// [`Entity::when`](super::Entity::when).
#[derive(Debug, Clone)]
pub struct Delivery {
    pub(super) event_type: String,
    pub(super) data: Vec<u8>,
    pub(super) id: Option<String>,
    pub(super) time_ms: Option<u64>,
    pub(super) subject: String,
    pub(super) attempt: u32,
    pub(super) first_try: bool,
    pub(super) attributes: Vec<(String, String)>,
}

/// An event with data as JSON.
pub fn event<T: Serialize + ?Sized>(event_type: impl Into<String>, data: &T) -> Delivery {
    bytes(event_type, encode(data))
}

/// An event with data as they are.
pub fn bytes(event_type: impl Into<String>, data: impl Into<Vec<u8>>) -> Delivery {
    Delivery {
        event_type: event_type.into(),
        data: data.into(),
        id: None,
        time_ms: None,
        subject: String::new(),
        attempt: 1,
        first_try: true,
        attributes: Vec::new(),
    }
}

impl Delivery {
    /// Its id; otherwise each delivery has another one.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// When it happened, in milliseconds since 1970; otherwise now.
    #[must_use]
    pub fn time_ms(mut self, time_ms: u64) -> Self {
        self.time_ms = Some(time_ms);
        self
    }

    /// The subject that it was published on; otherwise empty.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// An earlier try may have run to any point: `first_try` is false.
    #[must_use]
    pub fn again(mut self) -> Self {
        self.first_try = false;
        self
    }

    /// After this many counted failures.
    #[must_use]
    pub fn after_failures(mut self, failures: u32) -> Self {
        self.attempt = failures + 1;
        self.first_try = failures == 0 && self.first_try;
        self
    }

    /// Adds an extension attribute.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// The event as the handler of `key` sees it, and its data.
    pub(super) fn arrive(self, key: &str, now_ms: u64, sequence: u64) -> (Event, Vec<u8>) {
        let id = self.id.unwrap_or_else(|| format!("event-{sequence}"));
        let event = Event {
            source: "test".to_owned(),
            event_type: self.event_type,
            subject: self.subject,
            key: key.to_owned(),
            content_type: "application/json".to_owned(),
            time_ms: self.time_ms.unwrap_or(now_ms),
            now_ms,
            sequence,
            attempt: self.attempt,
            first_try: self.first_try,
            idempotency_key: idempotency_key(key, &id),
            correlation_id: id.clone(),
            causation_id: None,
            attributes: self.attributes,
            id,
        };
        (event, self.data)
    }
}

/// 32 hex digits that are the same for every try of an event (FNV-1a).
fn idempotency_key(key: &str, id: &str) -> String {
    let bytes = key.bytes().chain([0]).chain(id.bytes());
    let hash = bytes.fold(
        0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128,
        |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        },
    );
    format!("{hash:032x}")
}
