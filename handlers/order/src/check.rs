//! Whether a placed order makes sense.

use crate::open::{Item, Open};
use shop_types::{Line, Money, MoneyError, Placed};
use std::collections::BTreeMap;

/// Each SKU costs an emission at every step, and an event emits at most 64.
const SKUS_MAX: usize = 50;
/// The longest key of an entity.
const SKU_BYTES_MAX: usize = 256;
/// The longest mail address.
const CUSTOMER_BYTES_MAX: usize = 320;
const QTY_MAX: u64 = 1_000_000;

/// An order that is refused as placed.
#[derive(Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Empty when there is nobody who could be told.
    pub customer: String,
    /// What is wrong, for people.
    pub detail: &'static str,
}

/// Checks an order; lines of the same SKU become one item.
pub fn check(placed: Placed) -> Result<Open, Invalid> {
    let Placed {
        customer,
        currency,
        lines,
    } = placed;
    if !(1..=CUSTOMER_BYTES_MAX).contains(&customer.len()) {
        return Err(Invalid {
            customer: String::new(),
            detail: "no usable customer",
        });
    }
    match goods(&currency, lines) {
        Ok((items, total)) => Ok(Open {
            customer,
            total,
            items,
            charged: false,
        }),
        Err(detail) => Err(Invalid { customer, detail }),
    }
}

type Goods = (BTreeMap<String, Item>, Money);

fn goods(currency: &str, lines: Vec<Line>) -> Result<Goods, &'static str> {
    let mut items = BTreeMap::new();
    let mut amount: u64 = 0;
    for line in lines {
        if !(1..=SKU_BYTES_MAX).contains(&line.sku.len()) {
            return Err("a SKU has 1 to 256 bytes");
        }
        let qty = u64::try_from(line.qty)
            .ok()
            .filter(|qty| (1..=QTY_MAX).contains(qty));
        let qty = qty.ok_or("a quantity is from 1 to a million")?;
        let price = u64::try_from(line.unit_price).map_err(|_| "a price is below nothing")?;
        amount = price
            .checked_mul(qty)
            .and_then(|sum| amount.checked_add(sum))
            .ok_or("the total is too large")?;
        let item = items.entry(line.sku).or_insert(Item {
            qty: 0,
            reserved: false,
        });
        item.qty += qty;
        if item.qty > QTY_MAX {
            return Err("a quantity is from 1 to a million");
        }
        if items.len() > SKUS_MAX {
            return Err("more than 50 different SKUs");
        }
    }
    if amount == 0 {
        return Err("nothing to pay");
    }
    let total = Money::new(amount, currency).map_err(|error| match error {
        MoneyError::Currency => "a currency is three upper-case letters",
        MoneyError::Amount => "the total is too large",
    })?;
    Ok((items, total))
}
