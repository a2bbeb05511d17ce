//! Whatever asks the demo to end, as one thing to wait for: Ctrl-C, SIGTERM,
//! and SIGHUP, which comes when the terminal is closed. At their default they
//! would end this process at once and leave its children behind.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Error;

/// Takes the signals away from their default.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// # Errors
    /// [`Error::Io`] when the system refuses.
    pub fn listen() -> Result<Self, Error> {
        let on = |kind| signal(kind).map_err(Error::io("listening for signals"));
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }

    /// Returns at the next of them.
    ///
    /// # Cancel safety
    /// Nothing is lost: a signal that came is still there at the next call.
    pub async fn interrupted(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
