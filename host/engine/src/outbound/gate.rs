//! The gate in front of a need: asked before a call, told after it.
//!
//! Today it holds the slots. It sees every call to its need from all handlers
//! of the host, with its result and duration, and may refuse before anything
//! is sent; rules about a need's health have their place here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Counts the calls to one need.
#[derive(Debug)]
pub(super) struct Gate {
    in_flight: AtomicU32,
    max: u32,
}

/// Why a call may not begin; nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Closed {
    #[error("all {max} slots of the need are taken")]
    NoSlot { max: u32 },
}

/// A call that was let in. Dropping it gives the slot back, also when the
/// attempt was cancelled in the middle.
#[derive(Debug)]
pub(super) struct Passage(Arc<Gate>);

impl Gate {
    pub(super) fn new(max: u32) -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            max,
        }
    }

    /// Asks for a slot; never waits.
    ///
    /// # Errors
    ///
    /// Why the call may not begin.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Passage, Closed> {
        let taken = self
            .in_flight
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                (now < self.max).then_some(now + 1)
            });
        match taken {
            Ok(_) => Ok(Passage(Arc::clone(self))),
            Err(_) => Err(Closed::NoSlot { max: self.max }),
        }
    }

    pub(super) fn max(&self) -> u32 {
        self.max
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Acquire)
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_need_refuses_and_a_dropped_call_makes_room() {
        let gate = Arc::new(Gate::new(2));
        let first = gate.enter().expect("free");
        let _second = gate.enter().expect("free");
        assert_eq!(gate.enter().map(|_| ()), Err(Closed::NoSlot { max: 2 }));
        drop(first);
        assert_eq!(gate.in_flight(), 1);
        assert!(gate.enter().is_ok());
    }
}
