//! The only place where the host reads a clock or draws a random number.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Uniform over `u64`.
pub fn random() -> u64 {
    rand::random()
}

/// Names one commit among all commits ever made.
pub fn commit_id() -> [u8; 16] {
    rand::random()
}
