//! A host from start to drain.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use wharf_core::deployment::Author;
use wharf_core::place::Place;
use wharf_core::progress::Bounds;
use wharf_engine::{Outbound, Runtime, RuntimeConfig};
use wharf_jetstream::connection::{self, Broker};
use wharf_jetstream::registry::Registry;
use wharf_telemetry::logs::Logs;
use wharf_telemetry::metrics::Metrics;
use wharf_telemetry::traces::{self, Traces};

use crate::assemble::{self, Parts};
use crate::bundle::Shelf;
use crate::cli::failure::Failure;
use crate::codes::Code;
use crate::deploy::{self, Known, Parcel};
use crate::drain::Drain;
use crate::http::{self, Readiness};
use crate::ordered::Settings;
use crate::sharing::Sharing;
use crate::supervisor;

/// The value that a deployment gives to a handler's key, if it gives one.
pub type Lookup = Arc<dyn Fn(&str, &str) -> Option<String> + Send + Sync>;

/// Everything a host is told.
pub struct HostOptions {
    pub place: Place,
    pub connection: connection::Settings,
    /// Where the needs are, with secrets filled in.
    pub needs: BTreeMap<String, wharf_engine::Place>,
    /// Deployed at the start.
    pub shelf: Shelf,
    /// Values for keys that manifests declare under `config` and `secrets`.
    pub lookup: Lookup,
    /// Where compiled components are kept.
    pub cache_dir: Option<PathBuf>,
    pub logs: Logs,
    /// None: no traces are wanted.
    pub traces: Option<traces::Config>,
}

/// Runs a host until it has drained.
///
/// # Errors
/// What keeps it from starting; after that it goes on whatever the broker does.
pub async fn host(options: Arc<HostOptions>) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new(
        env!("CARGO_PKG_VERSION"),
        &options.logs.dropped(),
    ));
    let settings = settings(&options.place);
    let traces = traces(&options, settings.sharing.host(), &metrics)?;
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
        started = start(&options, &runtime, outbound, &metrics, &traces, &readiness) => Some(started?),
        () = drain.leave.cancelled() => None,
    };
    if let Some((parts, registry)) = started {
        supervisor::run(parts, registry, settings, &drain, readiness).await;
    }
    tracing::info!("drained");
    drain.cut.cancel();
    if !traces.flush(traces::FLUSH_MAX) {
        tracing::warn!("the collector was too slow for the last spans");
    }
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

fn traces(options: &HostOptions, instance: &str, metrics: &Metrics) -> anyhow::Result<Traces> {
    let Some(config) = &options.traces else {
        return Ok(Traces::off());
    };
    let identity = traces::Identity {
        version: env!("CARGO_PKG_VERSION"),
        instance,
    };
    let started = Traces::start(config, identity, metrics.spans());
    let started = started.map_err(|error| Failure::new(Code::TraceSettings, error.to_string()))?;
    tracing::info!(endpoint = %config.endpoint, "traces go to a collector");
    Ok(started)
}

/// Deploys the bundles that the host was given, if any; what runs then is the
/// registry's to say.
async fn start(
    options: &Arc<HostOptions>,
    runtime: &Arc<Runtime>,
    outbound: Arc<Outbound>,
    metrics: &Arc<Metrics>,
    traces: &Traces,
    readiness: &Arc<Readiness>,
) -> anyhow::Result<(Parts, Registry)> {
    // What is unfit is said before a broker is waited for.
    let loaded = assemble::load(options, runtime, &outbound).await?;
    let broker = Broker::connect_waiting(options.connection.clone(), say_once()).await?;
    readiness.connected(broker.control().status());
    let registry = Registry::open(broker.control().clone()).await?;
    let parts = Parts::gather(
        options.clone(),
        runtime.clone(),
        outbound,
        broker,
        metrics.clone(),
        traces.clone(),
        loaded,
    )
    .await?;
    let control = parts.broker().control();
    if options.shelf.bundles.is_empty() {
        // What is deployed may come later, and its streams with it.
        crate::cli::provision::require_capable(control).await?;
    } else {
        crate::cli::check::require_room(&options.shelf, control.max_payload())?;
        parts.verify(&options.shelf.manifests()).await?;
    }
    let by = deploy::whoami();
    for bundle in &options.shelf.bundles {
        let author = Author {
            by: &by,
            why: "from the folder of a host that started",
            now_ms: crate::clock::now_ms(),
        };
        let (step, stands) = deploy::put(
            &registry,
            &Parcel::of(bundle)?,
            Known::StaysReplaced,
            author,
        )
        .await?;
        let version = stands.deployment.stable;
        tracing::info!(handler = bundle.manifest.name, version, ?step, "deployed");
    }
    Ok((parts, registry))
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

fn settings(place: &Place) -> Settings {
    let host = &place.host;
    let name = format!("{}-{:016x}", hostname(), crate::clock::random());
    Settings {
        sharing: Sharing::new(name, host.lease),
        drain: host.drain,
        bounds: Bounds {
            held_max: host.max_held as usize,
            held_bytes_max: host.max_held_bytes,
            span_max: u64::from(host.max_span),
        },
        lane_max: host.max_lane as usize,
        hold_max: host.max_hold,
    }
}

/// The pod's name in Kubernetes; names a process in checkpoints, reports, logs
/// and consumers.
fn hostname() -> String {
    let name = std::env::var("HOSTNAME").unwrap_or_default();
    let name = as_token(&name);
    if name.is_empty() {
        "host".to_owned()
    } else {
        name
    }
}

/// What is left of a name when it has to be one token of a subject.
fn as_token(name: &str) -> String {
    const LONGEST: usize = 63;
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let legible = name.chars().map(|c| if legal(c) { c } else { '-' });
    legible.take(LONGEST).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_name_is_one_token_of_a_subject() {
        assert_eq!(as_token("wharf-7d9f_1"), "wharf-7d9f_1");
        assert_eq!(as_token("node1.example.com"), "node1-example-com");
        assert_eq!(as_token("a b>*ä"), "a-b---");
        assert_eq!(as_token(&"x".repeat(99)).len(), 63);
    }
}
