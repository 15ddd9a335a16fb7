// SPDX-License-Identifier: GPL-2.0-only
//! FEAT_MPAM of one processor: the system registers that label its memory requests.
//!
//! Source: DDI 0487, "MPAM registers". Exception levels above EL1 are firmware's and a hypervisor's; of them only the
//! enable bit shows here.

use super::registers::Bits;

/// A register of FEAT_MPAM that EL1 or EL2 can access. There is no `MPAMHCR_EL2`, as `MPAMIDR_EL1` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemRegister {
    /// `MPAMIDR_EL1`: what the processor implements. Read only.
    Mpamidr,
    /// `MPAM1_EL1`: labels of EL1, and the enable bit.
    Mpam1,
    /// `MPAM0_EL1`: labels of EL0.
    Mpam0,
    /// `MPAMSM_EL1`: labels of the streaming mode compute unit.
    Mpamsm,
    /// `MPAM2_EL2`: labels of EL2, and traps of the others.
    Mpam2,
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
const TRAPS: Bits = Bits::new(50, 48);
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
        let data = PARTID_D.put(self.config.partid_max.into()) | PMG_D.put(self.config.pmg_max.into());
        let instructions = PARTID_I.put(self.config.partid_max.into()) | PMG_I.put(self.config.pmg_max.into());
        let labels = data | instructions;
        *self = Cpu { mpam1: labels, mpam0: labels, mpamsm: data, mpam2: labels, ..self.clone() };
    }

    /// MRS. `None` where the instruction is undefined.
    #[must_use]
    pub fn read(&self, register: SystemRegister) -> Option<u64> {
        match register {
            SystemRegister::Mpamidr => Some(u64::from(self.config.partid_max) | u64::from(self.config.pmg_max) << 32),
            SystemRegister::Mpam1 => Some(self.mpam1 | MPAMEN.put(self.config.enabled_by_firmware.into())),
            SystemRegister::Mpam2 => Some(self.mpam2 | MPAMEN.put(self.config.enabled_by_firmware.into())),
            SystemRegister::Mpam0 => Some(self.mpam0),
            SystemRegister::Mpamsm => self.config.streaming.then_some(self.mpamsm),
        }
    }

    /// MSR. False where the instruction is undefined.
    pub fn write(&mut self, register: SystemRegister, value: u64) -> bool {
        let data = PARTID_D.mask() | PMG_D.mask();
        let labels = data | PARTID_I.mask() | PMG_I.mask();
        match register {
            // With firmware above, the enable bit shows firmware's and cannot be written.
            SystemRegister::Mpam1 => self.mpam1 = value & labels,
            SystemRegister::Mpam0 => self.mpam0 = value & labels,
            // Traps are kept and never taken.
            SystemRegister::Mpam2 => self.mpam2 = value & (labels | TRAPS.mask()),
            SystemRegister::Mpamsm if self.config.streaming => self.mpamsm = value & data,
            SystemRegister::Mpamsm | SystemRegister::Mpamidr => return false,
        }
        self.writes += 1;
        true
    }

    /// The labels of a request made at EL0 or EL1, for data or for instructions.
    #[must_use]
    pub fn label(&self, user: bool, instruction: bool) -> Label {
        if !self.config.enabled_by_firmware {
            return Label::default();
        }
        let register = if user { self.mpam0 } else { self.mpam1 };
        let (partid, pmg) = if instruction { (PARTID_I, PMG_I) } else { (PARTID_D, PMG_D) };
        Label { partid: partid.get(register) as u16, pmg: pmg.get(register) as u8 }
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

    const CONFIG: CpuConfig = CpuConfig { partid_max: 63, pmg_max: 3, streaming: false, enabled_by_firmware: true };

    #[test]
    fn requests_carry_the_labels_of_their_exception_level_and_kind() {
        let mut cpu = Cpu::new(CONFIG);
        assert!(cpu.write(SystemRegister::Mpam0, 0x0000_0201_0007_0005));
        assert!(cpu.write(SystemRegister::Mpam1, 0x0009));
        assert_eq!(cpu.label(true, true), Label { partid: 5, pmg: 1 });
        assert_eq!(cpu.label(true, false), Label { partid: 7, pmg: 2 });
        assert_eq!(cpu.label(false, true), Label { partid: 9, pmg: 0 });
    }

    #[test]
    fn what_registers_hold_is_lost_with_power() {
        let mut cpu = Cpu::new(CONFIG);
        assert!(cpu.write(SystemRegister::Mpam0, 5));
        cpu.power_cycle();
        assert_eq!(cpu.label(true, false), Label { partid: 63, pmg: 3 });
        assert_eq!(cpu.label(false, true), Label { partid: 63, pmg: 3 });
        assert_eq!(
            (cpu.writes(), cpu.read(SystemRegister::Mpamidr)),
            (1, Cpu::new(CONFIG).read(SystemRegister::Mpamidr))
        );
    }

    #[test]
    fn without_firmware_nothing_is_labelled() {
        let mut cpu = Cpu::new(CpuConfig { enabled_by_firmware: false, ..CONFIG });
        assert!(cpu.write(SystemRegister::Mpam0, 5));
        assert_eq!(cpu.label(true, true), Label::default());
        assert_eq!(cpu.read(SystemRegister::Mpam1), Some(0));
    }

    #[test]
    fn what_is_not_implemented_is_undefined() {
        let mut cpu = Cpu::new(CONFIG);
        assert_eq!(cpu.read(SystemRegister::Mpamsm), None);
        assert!(!cpu.write(SystemRegister::Mpamsm, 0));
        assert!(!cpu.write(SystemRegister::Mpamidr, 0));
        assert_eq!(cpu.read(SystemRegister::Mpamidr), Some(0x0000_0003_0000_003f));
    }
}
