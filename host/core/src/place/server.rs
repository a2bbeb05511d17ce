//! The address of a NATS server.

use std::fmt;

use http::Uri;

use crate::needs::is_address;

/// A `nats://` or `tls://` URL. It may hold a password, so `Display` and
/// `Debug` leave out what stands before the host.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

impl ServerUrl {
    /// Reads `nats://host`, `tls://host:4222` or `nats://user:password@host`.
    /// None: it is none of these, or has a path.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let authority = uri.authority()?;
        let whole = matches!(uri.path(), "" | "/") && uri.query().is_none() && !text.contains('#');
        let scheme = matches!(uri.scheme_str(), Some("nats" | "tls"));
        (scheme && is_address(authority) && whole)
            .then(|| Self(text.trim_end_matches('/').to_owned()))
    }

    /// The server of a machine that has one to itself.
    pub fn loopback() -> Self {
        Self("nats://127.0.0.1:4222".to_owned())
    }

    /// The whole URL, for connecting; may hold a password.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.split_once("://"), self.0.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => write!(f, "{scheme}://***@{host}"),
            (Some(_), None) | (None, _) => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}
