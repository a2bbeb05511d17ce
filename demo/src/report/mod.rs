//! The conservation report: whether what went in came out, once.
//!
//! It trusts no handler's word: it reads the shop's stream, the gateways' own
//! books, the inventory's records and the audit's stream, and holds them
//! against each other. It is meant for a shop at rest; read while orders are
//! under way, it names those as offenders.

mod chain;
mod checks;
mod facts;

use std::fmt;

use async_nats::Client;
use serde::Serialize;

pub use checks::Check;
pub use facts::{Facts, OrderFacts, Stock};

use crate::Error;
use crate::gateway::Ledger;
use crate::shop::{AUDIT_STREAM, STREAM};
use crate::stream::Stream;

/// The inventory handler's ledger stream and the subjects of its records.
pub const INVENTORY_STREAM: &str = "WHARF-L-inventory-1";
pub const INVENTORY_RECORDS: &str = "wl.inventory-1.r.*";

/// All laws and how they fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub balanced: bool,
    pub checks: Vec<Check>,
}

impl Report {
    /// Reads everything and judges it.
    ///
    /// # Errors
    /// [`Error::Broker`] when a stream cannot be read, [`Error::Malformed`]
    /// when a record of the inventory is not one.
    pub async fn collect(client: &Client, gateway: Ledger) -> Result<Self, Error> {
        Ok(Self::of(&collect_facts(client, gateway).await?))
    }

    /// Judges facts.
    pub fn of(facts: &Facts) -> Self {
        let mut checks = vec![
            checks::final_states(facts),
            checks::charges(facts),
            checks::amounts(facts),
            checks::stock(facts),
            checks::sales(facts),
            checks::mails(facts),
        ];
        checks.extend(chain::checks(&facts.events, &facts.links));
        let balanced = checks.iter().all(|check| check.holds);
        Self { balanced, checks }
    }

    /// Adds a law that somebody else has judged.
    pub fn add(&mut self, check: Check) {
        self.balanced &= check.holds;
        self.checks.push(check);
    }

    /// The check of this name.
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            writeln!(out, "{check}")?;
        }
        match self.checks.iter().filter(|check| !check.holds).count() {
            0 => writeln!(out, "Everything balances."),
            1 => writeln!(out, "It does not balance: one law is broken."),
            broken => writeln!(out, "It does not balance: {broken} laws are broken."),
        }
    }
}

/// What [`Report::collect`] judges, for those who want to look themselves.
///
/// # Errors
/// As [`Report::collect`].
pub async fn collect_facts(client: &Client, gateway: Ledger) -> Result<Facts, Error> {
    let stream = |name| Stream::new(client.clone(), name);
    let events = stream(STREAM).read_all().await?;
    let links = stream(AUDIT_STREAM).read_all().await?;
    let records = stream(INVENTORY_STREAM)
        .read_matching(INVENTORY_RECORDS)
        .await?;
    Facts::gather(events, links, &records, gateway)
}
