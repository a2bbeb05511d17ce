//! Acknowledgements, sent in lots.

use std::convert::Infallible;

use tokio::sync::Mutex;
use wharf_jetstream::error::Error;
use wharf_jetstream::lots::Lots;
use wharf_jetstream::pull::AckToken;

/// Deliveries that are settled and not acknowledged yet.
#[derive(Default)]
pub struct Acks {
    settled: Lots<AckToken>,
    /// What is being acknowledged. Held while a lot is sent.
    lot: Mutex<Vec<AckToken>>,
}

impl Acks {
    /// This one is settled.
    pub fn put(&self, token: AckToken) {
        self.settled.put(token);
    }

    /// Acknowledges what comes.
    pub async fn run(&self, failed: impl Fn(Error)) -> Infallible {
        loop {
            self.settled.ready().await;
            if let Err(error) = self.send().await {
                failed(error);
            }
        }
    }

    /// Acknowledges all that are settled by now. What the client takes is lost
    /// with its connection, and then comes again.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn send(&self) -> Result<(), Error> {
        let mut lot = self.lot.lock().await;
        self.settled.take(&mut lot);
        for token in lot.drain(..) {
            token.ack().await?;
        }
        Ok(())
    }
}
