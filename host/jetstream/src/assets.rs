//! What a place and its handlers need on the broker: made by `provision`,
//! verified by every host.
//!
//! Nothing that exists is ever changed: a stream or consumer of another shape
//! is reported field by field, with a remedy, and refused. After each creation
//! the broker's echo is compared too, because a server drops what it does not
//! know without a word.

mod difference;
mod wanted;

use std::fmt;

use wharf_core::manifest::{Ordering, Start};

pub use difference::Difference;
use difference::{consumer_differences, stream_differences};
use wanted::{Asset, Shape};

use crate::api::message::Query;
use crate::api::stream::Retention;
use crate::api::{Api, code};
use crate::error::Error;
use crate::names::Lineage;

/// What is declared, from which everything else follows.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// None where it is not looked at.
    pub registry: Option<PlaceRegistry>,
    pub streams: Vec<PlaceStream>,
    pub handlers: Vec<PlaceHandler>,
}

/// The bucket and the object store that handlers are deployed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceRegistry {
    pub replicas: u32,
}

/// A stream of events that belongs to the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceStream {
    pub name: String,
    /// As the broker takes them: `*` where the place has a capture.
    pub subjects: Vec<String>,
    pub max_bytes: u64,
    pub replicas: u32,
}

/// What a handler has on the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceHandler {
    pub lineage: Lineage,
    /// Its source: a stream of the place, or one that someone else keeps.
    pub stream: String,
    pub ordering: Ordering,
    /// Subjects that it reads, as the broker takes them.
    pub filters: Vec<String>,
    /// For the first creation of a shared consumer.
    pub start: Start,
    /// A shared consumer that worked and vanished is made again behind this
    /// sequence, its last checkpointed ack floor; never from `start`.
    pub resume_behind: Option<u64>,
    pub timers: UsesTimers,
    pub partitions: u32,
    /// Deliveries of a shared consumer that may be unacknowledged, all hosts
    /// together.
    pub max_ack_pending: u32,
    pub ledger_max_bytes: u64,
    /// Of ledger and timer stream.
    pub replicas: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsesTimers {
    Yes,
    No,
}

/// What each asset is and what is to be done about it, in order of creation.
#[derive(Debug, Clone)]
pub struct Plan {
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub struct Step {
    /// `stream SHOP` or `consumer mail-1 of stream SHOP`.
    pub asset: String,
    pub action: Action,
    wanted: Option<Asset>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Create,
    /// It is there, in the wanted shape.
    Exists,
    /// It is there in another shape.
    Differs(Vec<Difference>),
    /// It cannot be used or made, for this reason.
    Refused {
        reason: String,
        remedy: String,
    },
}

/// Why an asset cannot be used, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{asset}: {reason}; {remedy}")]
pub struct Problem {
    pub asset: String,
    pub reason: String,
    pub remedy: String,
}

impl Plan {
    /// What stands in the way of the whole plan.
    pub fn problems(&self) -> Vec<Problem> {
        self.steps.iter().flat_map(Step::problems).collect()
    }

