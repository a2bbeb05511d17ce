//! The address of a need: a path of a call is put behind it as it is.

use std::fmt;

use http::Uri;
use http::uri::Authority;

/// An HTTP or HTTPS URL without credentials, query and fragment, and without a
/// slash at its end.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

/// Why a text is no base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("it is not a URL")]
    Malformed,
    #[error("its scheme is neither http nor https")]
    Scheme,
    #[error("it names no host, or no port from 1 to 65535")]
    NoAddress,
    #[error("it holds a user name or password; use `auth`")]
    Credentials,
    #[error("it has a query or a fragment")]
    Tail,
}

impl BaseUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        // The parser drops a fragment without a word.
        if text.contains(['?', '#']) {
            return Err(UrlError::Tail);
        }
        let uri: Uri = text.parse().map_err(|_| UrlError::Malformed)?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(UrlError::Scheme);
        }
        let authority = uri.authority().ok_or(UrlError::NoAddress)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::Credentials);
        }
        if !is_address(authority) {
            return Err(UrlError::NoAddress);
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// The URL, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether an authority names a host and, if any, a port from 1 to 65535. The
/// parser takes an empty port and forgets one that is too large.
pub(crate) fn is_address(authority: &Authority) -> bool {
    let host = authority.host();
    let address = authority.as_str().rsplit('@').next().unwrap_or_default();
    let port = address.strip_prefix(host).unwrap_or_default();
    let port_fits = |port: &str| port.parse::<u16>().is_ok_and(|number| number > 0);
    !host.is_empty() && (port.is_empty() || port.strip_prefix(':').is_some_and(port_fits))
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseUrl({self})")
    }
}
