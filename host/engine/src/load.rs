//! From bytes to a component that may see events.
//!
//! Every check is made here, off the event path, so that a version which is
//! not fit to run never replaces one that is. Compiling happens on a thread of
//! its own.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use wasmtime::Engine;
use wasmtime::component::{Component as Compiled, InstancePre};
use wharf_core::limits::Limits;
use wharf_core::outcome::Outcome;

use crate::bindings::{handler, migration};
use crate::cache::Cache;
use crate::component::{Component, Settings, version};
use crate::context::{Context, Desk, Scene};
use crate::interfaces;
use crate::invoke;
use crate::journal::Journal;
use crate::runtime::Runtime;
use crate::start::Instance;
use crate::warm::Warm;

pub use self::refusal::LoadError;

mod refusal;

pub(crate) const HANDLER: &str = "wharf:handler/handler@0.1.0";

const MAGIC: &[u8] = b"\0asm";
const CORE_MODULE: &[u8] = &[1, 0, 0, 0];
/// Beside what the limits allow: names, texts and the records around them.
const CALL_BYTES_SLACK: u64 = 1 << 20;
const EMISSION_RECORD_BYTES: u64 = 512;
/// Larger components are compiled one after another: it takes some twenty times
/// their size in memory, 320 MiB for an interpreter of 18 MiB.
const LARGE_BYTES: usize = 4 << 20;

impl Runtime {
    /// Compiles and checks a component, and starts it once for trial.
    ///
    /// # Errors
    ///
    /// Why this host does not run it; each case says what to do.
    ///
    /// # Cancel safety
    ///
    /// A dropped load leaves nothing behind but a compilation that runs to its
    /// end and fills the cache.
    pub async fn load(
        &self,
        wasm: impl Into<Bytes>,
        settings: Settings,
    ) -> Result<Arc<Component>, LoadError> {
        let wasm = wasm.into();
        self.check_settings(&settings.limits)?;
        check_header(&wasm, self.config.max_component_bytes)?;
        let digest: [u8; 32] = Sha256::digest(&wasm).into();
        let compiled = self.compiled(digest, wasm).await?;
        let component = Arc::new(self.resolve(digest, &compiled, settings)?);
        self.try_start(&component).await?;
        Ok(component)
    }

    fn check_settings(&self, limits: &Limits) -> Result<(), LoadError> {
        let (asked, max) = (limits.memory_bytes, self.config.max_memory_bytes);
        if asked > max {
            Err(LoadError::MemoryLimit { asked, max })
        } else {
            Ok(())
        }
    }

    async fn compiled(&self, digest: [u8; 32], wasm: Bytes) -> Result<Compiled, LoadError> {
        let (engine, cache) = (self.engine.clone(), self.cache.clone());
        let found = spawn_blocking(move || kept(&engine, cache.as_ref(), &digest)).await;
        if let Some(compiled) = found.map_err(host)? {
            return Ok(compiled);
        }
        let (engine, cache) = (self.engine.clone(), self.cache.clone());
        // It lasts as long as the compiler runs, also when nobody waits for that
        // any more.
        let turn = match wasm.len() > LARGE_BYTES {
            true => Some(self.compiling.clone().acquire_owned().await.map_err(host)?),
            false => None,
        };
        let compiled = spawn_blocking(move || {
            // Before it was this one's turn, another may have compiled the same.
            let meanwhile = turn
                .as_ref()
                .and_then(|_| kept(&engine, cache.as_ref(), &digest));
            meanwhile.map_or_else(|| compile(&engine, cache.as_ref(), &digest, &wasm), Ok)
        });
        compiled.await.map_err(host)?
    }

    /// Finds everything that the component imports and exports.
    fn resolve(
        &self,
        digest: [u8; 32],
        compiled: &Compiled,
        settings: Settings,
    ) -> Result<Component, LoadError> {
        let instance = self.linker.instantiate_pre(compiled).map_err(|error| {
            let ty = compiled.component_type();
            let names = interfaces::unknown(ty.imports(&self.engine).map(|(name, _)| name));
            match names.is_empty() {
                true => LoadError::ImportShape {
                    detail: format!("{error:#}"),
                },
                false => LoadError::UnknownImports { names },
            }
        })?;
        Ok(Component {
            digest,
            version: version(&digest),
            handler: handler_export(&instance)?,
            migration: migration::GuestIndices::new(&instance).ok(),
            call_bytes_max: call_bytes_max(&settings.limits),
            settings: Arc::new(settings),
            instance,
            seen_labels: Arc::default(),
            warm: Warm::new(Arc::clone(&self.allowance)),
        })
    }

