//! A hash chain over every event of every aggregate, on a stream of its own.
//!
//! Takes every event as it is, whatever its type, adds a link to the chain of
//! its aggregate, and keeps nothing but the chain's head: its length and last
//! hash, 40 bytes. `audit_chain` defines the links and verifies them.

use audit_chain::{Head, Link};
use wharf::{Effects, Event, Raw, State, Undecodable};

/// What is said of every event.
#[derive(Debug, wharf::Emit)]
enum Out {
    #[emit("audit.appended")]
    Appended(Link),
}

/// Where a chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain(pub Head);

impl State for Chain {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let head = Head::from_bytes(bytes);
        head.map(Self).ok_or_else(|| {
            Undecodable::new(format!("{} bytes instead of {}", bytes.len(), Head::BYTES))
        })
    }

    fn encode(&self) -> Vec<u8> {
        self.0.to_bytes().to_vec()
    }
}

/// Adds one link.
#[wharf::handler]
pub fn audit(event: &Event, Raw(data): Raw, state: &mut Option<Chain>) -> wharf::Result {
    let Chain(head) = state.unwrap_or_default();
    let link = head.append(
        &event.key,
        audit_chain::Event {
            source: &event.source,
            id: &event.id,
            event_type: &event.event_type,
            subject: &event.subject,
            sequence: event.sequence,
            data: &data,
        },
    );
    *state = Some(Chain(link.head()));
    let mut effects = Effects::new();
    effects.emit(Out::Appended(link));
    Ok(effects)
}
