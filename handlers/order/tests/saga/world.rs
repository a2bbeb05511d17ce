//! The three services and the bus between them.

use crate::gateway::Gateway;
use handler_inventory::{Stock, inventory};
use handler_order::order;
use handler_payment::payment;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use wharf::testing::{Bounds, Entity, Random, Then, bytes};

/// How unkind the bus is.
#[derive(Clone, Copy)]
pub struct Bus {
    /// Messages of one key arrive in the order they were sent.
    pub keeps_order: bool,
    /// This many of a hundred messages arrive again, under another id.
    pub repeats_percent: usize,
    /// Before this many of a hundred messages, an order runs into its timer.
    pub timers_percent: usize,
}

#[derive(Clone)]
struct Message {
    event_type: String,
    key: String,
    data: Vec<u8>,
    /// An earlier try may have called out.
    again: bool,
}

pub struct World {
    bus: Bus,
    random: Random,
    pending: Vec<Message>,
    history: Vec<Message>,
    orders: BTreeMap<String, Entity<order>>,
    skus: BTreeMap<String, Entity<inventory>>,
    payments: BTreeMap<String, Entity<payment>>,
    given: BTreeMap<String, u64>,
    gateway: Rc<RefCell<Gateway>>,
}

impl World {
    pub fn new(seed: u64, bus: Bus) -> Self {
        Self {
            bus,
            random: Random::seeded(seed),
            pending: Vec::new(),
            history: Vec::new(),
            orders: BTreeMap::new(),
            skus: BTreeMap::new(),
            payments: BTreeMap::new(),
            given: BTreeMap::new(),
            gateway: Rc::new(RefCell::new(Gateway::new(seed))),
        }
    }

    /// Pieces arrive, before anything else happens.
    pub fn stock(&mut self, sku: &str, qty: u64) {
        self.given.insert(sku.to_owned(), qty);
        self.publish("inventory.stocked", sku, &json!({"qty": qty}));
        while let Some(message) = self.pending.pop() {
            self.deliver(&message);
        }
    }

    pub fn publish(&mut self, event_type: &str, key: &str, data: &Value) {
        let data = serde_json::to_vec(data).expect("a value is JSON");
        self.send(event_type, key, data);
    }

    /// Until nothing is under way and nobody waits for a timer.
    pub fn run(&mut self) {
        for _ in 0..1_000_000 {
            if self.random.percent(self.bus.timers_percent) {
                self.fire_one();
            }
            if self.pending.is_empty() && !self.fire_one() {
                self.gateway.borrow_mut().arrive();
                return;
            }
            if !self.pending.is_empty() {
                self.step();
            }
        }
        panic!("the shop does not come to rest");
    }

    /// Messages of one type ever sent.
    pub fn count(&self, event_type: &str) -> usize {
        self.history
            .iter()
            .filter(|message| message.event_type == event_type)
            .count()
    }

    /// The laws of the shop.
    pub fn balances(&self) {
        let finals = ["order.confirmed", "order.rejected", "order.cancelled"];
        for key in self.orders.keys() {
            let of = |message: &&Message| {
                message.key == *key && finals.contains(&message.event_type.as_str())
            };
            assert_eq!(self.history.iter().filter(of).count(), 1, "{key} ends once");
        }
        let confirmed = self
            .history
            .iter()
            .filter(|message| message.event_type == "order.confirmed");
        let confirmed: BTreeMap<_, _> = confirmed.map(|message| (message.key.clone(), 1)).collect();
        assert_eq!(
            self.gateway.borrow().captured(),
            confirmed,
            "charged, once, is confirmed"
        );
        for (sku, entity) in &self.skus {
            let stock: Stock = entity.state().expect("a SKU has state");
            let sold: u64 = self.sold(sku);
            assert!(
                stock.reserved.is_empty(),
                "{sku}: nothing is held for ever: {:?}",
                stock.reserved
            );
            assert_eq!(stock.sold, sold, "{sku}: sold is what was confirmed");
            assert_eq!(
                stock.on_hand + stock.sold,
                self.given[sku],
                "{sku}: sold and left is given"
            );
        }
    }

