//! What the services of the shop say to each other: the data of every event,
//! once. Who sends what to whom stands in the manifests.
//!
//! Fields may be added; one that is renamed or removed is another event type.

mod money;
mod order;
mod payment;
mod stock;

pub use money::{Money, MoneyError};
pub use order::{Cancelled, Confirmed, Goods, Line, Placed, Reason, Rejected};
pub use payment::{Captured, Charge, Declined};
pub use stock::{Commit, Refusal, Refused, Release, Reserve, Reserved, Stocked};
