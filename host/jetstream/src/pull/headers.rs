//! Headers of a delivery, parsed by the client or as the broker stored them.

use async_nats::HeaderMap;
use bytes::Bytes;
use std::borrow::Cow;

const VERSION_LINE: &str = "NATS/1.0";

/// Headers as they came.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Headers {
    #[default]
    None,
    /// Through the client, which keeps the order of a name's values and not
    /// that of the names.
    Parsed(HeaderMap),
    /// The stored block, from `NATS/1.0` to the empty line; not necessarily
    /// UTF-8, and not necessarily well formed.
    Raw(Bytes),
}

/// Name and value of one header line.
pub type Entry<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

impl Headers {
    /// A block as the broker shows it; empty means none.
    pub fn raw(block: Bytes) -> Self {
        if block.is_empty() {
            Self::None
        } else {
            Self::Raw(block)
        }
    }

    /// Name and value of each line. The values of a name keep their order, the
    /// names have none; values lose surrounding blanks and are joined when
    /// folded.
    pub fn entries(&self) -> Vec<Entry<'_>> {
        match self {
            Self::None => Vec::new(),
            Self::Parsed(map) => parsed_entries(map).collect(),
            Self::Raw(block) => raw_entries(block),
        }
    }

    /// Size of the block in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Raw(block) => block.len(),
            Self::Parsed(map) => {
                let line = |(name, value): Entry<'_>| name.len() + value.len() + 4;
                let lines: usize = parsed_entries(map).map(line).sum();
                VERSION_LINE.len() + 2 + lines + 2
            }
        }
    }

    /// The block, to be kept: the stored one, or one that says the same, the
    /// same each time.
    pub fn block(&self) -> Bytes {
        match self {
            Self::None => Bytes::new(),
            Self::Raw(block) => block.clone(),
            Self::Parsed(_) => {
                let mut block = format!("{VERSION_LINE}\r\n").into_bytes();
                let mut entries = self.entries();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                for (name, value) in entries {
                    block.extend_from_slice(&name);
                    block.extend_from_slice(b": ");
                    block.extend_from_slice(&value);
                    block.extend_from_slice(b"\r\n");
                }
                block.extend_from_slice(b"\r\n");
                block.into()
            }
        }
    }

    /// False when the client would drop the connection on receiving these.
    pub(crate) fn is_clean(&self) -> bool {
        let Self::Raw(block) = self else { return true };
        let Ok(text) = std::str::from_utf8(block) else {
            return false;
        };
        let mut lines = text.lines();
        // A status behind the version is read as one, and must be a number.
        let version = lines
            .next()
            .and_then(|line| line.strip_prefix(VERSION_LINE));
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(char::is_whitespace));
        version.is_some_and(|status| status.trim().is_empty()) && lines.into_iter().all(is_header)
    }
}

fn is_header(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

fn parsed_entries(map: &HeaderMap) -> impl Iterator<Item = Entry<'_>> {
    map.iter().flat_map(|(name, values)| {
        let name: &str = name.as_ref();
        values
            .iter()
            .map(move |value| (name.as_bytes().into(), value.as_str().as_bytes().into()))
    })
}

/// Reads as the client does, except that nothing is refused: a line without a
/// colon is a name without a value.
fn raw_entries(block: &[u8]) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for line in block.split(|byte| *byte == b'\n').skip(1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        match entries.last_mut() {
            Some((_, value)) if line[0].is_ascii_whitespace() => {
                value.to_mut().extend_from_slice(line.trim_ascii_end());
            }
            _ => {
                let colon = line
                    .iter()
                    .position(|byte| *byte == b':')
                    .unwrap_or(line.len());
                let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
                entries.push((line[..colon].into(), value.into()));
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(headers: &Headers) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shown = |(name, value): &Entry<'_>| (text(name), text(value));
        let mut shown: Vec<_> = headers.entries().iter().map(shown).collect();
        shown.sort_by(|a, b| a.0.cmp(&b.0));
        shown
    }

    fn raw(block: &'static [u8]) -> Headers {
        Headers::raw(Bytes::from_static(block))
    }

    #[test]
    fn both_forms_of_one_message_read_alike() {
        let mut map = HeaderMap::new();
        map.append("b", "2");
        map.append("a", "1");
        map.append("a", "0");
        let parsed = Headers::Parsed(map);
        let stored = raw(b"NATS/1.0\r\nb:2 \r\na: 1\r\na: 0\r\n\r\n");
        assert_eq!(shown(&parsed), shown(&stored));
        assert_eq!(shown(&parsed)[0], ("a".to_owned(), "1".to_owned()));
        assert_eq!(shown(&Headers::raw(parsed.block())), shown(&parsed));
        assert_eq!(parsed.bytes(), parsed.block().len());
    }

    #[test]
    fn folded_broken_and_binary_lines_are_kept() {
        let headers = raw(b"NATS/1.0\r\nx: a\r\n  b\r\nno colon\r\ny: \xff\r\n\r\n");
        let entries = headers.entries();
        assert_eq!(entries[0].1.as_ref(), b"a  b");
        assert_eq!(
            entries[1],
            (Cow::from(&b"no colon"[..]), Cow::from(&b""[..]))
        );
        assert_eq!(entries[2].1.as_ref(), b"\xff");
    }

    #[test]
    fn what_would_drop_the_connection_is_recognised() {
        let clean: [&[u8]; 3] = [
            b"",
            b"NATS/1.0\r\n\r\n",
            b"NATS/1.0\r\na: \xc3\xa4\r\n b\r\n\r\n",
        ];
        for block in clean {
            assert!(raw(block).is_clean(), "{block:?}");
        }
        let bad: [&[u8]; 5] = [
            b"NATS/1.0\r\na: \xff\r\n\r\n",
            b"NATS/1.0\r\nno colon\r\n\r\n",
            b"NATS/1.0\r\na b: c\r\n\r\n",
            b"NATS/1.0 abc\r\n\r\n",
            b"NATS/2.0\r\n\r\n",
        ];
        for block in bad {
            assert!(!raw(block).is_clean(), "{block:?}");
        }
    }
}
