//! Tells the keeper of a handler when a version faults on everything.

use std::sync::Mutex;

use tokio::sync::watch;
use wharf_core::guard::{EVENTS, Guard};
use wharf_core::ids::EventHash;
use wharf_core::outcome::Outcome;

/// The guard of one handler on this host, and what it has found.
pub struct Watchdog {
    guard: Mutex<Guard>,
    found: watch::Sender<Option<Alarm>>,
}

/// A version that has to be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    pub version: u32,
    pub why: String,
}

/// What an attempt says of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saw {
    Nothing,
    Good,
    /// It faulted, with this message.
    Fault(String),
}

impl Saw {
    /// What the host did to an attempt says nothing; neither do effects, before
    /// they are checked.
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::GuestFault(fault) => Self::Fault(fault.message.clone()),
            Outcome::Failed(_) => Self::Good,
            Outcome::Done(_) | Outcome::HostFault(_) | Outcome::Cancelled => Self::Nothing,
        }
    }
}

impl Default for Watchdog {
    fn default() -> Self {
        Self {
            guard: Mutex::default(),
            found: watch::Sender::new(None),
        }
    }
}

impl Watchdog {
    /// This version has the traffic from now on.
    pub fn begin(&self, version: u32) {
        self.guard
            .lock()
            .expect("no panic while held")
            .begin(version);
        self.found.send_replace(None);
    }

    /// An attempt of a version on an event has ended.
    pub fn saw(&self, version: u32, event: EventHash, saw: &Saw) {
        let (faulted, last) = match saw {
            Saw::Nothing => return,
            Saw::Good => (false, ""),
            Saw::Fault(message) => (true, message.as_str()),
        };
        let mut guard = self.guard.lock().expect("no panic while held");
        if guard.saw(version, event, faulted) {
            let why =
                format!("version {version} faulted on {EVENTS} distinct events in a row: {last}");
            self.found.send_replace(Some(Alarm { version, why }));
        }
    }

    /// Waits until a version has to be stopped.
    pub async fn alarm(&self) -> Alarm {
        let mut found = self.found.subscribe();
        // The sender lives in `self`.
        loop {
            if let Some(alarm) = found.borrow_and_update().clone() {
                return alarm;
            }
            if found.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
