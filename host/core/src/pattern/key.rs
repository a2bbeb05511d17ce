//! Which entity an event is of.

use std::fmt;

use super::{Captures, Error, error, token};
use crate::config::names;

/// How a subscription finds an event's key.
///
/// Only a template can be read from the subject by the broker as well; the
/// others therefore allow one owner for the whole handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRule {
    /// Made of tokens of the subject.
    Template(KeyTemplate),
    /// A string or an integer in the event's JSON data.
    Data(Pointer),
    /// A header, by its lower-case name.
    Header(String),
    /// A CloudEvents attribute, by its name without `ce-`.
    Attribute(String),
}

/// A key made of captured tokens, such as `{aggregate}/{id}`.
///
/// Two different lists of tokens never make the same key: parts are separated
/// by a `/`, and in every part but the last `/` and `%` stay percent-encoded.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyTemplate {
    pieces: Vec<Piece>,
}

/// An RFC 6901 JSON pointer that is not the whole document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(String);

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Capture(String),
}

/// Attributes that name no entity: they differ in each event, or in none.
const NOT_KEYS: &[&str] = &["id", "time", "specversion", "datacontenttype"];

impl KeyRule {
    /// Reads `data:/pointer`, `header:name`, `attribute:name` or a template.
    ///
    /// # Errors
    /// The text is none of these.
    pub fn parse(text: &str) -> Result<Self, Error> {
        error::check_length(text)?;
        if let Some(pointer) = text.strip_prefix("data:") {
            return Pointer::parse(pointer).map(Self::Data);
        }
        if let Some(name) = text.strip_prefix("header:") {
            return header_name(name).map(Self::Header);
        }
        if let Some(name) = text.strip_prefix("attribute:") {
            return attribute_name(name).map(Self::Attribute);
        }
        KeyTemplate::parse(text).map(Self::Template)
    }
}

impl KeyTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// A brace without its other, a bad name, no capture at all, or two captures
    /// without a `/` between them.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}').ok_or(Error::UnbalancedBrace)?;
            push_text(&mut pieces, before)?;
            pieces.push(Piece::Capture(error::capture_name(name)?.to_owned()));
            rest = after;
        }
        push_text(&mut pieces, rest)?;
        let captures = pieces
            .iter()
            .filter(|piece| matches!(piece, Piece::Capture(_)))
            .count();
        if captures == 0 {
            Err(Error::ConstantKey)
        } else {
            separated(pieces)
        }
    }

    /// The names of the captures that it needs, in order.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Capture(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The key, of any length.
    ///
    /// # Errors
    /// A capture is missing or cannot be decoded.
    pub fn key_of(&self, captures: &Captures<'_, '_>) -> Result<String, Error> {
        let last = self.captures().count();
        let mut seen = 0;
        let mut key = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => key.push_str(text),
                Piece::Capture(name) => {
                    seen += 1;
                    let value = captures.decoded(name)?;
                    key.push_str(&if seen == last {
                        value
                    } else {
                        token::encode_part(&value)
                    });
                }
            }
        }
        Ok(key)
    }
}

impl Pointer {
    /// Reads a pointer, from `/`.
    ///
    /// # Errors
    /// It does not begin with `/`, or a `~` is not `~0` or `~1`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let escapes = text
            .split('~')
            .skip(1)
            .all(|rest| rest.starts_with(['0', '1']));
        if text.starts_with('/') && escapes {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::BadPointer {
                text: text.to_owned(),
            })
        }
    }

    /// The pointer's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) -> Result<(), Error> {
    if text.contains(['{', '}']) {
        return Err(Error::UnbalancedBrace);
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
    Ok(())
}

fn separated(pieces: Vec<Piece>) -> Result<KeyTemplate, Error> {
    let mut open = false;
    for piece in &pieces {
        match piece {
            Piece::Capture(_) if open => return Err(Error::NoSeparator),
            Piece::Capture(_) => open = true,
            Piece::Text(text) => open &= !text.contains('/'),
        }
    }
    Ok(KeyTemplate { pieces })
}

fn header_name(name: &str) -> Result<String, Error> {
    let name = name.to_ascii_lowercase();
    if names::is_wire_header(&name) {
        Err(Error::AttributeHeader { name })
    } else if names::is_header(&name) {
        Ok(name)
    } else {
        Err(Error::BadName {
            what: "header",
            name,
        })
    }
}

fn attribute_name(name: &str) -> Result<String, Error> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let known = !name.is_empty() && name.len() <= 20 && name.chars().all(legal);
    if known && !NOT_KEYS.contains(&name) {
        Ok(name.to_owned())
    } else {
        Err(Error::BadName {
            what: "usable attribute",
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for KeyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template(template) => write!(f, "{template}"),
            Self::Data(pointer) => write!(f, "data:{}", pointer.as_str()),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Attribute(name) => write!(f, "attribute:{name}"),
        }
    }
}

impl fmt::Display for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => write!(f, "{text}")?,
                Piece::Capture(name) => write!(f, "{{{name}}}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyTemplate({self})")
    }
}
