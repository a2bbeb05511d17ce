//! The reader's conversations with the broker: making a consumer, and fetching
//! one event. Each begins with the source check.

use super::Settings;
use super::source::{self, Checked, RolledBack, SourceMark};
use crate::api::Api;
use crate::api::consumer::{AckPolicy, ConsumerConfig, DeliverPolicy, Position};
use crate::api::message::StoredMessage;
use crate::connection::Links;
use crate::error::Error;
use crate::pull::session::{Acknowledged, Session, Source};
use crate::pull::{Origin, fetch, largest_delivery};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// What the names of a reader's consumers begin with.
pub const CONSUMER_PREFIX: &str = "wharf-reader-";

/// Everything that a conversation needs, so that it can outlive a call.
pub(super) struct Plan {
    pub(super) links: Links,
    pub(super) api: Api,
    pub(super) stream: String,
    pub(super) filters: Vec<String>,
    pub(super) settings: Settings,
    pub(super) mark: SourceMark,
    pub(super) abandoned: Option<String>,
}

pub(super) struct Opened {
    pub(super) session: Session,
    pub(super) lost: Option<(u64, u64)>,
}

pub(super) struct Stepped {
    pub(super) lost: Option<(u64, u64)>,
    /// None when nothing is stored behind the mark.
    pub(super) message: Option<StoredMessage>,
    pub(super) origin: Arc<Origin>,
}

pub(super) enum Failure {
    RolledBack(RolledBack),
    /// `abandoned`: a consumer that may have been made all the same.
    Broker {
        error: Error,
        abandoned: Option<String>,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Broker {
            error,
            abandoned: None,
        }
    }
}

/// Makes a consumer that begins behind the mark.
pub(super) async fn open(plan: Plan) -> Result<Opened, Failure> {
    if let Some(name) = &plan.abandoned {
        plan.api.delete_consumer(&plan.stream, name).await?;
    }
    let mut checked = source::check(&plan.api, &plan.stream, &plan.mark).await?;
    let name = format!(
        "{CONSUMER_PREFIX}{}-{:016x}",
        plan.settings.label,
        rand::random::<u64>()
    );
    let started = begin(&plan, &name, &mut checked).await;
    started.map_err(|failure| match failure {
        Failure::Broker { error, .. } => Failure::Broker {
            error,
            abandoned: Some(name),
        },
        rolled_back @ Failure::RolledBack(_) => rolled_back,
    })
}

async fn begin(plan: &Plan, name: &str, checked: &mut Checked) -> Result<Opened, Failure> {
    let start = checked.next_sequence;
    if create(plan, name, start).await? != start - 1 {
        // The source changed between check and creation: the server moves a
        // start that lies outside of the stream into it without a word.
        *checked = source::check(&plan.api, &plan.stream, &plan.mark).await?;
    }
    let consume = &plan.links.consume;
    let source = Source {
        origin: Arc::new(Origin {
            stream: plan.stream.clone(),
            created_ns: plan.mark.created_ns,
        }),
        consumer: name.to_owned(),
        largest: largest_delivery(consume.max_payload(), checked.max_msg_size),
        acknowledged: Acknowledged::Never,
    };
    let session = Session::start(Arc::new(consume.clone()), source, plan.settings.pace).await?;
    Ok(Opened {
        session,
        lost: checked.lost,
    })
}

/// Creates the consumer; the stream sequence that it counts as delivered.
async fn create(plan: &Plan, name: &str, start: u64) -> Result<u64, Error> {
    #[derive(Deserialize)]
    struct Created {
        delivered: Position,
    }
    let (filter_subject, filter_subjects) = match plan.filters.as_slice() {
        [one] => (Some(one.clone()), Vec::new()),
        many => (None, many.to_vec()),
    };
    let config = ConsumerConfig {
        name: Some(name.to_owned()),
        deliver_policy: DeliverPolicy::ByStartSequence,
        opt_start_seq: Some(start),
        ack_policy: AckPolicy::None,
        filter_subject,
        filter_subjects,
        mem_storage: true,
        num_replicas: 1,
        inactive_threshold: Some(nanos(plan.settings.inactive)),
        ..ConsumerConfig::default()
    };
    let body = serde_json::json!({
        "stream_name": plan.stream, "config": config, "action": "create"
    });
    let path = format!("CONSUMER.CREATE.{}.{name}", plan.stream);
    let created: Created = plan.api.call(&path, &body).await?;
    Ok(created.delivered.stream_seq)
}

/// Fetches the first event behind the mark.
pub(super) async fn step(plan: Plan) -> Result<Stepped, Failure> {
    let checked = source::check(&plan.api, &plan.stream, &plan.mark).await?;
    let from = checked.next_sequence;
    let message = fetch::next_stored(&plan.api, &plan.stream, &plan.filters, from).await?;
    let origin = Origin {
        stream: plan.stream,
        created_ns: plan.mark.created_ns,
    };
    Ok(Stepped {
        lost: checked.lost,
        message,
        origin: Arc::new(origin),
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
