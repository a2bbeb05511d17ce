//! Ctrl-C and SIGTERM, as one thing to wait for.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Error;

/// Takes the two signals away from their default, which is to end at once.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// # Errors
    /// [`Error::Io`] when the system refuses.
    pub fn listen() -> Result<Self, Error> {
        let on = |kind| signal(kind).map_err(Error::io("listening for signals"));
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    /// Returns at the next of either.
    ///
    /// # Cancel safety
    /// Nothing is lost: a signal that came is still there at the next call.
    pub async fn interrupted(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
