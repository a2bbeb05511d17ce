//! What the gateways remember: every charge, every mail, every key.
//!
//! No kinder than a real provider: a known idempotency key gives the old
//! answer, but a new key for an order that is already paid takes the money
//! again. Finding that is the report's business.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

/// `POST /charges`. Amounts are minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeRequest {
    pub order: String,
    pub amount: u64,
    pub currency: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChargeStatus {
    Captured,
    Declined,
}

/// One charge as it was made. As an answer it is the same without the
/// gateway's own notes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    pub charge_id: String,
    pub order: String,
    pub amount: u64,
    pub currency: String,
    pub status: ChargeStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /mails`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailRequest {
    pub to: String,
    pub template: String,
    pub order: String,
    pub subject: String,
    pub body: String,
}

/// A charge or mail with when and how it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<T> {
    #[serde(flatten)]
    pub made: T,
    /// The idempotency key; None when the caller gave none.
    pub key: Option<String>,
    /// When it was made, milliseconds since 1970.
    pub at_ms: u64,
    /// Requests that this key brought, failed ones included.
    pub requests: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    pub mail_id: String,
    pub order: String,
    pub template: String,
    pub to: String,
}

/// Everything the gateways did, in the order they did it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    pub charges: Vec<Entry<Charge>>,
    pub mails: Vec<Entry<Mail>>,
    /// Orders that will not be charged any more.
    pub cancelled: BTreeSet<String>,
}

/// What a request with a key came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<T> {
    Made(T),
    /// The key was seen with the same request: the same answer, nothing made.
    Replayed(T),
    /// The key was seen with another request.
    Conflict,
}

/// What a cancellation came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Cancellation {
    Cancelled,
    /// Too late: this charge was captured before.
    Captured(Charge),
}

#[derive(Debug, Default)]
pub struct Books {
    ledger: Ledger,
    charge_keys: HashMap<String, (ChargeRequest, usize)>,
    mail_keys: HashMap<String, (MailRequest, usize)>,
    /// Requests by kind and key; what fails is counted too.
    visits: HashMap<(&'static str, String), u32>,
}

impl Books {
    /// Counts a request and says how many came before it under this name.
    pub fn visit(&mut self, kind: &'static str, name: &str) -> u32 {
        let count = self.visits.entry((kind, name.to_owned())).or_default();
        *count += 1;
        *count - 1
    }

    /// Charges, unless the key was used before. `declined` is the bank's reason
    /// not to pay; a cancelled order is declined whatever the bank says.
    pub fn charge(
        &mut self,
        key: Option<&str>,
        request: &ChargeRequest,
        declined: Option<&str>,
        now_ms: u64,
    ) -> Answer<Charge> {
        if let Some((before, index)) = key.and_then(|key| self.charge_keys.get(key)) {
            return match before == request {
                true => Answer::Replayed(self.ledger.charges[*index].made.clone()),
                false => Answer::Conflict,
            };
        }
        let cancelled = self.ledger.cancelled.contains(&request.order);
        let reason = if cancelled {
            Some("cancelled")
        } else {
            declined
        };
        let index = self.ledger.charges.len();
        let made = Charge {
            charge_id: format!("ch-{:08}", index + 1),
            order: request.order.clone(),
            amount: request.amount,
            currency: request.currency.clone(),
            status: if reason.is_some() {
                ChargeStatus::Declined
            } else {
                ChargeStatus::Captured
            },
            reason: reason.map(str::to_owned),
        };
        if let Some(key) = key {
            self.charge_keys
                .insert(key.to_owned(), (request.clone(), index));
        }
        self.ledger.charges.push(entry(made.clone(), key, now_ms));
        Answer::Made(made)
    }

    /// The order's latest charge.
    pub fn latest(&self, order: &str) -> Option<&Charge> {
        self.ledger
            .charges
            .iter()
            .rev()
            .map(|entry| &entry.made)
            .find(|made| made.order == order)
    }

    /// Declines whatever comes later for the order, unless it is already paid.
    pub fn cancel(&mut self, order: &str) -> Cancellation {
        let captured =
            |made: &&Charge| made.order == order && made.status == ChargeStatus::Captured;
        if let Some(made) = self
            .ledger
            .charges
            .iter()
            .map(|entry| &entry.made)
            .find(captured)
        {
            return Cancellation::Captured(made.clone());
        }
        self.ledger.cancelled.insert(order.to_owned());
        Cancellation::Cancelled
    }

    /// Sends a mail, unless the key was used before.
    pub fn mail(&mut self, key: Option<&str>, request: &MailRequest, now_ms: u64) -> Answer<Mail> {
        if let Some((before, index)) = key.and_then(|key| self.mail_keys.get(key)) {
            return match before == request {
                true => Answer::Replayed(self.ledger.mails[*index].made.clone()),
                false => Answer::Conflict,
            };
        }
        let index = self.ledger.mails.len();
        let made = Mail {
            mail_id: format!("mail-{:08}", index + 1),
            order: request.order.clone(),
            template: request.template.clone(),
            to: request.to.clone(),
        };
        if let Some(key) = key {
            self.mail_keys
                .insert(key.to_owned(), (request.clone(), index));
        }
        self.ledger.mails.push(entry(made.clone(), key, now_ms));
        Answer::Made(made)
    }

    /// A copy of all that was done.
    pub fn ledger(&self) -> Ledger {
        let mut ledger = self.ledger.clone();
        let visits = |kind, key: &Option<String>| match key {
            Some(key) => self.visits.get(&(kind, key.clone())).copied().unwrap_or(1),
            None => 1,
        };
        for entry in &mut ledger.charges {
            entry.requests = visits(CHARGE, &entry.key);
        }
        for entry in &mut ledger.mails {
            entry.requests = visits(MAIL, &entry.key);
        }
        ledger
    }

    /// Charges and mails made so far.
    pub fn counts(&self) -> (usize, usize) {
        (self.ledger.charges.len(), self.ledger.mails.len())
    }
}

/// The kinds of visit whose number the ledger tells.
pub const CHARGE: &str = "charge";
pub const MAIL: &str = "mail";

fn entry<T>(made: T, key: Option<&str>, at_ms: u64) -> Entry<T> {
    Entry {
        made,
        key: key.map(str::to_owned),
        at_ms,
        requests: 1,
    }
}
