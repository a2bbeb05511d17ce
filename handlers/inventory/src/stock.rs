//! The pieces of one SKU, and which order holds how many.

use serde::{Deserialize, Serialize};
use shop_types::Refusal;
use std::collections::BTreeMap;

/// How long the end of a reservation is remembered.
const REMEMBER_MS: u64 = 24 * 60 * 60 * 1000;
/// Share of the state (`limits.state_bytes`, 512 KiB) for open reservations.
const RESERVED_BYTES_MAX: usize = 160 * 1024;
/// Share of the state for ended ones; beyond it the oldest go early.
const ENDED_BYTES_MAX: usize = 320 * 1024;
/// What an open reservation takes beside the order's name.
const RESERVED_ENTRY_BYTES: usize = 24;
/// What an ended one takes beside it.
const ENDED_ENTRY_BYTES: usize = 64;

/// The stock of one SKU, in pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// Free to be reserved.
    pub on_hand: u64,
    /// Held, by order.
    pub reserved: BTreeMap<String, u64>,
    pub sold: u64,
    /// What became of reservations that hold nothing any more, by order.
    pub ended: BTreeMap<String, Ended>,
}

/// The end of a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub how: End,
    /// Milliseconds since 1970.
    pub at_ms: u64,
}

/// How a reservation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Sold, this many pieces.
    Sold(u64),
    /// Given back, or not wanted before it was asked for.
    Released,
    /// Never held.
    Refused(Refusal),
    /// Sold before it was asked for: the reserve is still on its way.
    Paid,
}

impl Stock {
    /// Adds pieces; false, and nothing changed, when they cannot be counted.
    pub fn add(&mut self, qty: u64) -> bool {
        let total = self.pieces().checked_add(qty);
        if total.is_none_or(|total| total > i64::MAX.unsigned_abs()) {
            return false;
        }
        self.on_hand += qty;
        true
    }

    /// All pieces that ever came.
    pub fn pieces(&self) -> u64 {
        self.on_hand + self.reserved.values().sum::<u64>() + self.sold
    }

    /// Holds pieces for an order, and says how many; or why not.
    ///
    /// # Errors
    /// The reason to refuse. An order that was answered before gets that answer.
    pub fn reserve(&mut self, order: &str, qty: u64, now_ms: u64) -> Result<u64, Refusal> {
        if let Some(held) = self.reserved.get(order) {
            return Ok(*held);
        }
        match self.ended.get(order).map(|ended| ended.how) {
            Some(End::Sold(qty)) => return Ok(qty),
            Some(End::Released) => return Err(Refusal::Released),
            Some(End::Refused(reason)) => return Err(reason),
            Some(End::Paid) | None => {}
        }
        if let Some(reason) = self.objection(order, qty) {
            self.end(order, End::Refused(reason), now_ms);
            return Err(reason);
        }
        self.on_hand -= qty;
        if self.ended.contains_key(order) {
            self.sold += qty;
            self.end(order, End::Sold(qty), now_ms);
        } else {
            self.reserved.insert(order.to_owned(), qty);
        }
        Ok(qty)
    }

    /// Gives an order's pieces back. Before its reserve, and after its end, there
    /// is nothing to give; the first is remembered.
    pub fn release(&mut self, order: &str, now_ms: u64) {
        if let Some(qty) = self.reserved.remove(order) {
            self.on_hand += qty;
        } else if self.ended.contains_key(order) {
            return;
        }
        self.end(order, End::Released, now_ms);
    }

    /// Sells an order's pieces, or will when they are reserved. False when they
    /// were released or refused before: nothing is changed then.
    pub fn commit(&mut self, order: &str, now_ms: u64) -> bool {
        if let Some(qty) = self.reserved.remove(order) {
            self.sold += qty;
            self.end(order, End::Sold(qty), now_ms);
            return true;
        }
        match self.ended.get(order).map(|ended| ended.how) {
            Some(End::Sold(_) | End::Paid) => true,
            Some(End::Released | End::Refused(_)) => false,
            None => {
                self.end(order, End::Paid, now_ms);
                true
            }
        }
    }

    /// Forgets what ended a day and more ago.
    pub fn forget_before(&mut self, now_ms: u64) {
        self.ended
            .retain(|_, ended| now_ms.saturating_sub(ended.at_ms) < REMEMBER_MS);
    }

    fn objection(&self, order: &str, qty: u64) -> Option<Refusal> {
        if qty == 0 {
            Some(Refusal::BadQuantity)
        } else if qty > self.on_hand {
            Some(Refusal::OutOfStock)
        } else if self.reserved_bytes_with(order) > RESERVED_BYTES_MAX {
            Some(Refusal::TooManyWaiting)
        } else {
            None
        }
    }

    fn reserved_bytes_with(&self, order: &str) -> usize {
        bytes(&self.reserved, RESERVED_ENTRY_BYTES) + order.len() + RESERVED_ENTRY_BYTES
    }

    fn end(&mut self, order: &str, how: End, now_ms: u64) {
        self.ended
            .insert(order.to_owned(), Ended { how, at_ms: now_ms });
        let mut held = bytes(&self.ended, ENDED_ENTRY_BYTES);
        while held > ENDED_BYTES_MAX {
            let oldest = self.ended.iter().min_by_key(|(_, ended)| ended.at_ms);
            let Some(oldest) = oldest.map(|(order, _)| order.clone()) else {
                return;
            };
            self.ended.remove(&oldest);
            held -= oldest.len() + ENDED_ENTRY_BYTES;
        }
    }
}

/// What a map takes in the state, near enough for a bound.
fn bytes<T>(entries: &BTreeMap<String, T>, entry_bytes: usize) -> usize {
    entries.keys().map(|order| order.len() + entry_bytes).sum()
}
