// SPDX-License-Identifier: GPL-2.0-only
//! Instructions that caches, or the filters before them, have to know of. QEMU does nothing for those that clean and invalidate.
//!
//! Source: DDI 0487, "A64 system instructions for cache maintenance", "... for TLB maintenance". Those of caches by set and way are
//! left out: no system uses them once it runs, and they mean nothing to software that does not know all caches.

use super::{Plugin, plugin};
use crate::feed::{self, Feed, flush_of, mode_of};
use crate::qemu::{Translated, current, number};
use resctrl_hardware::caches::{Flush, Mode};
use resctrl_hardware::machine::processor_name;
use std::ffi::{c_uint, c_void};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caching {
    /// Flushes the line of the address in a general register.
    Line(Flush, u8),
    /// DC ZVA: writes the block of the address in a general register.
    Zero(u8),
    /// Virtual addresses may mean other lines behind it.
    Translation(Whose),
}

/// On which CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Own,
    All,
}

/// SYS, and MSR of a register, with op0 and L as they have it.
const SYS: u32 = 0xd508_0000;
const MSR: u32 = 0xd518_0000;
const OPCODE: u32 = 0xfff8_0000;

/// Op1, CRn, CRm and op2 where both have them.
const fn fields(op1: u32, crn: u32, crm: u32, op2: u32) -> u32 {
    op1 << 16 | crn << 12 | crm << 8 | op2 << 5
}

const FIELDS: u32 = fields(7, 15, 15, 7);

const ZVA: u32 = fields(3, 7, 4, 1);
const IVAC: u32 = fields(0, 7, 6, 1);
/// To the point of coherency, and of persistence; deeply, too.
const CLEAN: [u32; 3] = [fields(3, 7, 10, 1), fields(3, 7, 12, 1), fields(3, 7, 13, 1)];
const CIVAC: u32 = fields(3, 7, 14, 1);
const TTBR0: u32 = fields(0, 2, 0, 0);
const TTBR1: u32 = fields(0, 2, 0, 1);

/// Bytes of a block of DC ZVA: QEMU's `max` has `DCZID_EL0` say 512, the models of products 64.
fn block_size(cpu: &str) -> u64 {
    if processor_name(cpu) == "max" { 512 } else { 64 }
}

impl Caching {
    pub(super) fn decode(word: u32) -> Option<Self> {
        let register = (word & 0x1f) as u8;
        match (word & OPCODE, word & FIELDS) {
            (SYS, ZVA) => Some(Self::Zero(register)),
            (SYS, IVAC) => Some(Self::Line(Flush::Invalidate, register)),
            (SYS, CIVAC) => Some(Self::Line(Flush::CleanAndInvalidate, register)),
            (SYS, fields) if CLEAN.contains(&fields) => Some(Self::Line(Flush::Clean, register)),
            // TLBI, also in its form without waiting. CRm 6 and 7 are those that are not broadcast.
            (SYS, _) if matches!(word >> 12 & 0xf, 8 | 9) => {
                Some(Self::Translation(if matches!(word >> 8 & 0xf, 6 | 7) { Whose::Own } else { Whose::All }))
            }
            (MSR, TTBR0 | TTBR1) => Some(Self::Translation(Whose::Own)),
            _ => None,
        }
    }

    /// Has the instruction carried out on the caches as well.
    pub(super) fn watch(self, insn: &Translated<'_>, mode: Mode) {
        match self {
            Self::Line(how, register) => insn.before(on_line, pack(how as u64, register)),
            Self::Zero(register) => insn.before(on_zero, pack(mode as u64, register)),
            Self::Translation(Whose::Own) => insn.before_without_registers(on_own_translation, 0),
            Self::Translation(Whose::All) => insn.before_without_registers(on_translation, 0),
        }
    }
}

fn pack(what: u64, register: u8) -> u64 {
    what << 8 | u64::from(register)
}

fn with(act: impl FnOnce(Feed, &'static Plugin)) {
    if let (Some(feed), Some(plugin)) = (feed::running(), plugin()) {
        act(feed, plugin);
    }
}

extern "C" fn on_line(_cpu: c_uint, data: *mut c_void) {
    with(|feed, plugin| {
        feed.flushed(plugin.read_general((number(data) & 0x1f) as u8), flush_of(number(data) >> 8));
    });
}

extern "C" fn on_zero(cpu: c_uint, data: *mut c_void) {
    with(|feed, plugin| {
        let size = block_size(&plugin.system.machine().qemu.cpu);
        let block = plugin.read_general((number(data) & 0x1f) as u8) / size * size;
        feed.zeroed(current::cpu(cpu), block, size, mode_of(number(data) >> 8));
    });
}

extern "C" fn on_own_translation(cpu: c_uint, _data: *mut c_void) {
    with(|feed, _| feed.translated_anew(current::cpu(cpu)));
}

extern "C" fn on_translation(_cpu: c_uint, _data: *mut c_void) {
    with(|feed, _| feed.all_translated_anew());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maintenance_of_caches_is_recognised() {
        // As GNU as encodes them: dc zva, x0; dc civac, x1; dc cvac, x2; dc cvap, x3; dc ivac, x4.
        assert_eq!(Caching::decode(0xd50b_7420), Some(Caching::Zero(0)));
        assert_eq!(Caching::decode(0xd50b_7e21), Some(Caching::Line(Flush::CleanAndInvalidate, 1)));
        assert_eq!(Caching::decode(0xd50b_7a22), Some(Caching::Line(Flush::Clean, 2)));
        assert_eq!(Caching::decode(0xd50b_7c23), Some(Caching::Line(Flush::Clean, 3)));
        assert_eq!(Caching::decode(0xd508_7624), Some(Caching::Line(Flush::Invalidate, 4)));
    }

    #[test]
    fn blocks_are_as_large_as_the_processor_says() {
        assert_eq!(["max", "max,sve=off", "cortex-a57", "neoverse-n1"].map(block_size), [512, 512, 64, 64]);
    }

    #[test]
    fn changes_of_what_addresses_mean_are_recognised() {
        let whose = |word| match Caching::decode(word) {
            Some(Caching::Translation(whose)) => whose,
            other => panic!("{word:#x}: {other:?}"),
        };
        // tlbi vmalle1is; tlbi vaae1is, x2; tlbi vmalle1os.
        assert_eq!([0xd508_831f, 0xd508_8362, 0xd508_811f].map(whose), [Whose::All; 3]);
        // tlbi vmalle1; tlbi vae1, x1; tlbi vmalle1nxs; msr ttbr0_el1, x1; msr ttbr1_el1, x2.
        let own = [0xd508_871f, 0xd508_8721, 0xd508_971f, 0xd518_2001, 0xd518_2022];
        assert_eq!(own.map(whose), [Whose::Own; 5]);
    }

    #[test]
    fn other_instructions_are_left_alone() {
        // ic iallu; dc cvau, x0; at s1e1r, x0; msr mair_el1, x5; mrs x0, ttbr0_el1; nop; dc cisw, x0.
        for word in [0xd508_751f, 0xd50b_7b20, 0xd508_7800, 0xd518_a205, 0xd538_2000, 0xd503_201f, 0xd508_7e40] {
            assert_eq!(Caching::decode(word), None, "{word:#x}");
        }
    }
}
