//! An entity's state, printed by its content type.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use wharf_core::record;

use super::words::hex;

/// Bytes of a state that are shown when they are no text.
const SHOWN_MAX: usize = 1024;

#[derive(Debug, Serialize)]
pub struct State {
    version: u32,
    bytes: usize,
    #[serde(flatten)]
    content: Content,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Content {
    Json(Value),
    Text(String),
    /// Hexadecimal; the beginning of what is long.
    Hex(String),
}

impl State {
    /// `content_type`: what the manifest says; None lets the bytes decide.
    pub fn new(state: &record::State, content_type: Option<&str>) -> Self {
        Self {
            version: state.version,
            bytes: state.data.len(),
            content: Content::new(&state.data, content_type),
        }
    }
}

impl Content {
    fn new(data: &[u8], content_type: Option<&str>) -> Self {
        let essence = content_type.map(|text| {
            text.split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        });
        let (json, text) = match essence.as_deref() {
            None => (true, true),
            Some(kind) => (
                kind == "application/json" || kind.ends_with("+json"),
                kind.starts_with("text/"),
            ),
        };
        if json && let Ok(value) = serde_json::from_slice(data) {
            return Self::Json(value);
        }
        // What claims to be JSON and is none is worth reading as it stands.
        match std::str::from_utf8(data) {
            Ok(readable) if (json || text) && is_plain(readable) => Self::Text(readable.to_owned()),
            Ok(_) | Err(_) => Self::Hex(hex(&data[..data.len().min(SHOWN_MAX)])),
        }
    }
}

/// Nothing in it that would steer a terminal.
fn is_plain(text: &str) -> bool {
    !text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            version,
            bytes,
            content,
        } = self;
        writeln!(f, "{:<12}version {version}, {bytes} bytes", "state")?;
        match content {
            Content::Json(value) => writeln!(f, "{value:#}"),
            Content::Text(text) => writeln!(f, "{text}"),
            Content::Hex(text) => {
                let cut = if *bytes > SHOWN_MAX { " …" } else { "" };
                writeln!(f, "{text}{cut}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(data: &[u8], content_type: Option<&str>) -> String {
        State::new(
            &record::State {
                version: 3,
                data: data.to_vec(),
            },
            content_type,
        )
        .to_string()
    }

    #[test]
    fn the_content_type_decides_how_a_state_is_printed() {
        let json = br#"{"paid":true}"#;
        assert!(shown(json, Some("application/json; charset=utf-8")).contains("\"paid\": true"));
        assert!(shown(json, None).contains("\"paid\": true"));
        assert!(shown(json, Some("application/octet-stream")).contains("7b2270616964"));
        assert!(shown(b"line", Some("text/plain")).ends_with("line\n"));
        assert!(
            shown(b"\x1b[31mred", Some("text/plain")).contains("1b5b33316d"),
            "a terminal is not steered"
        );
    }

    #[test]
    fn long_bytes_are_cut_and_counted() {
        let text = shown(&[0xff; 2000], Some("application/octet-stream"));
        assert!(
            text.starts_with("state       version 3, 2000 bytes"),
            "{text}"
        );
        assert!(text.trim_end().ends_with('…'));
    }
}
