//! Names of everything Wharf keeps on the broker. Each is a one-way door: data
//! written under one name is not found under another.

use std::fmt;

/// A handler's name plus the number of its history: `order-1`.
///
/// Lives longer than versions. A letter first, then at most 62 of `[a-z0-9-]`,
/// then `-` and a decimal number, so that it is one token of a subject and
/// part of a stream's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lineage(String);

impl Lineage {
    /// Longest handler name, in bytes.
    pub const HANDLER_BYTES_MAX: usize = 63;

    /// # Errors
    /// `NotALineage` when `handler` is not `[a-z][a-z0-9-]{0,62}`.
    pub fn new(handler: &str, number: u32) -> Result<Self, NotALineage> {
        match is_handler(handler) {
            true => Ok(Self(format!("{handler}-{number}"))),
            false => Err(NotALineage(handler.to_owned())),
        }
    }

    /// # Errors
    /// `NotALineage` when `text` is not `<handler>-<number>`.
    pub fn parse(text: &str) -> Result<Self, NotALineage> {
        let refused = || NotALineage(text.to_owned());
        let (handler, number) = text.rsplit_once('-').ok_or_else(refused)?;
        let parsed: u32 = number.parse().map_err(|_| refused())?;
        // `+1` and `01` parse as numbers too, and would be second names of one thing.
        match parsed.to_string() == number {
            true => Self::new(handler, parsed).map_err(|_| refused()),
            false => Err(refused()),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The stream of records, parked entries and checkpoints.
    pub fn ledger_stream(&self) -> String {
        format!("WHARF-L-{}", self.0)
    }

    /// The stream of schedules and firings.
    pub fn timer_stream(&self) -> String {
        format!("WHARF-T-{}", self.0)
    }

    /// Everything the ledger stream holds.
    pub fn ledger_subjects(&self) -> String {
        format!("wl.{}.>", self.0)
    }

    /// Everything the timer stream holds.
    pub fn timer_subjects(&self) -> String {
        format!("wt.{}.>", self.0)
    }

    /// The record of the entity whose token is `ek`.
    pub fn record(&self, ek: &str) -> String {
        format!("wl.{}.r.{ek}", self.0)
    }

    /// The records of all entities, as a filter.
    pub fn records(&self) -> String {
        format!("wl.{}.r.*", self.0)
    }

    pub fn checkpoint(&self, partition: u32) -> String {
        format!("wl.{}.c.{partition}", self.0)
    }

    /// The checkpoints of all partitions, as a filter.
    pub fn checkpoints(&self) -> String {
        format!("wl.{}.c.*", self.0)
    }

    /// One part of the parked entry at `position` (a sequence, or `t<id>`).
    pub fn parked_part(&self, ek: &str, position: &str, part: u32) -> String {
        format!("wl.{}.p.{ek}.{position}.{part}", self.0)
    }

    /// All parts of one parked entry, as a filter.
    pub fn parked_entry(&self, ek: &str, position: &str) -> String {
        format!("wl.{}.p.{ek}.{position}.*", self.0)
    }

    /// All parked entries of an entity, as a filter.
    pub fn parked_of(&self, ek: &str) -> String {
        format!("wl.{}.p.{ek}.*.*", self.0)
    }

    pub fn schedule(&self, partition: u32, ek: &str) -> String {
        format!("wt.{}.s.{partition}.{ek}", self.0)
    }

    pub fn firing(&self, partition: u32, ek: &str) -> String {
        format!("wt.{}.f.{partition}.{ek}", self.0)
    }

    /// The firings of one partition, as a filter.
    pub fn firings(&self, partition: u32) -> String {
        format!("wt.{}.f.{partition}.*", self.0)
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The durable consumer that a partition's owner pulls firings from.
pub fn firing_consumer(partition: u32) -> String {
    format!("fire-{partition}")
}

/// The last token of a subject: the `ek` of a record, schedule or firing.
pub fn last_token(subject: &str) -> &str {
    subject.rsplit('.').next().unwrap_or(subject)
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a lineage: wanted a handler name `[a-z][a-z0-9-]{{0,62}}`, `-`, a number")]
pub struct NotALineage(pub String);

fn is_handler(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && name.len() <= Lineage::HANDLER_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lineage_is_a_handler_and_a_number() {
        let lineage = Lineage::new("stock-keeper", 12).unwrap();
        assert_eq!(Lineage::parse("stock-keeper-12"), Ok(lineage.clone()));
        assert_eq!(lineage.ledger_stream(), "WHARF-L-stock-keeper-12");
        assert_eq!(lineage.record("ek"), "wl.stock-keeper-12.r.ek");
        assert_eq!(
            lineage.parked_part("ek", "7", 0),
            "wl.stock-keeper-12.p.ek.7.0"
        );
    }

    #[test]
    fn what_would_split_a_subject_or_name_one_thing_twice_is_refused() {
        let long = format!("{}-1", "a".repeat(64));
        for text in [
            "order", "order-", "order-+1", "order-01", "Order-1", "-1", "a.b-1", "a*-1", &long,
        ] {
            assert!(Lineage::parse(text).is_err(), "{text}");
        }
    }
}
