//! Follows chains link by link and names the first broken one.

use crate::{Digest, Head, Link};
use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;

/// Chains as far as they were followed.
#[derive(Debug, Default)]
pub struct Verifier {
    heads: BTreeMap<String, Head>,
    links: u64,
}

/// The first link that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the chain `{key}` breaks at link {n}: {fault}")]
pub struct Broken {
    /// The chain.
    pub key: String,
    /// The position that the link claims.
    pub n: u64,
    pub fault: Fault,
}

/// What is wrong with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Another position comes next: a link is missing, repeated or moved.
    Position { expected: u64 },
    /// It does not join the link before.
    Joint { expected: Digest },
    /// Its fields are not the ones that its hash was made of.
    Content { computed: Digest },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position { expected } => write!(f, "link {expected} should come here"),
            Self::Joint { expected } => write!(
                f,
                "it does not join the link before, whose hash is {expected}"
            ),
            Self::Content { computed } => {
                write!(f, "its content was changed: it hashes to {computed}")
            }
        }
    }
}

/// Why a file of links is not a set of whole chains.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("line {line}: {broken}")]
    Broken { line: usize, broken: Broken },
    #[error("line {line} is not a link: {error}")]
    NotALink {
        line: usize,
        error: serde_json::Error,
    },
    #[error("cannot read line {line}: {error}")]
    Io { line: usize, error: std::io::Error },
}

impl Verifier {
    /// Takes the next link of its chain.
    ///
    /// # Errors
    /// When it is not the next one, or was tampered with. The chain then stays
    /// where it was.
    pub fn take(&mut self, link: &Link) -> Result<(), Broken> {
        let head = self.heads.get(&link.key).copied().unwrap_or_default();
        let broken = |fault| Broken {
            key: link.key.clone(),
            n: link.n,
            fault,
        };
        if link.n != head.n + 1 {
            return Err(broken(Fault::Position {
                expected: head.n + 1,
            }));
        }
        if link.prev != head.hash {
            return Err(broken(Fault::Joint {
                expected: head.hash,
            }));
        }
        let computed = link.computed_hash();
        if link.hash != computed {
            return Err(broken(Fault::Content { computed }));
        }
        self.heads.insert(link.key.clone(), link.head());
        self.links += 1;
        Ok(())
    }

    /// The head of each chain, by key.
    pub fn heads(&self) -> &BTreeMap<String, Head> {
        &self.heads
    }

    /// Links taken, of all chains together.
    pub fn links(&self) -> u64 {
        self.links
    }
}

/// Follows the chains of a file with one link, as JSON, on each line. Chains may
/// be mixed; each must be complete from its first link and in order.
///
/// # Errors
/// At the first line that is not the next link of its chain.
pub fn verify(lines: impl BufRead) -> Result<Verifier, Error> {
    let mut verifier = Verifier::default();
    for (index, text) in lines.lines().enumerate() {
        let line = index + 1;
        let text = text.map_err(|error| Error::Io { line, error })?;
        if text.trim().is_empty() {
            continue;
        }
        let link = serde_json::from_str(&text).map_err(|error| Error::NotALink { line, error })?;
        verifier
            .take(&link)
            .map_err(|broken| Error::Broken { line, broken })?;
    }
    Ok(verifier)
}
