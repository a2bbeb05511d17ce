//! What can be wrong with a pattern, a template, a key rule or a key.

use super::{KEY_BYTES_MAX, PATTERN_BYTES_MAX, SUBJECT_BYTES_MAX};

/// Why a text is no pattern, template or key rule, or a value no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("it has {bytes} bytes; 1 to {PATTERN_BYTES_MAX} are allowed")]
    Length { bytes: usize },
    #[error("it has an empty token")]
    EmptyToken,
    #[error("`>` stands before the last token")]
    RestNotLast,
    #[error("`{token}` is not a token: {reason}")]
    BadToken { token: String, reason: &'static str },
    #[error(
        "`{name}` names no capture: use lower-case letters, digits, `_` and `-`, a letter first"
    )]
    BadCapture { name: String },
    #[error("`{name}` is captured twice")]
    CapturedTwice { name: String },
    #[error("`{{key}}` must stand in it exactly once, as a whole token")]
    KeyNotOnce,
    #[error("`{token}` is a wildcard; an event is published on one subject")]
    Wildcard { token: String },
    #[error("it takes nothing from the subject, so that all events would be of one entity")]
    ConstantKey,
    #[error("two captures need a separator with `/` between them")]
    NoSeparator,
    #[error("a brace is not closed, or not opened")]
    UnbalancedBrace,
    #[error("`{text}` is not a JSON pointer such as `/order/id`")]
    BadPointer { text: String },
    #[error("`{name}` is not a {what} name")]
    BadName { what: &'static str, name: String },
    #[error(
        "`{name}` carries an attribute or trace context; use `attribute:` with a name without `ce-`"
    )]
    AttributeHeader { name: String },
    #[error("the subject has no token for `{name}`")]
    NoCapture { name: String },
    #[error("`{token}` holds a `%` without two hex digits behind it")]
    BadEscape { token: String },
    #[error("`{token}` is not UTF-8 when its escapes are decoded")]
    NotUtf8 { token: String },
    #[error("the key has {bytes} bytes; 1 to {KEY_BYTES_MAX} are allowed")]
    KeyLength { bytes: usize },
    #[error("the subject has {bytes} bytes; at most {SUBJECT_BYTES_MAX} are allowed")]
    SubjectLength { bytes: usize },
}

pub(super) fn check_length(text: &str) -> Result<(), Error> {
    let bytes = text.len();
    if bytes == 0 || bytes > PATTERN_BYTES_MAX {
        Err(Error::Length { bytes })
    } else {
        Ok(())
    }
}

/// The name in `{name}`; None for a token that does not begin with a brace.
pub(super) fn braced(token: &str) -> Option<&str> {
    token.strip_prefix('{')?.strip_suffix('}')
}

pub(super) fn capture_name(name: &str) -> Result<&str, Error> {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_lowercase());
    let rest = chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c));
    if first && rest {
        Ok(name)
    } else {
        Err(Error::BadCapture {
            name: name.to_owned(),
        })
    }
}

pub(super) fn literal(token: &str) -> Result<&str, Error> {
    let bad = |reason| {
        Err(Error::BadToken {
            token: token.to_owned(),
            reason,
        })
    };
    if token.contains(['*', '>']) {
        return bad("a wildcard is a whole token");
    }
    if token.contains(['{', '}']) {
        return bad("a capture is a whole token");
    }
    if token.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return bad("white space and control characters are not allowed");
    }
    Ok(token)
}
