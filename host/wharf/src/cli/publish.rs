//! `wharf publish`: one event, from the command line, and what came of it.

mod draft;
mod fate;
mod subject;
mod wait;

use std::fmt;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use wharf_core::config::units::parse_duration;
use wharf_core::ids::event_entity;
use wharf_jetstream::api::Api;
use wharf_jetstream::api::message::Query;
use wharf_jetstream::catalog::Catalog;
use wharf_jetstream::codec::{Encoded, encode};
use wharf_jetstream::publisher::{Ack, PublishError, Publisher};

use super::connect::connect;
use super::failure::Failure;
use super::host::HandlersArgs;
use super::provision::require_capable;
use crate::bundle::{self, Shelf};
use crate::codes::Code;
use crate::config::PlaceArgs;
use crate::output::{Answer, OutputArgs};
use draft::Draft;
use wait::Reached;

const AFTER_HELP: &str = "\
The subject comes from the handlers' manifests: from [emits], else from the
subscriptions. Publishing again with the same --id stores nothing new within the
stream's duplicate window, and takes no effect twice after it.

Examples:
  wharf publish order.placed --key ORD-1 --data @order.json
  wharf publish order.placed --key ORD-1 --data @order.json --id web-77 --wait
  wharf publish inventory.stocked --key SKU-7 --data '{\"qty\":10}' --wait=2m -o json
  wharf publish order.note --subject shop.order.ORD-1.note --header priority=high";

/// Publish one event, and wait for what comes of it.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct PublishArgs {
    /// The event's type, such as order.placed.
    #[arg(value_name = "TYPE")]
    event_type: String,
    /// The key of its entity; part of the subject.
    #[arg(long, required_unless_present = "subject")]
    key: Option<String>,
    /// The data: JSON text, @FILE, or - for standard input [default: {}].
    #[arg(long, value_name = "DATA")]
    data: Option<String>,
    /// Media type of the data.
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    /// The event's id, by which a repetition is known [default: a new one].
    #[arg(long)]
    id: Option<String>,
    /// Who says so; part of the event's identity.
    #[arg(long, default_value = "wharf-cli")]
    source: String,
    /// The subject, when the manifests do not say it.
    #[arg(long)]
    subject: Option<String>,
    /// A header, or with ce-NAME an attribute; may be repeated.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = draft::header)]
    headers: Vec<(String, String)>,
    /// Wait until every handler that it reaches has settled it [default time: 30s].
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true,
          default_missing_value = "30s", value_parser = duration)]
    wait: Option<Duration>,
    #[command(flatten)]
    handlers: HandlersArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What was published, and what came of it.
#[derive(Debug, Serialize)]
struct Report {
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    subject: String,
    stream: String,
    sequence: u64,
    /// The stream had it already and stored nothing.
    duplicate: bool,
    trace_id: String,
    /// None: nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    handlers: Option<Vec<Reached>>,
}

/// Publishes, and waits when asked to.
pub async fn run(args: PublishArgs) -> Result<Answer, Failure> {
    let shelf = match (&args.subject, args.wait) {
        (Some(_), None) => Shelf::default(),
        _ => bundle::read_all(&args.handlers.handlers)?,
    };
    let draft = draft(&args, &shelf)?;
    let setting = args.place.load("wharf publish")?;
    let api = connect(&setting.connection).await?;
    require_capable(api.connection()).await?;
    require_covered(&api, &draft.subject).await?;

    let before = match args.wait {
        Some(_) => wait::before(&api, &shelf, &draft).await?,
        None => Vec::new(),
    };
    let ack = publish(&api, &draft).await?;
    let mut report = Report::new(&draft, &ack);
    let Some(limit) = args.wait else {
        return Ok(Answer::new(&report, &report));
    };
    let reached = wait::settled(&api, before, &draft, &ack, limit).await?;
    let failure = failure(&reached, limit);
    report.handlers = Some(reached);
    Ok(Answer::new(&report, &report).but(failure))
}

fn draft(args: &PublishArgs, shelf: &Shelf) -> Result<Draft, Failure> {
    let subject = match (&args.subject, &args.key) {
        (Some(subject), _) => subject::checked(subject)?,
        (None, Some(key)) => subject::find(shelf, &args.event_type, key)?,
        (None, None) => {
            return Err(Failure::new(
                Code::BadKey,
                "neither a key nor a subject is given",
            ));
        }
    };
    Draft::new(draft::Given {
        subject,
        event_type: &args.event_type,
        source: &args.source,
        id: args.id.as_deref(),
        content_type: &args.content_type,
        headers: &args.headers,
        data: args.data.as_deref(),
    })
}

