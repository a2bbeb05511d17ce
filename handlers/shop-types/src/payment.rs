//! What order and payment say to each other. Key: the order.

use crate::Money;
use serde::{Deserialize, Serialize};

/// `payment.charge`: take the money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    #[serde(flatten)]
    pub total: Money,
    pub customer: String,
}

/// `order.payment-captured`: the money is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// The gateway's name for the charge.
    pub charge_id: String,
}

/// `order.payment-declined`: there will be no money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    /// The gateway's word for why.
    pub reason: String,
}
