//! Deliveries that are worked on are kept alive: the broker hears of each before
//! its patience ends. One task tells it of all, since nearly every delivery is
//! settled long before it would have to.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use slab::Slab;
use wharf_jetstream::pull::AckToken;

/// The first sign comes after one to two of these, each further one after one.
/// So two come within the consumer's ack wait of 30 s: one may be lost.
const ROUND: Duration = Duration::from_secs(7);

/// What is worked on.
#[derive(Default)]
pub struct Alive(Mutex<Rounds<AckToken>>);

/// What is held, and since which round.
struct Rounds<T> {
    round: u64,
    held: Slab<(u64, T)>,
}

/// Keeps a delivery alive until it is dropped.
pub struct Keep<'a> {
    alive: &'a Alive,
    id: usize,
}

impl Alive {
    /// Keeps a delivery alive.
    pub fn keep(&self, token: &AckToken) -> Keep<'_> {
        let id = self.rounds().hold(token.clone());
        Keep { alive: self, id }
    }

    /// Tells the broker, round after round.
    pub async fn run(&self) -> Infallible {
        loop {
            tokio::time::sleep(ROUND).await;
            let due = self.rounds().begin();
            for token in due {
                // Lost with the connection, the next one is sent in time.
                let _ = token.in_progress().await;
            }
        }
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds<AckToken>> {
        self.0.lock().expect("no panic while held")
    }
}

impl<T> Default for Rounds<T> {
    fn default() -> Self {
        Self {
            round: 0,
            held: Slab::new(),
        }
    }
}

impl<T: Clone> Rounds<T> {
    fn hold(&mut self, held: T) -> usize {
        self.held.insert((self.round, held))
    }

    /// Begins a round: those that were held for all of the one before.
    fn begin(&mut self) -> Vec<T> {
        self.round += 1;
        let all = self.held.iter().map(|(_, held)| held);
        let due = all.filter(|(since, _)| since + 1 < self.round);
        due.map(|(_, held)| held.clone()).collect()
    }
}

impl Drop for Keep<'_> {
    fn drop(&mut self) {
        self.alive.rounds().held.remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::Rounds;

    #[test]
    fn a_sign_comes_in_every_round_but_the_one_in_which_work_began() {
        let mut rounds = Rounds::default();
        let early = rounds.hold("early");
        assert!(rounds.begin().is_empty());
        rounds.hold("late");
        assert_eq!(rounds.begin(), ["early"]);
        let mut both = rounds.begin();
        both.sort_unstable();
        assert_eq!(both, ["early", "late"]);
        rounds.held.remove(early);
        assert_eq!(rounds.begin(), ["late"]);
    }
}
