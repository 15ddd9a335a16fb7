// SPDX-License-Identifier: GPL-2.0-only
//! Erratum T241-MPAM-1: on NVIDIA's T241 ("Grace") a limit to the bandwidth has no effect by itself.
//!
//! What is stored to `MPAMCFG_MBW_MAX` and `MPAMCFG_MBW_MIN` travels to a shadow register in each of twelve slices of the
//! chip, and from there no further until two spare registers are written, which must not happen before all have arrived. These
//! registers are in a place of the chip's own, outside of the MSC's page. No firmware table tells where; the address of the
//! MSC tells which chip it is on, and the SoC id that there is such a chip.
//!
//! Source: NVIDIA's description of the erratum, with its change to `drivers/resctrl/mpam_devices.c`.

use core::sync::atomic::Ordering;

use resctrl_types::register::Field;

pub use crate::hardware::ChipRegisters;

use super::msc::Access;
use crate::Msc;

/// What firmware answers to `SMCCC_ARCH_SOC_ID` on this chip: NVIDIA's code of JEP-106 and the number of the product.
pub const SOC_ID: u32 = 0x036b_0241;

/// Bytes of a chip's registers.
pub const SIZE: u32 = 8 << 20;

/// The number of the chip in the physical address of an MSC, and in that of the chip's own registers.
const CHIP_OF_MSC: Field = Field::new(44, 43);
const CHIP_OF_REGISTERS: Field = Field::new(45, 44);

/// Where in the space of a chip its registers are.
const REGISTERS: u64 = 0x1900_0000;

/// Slices of a chip, each with a shadow register for every PARTID.
const SLICES: u32 = 12;
const SHADOW: u32 = 0x36_0048;
const SLICE_STRIDE: u32 = 0x1_0000;
const PARTID_STRIDE: u32 = 8;

/// Writing 0 to both, in this order, passes on what the shadow registers hold.
const SPARES: [u32; 2] = [0x1b_0000, 0x1c_0000];

/// How often the shadow registers are looked at before that is done regardless.
const TRIES: u32 = 1000;

/// The physical address of the registers of the chip that an MSC is on, [`SIZE`] bytes, by the address of its page.
#[must_use]
pub const fn registers_of(msc: u64) -> u64 {
    CHIP_OF_REGISTERS.put(CHIP_OF_MSC.get(msc)) | REGISTERS
}

impl<M: Msc> Access<'_, M> {
    /// Lets the limits of a PARTID that have been stored take effect. Takes note if they may not, and says so: `false`.
    pub(super) fn pass_bandwidth_on(&self, partid: u16) -> bool {
        let Some(chip) = self.msc.registers.chip() else { return true };
        let shadow = |slice| {
            let offset = SHADOW + slice * SLICE_STRIDE + u32::from(partid) * PARTID_STRIDE;
            chip.read64(self.here, offset)
        };
        let arrived = (0..TRIES).any(|_| {
            let first = shadow(0);
            (1..SLICES).all(|slice| shadow(slice) == first)
        });
        if !arrived {
            self.msc.shadows_differ.store(true, Ordering::Relaxed);
        }
        for spare in SPARES {
            chip.write64(self.here, spare, 0);
        }
        arrived
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_an_msc_tells_its_chip() {
        assert_eq!(registers_of(0x0000_0001_0000_0000), 0x1900_0000);
        assert_eq!(registers_of(0x0000_0800_0414_1000), 0x0000_1000_1900_0000);
        assert_eq!(registers_of(0x0000_1000_0414_1000), 0x0000_2000_1900_0000);
        assert_eq!(registers_of(0x0000_1800_0414_1000), 0x0000_3000_1900_0000);
        assert_eq!(registers_of(0xffff_e7ff_ffff_ffff), 0x1900_0000, "no other bit counts");
    }
}
