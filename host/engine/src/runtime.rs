//! The engine of the process: one of it, shared by all handlers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime::{Engine, EngineWeak};

use crate::allocator::{self, Allocator};
use crate::cache::Cache;
use crate::context::Context;
use crate::error::Error;
use crate::guest;
use crate::warm::{Allowance, Held};

/// How often a running guest lets others run, and how finely its CPU time is
/// looked at. Guest code checks for it at every loop and function entry.
const TICK: Duration = Duration::from_millis(5);

/// Bounds of the whole process.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// Attempts that run at once; more wait for a free instance.
    pub max_instances: u32,
    /// Instances that may wait for another event, of handlers with
    /// `instance = "reuse"`, all together.
    pub max_warm: u32,
    /// Linear memories of the instances that wait, in bytes, all together.
    pub max_warm_bytes: u64,
    /// The largest component that is loaded, in bytes.
    pub max_component_bytes: u64,
    /// The largest `limits.memory` of a handler, in bytes; at most 4 GiB.
    pub max_memory_bytes: u64,
    /// Where compiled components are kept; none: compiled at every start.
    pub cache_dir: Option<PathBuf>,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            max_instances: 256,
            max_warm: 64,
            max_warm_bytes: 256 << 20,
            max_component_bytes: 64 << 20,
            max_memory_bytes: 512 << 20,
            cache_dir: None,
        }
    }
}

/// Runs components. Cheap to share behind an `Arc`; one is enough.
pub struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Context>,
    pub(crate) slots: Semaphore,
    /// The turn of a large component to be compiled.
    pub(crate) compiling: Arc<Semaphore>,
    pub(crate) allowance: Arc<Allowance>,
    pub(crate) cache: Option<Cache>,
    pub(crate) config: RuntimeConfig,
    allocator: Allocator,
    _ticker: Ticker,
}

impl Runtime {
    /// Sets the engine up and starts its ticker.
    ///
    /// # Errors
    ///
    /// What of the machine or the configuration keeps it from starting.
    pub fn new(config: RuntimeConfig) -> Result<Self, Error> {
        let (engine, allocator) = allocator::engine(&config)?;
        let mut linker = Linker::new(&engine);
        guest::link(&mut linker).map_err(|error| Error::Engine {
            reason: format!("{error:#}"),
        })?;
        let cache = match &config.cache_dir {
            Some(directory) => Some(Cache::open(directory, &engine)?),
            None => None,
        };
        Ok(Self {
            _ticker: Ticker::start(engine.weak())?,
            slots: Semaphore::new(config.max_instances as usize),
            compiling: Arc::new(Semaphore::new(1)),
            allowance: Allowance::new(Held {
                instances: config.max_warm,
                bytes: config.max_warm_bytes,
            }),
            engine,
            linker,
            cache,
            config,
            allocator,
        })
    }

    /// The engine itself, for what is to be measured under the same settings.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where instances get their memory from.
    pub fn allocator(&self) -> Allocator {
        self.allocator
    }

    /// What the process holds at this moment.
    pub fn usage(&self) -> Usage {
        let free = u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX);
        Usage {
            max: self.config.max_instances,
            running: self.config.max_instances.saturating_sub(free),
            warm: self.allowance.waiting(),
            pooled: self
                .engine
                .pooling_allocator_metrics()
                .map(|pool| pool.component_instances()),
        }
    }
}

/// Instances in the process, for gauges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Slots that there are, besides warm instances.
    pub max: u32,
    /// Attempts and trial starts that hold a slot.
    pub running: u32,
    /// Instances that wait for another event.
    pub warm: u32,
    /// Instances that the pool counts: running and warm. None without a pool.
    pub pooled: Option<u64>,
}

/// The thread that moves the engine's epoch. A thread, not a task: guests that
/// spin on every worker must not be able to stop it.
struct Ticker {
    _stop: mpsc::Sender<()>,
}

impl Ticker {
    fn start(engine: EngineWeak) -> Result<Self, Error> {
        let (stop, stopped) = mpsc::channel();
        thread::Builder::new()
            .name("wharf-epoch".to_owned())
            .spawn(move || tick(&engine, &stopped))
            .map_err(Error::Ticker)?;
        Ok(Self { _stop: stop })
    }
}

/// Ends when the runtime is gone, or the engine.
fn tick(engine: &EngineWeak, stopped: &mpsc::Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
        let Some(engine) = engine.upgrade() else {
            return;
        };
        engine.increment_epoch();
    }
}
