// SPDX-License-Identifier: GPL-2.0-only
//! The system registers of FEAT_MPAM.
//!
//! They are written here and not in the shim, since most are written in the context switch: a call for each would cost more
//! than the rest of it. They have numbers for names, as assemblers that do not know MPAM need them (Arm ARM, *System register
//! encoding*).

use core::arch::asm;

use resctrl_mpam::{SystemRegister, SystemRegisters};
use resctrl_types::{Here, Pinned};

use super::ffi;

/// `MPAM2_EL2.TRAPMPAM1EL1`, `TRAPMPAM0EL1` and `TIDR`: guests may neither choose labels nor see that there are any.
const TRAP_GUESTS: u64 = 1 << 48 | 1 << 49 | 1 << 58;

/// The registers of the processor that runs. Those that come online without MPAM are turned away by the shim.
pub(crate) struct KernelSystem {
    streaming: bool,
    guests: bool,
}

impl KernelSystem {
    pub(crate) fn new() -> Self {
        KernelSystem { streaming: ffi::shim_has_streaming(), guests: ffi::shim_has_guests() }
    }
}

/// Writes a register of labels.
macro_rules! write_label {
    ($register:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: every processor in use has MPAM, and the driver asks for streaming before it writes `MPAMSM`, for guests
        // before it writes theirs. Labels change no memory.
        unsafe { asm!(concat!("msr ", $register, ", {}"), in(reg) value, options(nostack, preserves_flags)) };
    }};
}

impl SystemRegisters for KernelSystem {
    fn mpamidr(&self, _: Here<'_>) -> u64 {
        let value;
        // SAFETY: every processor in use has MPAM; MPAMIDR_EL1 is read.
        unsafe { asm!("mrs {}, S3_0_C10_C4_4", out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }

    #[inline]
    fn has_streaming(&self) -> bool {
        self.streaming
    }

    #[inline]
    fn has_guests(&self) -> bool {
        self.guests
    }

    #[inline]
    fn write(&self, _: Here<'_>, register: SystemRegister, value: u64) {
        match register {
            SystemRegister::Mpam0 => write_label!("S3_0_C10_C5_1", value),
            SystemRegister::Mpam1 => {
                // At EL2 this is MPAM2_EL2. Guests have not been told of MPAM; the trap of MPAMIDR_EL1 is of no effect on a
                // processor that has none, or another one (`set_up_el2` in the shim).
                write_label!("S3_0_C10_C5_0", if self.guests { value | TRAP_GUESTS } else { value });
            }
            SystemRegister::Mpam1Guest => write_label!("S3_5_C10_C5_0", value),
            SystemRegister::Mpamsm => write_label!("S3_0_C10_C5_3", value),
        }
    }

    #[inline]
    fn synchronize(&self, _: Here<'_>) {
        // SAFETY: this touches nothing.
        unsafe { asm!("isb", options(nostack, preserves_flags)) };
    }

    fn wait_us(&self, _: Pinned<'_>, us: u32) {
        ffi::shim_wait_us(us);
    }
}
