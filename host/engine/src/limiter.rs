//! Bounds on memory, tables and instances of one component instance.
//!
//! The sum over all linear memories is bounded, not each of them. A refused
//! growth is reported to the guest, which may cope; when it then traps, the
//! refusal is the cause that the fault names.

use wasmtime::ResourceLimiter;

/// Elements of all tables together. Interpreters need tens of thousands.
const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Core instances, memories and tables of a store. Components made from
/// Python are linked from some tens of core modules.
pub(crate) const INSTANCES_MAX: u32 = 200;
pub(crate) const MEMORIES_MAX: u32 = 8;
pub(crate) const TABLES_MAX: u32 = 64;

/// A growth that was not granted: what the sum would have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    MemoryBytes(usize),
    TableElements(usize),
}

/// Adds up what a store holds.
#[derive(Debug)]
pub(crate) struct Limiter {
    max_bytes: usize,
    bytes: usize,
    table_elements: usize,
    refused: Option<Refused>,
    /// What the latest granted growth added, to take back when it fails.
    granted: usize,
}

impl Limiter {
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
            bytes: 0,
            table_elements: 0,
            refused: None,
            granted: 0,
        }
    }

    /// Bytes in all linear memories; they never shrink.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether three quarters of the memory are taken.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.bytes > self.max_bytes / 4 * 3
    }

    /// The last growth of the attempt that was not granted.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused
    }

    /// Forgets a refusal that an earlier attempt survived.
    pub(crate) fn begin(&mut self) {
        self.refused = None;
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let sum = self.bytes.saturating_add(growth);
        let fits = sum <= self.max_bytes && maximum.is_none_or(|maximum| desired <= maximum);
        if fits {
            self.bytes = sum;
            self.granted = growth;
        } else {
            self.refused = Some(Refused::MemoryBytes(sum));
            self.granted = 0;
        }
        Ok(fits)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.bytes -= std::mem::take(&mut self.granted);
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let sum = self
            .table_elements
            .saturating_add(desired.saturating_sub(current));
        let fits = sum <= TABLE_ELEMENTS_MAX;
        if fits {
            self.table_elements = sum;
        } else {
            self.refused = Some(Refused::TableElements(sum));
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX as usize
    }

    fn tables(&self) -> usize {
        TABLES_MAX as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 64 << 10;

    fn grow(limiter: &mut Limiter, from: usize, to: usize) -> bool {
        limiter.memory_growing(from, to, None).expect("never fails")
    }

    #[test]
    fn two_memories_share_one_bound() {
        let mut limiter = Limiter::new(3 * PAGE as u64);
        assert!(grow(&mut limiter, 0, 2 * PAGE));
        assert!(!grow(&mut limiter, 0, 2 * PAGE));
        assert_eq!(limiter.refused(), Some(Refused::MemoryBytes(4 * PAGE)));
        assert!(grow(&mut limiter, 0, PAGE));
        assert_eq!(limiter.bytes(), 3 * PAGE);
    }

    #[test]
    fn a_growth_that_failed_below_is_given_back() {
        let mut limiter = Limiter::new(3 * PAGE as u64);
        assert!(grow(&mut limiter, 0, 2 * PAGE));
        limiter
            .memory_grow_failed(wasmtime::Error::msg("no memory"))
            .expect("never fails");
        assert_eq!(limiter.bytes(), 0);
    }

    #[test]
    fn tables_share_one_bound_too() {
        let mut limiter = Limiter::new(0);
        let mut grow = |to| limiter.table_growing(0, to, None).expect("never fails");
        assert!(grow(60_000));
        assert!(!grow(60_000));
        assert!(grow(40_000));
        assert_eq!(limiter.refused(), Some(Refused::TableElements(120_000)));
    }
}
