// SPDX-License-Identifier: GPL-2.0-only
//! Pseudo-locking: memory that is read into a part of a cache which nobody else may fill, so that it stays there.
//!
//! The file system decides which part and when, an [`Arch`](crate::Arch) knows how a cache is filled with nothing but the
//! memory, and a [`Platform`](crate::Platform) that has [`PseudoLocking`] has the memory, the thread that reads it, and what
//! users reach it by. What it gives out for a region is a value each, and dropping the value takes it back.

use crate::cache::CacheLevel;
use crate::context::{CpusHeld, IrqOff, Pinned};
use crate::errno::{Errno, Result};
use crate::ids::CpuId;

/// The memory of a region: in one piece, and zero when it was made. Dropping it frees it; nobody may have it mapped then.
pub trait LockMemory: Send + Sync + 'static {
    /// Bytes.
    fn size(&self) -> u32;

    /// Reads a word at each multiple of `stride` bytes, in ascending order. No reading starts before the last one has ended,
    /// not even speculatively, and as little else as possible is touched: what is touched may be what gets locked.
    /// A `stride` of 0 reads nothing.
    fn read(&self, here: IrqOff<'_>, stride: u32);

    /// Reads the word at `offset`, a multiple of 4 below the size, and gives how many cycles of the time stamp counter it
    /// took.
    fn time_read(&self, here: IrqOff<'_>, offset: u32) -> u32;

    /// Makes zeros of `len` bytes from `offset` on, which are within the size.
    fn clear(&self, offset: u32, len: u32);
}

/// Why a CPU cannot be kept from sleeping deeply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatencyError {
    /// Out of memory.
    NoMemory,
    /// The kernel refused.
    Refused,
}

/// Why a thread has not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadError {
    /// It could not be made.
    Creation(Errno),
    /// A signal came for the caller before the thread had begun.
    Interrupted,
}

/// What a thread of pseudo-locking is for, and so what it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadKind {
    /// Reads a region into the cache: `pseudo_lock/CPU`.
    Lock,
    /// Measures: `pseudo_lock_measure/CPU`.
    Measure,
}

/// What is measured of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// How long each reading takes.
    Latency,
    /// How many readings the cache of this level answers.
    Residency(CacheLevel),
}

/// What a measurement has found: the kernel's tracepoints of the system `resctrl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// `pseudo_lock_mem_latency`: cycles of one reading.
    Latency(u32),
    /// `pseudo_lock_l2` or `pseudo_lock_l3`.
    Residency {
        /// Of which cache.
        level: CacheLevel,
        /// Readings that it answered.
        hits: u64,
        /// Readings that went further.
        misses: u64,
    },
}

/// Performance monitoring events to be counted side by side, as the processor numbers them (unit mask in bits 15:8, event in 7:0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPair {
    /// Answered by the cache, or asked of it.
    pub hits: u64,
    /// Not answered by it.
    pub misses: u64,
}

/// How often the two events of an [`EventPair`] have happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The first event.
    pub hits: u64,
    /// The second.
    pub misses: u64,
}

