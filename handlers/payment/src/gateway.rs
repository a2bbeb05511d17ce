//! What payment says to the gateway.

use crate::Payment;
use serde::{Deserialize, Serialize};
use shop_types::Charge;
use wharf::http::{Need, segment};
use wharf::{Event, need};

/// A charge as the gateway takes it. It never changes for an order: the gateway
/// compares it under the idempotency key.
#[derive(Serialize)]
struct Request<'a> {
    order: &'a str,
    amount: u64,
    currency: &'a str,
}

/// What the gateway knows about an order.
#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
enum Answer {
    Captured {
        charge_id: String,
    },
    Declined {
        #[serde(default)]
        reason: String,
    },
    Cancelled,
}

impl From<Answer> for Payment {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Captured { charge_id } => Self::Captured { charge_id },
            Answer::Declined { reason } => Self::Declined { reason },
            Answer::Cancelled => Self::Cancelled,
        }
    }
}

fn gateway() -> Need {
    need!("gateway")
}

/// Charges, unless an earlier try of the event did.
pub fn charge(event: &Event, charge: &Charge) -> wharf::Result<Payment> {
    let order = event.key.as_str();
    if !event.first_try
        && let Some(known) = look_up(order)?
    {
        return Ok(known);
    }
    let request = Request {
        order,
        amount: charge.total.amount,
        currency: &charge.total.currency,
    };
    let answer = gateway()
        .post("/charges")
        // Of the order, not of the event: an order is charged once, whoever asks.
        .idempotency_key(format!("charge-{}", segment(order)))
        .json(&request)
        .send()?
        .success()?;
    Ok(answer.json::<Answer>()?.into())
}

/// Forbids the gateway to charge from now on, and learns whether it had.
pub fn cancel(order: &str) -> wharf::Result<Payment> {
    let answer = gateway()
        .post(format!("/charges/{}/cancel", segment(order)))
        .idempotency_key(format!("cancel-{}", segment(order)))
        .send()?
        .success()?;
    Ok(answer.json::<Answer>()?.into())
}

/// What the gateway knows; none when it never heard of the order.
fn look_up(order: &str) -> wharf::Result<Option<Payment>> {
    let answer = gateway()
        .get(format!("/charges/{}", segment(order)))
        .send()?;
    if answer.status() == 404 {
        return Ok(None);
    }
    Ok(Some(answer.success()?.json::<Answer>()?.into()))
}
