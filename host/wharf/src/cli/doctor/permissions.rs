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
use crate::bundle::{self, Bundle};
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
    published: BTreeSet<String>,
}

/// What is forbidden, with the subject to be granted; empty when nothing is.
pub async fn look(api: &Api, bundles: &[Bundle]) -> Result<Vec<Finding>, Failure> {
    let mut subjects = Subjects::default();
    subjects.asked.insert("$JS.API.STREAM.LIST".to_owned());
    for bundle in bundles {
        subjects.add(&bundle.manifest)?;
    }
    let mut findings = Vec::new();
    for subject in &subjects.asked {
        match api
            .connection()
            .request(subject, Bytes::from_static(REFUSED))
            .await
        {
            Err(Error::Denied { .. }) => findings.push(denied(subject)),
            Err(error @ (Error::Closed | Error::TimedOut { .. })) => return Err(error.into()),
            // Whatever JetStream says of it, it was let through.
            Ok(_) | Err(_) => {}
        }
    }
    let publisher = Publisher::new(api.connection().clone(), 1).await?;
    for subject in &subjects.published {
        if publish(&publisher, subject).await? {
            findings.push(denied(subject));
        }
    }
    Ok(findings)
}

impl Subjects {
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
        self.published
            .extend([lineage.record(NOBODY), lineage.parked_part(NOBODY, "0", 0)]);
        if !manifest.timers.is_empty() {
            self.published.insert(lineage.schedule(0, NOBODY));
        }
        let emitted = manifest
            .emits
            .values()
            .filter_map(|template| template.subject_for(NOBODY).ok());
        self.published.extend(emitted);
        Ok(())
    }
}

/// Whether the broker forbids to publish there.
async fn publish(publisher: &Publisher, subject: &str) -> Result<bool, Failure> {
    let outgoing = Outgoing {
        subject: subject.to_owned(),
        id: NOBODY.to_owned(),
        event_type: NOBODY.to_owned(),
        source: NOBODY.to_owned(),
        time_ms: 0,
        content_type: String::new(),
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

fn denied(subject: &str) -> Finding {
    bad(
        "permissions",
        Code::Denied,
        format!("this user may not publish to {subject}"),
        format!(
            "grant it: permissions {{ publish: {{ allow: [\"{subject}\"] }} }}, or a pattern that holds it"
        ),
    )
}
