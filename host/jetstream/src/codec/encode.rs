//! Emissions as CloudEvents in binary mode.

use crate::api::stamp;
use async_nats::{HeaderMap, HeaderName};
use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::borrow::Cow;

/// What the CloudEvents bindings keep out of a header's value: everything but
/// the visible part of ASCII, and of that the quote and the percent sign.
const ATTRIBUTE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');
/// Longest name of an extension attribute.
const NAME_BYTES_MAX: usize = 20;
/// Attributes that are fields of [`Outgoing`], or the host's own.
const RESERVED: [&str; 13] = [
    "specversion",
    "id",
    "type",
    "source",
    "subject",
    "time",
    "datacontenttype",
    "correlationid",
    "causationid",
    "wharfhops",
    "traceparent",
    "tracestate",
    "data",
];

/// An emission with everything that the host adds to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing<'a> {
    pub subject: &'a str,
    /// Also the message id by which streams recognise a repetition.
    pub id: &'a str,
    pub event_type: &'a str,
    pub source: &'a str,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// Media type of the data; empty when unknown.
    pub content_type: &'a str,
    /// Extension attributes; names of `[a-z0-9]{1,20}`.
    pub attributes: Vec<(&'a str, &'a str)>,
    pub correlation_id: Option<&'a str>,
    pub causation_id: Option<&'a str>,
    /// Emissions between the first publish of the flow and this one, included.
    pub hops: u32,
    pub traceparent: Option<&'a str>,
    pub tracestate: Option<&'a str>,
    pub data: Bytes,
}

/// A message, ready for a publisher.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    pub subject: String,
    pub headers: HeaderMap,
    pub payload: Bytes,
}

impl Encoded {
    /// What the broker's limits count: header block and payload, in bytes.
    pub fn bytes(&self) -> usize {
        let line = |name: &str, value: &str| name.len() + value.len() + ": \r\n".len();
        let lines: usize = self
            .headers
            .iter()
            .flat_map(|(name, values)| {
                values
                    .iter()
                    .map(move |value| line(name.as_ref(), value.as_str()))
            })
            .sum();
        "NATS/1.0\r\n\r\n".len() + lines + self.payload.len()
    }
}

/// An attribute that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("`{name}` is no attribute name: 1 to 20 of `[a-z0-9]` are allowed")]
    AttributeName { name: String },
    #[error("the attribute `{name}` is set by the host")]
    Reserved { name: String },
    #[error("the attribute `{name}` is there twice")]
    Repeated { name: String },
}

/// Writes an emission as a message.
///
/// # Errors
/// An attribute's name is not one, is the host's, or is there twice.
pub fn encode(outgoing: Outgoing<'_>) -> Result<Encoded, EncodeError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &outgoing.attributes {
        check(name)?;
        let header = format!("ce-{name}");
        if headers.get(header.as_str()).is_some() {
            let name = (*name).to_owned();
            return Err(EncodeError::Repeated { name });
        }
        headers.insert(header, attribute(value));
    }
    // Names that are known are neither checked nor copied for each emission.
    let mut set = |name: &'static str, value: String| {
        headers.insert(HeaderName::from_static(name), value);
    };
    set("ce-specversion", "1.0".to_owned());
    set("ce-id", attribute(outgoing.id));
    set("ce-type", attribute(outgoing.event_type));
    set("ce-source", attribute(outgoing.source));
    let time_ns = outgoing.time_ms.saturating_mul(1_000_000);
    set("ce-time", stamp::format(time_ns));
    set("ce-wharfhops", outgoing.hops.to_string());
    if let Some(id) = outgoing.correlation_id {
        set("ce-correlationid", attribute(id));
    }
    if let Some(id) = outgoing.causation_id {
        set("ce-causationid", attribute(id));
    }
    if !outgoing.content_type.is_empty() {
        // The binding names the header; some readers look for the attribute.
        set("content-type", plain(outgoing.content_type));
        set("ce-datacontenttype", attribute(outgoing.content_type));
    }
    if let Some(traceparent) = outgoing.traceparent {
        set("traceparent", plain(traceparent));
    }
    if let Some(tracestate) = outgoing.tracestate {
        set("tracestate", plain(tracestate));
    }
    headers.insert(async_nats::header::NATS_MESSAGE_ID, plain(outgoing.id));
    Ok(Encoded {
        subject: outgoing.subject.to_owned(),
        headers,
        payload: outgoing.data,
    })
}

fn check(name: &str) -> Result<(), EncodeError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
        return Err(EncodeError::AttributeName {
            name: name.to_owned(),
        });
    }
    if RESERVED.contains(&name) {
        return Err(EncodeError::Reserved {
            name: name.to_owned(),
        });
    }
    Ok(())
}

fn attribute(value: &str) -> String {
    Cow::from(utf8_percent_encode(value, ATTRIBUTE)).into_owned()
}

/// For headers that are not attributes: only what would break the block.
fn plain(value: &str) -> String {
    Cow::from(utf8_percent_encode(value, CONTROLS)).into_owned()
}
