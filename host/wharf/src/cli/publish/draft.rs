//! The event as it is given on the command line, checked.

use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use wharf_core::event::{Event, Position};
use wharf_jetstream::codec::Outgoing;

use crate::cli::failure::Failure;
use crate::clock;
use crate::codes::Code;

const ID_BYTES_MAX: usize = 256;

/// What was given.
#[derive(Debug, Clone)]
pub struct Given<'a> {
    pub subject: String,
    pub event_type: &'a str,
    pub source: &'a str,
    /// None: a new one.
    pub id: Option<&'a str>,
    pub content_type: &'a str,
    /// As `header` gives them.
    pub headers: &'a [(String, String)],
    /// JSON text, `@file` or `-`; None: an empty object.
    pub data: Option<&'a str>,
}

/// An event that can be published.
#[derive(Debug, Clone)]
pub struct Draft {
    pub subject: String,
    pub id: String,
    pub event_type: String,
    pub source: String,
    pub content_type: String,
    pub attributes: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub time_ms: u64,
    /// 32 hexadecimal digits; the event begins a trace of its own.
    pub trace_id: String,
    span_id: String,
    pub data: Bytes,
}

impl Draft {
    /// # Errors
    /// An id or type that is none, data that cannot be read, or data that is
    /// not what its media type says.
    pub fn new(given: Given<'_>) -> Result<Self, Failure> {
        let id = given.id.map_or_else(new_id, str::to_owned);
        for (what, text) in [
            ("id", id.as_str()),
            ("type", given.event_type),
            ("source", given.source),
        ] {
            let fits =
                (1..=ID_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
            if !fits {
                let message = format!(
                    "the event's {what} has to have 1 to {ID_BYTES_MAX} bytes, none of them a control character"
                );
                return Err(Failure::new(Code::BadEvent, message));
            }
        }
        let (attributes, headers) = given
            .headers
            .iter()
            .cloned()
            .partition(|(name, _)| name.starts_with("ce-"));
        let attributes: Vec<(String, String)> = attributes;
        let bare =
            |(name, value): (String, String)| (name.trim_start_matches("ce-").to_owned(), value);
        Ok(Self {
            subject: given.subject,
            id,
            event_type: given.event_type.to_owned(),
            source: given.source.to_owned(),
            data: data(given.data, given.content_type)?,
            content_type: given.content_type.to_owned(),
            attributes: attributes.into_iter().map(bare).collect(),
            headers,
            time_ms: clock::now_ms(),
            trace_id: hex(&clock::commit_id()),
            span_id: hex(&clock::random().to_be_bytes()),
        })
    }

    /// For the codec; `traceparent` is this draft's own.
    pub fn outgoing<'a>(&'a self, traceparent: &'a str) -> Outgoing<'a> {
        Outgoing {
            subject: &self.subject,
            id: &self.id,
            event_type: &self.event_type,
            source: &self.source,
            time_ms: self.time_ms,
            content_type: &self.content_type,
            attributes: self
                .attributes
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
            correlation_id: None,
            causation_id: None,
            hops: 0,
            traceparent: Some(traceparent),
            tracestate: None,
            data: self.data.clone(),
        }
    }

    /// As a handler's host will decode it.
    pub fn event(&self, position: Position) -> Event {
        let lower = |(name, value): &(String, String)| (name.to_ascii_lowercase(), value.clone());
        Event {
            id: self.id.clone(),
            source: self.source.clone(),
            event_type: self.event_type.clone(),
            subject: self.subject.clone(),
            content_type: self.content_type.clone(),
            time_ms: self.time_ms,
            position,
            correlation_id: None,
            causation_id: None,
            attributes: self.attributes.clone(),
            headers: self.headers.iter().map(lower).collect(),
            hops: 0,
            traceparent: Some(self.traceparent()),
            tracestate: None,
            data: self.data.clone(),
        }
    }

    /// The trace that begins with it.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace_id, self.span_id)
    }
}

/// Reads `NAME=VALUE`. Headers that steer the broker are not for events.
pub fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let legal = |c: char| c.is_ascii_graphic() && c != ':';
    if name.is_empty() || !name.chars().all(legal) {
        return Err(format!("`{name}` is not the name of a header"));
    }
    if value.chars().any(char::is_control) {
        return Err(format!("the value of `{name}` holds a control character"));
    }
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("nats-") {
        return Err(format!(
            "`{name}` is a header of the broker; --id sets the message id"
        ));
    }
    let name = if lower.starts_with("ce-") {
        lower
    } else {
        name.to_owned()
    };
    Ok((name, value.to_owned()))
}

fn data(given: Option<&str>, content_type: &str) -> Result<Bytes, Failure> {
    let bytes = match given {
        None => b"{}".to_vec(),
        Some("-") => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(|error| unreadable("standard input", &error))?;
            bytes
        }
        Some(text) => match text.strip_prefix('@') {
            Some(file) => {
                std::fs::read(Path::new(file)).map_err(|error| unreadable(file, &error))?
            }
            None => text.as_bytes().to_vec(),
        },
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence == "application/json" || essence.ends_with("+json") {
        serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).map_err(|error| {
            Failure::new(Code::BadEvent, format!("the data is not JSON: {error}"))
                .remedy("correct it, or name its media type with --content-type")
        })?;
    }
    Ok(bytes.into())
}

fn unreadable(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Code::BadEvent, format!("the data cannot be read: {error}")).place(what)
}

fn new_id() -> String {
    hex(&clock::commit_id())
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given<'a>() -> Given<'a> {
        Given {
            subject: "shop.order.A.placed".into(),
            event_type: "order.placed",
            source: "cli",
            id: None,
            content_type: "application/json",
            headers: &[],
            data: None,
        }
    }

    #[test]
    fn data_has_to_be_what_its_media_type_says() {
        assert_eq!(Draft::new(given()).unwrap().data, "{}");
        let bad = Given {
            data: Some("{\"a\":"),
            ..given()
        };
        assert_eq!(Draft::new(bad.clone()).unwrap_err().code, Code::BadEvent);
        assert!(
            Draft::new(Given {
                content_type: "text/plain",
                ..bad
            })
            .is_ok()
        );
        let missing = Given {
            data: Some("@/nowhere/at/all"),
            ..given()
        };
        assert_eq!(
            Draft::new(missing).unwrap_err().place.as_deref(),
            Some("/nowhere/at/all")
        );
    }

    #[test]
    fn headers_are_told_from_attributes_and_the_brokers_own_are_refused() {
        let headers = [
            header("ce-Tenant=blue").unwrap(),
            header("priority=a=b").unwrap(),
        ];
        let draft = Draft::new(Given {
            headers: &headers,
            ..given()
        })
        .unwrap();
        assert_eq!(draft.attributes, [("tenant".to_owned(), "blue".to_owned())]);
        assert_eq!(draft.headers, [("priority".to_owned(), "a=b".to_owned())]);
        for bad in ["none", "=x", "a b=c", "Nats-Rollup=all", "a:b=c", "a=b\nc"] {
            assert!(header(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_that_is_empty_or_too_long_is_refused() {
        let long = "x".repeat(257);
        for id in ["", long.as_str(), "a\nb"] {
            assert_eq!(
                Draft::new(Given {
                    id: Some(id),
                    ..given()
                })
                .unwrap_err()
                .code,
                Code::BadEvent,
                "{id}"
            );
        }
    }
}