/// What a kernel does for pseudo-locking, beside [`Platform`](crate::Platform).
///
/// Methods without an `# Errors` section cannot fail. None may be called with interrupts off unless it says so.
pub trait PseudoLocking: Sized + Send + Sync + 'static {
    /// Memory that is locked into a cache.
    type Memory: LockMemory;
    /// That a CPU does not sleep deeply, for as long as this lives.
    type LatencyLimit: Send + Sync + 'static;
    /// The device and the debugfs directory of a pseudo-locked region. Dropping it removes them and waits for everybody who
    /// is in a function of the directory; so it is dropped without a lock of resctrl.
    type Nodes: Send + 'static;
    /// Two counters of one CPU, which count an event each for as long as this lives.
    type Counters: Sync;

    /// Bytes of a line of the cache of this level that an online `cpu` uses; `None` when the kernel does not know.
    fn cache_line(&self, cpu: CpuId, level: CacheLevel) -> Option<u32>;

    /// Bytes of the largest memory that [`PseudoLocking::memory`] may give.
    fn max_memory(&self) -> u32;

    /// Memory of `size` bytes, at least 1, for a region.
    ///
    /// # Errors
    /// `ENOMEM`.
    fn memory(&self, size: u32) -> Result<Self::Memory>;

    /// Keeps `cpu` from sleeping so deeply that its caches are flushed: resume latency at most 30 microseconds.
    ///
    /// # Errors
    /// See [`LatencyError`].
    fn limit_latency(&self, cpu: CpuId) -> Result<Self::LatencyLimit, LatencyError>;

    /// Makes the device `/dev/pseudo_lock/NAME` with this minor number, for root alone, and beside it
    /// `debugfs/resctrl/NAME/pseudo_lock_measure`, to do without where debugfs fails. May be called with the rdtgroup mutex
    /// held.
    ///
    /// # Errors
    /// Those of making a device.
    fn nodes(&self, minor: u32, name: &[u8]) -> Result<Self::Nodes>;

    /// Runs `f` once in a new thread bound to `cpu`, and waits; a signal ends the waiting only if the thread has not begun.
    /// May be called with the rdtgroup mutex held. `f` may sleep but takes no lock of resctrl.
    ///
    /// # Errors
    /// See [`ThreadError`]; `f` has then not run and will not.
    fn run_thread(
        &self,
        cpus: CpusHeld<'_>,
        cpu: CpuId,
        kind: ThreadKind,
        f: &mut (dyn FnMut(Pinned<'_>) + Send),
    ) -> Result<(), ThreadError>;

    /// Runs `f` here with interrupts off.
    fn irqs_off(&self, here: Pinned<'_>, f: &mut dyn FnMut(IrqOff<'_>));

    /// Has this CPU count what happens in the kernel; `None` where these events cannot be counted.
    fn counters(&self, here: Pinned<'_>, events: EventPair) -> Option<Self::Counters>;

    /// Reads `memory` as [`LockMemory::read`] does, and the counters right before and right after that: between the two
    /// there is nothing but the readings of the memory. `None` where the counters do not count on this CPU now.
    fn count_reads(
        &self,
        here: IrqOff<'_>,
        counters: &Self::Counters,
        memory: &Self::Memory,
        stride: u32,
    ) -> Option<Counts>;

    /// Tells who traces. Callable with interrupts off.
    fn trace(&self, trace: Trace);
}

/// The [`PseudoLocking`] of a platform that has none, and of each thing that it would give out: there are no such values.
#[derive(Clone, Copy, Debug)]
pub enum NoPseudoLocking {}

impl LockMemory for NoPseudoLocking {
    fn size(&self) -> u32 {
        match *self {}
    }

    fn read(&self, _: IrqOff<'_>, _: u32) {
        match *self {}
    }

    fn time_read(&self, _: IrqOff<'_>, _: u32) -> u32 {
        match *self {}
    }

    fn clear(&self, _: u32, _: u32) {
        match *self {}
    }
}

impl PseudoLocking for NoPseudoLocking {
    type Memory = Self;
    type LatencyLimit = Self;
    type Nodes = Self;
    type Counters = Self;

    fn cache_line(&self, _: CpuId, _: CacheLevel) -> Option<u32> {
        match *self {}
    }

    fn max_memory(&self) -> u32 {
        match *self {}
    }

    fn memory(&self, _: u32) -> Result<Self> {
        match *self {}
    }

    fn limit_latency(&self, _: CpuId) -> Result<Self, LatencyError> {
        match *self {}
    }

    fn nodes(&self, _: u32, _: &[u8]) -> Result<Self> {
        match *self {}
    }

    fn run_thread(
        &self,
        _: CpusHeld<'_>,
        _: CpuId,
        _: ThreadKind,
        _: &mut (dyn FnMut(Pinned<'_>) + Send),
    ) -> Result<(), ThreadError> {
        match *self {}
    }

    fn irqs_off(&self, _: Pinned<'_>, _: &mut dyn FnMut(IrqOff<'_>)) {
        match *self {}
    }

    fn counters(&self, _: Pinned<'_>, _: EventPair) -> Option<Self> {
        match *self {}
    }

    fn count_reads(&self, _: IrqOff<'_>, _: &Self, _: &Self, _: u32) -> Option<Counts> {
        match *self {}
    }

    fn trace(&self, _: Trace) {
        match *self {}
    }
}
