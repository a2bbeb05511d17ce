//! What order and inventory say to each other. Key of the requests: the SKU; of
//! the answers: the order.

use serde::{Deserialize, Serialize};

/// `inventory.stocked`, from outside: pieces arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stocked {
    /// Pieces.
    pub qty: u64,
}

/// `inventory.reserve`: hold pieces for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserve {
    pub order: String,
    /// Pieces.
    pub qty: u64,
}

/// `inventory.release`: the order does not need them any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub order: String,
}

/// `inventory.commit`: the order is paid, the pieces are sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    pub order: String,
}

/// `order.stock-reserved`: the pieces are held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    pub sku: String,
    /// Pieces.
    pub qty: u64,
}

/// `order.stock-refused`: nothing is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub sku: String,
    pub reason: Refusal,
}

/// Why pieces are not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Fewer are left.
    OutOfStock,
    /// The order gave up before.
    Released,
    /// Too many orders wait for this SKU already.
    TooManyWaiting,
    /// Not a number of pieces that can be ordered.
    BadQuantity,
}
