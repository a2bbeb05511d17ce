//! `Runtime::invoke` on the same component.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail};
use tokio_util::sync::CancellationToken;
use wasmtime::Engine;
use wharf_core::contract::Event;
use wharf_core::limits::Limits;
use wharf_core::manifest::InstancePolicy;
use wharf_core::outcome::Outcome;
use wharf_engine::{Attempt, Component, Outbound, Runtime, RuntimeConfig, Settings};

use crate::pipeline::{Instance, event};

/// A runtime with the component loaded.
pub struct Ours {
    runtime: Runtime,
    component: Arc<Component>,
    event: Arc<Event>,
    lineage: Arc<str>,
    data: Vec<u8>,
    cancel: CancellationToken,
}

impl Ours {
    /// # Errors
    /// When the component is refused.
    pub async fn load(component: &[u8], instance: Instance) -> Result<Self> {
        let runtime = Runtime::new(RuntimeConfig::default())?;
        let settings = Settings {
            handler: "echo".into(),
            limits: Limits::default(),
            config: BTreeMap::new(),
            needs: BTreeMap::new(),
            metrics: BTreeMap::new(),
            instance: match instance {
                Instance::Fresh => InstancePolicy::Fresh,
                Instance::Reuse => InstancePolicy::Reuse,
            },
            state_version: 1,
            outbound: Arc::new(Outbound::none()?),
        };
        let component = runtime.load(component.to_vec(), settings).await?;
        Ok(Self {
            runtime,
            component,
            event: Arc::new(event_seen()),
            lineage: "echo-1".into(),
            data: event::of(0).2.to_vec(),
            cancel: CancellationToken::new(),
        })
    }

    /// The engine that both loops run in.
    pub fn engine(&self) -> &Engine {
        self.runtime.engine()
    }

    /// One attempt; the bytes that it emitted.
    ///
    /// # Errors
    /// When it ends in any other way than with effects.
    pub async fn call(&self) -> Result<usize> {
        let attempt = Attempt {
            event: Arc::clone(&self.event),
            data: &self.data,
            state: None,
            lineage: Arc::clone(&self.lineage),
            trace: wharf_engine::Trace::None,
            cancel: self.cancel.clone(),
        };
        match self.runtime.invoke(&self.component, attempt).await.outcome {
            Outcome::Done(effects) => Ok(effects.emit.iter().map(|each| each.data.len()).sum()),
            other => bail!("the attempt ended otherwise: {other:?}"),
        }
    }
}

/// The same that the bare loop hands in.
fn event_seen() -> Event {
    Event {
        id: "000000000000".into(),
        source: "bench".into(),
        event_type: "bench.event".into(),
        subject: "in.k0".into(),
        key: "k0".into(),
        content_type: "application/octet-stream".into(),
        time_ms: 1_700_000_000_000,
        now_ms: 1_700_000_000_001,
        sequence: 1,
        attempt: 1,
        first_try: true,
        idempotency_key: "0123456789abcdef0123456789abcdef".into(),
        correlation_id: "000000000000".into(),
        causation_id: None,
        attributes: Vec::new(),
    }
}
