//! Which orders there are, from a seed: the same in every run.

use crate::draw;
use crate::shop::{CURRENCY, Line, Message, Order, Placed};

/// Most lines of one order, and most pieces of one line.
const LINES_MAX: u64 = 3;
const QTY_MAX: u64 = 3;
/// Prices of one piece, minor units.
const PRICE_MIN: u64 = 100;
const PRICE_MAX: u64 = 9_999;

/// What is placed. Everything follows from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub seed: u64,
    /// Number of the first order; another load on the same stream begins
    /// where the one before ended.
    pub first: u32,
    pub orders: u32,
    /// At least 1.
    pub skus: u32,
    /// Pieces given of each SKU before the first order.
    pub stock: u64,
    /// Orders a second; None: as fast as the window allows.
    pub rate: Option<f64>,
}

impl Spec {
    /// One delivery for each SKU.
    pub fn stock(&self) -> impl Iterator<Item = Message> {
        let delivery = format!("delivery-{}", self.seed);
        (0..self.skus.into()).map(move |n| Message::stocked(&sku(n), &delivery, self.stock))
    }

    /// All orders, in the order in which they are placed.
    pub fn orders(&self) -> impl Iterator<Item = Order> {
        (self.first..self.first.saturating_add(self.orders)).map(|n| self.order(n))
    }

    fn order(&self, n: u32) -> Order {
        let id = format!("ORD-{}-{n:06}", self.seed);
        let draw = |what: &str, nth: u64, low, high| {
            draw::between(self.seed, &[&id, what, &nth.to_string()], low, high)
        };
        let mut lines: Vec<Line> = Vec::new();
        for nth in 0..draw("lines", 0, 1, LINES_MAX) {
            let sku = sku(self.wanted(&id, nth));
            // An order names a SKU once; a second wish for it is a smaller order.
            if lines.iter().all(|line| line.sku != sku) {
                let unit_price = draw::between(self.seed, &["price", &sku], PRICE_MIN, PRICE_MAX);
                let qty = draw("qty", nth, 1, QTY_MAX).cast_signed();
                lines.push(Line {
                    sku,
                    qty,
                    unit_price: unit_price.cast_signed(),
                });
            }
        }
        let customer = format!("customer-{}@example.com", draw("customer", 0, 1, 500));
        Order {
            placed: Placed {
                customer,
                currency: CURRENCY.into(),
                lines,
            },
            id,
        }
    }

    /// Half of the wishes fall on any SKU alike, half rather on the first ones,
    /// so that some sell out while others stay.
    fn wanted(&self, id: &str, nth: u64) -> u64 {
        let last = u64::from(self.skus.saturating_sub(1));
        let nth = nth.to_string();
        let any = |what| draw::between(self.seed, &[id, what, &nth], 0, last);
        let rather_first = any("sku").min(any("other sku"));
        if any("taste") * 2 < last {
            any("sku")
        } else {
            rather_first
        }
    }
}

fn sku(n: u64) -> String {
    format!("SKU-{:03}", n + 1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SPEC: Spec = Spec {
        seed: 7,
        first: 1,
        orders: 1_000,
        skus: 100,
        stock: 50,
        rate: None,
    };

    #[test]
    fn a_seed_gives_the_same_orders_and_another_seed_others() {
        let orders: Vec<Order> = SPEC.orders().collect();
        assert_eq!(orders, SPEC.orders().collect::<Vec<_>>());
        let other = Spec { seed: 8, ..SPEC };
        let placed = |orders: &[Order]| orders.iter().map(|o| o.placed.clone()).collect::<Vec<_>>();
        assert_ne!(placed(&orders), placed(&other.orders().collect::<Vec<_>>()));
    }

    #[test]
    fn a_later_load_continues_an_earlier_one() {
        let halves = [
            Spec {
                orders: 500,
                ..SPEC
            },
            Spec {
                first: 501,
                orders: 500,
                ..SPEC
            },
        ];
        let joined: Vec<Order> = halves.iter().flat_map(Spec::orders).collect();
        assert_eq!(joined, SPEC.orders().collect::<Vec<_>>());
    }

    #[test]
    fn every_order_is_one_that_a_shop_accepts() {
        let mut ids = HashSet::new();
        for order in SPEC.orders() {
            let lines = &order.placed.lines;
            assert!((1..=3).contains(&lines.len()), "{order:?}");
            assert!(
                lines.iter().all(|line| line.qty > 0 && line.unit_price > 0),
                "{order:?}"
            );
            let skus: HashSet<&str> = lines.iter().map(|line| line.sku.as_str()).collect();
            assert_eq!(skus.len(), lines.len(), "{order:?}");
            assert!(order.placed.total().is_some());
            assert!(ids.insert(order.id));
        }
    }

    #[test]
    fn one_sku_has_one_price_and_every_sku_is_wanted() {
        let lines = SPEC.orders().flat_map(|order| order.placed.lines);
        let mut prices = std::collections::BTreeMap::new();
        for line in lines {
            let known = *prices.entry(line.sku.clone()).or_insert(line.unit_price);
            assert_eq!(known, line.unit_price, "{}", line.sku);
        }
        assert_eq!(prices.len(), SPEC.skus as usize);
    }

    #[test]
    fn stock_comes_once_for_each_sku() {
        let subjects: HashSet<String> = SPEC.stock().map(|message| message.subject).collect();
        assert_eq!(subjects.len(), SPEC.skus as usize);
        assert!(subjects.contains("shop.inventory.SKU-100.stocked"));
    }
}
