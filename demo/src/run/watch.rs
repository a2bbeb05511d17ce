//! How far the shop is, seen from outside, and when it has come to rest.

use std::time::{Duration, Instant};

use async_nats::Client;

use crate::Error;
use crate::gateway::Gateway;
use crate::metrics::Samples;
use crate::process::HostProcess;
use crate::shop::{AUDIT_STREAM, Final, STREAM};
use crate::stream::Stream;

const POLL: Duration = Duration::from_millis(200);

/// Counts, all of them read from where they are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub placed: u64,
    pub confirmed: u64,
    pub rejected: u64,
    pub cancelled: u64,
    /// Messages in the shop's stream.
    pub events: u64,
    /// Messages in the audit's stream.
    pub links: u64,
    pub charges: u64,
    pub mails: u64,
}

impl Tally {
    pub fn ended(&self) -> u64 {
        self.confirmed + self.rejected + self.cancelled
    }
}

/// Looks at a shop without touching it.
pub struct Watcher<'a> {
    shop: Stream,
    audit: Stream,
    gateway: &'a Gateway,
}

impl<'a> Watcher<'a> {
    pub fn new(client: &Client, gateway: &'a Gateway) -> Self {
        let stream = |name| Stream::new(client.clone(), name);
        Self {
            shop: stream(STREAM),
            audit: stream(AUDIT_STREAM),
            gateway,
        }
    }

    /// # Errors
    /// [`Error::Broker`] while the broker does not answer.
    pub async fn tally(&self) -> Result<Tally, Error> {
        let ended = |end: Final| {
            let pattern = format!("shop.order.*.{}", end.token());
            async move { self.shop.count(&[&pattern]).await }
        };
        let (charges, mails) = self.gateway.counts();
        Ok(Tally {
            placed: self.shop.count(&["shop.order.*.placed"]).await?,
            confirmed: ended(Final::Confirmed).await?,
            rejected: ended(Final::Rejected).await?,
            cancelled: ended(Final::Cancelled).await?,
            events: self.shop.extent().await?.messages,
            links: self.audit.extent().await?.messages,
            charges: charges as u64,
            mails: mails as u64,
        })
    }

    /// Waits until `orders` orders have ended and everything behind them is
    /// done, or until nothing has moved for `patience`. Hosts may come and go
    /// meanwhile; pass none when nobody knows where they are.
    pub async fn settle(&self, hosts: &[&HostProcess], orders: u64, patience: Duration) -> Rest {
        let mut settling = Settling::new(orders, patience);
        loop {
            let unsettled = unsettled_on(hosts).await;
            if let Ok(tally) = self.tally().await
                && let Some(rest) = settling.see(tally, unsettled, Instant::now())
            {
                return rest;
            }
            if let Some(rest) = settling.stalled(Instant::now()) {
                return rest;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// On all of the hosts; None when one of them does not say.
async fn unsettled_on(hosts: &[&HostProcess]) -> Option<u64> {
    let mut sum = 0;
    for host in hosts {
        sum += unsettled(&host.metrics().await.ok()?)?;
    }
    Some(sum)
}

/// The host's gauge of events that do not move, by `handler` and `state`.
pub const UNSETTLED: &str = "wharf_unsettled";

/// Everything that a host has taken on and not settled, whatever the state.
/// None when it does not say.
pub fn unsettled(samples: &Samples) -> Option<u64> {
    samples
        .has(UNSETTLED)
        .then(|| samples.count(UNSETTLED, &[]))
}

/// How a shop came to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// All orders ended, all chains and mails caught up.
    Done(Tally),
    /// Nothing moved any more, and something is missing.
    Stalled(Tally),
}

/// Decides when a shop is at rest, from what is seen of it.
pub struct Settling {
    orders: u64,
    patience: Duration,
    last: Tally,
    moved: Option<Instant>,
}

impl Settling {
    pub fn new(orders: u64, patience: Duration) -> Self {
        Self {
            orders,
            patience,
            last: Tally::default(),
            moved: None,
        }
    }

    /// When anything last moved.
    pub fn moved(&self) -> Option<Instant> {
        self.moved
    }

    /// Takes in a look. `unsettled` is None when the host did not say.
    pub fn see(&mut self, tally: Tally, unsettled: Option<u64>, now: Instant) -> Option<Rest> {
        let moved = tally != self.last || self.moved.is_none();
        if moved {
            (self.last, self.moved) = (tally, Some(now));
            return None;
        }
        // Seen twice without a change, so no event is between two handlers.
        let complete = tally.ended() >= self.orders
            && tally.mails >= tally.ended()
            && tally.links >= tally.events
            && unsettled == Some(0);
        if complete {
            Some(Rest::Done(tally))
        } else {
            self.stalled(now)
        }
    }

    /// Whether nothing has moved for too long.
    pub fn stalled(&mut self, now: Instant) -> Option<Rest> {
        let moved = *self.moved.get_or_insert(now);
        (now.duration_since(moved) > self.patience).then_some(Rest::Stalled(self.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: Tally = Tally {
        placed: 2,
        confirmed: 1,
        rejected: 1,
        cancelled: 0,
        events: 9,
        links: 9,
        charges: 1,
        mails: 2,
    };
    const PATIENCE: Duration = Duration::from_secs(10);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_shop_is_done_when_it_looks_complete_twice() {
        let (mut settling, begin) = (Settling::new(2, PATIENCE), Instant::now());
        assert_eq!(settling.see(DONE, Some(0), begin), None);
        assert_eq!(
            settling.see(DONE, Some(0), begin + seconds(1)),
            Some(Rest::Done(DONE))
        );
        assert_eq!(settling.moved(), Some(begin));
    }

    #[test]
    fn what_is_held_or_behind_keeps_a_shop_from_being_done() {
        let cases = [
            (Tally { mails: 1, ..DONE }, Some(0)),
            (Tally { links: 8, ..DONE }, Some(0)),
            (
                Tally {
                    rejected: 0,
                    mails: 1,
                    ..DONE
                },
                Some(0),
            ),
            (DONE, Some(1)),
            (DONE, None),
        ];
        for (tally, unsettled) in cases {
            let (mut settling, begin) = (Settling::new(2, PATIENCE), Instant::now());
            assert_eq!(settling.see(tally, unsettled, begin), None);
            assert_eq!(settling.see(tally, unsettled, begin + seconds(9)), None);
            let stalled = settling.see(tally, unsettled, begin + seconds(11));
            assert_eq!(
                stalled,
                Some(Rest::Stalled(tally)),
                "{tally:?} {unsettled:?}"
            );
        }
    }

    #[test]
    fn patience_begins_again_whenever_something_moves() {
        let (mut settling, begin) = (Settling::new(9, PATIENCE), Instant::now());
        assert_eq!(settling.see(Tally::default(), Some(0), begin), None);
        assert_eq!(settling.see(DONE, Some(0), begin + seconds(9)), None);
        assert_eq!(settling.see(DONE, Some(0), begin + seconds(18)), None);
        assert_eq!(
            settling.stalled(begin + seconds(20)),
            Some(Rest::Stalled(DONE))
        );
    }
}