    fn sold(&self, sku: &str) -> u64 {
        let confirmed = self
            .history
            .iter()
            .filter(|message| message.event_type == "order.confirmed");
        let goods = confirmed.flat_map(|message| {
            let data: Value = serde_json::from_slice(&message.data).expect("an order is JSON");
            data["goods"].as_array().cloned().unwrap_or_default()
        });
        goods
            .filter(|goods| goods["sku"] == *sku)
            .filter_map(|goods| goods["qty"].as_u64())
            .sum()
    }

    fn send(&mut self, event_type: &str, key: &str, data: Vec<u8>) {
        let message = Message {
            event_type: event_type.to_owned(),
            key: key.to_owned(),
            data,
            again: false,
        };
        self.history.push(message.clone());
        self.pending.push(message.clone());
        // Pieces that arrive twice are twice as many; everything else is said again.
        if event_type != "inventory.stocked" && self.random.percent(self.bus.repeats_percent) {
            self.pending.push(message);
        }
    }

    fn step(&mut self) {
        let mut index = self.random.below(self.pending.len());
        if self.bus.keeps_order {
            let chosen = self.pending[index].clone();
            let same =
                |message: &Message| message.key == chosen.key && area(message) == area(&chosen);
            index = self
                .pending
                .iter()
                .position(same)
                .expect("the chosen one is there");
        }
        let message = self.pending.remove(index);
        if !self.deliver(&message) {
            self.pending.insert(
                index,
                Message {
                    again: true,
                    ..message
                },
            );
        }
    }

    /// Whether the service is done with it.
    fn deliver(&mut self, message: &Message) -> bool {
        let key = message.key.clone();
        let event = bytes(message.event_type.clone(), message.data.clone());
        let event = if message.again { event.again() } else { event };
        let then = match message.event_type.as_str() {
            "order.confirmed" | "order.rejected" | "order.cancelled" => return true,
            of if of.starts_with("order.") => self.order(&key).when(event),
            of if of.starts_with("inventory.") => self.sku(&key).when(event),
            _ => self.payment(&key).when(event),
        };
        self.apply(&key, &then);
        then.failure().is_none()
    }

    fn fire_one(&mut self) -> bool {
        let waiting = |entity: &Entity<order>| entity.timers().contains_key("unpaid");
        let keys: Vec<String> = self
            .orders
            .iter()
            .filter(|(_, e)| waiting(e))
            .map(|(key, _)| key.clone())
            .collect();
        if keys.is_empty() {
            return false;
        }
        let key = keys[self.random.below(keys.len())].clone();
        let then = self.order(&key).fire("unpaid").ok();
        self.apply(&key, &then);
        true
    }

    fn apply(&mut self, key: &str, then: &Then) {
        for emission in then.emitted() {
            let to = emission.key.as_deref().unwrap_or(key);
            self.send(&emission.event_type, to, emission.data.clone());
        }
    }

    fn order(&mut self, key: &str) -> &mut Entity<order> {
        self.orders
            .entry(key.to_owned())
            .or_insert_with(|| Entity::new(key))
    }

    fn sku(&mut self, key: &str) -> &mut Entity<inventory> {
        let bounds = Bounds {
            state_bytes: 512 * 1024,
            ..Bounds::default()
        };
        self.skus
            .entry(key.to_owned())
            .or_insert_with(|| Entity::new(key).bounds(bounds))
    }

    fn payment(&mut self, key: &str) -> &mut Entity<payment> {
        let gateway = Rc::clone(&self.gateway);
        let new = || Entity::new(key).need("gateway", move |call| gateway.borrow_mut().send(call));
        self.payments.entry(key.to_owned()).or_insert_with(new)
    }
}

/// The service that a message is for.
fn area(message: &Message) -> &str {
    message.event_type.split('.').next().unwrap_or_default()
}
