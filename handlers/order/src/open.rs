//! An order that has not ended: what it holds, and the steps it can take.

use crate::check::check;
use crate::{Order, Out};
use serde::{Deserialize, Serialize};
use shop_types::{
    Cancelled, Captured, Charge, Commit, Confirmed, Declined, Goods, Money, Placed, Reason,
    Refused, Rejected, Release, Reserve,
};
use std::collections::BTreeMap;
use std::time::Duration;
use wharf::{Effects, Emit, timer};

/// Orders are promised to survive outages of 24 hours.
const UNPAID_AFTER: Duration = Duration::from_hours(25);
/// Of a text that another service wrote, in characters.
const DETAIL_MAX: usize = 200;

/// An order that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    pub customer: String,
    #[serde(flatten)]
    pub total: Money,
    /// By SKU.
    pub items: BTreeMap<String, Item>,
    /// Whether payment was asked to charge.
    pub charged: bool,
}

/// Pieces of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub qty: u64,
    /// Whether inventory holds them.
    pub reserved: bool,
}

impl Open {
    /// Begins: asks for every SKU, or rejects what makes no sense.
    pub(crate) fn place(placed: Placed, order: &str, effects: &mut Effects) -> Order {
        let open = match check(placed) {
            Ok(open) => open,
            Err(invalid) => {
                let reason = Reason::Invalid;
                let detail = invalid.detail.to_owned();
                effects.emit(Out::Rejected(Rejected {
                    customer: invalid.customer,
                    reason,
                    detail,
                }));
                return Order::Rejected { reason };
            }
        };
        for (sku, item) in &open.items {
            effects.emit(
                Out::Reserve(Reserve {
                    order: order.to_owned(),
                    qty: item.qty,
                })
                .to(sku),
            );
        }
        effects.set(timer!("unpaid").after(UNPAID_AFTER));
        Order::Reserving(open)
    }

    /// One SKU is held; when it is the last, asks for the money.
    pub(crate) fn reserved(mut self, sku: &str, effects: &mut Effects) -> Order {
        if let Some(item) = self.items.get_mut(sku) {
            item.reserved = true;
        }
        if self.items.values().any(|item| !item.reserved) {
            return Order::Reserving(self);
        }
        self.charged = true;
        effects.emit(Out::Charge(Charge {
            total: self.total.clone(),
            customer: self.customer.clone(),
        }));
        Order::Charging(self)
    }

    /// Whether inventory still owes an answer for a SKU.
    pub(crate) fn waits_for(&self, sku: &str) -> bool {
        self.items.get(sku).is_some_and(|item| !item.reserved)
    }

    /// Whether payment was asked to charge.
    pub(crate) fn is_charged(&self) -> bool {
        self.charged
    }

    /// One SKU cannot be had: lets all others go, answered or not. A release
    /// that overtakes its reserve is remembered by inventory.
    pub(crate) fn out_of_stock(
        mut self,
        refused: &Refused,
        order: &str,
        effects: &mut Effects,
    ) -> Order {
        self.items.remove(&refused.sku);
        self.reject(Reason::OutOfStock, refused.sku.clone(), order, effects)
    }

    /// There will be no money: lets everything go.
    pub(crate) fn declined(self, declined: &Declined, order: &str, effects: &mut Effects) -> Order {
        let detail = declined.reason.chars().take(DETAIL_MAX).collect();
        self.reject(Reason::PaymentDeclined, detail, order, effects)
    }

    fn reject(self, reason: Reason, detail: String, order: &str, effects: &mut Effects) -> Order {
        self.release(order, effects);
        effects.emit(Out::Rejected(Rejected {
            customer: self.customer,
            reason,
            detail,
        }));
        Order::Rejected { reason }
    }

    /// The money is ours: sells the goods.
    pub(crate) fn confirm(self, captured: Captured, order: &str, effects: &mut Effects) -> Order {
        for sku in self.items.keys() {
            effects.emit(
                Out::Commit(Commit {
                    order: order.to_owned(),
                })
                .to(sku),
            );
        }
        let goods = self
            .items
            .into_iter()
            .map(|(sku, item)| Goods { sku, qty: item.qty })
            .collect();
        let charge_id = captured.charge_id;
        effects.emit(Out::Confirmed(Confirmed {
            customer: self.customer,
            total: self.total.clone(),
            charge_id: charge_id.clone(),
            goods,
        }));
        effects.cancel(timer!("unpaid"));
        Order::Confirmed {
            total: self.total,
            charge_id,
        }
    }

    /// Too late. Only payment knows whether the money came: asks it.
    pub(crate) fn ask_to_cancel(self, effects: &mut Effects) -> Order {
        effects.emit(Out::CancelPayment);
        Order::Cancelling(self)
    }

    /// There is no money and never will be: lets everything go.
    pub(crate) fn cancel(self, order: &str, effects: &mut Effects) -> Order {
        self.release(order, effects);
        effects.emit(Out::Cancelled(Cancelled {
            customer: self.customer,
        }));
        Order::Cancelled
    }

    fn release(&self, order: &str, effects: &mut Effects) {
        for sku in self.items.keys() {
            effects.emit(
                Out::Release(Release {
                    order: order.to_owned(),
                })
                .to(sku),
            );
        }
        effects.cancel(timer!("unpaid"));
    }
}
