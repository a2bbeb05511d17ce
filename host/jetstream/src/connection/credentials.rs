//! Credentials that are read again whenever a connection is made: a file that
//! was renewed is used by the next one, without a restart.

use std::io;
use std::path::{Path, PathBuf};

use async_nats::{Auth, AuthError};
use nkeys::KeyPair;

/// A file that holds a key, and perhaps a token that names its user.
#[derive(Debug, Clone)]
pub(super) enum KeyFile {
    /// A user's JWT and seed, each between its marks.
    Credentials(PathBuf),
    /// A seed alone.
    Nkey(PathBuf),
}

impl KeyFile {
    /// Answers the server's challenge with what the file holds now.
    pub(super) fn answer(&self, nonce: &[u8]) -> Result<Auth, AuthError> {
        let key = self.read().map_err(AuthError::new)?;
        let mut auth = Auth::new();
        match key.jwt {
            Some(jwt) => auth.jwt = Some(jwt),
            None => auth.nkey = Some(key.pair.public_key()),
        }
        auth.signature = Some(key.pair.sign(nonce).map_err(AuthError::new)?);
        Ok(auth)
    }

    pub(super) fn read(&self) -> io::Result<Key> {
        let text = std::fs::read_to_string(self.path())?;
        let (jwt, seed) = match self {
            Self::Nkey(_) => (None, text.trim()),
            Self::Credentials(_) => {
                let jwt = between(&text, "USER JWT").ok_or_else(|| missing("JWT"))?;
                let seed = between(&text, "USER NKEY SEED").ok_or_else(|| missing("seed"))?;
                (Some(jwt.to_owned()), seed)
            }
        };
        let pair = KeyPair::from_seed(seed)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Key { jwt, pair })
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Credentials(path) | Self::Nkey(path) => path,
        }
    }
}

/// What a file holds. Never shown.
pub(super) struct Key {
    jwt: Option<String>,
    pair: KeyPair,
}

/// The one line between the marks of a section; their dashes vary in number.
fn between<'a>(text: &'a str, section: &str) -> Option<&'a str> {
    let is_mark = |line: &str, which: &str| {
        line.starts_with("---") && line.trim_matches('-').trim() == format!("{which} {section}")
    };
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| is_mark(line, "BEGIN") || is_mark(line, "BEGIN NATS"))?;
    lines
        .find(|line| !line.is_empty())
        .filter(|line| !line.starts_with("---"))
}

fn missing(what: &str) -> io::Error {
    let message = format!("the credentials hold no user {what}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "-----BEGIN NATS USER JWT-----\neyJ0.abc.def\n------END NATS USER JWT------\n\n\
        ****** IMPORTANT ******\n\n-----BEGIN USER NKEY SEED-----\nSUABC\n------END USER NKEY SEED------\n";

    #[test]
    fn the_parts_of_a_credentials_file_are_found_between_their_marks() {
        assert_eq!(between(FILE, "USER JWT"), Some("eyJ0.abc.def"));
        assert_eq!(between(FILE, "USER NKEY SEED"), Some("SUABC"));
        assert_eq!(between("eyJ0.abc.def\nSUABC\n", "USER JWT"), None);
        let empty = "-----BEGIN NATS USER JWT-----\n------END NATS USER JWT------\n";
        assert_eq!(between(empty, "USER JWT"), None);
    }
}
