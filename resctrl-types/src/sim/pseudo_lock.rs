// SPDX-License-Identifier: GPL-2.0-only
//! What the simulated kernel gives out for pseudo-locked regions, all of it counted, and how it refuses on demand.

use std::vec::Vec;

use crate::cache::CacheLevel;
use crate::context::{CpusHeld, IrqOff, Pinned};
use crate::errno::{Errno, Result};
use crate::ids::CpuId;
use crate::platform::Platform;
use crate::pseudo_lock::{Counts, EventPair, LatencyError, LockMemory, PseudoLocking, ThreadError, ThreadKind, Trace};

use super::fault;
use super::platform::SimPlatform;
use super::regions::{Reading, Refusal, RegionCounts, Shared, open};
use super::thread::{Place, Thread, on_cpu, preemption_point};

/// Bytes of a cache line.
const CACHE_LINE: u32 = 64;
/// Bytes of the largest piece of memory: KMALLOC_MAX_SIZE.
const MAX_MEMORY: u32 = 4 << 20;

/// Memory of the simulated kernel, which holds nothing but remembers how it is read.
pub struct SimLockMemory {
    size: u32,
    shared: Shared,
}

impl LockMemory for SimLockMemory {
    fn size(&self) -> u32 {
        self.size
    }

    fn read(&self, here: IrqOff<'_>, stride: u32) {
        assert_eq!(Thread::current().cpu(), Some(here.cpu()), "the proof of another CPU");
        let mut regions = open(&self.shared);
        regions.readings.push((here.cpu(), stride));
        // Everything is answered by the cache.
        regions.hits += self.size.checked_div(stride).map_or(0, u64::from);
    }

    fn time_read(&self, _here: IrqOff<'_>, offset: u32) -> u32 {
        assert!(offset < self.size && offset.is_multiple_of(4), "offset {offset} of {}", self.size);
        40
    }

    fn clear(&self, offset: u32, len: u32) {
        assert!(u64::from(offset) + u64::from(len) <= u64::from(self.size), "{len} bytes from {offset}");
    }
}

impl Drop for SimLockMemory {
    fn drop(&mut self) {
        open(&self.shared).memories -= 1;
    }
}

/// A CPU that does not sleep deeply.
#[must_use = "dropped at once, the CPU sleeps as it likes"]
pub struct SimLatencyLimit(Shared);

impl Drop for SimLatencyLimit {
    fn drop(&mut self) {
        open(&self.0).limits -= 1;
    }
}

/// Counters of a CPU.
#[must_use = "dropped at once, nothing is counted"]
pub struct SimCounters {
    cpu: CpuId,
}

/// A device and its directory.
#[must_use = "dropped at once, the device is gone"]
pub struct SimRegionNodes {
    minor: u32,
    shared: Shared,
}

impl Drop for SimRegionNodes {
    fn drop(&mut self) {
        // Removing the directory waits for whoever is in it, and he may wait for these locks.
        assert!(std::thread::panicking() || Thread::current().holds_nothing(), "nodes dropped with a lock held");
        preemption_point();
        open(&self.shared).nodes.remove(&self.minor);
    }
}

impl SimPlatform {
    /// Lets the next request of this kind fail.
    pub fn refuse(&self, refusal: Refusal) {
        open(&self.kernel.regions).refusal = Some(refusal);
    }

    /// What regions have of this kernel now.
    #[must_use]
    pub fn region_counts(&self) -> RegionCounts {
        let regions = open(&self.kernel.regions);
        RegionCounts { memories: regions.memories, limits: regions.limits, nodes: regions.nodes.len() }
    }

    /// The minor number of the device of this name.
    #[must_use]
    pub fn device(&self, name: &str) -> Option<u32> {
        let regions = open(&self.kernel.regions);
        regions.nodes.iter().find(|(_, of)| of.as_slice() == name.as_bytes()).map(|(&minor, _)| minor)
    }

    /// What has been traced since the last call.
    #[must_use]
    pub fn take_traces(&self) -> Vec<Trace> {
        std::mem::take(&mut open(&self.kernel.regions).traces)
    }

    /// How regions have been read since the last call.
    #[must_use]
    pub fn take_readings(&self) -> Vec<Reading> {
        std::mem::take(&mut open(&self.kernel.regions).readings)
    }

    fn refused(&self, matches: impl Fn(Refusal) -> bool) -> Option<Refusal> {
        let mut regions = open(&self.kernel.regions);
        let found = regions.refusal.filter(|&refusal| matches(refusal))?;
        regions.refusal = None;
        Some(found)
    }
}

