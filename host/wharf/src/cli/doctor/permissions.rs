//! What the user may do, found out by asking for what changes nothing: requests
//! that JetStream refuses once the broker has let them through, and messages
//! that are meant for a stream of another name, which no stream stores.

use std::collections::BTreeSet;

use bytes::Bytes;
use wharf_core::manifest::{Manifest, Ordering};
use wharf_jetstream::api::Api;
use wharf_jetstream::codec::{Outgoing, encode};
use wharf_jetstream::error::Error;
use wharf_jetstream::publisher::{PublishError, Publisher};

use super::finding::{Finding, bad};
use crate::bundle;
use crate::cli::failure::Failure;
use crate::codes::Code;

/// Names consumers, keys and records that are not there.
const NOBODY: &str = "wharf-doctor";
/// A body that JetStream refuses: it begins like JSON and is none.
const REFUSED: &[u8] = b"[";

/// Subjects that Wharf asks on or publishes to.
#[derive(Debug, Default)]
struct Subjects {
    asked: BTreeSet<String>,
    /// The host's own: ledgers and timers.
    kept: BTreeSet<String>,
    /// Others may listen there.
    emitted: BTreeSet<String>,
}

/// What is forbidden, with the subject to be granted; empty when nothing is.
pub async fn look(api: &Api, manifests: &[&Manifest]) -> Result<Vec<Finding>, Failure> {
    let subjects = Subjects::of(manifests)?;
    let published: Vec<&String> = subjects.kept.iter().chain(&subjects.emitted).collect();
    let denied = [
        asking(api, &subjects).await?,
        publishing(api, &published).await?,
    ]
    .concat();
    Ok(denied.iter().map(|subject| finding(subject)).collect())
}

/// For a host, which would find it out in the middle of its work. Nothing is
/// sent where others may listen.
///
/// # Errors
/// Everything that this user may not do to its own streams and ledgers.
pub async fn require(api: &Api, manifests: &[&Manifest]) -> Result<(), Failure> {
    let subjects = Subjects::of(manifests)?;
    let kept: Vec<&String> = subjects.kept.iter().collect();
    let denied = [asking(api, &subjects).await?, publishing(api, &kept).await?].concat();
    let Some(first) = denied.first() else {
        return Ok(());
    };
    let message = format!("this user may not publish to {}", denied.join(", "));
    Err(Failure::new(Code::Denied, message)
        .place(first.clone())
        .remedy(remedy(first)))
}

/// The requests that are forbidden.
async fn asking(api: &Api, subjects: &Subjects) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for subject in &subjects.asked {
        match api
            .connection()
            .request(subject, Bytes::from_static(REFUSED))
            .await
        {
            Err(Error::Denied { .. }) => found.push(subject.clone()),
            Err(error @ (Error::Closed | Error::TimedOut { .. })) => return Err(error.into()),
            // Whatever JetStream says of it, it was let through.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(found)
}

/// The messages that are forbidden.
async fn publishing(api: &Api, subjects: &[&String]) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    let publisher = Publisher::new(api.connection().clone(), 1).await?;
    for subject in subjects {
        if publish(&publisher, subject).await? {
            found.push((*subject).clone());
        }
    }
    Ok(found)
}

impl Subjects {
    fn of(manifests: &[&Manifest]) -> Result<Self, Failure> {
        let mut subjects = Self::default();
        subjects.asked.insert("$JS.API.STREAM.LIST".to_owned());
        for manifest in manifests {
            subjects.add(manifest)?;
        }
        Ok(subjects)
    }

    /// What the host does for one handler.
    fn add(&mut self, manifest: &Manifest) -> Result<(), Failure> {
        let lineage = bundle::lineage(&manifest.name)?;
        let (source, ledger) = (&manifest.stream, lineage.ledger_stream());
        let mut ask = |path: String| {
            self.asked.insert(format!("$JS.API.{path}"));
        };
        for stream in [source, &ledger] {
            ask(format!("STREAM.INFO.{stream}"));
            ask(format!("STREAM.MSG.GET.{stream}"));
            ask(format!("CONSUMER.CREATE.{stream}.{NOBODY}"));
            ask(format!("CONSUMER.MSG.NEXT.{stream}.{NOBODY}"));
            ask(format!("CONSUMER.DELETE.{stream}.{NOBODY}"));
        }
        ask(format!("DIRECT.GET.{ledger}"));
        if manifest.ordering == Ordering::None {
            ask(format!("CONSUMER.INFO.{source}.{lineage}"));
        }
        self.kept
            .extend([lineage.record(NOBODY), lineage.parked_part(NOBODY, "0", 0)]);
        if !manifest.timers.is_empty() {
            self.kept.insert(lineage.schedule(0, NOBODY));
        }
        let emitted = manifest
            .emits
            .values()
            .filter_map(|template| template.subject_for(NOBODY).ok());
        self.emitted.extend(emitted);
        Ok(())
    }
}

/// Whether the broker forbids to publish there.
async fn publish(publisher: &Publisher, subject: &str) -> Result<bool, Failure> {
    let outgoing = Outgoing {
        subject,
        id: NOBODY,
        event_type: NOBODY,
        source: NOBODY,
        time_ms: 0,
        content_type: "",
        attributes: Vec::new(),
        correlation_id: None,
        causation_id: None,
        hops: 0,
        traceparent: None,
        tracestate: None,
        data: Bytes::new(),
    };
    let mut encoded =
        encode(outgoing).map_err(|error| Failure::new(Code::Unexpected, error.to_string()))?;
    encoded.headers.insert("Nats-Expected-Stream", NOBODY);
    match publisher
        .publish(encoded.subject, Some(encoded.headers), Bytes::new())
        .await
    {
        Err(PublishError::Denied) => Ok(true),
        Err(PublishError::Closed) => Err(Failure::new(
            Code::ConnectionLost,
            "the connection is closed",
        )),
        Ok(_) | Err(_) => Ok(false),
    }
}

fn finding(subject: &str) -> Finding {
    let fact = format!("this user may not publish to {subject}");
    bad("permissions", Code::Denied, fact, remedy(subject))
}

fn remedy(subject: &str) -> String {
    format!(
        "grant it: permissions {{ publish: {{ allow: [\"{subject}\"] }} }}, or a pattern that holds it"
    )
}
