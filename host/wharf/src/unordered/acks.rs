//! Acknowledgements, sent in lots: see `wharf_jetstream::publisher` for why.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;
use wharf_jetstream::error::Error;
use wharf_jetstream::pull::AckToken;

/// Deliveries that are settled and not acknowledged yet.
#[derive(Default)]
pub struct Acks {
    settled: Mutex<Vec<AckToken>>,
    came: Notify,
    /// Held while a lot is sent.
    sending: tokio::sync::Mutex<()>,
}

impl Acks {
    /// This one is settled.
    pub fn put(&self, token: AckToken) {
        let mut settled = self.settled();
        settled.push(token);
        if settled.len() == 1 {
            self.came.notify_one();
        }
    }

    /// Acknowledges what comes, after whoever is ready has added theirs.
    pub async fn run(&self, failed: impl Fn(Error)) -> Infallible {
        loop {
            self.came.notified().await;
            tokio::task::yield_now().await;
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
        let _alone = self.sending.lock().await;
        let lot = std::mem::take(&mut *self.settled());
        for token in lot {
            token.ack().await?;
        }
        Ok(())
    }

    fn settled(&self) -> MutexGuard<'_, Vec<AckToken>> {
        self.settled.lock().expect("no panic while held")
    }
}