impl PseudoLocking for SimPlatform {
    type Memory = SimLockMemory;
    type LatencyLimit = SimLatencyLimit;
    type Nodes = SimRegionNodes;
    type Counters = SimCounters;

    fn cache_line(&self, cpu: CpuId, level: CacheLevel) -> Option<u32> {
        let known = self.refused(|refusal| refusal == Refusal::CacheLine).is_none();
        self.cache(cpu, level).filter(|_| known).map(|_| CACHE_LINE)
    }

    fn max_memory(&self) -> u32 {
        MAX_MEMORY
    }

    fn memory(&self, size: u32) -> Result<SimLockMemory> {
        assert!(size > 0, "memory of no size");
        if fault::fails() {
            return Err(Errno::ENOMEM);
        }
        open(&self.kernel.regions).memories += 1;
        Ok(SimLockMemory { size, shared: self.kernel.regions.clone() })
    }

    fn limit_latency(&self, cpu: CpuId) -> Result<SimLatencyLimit, LatencyError> {
        assert!(self.is_online(cpu), "a limit for CPU {cpu}, which is not online");
        if self.refused(|refusal| refusal == Refusal::Latency).is_some() {
            return Err(LatencyError::Refused);
        }
        if fault::fails() {
            return Err(LatencyError::NoMemory);
        }
        open(&self.kernel.regions).limits += 1;
        Ok(SimLatencyLimit(self.kernel.regions.clone()))
    }

    fn nodes(&self, minor: u32, name: &[u8]) -> Result<SimRegionNodes> {
        Thread::current().might_sleep("a device made");
        preemption_point();
        if let Some(Refusal::Device(errno)) = self.refused(|refusal| matches!(refusal, Refusal::Device(_))) {
            return Err(errno);
        }
        if fault::fails() {
            return Err(Errno::ENOMEM);
        }
        let mut regions = open(&self.kernel.regions);
        if regions.nodes.contains_key(&minor) || regions.nodes.values().any(|other| other == name) {
            return Err(Errno::EEXIST);
        }
        regions.nodes.insert(minor, name.to_vec());
        Ok(SimRegionNodes { minor, shared: self.kernel.regions.clone() })
    }

    fn run_thread(
        &self,
        _cpus: CpusHeld<'_>,
        cpu: CpuId,
        _kind: ThreadKind,
        f: &mut (dyn FnMut(Pinned<'_>) + Send),
    ) -> Result<(), ThreadError> {
        self.check_cpus_held();
        Thread::current().might_sleep("a thread made");
        if let Some(Refusal::Thread(errno)) = self.refused(|refusal| matches!(refusal, Refusal::Thread(_))) {
            return Err(ThreadError::Creation(errno));
        }
        if fault::fails() {
            return Err(ThreadError::Creation(Errno::ENOMEM));
        }
        if self.refused(|refusal| refusal == Refusal::Wait).is_some() {
            return Err(ThreadError::Interrupted);
        }
        assert!(self.is_online(cpu), "a thread for CPU {cpu}, which is not online");
        preemption_point();
        on_cpu(Place::CallOn, cpu, || {
            // SAFETY: the thread counts as being on `cpu` meanwhile, and hotplug is held off.
            f(unsafe { Pinned::new(cpu) });
        });
        preemption_point();
        Ok(())
    }

    fn irqs_off(&self, here: Pinned<'_>, f: &mut dyn FnMut(IrqOff<'_>)) {
        assert_eq!(Thread::current().cpu(), Some(here.cpu()), "the proof of another CPU");
        open(&self.kernel.regions).noise();
        self.in_interrupt(here.cpu(), f);
        open(&self.kernel.regions).noise();
    }

    fn counters(&self, here: Pinned<'_>, _events: EventPair) -> Option<SimCounters> {
        Thread::current().might_sleep("counters set up");
        self.refused(|refusal| refusal == Refusal::Counters).is_none().then(|| SimCounters { cpu: here.cpu() })
    }

    fn count_reads(
        &self,
        here: IrqOff<'_>,
        counters: &SimCounters,
        memory: &SimLockMemory,
        stride: u32,
    ) -> Option<Counts> {
        assert_eq!(counters.cpu, here.cpu(), "the counters of another CPU");
        if self.refused(|refusal| refusal == Refusal::Counting).is_some() {
            return None;
        }
        let before = open(&self.kernel.regions).counts();
        memory.read(here, stride);
        let after = open(&self.kernel.regions).counts();
        Some(Counts { hits: after.hits - before.hits, misses: after.misses - before.misses })
    }

    fn trace(&self, trace: Trace) {
        open(&self.kernel.regions).traces.push(trace);
    }
}