    /// Nothing is left to be created, and nothing differs.
    pub fn is_fulfilled(&self) -> bool {
        self.steps.iter().all(|step| step.action == Action::Exists)
    }
}

impl Step {
    fn problems(&self) -> Vec<Problem> {
        let problem = |reason: String, remedy: String| Problem {
            asset: self.asset.clone(),
            reason,
            remedy,
        };
        match &self.action {
            Action::Create | Action::Exists => Vec::new(),
            Action::Refused { reason, remedy } => vec![problem(reason.clone(), remedy.clone())],
            Action::Differs(differences) => differences
                .iter()
                .map(|difference| problem(difference.to_string(), difference.remedy.clone()))
                .collect(),
        }
    }
}

/// Compares what is wanted with what is there; changes nothing.
///
/// # Errors
/// As [`Api::call`].
pub async fn plan(api: &Api, place: &Place) -> Result<Plan, Error> {
    let mut steps = Vec::new();
    for handler in &place.handlers {
        steps.extend(check_source(api, place, handler).await?);
    }
    for asset in wanted::of(place) {
        let action = action_for(api, place, &asset).await?;
        steps.push(Step {
            asset: asset.to_string(),
            action,
            wanted: Some(asset),
        });
    }
    Ok(Plan { steps })
}

/// Creates what the plan says is missing; the names of what was created.
///
/// # Errors
/// The first thing that stands in the way. What was created before stays, and
/// the next plan finds it.
pub async fn apply(api: &Api, plan: &Plan) -> Result<Vec<String>, Problem> {
    if let Some(problem) = plan.problems().into_iter().next() {
        return Err(problem);
    }
    let mut created = Vec::new();
    for step in &plan.steps {
        if let (Action::Create, Some(asset)) = (&step.action, &step.wanted) {
            create(api, asset).await?;
            created.push(step.asset.clone());
        }
    }
    Ok(created)
}

/// For a host, which binds and never creates: everything that is missing or
/// differs, empty when all is well.
///
/// # Errors
/// As [`Api::call`].
pub async fn verify(api: &Api, place: &Place) -> Result<Vec<Problem>, Error> {
    let plan = plan(api, place).await?;
    let missing = plan
        .steps
        .iter()
        .filter(|step| step.action == Action::Create);
    let missing = missing.map(|step| Problem {
        asset: step.asset.clone(),
        reason: "it does not exist".to_owned(),
        remedy: "run `wharf provision`".to_owned(),
    });
    Ok(missing.chain(plan.problems()).collect())
}

/// A source that is not declared is somebody else's: it must exist, and serve.
async fn check_source(
    api: &Api,
    place: &Place,
    handler: &PlaceHandler,
) -> Result<Option<Step>, Error> {
    if place
        .streams
        .iter()
        .any(|stream| stream.name == handler.stream)
    {
        return Ok(None);
    }
    let action = match api.stream(&handler.stream).await? {
        None => Action::Refused {
            reason: format!(
                "handler {} reads it, and it does not exist",
                handler.lineage
            ),
            remedy: "declare it in wharf.toml, or have its owner create it".to_owned(),
        },
        Some(info) => source_action(handler, info.config.retention),
    };
    Ok(Some(Step {
        asset: format!("stream {}", handler.stream),
        action,
        wanted: None,
    }))
}

fn source_action(handler: &PlaceHandler, retention: Retention) -> Action {
    let name = match (handler.ordering, retention) {
        (_, Retention::Limits) | (Ordering::None, _) => return Action::Exists,
        (Ordering::Key, Retention::WorkQueue) => "work queue",
        (Ordering::Key, Retention::Interest) => "interest",
    };
    Action::Refused {
        reason: format!(
            "it is a {name} stream, whose events vanish when they are acknowledged, and handler {} \
             reads it in order",
            handler.lineage
        ),
        remedy: "source it into a limits stream, or set `ordering = \"none\"`".to_owned(),
    }
}

async fn action_for(api: &Api, place: &Place, asset: &Asset) -> Result<Action, Error> {
    let differences = match &asset.shape {
        Shape::Stream { config, kind, .. } => match api.stream(&config.name).await? {
            None => return Ok(Action::Create),
            Some(found) => stream_differences(*kind, config, &found.config),
        },
        Shape::Consumer { stream, config } => {
            let name = config.name.as_deref().unwrap_or_default();
            match api.consumer(stream, name).await? {
                None => return missing_consumer(api, place, stream, name).await,
                Some(found) => consumer_differences(stream, config, &found.config),
            }
        }
    };
    Ok(match differences.is_empty() {
        true => Action::Exists,
        false => Action::Differs(differences),
    })
}

/// A shared consumer that has worked before must not begin at `start` again.
async fn missing_consumer(
    api: &Api,
    place: &Place,
    stream: &str,
    name: &str,
) -> Result<Action, Error> {
    let shared =
        |handler: &&PlaceHandler| handler.stream == stream && handler.lineage.as_str() == name;
    let Some(handler) = place.handlers.iter().find(shared) else {
        return Ok(Action::Create);
    };
    if handler.resume_behind.is_some() {
        return Ok(Action::Create);
    }
    let ledger = handler.lineage.ledger_stream();
    let checkpoint = handler.lineage.checkpoint(0);
    Ok(
        match api.message(&ledger, &Query::last(&checkpoint)).await? {
            None => Action::Create,
            Some(_) => Action::Refused {
                reason: "it is gone, and its handler has worked before".to_owned(),
                remedy:
                    "make it again from the checkpointed ack floor, not from the manifest's start"
                        .to_owned(),
            },
        },
    )
}

async fn create(api: &Api, asset: &Asset) -> Result<(), Problem> {
    let differences = match &asset.shape {
        Shape::Stream {
            config,
            kind,
            level,
        } => {
            let made = api.create_stream(config, *level).await;
            made.map(|made| stream_differences(*kind, config, &made.config))
        }
        Shape::Consumer { stream, config } => {
            let made = api.create_consumer(stream, config).await;
            made.map(|made| consumer_differences(stream, config, &made.config))
        }
    };
    let problem = |reason: String, remedy: &str| Problem {
        asset: asset.to_string(),
        reason,
        remedy: remedy.to_owned(),
    };
    match differences {
        Err(error) => Err(problem(error.to_string(), remedy_for(&error))),
        Ok(differences) => match differences.first() {
            None => Ok(()),
            Some(difference) => Err(problem(
                format!("the broker made something else: {difference}"),
                "use nats-server 2.12 or later, and remove what was made",
            )),
        },
    }
}

fn remedy_for(error: &Error) -> &'static str {
    if let Error::Denied { .. } = error {
        return "grant it in the user's permissions, or let someone else run `wharf provision`";
    }
    match error.api_code() {
        Some(code::SUBJECTS_OVERLAP) => {
            "another stream holds some of these subjects: change one of the two"
        }
        Some(code::INSUFFICIENT_STORAGE) => {
            "the limits of all streams together exceed the broker's storage: lower `max_bytes`"
        }
        Some(code::REPLICAS_NEED_CLUSTER) => "set `replicas = 1`, or use a cluster",
        Some(code::STREAM_NAME_IN_USE | code::CONSUMER_EXISTS) => {
            "someone made it just now: run `wharf provision` again"
        }
        Some(code::REQUIRED_API_LEVEL) => "use nats-server 2.12 or later",
        Some(_) | None => "see `wharf doctor`",
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shape {
            Shape::Stream { config, .. } => write!(f, "stream {}", config.name),
            Shape::Consumer { stream, config } => {
                let name = config.name.as_deref().unwrap_or("?");
                write!(f, "consumer {name} of stream {stream}")
            }
        }
    }
}
