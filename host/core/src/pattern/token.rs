//! A key as one subject token, and back.
//!
//! A key may hold anything; a token may not hold dots, wildcards or spaces. So
//! every byte outside `[A-Za-z0-9_/-]` is escaped as `%` and two hex digits.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::Error;

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'/').remove(b'-');

pub(super) fn encode(key: &str) -> String {
    utf8_percent_encode(key, ESCAPED).to_string()
}

/// A value as one part of a key of several: it may not look like two parts.
pub(super) fn encode_part(value: &str) -> String {
    value.replace('%', "%25").replace('/', "%2F")
}

pub(super) fn decode(token: &str) -> Result<String, Error> {
    let bytes = token.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let whole = |at: usize| bytes[at] != b'%' || (digit(at + 1) && digit(at + 2));
    if !(0..bytes.len()).all(whole) {
        return Err(Error::BadEscape {
            token: token.to_owned(),
        });
    }
    match percent_decode_str(token).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(Error::NotUtf8 {
            token: token.to_owned(),
        }),
    }
}
