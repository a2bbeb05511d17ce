//! Follows one event through the handlers that read it, from their records.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use wharf_core::event::Position;
use wharf_core::ids::{event_entity, event_hash};
use wharf_core::manifest::{Manifest, Ordering};
use wharf_core::route::{Route, route};
use wharf_jetstream::api::Api;
use wharf_jetstream::names::Lineage;
use wharf_jetstream::publisher::Ack;

use super::draft::Draft;
use super::fate::{self, Fate, Sought};
use crate::bundle::{self, Shelf};
use crate::cli::entity::record;
use crate::cli::failure::Failure;
use crate::cli::provision::checkpoint;

/// How often the records are read.
const LOOK: Duration = Duration::from_millis(200);

/// A handler that the event reaches directly, and how far it is.
#[derive(Debug, Clone, Serialize)]
pub struct Reached {
    pub handler: String,
    /// The key under which `wharf entity show` finds it.
    pub entity: String,
    #[serde(flatten)]
    pub fate: Fate,
}

/// A handler that reads the event's subject, before it is published.
pub struct Reader {
    manifest: Manifest,
    lineage: Lineage,
    entity: String,
    /// None: the route decides, and the handler never runs.
    decided: Option<Fate>,
    known_before: bool,
}

/// Which handlers will read it, and whether their records know it already.
///
/// # Errors
/// The broker does not answer, or a record cannot be read.
pub async fn before(api: &Api, shelf: &Shelf, draft: &Draft) -> Result<Vec<Reader>, Failure> {
    let event = draft.event(Position::default());
    let mut readers = Vec::new();
    for bundle in &shelf.bundles {
        let manifest = bundle.manifest.clone();
        let matches = |on: &wharf_core::manifest::Subscription| {
            on.subjects
                .iter()
                .any(|pattern| pattern.matches(&draft.subject).is_some())
        };
        if !manifest.on.iter().any(matches) {
            continue;
        }
        let (key, decided) = match route(&manifest, &event) {
            Route::Run { key, .. } => (key, None),
            Route::Ignored { .. } => (String::new(), Some(Fate::Ignored)),
            Route::Undecodable(why) => {
                let (code, message) = (why.code().to_owned(), why.to_string());
                (String::new(), Some(Fate::Dead { code, message }))
            }
        };
        let entity = match manifest.ordering {
            Ordering::Key => key,
            Ordering::None => event_entity(&draft.source, &draft.id),
        };
        let lineage = bundle::lineage(&manifest.name)?;
        let mut reader = Reader {
            manifest,
            lineage,
            entity,
            decided,
            known_before: false,
        };
        reader.known_before = reader.knows(api, draft).await?;
        readers.push(reader);
    }
    Ok(readers)
}

/// Looks until all have settled it, or the time is up.
///
/// # Errors
/// The broker does not answer, or a record cannot be read.
pub async fn settled(
    api: &Api,
    readers: Vec<Reader>,
    draft: &Draft,
    ack: &Ack,
    limit: Duration,
) -> Result<Vec<Reached>, Failure> {
    let deadline = Instant::now() + limit;
    let mut readers: Vec<Reader> = readers
        .into_iter()
        .filter(|r| r.manifest.stream == *ack.stream)
        .collect();
    if ack.duplicate {
        // What the records know is this very copy.
        readers
            .iter_mut()
            .for_each(|reader| reader.known_before = false);
    }
    let mut reached: Vec<Reached> = readers.iter().map(Reader::pending).collect();
    loop {
        for (reader, reached) in readers.iter().zip(&mut reached) {
            if !reached.fate.is_settled() {
                reached.fate = reader.fate(api, draft, ack).await?;
            }
        }
        let done = reached.iter().all(|one| one.fate.is_settled());
        if done || Instant::now() >= deadline {
            return Ok(reached);
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + LOOK)).await;
    }
}

impl Reader {
    fn pending(&self) -> Reached {
        let fate = self.decided.clone().unwrap_or(Fate::Pending);
        Reached {
            handler: self.manifest.name.clone(),
            entity: self.entity.clone(),
            fate,
        }
    }

    async fn knows(&self, api: &Api, draft: &Draft) -> Result<bool, Failure> {
        if self.decided.is_some() {
            return Ok(false);
        }
        let stored = record(api, &self.lineage, &self.entity).await?;
        Ok(stored.is_some_and(|stored| {
            stored
                .record
                .find(&event_hash(&draft.source, &draft.id))
                .is_some()
        }))
    }

    async fn fate(&self, api: &Api, draft: &Draft, ack: &Ack) -> Result<Fate, Failure> {
        // The position first: a record read later knows at least as much.
        let settled_to = self.settled_to(api).await?;
        let stored = record(api, &self.lineage, &self.entity).await?;
        let sought = Sought {
            event: event_hash(&draft.source, &draft.id),
            stream: &ack.stream,
            sequence: ack.sequence,
            known_before: self.known_before,
        };
        Ok(fate::of(
            stored.as_ref().map(|stored| &stored.record),
            &sought,
            settled_to,
        ))
    }

    /// Everything at or below it is settled: the watermark, or the shared
    /// consumer's ack floor. 0: nobody says.
    async fn settled_to(&self, api: &Api) -> Result<u64, Failure> {
        match self.manifest.ordering {
            Ordering::Key => Ok(checkpoint(api, &self.lineage)
                .await?
                .map_or(0, |found| found.watermark)),
            Ordering::None => {
                let consumer = api
                    .consumer(&self.manifest.stream, self.lineage.as_str())
                    .await?;
                Ok(consumer.map_or(0, |consumer| consumer.ack_floor.stream_seq))
            }
        }
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<16}{}", self.handler, self.fate)
    }
}
