//! A loaded component: compiled, checked, and ready to be invoked.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use wasmtime::component::InstancePre;
use wharf_core::limits::Limits;
use wharf_core::manifest::{InstancePolicy, Metric, NeedPolicy};

use crate::bindings::{handler, migration};
use crate::context::Context;
use crate::observations::SeenLabels;
use crate::outbound::Outbound;
use crate::warm::Warm;

/// What a manifest and its place say about running a component.
#[derive(Clone)]
pub struct Settings {
    /// The handler's name, for logs and faults.
    pub handler: Arc<str>,
    /// Bounds of each attempt.
    pub limits: Limits,
    /// What `config.get` answers: config and secrets, resolved.
    pub config: BTreeMap<String, String>,
    /// What `http.send` may call.
    pub needs: BTreeMap<String, NeedPolicy>,
    /// What the guest may measure.
    pub metrics: BTreeMap<String, Metric>,
    /// Whether memory may survive from one event to the next.
    pub instance: InstancePolicy,
    /// The shape of state that this component writes.
    pub state_version: u32,
    /// Where the needs are.
    pub outbound: Arc<Outbound>,
}

/// Config holds secrets; their values never reach a log.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("handler", &self.handler)
            .field("limits", &self.limits)
            .field("config", &self.config.keys())
            .finish_non_exhaustive()
    }
}

/// One version of a handler. Immutable; attempts that run on it hold it, and
/// its machine code is unmapped when the last of them has ended.
pub struct Component {
    pub(crate) digest: [u8; 32],
    /// The start of the digest, as logs show it.
    pub(crate) version: Arc<str>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) instance: InstancePre<Context>,
    pub(crate) handler: handler::GuestIndices,
    pub(crate) migration: Option<migration::GuestIndices>,
    pub(crate) seen_labels: Arc<SeenLabels>,
    pub(crate) warm: Warm,
    /// What one call of the guest may hand to the host, in bytes.
    pub(crate) call_bytes_max: usize,
}

/// Hexadecimal digits of a digest that logs show.
const VERSION_DIGITS: usize = 12;

/// The short form of a digest.
pub(crate) fn version(digest: &[u8; 32]) -> Arc<str> {
    HEXLOWER.encode(&digest[..VERSION_DIGITS / 2]).into()
}

impl Component {
    /// SHA-256 of the WebAssembly bytes.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Whether it can bring older state to its own shape.
    pub fn has_migration(&self) -> bool {
        self.migration.is_some()
    }

    /// What it runs under.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("handler", &self.settings.handler)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        let (handler, version) = (&*self.settings.handler, &*self.version);
        tracing::debug!(handler, version, "component retired");
    }
}
