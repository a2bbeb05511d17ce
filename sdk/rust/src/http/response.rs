//! An answer.

use super::{Error, Need};
use crate::codec::decode;
use crate::wire::http;
use serde::de::DeserializeOwned;

/// What a need answered.
#[derive(Debug, Clone)]
pub struct Response {
    need: Need,
    wire: http::Response,
}

impl Response {
    pub(super) fn new(need: Need, wire: http::Response) -> Self {
        Self { need, wire }
    }

    /// 100 to 599.
    pub fn status(&self) -> u16 {
        self.wire.status
    }

    /// The first header of this name, which is lower-case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.wire.headers.iter().filter(|(key, _)| key == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// The body as it is.
    pub fn body(&self) -> &[u8] {
        &self.wire.body
    }

    /// Passes answers of 200 to 299 on.
    ///
    /// # Errors
    /// [`Error::Status`] for any other.
    pub fn success(self) -> Result<Self, Error> {
        match self.status() {
            200..=299 => Ok(self),
            status => Err(Error::Status {
                need: self.need,
                status,
            }),
        }
    }

    /// The body as a value, from JSON.
    ///
    /// # Errors
    /// [`Error::Answer`] when it is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        decode(self.body()).map_err(|problem| Error::Answer {
            need: self.need,
            status: self.status(),
            problem,
        })
    }
}
