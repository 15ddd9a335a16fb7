// SPDX-License-Identifier: GPL-2.0-only
//! Recognises the instructions that reach RDT in their encoded form.

/// An instruction the plugin watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instruction {
    Cpuid,
    Rdmsr,
    /// WRMSR, or WRMSRNS, which differs only in ordering.
    Wrmsr,
    /// PAUSE, the hint that the CPU spins.
    Pause,
    Rdpmc,
}

/// Longest encoding an x86 instruction can have.
pub(crate) const MAX_LENGTH: usize = 15;

impl Instruction {
    /// Decodes one whole instruction. The kernel pads these with segment prefixes to keep room for its patching, so
    /// prefixes that change nothing are skipped.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let prefix = |byte: &u8| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf2 | 0xf3);
        let opcode = &bytes[bytes.iter().take_while(|byte| prefix(byte)).count()..];
        match (opcode, bytes.len() - opcode.len()) {
            ([0x0f, 0xa2], _) => Some(Self::Cpuid),
            ([0x0f, 0x32], _) => Some(Self::Rdmsr),
            ([0x0f, 0x33], _) => Some(Self::Rdpmc),
            // With a mandatory prefix 0F 01 C6 is another instruction than WRMSRNS.
            // Without its prefix, NOP.
            ([0x90], _) if bytes.contains(&0xf3) => Some(Self::Pause),
            ([0x0f, 0x30], _) | ([0x0f, 0x01, 0xc6], 0) => Some(Self::Wrmsr),
            _ => None,
        }
    }

    /// Tells whether the two bytes before an instruction may end one whose results are put into registers late.
    pub(crate) fn may_precede(tail: [u8; 2]) -> bool {
        matches!(tail, [0x0f, 0xa2 | 0x32])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_that_change_nothing_are_skipped() {
        assert_eq!(Instruction::decode(&[0x0f, 0xa2]), Some(Instruction::Cpuid));
        assert_eq!(Instruction::decode(&[0x3e, 0x0f, 0x30]), Some(Instruction::Wrmsr));
        assert_eq!(Instruction::decode(&[0x2e, 0x66, 0x0f, 0x32]), Some(Instruction::Rdmsr));
        assert_eq!(Instruction::decode(&[0x0f, 0x33]), Some(Instruction::Rdpmc));
        assert_eq!(Instruction::decode(&[0x0f, 0x01, 0xc6]), Some(Instruction::Wrmsr));
    }

    #[test]
    fn only_its_prefix_tells_pause_from_nop() {
        assert_eq!(Instruction::decode(&[0xf3, 0x90]), Some(Instruction::Pause));
        assert_eq!(Instruction::decode(&[0x66, 0x90]), None);
    }

    #[test]
    fn other_instructions_are_left_alone() {
        for bytes in [
            &[][..],
            &[0x0f],
            &[0x90],
            &[0x3e],
            &[0x0f, 0xa2, 0x90],
            &[0x0f, 0x33, 0x90],
            &[0x0f, 0x31],
            &[0xf3, 0x0f, 0x01, 0xc6],
            &[0xf0, 0x0f, 0xa2],
        ] {
            assert_eq!(Instruction::decode(bytes), None, "{bytes:x?}");
        }
    }

    #[test]
    fn only_instructions_with_late_results_are_looked_for_before_a_block() {
        assert!(Instruction::may_precede([0x0f, 0xa2]));
        assert!(Instruction::may_precede([0x0f, 0x32]));
        assert!(!Instruction::may_precede([0x0f, 0x30]));
    }
}
