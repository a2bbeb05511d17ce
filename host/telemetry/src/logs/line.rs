//! One line, as JSON or as text.

use std::borrow::Cow;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use tracing::Level;

use super::Format;
use super::fields::Fields;

const RFC3339_MS: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const CLOCK_MS: StaticFormatDescription =
    format_description!("[hour]:[minute]:[second].[subsecond digits:3]");

/// Keys that a field may not take; one of that name gets an underscore.
const OWN_KEYS: [&str; 4] = ["time", "level", "target", "message"];

/// What a line says.
pub(super) struct Line<'a> {
    pub(super) time: OffsetDateTime,
    pub(super) level: Level,
    pub(super) target: &'a str,
    pub(super) message: &'a str,
    pub(super) fields: &'a Fields,
}

/// Writes a line, its end included.
pub(super) fn render(format: Format, line: &Line<'_>) -> String {
    match format {
        Format::Json => json(line),
        Format::Text => text(line),
    }
}

/// The line that tells of others which were dropped.
pub(super) fn dropped(format: Format, lines: u64) -> String {
    let mut fields = Fields::default();
    fields.set("lines", lines.into());
    let line = Line {
        time: OffsetDateTime::now_utc(),
        level: Level::WARN,
        target: module_path!(),
        message: "log lines were dropped: stderr is read too slowly",
        fields: &fields,
    };
    render(format, &line)
}

fn json(line: &Line<'_>) -> String {
    let mut out = String::with_capacity(256);
    out.push_str("{\"time\":");
    out.push_str(&quoted(&stamp(line.time, RFC3339_MS)));
    let level = level_name(line.level).to_ascii_lowercase();
    for (key, value) in [
        ("level", level.as_str()),
        ("target", line.target),
        ("message", line.message),
    ] {
        member(&mut out, key, &quoted(value));
    }
    for (name, value) in line.fields.iter() {
        member(&mut out, &own_key(name), &value.to_string());
    }
    out.push_str("}\n");
    out
}

fn member(out: &mut String, key: &str, value: &str) {
    out.push(',');
    out.push_str(&quoted(key));
    out.push(':');
    out.push_str(value);
}

fn text(line: &Line<'_>) -> String {
    let time = stamp(line.time, CLOCK_MS);
    let (level, message) = (level_name(line.level), plain(line.message));
    let mut out = format!("{time} {level:<5} {}: {message}", line.target);
    for (name, value) in line.fields.iter() {
        out.push(' ');
        out.push_str(name);
        out.push('=');
        out.push_str(&shown(value));
    }
    out.push('\n');
    out
}

fn own_key(name: &'static str) -> Cow<'static, str> {
    if OWN_KEYS.contains(&name) {
        format!("{name}_").into()
    } else {
        name.into()
    }
}

fn stamp(time: OffsetDateTime, format: StaticFormatDescription) -> String {
    time.format(format)
        .expect("a time in UTC has every part that is asked for")
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::TRACE => "TRACE",
        Level::DEBUG => "DEBUG",
        Level::INFO => "INFO",
        Level::WARN => "WARN",
        Level::ERROR => "ERROR",
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A field's value: bare when it is one plain word, else as JSON.
fn shown(value: &Value) -> String {
    let special = |c: char| c.is_whitespace() || c == '"' || c == '=';
    match value.as_str() {
        Some(text) if !text.is_empty() && !text.contains(special) => plain(text),
        Some(_) | None => plain(&value.to_string()),
    }
}

/// Control characters escaped: a guest's text must not steer the terminal.
fn plain(text: &str) -> String {
    let escape = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(escape).collect()
}
