//! The shop as its outside sees it: subjects, event types and what customers
//! send. What the handlers say to each other stays their own business.

use serde::{Deserialize, Serialize};

/// The stream that holds all events of the shop.
pub const STREAM: &str = "SHOP";
/// The stream that holds the audit chains.
pub const AUDIT_STREAM: &str = "AUDIT";
/// `ce-source` of everything that the demo places.
pub const SOURCE: &str = "wharf-demo";
pub const CURRENCY: &str = "EUR";

/// How an order can end; each is an event type and the last subject token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Final {
    Confirmed,
    Rejected,
    Cancelled,
}

impl Final {
    pub const ALL: [Self; 3] = [Self::Confirmed, Self::Rejected, Self::Cancelled];

    pub fn token(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }
}

/// `data` of `order.placed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    pub customer: String,
    pub currency: String,
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub sku: String,
    /// Pieces. Customers can send anything, negative numbers too; such an order
    /// is one, and is rejected.
    pub qty: i64,
    /// Minor units of the order's currency.
    pub unit_price: i64,
}

impl Placed {
    /// Minor units; None when there is no such amount.
    pub fn total(&self) -> Option<u64> {
        self.lines.iter().try_fold(0u64, |sum, line| {
            let (qty, price) = (
                u64::try_from(line.qty).ok()?,
                u64::try_from(line.unit_price).ok()?,
            );
            sum.checked_add(qty.checked_mul(price)?)
        })
    }
}

/// `data` of `inventory.stocked`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stocked {
    pub qty: u64,
}

/// An order with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub id: String,
    pub placed: Placed,
}

/// One event from outside, ready to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub subject: String,
    /// CloudEvents id and `Nats-Msg-Id`: publishing again stores nothing new.
    pub id: String,
    pub event_type: String,
    pub data: Vec<u8>,
    pub traceparent: String,
}

impl Message {
    /// The order's first event. Its id is the order's, so that a customer who
    /// sends an order twice has sent it once.
    pub fn placed(order: &Order) -> Self {
        let subject = format!("shop.order.{}.placed", order.id);
        Self::json(
            subject,
            format!("{}.placed", order.id),
            "order.placed",
            &order.placed,
        )
    }

    /// Goods that arrive for a SKU; `delivery` names the consignment.
    pub fn stocked(sku: &str, delivery: &str, qty: u64) -> Self {
        let subject = format!("shop.inventory.{sku}.stocked");
        Self::json(
            subject,
            format!("{sku}.{delivery}"),
            "inventory.stocked",
            &Stocked { qty },
        )
    }

    fn json(subject: String, id: String, event_type: &str, data: &impl Serialize) -> Self {
        let data = serde_json::to_vec(data).expect("plain structs with text keys serialize");
        let traceparent = traceparent(&id);
        Self {
            subject,
            id,
            event_type: event_type.into(),
            data,
            traceparent,
        }
    }
}

/// A trace that begins with the event: both ids follow from the event's id and
/// are not zero, as W3C trace context wants them.
fn traceparent(id: &str) -> String {
    let part = |name| crate::draw::bits(0, &[name, id]) | 1;
    format!(
        "00-{:016x}{:016x}-{:016x}-01",
        part("trace-high"),
        part("trace-low"),
        part("span")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(qty: i64, unit_price: i64) -> Line {
        Line {
            sku: "A".into(),
            qty,
            unit_price,
        }
    }

    #[test]
    fn a_total_is_exact_or_absent() {
        let mut placed = Placed {
            customer: "c".into(),
            currency: CURRENCY.into(),
            lines: vec![line(2, 150), line(1, 99)],
        };
        assert_eq!(placed.total(), Some(399));
        for bad in [line(-1, 5), line(3, i64::MAX)] {
            placed.lines.truncate(2);
            placed.lines.push(bad);
            assert_eq!(placed.total(), None);
        }
    }

    #[test]
    fn a_message_carries_a_whole_cloud_event() {
        let placed = Placed {
            customer: "c".into(),
            currency: CURRENCY.into(),
            lines: vec![],
        };
        let message = Message::placed(&Order {
            id: "ORD-1".into(),
            placed,
        });
        assert_eq!(message.subject, "shop.order.ORD-1.placed");
        assert_eq!(message.id, "ORD-1.placed");
        assert_eq!(
            message.data,
            br#"{"customer":"c","currency":"EUR","lines":[]}"#
        );
        assert_eq!(message.traceparent.len(), 55);
    }
}
