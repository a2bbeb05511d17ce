//! `--swap`: payment changes its version every two seconds while orders come in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_nats::Client;
use serde::Serialize;
use tokio::process::Command;
use wharf_core::deployment::Digest;
use wharf_core::record;

use super::stage::{Stage, operate};
use crate::Error;
use crate::stream::Stream;

/// Between the end of one swap and the begin of the next.
const EVERY: Duration = Duration::from_secs(2);
const HANDLER: &str = "payment";
/// Payment's ledger stream and the subjects of its records.
const LEDGER: &str = "WHARF-L-payment-1";
const RECORDS: &str = "wl.payment-1.r.*";

/// Swaps payment, with the commands that an operator has.
pub struct Swapper {
    program: PathBuf,
    config: PathBuf,
    /// The other version.
    bundle: PathBuf,
    swaps: AtomicU32,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Swaps {
    pub swaps: u32,
    /// Orders whose payment each component committed last, by its digest.
    pub orders_by_component: BTreeMap<String, u32>,
}

impl Swapper {
    /// Makes the other version: the same component, told apart by a section that
    /// nobody reads.
    ///
    /// # Errors
    /// [`Error::Io`] when payment's bundle cannot be read or copied.
    pub fn new(stage: &Stage, handlers: &Path) -> Result<Self, Error> {
        let (from, bundle) = (
            handlers.join(HANDLER),
            stage.folder.path().join("payment-2"),
        );
        let doing = || format!("making {}", bundle.display());
        let copy = || {
            std::fs::create_dir_all(&bundle)?;
            std::fs::copy(from.join("handler.toml"), bundle.join("handler.toml"))?;
            let wasm = std::fs::read(from.join("handler.wasm"))?;
            std::fs::write(bundle.join("handler.wasm"), marked(&wasm))
        };
        copy().map_err(Error::io(doing()))?;
        Ok(Self {
            program: stage.program.clone(),
            config: stage.config.clone(),
            bundle,
            swaps: AtomicU32::new(0),
        })
    }

    /// There and back, until it is dropped.
    ///
    /// # Errors
    /// What a command said that failed.
    pub async fn run(&self) -> Result<std::convert::Infallible, Error> {
        let bundle = self.bundle.as_os_str();
        let deploy = ["deploy".as_ref(), bundle];
        let back = ["rollback".as_ref(), HANDLER.as_ref()];
        let mut next = &deploy;
        loop {
            tokio::time::sleep(EVERY).await;
            let mut command = Command::new(&self.program);
            command.args(next).arg("--config").arg(&self.config);
            command.args(["--wait", "-m", "the demo swaps"]);
            operate(&mut command).await?;
            self.swaps.fetch_add(1, Ordering::Relaxed);
            next = &back;
        }
    }

    /// How often it did, and which version did the work.
    ///
    /// # Errors
    /// [`Error::Broker`], or [`Error::Malformed`] when a record is none.
    pub async fn result(&self, client: &Client) -> Result<Swaps, Error> {
        let ledger = Stream::new(client.clone(), LEDGER);
        let mut orders_by_component = BTreeMap::new();
        for stored in ledger.read_matching(RECORDS).await? {
            let record = record::decode(&stored.data).map_err(|error| Error::Malformed {
                what: stored.subject.clone(),
                reason: error.to_string(),
            })?;
            let digest = <[u8; 32]>::try_from(record.digest).unwrap_or_default();
            *orders_by_component
                .entry(Digest(digest).short())
                .or_default() += 1;
        }
        Ok(Swaps {
            swaps: self.swaps.load(Ordering::Relaxed),
            orders_by_component,
        })
    }
}

impl fmt::Display for Swaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = self.orders_by_component.iter();
        let work: Vec<String> = by.map(|(digest, n)| format!("{digest} {n}")).collect();
        let (swaps, work) = (self.swaps, work.join(", "));
        write!(
            f,
            "payment was swapped {swaps} times; orders by component: {work}"
        )
    }
}

/// With a custom section: its id, its size, its name with its length, its content.
fn marked(wasm: &[u8]) -> Vec<u8> {
    const SECTION: &[u8] = b"\0\x09\x04marktwo!";
    [wasm, SECTION].concat()
}
