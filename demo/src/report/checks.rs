//! The laws of the shop, each a pure function from facts to one line.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::facts::{Facts, OrderFacts};
use crate::gateway::{Charge, ChargeStatus};
use crate::shop::Final;

/// Offenders that a check names; the rest are counted.
const NAMED_MAX: usize = 5;

/// One law and how it fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub holds: bool,
    /// The numbers, in words.
    pub says: String,
    /// The first few that broke it.
    pub offenders: Vec<String>,
    pub offenders_total: usize,
}

impl Check {
    /// Holds when nobody offends.
    pub fn new(name: &'static str, says: String, mut offenders: Vec<String>) -> Self {
        let offenders_total = offenders.len();
        offenders.truncate(NAMED_MAX);
        Self {
            name,
            holds: offenders_total == 0,
            says,
            offenders,
            offenders_total,
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.holds { '✓' } else { '✗' };
        write!(out, "{mark} {:<14} {}", self.name, self.says)?;
        for offender in &self.offenders {
            write!(out, "\n    {offender}")?;
        }
        match self.offenders_total - self.offenders.len() {
            0 => Ok(()),
            more => write!(out, "\n    and {more} more"),
        }
    }
}

/// Every order that was placed ended, once, in one way.
pub fn final_states(facts: &Facts) -> Check {
    let placed = facts
        .orders
        .values()
        .filter(|order| order.placed.is_some())
        .count();
    let count = |end| {
        facts
            .orders
            .values()
            .filter(|order| order.end() == Some(end))
            .count()
    };
    let ends = Final::ALL
        .map(|end| format!("{} {}", count(end), end.token()))
        .join(", ");
    let mut says = format!("{placed} placed: {ends}");
    if facts.not_orders > 0 {
        says += &format!("; {} placed events were not orders", facts.not_orders);
    }
    let offenders = facts.orders.iter().filter_map(|(name, order)| {
        if order.placed.is_none() {
            return Some(format!("{name}: ended, and was never placed"));
        }
        match order.ends.as_slice() {
            [_] => None,
            [] => Some(format!("{name}: no final event")),
            ends => Some(format!(
                "{name}: {} final events ({})",
                ends.len(),
                list(ends)
            )),
        }
    });
    Check::new("final states", says, offenders.collect())
}

/// Money was taken for confirmed orders, once each, and for nothing else.
pub fn charges(facts: &Facts) -> Check {
    let captured = captured(facts);
    let confirmed = facts
        .orders
        .values()
        .filter(|order| order.ended_as(Final::Confirmed))
        .count();
    let made: usize = captured.values().map(Vec::len).sum();
    let says = format!("{made} captured, {confirmed} orders confirmed");
    let mut offenders = Vec::new();
    for (order, charges) in &captured {
        if charges.len() > 1 {
            let ids: Vec<&str> = charges
                .iter()
                .map(|charge| charge.charge_id.as_str())
                .collect();
            offenders.push(format!(
                "{order}: captured {} times ({})",
                ids.len(),
                ids.join(", ")
            ));
        }
        let known = facts.orders.get(*order);
        if !known.is_some_and(|order| order.ended_as(Final::Confirmed)) {
            offenders.push(format!("{order}: captured, and {}", fate(known)));
        }
    }
    for (name, order) in &facts.orders {
        if order.ended_as(Final::Confirmed) && !captured.contains_key(name.as_str()) {
            offenders.push(format!("{name}: confirmed, and never charged"));
        }
    }
    Check::new("charges", says, offenders)
}

/// What was taken is what was ordered.
pub fn amounts(facts: &Facts) -> Check {
    let mut taken = BTreeMap::<&str, u128>::new();
    let mut offenders = Vec::new();
    for (order, charges) in captured(facts) {
        let placed = facts
            .orders
            .get(order)
            .and_then(|order| order.placed.as_ref());
        for charge in charges {
            *taken.entry(&charge.currency).or_default() += u128::from(charge.amount);
            let Some(placed) = placed else { continue };
            if placed.total() != Some(charge.amount) || placed.currency != charge.currency {
                let total = placed
                    .total()
                    .map_or("no total".into(), |total| total.to_string());
                offenders.push(format!(
                    "{order}: {} {} taken, {total} {} ordered",
                    charge.amount, charge.currency, placed.currency
                ));
            }
        }
    }
    let sums: Vec<String> = taken
        .iter()
        .map(|(unit, sum)| format!("{sum} {unit}"))
        .collect();
    let sums = if sums.is_empty() {
        "nothing".into()
    } else {
        sums.join(", ")
    };
    Check::new("amounts", format!("{sums} taken (minor units)"), offenders)
}

/// No piece appeared or vanished, and none is held at the end.
pub fn stock(facts: &Facts) -> Check {
    let (mut given_all, mut left_all, mut sold_all) = (0, 0, 0);
    let mut offenders = Vec::new();
    for sku in facts.skus() {
        let given = facts.given.get(sku).copied().unwrap_or_default();
        let Some(stock) = facts.stock.get(sku) else {
            offenders.push(format!(
                "{sku}: {given} given, and the inventory has no record"
            ));
            continue;
        };
        let reserved: u64 = stock.reserved.values().sum();
        (given_all, left_all, sold_all) = (
            given_all + given,
            left_all + stock.on_hand,
            sold_all + stock.sold,
        );
        if reserved > 0 {
            let orders: Vec<&str> = stock.reserved.keys().map(String::as_str).take(3).collect();
            offenders.push(format!(
                "{sku}: {reserved} still reserved ({})",
                orders.join(", ")
            ));
        }
        if given != stock.on_hand + reserved + stock.sold {
            offenders.push(format!(
                "{sku}: {given} given, {} left + {reserved} reserved + {} sold",
                stock.on_hand, stock.sold
            ));
        }
    }
    let says = format!("{given_all} given = {left_all} left + {sold_all} sold");
    Check::new("stock", says, offenders)
}

/// What the inventory sold is what confirmed orders contain.
pub fn sales(facts: &Facts) -> Check {
    let mut ordered = BTreeMap::<&str, u64>::new();
    let confirmed = facts
        .orders
        .values()
        .filter(|order| order.ended_as(Final::Confirmed));
    for line in confirmed
        .filter_map(|order| order.placed.as_ref())
        .flat_map(|p| &p.lines)
    {
        *ordered.entry(&line.sku).or_default() += u64::try_from(line.qty).unwrap_or_default();
    }
    let says = format!(
        "{} pieces in confirmed orders",
        ordered.values().sum::<u64>()
    );
    let skus = ordered
        .keys()
        .copied()
        .chain(facts.stock.keys().map(String::as_str));
    let skus: std::collections::BTreeSet<&str> = skus.collect();
    let offenders = skus.into_iter().filter_map(|sku| {
        let sold = facts.stock.get(sku).map_or(0, |stock| stock.sold);
        let ordered = ordered.get(sku).copied().unwrap_or_default();
        (sold != ordered).then(|| format!("{sku}: {sold} sold, {ordered} in confirmed orders"))
    });
    Check::new("sales", says, offenders.collect())
}

/// Every customer was told once how the order ended.
pub fn mails(facts: &Facts) -> Check {
    let mut sent = BTreeMap::<&str, usize>::new();
    for mail in &facts.gateway.mails {
        *sent.entry(&mail.made.order).or_default() += 1;
    }
    let ended = facts
        .orders
        .iter()
        .filter(|(_, order)| !order.ends.is_empty());
    let ended: BTreeMap<&str, &OrderFacts> = ended.map(|(n, order)| (n.as_str(), order)).collect();
    let says = format!(
        "{} mails, {} orders ended",
        facts.gateway.mails.len(),
        ended.len()
    );
    let mut offenders = Vec::new();
    for name in ended.keys().filter(|name| !sent.contains_key(**name)) {
        offenders.push(format!("{name}: ended, and nobody was told"));
    }
    for (name, count) in &sent {
        match (count, ended.contains_key(name)) {
            (1, true) => {}
            (_, false) => offenders.push(format!("{name}: {count} mails, and it has not ended")),
            (_, true) => offenders.push(format!("{name}: {count} mails")),
        }
    }
    Check::new("mails", says, offenders)
}

fn captured(facts: &Facts) -> BTreeMap<&str, Vec<&Charge>> {
    let mut captured = BTreeMap::<&str, Vec<&Charge>>::new();
    for charge in facts.gateway.charges.iter().map(|entry| &entry.made) {
        if charge.status == ChargeStatus::Captured {
            captured.entry(&charge.order).or_default().push(charge);
        }
    }
    captured
}

fn fate(order: Option<&OrderFacts>) -> String {
    match order {
        None => "never placed".into(),
        Some(order) if order.ends.is_empty() => "not ended".into(),
        Some(order) => list(&order.ends),
    }
}

fn list(ends: &[(Final, String)]) -> String {
    let words: Vec<String> = ends
        .iter()
        .map(|(end, id)| format!("{} {id}", end.token()))
        .collect();
    words.join(", ")
}
