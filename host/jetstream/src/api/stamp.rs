//! The broker's time stamps: RFC 3339 text on the wire, nanoseconds here.

use serde::{Deserialize, Deserializer, de::Error as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Nanoseconds since 1970; None when `text` is no time stamp, 0 for the year 1
/// that an empty stream reports.
pub fn parse(text: &str) -> Option<u64> {
    let nanos = OffsetDateTime::parse(text, &Rfc3339)
        .ok()?
        .unix_timestamp_nanos();
    Some(u64::try_from(nanos).unwrap_or(0))
}

/// RFC 3339 in UTC. A time past the year 9999 is written as its last second.
pub fn format(nanos: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos))
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "9999-12-31T23:59:59Z".to_owned())
}

/// For `#[serde(deserialize_with)]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no RFC 3339 time")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_survive_the_way_there_and_back() {
        let nanos = 1_795_271_939_225_941_488;
        assert_eq!(parse(&format(nanos)), Some(nanos));
        assert_eq!(parse("0001-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse("yesterday"), None);
    }
}
