//! A guest that notes what it is told, and what became of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use wharf_core::record::Record;
use wharf_demo::gateway::Modes;
use wharf_demo::load::Publisher;
use wharf_demo::shop::Message;
use wharf_demo::stream::Stream;
use wharf_demo::{HostProcess, NatsServer};

use crate::support::ledger::Ledger;
use crate::support::{Broker, Plan, SOON, Site, target, until};

/// The stream of what is told stays small, so that a test can fill it.
pub const STREAMS: &str = r#"
[streams.PROBE]
subjects = ["probe.{id}.>"]
max_bytes = "64MiB"

[streams.NOTED]
subjects = ["noted.{key}"]
max_bytes = "1MiB"
"#;

/// A site whose only handler is the probe.
pub struct Probe<B = NatsServer> {
    pub site: Site<B>,
    pub ledger: Ledger,
    pub noted: Stream,
    publisher: Publisher,
    sent: AtomicU32,
}

impl Probe {
    /// With these lines in the table `[host]`.
    pub async fn set(host: &str) -> Self {
        Self::of(Site::provisioned(Plan::of(bundle(), STREAMS).host(host)).await).await
    }
}

impl<B: Broker> Probe<B> {
    /// Of a site that has its streams.
    pub async fn of(site: Site<B>) -> Self {
        let client = site.client().await;
        Self {
            ledger: site.ledger("probe").await,
            noted: Stream::new(client.clone(), "NOTED"),
            publisher: Publisher::new(client, SOON),
            sent: AtomicU32::new(0),
            site,
        }
    }

    /// Publishes an event for a key; returns its sequence.
    pub async fn send(&self, key: &str, what: &str, data: impl Into<String>) -> u64 {
        self.publish(format!("probe.{key}.{what}"), what, data)
            .await
    }

    /// The same on any subject of its stream.
    pub async fn publish(&self, subject: String, what: &str, data: impl Into<String>) -> u64 {
        let nth = self.sent.fetch_add(1, Ordering::Relaxed);
        let message = Message {
            subject,
            id: format!("event-{nth}"),
            event_type: what.to_owned(),
            data: data.into().into_bytes(),
            traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
        };
        self.publisher
            .publish(&message)
            .await
            .expect("stored")
            .sequence
    }

    /// What the probe has told the outside of a key, in stream order.
    pub async fn told(&self, key: &str) -> Vec<String> {
        let subject = format!("noted.{key}");
        let stored = self
            .noted
            .read_matching(&subject)
            .await
            .expect("the broker answers");
        stored
            .into_iter()
            .map(|message| text(message.data))
            .collect()
    }

    /// Waits until the probe has told exactly this of a key.
    pub async fn until_told(&self, key: &str, lines: &[&str]) {
        let what = format!("{lines:?} of {key}");
        let look = || async { (self.told(key).await == lines).then_some(()) };
        until(&what, 2 * SOON, look).await;
    }

    /// Waits until the checkpoint says that everything up to `sequence` is
    /// settled.
    pub async fn until_settled(&self, sequence: u64) {
        let settled = async || self.ledger.checkpoint().await.watermark >= sequence;
        let look = || async { settled().await.then_some(()) };
        until(&format!("a watermark of {sequence}"), SOON, look).await;
    }

    /// The lines of a key's state.
    pub async fn state(&self, key: &str) -> Vec<String> {
        let state = self.record(key).await.state.expect("a state");
        text(state.data).lines().map(str::to_owned).collect()
    }

    pub async fn record(&self, key: &str) -> Record {
        self.ledger.record(key).await.expect("a record")
    }

    /// Lets calls hang, or cuts those that do.
    pub fn hang(&self, hang: bool) {
        let modes = Modes {
            hang,
            ..Modes::default()
        };
        self.site
            .gateway
            .set(modes)
            .expect("modes that can be meant");
    }

    /// A key's head has called, hangs, and is counted as in flight.
    pub async fn hang_on(&self, host: &HostProcess, key: &str) {
        self.hang(true);
        self.send(key, "call", "head").await;
        until_unsettled(host, "in-flight", 1).await;
    }
}

/// Events of the probe in a state, as its host counts them.
pub async fn unsettled(host: &HostProcess, state: &str) -> u64 {
    let samples = host.metrics().await.expect("the host answers");
    samples.count("wharf_unsettled", &[("handler", "probe"), ("state", state)])
}

/// Waits until exactly so many are in it.
pub async fn until_unsettled(host: &HostProcess, state: &str, events: u64) {
    let what = format!("{events} events {state}");
    let look = || async { (unsettled(host, state).await == events).then_some(()) };
    until(&what, SOON, look).await;
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the probe notes text")
}

/// A folder with the probe's bundle, built if need be.
pub fn bundle() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build).clone()
}

fn build() -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let made = target().join("fixtures");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--locked",
            "--target",
            "wasm32-wasip2",
            "--package",
            "probe",
        ])
        .arg("--manifest-path")
        .arg(sources.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&made)
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs");
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("probe-bundles");
    let bundle = folder.join("probe");
    std::fs::create_dir_all(&bundle).expect("a folder");
    let copies = [
        (
            made.join("wasm32-wasip2/release/probe.wasm"),
            bundle.join("handler.wasm"),
        ),
        (
            sources.join("probe/handler.toml"),
            bundle.join("handler.toml"),
        ),
    ];
    for (from, to) in copies {
        std::fs::copy(from, to).expect("the bundle is copied");
    }
    folder
}
