//! The first checkpoint of each handler: where it begins, written once.
//!
//! For an ordered handler it is the position itself. For an unordered one the
//! shared consumer holds the position, and the checkpoint says from where that
//! is made again when it has vanished.

use bytes::Bytes;
use wharf_core::checkpoint::{self, Checkpoint};
use wharf_core::manifest::{Manifest, Ordering, Start};
use wharf_jetstream::api::Api;
use wharf_jetstream::api::message::Query;
use wharf_jetstream::api::stream::StreamInfo;
use wharf_jetstream::catalog::first_sequence;
use wharf_jetstream::ledger::{CommitResult, Ledger};
use wharf_jetstream::names::Lineage;
use wharf_jetstream::publisher::Publisher;

use super::{Step, Verb};
use crate::bundle;
use crate::cli::failure::Failure;
use crate::clock;
use crate::codes::Code;

/// More than one partition is not built yet.
const PARTITION: u32 = 0;

/// What there is, and what would be made.
pub async fn plan(api: &Api, manifests: &[&Manifest]) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        let lineage = bundle::lineage(&manifest.name)?;
        let step = match (
            read(api, &lineage).await?,
            api.stream(&manifest.stream).await?,
        ) {
            (Some(found), _) => existing(&lineage, &found, manifest),
            (None, None) => step(
                &lineage,
                Verb::Create,
                "before the stream's first event".to_owned(),
            ),
            (None, Some(source)) => match first(api, manifest, &lineage, &source).await? {
                Ok(first) => step(&lineage, Verb::Create, behind(first.watermark)),
                Err(reason) => step(&lineage, Verb::Refused, reason),
            },
        };
        steps.push(step);
    }
    Ok(steps)
}

/// Writes what is missing. Two that do so at once agree: one wins, and the
/// other finds it.
pub async fn make(api: &Api, manifests: &[&Manifest]) -> Result<Vec<Step>, Failure> {
    let publisher = Publisher::new(api.connection().clone(), 1).await?;
    let mut steps = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        let lineage = bundle::lineage(&manifest.name)?;
        if let Some(found) = read(api, &lineage).await? {
            steps.push(existing(&lineage, &found, manifest));
            continue;
        }
        let source = api.require_stream(&manifest.stream).await?;
        let first = first(api, manifest, &lineage, &source).await?;
        let first = first
            .map_err(|reason| Failure::new(Code::SourceUnfit, reason).place(asset(&lineage)))?;
        let ledger = Ledger::open(api.connection().clone(), publisher.clone(), lineage.clone());
        steps.push(write(&ledger, &lineage, &first).await?);
    }
    Ok(steps)
}

/// For a host: that each handler has one, of its own subscription or of one that
/// it can turn.
///
/// # Errors
/// The first that is missing, or of a generation that stays.
pub async fn verify(api: &Api, manifests: &[&Manifest]) -> Result<(), Failure> {
    for manifest in manifests {
        let found = require(api, manifest).await?;
        if !is_own(&found, manifest) && !may_turn(&found, manifest) {
            return Err(conflict(manifest)?);
        }
    }
    Ok(())
}

/// For a version that a host binds, with the revision of the deployment that names
/// it; without one it turns nothing.
///
/// # Errors
/// There is no checkpoint, or one of another generation that it may not turn.
pub async fn require_subscription(
    api: &Api,
    manifest: &Manifest,
    revision: Option<u64>,
) -> Result<(), Failure> {
    let found = require(api, manifest).await?;
    let turns = || may_turn(&found, manifest) && found.may_turn(revision);
    match is_own(&found, manifest) || turns() {
        true => Ok(()),
        false => Err(conflict(manifest)?),
    }
}

async fn require(api: &Api, manifest: &Manifest) -> Result<Checkpoint, Failure> {
    let lineage = bundle::lineage(&manifest.name)?;
    let found = read(api, &lineage).await?;
    found.ok_or_else(|| {
        let message = format!("handler `{}` has no checkpoint", manifest.name);
        Failure::new(Code::CheckpointMissing, message).place(lineage.checkpoint(PARTITION))
    })
}

fn conflict(manifest: &Manifest) -> Result<Failure, Failure> {
    let message = format!("handler `{}` {OTHER_GENERATION}", manifest.name);
    let place = bundle::lineage(&manifest.name)?.checkpoint(PARTITION);
    Ok(Failure::new(Code::CheckpointConflict, message).place(place))
}

fn is_own(found: &Checkpoint, manifest: &Manifest) -> bool {
    found.generation == checkpoint::generation(&manifest.on)
}

/// Whether a host can settle what the earlier subscription began, and turn it. One
/// without order does not say what it is of: its consumer's filters are for good.
fn may_turn(found: &Checkpoint, manifest: &Manifest) -> bool {
    manifest.ordering == Ordering::Key && found.stream == manifest.stream && !found.on.is_empty()
}

const TURNS: &str =
    "once this one is deployed, a host settles what that began and goes on with this";
const OTHER_GENERATION: &str =
    "subscribes to other subjects, or by another key rule, than its checkpoint says";

