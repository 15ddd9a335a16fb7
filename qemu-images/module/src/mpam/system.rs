// SPDX-License-Identifier: GPL-2.0-only
//! The system registers of FEAT_MPAM.

use resctrl_mpam::{SystemRegister, SystemRegisters};
use resctrl_types::{Here, Pinned};

use super::ffi;

/// The registers of the processor that runs. Those that come online without MPAM are turned away by the shim.
pub(crate) struct KernelSystem;

impl SystemRegisters for KernelSystem {
    fn mpamidr(&self, _: Here<'_>) -> u64 {
        // SAFETY: every processor in use has MPAM.
        unsafe { ffi::shim_mpamidr() }
    }

    fn has_streaming(&self) -> bool {
        ffi::shim_has_streaming()
    }

    fn has_guests(&self) -> bool {
        ffi::shim_has_guests()
    }

    fn write(&self, _: Here<'_>, register: SystemRegister, value: u64) {
        let register = match register {
            SystemRegister::Mpam0 => ffi::MPAM0,
            SystemRegister::Mpam1 => ffi::MPAM1,
            SystemRegister::Mpam1Guest => ffi::MPAM1_GUEST,
            SystemRegister::Mpamsm => ffi::MPAMSM,
        };
        // SAFETY: every processor in use has MPAM, and the driver asks for streaming before it writes `MPAMSM`, for guests
        // before it writes theirs. Labels change no memory.
        unsafe { ffi::shim_mpam_write(register, value) };
    }

    fn synchronize(&self, _: Here<'_>) {
        ffi::shim_synchronize();
    }

    fn wait_us(&self, _: Pinned<'_>, us: u32) {
        ffi::shim_wait_us(us);
    }
}
