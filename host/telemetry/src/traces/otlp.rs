//! OTLP's own bytes, written as spans are told.
//!
//! Why not by the project's library: `docs/adr/0015-spans-as-bytes.md`. The protocol
//! is stable, and its field numbers are for ever: `opentelemetry/proto/trace/v1/trace.proto`,
//! `common/v1/common.proto` and `collector/trace/v1/trace_service.proto` of
//! opentelemetry-proto 1.x. Tests read what is written here with the types that the
//! project makes of those files.

use std::collections::BTreeMap;

/// Of 64 bits, seven in each byte.
const VARINT_BYTES_MAX: usize = 10;

/// How a field is written, as its key says.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Length = 2,
    Fixed32 = 5,
}

/// A message of the protocol, as far as it is written.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

/// Attributes, as a field of the message that has them.
pub(super) struct Attributes<'a> {
    message: &'a mut Message,
    field: u32,
}

/// Spans, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Spans {
    message: Message,
    /// Where each ends.
    ends: Vec<usize>,
}

/// What is the same in all requests of a host.
pub(super) struct Envelope {
    resource: Message,
    scope: Message,
}

/// A collector's answer, an `ExportTraceServiceResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Answer {
    #[prost(message, optional, tag = "1")]
    pub(super) partial: Option<Partial>,
}

/// It took some, and not all.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Partial {
    /// Spans that it did not take. 0: all were taken, and the text is a warning.
    #[prost(int64, tag = "1")]
    pub(super) rejected: i64,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

impl Message {
    /// Empty, with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    fn key(&mut self, field: u32, wire: Wire) {
        put_varint(&mut self.0, u64::from(field) << 3 | wire as u64);
    }

    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, Wire::Length);
        put_varint(&mut self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// One text in parts.
    pub(super) fn texts(&mut self, field: u32, parts: &[&str]) {
        self.message(field, |text| {
            for part in parts {
                text.0.extend_from_slice(part.as_bytes());
            }
        });
    }

    pub(super) fn varint(&mut self, field: u32, value: u64) {
        self.key(field, Wire::Varint);
        put_varint(&mut self.0, value);
    }

    pub(super) fn fixed32(&mut self, field: u32, value: u32) {
        self.key(field, Wire::Fixed32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn fixed64(&mut self, field: u32, value: u64) {
        self.key(field, Wire::Fixed64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A message within this one.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.key(field, Wire::Length);
        let at = self.0.len();
        self.0.push(0);
        write(self);
        let length = self.0.len() - at - 1;
        let (digits, count) = varint(length as u64);
        match count {
            1 => self.0[at] = digits[0],
            _ => drop(self.0.splice(at..=at, digits[..count].iter().copied())),
        }
    }

    /// Fields that were written before.
    pub(super) fn written(&mut self, fields: &Self) {
        self.0.extend_from_slice(&fields.0);
    }

    pub(super) fn attributes(&mut self, field: u32) -> Attributes<'_> {
        Attributes {
            message: self,
            field,
        }
    }
}

impl Attributes<'_> {
    pub(super) fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.pair(key, text_bytes(value.len()), |any| any.text(1, value))
    }

    pub(super) fn number(&mut self, key: &str, value: u64) -> &mut Self {
        // The protocol's number is signed.
        let value = value.min(i64::MAX as u64);
        self.pair(key, 1 + varint_bytes(value), |any| any.varint(3, value))
    }

    /// `value` writes so many bytes. With all lengths known before, nothing has to
    /// be moved afterwards.
    fn pair(&mut self, key: &str, bytes: usize, value: impl FnOnce(&mut Message)) -> &mut Self {
        let pair = &mut *self.message;
        pair.key(self.field, Wire::Length);
        put_varint(
            &mut pair.0,
            (text_bytes(key.len()) + text_bytes(bytes)) as u64,
        );
        pair.text(1, key);
        pair.key(2, Wire::Length);
        put_varint(&mut pair.0, bytes as u64);
        value(pair);
        self
    }
}

impl Spans {
    /// One more.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Message)) {
        self.message.message(2, write);
        self.ends.push(self.message.0.len());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Empties it and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.message.0.clear();
        self.ends.clear();
    }

    /// Those of another, behind its own.
    pub(super) fn extend(&mut self, other: &Self) {
        let before = self.message.0.len();
        self.message.0.extend_from_slice(&other.message.0);
        self.ends.extend(other.ends.iter().map(|end| before + end));
    }

    /// An empty one that need not grow to become as large as this.
    pub(super) fn fresh(&self) -> Self {
        Self {
            message: Message::with_capacity(self.message.0.len()),
            ends: Vec::with_capacity(self.ends.len()),
        }
    }

    /// Those from the `from`th on, `to` not included.
    fn part(&self, from: usize, to: usize) -> &[u8] {
        let end = |count: usize| count.checked_sub(1).map_or(0, |last| self.ends[last]);
        &self.message.0[end(from)..end(to)]
    }
}

impl Envelope {
    pub(super) fn new(resource: &BTreeMap<String, String>, version: &str) -> Self {
        let mut envelope = Self {
            resource: Message::default(),
            scope: Message::default(),
        };
        let mut attributes = envelope.resource.attributes(1);
        for (key, value) in resource {
            attributes.text(key, value);
        }
        envelope.scope.text(1, "wharf");
        envelope.scope.text(2, version);
        envelope
    }

    /// An `ExportTraceServiceRequest` with some of the spans.
    pub(super) fn request(&self, spans: &Spans, from: usize, to: usize) -> Vec<u8> {
        let part = spans.part(from, to);
        let around = self.resource.0.len() + self.scope.0.len() + 64;
        let mut request = Message::with_capacity(part.len() + around);
        request.message(1, |resource_spans| {
            resource_spans.bytes(1, &self.resource.0);
            resource_spans.message(2, |scope_spans| {
                scope_spans.bytes(1, &self.scope.0);
                scope_spans.0.extend_from_slice(part);
            });
        });
        request.0
    }
}

/// Seven bits a byte, the lowest first; all but the last say that more follow.
/// So many of the bytes count.
#[expect(clippy::cast_possible_truncation, reason = "the lowest seven bits")]
fn varint(mut value: u64) -> ([u8; VARINT_BYTES_MAX], usize) {
    let mut bytes = [0; VARINT_BYTES_MAX];
    let mut count = 0;
    while value >= 0x80 {
        bytes[count] = value as u8 | 0x80;
        value >>= 7;
        count += 1;
    }
    bytes[count] = value as u8;
    (bytes, count + 1)
}

/// How many bytes of [`varint`] count.
fn varint_bytes(value: u64) -> usize {
    varint(value).1
}

/// How many bytes a field of a number below 16 takes with a value of this length.
fn text_bytes(length: usize) -> usize {
    1 + varint_bytes(length as u64) + length
}

#[inline]
fn put_varint(bytes: &mut Vec<u8>, value: u64) {
    match u8::try_from(value) {
        Ok(short) if short < 0x80 => bytes.push(short),
        Ok(_) | Err(_) => {
            let (digits, count) = varint(value);
            bytes.extend_from_slice(&digits[..count]);
        }
    }
}
