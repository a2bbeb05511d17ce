//! A host from start to drain.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use wharf_core::manifest::Ordering;
use wharf_core::place::Place;
use wharf_core::progress::Bounds;
use wharf_engine::{Outbound, Runtime, RuntimeConfig};
use wharf_jetstream::connection::{self, Broker};
use wharf_telemetry::logs::Logs;
use wharf_telemetry::metrics::Metrics;

use crate::assemble::{self, Parts};
use crate::bundle::Bundle;
use crate::drain::Drain;
use crate::handler::Handler;
use crate::http::{self, Readiness};
use crate::ordered::{self, Settings};
use crate::unordered;

/// The value that a deployment gives to a handler's key, if it gives one.
pub type Lookup = Arc<dyn Fn(&str, &str) -> Option<String> + Send + Sync>;

/// Everything a host is told.
pub struct HostOptions {
    pub place: Place,
    pub connection: connection::Settings,
    /// Where the needs are, with secrets filled in.
    pub needs: BTreeMap<String, wharf_engine::Place>,
    pub bundles: Vec<Bundle>,
    /// Values for keys that manifests declare under `config` and `secrets`.
    pub lookup: Lookup,
    /// Where compiled components are kept.
    pub cache_dir: Option<PathBuf>,
    pub logs: Logs,
}

/// Runs a host until it has drained.
///
/// # Errors
/// What keeps it from starting; after that it goes on whatever the broker does.
pub async fn host(options: HostOptions) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new(
        env!("CARGO_PKG_VERSION"),
        &options.logs.dropped(),
    ));
    let readiness = Readiness::new();
    let drain = Drain::default();
    let listen = options.place.host.listen;
    let runtime = runtime(&options)?;
    let listener = http::bind(listen)
        .await
        .map_err(|e| assemble::port_in_use(listen, &e))?;
    let served = tokio::spawn(http::serve(
        listener,
        readiness.clone(),
        metrics.clone(),
        runtime.clone(),
        drain.cut.clone(),
    ));
    tokio::spawn(watch_signals(
        drain.clone(),
        readiness.clone(),
        options.place.host.drain,
    ));

    let outbound = Arc::new(Outbound::new(options.needs.clone())?);
    let started = tokio::select! {
        started = start(&options, &runtime, &outbound, &metrics, &readiness) => Some(started?),
        () = drain.leave.cancelled() => None,
    };
    if let Some(handlers) = started {
        readiness.bound();
        tracing::info!(handlers = handlers.len(), %listen, "host ready");
        work(&options, handlers, &drain).await;
    }
    tracing::info!("drained");
    drain.cut.cancel();
    // A client in the middle of a request must not hold the exit up.
    if let Ok(served) = tokio::time::timeout(SERVED_WITHIN, served).await {
        served
            .context("the HTTP server ended")?
            .context("the HTTP server failed")?;
    }
    options.logs.flush(wharf_telemetry::logs::FLUSH_MAX);
    Ok(())
}

fn runtime(options: &HostOptions) -> anyhow::Result<Arc<Runtime>> {
    let config = RuntimeConfig {
        cache_dir: options.cache_dir.clone(),
        ..RuntimeConfig::default()
    };
    let runtime = Runtime::new(config)?;
    tracing::debug!(allocator = ?runtime.allocator(), "engine ready");
    Ok(Arc::new(runtime))
}

/// Compiles the handlers while the broker is waited for, then binds them.
async fn start(
    options: &HostOptions,
    runtime: &Arc<Runtime>,
    outbound: &Arc<Outbound>,
    metrics: &Arc<Metrics>,
    readiness: &Arc<Readiness>,
) -> anyhow::Result<Vec<Arc<Handler>>> {
    let components = assemble::load(options, runtime, outbound).await?;
    let broker = Broker::connect_waiting(options.connection.clone(), say_once()).await?;
    readiness.connected(broker.control().status());
    let parts = Parts::gather(options, runtime.clone(), broker, metrics.clone()).await?;
    let mut handlers = Vec::with_capacity(components.len());
    for (bundle, component) in options.bundles.iter().zip(components) {
        handlers.push(Arc::new(parts.handler(bundle, component)?));
    }
    Ok(handlers)
}

/// Says why the broker is waited for, once for each reason.
fn say_once() -> impl FnMut(&wharf_jetstream::error::Error, Duration) {
    let mut said = String::new();
    move |error, _| {
        let reason = error.to_string();
        if reason != said {
            tracing::warn!(reason, "waiting for the broker");
            said = reason;
        }
    }
}

/// How long answers over HTTP may take to end after the drain.
const SERVED_WITHIN: Duration = Duration::from_secs(1);
/// How long tasks may take to hear that they are cut off, releases included.
const CUT_WITHIN: Duration = Duration::from_secs(4);

/// Runs every handler until all have drained.
async fn work(options: &HostOptions, handlers: Vec<Arc<Handler>>, drain: &Drain) {
    let settings = settings(&options.place);
    let mut tasks = JoinSet::new();
    for handler in handlers {
        match handler.manifest.ordering {
            Ordering::Key => tasks.spawn(ordered::run(handler, 0, settings.clone(), drain.clone())),
            Ordering::None => tasks.spawn(unordered::run(handler, settings.bounds, drain.clone())),
        };
    }
    let joined = async {
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a handler's task ended badly");
            }
        }
    };
    let late = async {
        drain.cut.cancelled().await;
        tokio::time::sleep(CUT_WITHIN).await;
    };
    tokio::select! {
        () = joined => {}
        // Everything durable is one compare-and-set: what is left is a crash at
        // a place that the next owner knows how to go on from.
        () = late => tracing::warn!("what still waits for the broker is left behind"),
    }
}

fn settings(place: &Place) -> Settings {
    let host = &place.host;
    Settings {
        host: format!("{}-{:016x}", hostname(), crate::clock::random()),
        lease: host.lease,
        bounds: Bounds {
            held_max: host.max_held as usize,
            held_bytes_max: host.max_held_bytes,
            span_max: u64::from(host.max_span),
        },
        lane_max: host.max_lane as usize,
        hold_max: host.max_hold,
    }
}

/// The pod's name in Kubernetes; names a process in checkpoints and logs.
fn hostname() -> String {
    let name = std::env::var("HOSTNAME")
        .ok()
        .filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "host".to_owned())
}

/// The first SIGTERM or SIGINT drains; the second, or the deadline, cuts.
async fn watch_signals(drain: Drain, readiness: Arc<Readiness>, within: Duration) {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals cannot be received; only SIGKILL will end this host");
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    tracing::info!(within_s = within.as_secs(), "draining");
    readiness.draining();
    drain.leave.cancel();
    tokio::select! {
        _ = term.recv() => tracing::warn!("second signal: cutting off what still runs"),
        _ = int.recv() => tracing::warn!("second signal: cutting off what still runs"),
        () = tokio::time::sleep(within) => tracing::warn!("deadline: cutting off what still runs"),
    }
    drain.cut.cancel();
}
