//! The audit trail's hash chain.
//!
//! Each aggregate has a chain of its own; its name is the key of the handler
//! `audit`, `{aggregate}/{id}`. Each event of the aggregate becomes one [`Link`],
//! the data of an event `audit.appended`. A link's hash is SHA-256 over these
//! parts, in this order, each preceded by its length in bytes as a 64-bit
//! big-endian number:
//!
//! | part | bytes |
//! |---|---|
//! | the text `wharf-audit-1` | UTF-8 |
//! | hash of the link before; 32 zero bytes for the first | 32 |
//! | position in the chain, from 1 | 8, big-endian |
//! | key of the chain | UTF-8 |
//! | the event's source, id, type and subject, four parts | UTF-8 |
//! | the event's sequence in its stream | 8, big-endian |
//! | SHA-256 of the event's data | 32 |
//!
//! So whoever changes, drops, inserts or swaps a link must change every later
//! one. What a chain cannot tell by itself is whether its end was cut off:
//! compare its head with the state of the handler.

mod digest;
mod link;
mod verify;

pub use digest::Digest;
pub use link::{Event, Head, Link};
pub use verify::{Broken, Error, Fault, Verifier, verify};
