// SPDX-License-Identifier: GPL-2.0-only
//! What firmware answers that QEMU's does not: which chip this is.
//!
//! Source: SMC Calling Convention (DEN 0028), "Arm Architecture Calls". QEMU's firmware knows the power state calls (PSCI)
//! alone. Which version of the calling convention there is software asks by one of those.

/// Functions, by their number in W0.
const PSCI_FEATURES: u32 = 0x8400_000a;
const SMCCC_VERSION: u32 = 0x8000_0000;
const SMCCC_ARCH_FEATURES: u32 = 0x8000_0001;
const SMCCC_ARCH_SOC_ID: u32 = 0x8000_0002;

/// The owner of a function: bits 29:24 of its number. 0 is the architecture.
const OWNER: u32 = 0x3f00_0000;

const VERSION_1_2: u32 = 0x1_0002;
const NOT_SUPPORTED: u32 = u32::MAX;

/// The answer in X0 to a call with these W0 and W1, on a chip of this id. `None` is for QEMU to answer.
pub(super) fn answer(function: u32, argument: u32, soc_id: u32) -> Option<u64> {
    let answer = match (function, argument) {
        (PSCI_FEATURES, SMCCC_VERSION) | (SMCCC_ARCH_FEATURES, SMCCC_ARCH_SOC_ID) => 0,
        (SMCCC_VERSION, _) => VERSION_1_2,
        (SMCCC_ARCH_SOC_ID, 0) => soc_id,
        // Its revision.
        (SMCCC_ARCH_SOC_ID, 1) => 1,
        _ if function & OWNER == 0 => NOT_SUPPORTED,
        _ => return None,
    };
    // A result of 32 bits that is negative is that in 64 as well.
    Some(i64::from(answer.cast_signed()).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_finds_the_way_to_the_id_of_the_chip() {
        let ask = |function, argument| answer(function, argument, 0x036b_0241);
        assert_eq!(ask(0x8400_000a, 0x8000_0000), Some(0));
        assert_eq!(ask(0x8000_0000, 0), Some(0x1_0002));
        assert_eq!(ask(0x8000_0001, 0x8000_0002), Some(0));
        assert_eq!(ask(0x8000_0002, 0), Some(0x036b_0241));
        assert_eq!(ask(0x8000_0001, 0x8000_8000), Some(u64::MAX), "no workaround of this firmware's");
        assert_eq!((ask(0x8400_0000, 0), ask(0xc400_0003, 1)), (None, None), "power states are QEMU's");
        assert_eq!(ask(0x8400_000a, 0x8400_0001), None);
    }
}
