//! A payment and a mail gateway in one HTTP server, which fail on demand.
//!
//! | request | answer |
//! |---|---|
//! | `POST /charges` `{order, amount, currency}` | 201 and the charge, captured or declined; 422 when the key was used for something else |
//! | `GET /charges/{order}` | 200 and the latest charge, or 404 `{"status":"none"}` |
//! | `POST /charges/{order}/cancel` | 200 `{"status":"cancelled"}`, or the captured charge |
//! | `POST /mails` `{to, template, order, subject, body}` | 202 and the mail |
//! | `GET`, `PUT /control` | the [`Modes`]; what a `PUT` leaves out goes back to healthy |
//! | `GET /report` | the [`Ledger`]: every charge and mail that was made |
//!
//! Charges and mails honour the header `idempotency-key`.

mod books;
mod door;
mod modes;
mod routes;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use books::{Charge, ChargeStatus, Entry, Ledger, Mail};
pub use modes::{Fate, Modes};

use crate::Error;
use books::Books;
use door::Door;

/// A running gateway. Dropping it closes the port and cuts all connections.
pub struct Gateway {
    address: SocketAddr,
    shared: Arc<Shared>,
    wanted: watch::Sender<Door>,
    actual: watch::Receiver<Door>,
    server: JoinHandle<()>,
}

/// What the routes and the handle both reach.
struct Shared {
    seed: u64,
    modes: watch::Sender<Modes>,
    books: Mutex<Books>,
}

impl Gateway {
    /// Listens on `address` (port 0: any free one). `seed` decides which orders
    /// are declined and which requests fail.
    ///
    /// # Errors
    /// [`Error::Io`] when the address cannot be bound, [`Error::Usage`] when
    /// the modes cannot be meant.
    pub async fn start(address: SocketAddr, seed: u64, modes: Modes) -> Result<Self, Error> {
        usable(&modes).map_err(|reason| Error::Usage {
            flag: "modes",
            reason,
        })?;
        let doing = || format!("listening on {address} for the gateways");
        let listener = TcpListener::bind(address)
            .await
            .map_err(Error::io(doing()))?;
        let address = listener.local_addr().map_err(Error::io(doing()))?;
        let (modes, _) = watch::channel(modes);
        let shared = Arc::new(Shared {
            seed,
            modes,
            books: Mutex::default(),
        });
        let (wanted, _) = watch::channel(Door::Open);
        let (actual_sender, actual) = watch::channel(Door::Open);
        let router = routes::router(Arc::clone(&shared));
        let serving = door::serve(listener, address, router, wanted.clone(), actual_sender);
        let server = tokio::spawn(serving);
        Ok(Self {
            address,
            shared,
            wanted,
            actual,
            server,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL of both gateways, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The modes in force.
    pub fn modes(&self) -> Modes {
        self.shared.modes.borrow().clone()
    }

    /// Switches modes; requests that have not drawn their fate meet the new one.
    /// `down_ms` is for callers over HTTP and must be 0 here: see [`down`](Self::down).
    ///
    /// # Errors
    /// [`Error::Usage`] when the modes cannot be meant.
    pub fn set(&self, modes: Modes) -> Result<(), Error> {
        self.shared.set(modes).map_err(|reason| Error::Usage {
            flag: "modes",
            reason,
        })
    }

    /// Closes the port and cuts every connection; returns when that is done.
    pub async fn down(&self) {
        self.turn(Door::Closed).await;
    }

    /// Opens the same port again; returns when it accepts.
    pub async fn up(&self) {
        self.turn(Door::Open).await;
    }

    /// Everything that was charged and mailed so far.
    pub fn ledger(&self) -> Ledger {
        self.shared.books().ledger()
    }

    /// Charges and mails made so far.
    pub fn counts(&self) -> (usize, usize) {
        self.shared.books().counts()
    }

    async fn turn(&self, door: Door) {
        self.wanted.send_replace(door);
        // The server outlives every borrow of this handle, so its end of the
        // channel cannot be gone.
        let _ = self.actual.clone().wait_for(|actual| *actual == door).await;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn set(&self, modes: Modes) -> Result<(), String> {
        usable(&modes)?;
        self.modes.send_replace(modes);
        Ok(())
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while requests hang; true when this one did and is lost.
    async fn wait_while_hanging(&self) -> bool {
        let mut modes = self.modes.subscribe();
        if !modes.borrow().hang {
            return false;
        }
        // The sender is ours, so the only way out is the mode's end.
        let _ = modes.wait_for(|modes| !modes.hang).await;
        true
    }
}

/// Modes that stay; being down is an act and not a mode here.
fn usable(modes: &Modes) -> Result<(), String> {
    modes.check()?;
    match modes.down_ms {
        0 => Ok(()),
        _ => Err("down_ms works over HTTP only".into()),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
