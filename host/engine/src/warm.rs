//! Instances that wait for another event: the policy `instance = "reuse"`.
//!
//! Serial: an instance handles one event at a time, and only one that ended in
//! `ok` or in a failure of the handler's own comes back. When none is free, a
//! fresh one is made; reuse never makes an event wait.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::start::Instance;

/// Events that an instance may handle before it is replaced: interpreters
/// grow, and a leak must not live for ever.
const EVENTS_MAX: u32 = 10_000;

/// The waiting instances of one component.
pub(crate) struct Warm {
    waiting: Mutex<Vec<Waiting>>,
    allowance: Arc<Allowance>,
}

/// How many instances may wait in the whole host.
#[derive(Debug)]
pub(crate) struct Allowance {
    waiting: AtomicU32,
    max: u32,
}

/// An instance, with its share of the allowance.
struct Waiting {
    instance: Instance,
    _share: Share,
}

struct Share(Arc<Allowance>);

impl Warm {
    pub(crate) fn new(allowance: Arc<Allowance>) -> Self {
        Self {
            waiting: Mutex::default(),
            allowance,
        }
    }

    /// The instance that came back last: its memory is the warmest.
    pub(crate) fn take(&self) -> Option<Instance> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop().map(|waiting| waiting.instance)
    }

    /// Keeps an instance if it is not worn out and the host has room.
    pub(crate) fn give(&self, instance: Instance) {
        if instance.events >= EVENTS_MAX {
            return;
        }
        let Some(share) = self.allowance.share() else {
            return;
        };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(Waiting {
            instance,
            _share: share,
        });
    }
}

impl Allowance {
    pub(crate) fn new(max: u32) -> Arc<Self> {
        Arc::new(Self {
            waiting: AtomicU32::new(0),
            max,
        })
    }

    /// Instances that wait now, of all components.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Acquire)
    }

    fn share(self: &Arc<Self>) -> Option<Share> {
        let taken = self
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                (now < self.max).then_some(now + 1)
            });
        taken.is_ok().then(|| Share(Arc::clone(self)))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allowance_is_one_for_the_host_and_comes_back() {
        let allowance = Allowance::new(1);
        let share = allowance.share().expect("room for one");
        assert!(allowance.share().is_none());
        drop(share);
        assert_eq!(allowance.waiting(), 0);
        assert!(allowance.share().is_some());
    }
}
