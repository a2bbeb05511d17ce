//! W3C Trace Context: what a `traceparent` says.
//!
//! <https://www.w3.org/TR/trace-context/>. Nothing here makes ids up: whoever
//! begins a span draws its id.

use std::fmt;

use data_encoding::HEXLOWER;

/// One span of one trace, as a `traceparent` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// Never 0.
    pub trace_id: u128,
    /// Never 0.
    pub span_id: u64,
    /// The flags that version 00 knows: [`SAMPLED`] and [`RANDOM`].
    pub flags: u8,
}

/// The caller records the trace.
pub const SAMPLED: u8 = 0b01;
/// The trace id is random in its lower half (Trace Context level 2).
pub const RANDOM: u8 = 0b10;

impl Context {
    /// Reads a `traceparent` of version 00, or what a later version has in
    /// common with it. None when it is malformed: the trace then begins anew.
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let version = hex(parts.next()?, 2)?;
        let trace_id = hex(parts.next()?, 32)?;
        let span_id = u64::try_from(hex(parts.next()?, 16)?).ok()?;
        let flags = u8::try_from(hex(parts.next()?, 2)?).ok()?;
        let more = parts.next().is_some();
        let valid = version != 0xff && !(version == 0 && more) && trace_id != 0 && span_id != 0;
        valid.then_some(Self {
            trace_id,
            span_id,
            flags: flags & (SAMPLED | RANDOM),
        })
    }

    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn with_span(self, span_id: u64) -> Self {
        Self { span_id, ..self }
    }

    /// The trace's id in 32 hexadecimal digits, as logs carry it.
    pub fn trace_id_text(self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

/// The `traceparent` itself.
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written for each emission: one piece, without a formatter for each part.
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        HEXLOWER.encode_mut(&self.trace_id.to_be_bytes(), &mut text[3..35]);
        HEXLOWER.encode_mut(&self.span_id.to_be_bytes(), &mut text[36..52]);
        HEXLOWER.encode_mut(&[self.flags], &mut text[53..55]);
        f.write_str(str::from_utf8(&text).expect("hexadecimal digits and dashes"))
    }
}

/// Lower case only, as the format demands.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let valid = text.len() == digits
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    valid.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_written_as_it_was_read() {
        let context = Context::parse(TRACEPARENT).expect("valid");
        assert_eq!(context.to_string(), TRACEPARENT);
        assert!(context.is_sampled());
        assert_eq!(context.trace_id_text(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let child = context.with_span(1).to_string();
        assert_eq!(
            child,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000001-01"
        );
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe-what";
        let context = Context::parse(later).expect("valid");
        assert!(!context.is_sampled());
        assert_eq!(context.flags, RANDOM, "unknown flags are not carried on");
    }

    #[test]
    fn what_is_malformed_is_no_context() {
        for traceparent in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Context::parse(traceparent), None, "{traceparent}");
        }
    }
}
