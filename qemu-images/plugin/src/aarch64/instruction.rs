// SPDX-License-Identifier: GPL-2.0-only
//! Recognises the instructions that reach MPAM in their encoded form.
//!
//! Source: DDI 0487, "A64 instruction set encoding".

use resctrl_hardware::control;
use resctrl_hardware::mpam::SystemRegister;

/// An instruction the plugin watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instruction {
    /// MRS of a register of FEAT_MPAM into a general register.
    Mrs(SystemRegister, u8),
    /// MSR of a register of FEAT_MPAM.
    Msr(SystemRegister, u8),
    /// MRS of the register that tells whether there is MPAM.
    MrsFeatures(u8),
    /// MRS of the register that tells which processor it is.
    MrsProcessor(u8),
    /// HVC or SMC, by which firmware is called.
    Firmware,
    /// MSR of `MAIR_EL1`, which is part of setting a processor up.
    SetUp,
    /// The way for guest programs to the emulated hardware.
    Channel,
    /// YIELD or WFE, the hints that the CPU spins.
    Spin,
    /// MSR of `ICC_SGI1R_EL1`, by which a CPU interrupts others.
    Interrupt(u8),
    /// A load such as accesses to device registers are made with: the general register, and the bytes.
    Load(u8, u32),
    /// A store of that kind: the bytes.
    Store(u32),
}

/// The register that always reads as zero, or the stack pointer.
const REGISTER_31: u8 = 31;

