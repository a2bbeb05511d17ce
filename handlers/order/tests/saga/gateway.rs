//! A payment gateway that declines some, and loses answers after the charge, or
//! the request until later.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use wharf::http::CallError;
use wharf::testing::{Call, Outcome, Random, answer};

pub struct Gateway {
    random: Random,
    /// By idempotency key: order and answer.
    charges: BTreeMap<String, (String, Value)>,
    cancelled: BTreeSet<String>,
    /// Requests that were sent, and have not arrived.
    under_way: Vec<Call>,
}

impl Gateway {
    pub fn new(seed: u64) -> Self {
        let random = Random::seeded(seed ^ 0x6a7e);
        Self {
            random,
            charges: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            under_way: Vec::new(),
        }
    }

    pub fn send(&mut self, call: &Call) -> Outcome {
        if self.random.percent(20) {
            self.arrive();
        }
        match self.random.below(10) {
            0 => Err(CallError::NotSent("no connection".into())),
            1 => {
                self.handle(call);
                Err(CallError::UnknownOutcome("the answer was lost".into()))
            }
            2 if call.request.method == "POST" => {
                self.under_way.push(call.clone());
                Err(CallError::UnknownOutcome("the request is late".into()))
            }
            _ => Ok(self.handle(call)),
        }
    }

    /// Lets everything arrive that is still under way.
    pub fn arrive(&mut self) {
        for call in std::mem::take(&mut self.under_way) {
            self.handle(&call);
        }
    }

    /// How often each order was charged.
    pub fn captured(&self) -> BTreeMap<String, u32> {
        let mut captured = BTreeMap::new();
        for (order, answer) in self.charges.values() {
            if answer["status"] == "captured" {
                *captured.entry(order.clone()).or_default() += 1;
            }
        }
        captured
    }

    fn handle(&mut self, call: &Call) -> wharf::testing::Answer {
        let path: Vec<&str> = call
            .request
            .path
            .trim_start_matches('/')
            .split('/')
            .collect();
        match path[..] {
            ["charges"] => answer(201, &self.charge(call)),
            ["charges", order] => match self.known(order) {
                Some(charge) => answer(200, &charge),
                None => answer(404, &json!({"status": "none"})),
            },
            ["charges", order, "cancel"] => answer(200, &self.cancel(order)),
            _ => answer(404, &json!({})),
        }
    }

    fn charge(&mut self, call: &Call) -> Value {
        let key = call
            .request
            .idempotency_key
            .clone()
            .expect("a charge has an idempotency key");
        let order = call.json::<Value>()["order"]
            .as_str()
            .expect("a charge names its order")
            .to_owned();
        let declined = self.cancelled.contains(&order) || self.random.percent(20);
        let id = format!("ch-{}", self.charges.len());
        let made = if declined {
            json!({"charge_id": id, "status": "declined", "reason": "no"})
        } else {
            json!({"charge_id": id, "status": "captured"})
        };
        self.charges.entry(key).or_insert((order, made)).1.clone()
    }

    fn known(&self, order: &str) -> Option<Value> {
        self.charges
            .values()
            .find(|(of, _)| of == order)
            .map(|(_, charge)| charge.clone())
    }

    fn cancel(&mut self, order: &str) -> Value {
        match self
            .known(order)
            .filter(|charge| charge["status"] == "captured")
        {
            Some(charge) => charge,
            None => {
                self.cancelled.insert(order.to_owned());
                json!({"status": "cancelled"})
            }
        }
    }
}
