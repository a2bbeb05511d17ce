//! Subject patterns: what a subscription reads and what a stream holds.
//!
//! A pattern is a NATS subject whose tokens may be `*` (one token), `{name}`
//! (one token, remembered) or, at the end, `>` (one token or more). The broker
//! sees `filter()`, in which a capture is a `*`. Nothing here splits a token:
//! a capture is always a whole one, so the broker and the host agree on what
//! matches.

mod error;
mod key;
mod template;
mod token;

#[cfg(test)]
mod tests;

use std::fmt;

pub use error::Error;
pub use key::{KeyRule, KeyTemplate, Pointer};
pub use template::Template;

/// Longest subject that is written or read, in bytes. Room for a template's
/// own text and for the longest key with every byte escaped.
pub const SUBJECT_BYTES_MAX: usize = 1024;
/// Longest key of an entity, in bytes.
pub const KEY_BYTES_MAX: usize = 256;
/// Longest pattern or template as it stands in a file, in bytes.
pub const PATTERN_BYTES_MAX: usize = 255;

/// First tokens of subjects that hosts and clients of the broker use themselves.
const RESERVED: &[&str] = &["wl", "wt", "_INBOX"];

const _: () = assert!(PATTERN_BYTES_MAX + 3 * KEY_BYTES_MAX <= SUBJECT_BYTES_MAX);

/// A checked subject pattern.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern {
    tokens: Vec<Token>,
}

/// What a pattern remembers of a subject that matched it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captures<'p, 's> {
    pairs: Vec<(&'p str, &'s str)>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Token {
    Literal(String),
    Capture(String),
    One,
    Rest,
}

impl Pattern {
    /// Reads a pattern of 1 to [`PATTERN_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// An empty token, a wildcard or a brace that is not a whole token, `>`
    /// before the end, a name captured twice, white space, or the length.
    pub fn parse(text: &str) -> Result<Self, Error> {
        error::check_length(text)?;
        let count = text.split('.').count();
        let mut tokens: Vec<Token> = Vec::with_capacity(count);
        for (at, part) in text.split('.').enumerate() {
            let token = Token::parse(part)?;
            if token == Token::Rest && at + 1 != count {
                return Err(Error::RestNotLast);
            }
            if matches!(token, Token::Capture(_)) && tokens.contains(&token) {
                return Err(Error::CapturedTwice {
                    name: part.to_owned(),
                });
            }
            tokens.push(token);
        }
        Ok(Self { tokens })
    }

    /// The pattern as the broker takes it, with `*` for every capture.
    pub fn filter(&self) -> String {
        let tokens: Vec<&str> = self.tokens.iter().map(Token::filter).collect();
        tokens.join(".")
    }

    /// The names of the captures, in order.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().filter_map(|token| match token {
            Token::Capture(name) => Some(name.as_str()),
            Token::Literal(_) | Token::One | Token::Rest => None,
        })
    }

    /// Matches a whole subject. None: it does not match.
    pub fn matches<'p, 's>(&'p self, subject: &'s str) -> Option<Captures<'p, 's>> {
        let mut pairs = Vec::new();
        let mut parts = subject.split('.');
        for token in &self.tokens {
            let part = parts.next()?;
            match token {
                Token::Literal(text) if text != part => return None,
                Token::Literal(_) | Token::One => {}
                Token::Capture(name) => pairs.push((name.as_str(), part)),
                Token::Rest => return Some(Captures { pairs }),
            }
        }
        parts.next().is_none().then_some(Captures { pairs })
    }

    /// Whether some subject matches both.
    pub fn overlaps(&self, other: &Self) -> bool {
        for at in 0.. {
            return match (self.tokens.get(at), other.tokens.get(at)) {
                (None, None) => true,
                (None, Some(_)) | (Some(_), None) => false,
                (Some(Token::Rest), Some(_)) | (Some(_), Some(Token::Rest)) => true,
                (Some(left), Some(right)) if left.meets(right) => continue,
                (Some(_), Some(_)) => false,
            };
        }
        false
    }

    /// Whether every subject that matches `other` matches this one too.
    pub fn covers(&self, other: &Self) -> bool {
        for at in 0.. {
            return match (self.tokens.get(at), other.tokens.get(at)) {
                (Some(Token::Rest), Some(_)) | (None, None) => true,
                (None, Some(_)) | (Some(_), None | Some(Token::Rest)) => false,
                (Some(left), Some(right)) if left.contains(right) => continue,
                (Some(_), Some(_)) => false,
            };
        }
        false
    }

    /// Whether it reaches subjects that are not for events: the broker's own,
    /// the host's ledgers and timers, replies. A wildcard at the beginning
    /// reaches them all.
    pub fn is_reserved(&self) -> bool {
        match self.tokens.first() {
            Some(Token::Literal(text)) => {
                text.starts_with('$') || RESERVED.contains(&text.as_str())
            }
            Some(Token::Capture(_) | Token::One | Token::Rest) | None => true,
        }
    }
}

impl<'s> Captures<'_, 's> {
    /// The token that `name` stands for, as it is in the subject.
    pub fn raw(&self, name: &str) -> Option<&'s str> {
        self.pairs
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, token)| *token)
    }

    /// The token that `name` stands for, percent-decoded.
    ///
    /// # Errors
    /// No such capture, an escape that is not `%` and two hex digits, or bytes
    /// that are not UTF-8.
    pub fn decoded(&self, name: &str) -> Result<String, Error> {
        match self.raw(name) {
            Some(token) => token::decode(token),
            None => Err(Error::NoCapture {
                name: name.to_owned(),
            }),
        }
    }
}

impl Token {
    fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "" => Err(Error::EmptyToken),
            "*" => Ok(Self::One),
            ">" => Ok(Self::Rest),
            _ => match error::braced(text) {
                Some(name) => Ok(Self::Capture(error::capture_name(name)?.to_owned())),
                None => Ok(Self::Literal(error::literal(text)?.to_owned())),
            },
        }
    }

    fn filter(&self) -> &str {
        match self {
            Self::Literal(text) => text,
            Self::Capture(_) | Self::One => "*",
            Self::Rest => ">",
        }
    }

    /// Whether one token can match both; neither is `>`.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(left), Self::Literal(right)) => left == right,
            (Self::Literal(_) | Self::Capture(_) | Self::One | Self::Rest, _) => true,
        }
    }

    /// Whether each token that `other` matches matches this; neither is `>`.
    fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(left), Self::Literal(right)) => left == right,
            (Self::Literal(_), Self::Capture(_) | Self::One | Self::Rest) => false,
            (Self::Capture(_) | Self::One | Self::Rest, _) => true,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, token) in self.tokens.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            match token {
                Token::Capture(name) => write!(f, "{dot}{{{name}}}")?,
                Token::Literal(_) | Token::One | Token::Rest => {
                    write!(f, "{dot}{}", token.filter())?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({self})")
    }
}
