//! One turn at a time for each event of a handler without order.

use std::collections::hash_map::{Entry, VacantEntry};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;
use wharf_core::ids::EventHash;

/// Events that this host works on just now, each once at a time: a copy of one
/// waits until the other is settled, and is then found to be a duplicate.
#[derive(Clone, Default)]
pub struct AtWork(Arc<Mutex<HashMap<EventHash, Waiting>>>);

/// Copies that wait for the turn, first come first.
type Waiting = VecDeque<oneshot::Sender<Turn>>;

/// An event's turn, until it is dropped.
pub struct Turn {
    at_work: AtWork,
    event: EventHash,
    /// A copy was at work before.
    pub had_to_wait: bool,
}

impl AtWork {
    /// Its turn, when no copy is at work.
    pub fn try_begin(&self, event: EventHash) -> Option<Turn> {
        match self.events().entry(event) {
            Entry::Occupied(_) => None,
            Entry::Vacant(place) => Some(self.first(place)),
        }
    }

    /// Waits for its turn.
    ///
    /// # Cancel safety
    /// Safe: it gives up its place.
    pub async fn begin(&self, event: EventHash) -> Turn {
        let turn = match self.events().entry(event) {
            Entry::Vacant(place) => return self.first(place),
            Entry::Occupied(mut waiting) => {
                let (give, turn) = oneshot::channel();
                waiting.get_mut().push_back(give);
                turn
            }
        };
        turn.await.expect("whoever has the turn gives it on")
    }

    fn first(&self, place: VacantEntry<'_, EventHash, Waiting>) -> Turn {
        let turn = self.turn(*place.key(), false);
        // Copies are rare: an empty line takes no memory.
        place.insert(Waiting::new());
        turn
    }

    fn turn(&self, event: EventHash, had_to_wait: bool) -> Turn {
        Turn {
            at_work: self.clone(),
            event,
            had_to_wait,
        }
    }

    fn events(&self) -> MutexGuard<'_, HashMap<EventHash, Waiting>> {
        self.0.lock().expect("no panic while held")
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut events = self.at_work.events();
            let waiting = events.get_mut(&self.event);
            let next = waiting.and_then(|waiting| {
                std::iter::from_fn(|| waiting.pop_front()).find(|copy| !copy.is_closed())
            });
            if next.is_none() {
                events.remove(&self.event);
            }
            next
        };
        // One that has just given up gives it back, and so to the next.
        if let Some(next) = next {
            drop(next.send(self.at_work.turn(self.event, true)));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::AtWork;

    const A: [u8; 16] = [1; 16];
    const B: [u8; 16] = [2; 16];

    #[tokio::test]
    async fn copies_of_an_event_have_their_turns_one_after_another() {
        let at_work = AtWork::default();
        let first = at_work.try_begin(A).expect("nobody is at work");
        assert!(!first.had_to_wait);
        assert!(at_work.try_begin(A).is_none());
        assert!(!at_work.begin(B).await.had_to_wait);
        let mut second = Box::pin(at_work.begin(A));
        assert!((&mut second).now_or_never().is_none());
        let mut third = Box::pin(at_work.begin(A));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        let second = second.await;
        assert!(second.had_to_wait);
        assert!((&mut third).now_or_never().is_none());
        // One that gives up while it waits holds nobody up.
        drop(third);
        drop(second);
        assert!(!at_work.begin(A).await.had_to_wait);
        assert!(at_work.events().is_empty());
    }

    #[tokio::test]
    async fn a_turn_given_to_one_that_gave_up_goes_to_the_next() {
        let at_work = AtWork::default();
        let first = at_work.try_begin(A).expect("nobody is at work");
        let mut second = Box::pin(at_work.begin(A));
        assert!((&mut second).now_or_never().is_none());
        let mut third = Box::pin(at_work.begin(A));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        // It has the turn and has not looked.
        drop(second);
        assert!(third.await.had_to_wait);
        assert!(at_work.events().is_empty());
    }
}
