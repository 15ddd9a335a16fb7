// SPDX-License-Identifier: GPL-2.0-only
//! Pseudo-locking: memory that is read into a part of a cache which nobody else may fill, so that it stays there.
//!
//! The file system decides which part and when, an [`Arch`](crate::Arch) knows how a cache is filled with nothing but the
//! memory, and a [`Platform`](crate::Platform) has the memory, the thread that reads it, and what users reach it by. What a
//! platform gives out for a region is a value each, and dropping the value takes it back.

use crate::context::IrqOff;
use crate::errno::Errno;
use crate::platform::CacheLevel;

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

/// Performance monitoring events, as the processor numbers them (unit mask in bits 15:8, event in 7:0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPair {
    /// Answered by the cache, or asked of it.
    pub hits: u64,
    /// Not answered by it.
    pub misses: u64,
}
