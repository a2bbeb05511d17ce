//! From bytes to values and back.

use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// State of an entity, between events.
///
/// Implemented for every type that serde reads and writes, as JSON. Use ordered
/// maps in such a type: equal states must have equal bytes, or each event writes
/// the state anew. Implement it by hand for a compact form of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the state of an entity",
    label = "this type has no stored form",
    note = "derive serde's `Serialize` and `Deserialize` for it, or implement `wharf::State` by hand"
)]
pub trait State: Sized {
    /// Reads what [`State::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are something else. The component traps then: a version
    /// that cannot read the state must not go on without it.
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable>;

    /// At least one byte, and the same bytes for equal states.
    fn encode(&self) -> Vec<u8>;
}

impl<T: Serialize + DeserializeOwned> State for T {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        decode(bytes)
    }

    fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

/// Bytes as they are: the input of a handler that takes every event, or a state
/// without a structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw(pub Vec<u8>);

impl State for Raw {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        Ok(Self(bytes.to_vec()))
    }

    fn encode(&self) -> Vec<u8> {
        self.0.clone()
    }
}

/// Bytes that are not what was expected. Through `?` it becomes a reject with
/// the code `bad-data`.
///
/// Says what is wrong and where, but repeats nothing of the bytes: it ends up in
/// dead letters and logs, where payloads do not belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable(String);

impl Undecodable {
    /// With a reason for people; no payload in it.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Undecodable {}

impl From<&serde_json::Error> for Undecodable {
    fn from(error: &serde_json::Error) -> Self {
        use serde_json::error::Category;
        let what = match error.classify() {
            Category::Syntax => "not JSON",
            Category::Eof => "JSON that ends too early",
            Category::Data => "JSON of another shape than expected",
            Category::Io => "unreadable",
        };
        Self(format!(
            "{what}, line {} column {}",
            error.line(),
            error.column()
        ))
    }
}

/// JSON to a value.
#[doc(hidden)]
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Undecodable> {
    serde_json::from_slice(bytes).map_err(|error| Undecodable::from(&error))
}

/// A value to JSON. Panics on what JSON cannot hold, such as a map whose keys
/// are not text: that is a mistake in the type, not in a value.
#[doc(hidden)]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    match serde_json::to_vec(value) {
        Ok(bytes) => bytes,
        Err(error) => panic!(
            "{} cannot be written as JSON: {error}",
            std::any::type_name::<T>()
        ),
    }
}
