// SPDX-License-Identifier: GPL-2.0-only
//! Delayed works on the module's own queue.

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;

use resctrl_types::platform::{WorkKind, WorkTarget};
use resctrl_types::{BoundTo, CpuId, Errno, Platform, Ref, Result, WorkerContext};

use crate::{convert, ffi};

/// `struct delayed_work`.
///
/// # Invariants
/// The pointer is a work made by the shim, alive until this value is dropped.
pub(crate) struct KernelWork(NonNull<ffi::Work>);

// SAFETY: works are queued from any thread.
unsafe impl Send for KernelWork {}
// SAFETY: queueing is atomic.
unsafe impl Sync for KernelWork {}

impl KernelWork {
    pub(crate) fn new() -> Result<Self> {
        // INVARIANT: fresh from the shim.
        NonNull::new(ffi::shim_work_new()).map(KernelWork).ok_or(Errno::ENOMEM)
    }
}

impl Drop for KernelWork {
    fn drop(&mut self) {
        // SAFETY: a pending work has a reference to the value it is in, so this one is not pending. It may be running:
        // a work's function may free it.
        unsafe { ffi::shim_work_free(self.0.as_ptr()) };
    }
}

/// See [`resctrl_types::Platform::schedule`].
pub(crate) fn schedule<P: Platform<Work = KernelWork>, T: WorkTarget<P>>(
    target: Ref<T>,
    kind: WorkKind,
    cpu: CpuId,
    delay_ms: u32,
) -> Result<(), Ref<T>> {
    let run = match kind {
        WorkKind::Overflow => run_overflow::<P, T>,
        WorkKind::Limbo => run_limbo::<P, T>,
    };
    let work = target.work(kind).0.as_ptr();
    // What a running work queues at once is queued where it runs, whatever CPU is asked for, so that it cannot overlap
    // itself: a worker displaced from its CPU would stay displaced for ever. A timer looks again when the run is over.
    let jiffies = ffi::shim_jiffies(delay_ms).max(1);
    let raw = Ref::into_raw(target);
    // SAFETY: the work is alive: if it was queued, its reference is the one given away above; if not, the reference of
    // the earlier schedule or of the caller. `raw` is the same for every schedule of this work.
    if unsafe { ffi::shim_work_queue(work, run, raw.cast(), cpu.0, jiffies) } {
        return Ok(());
    }
    // SAFETY: not queued, so the reference given away above has not been taken.
    Err(unsafe { Ref::from_raw(raw) })
}

/// The handler of the overflow work.
///
/// # Safety
/// As [`run`].
unsafe extern "C" fn run_overflow<P: Platform, T: WorkTarget<P>>(target: *const c_void, bound_cpu: c_int) {
    // SAFETY: the same contract.
    unsafe { run::<P, T>(target, WorkKind::Overflow, bound_cpu) };
}

/// The handler of the limbo work.
///
/// # Safety
/// As [`run`].
unsafe extern "C" fn run_limbo<P: Platform, T: WorkTarget<P>>(target: *const c_void, bound_cpu: c_int) {
    // SAFETY: the same contract.
    unsafe { run::<P, T>(target, WorkKind::Limbo, bound_cpu) };
}

/// # Safety
/// `target` is the reference that a successful [`schedule`] gave away, and this is the one run that takes it. The caller
/// is a worker bound to `bound_cpu`, or to none if that is negative.
unsafe fn run<P: Platform, T: WorkTarget<P>>(target: *const c_void, kind: WorkKind, bound_cpu: c_int) {
    // SAFETY: by the contract.
    let target = unsafe { Ref::<T>::from_raw(target.cast()) };
    let context = match convert::cpu(bound_cpu) {
        // SAFETY: bound by the contract, until the CPU's hotplug callback has finished.
        Some(cpu) => WorkerContext::Bound(unsafe { BoundTo::new(cpu) }),
        None => WorkerContext::Displaced,
    };
    T::run(target, kind, context);
}
