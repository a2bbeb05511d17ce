//! Instances that wait for another event: the policy `instance = "reuse"`.
//!
//! Serial: an instance handles one event at a time, and only one that ended in
//! `ok` or in a failure of the handler's own comes back. When none is free, a
//! fresh one is made; reuse never makes an event wait.

use std::sync::{Arc, Mutex};

use crate::context::locked;
use crate::start::Instance;

/// Events that an instance may handle before it is replaced: interpreters
/// grow, and a leak must not live for ever.
const EVENTS_MAX: u32 = 10_000;

/// The waiting instances of one component.
pub(crate) struct Warm {
    waiting: Mutex<Vec<Waiting>>,
    allowance: Arc<Allowance>,
}

/// What may wait in the whole host, and what does: an interpreter of some tens
/// of megabytes is not worth as much as a component of one.
#[derive(Debug)]
pub(crate) struct Allowance {
    held: Mutex<Held>,
    max: Held,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) instances: u32,
    /// All their linear memories.
    pub(crate) bytes: u64,
}

/// An instance, with its share of the allowance.
struct Waiting {
    instance: Instance,
    _share: Share,
}

struct Share {
    allowance: Arc<Allowance>,
    bytes: u64,
}

impl Warm {
    pub(crate) fn new(allowance: Arc<Allowance>) -> Self {
        Self {
            waiting: Mutex::default(),
            allowance,
        }
    }

    /// The instance that came back last: its memory is the warmest.
    pub(crate) fn take(&self) -> Option<Instance> {
        let mut waiting = locked(&self.waiting);
        waiting.pop().map(|waiting| waiting.instance)
    }

    /// Keeps an instance if it is not worn out and the host has room.
    pub(crate) fn give(&self, instance: Instance) {
        if instance.events >= EVENTS_MAX {
            return;
        }
        let bytes = instance.store.data().limiter.bytes() as u64;
        let Some(share) = self.allowance.share(bytes) else {
            return;
        };
        locked(&self.waiting).push(Waiting {
            instance,
            _share: share,
        });
    }
}

impl Allowance {
    pub(crate) fn new(max: Held) -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::default(),
            max,
        })
    }

    /// Instances that wait now, of all components.
    pub(crate) fn waiting(&self) -> u32 {
        locked(&self.held).instances
    }

    fn share(self: &Arc<Self>, bytes: u64) -> Option<Share> {
        let mut held = locked(&self.held);
        let next = Held {
            instances: held.instances + 1,
            bytes: held.bytes.saturating_add(bytes),
        };
        let fits = next.instances <= self.max.instances && next.bytes <= self.max.bytes;
        fits.then(|| {
            *held = next;
            Share {
                allowance: Arc::clone(self),
                bytes,
            }
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = locked(&self.allowance.held);
        held.instances -= 1;
        held.bytes -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(instances: u32, bytes: u64) -> Arc<Allowance> {
        Allowance::new(Held { instances, bytes })
    }

    #[test]
    fn the_allowance_is_one_for_the_host_and_comes_back() {
        let allowance = allowance(1, 100);
        let share = allowance.share(10).expect("room for one");
        assert!(allowance.share(10).is_none());
        drop(share);
        assert_eq!(*locked(&allowance.held), Held::default());
        assert!(allowance.share(10).is_some());
    }

    #[test]
    fn the_memory_of_what_waits_is_bounded_too() {
        let allowance = allowance(9, 100);
        let small = allowance.share(40).expect("room for it");
        let large = allowance.share(60).expect("room to the last byte");
        assert!(allowance.share(1).is_none());
        drop(large);
        assert_eq!(allowance.waiting(), 1);
        assert!(allowance.share(61).is_none());
        assert!(allowance.share(60).is_some());
        drop(small);
    }
}
