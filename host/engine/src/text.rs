//! Texts that a guest wrote, made safe to keep and to print.

/// The longest text of a guest that a report keeps, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 4096;

/// The start of `text`, at most `max` bytes and whole characters.
pub(crate) fn head(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// Cuts in place, so that a short text is not copied.
pub(crate) fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    text
}

/// Without control characters: line breaks and tabs become spaces; what could
/// move a terminal's cursor or turn a line around is left out.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter_map(shown).collect()
}

fn shown(c: char) -> Option<char> {
    match c {
        '\n' | '\r' | '\t' => Some(' '),
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
        c if c.is_control() => None,
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(head("aé", 2), "a");
        assert_eq!(head("aé", 3), "aé");
        let long = "é".repeat(TEXT_BYTES_MAX);
        let kept = cut(format!("x{long}"));
        assert_eq!(kept.len(), TEXT_BYTES_MAX - 1);
    }

    #[test]
    fn escape_sequences_and_line_breaks_lose_their_power() {
        assert_eq!(printable("a\x1b[31mred\nb\tc"), "a[31mred b c");
        assert_eq!(printable("in\u{202e}verted"), "inverted");
        assert_eq!(printable("Grüße ✓"), "Grüße ✓");
    }
}
