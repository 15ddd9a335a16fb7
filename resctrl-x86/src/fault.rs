// SPDX-License-Identifier: GPL-2.0-only
//! The first access that a processor refused.
//!
//! None is ever expected. Registers are also accessed where there is no way to a log (a context switch), so a refusal is
//! noted without a lock and told at the next call that comes with a platform.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use resctrl_types::platform::{LogLevel, Platform};
use resctrl_types::{CpuId, Here};

use crate::{Gp, Registers};

const SEEN: u64 = 1 << 63;
const TOLD: u64 = 1 << 62;
const WRITE: u64 = 1 << 61;
const CPU_SHIFT: u32 = 32;
const CPU_BITS: u64 = 0x0fff_ffff;

/// Notes the first refusal of a machine, and that it has been told.
#[derive(Debug, Default)]
pub(crate) struct FirstFault(AtomicU64);

impl FirstFault {
    fn note(&self, cpu: CpuId, msr: u32, access: u64) {
        let fault = SEEN | access | (u64::from(cpu.0) & CPU_BITS) << CPU_SHIFT | u64::from(msr);
        // Only the first matters; whoever loses this race was not the first.
        let _ = self.0.compare_exchange(0, fault, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Writes the refusal to the log, unless there was none or it has been told.
    pub(crate) fn tell<P: Platform>(&self, platform: &P) {
        let fault = self.0.load(Ordering::Relaxed);
        if fault & (SEEN | TOLD) == SEEN && self.0.fetch_or(TOLD, Ordering::Relaxed) & TOLD == 0 {
            platform.log(LogLevel::Warn, format_args!("{}", Refusal(fault)));
        }
    }
}

struct Refusal(u64);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpu = self.0 >> CPU_SHIFT & CPU_BITS;
        let access = if self.0 & WRITE == 0 { "read" } else { "write" };
        let msr = self.0 & u64::from(u32::MAX);
        write!(f, "CPU {cpu} refused to {access} MSR {msr:#x}; control or monitoring does not work as shown")
    }
}

/// Registers whose first refusal is noted.
pub(crate) struct Watched<'a, R> {
    pub(crate) registers: &'a R,
    pub(crate) fault: &'a FirstFault,
}

impl<R: Registers> Watched<'_, R> {
    pub(crate) fn read_msr(&self, here: Here<'_>, msr: u32) -> Result<u64, Gp> {
        self.registers.read_msr(here, msr).inspect_err(|Gp| self.fault.note(here.cpu(), msr, 0))
    }

    pub(crate) fn write_msr(&self, here: Here<'_>, msr: u32, value: u64) -> Result<(), Gp> {
        self.registers.write_msr(here, msr, value).inspect_err(|Gp| self.fault.note(here.cpu(), msr, WRITE))
    }
}