    /// Starts the component once, with its limits and without an event.
    async fn try_start(&self, component: &Component) -> Result<(), LoadError> {
        let slot = self.slots.acquire().await;
        let _slot = slot.map_err(host)?;
        let settings = &component.settings;
        let desk = Desk::new(Journal::new(None, settings.limits.log_bytes), 0, "");
        let mut trial = Instance::new(component, Arc::clone(&desk), Scene::default(), 0);
        let mut typed = Ok(());
        let never = CancellationToken::new();
        let ended = {
            let start = pin!(async {
                let raw = trial
                    .instantiate(component)
                    .await
                    .map_err(invoke::Ended::start)?;
                typed = trial.exports(component, &raw).map(|_| ());
                Ok(())
            });
            invoke::bounded(&desk, &settings.limits, &never, start).await
        };
        match ended {
            Ok(()) => typed.map_err(|error| LoadError::ExportShape {
                detail: format!("{error:#}"),
            }),
            Err(ended) => Err(refused_start(invoke::classified(&trial, ended))),
        }
    }
}

pub(crate) fn check_header(wasm: &[u8], max: u64) -> Result<(), LoadError> {
    let bytes = wasm.len() as u64;
    if bytes > max {
        return Err(LoadError::TooLarge { bytes, max });
    }
    match wasm.strip_prefix(MAGIC) {
        None => Err(LoadError::NotWasm),
        Some(rest) if rest.starts_with(CORE_MODULE) => Err(LoadError::CoreModule),
        Some(_) => Ok(()),
    }
}

fn host(error: impl ToString) -> LoadError {
    LoadError::Host {
        reason: error.to_string(),
    }
}

/// What an earlier compilation left.
fn kept(engine: &Engine, cache: Option<&Cache>, digest: &[u8; 32]) -> Option<Compiled> {
    let code = cache?.read(digest)?;
    trusted(engine, &code)
}

fn compile(
    engine: &Engine,
    cache: Option<&Cache>,
    digest: &[u8; 32],
    wasm: &[u8],
) -> Result<Compiled, LoadError> {
    let invalid = |error: wasmtime::Error| LoadError::Invalid {
        detail: format!("{error:#}"),
    };
    let compiled = Compiled::from_binary(engine, wasm).map_err(invalid)?;
    if let Some(cache) = cache {
        match compiled.serialize() {
            Ok(code) => cache.write(digest, &code),
            Err(error) => tracing::warn!(%error, "a compiled component cannot be kept"),
        }
    }
    Ok(compiled)
}

/// Maps code that this host compiled before. None when the engine refuses it.
#[expect(
    unsafe_code,
    reason = "there is no safe way to run code that was compiled earlier"
)]
fn trusted(engine: &Engine, code: &[u8]) -> Option<Compiled> {
    // SAFETY: the bytes come from `Cache::read`, which hands out only what this
    // host's own `Component::serialize` wrote: into a directory that no other
    // user can write, under a name made of the engine's full version and
    // options, and with a hash that was just checked. They are copied, so a
    // later change of the file has no effect.
    let compiled = unsafe { Compiled::deserialize(engine, code) };
    compiled
        .inspect_err(|error| tracing::warn!(%error, "a kept component is compiled again"))
        .ok()
}

fn handler_export(instance: &InstancePre<Context>) -> Result<handler::GuestIndices, LoadError> {
    handler::GuestIndices::new(instance).map_err(|_| {
        let component = instance.component();
        let ty = component.component_type();
        let exports = ty
            .exports(component.engine())
            .map(|(name, _)| name.to_owned())
            .collect();
        LoadError::MissingExport {
            wanted: HANDLER,
            exports,
        }
    })
}

/// What one call may carry from the guest to the host: the largest thing that
/// a limit allows, so that a limit's own refusal is the one that is met first.
fn call_bytes_max(limits: &Limits) -> usize {
    let records = u64::from(limits.emits) * EMISSION_RECORD_BYTES;
    let effects = limits.state_bytes + limits.emit_bytes + records;
    let largest = effects.max(limits.request_bytes).max(limits.log_bytes);
    usize::try_from(largest + CALL_BYTES_SLACK).unwrap_or(usize::MAX)
}

fn refused_start(outcome: Outcome) -> LoadError {
    match outcome {
        Outcome::GuestFault(fault) => LoadError::Start { fault },
        Outcome::HostFault(fault) => LoadError::Host {
            reason: fault.message,
        },
        Outcome::Done(_) | Outcome::Failed(_) | Outcome::Cancelled => LoadError::Host {
            reason: "the trial start was ended".to_owned(),
        },
    }
}
