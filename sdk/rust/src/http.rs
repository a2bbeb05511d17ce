//! Calls to the needs of the manifest, and to nothing else.
//!
//! ```text
//! let answer: Answer = need!("gateway")
//!     .post("/charges")
//!     .idempotency_key(&key)
//!     .json(&charge)
//!     .send()?
//!     .success()?
//!     .json()?;
//! ```
//!
//! The host owns the address, TLS, credentials, timeouts, breaker and trace
//! context. Bodies are whole, not streamed.

mod error;
mod request;
mod response;

pub use crate::wire::http::CallError;
pub use error::Error;
pub use request::{Need, Request};
pub use response::Response;

/// Percent-encodes text as one segment of a path: everything but
/// `[A-Za-z0-9._~-]`. The segments `.` and `..` are encoded too, since they would
/// mean another path.
pub fn segment(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let dots = matches!(text, "." | "..");
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'~')
            || (byte == b'.' && !dots);
        if plain {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_segment_cannot_leave_its_place_in_the_path() {
        assert_eq!(segment("ORD-7781"), "ORD-7781");
        assert_eq!(segment("a/b?c#d e"), "a%2Fb%3Fc%23d%20e");
        assert_eq!(segment("ü"), "%C3%BC");
        assert_eq!(segment(".."), "%2E%2E");
        assert_eq!(segment("v1.2"), "v1.2");
    }
}
