//! What happened, gathered from where it is on record. Nothing is judged here.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use wharf_core::record;

use crate::Error;
use crate::gateway::Ledger;
use crate::shop::{Final, Placed, Stocked};
use crate::stream::Stored;

/// Everything that the checks look at.
#[derive(Debug, Default)]
pub struct Facts {
    pub orders: BTreeMap<String, OrderFacts>,
    /// `order.placed` whose data is no order: dead letters, not orders.
    pub not_orders: usize,
    /// Pieces delivered, by SKU.
    pub given: BTreeMap<String, u64>,
    /// What the inventory says of each SKU.
    pub stock: BTreeMap<String, Stock>,
    pub gateway: Ledger,
    /// The shop's stream as it is stored.
    pub events: Vec<Stored>,
    /// The audit's stream as it is stored.
    pub links: Vec<Stored>,
}

#[derive(Debug, Clone, Default)]
pub struct OrderFacts {
    /// The first time it was placed; None: something ended that never began.
    pub placed: Option<Placed>,
    /// Every final event, in stream order, with its id.
    pub ends: Vec<(Final, String)>,
}

impl OrderFacts {
    /// The one way it ended, if there is exactly one.
    pub fn end(&self) -> Option<Final> {
        match self.ends.as_slice() {
            [(end, _)] => Some(*end),
            _ => None,
        }
    }

    pub fn ended_as(&self, end: Final) -> bool {
        self.ends.iter().any(|(known, _)| *known == end)
    }
}

/// A SKU's state as the inventory handler keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Stock {
    pub on_hand: u64,
    /// Open reservations by order.
    #[serde(default)]
    pub reserved: BTreeMap<String, u64>,
    #[serde(default)]
    pub sold: u64,
}

impl Facts {
    /// # Errors
    /// [`Error::Malformed`] when a record of the inventory cannot be read.
    pub fn gather(
        events: Vec<Stored>,
        links: Vec<Stored>,
        records: &[Stored],
        gateway: Ledger,
    ) -> Result<Self, Error> {
        let mut facts = Self {
            gateway,
            ..Self::default()
        };
        let mut deliveries = HashSet::new();
        for event in &events {
            facts.note(event, &mut deliveries);
        }
        for stored in records {
            let (sku, stock) = read_stock(stored)?;
            facts.stock.insert(sku, stock);
        }
        (facts.events, facts.links) = (events, links);
        Ok(facts)
    }

    /// SKUs that were delivered, or that the inventory knows of.
    pub fn skus(&self) -> BTreeSet<&str> {
        self.given
            .keys()
            .chain(self.stock.keys())
            .map(String::as_str)
            .collect()
    }

    fn note<'a>(&mut self, event: &'a Stored, deliveries: &mut HashSet<&'a str>) {
        let tokens: Vec<&str> = event.subject.split('.').collect();
        let ["shop", aggregate, name, what] = tokens[..] else {
            return;
        };
        let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
        match (aggregate, what) {
            ("order", "placed") => self.note_placed(name, event),
            ("order", what) => {
                if let Some(end) = Final::ALL.into_iter().find(|end| end.token() == what) {
                    let id = event.event_id().unwrap_or_default().to_owned();
                    self.orders.entry(name).or_default().ends.push((end, id));
                }
            }
            // A delivery that was published twice arrived once.
            ("inventory", "stocked") if deliveries.insert(event.event_id().unwrap_or_default()) => {
                if let Ok(stocked) = serde_json::from_slice::<Stocked>(&event.data) {
                    *self.given.entry(name).or_default() += stocked.qty;
                }
            }
            _ => {}
        }
    }

    fn note_placed(&mut self, name: String, event: &Stored) {
        match serde_json::from_slice(&event.data) {
            // Placing the same order again changes nothing about it.
            Ok(placed) => {
                self.orders
                    .entry(name)
                    .or_default()
                    .placed
                    .get_or_insert(placed);
            }
            Err(_) => self.not_orders += 1,
        }
    }
}

/// A record that holds no state is a SKU that nothing is known of.
fn read_stock(stored: &Stored) -> Result<(String, Stock), Error> {
    let bad = |reason: String| Error::malformed(&stored.subject, reason);
    let record = record::decode(&stored.data).map_err(|error| bad(error.to_string()))?;
    let stock = match &record.state {
        Some(state) => serde_json::from_slice(&state.data).map_err(|e| bad(e.to_string()))?,
        None => Stock::default(),
    };
    Ok((record.key, stock))
}