/// Reads a checkpoint's bytes.
///
/// # Errors
/// They are none that this version knows; they stay as they are.
pub fn decode(lineage: &Lineage, bytes: &[u8]) -> Result<Checkpoint, Failure> {
    checkpoint::decode(bytes).map_err(|error| {
        Failure::new(Code::RecordUnreadable, error.to_string()).place(lineage.checkpoint(PARTITION))
    })
}

/// The checkpoint of a handler, from the leader. None: there is none yet.
///
/// # Errors
/// The broker does not answer, or the checkpoint cannot be read.
pub async fn read(api: &Api, lineage: &Lineage) -> Result<Option<Checkpoint>, Failure> {
    let subject = lineage.checkpoint(PARTITION);
    match api
        .message(&lineage.ledger_stream(), &Query::last(&subject))
        .await?
    {
        None => Ok(None),
        Some(message) => decode(lineage, &message.data).map(Some),
    }
}

/// Where the handler begins; or why it cannot begin there.
async fn first(
    api: &Api,
    manifest: &Manifest,
    lineage: &Lineage,
    source: &StreamInfo,
) -> Result<Result<Checkpoint, String>, Failure> {
    let watermark = match manifest.ordering {
        Ordering::Key => first_sequence(api, source, manifest.start)
            .await?
            .saturating_sub(1),
        Ordering::None => floor(api, manifest, lineage, source).await?,
    };
    let last = source.state.last_sequence;
    if let Start::Sequence(start) = manifest.start
        && watermark > last
    {
        return Ok(Err(format!(
            "start = {start} lies behind the end of stream `{}`, which is at {last}",
            manifest.stream
        )));
    }
    let stored = match watermark {
        0 => None,
        sequence => {
            api.message(&source.config.name, &Query::at(sequence))
                .await?
        }
    };
    Ok(Ok(Checkpoint {
        stream: manifest.stream.clone(),
        created_ns: source.created_ns,
        watermark,
        watermark_stored_ns: stored.map_or(0, |message| message.stored_ns),
        high: watermark,
        generation: checkpoint::generation(&manifest.on),
        on: match manifest.ordering {
            Ordering::Key => checkpoint::reads(&manifest.on),
            Ordering::None => Vec::new(),
        },
        counts_behind: watermark,
        released: true,
        written_ms: clock::now_ms(),
        ..Checkpoint::default()
    }))
}

/// What a shared consumer has settled: its own word once it is there.
async fn floor(
    api: &Api,
    manifest: &Manifest,
    lineage: &Lineage,
    source: &StreamInfo,
) -> Result<u64, Failure> {
    match api.consumer(&manifest.stream, lineage.as_str()).await? {
        Some(consumer) => Ok(consumer.ack_floor.stream_seq),
        None => Ok(first_sequence(api, source, manifest.start)
            .await?
            .saturating_sub(1)),
    }
}

async fn write(ledger: &Ledger, lineage: &Lineage, first: &Checkpoint) -> Result<Step, Failure> {
    let bytes = Bytes::from(checkpoint::encode(first));
    let failed = |code: Code, reason: String| {
        Failure::new(code, reason).place(lineage.checkpoint(PARTITION))
    };
    match ledger.write_checkpoint(PARTITION, 0, bytes).await {
        CommitResult::Committed { .. } => Ok(step(lineage, Verb::Created, behind(first.watermark))),
        CommitResult::Lost { .. } => Ok(step(lineage, Verb::Exists, String::new())),
        CommitResult::Unanswered => Err(failed(
            Code::Unanswered,
            "it is not known whether it was written".to_owned(),
        )),
        CommitResult::Full => Err(failed(Code::StreamFull, "the ledger is full".to_owned())),
        CommitResult::TooLarge => Err(failed(
            Code::BrokerRefused,
            "it is too large for the broker".to_owned(),
        )),
        CommitResult::Unavailable { reason } => Err(failed(Code::BrokerRefused, reason)),
    }
}

fn existing(lineage: &Lineage, found: &Checkpoint, manifest: &Manifest) -> Step {
    if is_own(found, manifest) {
        return step(lineage, Verb::Exists, behind(found.watermark));
    }
    if may_turn(found, manifest) {
        let detail = format!("{}; of another [[on]]: {TURNS}", behind(found.watermark));
        return step(lineage, Verb::Exists, detail);
    }
    let remedy = Code::CheckpointConflict.remedy();
    let detail = format!("the handler {OTHER_GENERATION}; {remedy}");
    Step {
        code: Code::CheckpointConflict,
        ..step(lineage, Verb::Refused, detail)
    }
}

fn step(lineage: &Lineage, action: Verb, detail: String) -> Step {
    let details = if detail.is_empty() {
        Vec::new()
    } else {
        vec![detail]
    };
    let code = if action == Verb::Refused {
        Code::SourceUnfit
    } else {
        Code::CheckpointMissing
    };
    Step {
        asset: asset(lineage),
        action,
        details,
        code,
    }
}

fn asset(lineage: &Lineage) -> String {
    format!("checkpoint {lineage}/{PARTITION}")
}

fn behind(watermark: u64) -> String {
    match watermark {
        0 => "before the stream's first event".to_owned(),
        sequence => format!("behind sequence {sequence}"),
    }
}
