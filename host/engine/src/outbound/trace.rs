//! W3C trace context of outbound calls.

use sha2::{Digest, Sha256};

/// The trace id of a `traceparent`; empty without a valid one.
pub(crate) fn trace_id(traceparent: Option<&str>) -> &str {
    traceparent
        .and_then(split)
        .map_or("", |(trace, _, _)| trace)
}

/// The `traceparent` of the `call`th call of an attempt: same trace, same
/// flags, and a span of its own that follows from the attempt's. None when
/// `parent` is not a valid traceparent.
pub(crate) fn child(parent: &str, call: usize) -> Option<String> {
    let (trace, span, flags) = split(parent)?;
    let hash = Sha256::new()
        .chain_update(span)
        .chain_update(call.to_be_bytes())
        .finalize();
    let own = data_encoding::HEXLOWER.encode(&hash[..8]);
    Some(format!("00-{trace}-{own}-{flags}"))
}

fn split(traceparent: &str) -> Option<(&str, &str, &str)> {
    let mut parts = traceparent.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let (span, flags) = (parts.next()?, parts.next()?);
    let rest = parts.next().is_some();
    let valid = is_hex(version, 2)
        && version != "ff"
        && !(version == "00" && rest)
        && is_hex(trace, 32)
        && is_hex(span, 16)
        && is_hex(flags, 2)
        && !is_zero(trace)
        && !is_zero(span);
    valid.then_some((trace, span, flags))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn calls_of_one_attempt_share_the_trace_and_have_spans_of_their_own() {
        let first = child(PARENT, 0).expect("a valid parent");
        let second = child(PARENT, 1).expect("a valid parent");
        assert!(first.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert!(first.ends_with("-01"));
        assert_eq!(first.len(), PARENT.len());
        assert_ne!(first, second);
        assert_ne!(first, PARENT);
        assert_eq!(trace_id(Some(&first)), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn what_is_no_traceparent_leads_to_none() {
        for parent in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(child(parent, 0), None, "{parent}");
        }
    }
}
