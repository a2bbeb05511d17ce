//! Bounds of one attempt, from the manifest's table `[limits]`.

use std::time::Duration;

/// All bounds of an attempt. Every one is enforced by the engine or by `check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Wall time of a call of `handle`, host calls included.
    pub time: Duration,
    /// CPU time of a call of `handle`, host calls left out.
    pub cpu_time: Duration,
    /// All linear memories together, in bytes.
    pub memory_bytes: u64,
    /// State that a handler may put, in bytes.
    pub state_bytes: u64,
    /// All emissions of a call: data, subject, attributes and 128 B each.
    pub emit_bytes: u64,
    /// Number of emissions of a call, at most 1024.
    pub emits: u32,
    /// Body of an outbound request, in bytes.
    pub request_bytes: u64,
    /// Body of an outbound response, in bytes.
    pub response_bytes: u64,
    /// Log lines of an attempt, in bytes.
    pub log_bytes: u64,
    /// Length of a causation chain.
    pub hops: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            cpu_time: Duration::from_secs(1),
            memory_bytes: 64 << 20,
            state_bytes: 256 << 10,
            emit_bytes: 256 << 10,
            emits: 64,
            request_bytes: 256 << 10,
            response_bytes: 1 << 20,
            log_bytes: 64 << 10,
            hops: 64,
        }
    }
}
