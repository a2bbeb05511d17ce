//! The order saga. One order reserves its goods, is paid, and ends confirmed,
//! rejected or cancelled.
//!
//! ```text
//! placed ─► Reserving ──all reserved──► Charging ──captured──► Confirmed
//!    │          │ │                      │  │  │                   ▲
//!    │       refused └─────unpaid──┐     │  │ declined          captured
//!    │          │                  ▼     │  └────► Rejected        │
//!    └─invalid─►Rejected       Cancelling◄┘unpaid     ▲            │
//!                                  │ └────declined────┘            │
//!                                  │ └─────────────────────────────┘
//!                                  └──payment cancelled──► Cancelled
//! ```
//!
//! The table in [`order()`] is the whole machine. Whatever it does not list
//! changes nothing: a message that is late, repeated or contradicts what is
//! known. A final state has no way out.

mod check;
mod open;

use open::Open;
use serde::{Deserialize, Serialize};
use shop_types::{
    Cancelled, Captured, Charge, Commit, Confirmed, Declined, Money, Placed, Reason, Refused,
    Rejected, Release, Reserve, Reserved,
};
use wharf::{Effects, Event, log};

/// What an order listens to.
#[derive(Debug, Clone, wharf::Events)]
pub enum In {
    #[event("order.placed")]
    Placed(Placed),
    #[event("order.stock-reserved")]
    Reserved(Reserved),
    #[event("order.stock-refused")]
    Refused(Refused),
    #[event("order.payment-captured")]
    Captured(Captured),
    #[event("order.payment-declined")]
    Declined(Declined),
    #[event("order.payment-cancelled")]
    PaymentCancelled,
    /// Longer than any outage that orders are promised to survive.
    #[timer("unpaid")]
    Unpaid,
}

/// What an order says.
#[derive(Debug, wharf::Emit)]
pub(crate) enum Out {
    #[emit("inventory.reserve")]
    Reserve(Reserve),
    #[emit("inventory.release")]
    Release(Release),
    #[emit("inventory.commit")]
    Commit(Commit),
    #[emit("payment.charge")]
    Charge(Charge),
    #[emit("payment.cancel")]
    CancelPayment,
    #[emit("order.confirmed")]
    Confirmed(Confirmed),
    #[emit("order.rejected")]
    Rejected(Rejected),
    #[emit("order.cancelled")]
    Cancelled(Cancelled),
}

/// Where an order stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum Order {
    /// Waits for every SKU to be reserved.
    Reserving(Open),
    /// Everything is reserved; waits for the money.
    Charging(Open),
    /// Was not paid in time; waits for payment to say which way it went.
    Cancelling(Open),
    /// Final: paid and sold.
    Confirmed {
        #[serde(flatten)]
        total: Money,
        charge_id: String,
    },
    /// Final: nothing paid, nothing held.
    Rejected { reason: Reason },
    /// Final: nothing paid, nothing held.
    Cancelled,
}

/// Moves one order by one event.
#[wharf::handler]
pub fn order(event: &Event, input: In, state: &mut Option<Order>) -> wharf::Result {
    use Order::{Cancelling, Charging, Reserving};
    let order = event.key.as_str();
    let mut effects = Effects::new();
    let next = match (state.take(), input) {
        (None, In::Placed(placed)) => Open::place(placed, order, &mut effects),
        (Some(Reserving(open)), In::Reserved(Reserved { sku, .. })) => {
            open.reserved(&sku, &mut effects)
        }
        (Some(Reserving(open)), In::Refused(refused)) if open.waits_for(&refused.sku) => {
            open.out_of_stock(&refused, order, &mut effects)
        }
        (Some(Charging(open) | Cancelling(open)), In::Captured(captured)) if open.is_charged() => {
            open.confirm(captured, order, &mut effects)
        }
        (Some(Charging(open) | Cancelling(open)), In::Declined(declined)) => {
            open.declined(&declined, order, &mut effects)
        }
        (Some(Charging(open) | Cancelling(open)), In::PaymentCancelled) => {
            open.cancel(order, &mut effects)
        }
        (Some(Reserving(open) | Charging(open)), In::Unpaid) => open.ask_to_cancel(&mut effects),
        (before, input) => {
            log::info(
                "nothing to do",
                &[
                    ("event", &event.event_type),
                    ("because", because(before.as_ref(), &input)),
                ],
            );
            *state = before;
            return Ok(effects);
        }
    };
    *state = Some(next);
    Ok(effects)
}

/// Why an event changes nothing, for the log.
fn because(state: Option<&Order>, input: &In) -> &'static str {
    match (state, input) {
        (None, _) => "there is no such order",
        (Some(_), In::Placed(_)) => "the order was placed before",
        (Some(Order::Confirmed { .. } | Order::Rejected { .. } | Order::Cancelled), _) => {
            "the order has ended"
        }
        (Some(Order::Reserving(_) | Order::Charging(_) | Order::Cancelling(_)), _) => {
            "the order knows already"
        }
    }
}
