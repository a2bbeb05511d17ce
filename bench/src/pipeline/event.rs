//! The events that every row works on: 256 bytes, 1,000 keys, each with a number
//! that its emission carries on.

use std::ops::RangeInclusive;

use anyhow::{Context, Result};
use async_nats::HeaderMap;
use bytes::Bytes;

pub const DATA_BYTES: usize = 256;
pub const KEYS: u64 = 1_000;

/// Digits in front of the data that say which event it is.
const NUMBER_DIGITS: usize = 12;
const SOURCE: &str = "bench";
const EVENT_TYPE: &str = "bench.event";

/// Subject, headers and data of an event: CloudEvents 1.0, binary mode.
pub fn of(number: u64) -> (String, HeaderMap, Bytes) {
    let id = format!("{number:0NUMBER_DIGITS$}");
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", id.as_str());
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-id", id.as_str());
    headers.insert("ce-type", EVENT_TYPE);
    headers.insert("ce-source", SOURCE);
    headers.insert("content-type", "application/octet-stream");
    let mut data = id.into_bytes();
    data.resize(DATA_BYTES, b'.');
    (format!("in.k{}", key(number)), headers, Bytes::from(data))
}

/// Keys come in no order, so that some have several events close together.
fn key(number: u64) -> u64 {
    // Knuth's multiplicative hash; the upper half is the better one.
    (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % KEYS
}

/// The key of a subject of ours.
///
/// # Errors
/// When it is none.
pub fn key_of(subject: &str) -> Result<&str> {
    let key = subject.split_once('.').map(|(_, key)| key);
    key.with_context(|| format!("{subject} has no key"))
}

/// The digits at the front of an event's or an emission's data.
///
/// # Errors
/// When it is too short.
pub fn number_text(data: &[u8]) -> Result<&str> {
    let digits = data.get(..NUMBER_DIGITS).context("data without a number")?;
    Ok(std::str::from_utf8(digits)?)
}

/// Which event this is, or is an emission of; it must be one of `range`.
///
/// # Errors
/// When it is none of them.
pub fn number(data: &[u8], range: &RangeInclusive<u64>) -> Result<u64> {
    let number: u64 = number_text(data)?.parse()?;
    anyhow::ensure!(range.contains(&number), "no such event: {number}");
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_its_number_and_is_as_large_as_promised() {
        let (subject, headers, data) = of(4_711);
        assert_eq!(data.len(), DATA_BYTES);
        assert_eq!(number(&data, &(0..=9_999)).expect("a number"), 4_711);
        assert!(number(&data, &(0..=4_710)).is_err());
        assert_eq!(key_of(&subject).expect("a key"), format!("k{}", key(4_711)));
        assert_eq!(
            headers.get("ce-id").expect("an id").as_str(),
            "000000004711"
        );
    }

    #[test]
    fn all_keys_come_up_about_equally_often() {
        let mut counts = vec![0; usize::try_from(KEYS).expect("small")];
        for number in 0..100 * KEYS {
            counts[usize::try_from(key(number)).expect("small")] += 1;
        }
        let most = counts.iter().max();
        let least = counts.iter().min();
        assert!(
            least >= Some(&50) && most <= Some(&200),
            "{least:?} {most:?}"
        );
    }
}
