//! Putting a handler together: manifest, component, ledger, streams.
//!
//! Everything that can be found wrong before the first event is found here, and
//! stops the start with what to do about it.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::Semaphore;
use wharf_core::crosscheck::RECORD_HEADROOM_BYTES;
use wharf_core::deployment::{self, Digest};
use wharf_core::manifest::Manifest;
use wharf_engine::{Component, Outbound, Runtime, Settings};
use wharf_jetstream::api::Api;
use wharf_jetstream::api::stream::{Retention, StreamInfo};
use wharf_jetstream::catalog::{Catalog, Covering};
use wharf_jetstream::connection::Broker;
use wharf_jetstream::ledger::Ledger;
use wharf_jetstream::names::Lineage;
use wharf_jetstream::parking::Parking;
use wharf_jetstream::publisher::Publisher;
use wharf_jetstream::registry::ObjectError;
use wharf_jetstream::timers::Timers;
use wharf_telemetry::metrics::{HandlerMetrics, Metrics};
use wharf_telemetry::traces::Traces;

use crate::cli::failure::Failure;
use crate::cli::provision;
use crate::codes::Code;
use crate::deploy::Parcel;
use crate::handler::{Handler, InUse, Source};
use crate::run::HostOptions;
use crate::version::{self, Destination, Version};
use crate::watchdog::Watchdog;

/// Records and emissions that may be under way at once, all handlers together.
const WINDOW: usize = 4_096;
/// What a message's headers may take of the broker's limit.
const HEADERS_BYTES: u64 = 8 << 10;

/// Components that were compiled before the broker was there, by their digests.
pub type Loaded = HashMap<(Digest, Digest), Arc<Component>>;

/// Compiles and checks the components of the bundles that a host was given.
///
/// # Errors
/// The first component that this host refuses, and why.
pub async fn load(
    options: &HostOptions,
    runtime: &Runtime,
    outbound: &Arc<Outbound>,
) -> anyhow::Result<Loaded> {
    let bundles = &options.shelf.bundles;
    let mut loaded = Loaded::with_capacity(bundles.len());
    for bundle in bundles {
        let settings = settings(options, &bundle.manifest, outbound)?;
        let parcel = Parcel::of(bundle)?;
        let component = runtime.load(parcel.wasm.clone(), settings).await;
        let component = component.map_err(|error| {
            Failure::from(error).place(bundle.wasm_path().display().to_string())
        })?;
        loaded.insert(parcel.digests(), component);
    }
    Ok(loaded)
}

/// What a handler's manifest and the place say about running it.
///
/// # Errors
/// A required key has no value; a need has no address.
fn settings(
    options: &HostOptions,
    manifest: &Manifest,
    outbound: &Arc<Outbound>,
) -> anyhow::Result<Settings> {
    if let Some(need) = manifest.needs.keys().find(|need| !outbound.has(need)) {
        let what = format!(
            "handler `{}` needs `{need}`, and nobody says where it is",
            manifest.name
        );
        let remedy =
            format!("add it with `wharf needs set {need} --url …`, or to the file of --needs");
        return Err(Failure::new(Code::NeedWithoutAddress, what)
            .remedy(remedy)
            .into());
    }
    Ok(Settings {
        handler: manifest.name.as_str().into(),
        limits: manifest.limits.clone(),
        config: values(options, manifest)?,
        needs: manifest.needs.clone(),
        metrics: manifest.metrics.clone(),
        instance: manifest.instance,
        state_version: manifest.state.as_ref().map_or(1, |state| state.version),
        outbound: outbound.clone(),
    })
}

/// What `config.get` answers.
fn values(options: &HostOptions, manifest: &Manifest) -> anyhow::Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    let declared = manifest
        .config
        .iter()
        .map(|(name, key)| (name, key.default.clone(), key.required));
    let secrets = manifest
        .secrets
        .iter()
        .map(|(name, key)| (name, None, key.required));
    for (name, default, required) in declared.chain(secrets) {
        match (options.lookup)(&manifest.name, name).or(default) {
            Some(value) => {
                values.insert(name.clone(), value);
            }
            None if required => return Err(missing_value(manifest, name)),
            None => {}
        }
    }
    Ok(values)
}

fn missing_value(manifest: &Manifest, name: &str) -> anyhow::Error {
    let what = format!(
        "handler `{}` requires the value `{name}`, and it has none",
        manifest.name
    );
    let variable = crate::config::value_variable(&manifest.name, name);
    Failure::new(Code::SettingMissing, what)
        .remedy(format!("set the environment variable {variable}"))
        .into()
}

