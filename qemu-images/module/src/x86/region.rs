// SPDX-License-Identifier: GPL-2.0-only
//! Pseudo-locked regions: what the kernel gives out for them.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use resctrl_types::cache::CacheLevel;
use resctrl_types::pseudo_lock::{
    Counts, EventPair, LatencyError, LockMemory, PseudoLocking, ThreadError, ThreadKind, Trace,
};
use resctrl_types::{CpuId, CpusHeld, Errno, IrqOff, Pinned, Result};

use super::ffi;
use crate::convert;
use crate::platform::KernelPlatform;

/// Memory in one piece.
///
/// # Invariants
/// `start` is memory of `size` bytes made by the shim, alive until this value is dropped.
pub(crate) struct KernelMemory {
    start: NonNull<c_void>,
    size: u32,
}

// SAFETY: the memory is nobody's in particular.
unsafe impl Send for KernelMemory {}
// SAFETY: it is only read, and cleared, without a look at what is in it; users write to it meanwhile as they like.
unsafe impl Sync for KernelMemory {}

impl KernelMemory {
    pub(crate) fn new(size: u32) -> Result<Self> {
        // INVARIANT: fresh from the shim.
        let start = NonNull::new(ffi::shim_region_alloc(size)).ok_or(Errno::ENOMEM)?;
        Ok(KernelMemory { start, size })
    }

    /// Shows the memory to the process whose mapping this is.
    ///
    /// # Safety
    /// `area` is the mapping that is being made, of a device that is open, and not longer than the memory.
    pub(super) unsafe fn map(&self, area: *mut ffi::Area) -> Result<()> {
        // SAFETY: by the contract; the open device keeps the memory.
        convert::from_ret(unsafe { ffi::shim_region_map(area, self.start.as_ptr()) })
    }
}

impl Drop for KernelMemory {
    fn drop(&mut self) {
        // SAFETY: by the invariant; who has it mapped has the device open, which keeps the region.
        unsafe { ffi::shim_region_free(self.start.as_ptr()) };
    }
}

impl LockMemory for KernelMemory {
    fn size(&self) -> u32 {
        self.size
    }

    fn read(&self, _: IrqOff<'_>, stride: u32) {
        // SAFETY: there are so many bytes.
        unsafe { ffi::shim_region_read(self.start.as_ptr(), self.size, stride) };
    }

    fn time_read(&self, _: IrqOff<'_>, offset: u32) -> u32 {
        if self.size.checked_sub(4).is_none_or(|last| last < offset) {
            return 0;
        }
        // SAFETY: there are four bytes from there on.
        unsafe { ffi::shim_region_time(self.start.as_ptr(), offset) }
    }

    fn clear(&self, offset: u32, len: u32) {
        if offset.checked_add(len).is_some_and(|end| end <= self.size) {
            // SAFETY: there are so many bytes.
            unsafe { ffi::shim_region_clear(self.start.as_ptr(), offset, len) };
        }
    }
}

/// That a CPU does not sleep deeply.
///
/// # Invariants
/// The pointer is a request made by the shim, alive until this value is dropped.
#[must_use = "dropped at once, the CPU sleeps as it likes"]
pub(crate) struct KernelLatency(NonNull<ffi::Latency>);

// SAFETY: any thread may withdraw it.
unsafe impl Send for KernelLatency {}
// SAFETY: there is nothing to do with a reference.
unsafe impl Sync for KernelLatency {}

impl KernelLatency {
    pub(crate) fn new(cpu: CpuId) -> Result<Self, LatencyError> {
        let mut limit = ptr::null_mut();
        // SAFETY: `limit` is writable; the CPU is online.
        match unsafe { ffi::shim_latency_limit(cpu.0, &raw mut limit) } {
            // INVARIANT: fresh from the shim.
            0 => NonNull::new(limit).map(KernelLatency).ok_or(LatencyError::NoMemory),
            err if err == Errno::ENOMEM.to_ret() => Err(LatencyError::NoMemory),
            _ => Err(LatencyError::Refused),
        }
    }
}

impl Drop for KernelLatency {
    fn drop(&mut self) {
        // SAFETY: by the invariant.
        unsafe { ffi::shim_latency_free(self.0.as_ptr()) };
    }
}

/// A device and its debugfs directory.
///
/// # Invariants
/// The pointer is made by the shim, alive until this value is dropped.
#[must_use = "dropped at once, the device is gone"]
pub(crate) struct KernelNodes(NonNull<ffi::Nodes>);

// SAFETY: any thread may remove them.
unsafe impl Send for KernelNodes {}

impl KernelNodes {
    pub(crate) fn new(minor: u32, name: &[u8]) -> Result<Self> {
        let mut err = 0;
        // SAFETY: the name is as long as said; `err` is writable.
        let nodes = unsafe { ffi::shim_nodes_new(minor, name.as_ptr().cast(), name.len(), &raw mut err) };
        // INVARIANT: fresh from the shim.
        NonNull::new(nodes).map(KernelNodes).ok_or_else(|| convert::from_ret(err).err().unwrap_or(Errno::ENOMEM))
    }
}

impl Drop for KernelNodes {
    fn drop(&mut self) {
        // SAFETY: by the invariant.
        unsafe { ffi::shim_nodes_free(self.0.as_ptr()) };
    }
}

