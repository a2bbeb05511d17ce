//! What an operator sees of a host: logs on stderr and metrics over HTTP.
//!
//! Whoever measures hands values in. Nothing here asks the broker or the
//! engine, decides anything, or may hold up the work that it tells of.

mod error;
pub mod logs;
pub mod metrics;

pub use error::Error;
