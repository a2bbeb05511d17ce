//! Parked entries: events that are dead or queued, kept in the ledger stream.
//!
//! An entry is opaque bytes, cut into parts that each fit a message. Every part
//! is written under the condition that the entity's record is still at the
//! revision that speaks of the entry, so a zombie cannot leave a ghost. The
//! parts of one entry carry its digest: parts of two writings never mix.

mod parts;

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::api::Api;
use crate::api::message::Query;
use crate::api::stream::StreamInfo;
use crate::error::Error;
use crate::ledger::{Ledger, Written};
use crate::names::Lineage;
use parts::{Label, cut, join};

/// What stays free of the broker's limit of a message, for headers and subject.
const HEADROOM_BYTES: u64 = 16 << 10;

/// Parts that one entry may have: 64 MiB at the broker's default limit.
pub const PARTS_MAX: u32 = 64;

/// Where an entry belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryPosition {
    /// An event's sequence in the handler's source stream.
    Stream(u64),
    /// A timer, by its id: 1 to 128 of `[A-Za-z0-9_/-]`.
    Timer(String),
}

/// How parking ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParkResult {
    /// The whole entry is stored.
    Parked,
    /// The record is no longer at the revision that was named.
    Superseded,
    /// Parts may be stored; writing the same entry again is right.
    Unanswered,
    /// The ledger takes no more. Parts may be stored.
    Full,
    /// More parts than `PARTS_MAX`, or a part larger than the ledger takes.
    TooLarge,
    /// The broker said why. Parts may be stored.
    Unavailable { reason: String },
}

/// What a read found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Whole(Bytes),
    /// A writing of it was never finished; the event is read again and parked
    /// again, because it was never settled.
    Incomplete,
    Absent,
}

/// The parked entries of one lineage.
#[derive(Clone)]
pub struct Parking {
    ledger: Ledger,
}