/// The address is taken, or may not be opened.
pub fn port_in_use(listen: SocketAddr, error: &std::io::Error) -> anyhow::Error {
    let code = match error.kind() {
        std::io::ErrorKind::AddrInUse => Code::PortInUse,
        _ => Code::CannotListen,
    };
    Failure::new(code, format!("cannot listen on {listen}: {error}")).into()
}

/// What all handlers of a host share.
pub struct Parts {
    options: Arc<HostOptions>,
    runtime: Arc<Runtime>,
    outbound: Arc<Outbound>,
    broker: Broker,
    api: Api,
    commits: Publisher,
    emissions: Publisher,
    metrics: Arc<Metrics>,
    traces: Traces,
    loaded: Mutex<Loaded>,
}

impl Parts {
    /// # Errors
    /// The connection was closed.
    pub async fn gather(
        options: Arc<HostOptions>,
        runtime: Arc<Runtime>,
        outbound: Arc<Outbound>,
        broker: Broker,
        metrics: Arc<Metrics>,
        traces: Traces,
        loaded: Loaded,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            loaded: Mutex::new(loaded),
            options,
            runtime,
            outbound,
            api: Api::new(broker.control().clone()),
            commits: Publisher::new(broker.ledger().clone(), WINDOW).await?,
            emissions: Publisher::new(broker.emit().clone(), WINDOW).await?,
            broker,
            metrics,
            traces,
        })
    }

    pub fn options(&self) -> &HostOptions {
        &self.options
    }

    pub fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Compiles and checks a version, off the event path. What is known without
    /// the component is looked at before it is fetched.
    ///
    /// # Errors
    /// Why this host does not run it: the component, a need without an address,
    /// a value that is missing, an emitted subject that not exactly one stream
    /// takes, or metrics that another handler has declared otherwise.
    pub async fn version(
        &self,
        named: &deployment::Version,
        manifest: Manifest,
        wasm: impl Future<Output = Result<Bytes, ObjectError>>,
    ) -> anyhow::Result<Version> {
        let number = named.number;
        let settings = settings(&self.options, &manifest, &self.outbound)?;
        let catalog = Catalog::read(&self.api).await?;
        let destinations = destinations(&catalog, &manifest)?;
        let message_bytes_max = self.message_bytes_max(&catalog, &destinations)?;
        let component = match self.loaded(named) {
            Some(loaded) => loaded,
            None => {
                let wasm = wasm.await.map_err(Failure::from)?;
                self.runtime.load(wasm, settings).await?
            }
        };
        self.metrics.declare(&manifest.name, &manifest.metrics)?;
        let need = |name: &String| (name.clone(), self.metrics.need(name));
        Ok(Version {
            number,
            manifest_digest: named.manifest,
            templates: version::templates(&manifest),
            destinations,
            needs: manifest.needs.keys().map(need).collect(),
            message_bytes_max: message_bytes_max.saturating_sub(HEADERS_BYTES),
            component,
            manifest,
        })
    }

    fn loaded(&self, named: &deployment::Version) -> Option<Arc<Component>> {
        let mut loaded = self.loaded.lock().expect("no panic while held");
        loaded.remove(&(named.component, named.manifest))
    }

    pub fn metrics_of(&self, handler: &str) -> Arc<HandlerMetrics> {
        self.metrics.handler(handler)
    }

    /// Binds a version to its streams: a handler that can work. Nothing is made
    /// here.
    ///
    /// # Errors
    /// The broker is too old, JetStream is off, a permission or an asset is
    /// missing or of another shape.
    pub async fn bind(
        &self,
        lineage: &str,
        version: Version,
        in_use: InUse,
    ) -> anyhow::Result<Handler> {
        let lineage = Lineage::parse(lineage)?;
        let manifest = &version.manifest;
        self.verify(&[manifest]).await?;
        // Only the version in use may turn a checkpoint to its subscriptions.
        let named = version.named() == in_use.version;
        let revision = named.then_some(in_use.revision);
        provision::require_subscription(&self.api, manifest, revision).await?;
        let source = self.api.require_stream(&manifest.stream).await?;
        let ledger = Ledger::open(
            self.broker.ledger().clone(),
            self.commits.clone(),
            lineage.clone(),
        );
        let timers = (!manifest.timers.is_empty()).then(|| {
            Timers::open(
                self.broker.control().clone(),
                self.commits.clone(),
                lineage.clone(),
            )
        });
        let max_payload = self.broker.control().max_payload();
        Ok(Handler {
            name: manifest.name.clone(),
            lineage_text: lineage.as_str().into(),
            parking: Parking::new(ledger.clone()),
            ledger,
            timers,
            publisher: self.emissions.clone(),
            broker: self.broker.clone(),
            api: self.api.clone(),
            source: Source {
                stream: manifest.stream.clone(),
                created_ns: source.created_ns,
            },
            watchdog: Watchdog::default(),
            in_flight: Semaphore::new(manifest.max_in_flight as usize),
            metrics: self.metrics.handler(&manifest.name),
            tracer: self.traces.tracer(&manifest.name, lineage.as_str()),
            record_bytes_max: max_payload.saturating_sub(RECORD_HEADROOM_BYTES / 4),
            in_use: ArcSwap::from_pointee(in_use),
            revision: AtomicU64::new(revision.unwrap_or(0)),
            version: ArcSwap::from_pointee(version),
            runtime: self.runtime.clone(),
            lineage,
        })
    }

    /// That the broker can serve, and has all that these handlers need.
    ///
    /// # Errors
    /// What it lacks; what is missing or differs, with the line that makes it.
    pub async fn verify(&self, manifests: &[&Manifest]) -> anyhow::Result<()> {
        provision::verify(&self.broker, &self.options.place, manifests).await?;
        Ok(())
    }

    /// The smallest message that any of the destinations takes.
    fn message_bytes_max(
        &self,
        catalog: &Catalog,
        destinations: &BTreeMap<String, Destination>,
    ) -> anyhow::Result<u64> {
        let mut least = self.broker.control().max_payload();
        for destination in destinations.values() {
            let limit = stream(catalog, &destination.stream)?.config.max_msg_size;
            least = least.min(u64::try_from(limit).unwrap_or(u64::MAX));
        }
        Ok(least)
    }
}

