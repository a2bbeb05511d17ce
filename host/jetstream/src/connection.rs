//! Connections to the broker: made once, kept for ever.
//!
//! A connection reconnects until its process ends, and says so on a watch
//! channel; nobody has to poll it. Several are used side by side, because the
//! client parses, routes and writes each in one task, and because a message
//! that the client cannot parse drops the connection that it came on.

mod credentials;
mod options;
mod request;
mod settings;
mod status;

use std::time::Duration;

pub(crate) use request::Fault;
pub use request::{API_PREFIX, REQUEST_TIMEOUT};
pub use settings::{Auth, Settings, Tls};
pub use status::{Denial, Link, Status};

use crate::error::Error;
use options::RETRY_MAX;
use status::Monitor;
use std::sync::Arc;
use tokio::sync::{broadcast, watch};

/// What a connection is for; part of the name that the broker shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Requests to the JetStream API, and what has no connection of its own.
    Control,
    /// Writing and reading records.
    Ledger,
    /// Publishing emissions.
    Emit,
    /// Receiving the events of one handler.
    Consume(String),
}

/// One connection. Clones share it.
#[derive(Debug, Clone)]
pub struct Connection {
    client: async_nats::Client,
    monitor: Arc<Monitor>,
}

impl Connection {
    /// The client itself, for what this crate does not wrap.
    pub fn client(&self) -> &async_nats::Client {
        &self.client
    }

    /// Connected or not, and how often it was connected again.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.monitor.status()
    }

    /// What the broker forbids from now on. A receiver that lags loses the
    /// oldest: a denial is a hint that explains a silence.
    pub fn denials(&self) -> broadcast::Receiver<Denial> {
        self.monitor.denials()
    }

    /// Waits until the connection is up.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn connected(&self) {
        let mut status = self.status();
        // The sender lives in `self.monitor`, so waiting cannot fail.
        let _ = status
            .wait_for(|status| status.link == Link::Connected)
            .await;
    }

    /// The broker's limit of a message, headers and payload, in bytes.
    pub fn max_payload(&self) -> u64 {
        self.client.max_payload() as u64
    }
}

/// Connects, trying once.
///
/// # Errors
/// Says which of address, network, TLS and credentials failed.
pub async fn connect(settings: &Settings, purpose: &Purpose) -> Result<Connection, Error> {
    let monitor = Arc::new(Monitor::new());
    let options = options::build(settings, purpose, monitor.clone()).await?;
    let addresses = options::addresses(settings)?;
    let client = options
        .connect(addresses)
        .await
        .map_err(|error| options::classify(settings, &error))?;
    Ok(Connection { client, monitor })
}

/// Connects, trying until it succeeds: a host may start before its broker.
/// `on_failure` hears of each failure and of the time until the next try.
///
/// # Errors
/// Only what lies in the settings, because no broker that comes up later
/// would change it.
///
/// # Cancel safety
/// Safe; a connection under way is dropped.
pub async fn connect_waiting(
    settings: &Settings,
    purpose: &Purpose,
    mut on_failure: impl FnMut(&Error, Duration),
) -> Result<Connection, Error> {
    let mut pause = Duration::from_millis(100);
    loop {
        match connect(settings, purpose).await {
            Ok(connection) => return Ok(connection),
            Err(error) if error.is_in_settings() => return Err(error),
            Err(error) => on_failure(&error, pause),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// The connections that a process shares between its handlers.
#[derive(Debug, Clone)]
pub struct Broker {
    settings: Settings,
    control: Connection,
    ledger: Connection,
    emit: Connection,
}

impl Broker {
    /// Connects all of them, trying once.
    ///
    /// # Errors
    /// As [`connect`].
    pub async fn connect(settings: Settings) -> Result<Self, Error> {
        let control = connect(&settings, &Purpose::Control).await?;
        Self::around(settings, control).await
    }

    /// Waits for the broker, then connects all of them.
    ///
    /// # Errors
    /// As [`connect_waiting`]; and as [`connect`] when the broker goes away
    /// again right after it came up.
    pub async fn connect_waiting(
        settings: Settings,
        on_failure: impl FnMut(&Error, Duration),
    ) -> Result<Self, Error> {
        let control = connect_waiting(&settings, &Purpose::Control, on_failure).await?;
        Self::around(settings, control).await
    }

    async fn around(settings: Settings, control: Connection) -> Result<Self, Error> {
        let ledger = connect(&settings, &Purpose::Ledger).await?;
        let emit = connect(&settings, &Purpose::Emit).await?;
        Ok(Self {
            settings,
            control,
            ledger,
            emit,
        })
    }

    pub fn control(&self) -> &Connection {
        &self.control
    }

    pub fn ledger(&self) -> &Connection {
        &self.ledger
    }

    pub fn emit(&self) -> &Connection {
        &self.emit
    }

    /// A new connection on which one handler receives its events, so that a
    /// message which drops it disturbs no other.
    ///
    /// # Errors
    /// As [`connect`].
    pub async fn consume(&self, handler: &str) -> Result<Connection, Error> {
        connect(&self.settings, &Purpose::Consume(handler.to_owned())).await
    }

    /// What a handler's reader or shared consumer works with.
    ///
    /// # Errors
    /// As [`connect`].
    pub async fn links(&self, handler: &str) -> Result<Links, Error> {
        let consume = self.consume(handler).await?;
        Ok(Links {
            control: self.control.clone(),
            consume,
        })
    }
}

/// Deliveries come on one connection and requests go on another, so that the
/// requests that look into a broken delivery survive it.
#[derive(Debug, Clone)]
pub struct Links {
    pub control: Connection,
    pub consume: Connection,
}
