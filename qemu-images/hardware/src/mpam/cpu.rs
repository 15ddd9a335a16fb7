// SPDX-License-Identifier: GPL-2.0-only
//! FEAT_MPAM of one processor: the system registers that label its memory requests.
//!
//! Source: DDI 0487, "MPAM registers". Of EL3, which is firmware's, only the enable bit shows here. Software at EL2 is
//! taken to have set `HCR_EL2.E2H`: Linux without that accesses no register under a name whose meaning it changes.

use super::registers::{Bits, holding, places};

/// Where a processor executes, or a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Programs.
    El0,
    /// A kernel; on a processor with EL2 that of a guest.
    El1,
    /// A kernel that is a hypervisor.
    El2,
}

impl Level {
    /// The level with a number; EL3 is nobody's here.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number {
            0 => Self::El0,
            1 => Self::El1,
            _ => Self::El2,
        }
    }
}

/// A register of FEAT_MPAM that EL1 or EL2 can access, by the name in the instruction. There is no `MPAMHCR_EL2`, as
/// `MPAMIDR_EL1` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemRegister {
    /// `MPAMIDR_EL1`: what the processor implements. Read only.
    Mpamidr,
    /// `MPAM1_EL1`: labels of EL1, and the enable bit; used at EL2 it is `MPAM2_EL2`.
    Mpam1,
    /// `MPAM0_EL1`: labels of EL0.
    Mpam0,
    /// `MPAMSM_EL1`: labels of the streaming mode compute unit.
    Mpamsm,
    /// `MPAM2_EL2`: labels of EL2, and traps of the others.
    Mpam2,
    /// `MPAM1_EL12`: `MPAM1_EL1`, by its name at EL2.
    Mpam12,
}

impl SystemRegister {
    /// Every one.
    pub const ALL: [Self; 6] = [Self::Mpamidr, Self::Mpam1, Self::Mpam0, Self::Mpamsm, Self::Mpam2, Self::Mpam12];
}

/// What a processor implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuConfig {
    /// Largest PARTID.
    pub partid_max: u16,
    /// Largest PMG.
    pub pmg_max: u8,
    /// `MPAMSM_EL1` is there (FEAT_SME).
    pub streaming: bool,
    /// There is EL2, and software is there.
    pub el2: bool,
    /// Firmware has set `MPAM3_EL3.MPAMEN`.
    pub enabled_by_firmware: bool,
}

/// The labels of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// PARTID.
    pub partid: u16,
    /// PMG.
    pub pmg: u8,
}

const PARTID_I: Bits = Bits::new(15, 0);
const PARTID_D: Bits = Bits::new(31, 16);
const PMG_I: Bits = Bits::new(39, 32);
const PMG_D: Bits = Bits::new(47, 40);
const TRAP_MPAM1: Bits = Bits::new(48, 48);
const TRAP_MPAM0: Bits = Bits::new(49, 49);
const ENABLE_MPAMSM: Bits = Bits::new(50, 50);
const TRAP_MPAMIDR: Bits = Bits::new(58, 58);
/// Of `MPAMIDR_EL1`.
const PARTID_MAX: Bits = Bits::new(15, 0);
const PMG_MAX: Bits = Bits::new(39, 32);
const HAS_TRAP_MPAMIDR: Bits = Bits::new(58, 58);
const MPAMEN: Bits = Bits::new(63, 63);

/// The registers of one processor.
#[derive(Clone, Debug)]
pub struct Cpu {
    config: CpuConfig,
    mpam1: u64,
    mpam0: u64,
    mpamsm: u64,
    mpam2: u64,
    writes: u64,
}

impl Cpu {
    /// A processor whose registers hold nothing but zeros.
    #[must_use]
    pub const fn new(config: CpuConfig) -> Self {
        Cpu { config, mpam1: 0, mpam0: 0, mpamsm: 0, mpam2: 0, writes: 0 }
    }

    /// Takes power away and gives it back. What the registers hold then is unknown, says the architecture; here it is the
    /// largest PARTID and PMG, so that software which forgets to write them is noticed.
    pub fn power_cycle(&mut self) {
        let (partid, pmg) = (self.config.partid_max.into(), self.config.pmg_max.into());
        let data = holding([(PARTID_D, partid), (PMG_D, pmg)]);
        let labels = holding([(PARTID_D, partid), (PMG_D, pmg), (PARTID_I, partid), (PMG_I, pmg)]);
        *self = Cpu { mpam1: labels, mpam0: labels, mpamsm: data, mpam2: labels, ..self.clone() };
    }

