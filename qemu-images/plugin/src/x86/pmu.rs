// SPDX-License-Identifier: GPL-2.0-only
//! Counters of the processor, of which QEMU has none: it reads their registers as zero, and does not know RDPMC.
//!
//! RDPMC is not executed: the guest goes on behind it. That loses flags which QEMU has not computed yet; compilers expect that
//! any instruction they do not know changes the flags.
//!
//! Source: SDM Vol. 2, "RDPMC".

use super::{Plugin, Register, plugin};
use crate::feed;
use crate::qemu::{current, number};
use resctrl_hardware::pmu::{Happened, Pmu};
use std::ffi::{c_uint, c_void};

/// `CR4.PCE`: programs may execute RDPMC.
const PCE: u64 = 1 << 8;

impl Plugin {
    /// What a CPU has done.
    pub(super) fn happened(&self, cpu: usize) -> Happened {
        let counts = self.rdt.caches().map(|caches| caches.counts(cpu)).unwrap_or_default();
        Happened {
            time: self.now(),
            instructions: feed::instructions(cpu),
            accesses: counts.accesses,
            references: counts.l3_references,
            misses: counts.l3_misses,
        }
    }

    /// The counters, if a model specific register is one of theirs.
    pub(super) fn pmu_with(&self, address: u32) -> Option<&Pmu> {
        self.pmu.as_ref().filter(|pmu| pmu.has(address))
    }

    /// Executes RDPMC. False where it faults, which is left to QEMU.
    fn rdpmc(&self, cpu: usize) -> bool {
        if !self.privileged() && self.read(Register::Cr4) & PCE == 0 {
            return false;
        }
        let ecx = self.read_low(Register::Rcx);
        let Some(value) = self.pmu.as_ref().and_then(|pmu| pmu.rdpmc(cpu, ecx, self.happened(cpu))) else {
            return false;
        };
        self.write(Register::Rax, value & u64::from(u32::MAX));
        self.write(Register::Rdx, value >> 32);
        true
    }
}

/// The address behind an instruction, of which it is known where it was when it was translated, and that the block which is
/// executed begins at RIP or behind it. Translations are shared by all who have the same page, wherever they have it.
fn behind(next_when_translated: u64, rip: u64) -> u64 {
    rip.wrapping_add(next_when_translated.wrapping_sub(rip) & (PAGE - 1))
}

/// Smallest page; no block is longer.
const PAGE: u64 = 4096;

pub(super) extern "C" fn on_rdpmc(cpu: c_uint, next: *mut c_void) {
    let Some(plugin) = plugin() else { return };
    if plugin.rdpmc(current::cpu(cpu)) {
        let next = behind(number(next), plugin.read(Register::Rip));
        // SAFETY: nothing here waits to be dropped.
        unsafe { plugin.api.go_on_at(next) };
    }
}

#[cfg(test)]
mod tests {
    use super::behind;

    #[test]
    fn a_program_goes_on_where_it_has_the_page_that_another_has_elsewhere() {
        assert_eq!(behind(0x5000_1234, 0x5000_1200), 0x5000_1234);
        assert_eq!(behind(0x5000_1234, 0x7fff_0000_9200), 0x7fff_0000_9234);
        // A block that begins in the page before.
        assert_eq!(behind(0x5000_1004, 0x7000_0ff0), 0x7000_1004);
        assert_eq!(behind(0x5000_1000, 0x7000_0ffe), 0x7000_1000);
    }
}
