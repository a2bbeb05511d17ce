//! One decoded event, before it meets a handler.

use bytes::Bytes;

/// What the codec makes of a delivery, whatever wire form it had.
///
/// Which entity it belongs to is the handler's business and is decided by
/// `route`; one event can be of several entities in several handlers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// 1 to 256 bytes, unique together with `source`.
    pub id: String,
    /// CloudEvents `source`; empty when unknown.
    pub source: String,
    /// CloudEvents `type`; empty for raw bytes without one.
    pub event_type: String,
    pub subject: String,
    pub content_type: String,
    /// Producer's time, else the broker's, in milliseconds since 1970.
    pub time_ms: u64,
    pub position: Position,
    /// None: the event begins a flow of its own.
    pub correlation_id: Option<String>,
    pub causation_id: Option<String>,
    /// CloudEvents extension attributes without `ce-`, sorted by name; the values
    /// of a repeated name as they came.
    pub attributes: Vec<(String, String)>,
    /// All other headers, lower-case names; a manifest may ask for some.
    pub headers: Vec<(String, String)>,
    /// Emissions between the first publish of the flow and this event.
    pub hops: u32,
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
    pub data: Bytes,
}

/// Where a delivery stands in its stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1; 0 for what has no place in a stream, such as a timer.
    pub sequence: u64,
    /// When the broker stored it, nanoseconds since 1970.
    pub stored_ns: u64,
}

/// Why bytes are not an event. They are parked as they came, once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    #[error("the subject is not UTF-8")]
    SubjectNotUtf8,
    #[error("header `{name}` is not UTF-8")]
    HeaderNotUtf8 { name: String },
    #[error("header `{name}` appears {count} times with different values")]
    DuplicateHeader { name: String, count: usize },
    #[error("CloudEvents attribute `{name}` is missing")]
    MissingAttribute { name: &'static str },
    #[error("CloudEvents specversion `{found}` is not 1.0")]
    SpecVersion { found: String },
    #[error("the event's id has {bytes} bytes; 1 to 256 are allowed")]
    IdLength { bytes: usize },
    #[error("the structured event is not valid: {reason}")]
    Structured { reason: String },
    #[error("the subject matches no subscription of the handler")]
    NoSubscription,
    #[error("no key: {reason}")]
    NoKey { reason: String },
    #[error("the key has {bytes} bytes; 1 to 256 are allowed")]
    KeyLength { bytes: usize },
    #[error("the type `{event_type}` is reserved: only the host makes events of it")]
    ReservedType { event_type: String },
    #[error("the headers have {bytes} bytes; at most {max} are allowed")]
    HeadersTooLarge { bytes: usize, max: usize },
}

impl Undecodable {
    /// The code that groups dead letters.
    pub fn code(&self) -> &'static str {
        match self {
            Self::SubjectNotUtf8 => "subject-not-utf8",
            Self::HeaderNotUtf8 { .. } => "header-not-utf8",
            Self::DuplicateHeader { .. } => "duplicate-header",
            Self::MissingAttribute { .. } => "missing-attribute",
            Self::SpecVersion { .. } => "spec-version",
            Self::IdLength { .. } => "id-length",
            Self::Structured { .. } => "structured",
            Self::NoSubscription => "no-subscription",
            Self::NoKey { .. } => "no-key",
            Self::KeyLength { .. } => "key-length",
            Self::ReservedType { .. } => "reserved-type",
            Self::HeadersTooLarge { .. } => "headers-too-large",
        }
    }
}
