// SPDX-License-Identifier: GPL-2.0-only
//! Events of the caches in the counters of QEMU's PMU.
//!
//! A kernel's MSR of a register of the PMU is noted, and executed as it is. MRS of what is known better here is skipped, and the answer put
//! into the general register. What programs read themselves, at EL0, is left to QEMU.

use super::{Level, Plugin, plugin};
use crate::feed;
use crate::qemu::{Translated, current, number};
use resctrl_hardware::pmu::Happened;
use resctrl_hardware::pmu::arm::ArmRegister;
use std::ffi::{c_uint, c_void};

/// MRS or MSR of a register of the PMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    reads: bool,
    /// CRn is 14, and CRm and op2 as they are.
    register: (bool, u8, u8),
    general: u8,
}

impl Instruction {
    fn decode(word: u32) -> Option<Self> {
        let reads = match word >> 20 {
            0xd53 => true,
            0xd51 => false,
            _ => return None,
        };
        // Op0 is 3 and op1 is 3 of all.
        let (top, crn) = (word >> 16 & 0xf, word >> 12 & 0xf);
        let fields = (crn == 14, (word >> 8 & 0xf) as u8, (word >> 5 & 0x7) as u8);
        (top == 0b1011 && (crn == 9 || crn == 14)).then_some(())?;
        register(fields)?;
        Some(Self { reads, register: fields, general: (word & 0x1f) as u8 })
    }
}

/// The register of these fields of an instruction.
fn register((is_14, crm, op2): (bool, u8, u8)) -> Option<ArmRegister> {
    let place = (crm & 3) << 3 | op2;
    Some(match (is_14, crm, op2) {
        (false, 12, 0) => ArmRegister::Control,
        (false, 12, 1) => ArmRegister::EnableSet,
        (false, 12, 2) => ArmRegister::EnableClear,
        (false, 12, 5) => ArmRegister::Selection,
        (false, 12, 6) => ArmRegister::CommonEvents0,
        (false, 12, 7) => ArmRegister::CommonEvents1,
        (false, 13, 1) => ArmRegister::SelectedType,
        (false, 13, 2) => ArmRegister::SelectedCounter,
        // The last of either is that of cycles, or nothing.
        (true, 8..=11, _) if place < 31 => ArmRegister::Counter(place),
        (true, 12..=15, _) if place < 31 => ArmRegister::Type(place),
        _ => return None,
    })
}

fn pack(Instruction { register: (is_14, crm, op2), general, .. }: Instruction, address: u64) -> u64 {
    let register = u64::from(is_14) << 7 | u64::from(crm) << 3 | u64::from(op2);
    // Of an address the uppermost bits are all alike.
    address << 13 | register << 5 | u64::from(general)
}

fn unpack(data: u64) -> (Option<ArmRegister>, u8, u64) {
    let fields = (data >> 12 & 1 == 1, (data >> 8 & 0xf) as u8, (data >> 5 & 0x7) as u8);
    (register(fields), (data & 0x1f) as u8, (data.cast_signed() >> 13).cast_unsigned())
}

/// Has an instruction watched, if it is one of these.
pub(super) fn watch(insn: &Translated<'_>, word: u32, address: u64) {
    match Instruction::decode(word) {
        Some(instruction) if instruction.reads => insn.instead(on_read, pack(instruction, address)),
        Some(instruction) => insn.before(on_write, pack(instruction, address)),
        None => {}
    }
}

impl Plugin {
    /// What a CPU has done.
    fn happened(&self, cpu: usize) -> Happened {
        let counts = self.system.caches().map(|caches| caches.counts(cpu)).unwrap_or_default();
        Happened {
            time: self.now(),
            instructions: feed::instructions(cpu),
            accesses: counts.accesses,
            references: counts.l3_references,
            misses: counts.l3_misses,
        }
    }
}

extern "C" fn on_read(cpu: c_uint, data: *mut c_void) {
    let Some(plugin) = plugin() else { return };
    let (register, general, address) = unpack(number(data));
    let (Some(pmu), Some(register), cpu) = (&plugin.pmu, register, current::cpu(cpu)) else { return };
    if plugin.level() == Level::El0 {
        return;
    }
    if let Some(value) = pmu.read(cpu, register, plugin.happened(cpu)) {
        plugin.write_general(general, value);
        // SAFETY: nothing here waits to be dropped.
        unsafe { plugin.api.go_on_at(address.wrapping_add(4)) };
    }
}

extern "C" fn on_write(cpu: c_uint, data: *mut c_void) {
    let Some(plugin) = plugin() else { return };
    let (register, general, _) = unpack(number(data));
    let (Some(pmu), Some(register), cpu) = (&plugin.pmu, register, current::cpu(cpu)) else { return };
    if plugin.level() != Level::El0 {
        pmu.write(cpu, register, plugin.read_general(general), plugin.happened(cpu));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_of_the_pmu_are_recognised() {
        // As GNU as encodes them: MRS X3, PMCEID1_EL0; MSR PMCR_EL0, X0; MRS X1, PMEVCNTR5_EL0; MSR PMEVTYPER30_EL0, X2;
        // MRS X4, PMXEVCNTR_EL0.
        for (word, reads, expected, general) in [
            (0xd53b_9ce3, true, ArmRegister::CommonEvents1, 3),
            (0xd51b_9c00, false, ArmRegister::Control, 0),
            (0xd53b_e8a1, true, ArmRegister::Counter(5), 1),
            (0xd51b_efc2, false, ArmRegister::Type(30), 2),
            (0xd53b_9d44, true, ArmRegister::SelectedCounter, 4),
        ] {
            let instruction = Instruction::decode(word).unwrap();
            assert_eq!((instruction.reads, instruction.general), (reads, general), "{word:#x}");
            assert_eq!(register(instruction.register), Some(expected), "{word:#x}");
            for address in [0x4000_1234, 0xffff_8000_1234_5678] {
                assert_eq!(unpack(pack(instruction, address)), (Some(expected), general, address));
            }
        }
    }

    #[test]
    fn others_are_left_alone() {
        // MRS X0, PMCCNTR_EL0; MSR PMCCFILTR_EL0, X0; MRS X0, MIDR_EL1; MRS X0, CNTVCT_EL0; NOP.
        for word in [0xd53b_9d00, 0xd51b_efe0, 0xd538_0000, 0xd53b_e040, 0xd503_201f] {
            assert_eq!(Instruction::decode(word), None, "{word:#x}");
        }
    }
}
