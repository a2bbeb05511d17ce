//! Events as bytes, good ones to begin with.

use wharf_demo::shop::{CURRENCY, Line, Message, Order, Placed};

/// A message before it is sent. Names and values need not be text.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    pub subject: Vec<u8>,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub payload: Vec<u8>,
}

impl Raw {
    /// Bytes without any header.
    pub fn bare(subject: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            subject: subject.into(),
            headers: Vec::new(),
            payload: payload.into(),
        }
    }

    /// CloudEvents in binary mode with all that must be there.
    pub fn event(subject: &str, id: &str, event_type: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self::bare(subject, payload)
            .with("ce-specversion", "1.0")
            .with("ce-id", id)
            .with("ce-source", "test")
            .with("ce-type", event_type)
    }

    /// CloudEvents in structured mode, or what claims to be that.
    pub fn structured(subject: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self::bare(subject, payload).with("content-type", "application/cloudevents+json")
    }

    /// One header line more.
    #[must_use]
    pub fn with(mut self, name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    #[must_use]
    pub fn payload(self, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            payload: payload.into(),
            ..self
        }
    }

    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(found, _)| found != name.as_bytes());
        self
    }

    /// Padded with one header so that the block has exactly `bytes`.
    #[must_use]
    pub fn padded_to(self, bytes: usize) -> Self {
        let line = "x-pad: \r\n".len();
        let missing = bytes
            .checked_sub(self.block().len() + line)
            .expect("not larger already");
        self.with("x-pad", "p".repeat(missing))
    }

    /// From `NATS/1.0` to the empty line; empty without headers.
    pub fn block(&self) -> Vec<u8> {
        if self.headers.is_empty() {
            return Vec::new();
        }
        let mut block = b"NATS/1.0\r\n".to_vec();
        for (name, value) in &self.headers {
            block.extend([name, &b": "[..], value, b"\r\n"].concat());
        }
        block.extend(b"\r\n");
        block
    }
}

/// An order of one piece that the shop confirms; `id` is the event's.
pub fn placed(order: &str, id: &str) -> Raw {
    let line = Line {
        sku: SKU.into(),
        qty: 1,
        unit_price: 250,
    };
    let placed = Placed {
        customer: "c@example.com".into(),
        currency: CURRENCY.into(),
        lines: vec![line],
    };
    let message = Message::placed(&Order {
        id: order.into(),
        placed,
    });
    Raw::event(&message.subject, id, &message.event_type, message.data)
}

/// Stock for all orders of a test.
pub fn stocked() -> Raw {
    let message = Message::stocked(SKU, "all", 1_000);
    Raw::event(
        &message.subject,
        &message.id,
        &message.event_type,
        message.data,
    )
}

const SKU: &str = "SKU-001";
