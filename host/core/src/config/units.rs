//! Durations and sizes as files write them: a whole number and one unit.

use std::time::Duration;

const DURATIONS: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];
const SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Reads `250ms`, `3s`, `15m`, `24h` or `90d`. None: it is none of these, or
/// longer than `u64` milliseconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, DURATIONS).map(Duration::from_millis)
}

/// Reads `512B`, `64KiB`, `1MiB` or `10GiB`, in bytes. None: it is none of
/// these, or larger than `u64`.
pub fn parse_size(text: &str) -> Option<u64> {
    parse(text, SIZES)
}

/// A duration in the largest unit that is exact, such as `15m`; milliseconds
/// are the smallest.
pub fn format_duration(duration: Duration) -> String {
    format(
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        DURATIONS,
    )
}

/// A size in the largest unit that is exact, such as `64KiB`.
pub fn format_size(bytes: u64) -> String {
    format(bytes, SIZES)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn format(amount: u64, units: &[(&str, u64)]) -> String {
    let exact = units
        .iter()
        .find(|(_, factor)| amount >= *factor && amount.is_multiple_of(*factor));
    let smallest = units.last().map_or("", |(name, _)| name);
    match exact {
        Some((name, factor)) => format!("{}{name}", amount / factor),
        None => format!("{amount}{smallest}"),
    }
}