/// Counters of a CPU.
///
/// # Invariants
/// The pointers are events made by the shim, alive until this value is dropped.
#[must_use = "dropped at once, nothing is counted"]
pub(crate) struct KernelCounters([NonNull<ffi::Event>; 2]);

// SAFETY: nothing but their numbers is looked at by whoever has a reference.
unsafe impl Sync for KernelCounters {}

impl Drop for KernelCounters {
    fn drop(&mut self) {
        for event in self.0 {
            // SAFETY: by the invariant.
            unsafe { ffi::shim_event_free(event.as_ptr()) };
        }
    }
}

type ThreadCall<'a> = &'a mut (dyn FnMut(Pinned<'_>) + Send);
type IrqCall<'a> = &'a mut dyn FnMut(IrqOff<'_>);

impl PseudoLocking for KernelPlatform {
    type Memory = KernelMemory;
    type LatencyLimit = KernelLatency;
    type Nodes = KernelNodes;
    type Counters = KernelCounters;

    fn cache_line(&self, cpu: CpuId, level: CacheLevel) -> Option<u32> {
        // SAFETY: a CPU that does not exist has no device.
        let bytes = unsafe { crate::ffi::shim_cpu_cache_line(cpu.0, convert::cache_level(level)) };
        (bytes > 0).then_some(bytes)
    }

    fn max_memory(&self) -> u32 {
        ffi::shim_region_max()
    }

    fn memory(&self, size: u32) -> Result<KernelMemory> {
        KernelMemory::new(size)
    }

    fn limit_latency(&self, cpu: CpuId) -> Result<KernelLatency, LatencyError> {
        KernelLatency::new(cpu)
    }

    fn nodes(&self, minor: u32, name: &[u8]) -> Result<KernelNodes> {
        KernelNodes::new(minor, name)
    }

    fn run_thread(
        &self,
        _: CpusHeld<'_>,
        cpu: CpuId,
        kind: ThreadKind,
        mut f: ThreadCall<'_>,
    ) -> Result<(), ThreadError> {
        let mut interrupted = false;
        // SAFETY: the closure is a `ThreadCall`, as `rust_region_thread` takes it; the call ends when the thread has ended.
        let ret = unsafe {
            ffi::shim_region_thread(
                cpu.0,
                match kind {
                    ThreadKind::Lock => ffi::THREAD_LOCK,
                    ThreadKind::Measure => ffi::THREAD_MEASURE,
                },
                ptr::from_mut(&mut f).cast(),
                &raw mut interrupted,
            )
        };
        convert::from_ret(ret).map_err(ThreadError::Creation)?;
        if interrupted { Err(ThreadError::Interrupted) } else { Ok(()) }
    }

    fn irqs_off(&self, _: Pinned<'_>, mut f: IrqCall<'_>) {
        // SAFETY: the closure is an `IrqCall`, as `rust_irqs_off` takes it, and outlives the call.
        unsafe { ffi::shim_irqs_off(ptr::from_mut(&mut f).cast()) };
    }

    fn counters(&self, here: Pinned<'_>, events: EventPair) -> Option<KernelCounters> {
        let hits = NonNull::new(ffi::shim_event_new(here.cpu().0, events.hits))?;
        let Some(misses) = NonNull::new(ffi::shim_event_new(here.cpu().0, events.misses)) else {
            // SAFETY: fresh from the shim, and nobody else's.
            unsafe { ffi::shim_event_free(hits.as_ptr()) };
            return None;
        };
        // INVARIANT: fresh from the shim.
        Some(KernelCounters([hits, misses]))
    }

    fn count_reads(
        &self,
        _: IrqOff<'_>,
        counters: &KernelCounters,
        memory: &KernelMemory,
        stride: u32,
    ) -> Option<Counts> {
        let [hits, misses] = counters.0;
        let mut counts = [0; 2];
        // SAFETY: the events live, there are so many bytes, both counts are writable, and interrupts are off.
        let counted = unsafe {
            ffi::shim_region_count(
                hits.as_ptr(),
                misses.as_ptr(),
                memory.start.as_ptr(),
                memory.size,
                stride,
                counts.as_mut_ptr(),
            )
        };
        counted.then_some(Counts { hits: counts[0].into(), misses: counts[1].into() })
    }

    fn trace(&self, trace: Trace) {
        match trace {
            Trace::Latency(cycles) => ffi::shim_trace_latency(cycles),
            Trace::Residency { level, hits, misses } => {
                ffi::shim_trace_residency(convert::cache_level(level), hits, misses);
            }
        }
    }
}

/// # Safety
/// `closure` is that of [`KernelPlatform::run_thread`]; the caller is a thread bound to `cpu`.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_region_thread(cpu: u32, closure: *mut c_void) {
    // SAFETY: by the contract.
    let f = unsafe { &mut *closure.cast::<ThreadCall<'_>>() };
    // SAFETY: by the contract.
    f(unsafe { Pinned::new(CpuId(cpu)) });
}

/// # Safety
/// `closure` is that of [`KernelPlatform::irqs_off`]; the caller is on `cpu` with interrupts off.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_irqs_off(cpu: u32, closure: *mut c_void) {
    // SAFETY: by the contract.
    let f = unsafe { &mut *closure.cast::<IrqCall<'_>>() };
    // SAFETY: by the contract.
    f(unsafe { IrqOff::new(CpuId(cpu)) });
}
