// SPDX-License-Identifier: GPL-2.0-only
//! There are no pseudo-locked regions on Arm: the file system asks for none, and none of these values can exist.

use resctrl_types::pseudo_lock::{EventPair, LatencyError, LockMemory, ThreadError, ThreadKind, Trace};
use resctrl_types::{CpuId, Errno, IrqOff, Pinned, Result};

/// Memory that cannot be had.
pub(crate) enum KernelMemory {}

impl KernelMemory {
    pub(crate) fn new(_: u32) -> Result<Self> {
        Err(Errno::ENOMEM)
    }
}

impl LockMemory for KernelMemory {
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

/// A limit that cannot be had.
pub(crate) enum KernelLatency {}

impl KernelLatency {
    pub(crate) fn new(_: CpuId) -> Result<Self, LatencyError> {
        Err(LatencyError::Refused)
    }
}

/// A device that cannot be had.
pub(crate) enum KernelNodes {}

impl KernelNodes {
    pub(crate) fn new(_: u32, _: &[u8]) -> Result<Self> {
        Err(Errno::EOPNOTSUPP)
    }
}

pub(crate) fn cache_line(_: CpuId, _: u32) -> Option<u32> {
    None
}

pub(crate) fn max_memory() -> u32 {
    0
}

pub(crate) fn run_thread(_: CpuId, _: ThreadKind, _: &mut (dyn FnMut(Pinned<'_>) + Send)) -> Result<(), ThreadError> {
    Err(ThreadError::Creation(Errno::EOPNOTSUPP))
}

/// With interrupts on, and so without a call: nobody has a reason to ask.
pub(crate) fn irqs_off(_: &mut dyn FnMut(IrqOff<'_>)) {}

pub(crate) fn count_events(_: Pinned<'_>, _: EventPair, _: &mut dyn FnMut()) -> (u64, u64) {
    (0, 0)
}

pub(crate) fn trace(_: Trace) {}
