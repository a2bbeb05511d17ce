//! How far an ordered reader has come: the watermark, and what holds it back.

use std::collections::BTreeMap;

use crate::event::Position;

/// Bounds on what may be unsettled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Unsettled events at once.
    pub held_max: usize,
    /// Their bytes together.
    pub held_bytes_max: u64,
    /// Events between the watermark and the last one received, settled ones
    /// included: they are read again after a takeover.
    pub span_max: u64,
}

/// Events received in stream order and settled in any order.
///
/// Settled events cost nothing (interleaving 32): only what is unsettled is
/// kept, each with the position before it, so the watermark is a look-up.
#[derive(Debug)]
pub struct Progress {
    unsettled: BTreeMap<u64, Unsettled>,
    bytes: u64,
    received: Position,
    received_count: u64,
}

#[derive(Debug)]
struct Unsettled {
    before: Position,
    ordinal: u64,
    bytes: u64,
}

impl Progress {
    /// Begins behind `watermark`, which is settled.
    pub fn new(watermark: Position) -> Self {
        Self {
            unsettled: BTreeMap::new(),
            bytes: 0,
            received: watermark,
            received_count: 0,
        }
    }

    /// Takes an event in.
    ///
    /// # Panics
    /// When events do not come in stream order: the reader's promise is broken,
    /// and going on would pass over events.
    pub fn receive(&mut self, at: Position, bytes: u64) {
        assert!(
            at.sequence > self.received.sequence,
            "{at:?} came after {:?}",
            self.received
        );
        let entry = Unsettled {
            before: self.received,
            ordinal: self.received_count,
            bytes,
        };
        self.unsettled.insert(at.sequence, entry);
        self.bytes += bytes;
        self.received = at;
        self.received_count += 1;
    }

    /// Settles an event.
    ///
    /// # Panics
    /// When it is not unsettled: settling twice is the host's own error.
    pub fn settle(&mut self, sequence: u64) {
        let entry = self
            .unsettled
            .remove(&sequence)
            .expect("only an unsettled event can be settled");
        self.bytes -= entry.bytes;
    }

    /// Everything at or below it is settled.
    pub fn watermark(&self) -> Position {
        self.unsettled
            .first_key_value()
            .map_or(self.received, |(_, first)| first.before)
    }

    /// The last event received.
    pub fn received(&self) -> Position {
        self.received
    }

    pub fn unsettled(&self) -> usize {
        self.unsettled.len()
    }

    pub fn unsettled_bytes(&self) -> u64 {
        self.bytes
    }

    /// How many more events may be asked for, and how many bytes.
    pub fn credit(&self, bounds: &Bounds) -> (usize, u64) {
        let span = self
            .unsettled
            .first_key_value()
            .map_or(0, |(_, first)| self.received_count - first.ordinal);
        let by_span = usize::try_from(bounds.span_max.saturating_sub(span)).unwrap_or(usize::MAX);
        let events = bounds
            .held_max
            .saturating_sub(self.unsettled.len())
            .min(by_span);
        (events, bounds.held_bytes_max.saturating_sub(self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        held_max: 4,
        held_bytes_max: 100,
        span_max: 10,
    };

    fn at(sequence: u64) -> Position {
        Position {
            sequence,
            stored_ns: sequence * 10,
        }
    }

    #[test]
    fn the_watermark_waits_for_the_first_unsettled_event() {
        let mut progress = Progress::new(at(2));
        for sequence in [3, 5, 9] {
            progress.receive(at(sequence), 1);
        }
        progress.settle(5);
        assert_eq!(progress.watermark(), at(2));
        progress.settle(3);
        assert_eq!(progress.watermark(), at(5));
        progress.settle(9);
        assert_eq!(progress.watermark(), at(9));
    }

    #[test]
    fn interleaving_32_settled_events_take_no_credit_but_the_span_is_bounded() {
        let mut progress = Progress::new(at(0));
        progress.receive(at(1), 1);
        for sequence in 2..=9 {
            progress.receive(at(sequence), 1);
            progress.settle(sequence);
            assert_eq!(progress.unsettled(), 1);
        }
        assert_eq!(progress.credit(&BOUNDS), (1, 99));
        progress.receive(at(10), 1);
        progress.settle(10);
        assert_eq!(
            progress.credit(&BOUNDS).0,
            0,
            "ten events above the watermark"
        );
        progress.settle(1);
        assert_eq!(progress.credit(&BOUNDS).0, 4);
    }

    #[test]
    fn interleaving_32_bytes_are_bounded_beside_the_count() {
        let mut progress = Progress::new(at(0));
        progress.receive(at(1), 90);
        assert_eq!(progress.credit(&BOUNDS), (3, 10));
        progress.receive(at(2), 90);
        assert_eq!(progress.credit(&BOUNDS), (2, 0));
    }

    #[test]
    #[should_panic(expected = "came after")]
    fn an_event_out_of_order_is_refused() {
        let mut progress = Progress::new(at(5));
        progress.receive(at(5), 1);
    }

    #[test]
    #[should_panic(expected = "only an unsettled event")]
    fn an_event_settles_once() {
        let mut progress = Progress::new(at(0));
        progress.receive(at(1), 1);
        progress.settle(1);
        progress.settle(1);
    }
}
