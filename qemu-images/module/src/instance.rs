// SPDX-License-Identifier: GPL-2.0-only
//! The one resctrl of this kernel.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};

use resctrl_fs::Resctrl;
use resctrl_types::platform::LogLevel;
use resctrl_types::{CpuId, HotplugCpu, IrqOff, Platform, Ref, Result, TaskWord};

#[cfg(target_arch = "aarch64")]
use crate::mpam as arch;
use crate::platform::KernelPlatform;
#[cfg(target_arch = "x86_64")]
use crate::x86 as arch;
use crate::{convert, ffi};

/// The file system on this architecture and this kernel.
pub(crate) type Instance = Resctrl<arch::KernelArch, KernelPlatform>;

/// Where the instance is.
///
/// # Invariants
/// Written only by [`rust_start`], before anything that reads it is registered with the kernel, and by [`rust_stop`],
/// after all of that has been unregistered.
struct Slot(UnsafeCell<Option<Ref<Instance>>>);

// SAFETY: by the invariant nobody reads while it is written, and `Ref<Instance>` is `Sync`.
unsafe impl Sync for Slot {}

static SLOT: Slot = Slot(UnsafeCell::new(None));

/// The instance, for what the kernel calls between start and stop.
pub(crate) fn instance() -> &'static Ref<Instance> {
    // SAFETY: between start and stop nobody writes the slot.
    let slot = unsafe { &*SLOT.0.get() };
    match slot {
        Some(instance) => instance,
        None => unreachable!("called from outside of start and stop"),
    }
}

fn start() -> Result<Ref<Instance>> {
    Resctrl::new(KernelPlatform, arch::new(&KernelPlatform)?)
}

/// Makes the instance.
///
/// # Safety
/// Called once, before anything else of this module is registered with the kernel.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_start() -> c_int {
    match start() {
        Ok(instance) => {
            let pointer: *const Instance = &raw const *instance;
            // SAFETY: there until `rust_stop`. It comes back to `rust_sched_in`, and is never written through.
            unsafe { ffi::shim_sched_start(pointer.cast_mut().cast()) };
            // SAFETY: by the contract nobody reads the slot yet.
            unsafe { *SLOT.0.get() = Some(instance) };
            0
        }
        Err(errno) => errno.to_ret(),
    }
}

/// How often [`rust_stop`] looks, in milliseconds.
const LOOK_EVERY_MS: u32 = 20;
/// After how many looks it says that it waits: ten times the longest period of a worker.
const LOOKS_BEFORE_WORD: u32 = 10_000 / LOOK_EVERY_MS;

/// Waits until every worker has run for the last time, and drops the instance.
///
/// # Safety
/// Called once; every CPU has been reported offline and nothing of this module is registered with the kernel any more.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_stop() {
    let mut looks = 0_u32;
    // Workers are never cancelled: each notices that its domain has gone, within its period.
    while !Resctrl::is_idle(instance()) {
        ffi::shim_sleep_ms(LOOK_EVERY_MS);
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(LOOKS_BEFORE_WORD) {
            KernelPlatform.log(LogLevel::Warn, format_args!("waiting for workers to end"));
        }
    }
    // SAFETY: by the contract nobody reads the slot any more.
    unsafe { *SLOT.0.get() = None };
}

/// # Safety
/// The caller is the hotplug callback of `cpu`, on it. When the module comes or goes the hotplug lock is held for reading
/// only; then this is the only callback at a time, and nothing is mounted.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_cpu_online(cpu: u32) -> c_int {
    // SAFETY: by the contract.
    let cpu = unsafe { HotplugCpu::new(CpuId(cpu)) };
    convert::to_ret(Resctrl::cpu_online(instance(), cpu))
}

/// # Safety
/// As [`rust_cpu_online`].
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_cpu_offline(cpu: u32) {
    // SAFETY: by the contract.
    let cpu = unsafe { HotplugCpu::new(CpuId(cpu)) };
    Resctrl::cpu_offline(instance(), cpu);
}

/// # Safety
/// As [`rust_cpu_online`], while the system sleeps.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_cpu_suspend(cpu: u32) {
    // SAFETY: by the contract.
    let cpu = unsafe { HotplugCpu::new(CpuId(cpu)) };
    Resctrl::cpu_suspend(instance(), cpu);
}

/// False keeps the system awake.
///
/// # Safety
/// The caller is on `cpu`, the last one that is online, with interrupts off, and is no interrupt handler.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_last_cpu_suspend(cpu: u32) -> bool {
    // SAFETY: by the contract.
    let here = unsafe { IrqOff::new(CpuId(cpu)) };
    Resctrl::last_cpu_suspend(instance(), here)
}

/// # Safety
/// As [`rust_last_cpu_suspend`], behind the sleep.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_first_cpu_resume(cpu: u32) {
    // SAFETY: by the contract.
    let here = unsafe { IrqOff::new(CpuId(cpu)) };
    Resctrl::first_cpu_resume(instance(), here);
}

/// # Safety
/// The system is awake and its tasks are still frozen. The caller may sleep and holds no lock of resctrl's.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_system_resumed() {
    Resctrl::system_resumed(instance());
}

/// The context switch to a task with this word. The instance comes with it, which saves each switch the way to it.
///
/// # Safety
/// The caller is on `cpu` with interrupts off, and has `resctrl` from [`rust_start`], before [`rust_stop`].
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_sched_in(resctrl: *const c_void, cpu: u32, word: u64) {
    // SAFETY: by the contract.
    let instance = unsafe { &*resctrl.cast::<Instance>() };
    // SAFETY: by the contract.
    let here = unsafe { IrqOff::new(CpuId(cpu)) };
    instance.sched_in(here, TaskWord(word));
}
