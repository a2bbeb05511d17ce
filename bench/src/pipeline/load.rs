//! Events at a fixed rate: open loop, each due when the clock says so.

use std::time::{Duration, Instant};

use anyhow::Result;
use async_nats::Client;

use super::event;
use crate::twin::window::Window;
use crate::twin::{WINDOW, raw};

/// What is due within this time goes out together.
const STEP: Duration = Duration::from_millis(1);

/// Publishes `events` at `rate` a second.
///
/// # Errors
/// When the broker refuses one, or falls behind by a whole window.
pub async fn paced(client: &Client, events: u64, rate: f64) -> Result<()> {
    let mut window = Window::open(client.clone(), WINDOW).await?;
    let begun = Instant::now();
    let mut sent = 0;
    while sent < events {
        let due = due(begun.elapsed(), rate).min(events);
        while sent < due {
            let (subject, headers, data) = event::of(sent);
            window.send(subject, headers, data, ()).await?;
            sent += 1;
        }
        while window.try_answered()?.is_some() {}
        tokio::time::sleep(STEP).await;
    }
    raw::drain(&mut window).await
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of events"
)]
fn due(elapsed: Duration, rate: f64) -> u64 {
    (elapsed.as_secs_f64() * rate).floor() as u64 + 1
}