    /// The register that a name stands for at a level: of `MPAM1_EL1` and its other names the one that holds the labels.
    /// `None` where the instruction is undefined. So is, to a guest, one that is trapped: its hypervisor makes it that.
    fn named(&self, register: SystemRegister, from: Level) -> Option<SystemRegister> {
        let set = |bit: Bits| self.config.el2 && bit.get(self.mpam2) == 1;
        let trapped = match register {
            SystemRegister::Mpamidr => set(TRAP_MPAMIDR),
            SystemRegister::Mpam1 => set(TRAP_MPAM1),
            SystemRegister::Mpam0 => set(TRAP_MPAM0),
            SystemRegister::Mpamsm => self.config.el2 && !set(ENABLE_MPAMSM),
            SystemRegister::Mpam2 | SystemRegister::Mpam12 => true,
        };
        match (from, register) {
            (Level::El1, _) if !trapped => Some(register),
            (Level::El0 | Level::El1, _) => None,
            (Level::El2, SystemRegister::Mpam1) => Some(SystemRegister::Mpam2),
            (Level::El2, SystemRegister::Mpam12) => Some(SystemRegister::Mpam1),
            (Level::El2, _) => Some(register),
        }
    }

    /// MRS at a level. `None` where the instruction is undefined.
    #[must_use]
    pub fn read(&self, register: SystemRegister, from: Level) -> Option<u64> {
        let enabled = MPAMEN.put(self.config.enabled_by_firmware.into());
        match self.named(register, from)? {
            SystemRegister::Mpamidr => Some(holding([
                (PARTID_MAX, self.config.partid_max.into()),
                (PMG_MAX, self.config.pmg_max.into()),
                (HAS_TRAP_MPAMIDR, self.config.el2.into()),
            ])),
            SystemRegister::Mpam1 | SystemRegister::Mpam12 => Some(self.mpam1 | enabled),
            SystemRegister::Mpam2 => Some(self.mpam2 | enabled),
            SystemRegister::Mpam0 => Some(self.mpam0),
            SystemRegister::Mpamsm => self.config.streaming.then_some(self.mpamsm),
        }
    }

    /// MSR at a level. False where the instruction is undefined.
    pub fn write(&mut self, register: SystemRegister, value: u64, from: Level) -> bool {
        let data = places([PARTID_D, PMG_D]);
        let labels = places([PARTID_D, PMG_D, PARTID_I, PMG_I]);
        let traps = places([TRAP_MPAM1, TRAP_MPAM0, ENABLE_MPAMSM, TRAP_MPAMIDR]);
        let Some(register) = self.named(register, from) else { return false };
        match register {
            // With firmware above, the enable bit shows firmware's and cannot be written.
            SystemRegister::Mpam1 | SystemRegister::Mpam12 => self.mpam1 = value & labels,
            SystemRegister::Mpam0 => self.mpam0 = value & labels,
            SystemRegister::Mpam2 => self.mpam2 = value & (labels | traps),
            SystemRegister::Mpamsm if self.config.streaming => self.mpamsm = value & data,
            SystemRegister::Mpamsm | SystemRegister::Mpamidr => return false,
        }
        self.writes += 1;
        true
    }

    /// The labels of a request made at a level, for data or for instructions.
    #[must_use]
    pub fn label(&self, level: Level, instruction: bool) -> Label {
        if !self.config.enabled_by_firmware {
            return Label::default();
        }
        let register = match level {
            Level::El0 => self.mpam0,
            Level::El1 => self.mpam1,
            Level::El2 => self.mpam2,
        };
        let (partid, pmg) = if instruction { (PARTID_I, PMG_I) } else { (PARTID_D, PMG_D) };
        Label { partid: partid.get16(register), pmg: pmg.get8(register) }
    }

