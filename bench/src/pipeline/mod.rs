//! Events through a whole host, beside their native twins.
//!
//! A *drain* works off a preloaded stream as fast as it can; its rate is taken
//! over the middle four fifths of the emissions, by the broker's own clock. A
//! *pace* publishes at a fixed rate well below that, and tells the critical time
//! of each event: from its storing to the storing of its emission.

pub mod event;
mod load;
mod manifest;
mod rows;
mod stage;
mod stored;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::cpu;
use crate::sink::Sink;
use crate::twin::{self, Twin, Writes};

pub use rows::{Plan, measure, raw_rows};
pub use stage::Programs;

use stage::{Host, Stage};
use stored::{Times, messages, quantile};

/// How long a row may take before it counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the handler is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    AtLeastOnce,
    EffectOnce,
    EffectOnceByKey,
}

/// Whether guest memory lives from one event to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Instance {
    Fresh,
    Reuse,
}

/// How the handler is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    pub promise: Promise,
    pub instance: Instance,
}

impl Promise {
    /// The same work by hand.
    pub fn twin(self) -> Twin {
        match self {
            Self::AtLeastOnce => Twin::AtLeastOnce,
            Self::EffectOnce => Twin::EffectOnce,
            Self::EffectOnceByKey => Twin::EffectOnceByKey,
        }
    }
}

/// Who does the work of a sample.
#[derive(Debug, Clone, Copy)]
pub enum Worker<'a> {
    /// By hand, in this process.
    Twin { twin: Twin, writes: Writes },
    /// A host of its own.
    Host {
        programs: &'a Programs,
        delivery: Delivery,
        spans: Option<&'a Sink>,
    },
}

/// A drain.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Drained {
    pub per_second: f64,
    /// CPU time of nats-server for each event, in microseconds.
    pub server_us: f64,
    /// The same of whoever did the work.
    pub worker_us: f64,
    /// Bytes of one of the host's records, where it keeps any.
    pub record_bytes: Option<usize>,
}

/// A pace.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Paced {
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// A preloaded stream, worked off.
///
/// # Errors
/// When a process does not start, or an event is lost or emitted twice.
pub async fn drain(worker: Worker<'_>, events: u64) -> Result<Drained> {
    let (stage, hosting) = set(worker).await?;
    stage.preload(events).await?;
    let server = stage.nats.pid();
    let (watched, host) = match (worker, hosting) {
        (Worker::Host { spans, .. }, Some(options)) => {
            let mut host = Host::start(options, spans).await?;
            let watched = watch(&stage, events, server, host.pid()).await?;
            host.settled(events, STUCK_AFTER).await?;
            (watched, Some(host))
        }
        (Worker::Twin { twin, writes }, _) => {
            let url = stage.nats.url();
            let own = std::process::id();
            let (watched, ()) = tokio::try_join!(
                watch(&stage, events, server, Some(own)),
                twin::work(twin, &url, events, writes),
            )?;
            (watched, None)
        }
        (Worker::Host { .. }, None) => anyhow::bail!("a host without a place"),
    };
    if let Some(host) = host {
        host.stop().await?;
    }
    let times = Times::read(&stage.client, "OUT", 0..=events - 1).await?;
    Ok(Drained {
        per_second: times.middle_rate()?,
        record_bytes: stored::record_bytes(&stage.client).await,
        ..watched
    })
}

/// Events at a fixed rate, each in its own time.
///
/// # Errors
/// As [`drain`].
pub async fn pace(worker: Worker<'_>, events: u64, rate: f64) -> Result<Paced> {
    let (stage, hosting) = set(worker).await?;
    let host = match (worker, hosting) {
        (Worker::Host { spans, .. }, Some(options)) => {
            let mut host = Host::start(options, spans).await?;
            load::paced(&stage.client, events, rate).await?;
            host.settled(events, STUCK_AFTER).await?;
            Some(host)
        }
        (Worker::Twin { twin, writes }, _) => {
            let url = stage.nats.url();
            tokio::try_join!(
                load::paced(&stage.client, events, rate),
                twin::work(twin, &url, events, writes),
            )?;
            None
        }
        (Worker::Host { .. }, None) => anyhow::bail!("a host without a place"),
    };
    if let Some(host) = host {
        host.stop().await?;
    }
    // The first tenth meets cold caches and a consumer that is being made.
    let events_at = Times::read(&stage.client, "IN", 0..=events - 1).await?;
    let emitted_at = Times::read(&stage.client, "OUT", 0..=events - 1).await?;
    let apart = emitted_at.since(&events_at, events / 10);
    Ok(Paced {
        p50_ms: quantile(&apart, 0.5),
        p99_ms: quantile(&apart, 0.99),
    })
}

async fn set(worker: Worker<'_>) -> Result<(Stage, Option<wharf_demo::process::HostOptions>)> {
    match worker {
        Worker::Twin { .. } => Ok((Stage::by_hand().await?, None)),
        Worker::Host {
            programs, delivery, ..
        } => {
            let (stage, options) = Stage::deployed(programs, delivery).await?;
            Ok((stage, Some(options)))
        }
    }
}

/// Looks on until all emissions are stored; CPU times are of the middle.
async fn watch(
    stage: &Stage,
    events: u64,
    server: Option<u32>,
    worker: Option<u32>,
) -> Result<Drained> {
    let begun = Instant::now();
    let (mut from, mut to) = (None, None);
    loop {
        let done = messages(&stage.client, "OUT").await?;
        let look = || -> Result<(u64, f64, f64)> {
            Ok((done, cpu::seconds(server)?, cpu::seconds(worker)?))
        };
        if from.is_none() && done >= events / 10 {
            from = Some(look()?);
        }
        if done <= events * 9 / 10 {
            to = Some(look()?);
        }
        if done >= events {
            break;
        }
        ensure!(
            begun.elapsed() < STUCK_AFTER,
            "{done} of {events} emissions after {STUCK_AFTER:?}"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let between = from.zip(to).filter(|(from, to)| from.0 < to.0);
    let each = |used: fn(&(u64, f64, f64)) -> f64| {
        between.map_or(0.0, |(from, to)| {
            (used(&to) - used(&from)) * 1e6 / (to.0 - from.0) as f64
        })
    };
    Ok(Drained {
        per_second: 0.0,
        server_us: each(|look| look.1),
        worker_us: each(|look| look.2),
        record_bytes: None,
    })
}
