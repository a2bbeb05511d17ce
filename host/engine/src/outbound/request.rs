//! What a guest may ask of a need: checked before anything is sent.

use bytes::Bytes;
use http::Method;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

use super::path;
use crate::bindings::http as wit;

const HEADERS_MAX: usize = 100;
const HEADER_BYTES_MAX: usize = 64 << 10;
const KEY_BYTES_MAX: usize = 256;

/// The host's own, or such that they change how the request is framed.
const HOST_OWNED: [HeaderName; 8] = [
    HOST,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    CONNECTION,
    UPGRADE,
    TE,
    TRAILER,
    EXPECT,
];
const HOST_OWNED_TEXT: [&str; 5] = [
    "traceparent",
    "tracestate",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
];

/// A request whose every part can be sent.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) method: Method,
    /// Path and query, from `/`.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Given by the guest.
    pub(crate) idempotency_key: Option<HeaderValue>,
    pub(crate) timeout_ms: Option<u32>,
}

/// Headers that only the host sets, beside those that are always its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reserved<'a> {
    pub(crate) auth: Option<&'a HeaderName>,
    pub(crate) idempotency: Option<&'a str>,
}

/// Why a request cannot be sent. Says nothing about the need.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("the method {0:?} is not an upper-case method that a need can be asked with")]
    Method(String),
    #[error("{0}")]
    Path(&'static str),
    #[error("the header name {0:?} is not a lower-case header name")]
    HeaderName(String),
    #[error("the value of the header {0:?} has characters that a header cannot carry")]
    HeaderValue(String),
    #[error("the header {0:?} is set by the host")]
    HostOwned(String),
    #[error("more than {HEADERS_MAX} headers, or more than {HEADER_BYTES_MAX} bytes of them")]
    TooManyHeaders,
    #[error("the idempotency key must have 1 to {KEY_BYTES_MAX} visible ASCII characters")]
    IdempotencyKey,
    #[error("the body has {bytes} bytes; limits.request_bytes is {max}")]
    BodyTooLarge { bytes: usize, max: u64 },
}

/// Checks a request as the guest gave it.
///
/// # Errors
///
/// The first part that cannot be sent.
pub(crate) fn check(
    request: wit::Request,
    reserved: Reserved<'_>,
    body_bytes_max: u64,
) -> Result<Checked, Invalid> {
    if request.body.len() as u64 > body_bytes_max {
        let bytes = request.body.len();
        return Err(Invalid::BodyTooLarge {
            bytes,
            max: body_bytes_max,
        });
    }
    path::check(&request.path).map_err(Invalid::Path)?;
    Ok(Checked {
        method: check_method(&request.method)?,
        headers: check_headers(&request.headers, reserved)?,
        idempotency_key: request
            .idempotency_key
            .as_deref()
            .map(check_key)
            .transpose()?,
        path: request.path,
        body: Bytes::from(request.body),
        timeout_ms: request.timeout_ms,
    })
}

/// Whether a method changes nothing on the other side.
pub(crate) fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

fn check_method(method: &str) -> Result<Method, Invalid> {
    let refused = || Invalid::Method(method.chars().take(32).collect());
    let upper = (1..=32).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_uppercase());
    let parsed = Method::from_bytes(method.as_bytes()).map_err(|_| refused())?;
    // CONNECT opens a tunnel, and TRACE sends the credential back to the guest.
    if !upper || parsed == Method::CONNECT || parsed == Method::TRACE {
        return Err(refused());
    }
    Ok(parsed)
}

fn check_headers(given: &[(String, String)], reserved: Reserved<'_>) -> Result<HeaderMap, Invalid> {
    let bytes: usize = given
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if given.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        return Err(Invalid::TooManyHeaders);
    }
    let mut headers = HeaderMap::with_capacity(given.len() + 4);
    for (name, value) in given {
        let shown = || name.chars().take(64).collect();
        let parsed = HeaderName::from_lowercase(name.as_bytes())
            .map_err(|_| Invalid::HeaderName(shown()))?;
        if reserved.holds(&parsed) {
            return Err(Invalid::HostOwned(shown()));
        }
        let value = HeaderValue::from_str(value).map_err(|_| Invalid::HeaderValue(shown()))?;
        headers.append(parsed, value);
    }
    Ok(headers)
}

