//! Traces, as OTLP over HTTP.
//!
//! A [`Tracer`] begins a [`Trace`] for each event: the span `process …` and
//! what happens below it. Which event it is about is written as bytes of the
//! protocol when it begins. While it is worked on, instants and small values are
//! kept, nothing else; when it ends its spans go, written, into a bounded queue. A
//! thread sends them in batches.
//!
//! Whoever traces never waits: a full queue, like a batch that the collector
//! does not take, is dropped and counted. Without a configuration nothing is
//! kept at all, and what events bring is carried on unchanged.

mod client;
pub mod config;
mod export;
mod otlp;
mod queue;
mod recording;
mod sampler;
mod span_data;
mod trace;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use wharf_core::trace::{Context, SAMPLED};

use crate::Error;
use crate::metrics::SpanMetrics;
pub use config::{Config, Problem};
use otlp::Message;
use queue::Queue;
pub use recording::{About, Attempt, Call, Phase};
pub use sampler::Sampler;
pub use trace::{AttemptSpan, Trace};

/// How long the last spans may take to be sent when a host ends.
pub const FLUSH_MAX: Duration = Duration::from_secs(3);

/// What the host is, beside what the configuration says.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    pub version: &'a str,
    /// Tells this process from all others.
    pub instance: &'a str,
}

/// All traces of a host. Clones share the queue.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    sampler: Sampler,
    queue: Arc<Queue>,
}

/// Begins the traces of one handler.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<Source>>);

#[derive(Debug)]
struct Source {
    shared: Arc<Shared>,
    /// What is the same in all its spans `process …`.
    attributes: Message,
}

impl Traces {
    /// No traces: nothing is recorded or sent.
    pub fn off() -> Self {
        Self::default()
    }

    /// Starts the thread that sends. It lives as long as the process.
    ///
    /// # Errors
    /// [`Error::TraceExport`]: certificates for a collector over https cannot
    /// be read, or the thread does not start.
    pub fn start(
        config: &Config,
        identity: Identity<'_>,
        metrics: SpanMetrics,
    ) -> Result<Self, Error> {
        let queue = Arc::new(Queue::new(config.batches.clone(), metrics));
        export::start(config, identity, queue.clone())?;
        let sampler = config.sampler;
        Ok(Self(Some(Arc::new(Shared { sampler, queue }))))
    }

    /// Of the handler with this name and lineage.
    pub fn tracer(&self, handler: &str, lineage: &str) -> Tracer {
        Tracer(self.0.clone().map(|shared| {
            Arc::new(Source {
                shared,
                attributes: span_data::of_source(handler, lineage),
            })
        }))
    }

    /// Waits until everything that has ended is sent or given up. False when
    /// that took longer than `within`.
    pub fn flush(&self, within: Duration) -> bool {
        self.0
            .as_ref()
            .is_none_or(|shared| shared.queue.flush(within))
    }
}

impl Tracer {
    /// Begins the span of an event. Its parent is what the message's
    /// `traceparent` names; without a valid one it begins a trace.
    pub fn begin(&self, traceparent: Option<&str>, about: &About<'_>) -> Trace {
        let Some(source) = &self.0 else {
            return Trace::off();
        };
        let parent = traceparent.and_then(Context::parse);
        let trace_id = parent.map_or_else(random_trace_id, |parent| parent.trace_id);
        let sampled = source.shared.sampler.samples(parent, trace_id);
        let other_flags =
            parent.map_or(wharf_core::trace::RANDOM, |parent| parent.flags) & !SAMPLED;
        let context = Context {
            trace_id,
            span_id: random_span_id(),
            flags: other_flags | if sampled { SAMPLED } else { 0 },
        };
        Trace::begin(source, context, parent.map(|parent| parent.span_id), about)
    }
}

fn random_trace_id() -> u128 {
    rand::random::<u128>().max(1)
}

fn random_span_id() -> u64 {
    rand::random::<u64>().max(1)
}
