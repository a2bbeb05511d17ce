//! A component started in a store of its own, under its limits.

use std::sync::Arc;

use tokio::task::yield_now;
use wasmtime::component::Instance as Raw;
use wasmtime::{Store, StoreContextMut, UpdateDeadline};

use crate::bindings::{handler, migration};
use crate::component::Component;
use crate::context::{Context, Desk, Scene};

/// Component-model handles that an instance may hold at once.
const HANDLES_MAX: usize = 1024;

/// A store, and what runs in it once it has been started.
pub(crate) struct Instance {
    pub(crate) store: Store<Context>,
    pub(crate) exports: Option<Exports>,
    /// How many events it has handled.
    pub(crate) events: u32,
}

/// What the host calls.
#[derive(Clone)]
pub(crate) struct Exports {
    pub(crate) handler: handler::Guest,
    pub(crate) migration: Option<migration::Guest>,
}

/// The guest used more CPU time than `limits.cpu_time`.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the CPU time of the attempt is used up")]
pub(crate) struct CpuTimeUsedUp;

impl Instance {
    /// A store with every bound in place, and nothing in it.
    pub(crate) fn new(component: &Component, desk: Arc<Desk>, scene: Scene, seed: u128) -> Self {
        let context = Context::new(component, desk, scene, seed);
        let mut store = Store::new(component.instance.engine(), context);
        store.limiter(|context| &mut context.limiter);
        store.set_hostcall_fuel(component.call_bytes_max);
        store.set_max_component_handles(HANDLES_MAX);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(tick);
        Self {
            store,
            exports: None,
            events: 0,
        }
    }

    /// What the host calls, after starting the component if it has not been.
    ///
    /// # Errors
    ///
    /// A trap of the guest, a limit, or no room in the pool.
    pub(crate) async fn started(&mut self, component: &Component) -> wasmtime::Result<Exports> {
        if let Some(exports) = &self.exports {
            return Ok(exports.clone());
        }
        let raw = self.instantiate(component).await?;
        let exports = self.exports(component, &raw)?;
        self.exports = Some(exports.clone());
        Ok(exports)
    }

    /// Runs core start functions and initialisers.
    pub(crate) async fn instantiate(&mut self, component: &Component) -> wasmtime::Result<Raw> {
        component.instance.instantiate_async(&mut self.store).await
    }

    /// Finds the exports and checks their types.
    pub(crate) fn exports(
        &mut self,
        component: &Component,
        raw: &Raw,
    ) -> wasmtime::Result<Exports> {
        let handler = component.handler.load(&mut self.store, raw)?;
        let migration = match &component.migration {
            Some(indices) => Some(indices.load(&mut self.store, raw)?),
            None => None,
        };
        Ok(Exports { handler, migration })
    }
}

/// Runs at the first check in guest code after each tick: lets others run, and
/// ends a guest that has used up its CPU time.
fn tick(store: StoreContextMut<'_, Context>) -> wasmtime::Result<UpdateDeadline> {
    let context = store.data();
    if context.desk.meter.spent_at_tick() > context.settings.limits.cpu_time {
        return Err(CpuTimeUsedUp.into());
    }
    Ok(UpdateDeadline::YieldCustom(1, Box::pin(yield_now())))
}
