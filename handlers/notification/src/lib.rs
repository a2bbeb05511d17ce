//! Tells the customer how the order ended: one mail for each final event.
//!
//! Delivery is at-least-once. The mail gateway recognises a repetition by the
//! event's own idempotency key, so the customer is told once.

use serde::Serialize;
use shop_types::{Cancelled, Confirmed, Reason, Rejected};
use wharf::{Effects, Event, config, log, need};

/// How an order can end.
#[derive(Debug, Clone, wharf::Events)]
pub enum In {
    #[event("order.confirmed")]
    Confirmed(Confirmed),
    #[event("order.rejected")]
    Rejected(Rejected),
    #[event("order.cancelled")]
    Cancelled(Cancelled),
}

/// A mail as the gateway takes it.
#[derive(Debug, Serialize)]
struct Mail<'a> {
    from: String,
    to: &'a str,
    template: &'static str,
    order: &'a str,
    subject: String,
    body: String,
}

/// Sends the mail for one final event.
///
/// # Errors
/// When the mail gateway did not take it.
#[wharf::handler]
pub fn notification(event: &Event, input: In) -> wharf::Result {
    let mail = mail(&event.key, &input);
    if mail.to.is_empty() {
        log::warn("there is nobody to tell", &[("template", mail.template)]);
        return Ok(Effects::new());
    }
    need!("mail")
        .post("/mails")
        .idempotency_key(format!("{}-mail", event.idempotency_key))
        .json(&mail)
        .send()?
        .success()?;
    Ok(Effects::new())
}

fn mail<'a>(order: &'a str, input: &'a In) -> Mail<'a> {
    let (to, template, end, detail) = match input {
        In::Confirmed(Confirmed {
            customer, total, ..
        }) => (
            customer,
            "order-confirmed",
            "confirmed",
            format!("We charged {total}. Your goods are on their way."),
        ),
        In::Rejected(Rejected {
            customer, reason, ..
        }) => {
            let why = match reason {
                Reason::Invalid => "We could not read it as an order.",
                Reason::OutOfStock => "Not everything in it is in stock.",
                Reason::PaymentDeclined => "Your payment was declined.",
            };
            (
                customer,
                "order-rejected",
                "not accepted",
                format!("{why} You were not charged."),
            )
        }
        In::Cancelled(Cancelled { customer }) => {
            let detail = "It was not paid in time. You were not charged.".to_owned();
            (customer, "order-cancelled", "cancelled", detail)
        }
    };
    Mail {
        from: config!("from"),
        to,
        template,
        order,
        subject: format!("Your order {order} is {end}"),
        body: format!("Your order {order} is {end}. {detail}"),
    }
}
