//! One turn at a time for each event of a handler without order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::OwnedMutexGuard;

/// Events that this host works on just now, each once at a time: a copy of one
/// waits until the other is settled, and is then found to be a duplicate.
#[derive(Default)]
pub struct AtWork(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

/// An event's turn, until it is dropped.
pub struct Turn<'a> {
    at_work: &'a AtWork,
    key: String,
    /// None only while it is dropped.
    alone: Option<OwnedMutexGuard<()>>,
    /// A copy was at work before.
    pub had_to_wait: bool,
}

impl AtWork {
    /// Its turn, when no copy is at work.
    pub fn try_begin(&self, key: &str) -> Option<Turn<'_>> {
        let mut queues = self.queues();
        if queues.contains_key(key) {
            return None;
        }
        let queue = Arc::new(tokio::sync::Mutex::new(()));
        let alone = queue.clone().try_lock_owned().ok()?;
        queues.insert(key.to_owned(), queue);
        Some(Turn {
            at_work: self,
            key: key.to_owned(),
            alone: Some(alone),
            had_to_wait: false,
        })
    }

    /// Waits for its turn.
    ///
    /// # Cancel safety
    /// Safe: it gives up its place.
    pub async fn begin(&self, key: &str) -> Turn<'_> {
        if let Some(turn) = self.try_begin(key) {
            return turn;
        }
        let mut turn = Turn {
            at_work: self,
            key: key.to_owned(),
            alone: None,
            had_to_wait: true,
        };
        let queue = self.queues().entry(turn.key.clone()).or_default().clone();
        turn.alone = Some(queue.lock_owned().await);
        turn
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().expect("no panic while held")
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut queues = self.at_work.queues();
        self.alone = None;
        // Whoever waits for it holds it as well.
        if queues
            .get(&self.key)
            .is_some_and(|queue| Arc::strong_count(queue) == 1)
        {
            queues.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::AtWork;

    #[tokio::test]
    async fn copies_of_an_event_have_their_turns_one_after_another() {
        let at_work = AtWork::default();
        let first = at_work.try_begin("a").expect("nobody is at work");
        assert!(!first.had_to_wait);
        assert!(at_work.try_begin("a").is_none());
        assert!(!at_work.begin("b").await.had_to_wait);
        let mut second = Box::pin(at_work.begin("a"));
        assert!((&mut second).now_or_never().is_none());
        let mut third = Box::pin(at_work.begin("a"));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        let second = second.await;
        assert!(second.had_to_wait);
        assert!((&mut third).now_or_never().is_none());
        // One that gives up while it waits holds nobody up.
        drop(third);
        drop(second);
        assert!(!at_work.begin("a").await.had_to_wait);
        assert!(at_work.queues().is_empty());
    }
}
