//! The lease as its owner sees it: renewed by each checkpoint that was written.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use wharf_core::checkpoint::{Tenure, tenure};

/// Time since the last renewal, and who waits for the next.
pub struct Lease {
    length_ms: u64,
    renewed: Mutex<Instant>,
    renewals: Notify,
}

impl Lease {
    /// A lease taken at `taken`: the moment before the write that took it.
    pub fn new(length: Duration, taken: Instant) -> Self {
        let length_ms = wharf_core::backoff::millis(length);
        Self {
            length_ms,
            renewed: Mutex::new(taken),
            renewals: Notify::new(),
        }
    }

    /// A renewal counts from before it was sent: the broker may have taken long.
    pub fn renew(&self, sent: Instant) {
        *self.renewed.lock().expect("no panic while held") = sent;
        self.renewals.notify_waiters();
    }

    /// Whether the owner may start attempts and acknowledge.
    pub fn tenure(&self) -> Tenure {
        let since = self.renewed.lock().expect("no panic while held").elapsed();
        tenure(wharf_core::backoff::millis(since), self.length_ms)
    }

    /// Waits until the owner may start attempts. Waits for ever when the lease
    /// is lost: the caller watches for that beside it.
    pub async fn held(&self) {
        loop {
            let renewal = self.renewals.notified();
            if self.tenure() == Tenure::Holds {
                return;
            }
            renewal.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_doubtful_owner_waits_for_the_next_renewal() {
        let long_ago = Instant::now()
            .checked_sub(Duration::from_secs(60))
            .expect("the machine is up longer");
        let lease = Lease::new(Duration::from_secs(10), long_ago);
        assert_eq!(lease.tenure(), Tenure::Doubtful);
        let renew = async { lease.renew(Instant::now()) };
        tokio::join!(lease.held(), renew);
        assert_eq!(lease.tenure(), Tenure::Holds);
    }
}
