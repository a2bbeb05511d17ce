//! The base address of a need.

use http::Uri;
use http::uri::{Authority, Scheme};

use super::trace::Server;

/// A checked base URL. Paths are appended to it.
#[derive(Debug, Clone)]
pub(super) struct Address {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end; empty for the root.
    base: String,
}

impl Address {
    /// # Errors
    ///
    /// Why it cannot be an address, for people.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("{url:?} is not a URL: {error}"))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(format!("{url:?} is not a URL with scheme and host"));
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(format!("the scheme of {url:?} is neither http nor https"));
        }
        if authority.as_str().contains('@') {
            return Err(format!("{} carries a password; use auth", authority.host()));
        }
        let path = parts.path_and_query.as_ref();
        if path.is_some_and(|path| path.query().is_some()) {
            return Err(format!("{url:?} has a query; only a path can be a base"));
        }
        let base = path
            .map_or("", |path| path.path())
            .trim_end_matches('/')
            .to_owned();
        Ok(Self {
            scheme,
            authority,
            base,
        })
    }

    pub(super) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// As a trace names it.
    pub(super) fn server(&self) -> Server {
        let usual = if self.is_https() { 443 } else { 80 };
        Server {
            address: self.authority.host().to_owned(),
            port: self.authority.port_u16().unwrap_or(usual),
        }
    }

    /// The address of one call. None when the result would be of another host,
    /// which a checked path cannot bring about.
    pub(super) fn join(&self, path: &str) -> Option<Uri> {
        let whole = format!("{}://{}{}{path}", self.scheme, self.authority, self.base);
        let uri: Uri = whole.parse().ok()?;
        (uri.authority() == Some(&self.authority)).then_some(uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_appended_to_the_base() {
        for (base, whole) in [
            ("http://h", "http://h/charges?a=b"),
            ("http://h:81/v2/", "http://h:81/v2/charges?a=b"),
            ("https://h/v2", "https://h/v2/charges?a=b"),
        ] {
            let address = Address::parse(base).expect("a base");
            let joined = address.join("/charges?a=b").expect("a URI");
            assert_eq!(joined.to_string(), whole);
        }
    }

    #[test]
    fn what_is_no_base_is_refused() {
        for url in [
            "h/v2",
            "/v2",
            "mailto:x",
            "http://user:pw@h/",
            "http://h/?q",
            "ws://h",
        ] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_password_is_not_repeated_in_the_refusal() {
        let refusal = Address::parse("http://user:pw@h/").expect_err("refused");
        assert!(!refusal.contains("pw"), "{refusal}");
    }
}
