//! The path that a guest asks for: it must stay below the need's base.

use percent_encoding::percent_decode_str;

const PATH_BYTES_MAX: usize = 8 << 10;

/// Checks a path with its query.
///
/// # Errors
///
/// What is wrong with it, for people.
pub(super) fn check(path: &str) -> Result<(), &'static str> {
    if path.len() > PATH_BYTES_MAX {
        return Err("the path is longer than 8192 bytes");
    }
    if !path.starts_with('/') || path.starts_with("//") {
        return Err("the path must begin with one `/`");
    }
    if !path.bytes().all(is_allowed) {
        return Err("the path has characters that must be percent-encoded");
    }
    if !escapes_are_whole(path.as_bytes()) {
        return Err("the path has a `%` without two hexadecimal digits");
    }
    let before_query = path.split('?').next().unwrap_or(path);
    if climbs(before_query) {
        return Err("the path has a `.` or `..` segment");
    }
    Ok(())
}

fn is_allowed(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~')
        && !matches!(
            byte,
            b'#' | b'\\' | b'"' | b'<' | b'>' | b'`' | b'{' | b'}' | b'|' | b'^'
        )
}

fn escapes_are_whole(path: &[u8]) -> bool {
    let mut rest = path;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let digits = rest.get(at + 1..at + 3);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return false;
        }
        rest = &rest[at + 3..];
    }
    true
}

/// Read as a careless server reads it: decoded twice, and with a backslash for
/// a slash.
fn climbs(path: &str) -> bool {
    let once = percent_decode_str(path).decode_utf8_lossy();
    let twice = percent_decode_str(&once).decode_utf8_lossy();
    twice.split(['/', '\\']).any(|segment| {
        let name = segment.split(';').next().unwrap_or(segment);
        matches!(name, "." | "..")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_pass() {
        for path in [
            "/",
            "/charges?status=a&x=%2F..",
            "/a%20b/c~d/:e@f;v=1",
            "/a/..b/c..",
            "/orders/ORD%2F1",
            "/?next=http://other/../x",
        ] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn paths_that_leave_the_base_or_change_the_request_are_refused() {
        for path in [
            "",
            "charges",
            "http://other/x",
            "//other/x",
            "/a b",
            "/a\r\nhost: other",
            "/a\u{0}",
            "/ä",
            "/a#b",
            "/a\\b",
            "/..",
            "/../admin",
            "/a/./b",
            "/a/%2e%2E/b",
            "/a/..%2fb",
            "/a/%252e%252e/b",
            "/a/..%5cb",
            "/a/..;x=1/b",
            "/a%",
            "/a%2",
            "/a%zz",
        ] {
            assert!(check(path).is_err(), "{path:?}");
        }
        assert!(check(&format!("/{}", "a".repeat(PATH_BYTES_MAX))).is_err());
    }
}
