//! Where an emission goes: a subject with one token for the key.

use std::fmt;

use super::{Error, KEY_BYTES_MAX, Pattern, SUBJECT_BYTES_MAX, error, token};

/// A subject with `{key}` as exactly one of its tokens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Template {
    before: String,
    after: String,
}

impl Template {
    /// Reads a template such as `shop.inventory.{key}.reserve`.
    ///
    /// # Errors
    /// `{key}` missing, repeated or part of a token; another capture; a
    /// wildcard; whatever [`Pattern::parse`] refuses.
    pub fn parse(text: &str) -> Result<Self, Error> {
        error::check_length(text)?;
        let mut keys = 0;
        for part in text.split('.') {
            match part {
                "{key}" => keys += 1,
                "" => return Err(Error::EmptyToken),
                "*" | ">" => {
                    return Err(Error::Wildcard {
                        token: part.to_owned(),
                    });
                }
                _ if part.contains("{key}") => return Err(Error::KeyNotOnce),
                _ => drop(error::literal(part)?),
            }
        }
        match text.split_once("{key}") {
            Some((before, after)) if keys == 1 => Ok(Self {
                before: before.to_owned(),
                after: after.to_owned(),
            }),
            Some(_) | None => Err(Error::KeyNotOnce),
        }
    }

    /// The subject for an entity. Bytes of the key outside `[A-Za-z0-9_/-]` are
    /// percent-encoded, so the key stays one token, and a capture at its place
    /// gives the key back.
    ///
    /// # Errors
    /// The key does not have 1 to [`KEY_BYTES_MAX`] bytes, or the subject would
    /// be longer than [`SUBJECT_BYTES_MAX`].
    pub fn subject_for(&self, key: &str) -> Result<String, Error> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(Error::KeyLength { bytes: key.len() });
        }
        let subject = [&self.before, token::encode(key).as_str(), &self.after].concat();
        if subject.len() > SUBJECT_BYTES_MAX {
            return Err(Error::SubjectLength {
                bytes: subject.len(),
            });
        }
        Ok(subject)
    }

    /// The pattern of all its subjects.
    pub fn pattern(&self) -> Pattern {
        // A template's tokens are a subset of a pattern's, and its length is the same.
        Pattern::parse(&self.to_string()).expect("a template is a pattern")
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{{key}}{}", self.before, self.after)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({self})")
    }
}
