//! Stock of one SKU. Reserves, refuses, releases, commits, and never oversells.
//!
//! Each order's request is decided once. Whatever comes again gets the same
//! answer, and whatever comes in another order than it was sent ends the same:
//! a release before its reserve makes the reserve be refused, a commit before
//! its reserve makes it a sale at once. What has ended is remembered for a day,
//! so that repetitions are recognised, and then forgotten, so that the state of
//! a SKU that sells for years stays small.
//!
//! At every moment: stocked = on hand + reserved + sold.

mod stock;

use shop_types::{Commit, Refused, Release, Reserve, Reserved, Stocked};
pub use stock::{End, Ended, Stock};
use wharf::{Effects, Emit, Event, Failure, log};

/// What a SKU listens to.
#[derive(Debug, Clone, wharf::Events)]
pub enum In {
    #[event("inventory.stocked")]
    Stocked(Stocked),
    #[event("inventory.reserve")]
    Reserve(Reserve),
    #[event("inventory.release")]
    Release(Release),
    #[event("inventory.commit")]
    Commit(Commit),
}

/// What it answers, to the order.
#[derive(Debug, wharf::Emit)]
enum Out {
    #[emit("order.stock-reserved")]
    Reserved(Reserved),
    #[emit("order.stock-refused")]
    Refused(Refused),
}

/// Moves the stock of one SKU by one event.
///
/// # Errors
/// Rejects stock beyond what can be counted.
#[wharf::handler]
pub fn inventory(event: &Event, input: In, state: &mut Option<Stock>) -> wharf::Result {
    let stock = state.get_or_insert_default();
    let mut effects = Effects::new();
    stock.forget_before(event.now_ms);
    match input {
        In::Stocked(Stocked { qty }) => {
            if !stock.add(qty) {
                return Err(Failure::reject(
                    "too-much-stock",
                    "more pieces than can be counted",
                ));
            }
        }
        In::Reserve(Reserve { order, qty }) => {
            let sku = event.key.clone();
            let answer = match stock.reserve(&order, qty, event.now_ms) {
                Ok(qty) => Out::Reserved(Reserved { sku, qty }),
                Err(reason) => Out::Refused(Refused { sku, reason }),
            };
            effects.emit(answer.to(order));
        }
        In::Release(Release { order }) => stock.release(&order, event.now_ms),
        In::Commit(Commit { order }) => {
            if !stock.commit(&order, event.now_ms) {
                log::error(
                    "an order was paid whose goods are not held",
                    &[("order", &order)],
                );
            }
        }
    }
    Ok(effects)
}