/// What no stream takes would be lost without a word.
async fn require_covered(api: &Api, subject: &str) -> Result<(), Failure> {
    let catalog = Catalog::read(api).await?;
    if catalog.streams().any(|info| subject::holds(info, subject)) {
        return Ok(());
    }
    let message = format!("no stream holds the subject `{subject}`");
    Err(Failure::new(Code::NotCovered, message).place(subject))
}

async fn publish(api: &Api, draft: &Draft) -> Result<Ack, Failure> {
    let encoded = encoded(draft)?;
    let (bytes, max) = (encoded.bytes() as u64, api.connection().max_payload());
    if bytes > max {
        let message =
            format!("the event has {bytes} bytes with its headers; the broker takes {max}");
        return Err(Failure::new(Code::TooLarge, message));
    }
    let publisher = Publisher::new(api.connection().clone(), 1).await?;
    let Encoded {
        subject,
        headers,
        payload,
    } = encoded;
    let sent = publisher.publish(subject, Some(headers), payload).await;
    let ack = sent.map_err(|error| refused(&error, draft))?;
    if ack.duplicate {
        require_same(api, draft, &ack).await?;
    }
    Ok(ack)
}

fn encoded(draft: &Draft) -> Result<Encoded, Failure> {
    let traceparent = draft.traceparent();
    let encoded = encode(draft.outgoing(&traceparent));
    let mut encoded = encoded.map_err(|error| Failure::new(Code::BadEvent, error.to_string()))?;
    for (name, value) in &draft.headers {
        encoded.headers.append(name.as_str(), value.as_str());
    }
    // Ids of two sources may be equal, and the stream knows one id only.
    let message_id = event_entity(&draft.source, &draft.id);
    encoded.headers.insert("Nats-Msg-Id", message_id);
    Ok(encoded)
}

/// What the stream took for a repetition has to be one: nothing was stored.
async fn require_same(api: &Api, draft: &Draft, ack: &Ack) -> Result<(), Failure> {
    let stored = api.message(&ack.stream, &Query::at(ack.sequence)).await?;
    if stored.is_none_or(|stored| stored.data == draft.data) {
        return Ok(());
    }
    let message = format!(
        "the id `{}` names an event with other data; nothing was stored",
        draft.id
    );
    Err(Failure::new(Code::IdConflict, message).place(format!("{} {}", ack.stream, ack.sequence)))
}

fn refused(error: &PublishError, draft: &Draft) -> Failure {
    let code = match error {
        PublishError::NoStream => Code::NotCovered,
        PublishError::TooLarge => Code::TooLarge,
        PublishError::BadSubject => Code::BadSubject,
        PublishError::Full { .. } => Code::StreamFull,
        PublishError::Denied => Code::Denied,
        PublishError::Unanswered => Code::NotAcknowledged,
        PublishError::Closed => Code::ConnectionLost,
        PublishError::WrongLastSequence { .. }
        | PublishError::Busy { .. }
        | PublishError::Unavailable { .. }
        | PublishError::Other { .. } => Code::BrokerRefused,
    };
    let failure = Failure::new(code, error.to_string()).place(draft.subject.clone());
    match code {
        Code::NotAcknowledged => failure.remedy(format!(
            "publish it again with --id {}: it is stored once",
            draft.id
        )),
        _ => failure,
    }
}

/// Time that ran out goes before what is dead: more may still come.
fn failure(reached: &[Reached], limit: Duration) -> Option<Failure> {
    let of = |unfit: fn(&Reached) -> bool| {
        let names: Vec<&str> = reached
            .iter()
            .filter(|one| unfit(one))
            .map(|one| one.handler.as_str())
            .collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = of(|one| !one.fate.is_settled()) {
        let message = format!("not settled within {limit:?}");
        return Some(Failure::new(Code::NotSettled, message).place(names));
    }
    of(|one| one.fate.is_dead())
        .map(|names| Failure::new(Code::EventDead, "the event is dead").place(names))
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a duration such as 500ms, 30s or 2m".to_owned())
}

impl Report {
    fn new(draft: &Draft, ack: &Ack) -> Self {
        Self {
            id: draft.id.clone(),
            source: draft.source.clone(),
            event_type: draft.event_type.clone(),
            subject: draft.subject.clone(),
            stream: ack.stream.to_string(),
            sequence: ack.sequence,
            duplicate: ack.duplicate,
            trace_id: draft.trace_id.clone(),
            handlers: None,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = if self.duplicate { ", known before" } else { "" };
        writeln!(f, "id        {}", self.id)?;
        writeln!(f, "subject   {}", self.subject)?;
        writeln!(f, "stored    {} {}{known}", self.stream, self.sequence)?;
        writeln!(f, "trace     {}", self.trace_id)?;
        match self.handlers.as_deref() {
            None => Ok(()),
            Some([]) => writeln!(f, "no handler of these bundles reads it"),
            Some(reached) => reached.iter().try_for_each(|one| writeln!(f, "{one}")),
        }
    }
}
