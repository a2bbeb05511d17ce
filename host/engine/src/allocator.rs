//! How instances get their memory, and the engine's settings.
//!
//! With a pool, a fresh instance costs microseconds. The pool reserves address
//! space ahead, which some places do not grant (a small `ulimit -v`, sandboxes,
//! processors with few address bits); there the engine allocates on demand, and
//! says so.

use std::num::NonZeroUsize;

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, Memory, MemoryType,
    PoolingAllocationConfig, Store, WasmBacktraceDetails,
};

use crate::error::Error;
use crate::limiter::{INSTANCES_MAX, MEMORIES_MAX, TABLES_MAX};
use crate::runtime::RuntimeConfig;

/// Where the memory of instances comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocator {
    /// Reserved ahead; a fresh instance is cheap.
    Pool,
    /// Asked from the system for each instance; about ten times slower.
    OnDemand,
}

/// The address space that the pool must be able to reserve, in bits.
const PROBE_BITS: u32 = 42;
const WASM_PAGE_BITS: u32 = 16;
const GUEST_STACK_BYTES: usize = 512 << 10;
const HOST_STACK_BYTES: usize = 1536 << 10;
const BACKTRACE_FRAMES: usize = 20;
/// Interpreters bring memory images of 8 to 12 MiB.
const IMAGE_BYTES_MAX: u64 = 64 << 20;
/// Memory that a free slot keeps, so that the next instance faults in less.
/// Bounds what an idle host holds: warm slots times pages that were touched.
const KEEP_MEMORY_BYTES: usize = 4 << 20;
const KEEP_TABLE_BYTES: usize = 1 << 20;
const WARM_SLOTS_MAX: u32 = 64;
const TABLE_ELEMENTS_MAX: usize = 100_000;
const INSTANCE_BYTES_MAX: usize = 10 << 20;
/// Stacks are taken for a moment by starts that run beside full slots.
const SPARE_STACKS: u32 = 16;

/// Makes the engine, with a pool where that works.
///
/// # Errors
///
/// [`Error::Engine`] when wasmtime refuses the settings on this machine.
pub(crate) fn engine(settings: &RuntimeConfig) -> Result<(Engine, Allocator), Error> {
    if has_address_space() {
        let mut config = config()?;
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(settings)));
        match Engine::new(&config) {
            Ok(engine) => return Ok((engine, Allocator::Pool)),
            Err(error) => tracing::warn!(error = %format!("{error:#}"), "no instance pool"),
        }
    }
    tracing::warn!("instances are allocated on demand: too little address space for a pool");
    let engine = Engine::new(&config()?).map_err(refused)?;
    Ok((engine, Allocator::OnDemand))
}

fn config() -> Result<Config, Error> {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .wasm_component_model(true)
        .memory_init_cow(true)
        .memory_guaranteed_dense_image_size(IMAGE_BYTES_MAX)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .async_stack_size(GUEST_STACK_BYTES + HOST_STACK_BYTES)
        // Quadratic where many components come and go, and only for debuggers.
        .native_unwind_info(false)
        .generate_address_map(true)
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES))
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        // One result on every processor, so that replay can be compared.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // A component that is being loaded must not take all processors.
        .parallel_compilation(false);
    Ok(config)
}

fn pool(settings: &RuntimeConfig) -> PoolingAllocationConfig {
    let stores = settings.max_instances + settings.max_warm;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(stores)
        .total_core_instances(stores.saturating_mul(INSTANCES_MAX))
        .total_memories(stores.saturating_mul(2))
        .total_tables(stores.saturating_mul(4))
        .total_stacks(stores + SPARE_STACKS)
        .max_core_instances_per_component(INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_memories_per_module(2)
        .max_tables_per_module(2)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .max_component_instance_size(INSTANCE_BYTES_MAX)
        .max_memory_size(usize::try_from(settings.max_memory_bytes).unwrap_or(usize::MAX))
        .linear_memory_keep_resident(KEEP_MEMORY_BYTES)
        .table_keep_resident(KEEP_TABLE_BYTES)
        .max_unused_warm_slots(WARM_SLOTS_MAX.min(stores))
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Reserves as much as a pool would, and gives it back.
fn has_address_space() -> bool {
    let mut config = Config::new();
    config
        .wasm_memory64(true)
        .memory_reservation(1 << PROBE_BITS);
    let probe = Engine::new(&config).and_then(|engine| {
        let pages = 1 << (PROBE_BITS - WASM_PAGE_BITS);
        Memory::new(Store::new(&engine, ()), MemoryType::new64(0, Some(pages)))
    });
    probe.is_ok()
}

fn refused(error: wasmtime::Error) -> Error {
    Error::Engine {
        reason: format!("{error:#}"),
    }
}
