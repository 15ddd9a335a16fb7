// SPDX-License-Identifier: GPL-2.0-only
//! Running code on other CPUs.
//!
//! A closure crosses to C as a pointer to the reference to it; the wait for its end keeps both alive.

use core::ffi::c_void;
use core::ptr;

use resctrl_types::cache::{CacheInfo, CacheLevel};
use resctrl_types::{CpuId, CpuMask, Errno, IrqOff, Pinned, Result};

use crate::{convert, ffi};

type ThreadCall<'a> = &'a mut (dyn FnMut(Pinned<'_>) + Send);
type IrqCall<'a> = &'a mut (dyn FnMut(IrqOff<'_>) + Send);
type IrqCallShared<'a> = &'a (dyn Fn(IrqOff<'_>) + Sync);

/// What the kernel says when a CPU is not online: `ENXIO`, whatever the function.
fn online(ret: i32) -> Result<()> {
    convert::from_ret(ret).map_err(|errno| if errno == Errno::ENOMEM { errno } else { Errno::ENODEV })
}

pub(crate) fn call_on(cpu: CpuId, mut f: ThreadCall<'_>) -> Result<()> {
    // SAFETY: the closure is a `ThreadCall`, as `rust_call_on` takes it, and outlives the call, which waits.
    online(unsafe { ffi::shim_call_on(cpu.0, ptr::from_mut(&mut f).cast()) })
}

/// # Safety
/// `closure` is that of [`call_on`]; the caller is a thread that stays on `cpu`.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_call_on(cpu: u32, closure: *mut c_void) {
    // SAFETY: by the contract.
    let f = unsafe { &mut *closure.cast::<ThreadCall<'_>>() };
    // SAFETY: by the contract.
    f(unsafe { Pinned::new(CpuId(cpu)) });
}

pub(crate) fn interrupt(cpu: CpuId, mut f: IrqCall<'_>) -> Result<()> {
    // SAFETY: the closure is an `IrqCall`, as `rust_interrupt` takes it, and outlives the call, which waits.
    online(unsafe { ffi::shim_interrupt(cpu.0, ptr::from_mut(&mut f).cast()) })
}

/// # Safety
/// `closure` is that of [`interrupt`]; the caller is on `cpu` with interrupts off.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_interrupt(cpu: u32, closure: *mut c_void) {
    // SAFETY: by the contract.
    let f = unsafe { &mut *closure.cast::<IrqCall<'_>>() };
    // SAFETY: by the contract.
    f(unsafe { IrqOff::new(CpuId(cpu)) });
}

pub(crate) fn interrupt_mask(mask: &CpuMask, f: IrqCallShared<'_>) {
    let words = mask.words();
    // SAFETY: there are words for all bits; the closure is an `IrqCallShared`, as `rust_interrupt_mask` takes it. Both
    // outlive the call, which waits.
    unsafe { ffi::shim_interrupt_mask(words.as_ptr(), mask.nr_cpu_ids(), ptr::from_ref(&f).cast_mut().cast()) };
}

/// # Safety
/// `closure` is that of [`interrupt_mask`]; the caller is on `cpu` with interrupts off.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_interrupt_mask(cpu: u32, closure: *mut c_void) {
    // SAFETY: by the contract. Several CPUs share it.
    let f = unsafe { &*closure.cast::<IrqCallShared<'_>>() };
    // SAFETY: by the contract.
    f(unsafe { IrqOff::new(CpuId(cpu)) });
}

pub(crate) fn cache(cpu: CpuId, level: CacheLevel) -> Option<CacheInfo> {
    let mut cache = ffi::Cache::default();
    // SAFETY: `cache` is writable; a CPU that does not exist has no device.
    let found = unsafe { ffi::shim_cpu_cache(cpu.0, convert::cache_level(level), &raw mut cache) };
    found.then_some(CacheInfo { id: cache.id, size: cache.size })
}
