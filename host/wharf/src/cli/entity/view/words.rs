//! Times, digests and statuses as words.

use std::time::Duration;

use wharf_core::config::units::format_duration;
use wharf_core::record::Status;
use wharf_jetstream::api::stamp;

/// A status as the glossary has it.
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Live => "live",
        Status::Retrying => "retrying",
        Status::WaitingNeed => "waiting-need",
        Status::NotReady => "not-ready",
        Status::Dead => "dead",
        Status::OutboxBlocked => "outbox-blocked",
    }
}

/// RFC 3339, UTC.
pub fn time(ms: u64) -> String {
    stamp::format(ms.saturating_mul(1_000_000))
}

pub fn ahead(at_ms: u64, now_ms: u64) -> String {
    if at_ms > now_ms {
        format!("in {}", rough(at_ms - now_ms))
    } else {
        "due".to_owned()
    }
}

pub fn ago(at_ms: u64, now_ms: u64) -> String {
    format!("{} ago", rough(now_ms.saturating_sub(at_ms)))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A duration with one unit: seconds below two minutes, and so on.
fn rough(ms: u64) -> String {
    const STEPS: [u64; 3] = [86_400_000, 3_600_000, 60_000];
    let unit = STEPS
        .into_iter()
        .find(|step| ms >= 2 * step)
        .unwrap_or(1_000);
    if ms < 1_000 {
        format!("{ms}ms")
    } else {
        format_duration(Duration::from_millis(ms / unit * unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_one_unit() {
        let cases = [
            (0, "0ms"),
            (999, "999ms"),
            (1_500, "1s"),
            (119_000, "119s"),
            (121_000, "2m"),
            (86_400_000 * 3, "3d"),
        ];
        for (ms, said) in cases {
            assert_eq!(rough(ms), said, "{ms}");
        }
        assert_eq!(ahead(5_000, 1_000), "in 4s");
        assert_eq!(ahead(1_000, 5_000), "due");
    }
}
