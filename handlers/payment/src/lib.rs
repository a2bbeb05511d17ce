//! Charges an order once.
//!
//! The gateway is asked to charge under a key made of the order, so that it
//! knows a repetition. When an earlier try of the same event may have gone out,
//! the gateway is first asked what it knows. Whatever it said last is the state
//! of the payment and final: each later request gets the same answer, and a
//! cancelled payment is never charged.

mod gateway;

use serde::{Deserialize, Serialize};
use shop_types::{Captured, Charge, Declined};
use std::time::Instant;
use wharf::{Effects, Event, metric};

/// What a payment listens to.
#[derive(Debug, Clone, wharf::Events)]
pub enum In {
    #[event("payment.charge")]
    Charge(Charge),
    #[event("payment.cancel")]
    Cancel,
}

/// What it answers, to the order.
#[derive(Debug, wharf::Emit)]
enum Out {
    #[emit("order.payment-captured")]
    Captured(Captured),
    #[emit("order.payment-declined")]
    Declined(Declined),
    #[emit("order.payment-cancelled")]
    Cancelled,
}

/// How a payment ended; before that it has no state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Payment {
    Captured { charge_id: String },
    Declined { reason: String },
    Cancelled,
}

/// Charges or cancels, unless that is decided, and tells the order.
///
/// # Errors
/// When the gateway does not answer, or not as expected. The event waits and is
/// handled again, so a payment is never left between two states.
#[wharf::handler]
pub fn payment(event: &Event, input: In, state: &mut Option<Payment>) -> wharf::Result {
    let payment = match (state.take(), input) {
        (Some(decided), _) => decided,
        (None, In::Charge(charge)) => measured(|| gateway::charge(event, &charge))?,
        (None, In::Cancel) => gateway::cancel(&event.key)?,
    };
    let mut effects = Effects::new();
    effects.emit(match payment.clone() {
        Payment::Captured { charge_id } => Out::Captured(Captured { charge_id }),
        Payment::Declined { reason } => Out::Declined(Declined { reason }),
        Payment::Cancelled => Out::Cancelled,
    });
    *state = Some(payment);
    Ok(effects)
}

/// Tells how long a charge took, calls and all.
fn measured(charge: impl FnOnce() -> wharf::Result<Payment>) -> wharf::Result<Payment> {
    let began = Instant::now();
    let payment = charge();
    let status = match &payment {
        Ok(Payment::Captured { .. }) => "captured",
        Ok(Payment::Declined { .. } | Payment::Cancelled) => "declined",
        Err(_) => "error",
    };
    metric!("payment_process_duration_seconds", status = status)
        .observe(began.elapsed().as_secs_f64());
    payment
}
