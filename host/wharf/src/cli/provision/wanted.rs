//! What a place and its bundles want on the broker.

use wharf_core::manifest::{Manifest, Ordering};
use wharf_core::pattern::Pattern;
use wharf_core::place::{Place, Stream};
use wharf_jetstream::api::Api;
use wharf_jetstream::api::message::Query;
use wharf_jetstream::assets::{self, PlaceHandler, PlaceRegistry, PlaceStream, UsesTimers};
use wharf_jetstream::names::Lineage;

use crate::bundle;
use crate::cli::failure::Failure;

/// Unacknowledged deliveries of a shared consumer, all hosts together, at the
/// least: room for four hosts at their default bound.
const ACK_PENDING_MIN: u32 = 16_384;
/// A ledger holds records, a source holds events: a quarter of the source's
/// bound lets the two fill up at about the same time.
const LEDGER_SHARE: u64 = 4;
const LEDGER_BYTES_MIN: u64 = 64 << 20;
const LEDGER_BYTES_DEFAULT: u64 = 1 << 30;

/// Bounds of a handler's source, which its own streams follow.
struct Source {
    partitions: u32,
    replicas: u32,
    max_bytes: Option<u64>,
}

/// Gathers all that the assets follow from.
///
/// # Errors
/// The broker does not answer about a stream that is not the place's own.
pub async fn place(
    api: &Api,
    place: &Place,
    manifests: &[&Manifest],
) -> Result<assets::Place, Failure> {
    let mut handlers = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        handlers.push(handler(api, place, manifest).await?);
    }
    let streams = place.streams.iter().map(|(name, stream)| PlaceStream {
        name: name.clone(),
        subjects: stream.subjects.iter().map(Pattern::filter).collect(),
        max_bytes: stream.max_bytes,
        replicas: stream.replicas,
    });
    let replicas = place.streams.values().map(|stream| stream.replicas).max();
    Ok(assets::Place {
        registry: Some(PlaceRegistry {
            replicas: replicas.unwrap_or(1),
        }),
        streams: streams.collect(),
        handlers,
    })
}

async fn handler(api: &Api, place: &Place, manifest: &Manifest) -> Result<PlaceHandler, Failure> {
    let lineage = bundle::lineage(&manifest.name)?;
    let source = match place.streams.get(&manifest.stream) {
        Some(stream) => Source::of_place(stream),
        None => Source::of_others(api, &manifest.stream).await?,
    };
    let resume_behind = match manifest.ordering {
        Ordering::Key => None,
        Ordering::None => watermark(api, &lineage).await?,
    };
    let filters = manifest
        .on
        .iter()
        .flat_map(|on| on.subjects.iter().map(Pattern::filter));
    Ok(PlaceHandler {
        resume_behind,
        lineage,
        stream: manifest.stream.clone(),
        ordering: manifest.ordering,
        filters: filters.collect(),
        start: manifest.start,
        timers: if manifest.timers.is_empty() {
            UsesTimers::No
        } else {
            UsesTimers::Yes
        },
        partitions: source.partitions,
        max_ack_pending: place.host.max_held.max(ACK_PENDING_MIN),
        ledger_max_bytes: source.ledger_max_bytes(),
        replicas: source.replicas,
    })
}

/// The last checkpointed ack floor of a shared consumer.
async fn watermark(api: &Api, lineage: &Lineage) -> Result<Option<u64>, Failure> {
    let subject = lineage.checkpoint(0);
    let found = api
        .message(&lineage.ledger_stream(), &Query::last(&subject))
        .await?;
    let Some(message) = found else {
        return Ok(None);
    };
    let checkpoint = super::checkpoints::decode(lineage, &message.data)?;
    let source = api.stream(&checkpoint.stream).await?;
    let same = source.is_some_and(|source| source.created_ns == checkpoint.created_ns);
    // A stream made again counts from 1: nothing of it was handled yet.
    Ok(Some(if same { checkpoint.watermark } else { 0 }))
}

impl Source {
    fn of_place(stream: &Stream) -> Self {
        Self {
            partitions: stream.partitions,
            replicas: stream.replicas,
            max_bytes: Some(stream.max_bytes),
        }
    }

    /// A stream that somebody else keeps; its own absence is reported later.
    async fn of_others(api: &Api, name: &str) -> Result<Self, Failure> {
        let info = api.stream(name).await?;
        let replicas = info.as_ref().map_or(1, |info| info.config.num_replicas);
        let max_bytes = info.and_then(|info| u64::try_from(info.config.max_bytes).ok());
        Ok(Self {
            partitions: 1,
            replicas,
            max_bytes,
        })
    }

    fn ledger_max_bytes(&self) -> u64 {
        self.max_bytes.map_or(LEDGER_BYTES_DEFAULT, |bytes| {
            (bytes / LEDGER_SHARE).max(LEDGER_BYTES_MIN)
        })
    }
}