    /// How many writes there have been.
    #[must_use]
    pub const fn writes(&self) -> u64 {
        self.writes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: CpuConfig =
        CpuConfig { partid_max: 63, pmg_max: 3, streaming: false, el2: false, enabled_by_firmware: true };

    #[test]
    fn requests_carry_the_labels_of_their_exception_level_and_kind() {
        let mut cpu = Cpu::new(CONFIG);
        assert!(cpu.write(SystemRegister::Mpam0, 0x0000_0201_0007_0005, Level::El1));
        assert!(cpu.write(SystemRegister::Mpam1, 0x0009, Level::El1));
        assert_eq!(cpu.label(Level::El0, true), Label { partid: 5, pmg: 1 });
        assert_eq!(cpu.label(Level::El0, false), Label { partid: 7, pmg: 2 });
        assert_eq!(cpu.label(Level::El1, true), Label { partid: 9, pmg: 0 });
    }

    #[test]
    fn what_registers_hold_is_lost_with_power() {
        let mut cpu = Cpu::new(CONFIG);
        assert!(cpu.write(SystemRegister::Mpam0, 5, Level::El1));
        cpu.power_cycle();
        assert_eq!(cpu.label(Level::El0, false), Label { partid: 63, pmg: 3 });
        assert_eq!(cpu.label(Level::El1, true), Label { partid: 63, pmg: 3 });
        assert_eq!(
            (cpu.writes(), cpu.read(SystemRegister::Mpamidr, Level::El1)),
            (1, Cpu::new(CONFIG).read(SystemRegister::Mpamidr, Level::El1))
        );
    }

    #[test]
    fn power_leaves_the_largest_label_in_every_register_and_no_trap() {
        let mut cpu = Cpu::new(CpuConfig { el2: true, streaming: true, ..CONFIG });
        for register in SystemRegister::ALL {
            let _ = cpu.write(register, u64::MAX, Level::El2);
        }
        cpu.power_cycle();
        let (data, labels) = (3 << 40 | 63 << 16, 3 << 40 | 3 << 32 | 63 << 16 | 63);
        let held = SystemRegister::ALL.map(|register| cpu.read(register, Level::El2).unwrap());
        let enabled = 1 << 63 | labels;
        assert_eq!(held, [1 << 58 | 3 << 32 | 63, enabled, labels, data, enabled, enabled]);
        assert_eq!(cpu.writes(), 5, "of all but the identification");
    }

    /// DDI 0487: the others are reserved, or firmware's.
    #[test]
    fn a_register_keeps_the_bits_that_it_has() {
        let mut cpu = Cpu::new(CpuConfig { el2: true, streaming: true, ..CONFIG });
        let (data, labels, traps) = (0xff00_ffff_0000, 0xffff_ffff_ffff, 0x0407 << 48);
        let enabled = 1 << 63;
        for (register, kept) in [
            (SystemRegister::Mpam12, enabled | labels),
            (SystemRegister::Mpam0, labels),
            (SystemRegister::Mpamsm, data),
            (SystemRegister::Mpam2, enabled | labels | traps),
        ] {
            assert!(cpu.write(register, u64::MAX, Level::El2));
            assert_eq!(cpu.read(register, Level::El2), Some(kept), "{register:?}");
            assert!(cpu.write(register, 0, Level::El2));
            assert_eq!(cpu.read(register, Level::El2), Some(kept & enabled), "{register:?}");
        }
    }

    #[test]
    fn a_level_has_the_number_that_processors_give_it() {
        assert_eq!([0, 1, 2].map(Level::from_number), [Level::El0, Level::El1, Level::El2]);
        assert_eq!([Level::El0, Level::El1, Level::El2].map(|level| level as u64), [0, 1, 2]);
    }

    #[test]
    fn without_firmware_nothing_is_labelled() {
        let mut cpu = Cpu::new(CpuConfig { enabled_by_firmware: false, ..CONFIG });
        assert!(cpu.write(SystemRegister::Mpam0, 5, Level::El1));
        assert_eq!(cpu.label(Level::El0, true), Label::default());
        assert_eq!(cpu.read(SystemRegister::Mpam1, Level::El1), Some(0));
    }

    #[test]
    fn what_is_not_implemented_is_undefined() {
        let mut cpu = Cpu::new(CONFIG);
        assert_eq!(cpu.read(SystemRegister::Mpamsm, Level::El1), None);
        assert!(!cpu.write(SystemRegister::Mpamsm, 0, Level::El1));
        assert!(!cpu.write(SystemRegister::Mpamidr, 0, Level::El1));
        assert_eq!(cpu.read(SystemRegister::Mpamidr, Level::El1), Some(0x0000_0003_0000_003f));
    }

    #[test]
    fn a_kernel_at_el2_has_another_register_behind_the_name_of_el1_s() {
        let mut cpu = Cpu::new(CpuConfig { el2: true, ..CONFIG });
        assert!(cpu.write(SystemRegister::Mpam1, 5 << 16, Level::El2));
        assert_eq!(cpu.label(Level::El2, false), Label { partid: 5, pmg: 0 });
        assert_eq!(cpu.label(Level::El1, false), Label::default());
        assert!(cpu.write(SystemRegister::Mpam12, 7 << 16, Level::El2));
        assert_eq!(cpu.label(Level::El1, false), Label { partid: 7, pmg: 0 });
        assert_eq!(cpu.read(SystemRegister::Mpam2, Level::El2), cpu.read(SystemRegister::Mpam1, Level::El2));
        for register in [SystemRegister::Mpam12, SystemRegister::Mpam2] {
            assert!(!cpu.write(register, 1, Level::El1), "{register:?}");
        }
        cpu.power_cycle();
        assert_eq!(cpu.label(Level::El1, false), Label { partid: 63, pmg: 3 });
    }

    #[test]
    fn a_guest_has_the_registers_that_its_hypervisor_does_not_trap() {
        let mut cpu = Cpu::new(CpuConfig { el2: true, streaming: true, ..CONFIG });
        let seen = |cpu: &Cpu| SystemRegister::ALL.map(|register| cpu.read(register, Level::El1).is_some());
        assert_eq!(seen(&cpu), [true, true, true, false, false, false]);
        let traps = TRAP_MPAM0.mask() | TRAP_MPAM1.mask() | TRAP_MPAMIDR.mask();
        assert!(cpu.write(SystemRegister::Mpam2, traps, Level::El2));
        assert_eq!(seen(&cpu), [false; 6]);
        assert!(!cpu.write(SystemRegister::Mpam1, 5, Level::El1));
        assert!(SystemRegister::ALL.into_iter().all(|register| cpu.read(register, Level::El2).is_some()));
    }
}
