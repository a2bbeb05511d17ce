//! Orders at a rate. Open loop: an order is due when the clock says so, however
//! slow the shop is; only the window of unacknowledged publishes holds it back,
//! and how far it did is told.

mod plan;
mod publish;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::Client;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use tokio::time::Instant;

pub use plan::Spec;
pub use publish::Publisher;

use crate::Error;
use crate::shop::Message;

/// Publishes that wait for their acknowledgement at once.
const WINDOW: usize = 256;
/// How long a broker may be away before the load gives up.
const GIVE_UP: Duration = Duration::from_secs(300);

/// Readable while a load runs.
#[derive(Debug, Default)]
pub struct Counters {
    stocked: AtomicU64,
    placed: AtomicU64,
}

impl Counters {
    /// Acknowledged deliveries of stock.
    pub fn stocked(&self) -> u64 {
        self.stocked.load(Ordering::Relaxed)
    }

    /// Acknowledged orders.
    pub fn placed(&self) -> u64 {
        self.placed.load(Ordering::Relaxed)
    }
}

/// How a load went.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    pub orders: u64,
    /// When the first order was due.
    pub begun: std::time::Instant,
    /// From the first order's due time to the last acknowledgement.
    pub took: Duration,
    /// How far behind its due time the latest order was published.
    pub lag_max: Duration,
}

/// Gives the stock, waits until all of it is stored, then places the orders.
///
/// # Errors
/// [`Error::NotAcknowledged`] when the broker is away for five minutes.
///
/// # Cancel safety
/// Dropped halfway, what was acknowledged is placed; the same spec can be run
/// again within the stream's duplicate window without placing anything twice.
pub async fn run(client: Client, spec: &Spec, counters: &Counters) -> Result<Done, Error> {
    let publisher = Publisher::new(client, GIVE_UP);
    stock(&publisher, spec, counters).await?;
    place(&publisher, spec, counters).await
}

/// The stock alone, as [`run`] gives it.
///
/// # Errors
/// As [`run`].
pub async fn stock(publisher: &Publisher, spec: &Spec, counters: &Counters) -> Result<(), Error> {
    let publishes = spec
        .stock()
        .map(|message| stock_one(publisher, message, counters));
    stream::iter(publishes)
        .buffer_unordered(WINDOW)
        .try_collect()
        .await
}

/// The orders alone, as [`run`] places them.
///
/// # Errors
/// As [`run`].
pub async fn place(publisher: &Publisher, spec: &Spec, counters: &Counters) -> Result<Done, Error> {
    let begun = Instant::now();
    let publishes = spec.orders().enumerate().map(|(nth, order)| {
        place_one(
            publisher,
            Message::placed(&order),
            begun + due_after(nth, spec.rate),
            counters,
        )
    });
    // Those that are not due yet sleep inside the window; none waits behind more
    // than a window of orders that came before it.
    let lag_max = stream::iter(publishes)
        .buffer_unordered(WINDOW)
        .try_fold(Duration::ZERO, |most, lag| future::ready(Ok(most.max(lag))))
        .await?;
    let orders = spec.orders.into();
    Ok(Done {
        orders,
        begun: begun.into_std(),
        took: begun.elapsed(),
        lag_max,
    })
}

async fn stock_one(
    publisher: &Publisher,
    message: Message,
    counters: &Counters,
) -> Result<(), Error> {
    publisher.publish(&message).await?;
    counters.stocked.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Returns how late the order went out.
async fn place_one(
    publisher: &Publisher,
    message: Message,
    due: Instant,
    counters: &Counters,
) -> Result<Duration, Error> {
    tokio::time::sleep_until(due).await;
    let lag = due.elapsed();
    publisher.publish(&message).await?;
    counters.placed.fetch_add(1, Ordering::Relaxed);
    Ok(lag)
}

fn due_after(nth: usize, rate: Option<f64>) -> Duration {
    match rate {
        Some(rate) if rate > 0.0 => Duration::from_secs_f64(nth as f64 / rate),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_due_at_the_rate() {
        assert_eq!(due_after(0, Some(200.0)), Duration::ZERO);
        assert_eq!(due_after(200, Some(200.0)), Duration::from_secs(1));
        assert_eq!(due_after(1_000, None), Duration::ZERO);
    }
}