fn check_key(key: &str) -> Result<HeaderValue, Invalid> {
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if !visible || !(1..=KEY_BYTES_MAX).contains(&key.len()) {
        return Err(Invalid::IdempotencyKey);
    }
    HeaderValue::from_str(key).map_err(|_| Invalid::IdempotencyKey)
}

impl Reserved<'_> {
    fn holds(&self, name: &HeaderName) -> bool {
        HOST_OWNED.contains(name)
            || HOST_OWNED_TEXT.contains(&name.as_str())
            || self.auth == Some(name)
            || self.idempotency == Some(name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> wit::Request {
        wit::Request {
            method: "POST".into(),
            path: "/charges".into(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: b"{}".to_vec(),
            idempotency_key: Some("abc-charge".into()),
            timeout_ms: None,
        }
    }

    fn check_with(change: impl FnOnce(&mut wit::Request)) -> Result<Checked, Invalid> {
        let auth = HeaderName::from_static("x-api-key");
        let reserved = Reserved {
            auth: Some(&auth),
            idempotency: Some("idempotency-key"),
        };
        let mut changed = request();
        change(&mut changed);
        check(changed, reserved, 10)
    }

    fn header(name: &str, value: &str) -> Invalid {
        let given = (name.to_owned(), value.to_owned());
        check_with(|request| request.headers.push(given)).expect_err("refused")
    }

    #[test]
    fn a_well_formed_request_passes() {
        let checked = check_with(|request| request.headers.push(("a".into(), "b".into())))
            .expect("well formed");
        assert_eq!(checked.headers.len(), 2);
        assert_eq!(
            checked.idempotency_key,
            Some(HeaderValue::from_static("abc-charge"))
        );
    }

    #[test]
    fn what_only_the_host_sets_is_invalid() {
        for name in [
            "host",
            "content-length",
            "traceparent",
            "x-api-key",
            "idempotency-key",
        ] {
            assert_eq!(header(name, "x"), Invalid::HostOwned(name.into()));
        }
        for name in [
            "transfer-encoding",
            "connection",
            "upgrade",
            "te",
            "expect",
            "tracestate",
        ] {
            assert_eq!(header(name, "x"), Invalid::HostOwned(name.into()));
        }
    }

    #[test]
    fn malformed_parts_are_invalid_each_by_its_name() {
        assert_eq!(header("Upper", "x"), Invalid::HeaderName("Upper".into()));
        assert_eq!(header("a b", "x"), Invalid::HeaderName("a b".into()));
        assert_eq!(
            header("a", "x\r\nhost: y"),
            Invalid::HeaderValue("a".into())
        );
        for method in ["post", "", "CONNECT", "TRACE", "GET /", "X-Y"] {
            let refused = check_with(|request| request.method = method.into()).map(|_| ());
            assert_eq!(refused, Err(Invalid::Method(method.into())));
        }
        for key in ["", "a b", "ä", "a\n"] {
            let refused = check_with(|request| request.idempotency_key = Some(key.into()));
            assert_eq!(refused.map(|_| ()), Err(Invalid::IdempotencyKey), "{key:?}");
        }
        let refused = check_with(|request| request.path = "/..".into()).map(|_| ());
        assert!(matches!(refused, Err(Invalid::Path(_))));
        let refused = check_with(|request| request.body = vec![0; 11]).map(|_| ());
        assert_eq!(refused, Err(Invalid::BodyTooLarge { bytes: 11, max: 10 }));
        let many = vec![("a".to_owned(), "b".to_owned()); HEADERS_MAX + 1];
        let refused = check_with(|request| request.headers = many).map(|_| ());
        assert_eq!(refused, Err(Invalid::TooManyHeaders));
    }
}