fn stream<'a>(catalog: &'a Catalog, name: &str) -> anyhow::Result<&'a StreamInfo> {
    let missing = || {
        let message = format!("the stream `{name}` does not exist");
        Failure::new(Code::AssetMissing, message)
    };
    catalog.get(name).ok_or_else(|| missing().into())
}

fn destinations(
    catalog: &Catalog,
    manifest: &Manifest,
) -> anyhow::Result<BTreeMap<String, Destination>> {
    let mut destinations = BTreeMap::new();
    for (event_type, template) in &manifest.emits {
        let info = match catalog.covering(&template.pattern()) {
            Covering::One(info) => info,
            other => {
                let subject = template.to_string();
                return Err(not_covered(manifest, event_type, &subject, &other));
            }
        };
        if info.config.retention != Retention::Limits || info.config.max_msgs_per_subject > 0 {
            return Err(forgets(manifest, event_type, &info.config.name));
        }
        let destination = Destination {
            stream: info.config.name.clone(),
            duplicate_window_ms: info.config.duplicate_window / 1_000_000,
        };
        destinations.insert(event_type.clone(), destination);
    }
    Ok(destinations)
}

/// Where messages vanish when they are read, or when others come, nobody can
/// tell after a crash whether an emission has been stored.
fn forgets(manifest: &Manifest, event_type: &str, stream: &str) -> anyhow::Error {
    let what = format!(
        "handler `{}` emits `{event_type}` into the stream `{stream}`, which forgets messages that were acknowledged or replaced",
        manifest.name
    );
    Failure::new(Code::DestinationUnfit, what).into()
}

fn not_covered(
    manifest: &Manifest,
    event_type: &str,
    subject: &str,
    found: &Covering<'_>,
) -> anyhow::Error {
    let by = match found {
        Covering::None => "no stream takes it".to_owned(),
        Covering::Partly(info) => {
            format!("the stream `{}` takes only some of it", info.config.name)
        }
        Covering::One(info) => format!("the stream `{}` takes it", info.config.name),
        Covering::Many(infos) => {
            let names: Vec<&str> = infos.iter().map(|info| info.config.name.as_str()).collect();
            format!("several streams take it: {}", names.join(", "))
        }
    };
    let what = format!(
        "handler `{}` emits `{event_type}` on `{subject}`, and {by}",
        manifest.name
    );
    Failure::new(Code::NotCovered, what).into()
}