/// Op0, op1, CRn, CRm and op2 of a system register, where MRS and MSR have them.
const fn system_register(op0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> u32 {
    (op0 << 19) | (op1 << 16) | (crn << 12) | (crm << 8) | (op2 << 5)
}

const ID_AA64PFR0_EL1: u32 = system_register(3, 0, 0, 4, 0);

const MIDR_EL1: u32 = system_register(3, 0, 0, 0, 0);

const YIELD: u32 = 0xd503_203f;
const WFE: u32 = 0xd503_205f;

/// With the immediate that the calling convention has.
const HVC: u32 = 0xd400_0002;
const SMC: u32 = 0xd400_0003;

const MAIR_EL1: u32 = system_register(3, 0, 10, 2, 0);

const ICC_SGI1R_EL1: u32 = system_register(3, 0, 12, 11, 5);

/// `ICC_SGI1R_EL1`: which CPUs of a cluster are interrupted, a bit for each; or all but the one that asks.
const TARGET_LIST: u64 = 0xffff;
const ALL_OTHERS: u64 = 1 << 40;

/// How many CPUs of so many a write to `ICC_SGI1R_EL1` interrupts.
///
/// Source: IHI 0069, "`ICC_SGI1R_EL1`".
pub(crate) fn receivers(value: u64, cpus: usize) -> u64 {
    if value & ALL_OTHERS != 0 { cpus as u64 - 1 } else { (value & TARGET_LIST).count_ones().into() }
}

/// The registers of FEAT_MPAM that are emulated.
const REGISTERS: [(u32, SystemRegister); 6] = [
    (system_register(3, 0, 10, 4, 4), SystemRegister::Mpamidr),
    (system_register(3, 0, 10, 5, 0), SystemRegister::Mpam1),
    (system_register(3, 0, 10, 5, 1), SystemRegister::Mpam0),
    (system_register(3, 0, 10, 5, 3), SystemRegister::Mpamsm),
    (system_register(3, 4, 10, 5, 0), SystemRegister::Mpam2),
    (system_register(3, 5, 10, 5, 0), SystemRegister::Mpam12),
];

impl Instruction {
    /// Decodes an instruction.
    pub(crate) fn decode(word: u32) -> Option<Self> {
        let register = (word & 0x1f) as u8;
        match word {
            control::HINT => return Some(Self::Channel),
            YIELD | WFE => return Some(Self::Spin),
            HVC | SMC => return Some(Self::Firmware),
            _ => {}
        }
        match word >> 20 {
            0xd53 => {
                let source = word & 0x001f_ffe0;
                if source == ID_AA64PFR0_EL1 {
                    return Some(Self::MrsFeatures(register));
                }
                if source == MIDR_EL1 {
                    return Some(Self::MrsProcessor(register));
                }
                emulated(source).map(|source| Self::Mrs(source, register))
            }
            0xd51 if word & 0x001f_ffe0 == MAIR_EL1 => Some(Self::SetUp),
            0xd51 if word & 0x001f_ffe0 == ICC_SGI1R_EL1 => Some(Self::Interrupt(register)),
            0xd51 => emulated(word & 0x001f_ffe0).map(|target| Self::Msr(target, register)),
            _ => Self::decode_access(word),
        }
    }

    /// Loads and stores of one general register of 32 or 64 bits. Not by way of the stack pointer: no device is there. Of
    /// 64 bits only those without an offset, as the kernel's accessors for devices make them.
    fn decode_access(word: u32) -> Option<Self> {
        let base = (word >> 5 & 0x1f) as u8;
        if base == REGISTER_31 {
            return None;
        }
        let register = (word & 0x1f) as u8;
        // LDR and STR: an unsigned offset, a signed one (also with write-back), or a register's. LDAR and STLR: none.
        let unsigned = word & 0xffc0_0000;
        let signed = word & 0xffe0_0000;
        let by_register = word & 0xffe0_0c00;
        let plain = word & 0xffff_fc00;
        if unsigned == 0xb940_0000 || signed == 0xb840_0000 || by_register == 0xb860_0800 || plain == 0x88df_fc00 {
            Some(Self::Load(register, 4))
        } else if unsigned == 0xb900_0000 || signed == 0xb800_0000 || by_register == 0xb820_0800 || plain == 0x889f_fc00
        {
            Some(Self::Store(4))
        } else if plain == 0xf940_0000 || plain == 0xc8df_fc00 {
            Some(Self::Load(register, 8))
        } else if plain == 0xf900_0000 || plain == 0xc89f_fc00 {
            Some(Self::Store(8))
        } else {
            None
        }
    }
}

fn emulated(encoding: u32) -> Option<SystemRegister> {
    REGISTERS.into_iter().find(|(known, _)| *known == encoding).map(|(_, register)| register)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_to_other_cpus_are_counted_by_who_gets_them() {
        // MSR ICC_SGI1R_EL1, X3.
        assert_eq!(Instruction::decode(0xd518_cba3), Some(Instruction::Interrupt(3)));
        assert_eq!(receivers(0x0100_0000_0005, 4), 3, "all but the sender, whatever the list says");
        assert_eq!(receivers(0x0000_0300_0005, 4), 2);
        assert_eq!(receivers(0, 4), 0);
    }

    #[test]
    fn accesses_to_the_registers_of_mpam_are_recognised() {
        // As GNU as encodes them.
        assert_eq!(Instruction::decode(0xd538_0003), Some(Instruction::MrsProcessor(3)));
        assert_eq!(Instruction::decode(0xd538_a4a3), None);
        assert_eq!(Instruction::decode(0xd538_a483), Some(Instruction::Mrs(SystemRegister::Mpamidr, 3)));
        assert_eq!(Instruction::decode(0xd538_a500), Some(Instruction::Mrs(SystemRegister::Mpam1, 0)));
        assert_eq!(Instruction::decode(0xd518_a53f), Some(Instruction::Msr(SystemRegister::Mpam0, 31)));
        assert_eq!(Instruction::decode(0xd51c_a501), Some(Instruction::Msr(SystemRegister::Mpam2, 1)));
        assert_eq!(Instruction::decode(0xd51d_a502), Some(Instruction::Msr(SystemRegister::Mpam12, 2)));
        assert_eq!(Instruction::decode(0xd538_0401), Some(Instruction::MrsFeatures(1)));
        assert_eq!(Instruction::decode(0xd538_0421), None);
        assert_eq!(Instruction::decode(0xd518_a205), Some(Instruction::SetUp));
        assert_eq!(Instruction::decode(0xd538_a205), None);
    }

    #[test]
    fn calls_of_firmware_are_recognised() {
        for word in [0xd400_0002, 0xd400_0003] {
            assert_eq!(Instruction::decode(word), Some(Instruction::Firmware), "{word:#x}");
        }
        // SVC, HVC with another number.
        for word in [0xd400_0001, 0xd400_0022] {
            assert_eq!(Instruction::decode(word), None, "{word:#x}");
        }
    }

    #[test]
    fn hints_that_the_cpu_spins_are_recognised() {
        for word in [0xd503_203f, 0xd503_205f] {
            assert_eq!(Instruction::decode(word), Some(Instruction::Spin), "{word:#x}");
        }
    }

    #[test]
    fn loads_and_stores_of_a_word_are_recognised_in_every_form_of_address() {
        for (word, register) in
            [(0xb940_0020, 0), (0xb948_4041, 1), (0xb840_4022, 2), (0xb85f_c023, 3), (0xb862_6824, 4), (0x88df_fc25, 5)]
        {
            assert_eq!(Instruction::decode(word), Some(Instruction::Load(register, 4)), "{word:#x}");
        }
        for word in [0xb900_0020_u32, 0xb908_4041, 0xb800_4c22, 0xb822_6824, 0x889f_fc25] {
            assert_eq!(Instruction::decode(word), Some(Instruction::Store(4)), "{word:#x}");
        }
        assert_eq!(Instruction::decode(0xf940_0020), Some(Instruction::Load(0, 8)));
        assert_eq!(Instruction::decode(0xf900_003f), Some(Instruction::Store(8)));
    }

    #[test]
    fn other_instructions_are_left_alone() {
        // NOP, WFI, a neighbouring hint, LDRB, LDRSW, LDR of a vector register, LDR by the stack pointer, a literal, LDP.
        for word in [
            0xd503_201f,
            0xd503_207f,
            0xd503_2edf,
            0x3940_0020,
            0xb980_0020,
            0xbd40_0020,
            0xb940_03e0,
            0x1800_0020,
            0x2940_0420,
        ] {
            assert_eq!(Instruction::decode(word), None, "{word:#x}");
        }
    }
}