impl Parking {
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }

    /// Parks an entry, replacing what was at that position.
    ///
    /// # Cancel safety
    /// Parts may be stored; writing the same entry again is right.
    ///
    /// # Panics
    /// When `position` is a timer whose id is none.
    pub async fn write(
        &self,
        ek: &str,
        position: &EntryPosition,
        entry: &Bytes,
        record_revision: u64,
    ) -> ParkResult {
        let max_payload = self.ledger.api().connection().max_payload();
        let part_bytes = usize::try_from(max_payload.saturating_sub(HEADROOM_BYTES).max(1));
        let parts = cut(entry, part_bytes.unwrap_or(usize::MAX));
        let count = match u32::try_from(parts.len()) {
            Ok(count) if count <= PARTS_MAX => count,
            Ok(_) | Err(_) => return ParkResult::TooLarge,
        };
        let label = Label::of(entry, count);
        let record = self.lineage().record(ek);
        // In order and one by one: where the last one is, all are.
        for (part, bytes) in (0..).zip(&parts) {
            let subject = self.lineage().parked_part(ek, &position.token(), part);
            let headers = label.headers(&record, record_revision);
            match self.ledger.store().put(&subject, &headers, bytes).await {
                Written::Stored { .. } => {}
                Written::Refused => return ParkResult::Superseded,
                Written::Unanswered => return ParkResult::Unanswered,
                Written::Full => return ParkResult::Full,
                Written::TooLarge => return ParkResult::TooLarge,
                Written::Unavailable { reason } => return ParkResult::Unavailable { reason },
            }
        }
        ParkResult::Parked
    }

    /// Reads an entry back, from the leader.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn read(&self, ek: &str, position: &EntryPosition) -> Result<Entry, Error> {
        let Some((label, first)) = self.part(ek, position, 0).await? else {
            return Ok(Entry::Absent);
        };
        let Some(label) = label else {
            return Ok(Entry::Incomplete);
        };
        let mut parts = vec![first];
        for part in 1..label.parts() {
            match self.part(ek, position, part).await? {
                Some((found, bytes)) if found.as_ref() == Some(&label) => parts.push(bytes),
                Some(_) | None => return Ok(Entry::Incomplete),
            }
        }
        Ok(join(&parts, &label).map_or(Entry::Incomplete, Entry::Whole))
    }

    /// The positions at which the entity has an entry, whole or not: events in
    /// the order of their sequences, then timers.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn list(&self, ek: &str) -> Result<Vec<EntryPosition>, Error> {
        let mut found = BTreeSet::new();
        let mut offset = 0;
        loop {
            let page = self.subjects(&self.lineage().parked_of(ek), offset).await?;
            let subjects = page.state.subjects.unwrap_or_default();
            if subjects.is_empty() {
                return Ok(found.into_iter().collect());
            }
            offset += subjects.len();
            found.extend(
                subjects
                    .keys()
                    .filter_map(|subject| EntryPosition::of_part(subject)),
            );
        }
    }

    /// Removes an entry, all its parts; true when there was one. To be called
    /// only after the commit that resolves it.
    ///
    /// # Errors
    /// As [`Api::call`]; it may be removed all the same.
    pub async fn delete(&self, ek: &str, position: &EntryPosition) -> Result<bool, Error> {
        let filter = self.lineage().parked_entry(ek, &position.token());
        let removed = self
            .api()
            .purge(&self.lineage().ledger_stream(), &filter)
            .await?;
        Ok(removed > 0)
    }

    async fn part(
        &self,
        ek: &str,
        position: &EntryPosition,
        part: u32,
    ) -> Result<Option<(Option<Label>, Bytes)>, Error> {
        let subject = self.lineage().parked_part(ek, &position.token(), part);
        let stream = self.lineage().ledger_stream();
        let found = self.api().message(&stream, &Query::last(&subject)).await?;
        Ok(found.map(|message| (Label::from_message(&message), message.data)))
    }

    async fn subjects(&self, filter: &str, offset: usize) -> Result<StreamInfo, Error> {
        let body = serde_json::json!({ "subjects_filter": filter, "offset": offset });
        let path = format!("STREAM.INFO.{}", self.lineage().ledger_stream());
        self.api().call(&path, &body).await
    }

    fn api(&self) -> &Api {
        self.ledger.api()
    }

    fn lineage(&self) -> &Lineage {
        self.ledger.lineage()
    }
}

impl EntryPosition {
    const TIMER_BYTES_MAX: usize = 128;

    /// The token of the position in a subject.
    ///
    /// # Panics
    /// When a timer's id is none: it would name other entries.
    fn token(&self) -> String {
        match self {
            Self::Stream(sequence) => sequence.to_string(),
            Self::Timer(id) => {
                let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_/-".contains(&b);
                let fits = (1..=Self::TIMER_BYTES_MAX).contains(&id.len());
                assert!(
                    fits && id.bytes().all(is_plain),
                    "`{id}` is no id of a timer"
                );
                format!("t{id}")
            }
        }
    }

    /// From the subject of a part: the last token but one.
    fn of_part(subject: &str) -> Option<Self> {
        let token = subject.rsplit('.').nth(1)?;
        match token.strip_prefix('t') {
            Some(id) => Some(Self::Timer(id.to_owned())),
            None => token.parse().ok().map(Self::Stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_ordered_by_number_with_timers_last() {
        let subjects = [
            "a.p.k.10.0",
            "a.p.k.tx/abc.0",
            "a.p.k.9.1",
            "a.p.k.9.0",
            "a.p.k.x.0",
        ];
        let found: BTreeSet<_> = subjects
            .iter()
            .filter_map(|s| EntryPosition::of_part(s))
            .collect();
        let expected = [
            EntryPosition::Stream(9),
            EntryPosition::Stream(10),
            EntryPosition::Timer("x/abc".into()),
        ];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    #[should_panic(expected = "no id of a timer")]
    fn a_timer_that_would_name_other_entries_is_a_mistake_of_the_program() {
        EntryPosition::Timer("*".into()).token();
    }
}
