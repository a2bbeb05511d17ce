//! Putting a handler together: manifest, component, ledger, streams.
//!
//! Everything that can be found wrong before the first event is found here, and
//! stops the start with what to do about it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use wharf_core::crosscheck::RECORD_HEADROOM_BYTES;
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
use wharf_jetstream::timers::Timers;
use wharf_telemetry::metrics::Metrics;

use crate::bundle::Bundle;
use crate::cli::failure::Failure;
use crate::codes::Code;
use crate::handler::{Destination, Handler, Source};
use crate::run::HostOptions;

/// Records and emissions that may be under way at once, all handlers together.
const WINDOW: usize = 4_096;
/// What a message's headers may take of the broker's limit.
const HEADERS_BYTES: u64 = 8 << 10;
/// The number of a handler's first history.
const FIRST_LINEAGE: u32 = 1;

/// Compiles and checks every component, off the event path.
///
/// # Errors
/// The first component that this host refuses, and why.
pub async fn load(
    options: &HostOptions,
    runtime: &Runtime,
    outbound: &Arc<Outbound>,
) -> anyhow::Result<Vec<Arc<Component>>> {
    let mut components = Vec::with_capacity(options.bundles.len());
    for bundle in &options.bundles {
        let settings = settings(options, &bundle.manifest, outbound)?;
        let component = runtime.load(bundle.wasm()?, settings).await;
        components.push(component.map_err(|error| {
            Failure::from(error).place(bundle.wasm_path().display().to_string())
        })?);
    }
    Ok(components)
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
    if let Some(need) = manifest
        .needs
        .keys()
        .find(|need| !options.needs.contains_key(*need))
    {
        let what = format!(
            "handler `{}` needs `{need}`, and no needs file says where it is",
            manifest.name
        );
        let remedy = format!(
            "add [needs.{need}] with its url to needs.toml, and name the file with --needs"
        );
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
    runtime: Arc<Runtime>,
    broker: Broker,
    api: Api,
    catalog: Catalog,
    commits: Publisher,
    emissions: Publisher,
    metrics: Arc<Metrics>,
}

impl Parts {
    /// Asks the broker what it has, and checks it against what the handlers
    /// need. Binds only: nothing is made here.
    ///
    /// # Errors
    /// The broker is too old, JetStream is off, a permission or an asset is
    /// missing or of another shape.
    pub async fn gather(
        options: &HostOptions,
        runtime: Arc<Runtime>,
        broker: Broker,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        crate::cli::provision::verify(&broker, &options.place, &options.bundles).await?;
        let api = Api::new(broker.control().clone());
        Ok(Self {
            runtime,
            catalog: Catalog::read(&api).await?,
            api,
            commits: Publisher::new(broker.ledger().clone(), WINDOW).await?,
            emissions: Publisher::new(broker.emit().clone(), WINDOW).await?,
            broker,
            metrics,
        })
    }

    /// Puts one handler together.
    ///
    /// # Errors
    /// An emitted subject that not exactly one stream takes, or metrics that
    /// another handler has declared otherwise.
    pub fn handler(&self, bundle: &Bundle, component: Arc<Component>) -> anyhow::Result<Handler> {
        let manifest = bundle.manifest.clone();
        let lineage = Lineage::new(&manifest.name, FIRST_LINEAGE)?;
        self.metrics.declare(&manifest.name, &manifest.metrics)?;
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
        let source = self.stream(&manifest.stream)?;
        Ok(Handler {
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
            destinations: self.destinations(&manifest)?,
            in_flight: Semaphore::new(manifest.max_in_flight as usize),
            metrics: self.metrics.handler(&manifest.name),
            needs: manifest
                .needs
                .keys()
                .map(|need| (need.clone(), self.metrics.need(need)))
                .collect(),
            message_bytes_max: self
                .message_bytes_max(&manifest)?
                .saturating_sub(HEADERS_BYTES),
            record_bytes_max: max_payload.saturating_sub(RECORD_HEADROOM_BYTES / 4),
            component: ArcSwap::from(component),
            runtime: self.runtime.clone(),
            lineage,
            manifest,
        })
    }

    fn stream(&self, name: &str) -> anyhow::Result<&StreamInfo> {
        let missing = || {
            Failure::new(
                Code::AssetMissing,
                format!("the stream `{name}` does not exist"),
            )
        };
        self.catalog.get(name).ok_or_else(|| missing().into())
    }

    /// The smallest message that any of the handler's destinations takes.
    fn message_bytes_max(&self, manifest: &Manifest) -> anyhow::Result<u64> {
        let mut least = self.broker.control().max_payload();
        for destination in self.destinations(manifest)?.values() {
            let limit = self.stream(&destination.stream)?.config.max_msg_size;
            least = least.min(u64::try_from(limit).unwrap_or(u64::MAX));
        }
        Ok(least)
    }

    fn destinations(&self, manifest: &Manifest) -> anyhow::Result<BTreeMap<String, Destination>> {
        let mut destinations = BTreeMap::new();
        for (event_type, template) in &manifest.emits {
            let info = match self.catalog.covering(&template.pattern()) {
                Covering::One(info) => info,
                other => {
                    return Err(not_covered(
                        manifest,
                        event_type,
                        &template.to_string(),
                        &other,
                    ));
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
