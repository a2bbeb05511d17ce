//! The same work by hand: async-nats, and nothing of ours.
//!
//! Each twin is one task that does what a careful author would do without a
//! host: bounded windows, no task and no channel for a publish, connections of
//! their own for what comes in and what goes out. The raw rows do a single
//! operation of it, so that a reader can judge whether the twins are honest.

pub mod at_least_once;
pub mod effect_once;
pub mod pull;
pub mod raw;
pub mod window;

use anyhow::{Context, Result};
use async_nats::jetstream::{self, stream};
use async_nats::{Client, ConnectOptions};

/// Commands that wait for a connection's task.
const COMMANDS_MAX: usize = 8192;
/// Messages that wait for one subscription; far above every window.
const MESSAGES_MAX: usize = 131_072;
/// Publishes under way at once, on each connection.
pub const WINDOW: usize = 2_000;
/// The broker forgets after this long what was published under an id.
const DUPLICATE_WINDOW: std::time::Duration = std::time::Duration::from_secs(120);

/// What a twin does with each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    /// Pull, emit with an id, acknowledge.
    AtLeastOnce,
    /// Pull, record by compare-and-set under the event's id, emit, acknowledge.
    EffectOnce,
    /// Read without acknowledgements, record by compare-and-set under the key,
    /// emit, and only then the key's next event.
    EffectOnceByKey,
}

/// What a twin writes for each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writes {
    /// Of a record, where it writes any.
    pub record_bytes: usize,
    /// Whether an emission is a whole CloudEvent, as the host's are, or has only
    /// the id that makes a repetition harmless.
    pub attributes: bool,
}

/// A connection of its own.
///
/// # Errors
/// When the broker does not answer.
pub async fn connect(url: &str) -> Result<Client> {
    ConnectOptions::new()
        .client_capacity(COMMANDS_MAX)
        .subscription_capacity(MESSAGES_MAX)
        .connect(url)
        .await
        .with_context(|| format!("connecting to {url}"))
}

/// The streams that `wharf deploy` would make, made by hand: `IN` and `OUT` for
/// events, `RECORDS` with one message a subject.
///
/// # Errors
/// When the broker refuses.
pub async fn make_streams(client: &Client) -> Result<()> {
    let events = |name: &str, subjects: &str| stream::Config {
        name: name.to_owned(),
        subjects: vec![subjects.to_owned()],
        discard: stream::DiscardPolicy::New,
        duplicate_window: DUPLICATE_WINDOW,
        allow_direct: true,
        ..stream::Config::default()
    };
    let records = stream::Config {
        max_messages_per_subject: 1,
        allow_message_ttl: true,
        ..events("RECORDS", "records.>")
    };
    let context = jetstream::new(client.clone());
    for config in [events("IN", "in.>"), events("OUT", "out.>"), records] {
        let name = config.name.clone();
        let made = context.create_stream(config).await;
        made.with_context(|| format!("making the stream {name}"))?;
    }
    Ok(())
}

/// Works until `events` of them are done.
///
/// # Errors
/// Whatever a careful author would stop at: a refused publish, a lost
/// compare-and-set, a pull that ends.
pub async fn work(twin: Twin, url: &str, events: u64, writes: Writes) -> Result<()> {
    match twin {
        Twin::AtLeastOnce => at_least_once::work(url, events, writes).await,
        Twin::EffectOnce => effect_once::work_by_id(url, events, writes).await,
        Twin::EffectOnceByKey => effect_once::work_by_key(url, events, writes).await,
    }
}
