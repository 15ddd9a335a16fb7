// SPDX-License-Identifier: GPL-2.0-only
//! The first access that a processor refused.
//!
//! None is ever expected. Registers are also accessed where there is no way to a log (a context switch), so a refusal is
//! noted without a lock and told at the next call that comes with a platform.

use core::fmt;

use resctrl_types::CpuId;
use resctrl_types::platform::{LogLevel, Platform};

use crate::atomic::{AtomicU64, Ordering};

const SEEN: u64 = 1 << 63;
const TOLD: u64 = 1 << 62;
const WRITE: u64 = 1 << 61;
const CPU_SHIFT: u32 = 32;
const CPU_BITS: u64 = 0x0fff_ffff;

/// Notes the first refusal of a machine, and that it has been told.
#[derive(Debug, Default)]
pub(crate) struct FirstFault(AtomicU64);

/// How a register was accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl FirstFault {
    /// The processor has refused an access.
    pub(crate) fn note(&self, cpu: CpuId, msr: u32, access: Access) {
        let access = if access == Access::Write { WRITE } else { 0 };
        let fault = SEEN | access | (u64::from(cpu.0) & CPU_BITS) << CPU_SHIFT | u64::from(msr);
        // Only the first matters; whoever loses this race was not the first.
        let _ = self.0.compare_exchange(0, fault, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Writes the refusal to the log, unless there was none or it has been told.
    pub(crate) fn tell<P: Platform>(&self, platform: &P) {
        if let Some(refusal) = self.take() {
            platform.log(LogLevel::Warn, format_args!("{refusal}"));
        }
    }

    /// The refusal, to one who asks.
    pub(crate) fn take(&self) -> Option<Refusal> {
        let fault = self.0.load(Ordering::Relaxed);
        let seen = fault & (SEEN | TOLD) == SEEN && self.0.fetch_or(TOLD, Ordering::Relaxed) & TOLD == 0;
        seen.then_some(Refusal(fault))
    }
}

/// The first access that was refused.
#[derive(Debug)]
pub(crate) struct Refusal(u64);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpu = self.0 >> CPU_SHIFT & CPU_BITS;
        let access = if self.0 & WRITE == 0 { "read" } else { "write" };
        let msr = self.0 & u64::from(u32::MAX);
        write!(f, "CPU {cpu} refused to {access} MSR {msr:#x}; control or monitoring does not work as shown")
    }
}
