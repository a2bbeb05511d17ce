//! What an operator sees of a host: logs on stderr, metrics over HTTP, traces
//! through a collector.
//!
//! Whoever measures hands values in. Nothing here asks the broker or the
//! engine, decides anything, or may hold up the work that it tells of.

mod error;
pub mod logs;
pub mod metrics;
pub mod traces;

pub use error::Error;
