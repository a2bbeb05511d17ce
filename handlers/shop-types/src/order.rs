//! What happens to an order. Key: the order.

use crate::Money;
use serde::{Deserialize, Serialize};

/// `order.placed`, from outside. Nothing in it has been checked yet; numbers are
/// signed so that a negative one can be refused with a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Where the customer is told, such as a mail address.
    pub customer: String,
    /// Of all prices.
    pub currency: String,
    /// What is ordered.
    pub lines: Vec<Line>,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub sku: String,
    /// Pieces.
    pub qty: i64,
    /// Minor units a piece.
    pub unit_price: i64,
}

/// Pieces of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goods {
    pub sku: String,
    /// Pieces.
    pub qty: u64,
}

/// `order.confirmed`: paid, and the goods are sold. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    pub customer: String,
    #[serde(flatten)]
    pub total: Money,
    /// The gateway's name for the charge.
    pub charge_id: String,
    pub goods: Vec<Goods>,
}

/// `order.rejected`: not paid, and no goods are held. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    pub customer: String,
    pub reason: Reason,
    /// For people.
    pub detail: String,
}

/// Why an order is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The order makes no sense.
    Invalid,
    /// A SKU could not be reserved.
    OutOfStock,
    /// The payment was declined.
    PaymentDeclined,
}

/// `order.cancelled`: it was not paid in time, and never will be. Final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    pub customer: String,
}
