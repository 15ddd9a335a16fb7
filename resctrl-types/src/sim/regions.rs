// SPDX-License-Identifier: GPL-2.0-only
//! What pseudo-locked regions have of the simulated kernel, as far as it is data.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use crate::errno::Errno;
use crate::ids::CpuId;
use crate::pseudo_lock::{Counts, Trace};

/// What the simulated kernel says no to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Keeping a CPU from sleeping deeply.
    Latency,
    /// Making a thread, with this error.
    Thread(Errno),
    /// Waiting for a thread: a signal comes first.
    Wait,
    /// Making a device, with this error.
    Device(Errno),
    /// Saying how long a cache line is.
    CacheLine,
    /// Counting events at all.
    Counters,
    /// Counting events on a CPU now: somebody else has its counters.
    Counting,
}

/// What regions have of the simulated kernel at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionCounts {
    /// Pieces of memory.
    pub memories: usize,
    /// CPUs that may not sleep deeply, each as often as it was asked for.
    pub limits: usize,
    /// Devices with their directories.
    pub nodes: usize,
}

/// Readings of a region's memory: from which CPU and by which stride.
pub type Reading = (CpuId, u32);

#[derive(Default)]
pub(super) struct Regions {
    pub(super) memories: usize,
    pub(super) limits: usize,
    pub(super) nodes: BTreeMap<u32, Vec<u8>>,
    pub(super) refusal: Option<Refusal>,
    pub(super) traces: Vec<Trace>,
    pub(super) readings: Vec<Reading>,
    /// What a counter of the processor shows of either event: everything that has happened, not only what a region is for.
    pub(super) hits: u64,
    pub(super) misses: u64,
}

/// What the processor does on the way into a section with interrupts off, and out of it: events like any others.
const NOISE: (u64, u64) = (1000, 100);

impl Regions {
    pub(super) fn noise(&mut self) {
        self.hits += NOISE.0;
        self.misses += NOISE.1;
    }

    pub(super) const fn counts(&self) -> Counts {
        Counts { hits: self.hits, misses: self.misses }
    }
}

/// Shared by the platform and by what it has given out.
pub(super) type Shared = Arc<Mutex<Regions>>;

pub(super) fn open(shared: &Shared) -> MutexGuard<'_, Regions> {
    // Never held across a switch; poisoned only by a failing check, whose panic is the news.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
