//! What the broker stored, and when: its own clock, read back after a row, so
//! that measuring takes no part in what is measured.

use std::ops::RangeInclusive;

use anyhow::{Context, Result, ensure};
use async_nats::Client;
use async_nats::jetstream;

use super::event;
use crate::twin::pull::{Acks, Pull};

/// The ledger of the handler that the yardstick deploys, and its records.
const LEDGER: &str = "WHARF-L-echo-1";
const RECORDS: &str = "wl.echo-1.r.*";

/// When each of some events was stored, by their number.
pub struct Times {
    stored_ns: Vec<u64>,
}

impl Times {
    /// Reads a whole stream, which must hold each event of `range` exactly once.
    ///
    /// # Errors
    /// When one is missing, or there twice.
    pub async fn read(client: &Client, stream: &str, range: RangeInclusive<u64>) -> Result<Self> {
        let events = range.end() + 1 - range.start();
        let found = messages(client, stream).await?;
        ensure!(
            found == events,
            "{stream} holds {found} messages, not {events}"
        );
        let mut pull = Pull::open(client.clone(), stream, Acks::None).await?;
        let mut stored_ns = vec![0; usize::try_from(events)?];
        for _ in 0..events {
            let delivery = pull.next().await?;
            let number = event::number(&delivery.data, &range)?;
            let time = &mut stored_ns[usize::try_from(number - range.start())?];
            ensure!(*time == 0, "{stream} holds event {number} twice");
            *time = delivery.stored_ns()?;
            pull.ask_ahead().await?;
        }
        Ok(Self { stored_ns })
    }

    /// Events a second over the middle four fifths.
    ///
    /// # Errors
    /// When there are too few to have a middle.
    pub fn middle_rate(&self) -> Result<f64> {
        let mut sorted = self.stored_ns.clone();
        sorted.sort_unstable();
        let (from, to) = (sorted.len() / 10, sorted.len() * 9 / 10);
        let took_ns = sorted.get(to).context("no events")? - sorted[from];
        ensure!(took_ns > 0, "too few events to tell a rate");
        Ok((to - from) as f64 / took_ns as f64 * 1e9)
    }

    /// From each event's storing to its emission's, in milliseconds, ascending;
    /// the first `skip` events are left out.
    pub fn since(&self, events: &Self, skip: u64) -> Vec<f64> {
        let pairs = self.stored_ns.iter().zip(&events.stored_ns);
        let pairs = pairs.skip(usize::try_from(skip).unwrap_or(usize::MAX));
        let mut apart: Vec<f64> = pairs
            .map(|(ended, begun)| ended.saturating_sub(*begun) as f64 / 1e6)
            .collect();
        apart.sort_unstable_by(f64::total_cmp);
        apart
    }
}

/// How many messages a stream holds.
///
/// # Errors
/// When the broker does not answer.
pub async fn messages(client: &Client, stream: &str) -> Result<u64> {
    let stream = jetstream::new(client.clone()).get_stream(stream).await?;
    Ok(stream.cached_info().state.messages)
}

/// Bytes of the newest record in the handler's ledger; None without one.
pub async fn record_bytes(client: &Client) -> Option<usize> {
    let ledger = jetstream::new(client.clone())
        .get_stream(LEDGER)
        .await
        .ok()?;
    let record = ledger.get_last_raw_message_by_subject(RECORDS).await.ok()?;
    Some(record.payload.len())
}

/// The value below which the share `q` of ascending values lies; 0 of none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length"
)]
pub fn quantile(ascending: &[f64], q: f64) -> f64 {
    let last = ascending.len().saturating_sub(1);
    let rank = (last as f64 * q).round() as usize;
    ascending.get(rank).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(stored_ns: Vec<u64>) -> Times {
        Times { stored_ns }
    }

    #[test]
    fn the_rate_leaves_out_a_slow_start_and_a_slow_end() {
        let mut stored: Vec<u64> = (1..=100).map(|nth| nth * 1_000_000).collect();
        stored[0] = 1;
        stored[99] = u64::MAX / 2;
        let rate = times(stored).middle_rate().expect("a middle");
        assert!((rate - 1_000.0).abs() < 1e-6, "{rate}");
    }

    #[test]
    fn critical_times_are_taken_from_each_events_own_storing() {
        let events = times(vec![1_000_000, 2_000_000, 3_000_000]);
        let emissions = times(vec![9_000_000, 4_000_000, 4_000_000]);
        assert_eq!(emissions.since(&events, 0), [1.0, 2.0, 8.0]);
        assert_eq!(emissions.since(&events, 1), [1.0, 2.0]);
    }

    #[test]
    fn quantiles_of_few_values_are_among_them() {
        let values = [1.0, 2.0, 3.0];
        let found: Vec<f64> = [0.0, 0.5, 0.99].map(|q| quantile(&values, q)).to_vec();
        assert_eq!(found, [1.0, 2.0, 3.0]);
    }
}
