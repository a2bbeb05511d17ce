//! When a version is to be stopped by itself: before it empties the stream into
//! dead letters.

use std::collections::BTreeSet;

use crate::ids::EventHash;

/// So many distinct events in a row end a version.
pub const EVENTS: usize = 10;

/// Watches the attempts of one handler on one host.
#[derive(Debug, Default)]
pub struct Guard {
    version: u32,
    /// Events on which the version faulted since one went well.
    faulted: BTreeSet<EventHash>,
}

impl Guard {
    /// This version has the traffic from now on; the row begins again.
    pub fn begin(&mut self, version: u32) {
        self.version = version;
        self.faulted.clear();
    }

    /// An attempt of `version` on an event has ended. True: it has just faulted
    /// on [`EVENTS`] distinct events in a row. What still runs of another version
    /// tells nothing.
    pub fn saw(&mut self, version: u32, event: EventHash, faulted: bool) -> bool {
        if version != self.version {
            return false;
        }
        if !faulted {
            self.faulted.clear();
        }
        faulted && self.faulted.insert(event) && self.faulted.len() == EVENTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(version: u32) -> Guard {
        let mut guard = Guard::default();
        guard.begin(version);
        guard
    }

    fn faults(guard: &mut Guard, version: u32, events: std::ops::Range<u8>) -> bool {
        let mut tripped = false;
        for event in events {
            tripped |= guard.saw(version, [event; 16], true);
        }
        tripped
    }

    #[test]
    fn ten_distinct_events_in_a_row_trip_it_once() {
        let mut guard = guard(1);
        assert!(!faults(&mut guard, 1, 0..9));
        assert!(faults(&mut guard, 1, 9..10));
        assert!(!faults(&mut guard, 1, 10..20), "it has said so");
    }

    #[test]
    fn one_event_that_is_tried_again_is_one_event() {
        let mut guard = guard(1);
        for _ in 0..50 {
            assert!(!guard.saw(1, [1; 16], true));
        }
    }

    #[test]
    fn a_success_and_another_version_begin_the_row_again() {
        let mut guard = guard(2);
        faults(&mut guard, 2, 0..9);
        guard.saw(2, [50; 16], false);
        assert!(!faults(&mut guard, 2, 9..18));
        // Back to an earlier one; what still runs of the later tells nothing.
        guard.begin(1);
        assert!(!faults(&mut guard, 2, 18..40));
        assert!(!faults(&mut guard, 1, 18..27));
        assert!(faults(&mut guard, 1, 27..28));
    }
}
