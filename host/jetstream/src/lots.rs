//! What is handed over in lots rather than one by one.
//!
//! The runtime runs what a task has woken right after it. So a connection that is
//! handed one message writes one, while a hundred tasks stand ready to add theirs:
//! a system call for each message, here and at the broker. Whoever hands over lets
//! all that are ready go first, and then takes what has come together. When nobody
//! else is ready, that is at once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What waits to be handed over, in the order in which it came.
#[derive(Debug)]
pub struct Lots<T> {
    waiting: Mutex<Vec<T>>,
    came: Notify,
}

impl<T> Lots<T> {
    /// Adds one, and says how many wait now.
    pub fn put(&self, item: T) -> usize {
        let mut waiting = self.waiting();
        waiting.push(item);
        if waiting.len() == 1 {
            self.came.notify_one();
        }
        waiting.len()
    }

    /// Changes what waits, by taking some out.
    pub(crate) fn tidy(&self, tidy: impl FnOnce(&mut Vec<T>)) {
        tidy(&mut self.waiting());
    }

    /// Waits until something has come, and whoever is ready has added theirs.
    ///
    /// # Cancel safety
    /// Not safe: what has come then waits for the next that comes.
    pub async fn ready(&self) {
        self.came.notified().await;
        tokio::task::yield_now().await;
    }

    /// Takes all that wait, into a list that is empty and lends its room.
    pub fn take(&self, lot: &mut Vec<T>) {
        debug_assert!(lot.is_empty(), "an earlier lot is handed over");
        std::mem::swap(lot, &mut *self.waiting());
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<T>> {
        // Nothing in here panics half-way, so a poisoned list is whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Lots<T> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            came: Notify::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lots;
    use futures_util::FutureExt;
    use std::pin::pin;

    #[tokio::test]
    async fn others_may_add_theirs_before_a_lot_is_taken_and_it_keeps_their_order() {
        let lots = Lots::default();
        let mut ready = pin!(lots.ready());
        assert!(ready.as_mut().now_or_never().is_none(), "nothing has come");
        assert_eq!(lots.put("first"), 1);
        assert!(ready.as_mut().now_or_never().is_none(), "others go first");
        assert_eq!(lots.put("second"), 2);
        ready.await;
        let mut lot = Vec::new();
        lots.take(&mut lot);
        assert_eq!(lot, ["first", "second"]);
        lot.clear();
        assert_eq!(lots.put("third"), 1);
        lots.ready().await;
        lots.take(&mut lot);
        assert_eq!(lot, ["third"]);
    }
}
