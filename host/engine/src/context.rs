//! What one component instance sees of the host.
//!
//! The data of a wasmtime store. WASI stands on it with everything denied: no
//! environment, arguments, files, sockets or input; the wall clock stands at
//! the event's `now-ms`; random numbers follow from the event. An instance that
//! is used again keeps its WASI part, since a guest holds handles into it, and
//! gets another [`Scene`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::TryRng;
use tokio::time::Instant;
use wasmtime_wasi::{HostWallClock, ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wharf_core::contract::Event;
use wharf_core::outcome::Call;

use crate::component::{Component, Settings};
use crate::journal::Journal;
use crate::limiter::Limiter;
use crate::meter::Meter;
use crate::observations::{Observations, SeenLabels};
use crate::outbound::trace::{Exchange, Trace};
use crate::random::Stream;
use crate::stdio::Stdio;

/// Host resources (streams, pollables) that an instance may hold at once.
const RESOURCES_MAX: usize = 1024;
/// The most random bytes of one call.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// The data of one store.
pub(crate) struct Context {
    /// Made when the guest first asks for it: most never do.
    wasi: Option<WasiCtx>,
    wasi_seed: u128,
    table: ResourceTable,
    pub(crate) limiter: Limiter,
    pub(crate) desk: Arc<Desk>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) seen_labels: Arc<SeenLabels>,
    pub(crate) scene: Scene,
}

/// What belongs to one attempt.
#[derive(Debug, Default)]
pub(crate) struct Scene {
    /// None during the trial start: there is no event then.
    pub(crate) subject: Option<Subject>,
    pub(crate) calls: Vec<Call>,
    /// Those of the calls that went out, when somebody records the trace.
    pub(crate) exchanges: Vec<Exchange>,
    /// How often each equal call was sent before, for derived keys.
    pub(crate) sent: BTreeMap<(String, String, String), u32>,
    pub(crate) observations: Observations,
}

/// The event that an attempt is about, and how long it may take.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) event: Arc<Event>,
    pub(crate) lineage: Arc<str>,
    pub(crate) trace: Trace,
    pub(crate) deadline: Instant,
}

/// What the host's half of WASI shares with the attempt: the objects that WASI
/// owns cannot be reached through the store.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) meter: Meter,
    now_ms: AtomicU64,
    journal: Mutex<Journal>,
    secure: Mutex<Stream>,
    insecure: Mutex<Stream>,
}

impl Desk {
    pub(crate) fn new(journal: Journal, now_ms: u64, seed: &str) -> Arc<Self> {
        Arc::new(Self {
            meter: Meter::new(),
            now_ms: AtomicU64::new(now_ms),
            journal: Mutex::new(journal),
            secure: Mutex::new(Stream::new("secure", seed)),
            insecure: Mutex::new(Stream::new("insecure", seed)),
        })
    }

    /// Makes a used desk ready for another attempt.
    pub(crate) fn clear(&self, journal: Journal, now_ms: u64, seed: &str) {
        self.meter.reset();
        self.now_ms.store(now_ms, Relaxed);
        *self.journal() = journal;
        *locked(&self.secure) = Stream::new("secure", seed);
        *locked(&self.insecure) = Stream::new("insecure", seed);
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        locked(&self.journal)
    }
}

impl Context {
    pub(crate) fn new(component: &Component, desk: Arc<Desk>, scene: Scene, seed: u128) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        Self {
            wasi: None,
            wasi_seed: seed,
            table,
            limiter: Limiter::new(component.settings.limits.memory_bytes),
            desk,
            settings: Arc::clone(&component.settings),
            seen_labels: Arc::clone(&component.seen_labels),
            scene,
        }
    }
}

impl WasiView for Context {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self {
            wasi,
            wasi_seed,
            desk,
            table,
            ..
        } = self;
        WasiCtxView {
            ctx: wasi.get_or_insert_with(|| self::wasi(desk, *wasi_seed)),
            table,
        }
    }
}

fn wasi(desk: &Arc<Desk>, seed: u128) -> WasiCtx {
    WasiCtxBuilder::new()
        .stdout(Stdio::stdout(desk))
        .stderr(Stdio::stderr(desk))
        .wall_clock(StandingClock(Arc::clone(desk)))
        .secure_random(Random {
            desk: Arc::clone(desk),
            pick: |desk| &desk.secure,
        })
        .insecure_random(Random {
            desk: Arc::clone(desk),
            pick: |desk| &desk.insecure,
        })
        .insecure_random_seed(seed)
        .max_random_size(RANDOM_BYTES_MAX)
        .allow_tcp(false)
        .allow_udp(false)
        .build()
}

/// A wall clock that does not move during an attempt.
struct StandingClock(Arc<Desk>);

impl HostWallClock for StandingClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now_ms.load(Relaxed))
    }
}

/// One of the desk's two streams of random numbers.
struct Random {
    desk: Arc<Desk>,
    pick: fn(&Desk) -> &Mutex<Stream>,
}

impl Random {
    fn stream(&self) -> MutexGuard<'_, Stream> {
        locked((self.pick)(&self.desk))
    }
}

impl TryRng for Random {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.stream().try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.stream().try_next_u64()
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        self.stream().try_fill_bytes(out)
    }
}

/// Nothing that is guarded here can be left half changed by a panic.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
