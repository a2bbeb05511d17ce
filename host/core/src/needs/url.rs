//! The address of a need: a path of a call is put behind it as it is.

use std::fmt;

use http::Uri;

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
    #[error("it names no host")]
    NoHost,
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
        let authority = uri.authority().ok_or(UrlError::NoHost)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::Credentials);
        }
        let port_fits = authority.port().is_none_or(|port| port.as_str().parse::<u16>().is_ok_and(|n| n > 0));
        if authority.host().is_empty() || authority.as_str().ends_with(':') || !port_fits {
            return Err(UrlError::NoHost);
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// The URL, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
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
