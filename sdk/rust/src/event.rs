//! What goes in.

use crate::codec::{Raw, Undecodable};
pub use crate::wire::Event;

impl Event {
    /// The first extension attribute of this name, without the prefix `ce-`; or
    /// a header that the subscription names. Names are lower-case.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let mut named = self.attributes.iter().filter(|(key, _)| key == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

/// The events that a handler acts on. Derive it, for an enum with a variant for
/// each; or take [`Raw`] to get every event undecoded.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the input of a handler",
    label = "this type does not say which events it stands for",
    note = "derive `wharf::Events` for an enum, with `#[event(\"type\")]` on each variant"
)]
pub trait Events: Sized {
    /// The value of an event; none when the handler does not act on its type.
    ///
    /// # Errors
    /// When the type is known and the data do not fit it: the event is rejected
    /// with the code `bad-data`.
    fn decode(event: &Event, data: Vec<u8>) -> Result<Option<Self>, Undecodable>;
}

impl Events for Raw {
    fn decode(_: &Event, data: Vec<u8>) -> Result<Option<Self>, Undecodable> {
        Ok(Some(Self(data)))
    }
}
