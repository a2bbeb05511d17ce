//! A call, up to sending it.

use super::{Error, Response};
use crate::codec::encode;
use crate::wire::http;
use serde::Serialize;
use std::time::Duration;

/// A need that the manifest names; [`need!`](crate::need!) makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need(&'static str);

impl Need {
    #[doc(hidden)]
    pub const fn __checked(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name in the manifest.
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// A `GET` of a path and query, from `/`, percent-encoded (see
    /// [`segment`](super::segment)), below the need's address.
    pub fn get(self, path: impl Into<String>) -> Request {
        self.request("GET", path)
    }

    /// A `POST`; the path as for [`Need::get`].
    pub fn post(self, path: impl Into<String>) -> Request {
        self.request("POST", path)
    }

    /// A `PUT`; the path as for [`Need::get`].
    pub fn put(self, path: impl Into<String>) -> Request {
        self.request("PUT", path)
    }

    /// A `DELETE`; the path as for [`Need::get`].
    pub fn delete(self, path: impl Into<String>) -> Request {
        self.request("DELETE", path)
    }

    /// Any method, in upper case; the path as for [`Need::get`].
    pub fn request(self, method: impl Into<String>, path: impl Into<String>) -> Request {
        Request {
            need: self,
            wire: http::Request {
                method: method.into(),
                path: path.into(),
                headers: Vec::new(),
                body: Vec::new(),
                idempotency_key: None,
                timeout_ms: None,
            },
        }
    }
}

/// A call that has not been made yet.
#[must_use = "nothing is sent before `send`"]
#[derive(Debug, Clone)]
pub struct Request {
    need: Need,
    wire: http::Request,
}

impl Request {
    /// Adds a header, its name in lower case. The host sets `traceparent`,
    /// credentials, `host` and `content-length`.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.wire.headers.push((name.into(), value.into()));
        self
    }

    /// What the other side recognises a repetition by, sent in the need's
    /// idempotency header. Without it the host derives one from the event, the
    /// need, method, path and the number of equal calls before.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.wire.idempotency_key = Some(key.into());
        self
    }

    /// Waits at most this long, in whole milliseconds, if that is less than the
    /// need's own timeout.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.wire.timeout_ms = Some(u32::try_from(limit.as_millis()).unwrap_or(u32::MAX));
        self
    }

    /// A body as JSON, with its `content-type`. Panics on a type that JSON cannot
    /// hold.
    pub fn json<T: Serialize + ?Sized>(self, body: &T) -> Self {
        self.header("content-type", "application/json")
            .body(encode(body))
    }

    /// A body as it is. At most the limit `request_bytes`.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.wire.body = body.into();
        self
    }

    /// Makes the call and waits for the whole answer, whatever its status.
    ///
    /// # Errors
    /// [`Error::Call`] when there is no answer. Through `?` it becomes a failure
    /// that names the need.
    pub fn send(self) -> Result<Response, Error> {
        let need = self.need;
        crate::host::send(need.name(), &self.wire)
            .map(|wire| Response::new(need, wire))
            .map_err(|error| Error::Call { need, error })
    }
}
