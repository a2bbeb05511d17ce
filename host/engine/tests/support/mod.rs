//! What the engine's tests share: real guests, a runtime, and a way to see
//! that it is unharmed.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wharf_core::contract::{Effects, Event, StateChange};
use wharf_core::limits::Limits;
use wharf_core::manifest::InstancePolicy;
use wharf_core::outcome::{GuestFault, Outcome};
use wharf_core::trace::Context;
use wharf_engine::{
    Attempt, Component, LoadError, Outbound, Report, Runtime, RuntimeConfig, Settings, State, Trace,
};

/// The handler that does everything wrong, and knows how to do it right.
pub fn adversary() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| fixture("adversary"))
}

/// The smallest handler, without `migration`.
pub fn plain() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| fixture("plain"))
}

/// Builds the guests if need be, and reads one.
fn fixture(name: &str) -> Vec<u8> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let target = target_dir().join("fixtures");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--locked",
            "--target",
            "wasm32-wasip2",
        ])
        .arg("--manifest-path")
        .arg(sources.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
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
    std::fs::read(target.join(format!("wasm32-wasip2/release/{name}.wasm"))).expect("was built")
}

fn target_dir() -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    temporary
        .parent()
        .expect("below the target directory")
        .to_owned()
}

pub fn event(event_type: &str) -> Event {
    Event {
        id: "evt-1".into(),
        source: "web".into(),
        event_type: event_type.into(),
        subject: "shop.order.ORD-1.placed".into(),
        key: "ORD-1".into(),
        content_type: "application/json".into(),
        time_ms: 1_700_000_000_000,
        now_ms: 1_700_000_001_234,
        sequence: 7,
        attempt: 2,
        first_try: false,
        idempotency_key: "0123456789abcdef0123456789abcdef".into(),
        correlation_id: "flow-1".into(),
        causation_id: None,
        attributes: vec![("partner".into(), "acme".into())],
    }
}

pub fn settings() -> Settings {
    Settings {
        handler: "adversary".into(),
        limits: Limits {
            time: Duration::from_secs(20),
            ..Limits::default()
        },
        config: BTreeMap::new(),
        needs: BTreeMap::new(),
        metrics: BTreeMap::new(),
        instance: InstancePolicy::Fresh,
        state_version: 1,
        outbound: Arc::new(Outbound::none().expect("nothing can fail")),
    }
}

/// A runtime of four slots, with compiled guests kept between tests.
pub fn runtime() -> Runtime {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engine-cache");
    let config = RuntimeConfig {
        max_instances: 4,
        max_warm: 2,
        cache_dir: Some(cache),
        ..RuntimeConfig::default()
    };
    Runtime::new(config).expect("the engine starts here")
}

/// A runtime with one component loaded.
pub struct Bench {
    pub runtime: Runtime,
    pub component: Arc<Component>,
}

impl Bench {
    pub async fn new(settings: Settings) -> Self {
        Self::with(adversary(), settings)
            .await
            .expect("the guest loads")
    }

    pub async fn with(wasm: &'static [u8], settings: Settings) -> Result<Self, LoadError> {
        let runtime = runtime();
        let component = runtime.load(wasm, settings).await?;
        Ok(Self { runtime, component })
    }

    pub async fn run(&self, event_type: &str, data: impl AsRef<[u8]>) -> Report {
        self.attempt(event(event_type), data.as_ref(), None).await
    }

    pub async fn attempt(&self, event: Event, data: &[u8], state: Option<State<'_>>) -> Report {
        self.cancellable(event, data, state, CancellationToken::new())
            .await
    }

    pub async fn cancellable(
        &self,
        event: Event,
        data: &[u8],
        state: Option<State<'_>>,
        cancel: CancellationToken,
    ) -> Report {
        let attempt = Attempt {
            event: Arc::new(event),
            data,
            state,
            lineage: "adversary-1".into(),
            trace: Context::parse(TRACEPARENT).map_or(Trace::None, Trace::Span),
            cancel,
        };
        self.runtime.invoke(&self.component, attempt).await
    }

    /// The next event is handled as if nothing had happened, and nothing of
    /// what happened before is still held.
    pub async fn is_unharmed(&self) {
        let report = self.run("random", "").await;
        assert!(
            matches!(report.outcome, Outcome::Done(_)),
            "{:?}",
            report.outcome
        );
        let usage = self.runtime.usage();
        assert_eq!(usage.running, 0);
        if let Some(pooled) = usage.pooled {
            assert_eq!(pooled, u64::from(usage.warm), "instances leaked");
        }
    }
}

pub const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub fn effects(report: Report) -> Effects {
    match report.outcome {
        Outcome::Done(effects) => effects,
        other => panic!("the handler did not return ok: {other:?}"),
    }
}

/// The state that the guest put, as text.
pub fn put_text(report: Report) -> String {
    match effects(report).state {
        StateChange::Put(state) => String::from_utf8(state).expect("text"),
        other => panic!("no state was put: {other:?}"),
    }
}

pub fn guest_fault(report: Report) -> GuestFault {
    match report.outcome {
        Outcome::GuestFault(fault) => fault,
        other => panic!("no guest fault: {other:?}"),
    }
}
