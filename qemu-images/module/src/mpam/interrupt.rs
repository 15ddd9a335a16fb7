// SPDX-License-Identifier: GPL-2.0-only
//! Error interrupts, and what follows from one: the end of all use of MPAM.

use core::ffi::c_int;

use resctrl_fs::Resctrl;
use resctrl_types::platform::LogLevel;
use resctrl_types::{CpuId, Here, IrqOff, Pinned, Platform};

use super::ffi;
use crate::convert;
use crate::instance::instance;
use crate::platform::KernelPlatform;

/// Asks for every error interrupt, each once: MSCs may share them. One that cannot be had is no reason to do without MPAM.
#[unsafe(no_mangle)]
extern "C" fn rust_arch_start() -> c_int {
    let mscs = &instance().arch().devices().mscs;
    for (place, msc) in mscs.iter().enumerate() {
        let Some(wanted) = msc.error_interrupt else { continue };
        if mscs.iter().take(place).any(|earlier| earlier.error_interrupt == Some(wanted)) {
            continue;
        }
        let edge = if wanted.edge { ffi::INTERRUPT_EDGE } else { 0 };
        let private = if wanted.private { ffi::INTERRUPT_PRIVATE } else { 0 };
        let watched = ffi::shim_error_interrupt_watch(wanted.number, edge | private);
        if let Err(errno) = convert::from_ret(watched) {
            let (id, number, name) = (msc.id, wanted.number, errno.name());
            KernelPlatform.log(LogLevel::Warn, format_args!("MSC {id}: no error interrupt {number}: {name}"));
        }
    }
    0
}

/// Whether it ends the use of MPAM: then the shim arranges for [`rust_shutdown`].
fn error_interrupt(here: Here<'_>, gsi: u32) -> bool {
    let arch = instance().arch();
    let mut ends = false;
    for (place, msc) in arch.devices().mscs.iter().enumerate() {
        if msc.error_interrupt.is_some_and(|interrupt| interrupt.number == gsi) {
            ends |= arch.error_interrupt(&KernelPlatform, here, place);
        }
    }
    ends
}

/// Interrupt `gsi`, which every CPU can get. See [`error_interrupt`].
///
/// # Safety
/// The caller is the thread that handles it. It stays on `cpu` and may sleep.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_shared_error(cpu: u32, gsi: u32) -> bool {
    // SAFETY: by the contract.
    let here = unsafe { Pinned::new(CpuId(cpu)) };
    error_interrupt(here.into(), gsi)
}

/// Interrupt `gsi`, which is private to each CPU. See [`error_interrupt`].
///
/// # Safety
/// The caller is its handler, on `cpu`, with interrupts off.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_private_error(cpu: u32, gsi: u32) -> bool {
    // SAFETY: by the contract.
    let here = unsafe { IrqOff::new(CpuId(cpu)) };
    error_interrupt(here.into(), gsi)
}

/// Takes down what is mounted, takes every CPU out and leaves the MSCs unrestricted, as one piece.
///
/// # Safety
/// The caller may sleep and holds no lock of resctrl's.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_shutdown() {
    Resctrl::shut_down(instance());
}

/// # Safety
/// The caller is on `cpu`, which has lost its registers, with interrupts off.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_cpu_resumed(cpu: u32) {
    // SAFETY: by the contract.
    let here = unsafe { IrqOff::new(CpuId(cpu)) };
    instance().arch().cpu_resumed(here);
}
