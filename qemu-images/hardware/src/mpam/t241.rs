// SPDX-License-Identifier: GPL-2.0-only
//! A chip of NVIDIA's T241 ("Grace") with its errata of MPAM, as far as bandwidth goes.
//!
//! Source: the descriptions of T241-MPAM-1, -4 and -6 that NVIDIA gave with its changes to Linux. What a store to
//! `MPAMCFG_MBW_MAX` or `MPAMCFG_MBW_MIN` sets travels to a shadow register in each of twelve slices, and takes effect
//! only when two spare registers are written after that (-1). What is achieved can be anything between minimum and
//! maximum, and next to nothing with a minimum of 0 (-4). Counters count lines of 64 bytes (-6), which is what the machine
//! file says of the monitors.
//!
//! How long a value travels nobody says. Here each load from a shadow register is a step of time, and slices that are
//! further away take more of them: so software that writes the spare registers too early always leaves a slice behind.

use super::Msc;
use super::registers::{MbwMax, MbwMin, PartSel};
use crate::numbers::place;
use std::collections::BTreeMap;

/// `MPAMF_IIDR` of its MSCs.
pub const IIDR: u32 = 0x2410_036b;

/// What firmware answers to `SMCCC_ARCH_SOC_ID`: JEP-106 code and number of the chip.
pub const SOC_ID: u32 = 0x036b_0241;

/// Physical address of the registers of chip 0, and their size.
pub const BASE: u64 = 0x1900_0000;
/// See [`BASE`].
pub const SIZE: u64 = 8 << 20;

const SLICES: usize = 12;
const SHADOW: u64 = 0x36_0048;

/// Where in its 4 KiB the first shadow register of every slice is; those of further PARTIDs follow, 8 bytes each.
pub(super) const SHADOW_IN_PAGE: u32 = (SHADOW % 4096) as u32;
const SLICE_STRIDE: u64 = 0x1_0000;
const SPARES: [u64; 2] = [0x1b_0000, 0x1c_0000];

/// Steps of time from one slice to the next.
const STEPS: u64 = 2;

/// The limits of a PARTID: fractions of 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `MPAMCFG_MBW_MAX.MAX`.
    pub max: u16,
    /// `MPAMCFG_MBW_MIN.MIN`.
    pub min: u16,
}

/// A limit on its way to a slice.
#[derive(Clone, Copy, Debug)]
struct Travelling {
    arrival: u64,
    partid: u16,
    limits: Limits,
}

#[derive(Clone, Debug, Default)]
struct Slice {
    travelling: Vec<Travelling>,
    shadow: BTreeMap<u16, Limits>,
    effective: BTreeMap<u16, Limits>,
}

impl Slice {
    fn arrive(&mut self, now: u64) {
        let shadow = &mut self.shadow;
        self.travelling.retain(|travelling| {
            let on_the_way = travelling.arrival > now;
            if !on_the_way {
                shadow.insert(travelling.partid, travelling.limits);
            }
            on_the_way
        });
    }
}

/// One chip.
#[derive(Clone, Debug)]
pub struct Chip {
    slices: [Slice; SLICES],
    steps: u64,
    spares_written: [bool; 2],
    /// A slice never gets anything any more, see [`Chip::stick`].
    stuck: Option<usize>,
}

impl Default for Chip {
    fn default() -> Self {
        Chip { slices: std::array::from_fn(|_| Slice::default()), steps: 0, spares_written: [false; 2], stuck: None }
    }
}

impl Chip {
    /// A register of one of its MSCs, at `offset`, was stored to.
    pub fn follow(&mut self, msc: &Msc, offset: u32, now: u64) {
        if ![MbwMax::OFFSET, MbwMin::OFFSET].contains(&offset) {
            return;
        }
        let selected = u64::from(msc.peek32(PartSel::OFFSET, now));
        let (ris, partid) = (place(PartSel::RIS.get(selected)), PartSel::PARTID_SEL.get16(selected));
        let fraction = |offset| msc.control(ris, partid, offset).map(|value| MbwMax::MAX.get16(value.into()));
        let Some(max) = fraction(MbwMax::OFFSET) else { return };
        let limits = Limits { max, min: fraction(MbwMin::OFFSET).unwrap_or(0) };
        for (slice, number) in self.slices.iter_mut().zip(0..) {
            if self.stuck != Some(number) {
                let arrival = self.steps + STEPS * number as u64;
                slice.travelling.push(Travelling { arrival, partid, limits });
                slice.arrive(self.steps);
            }
        }
    }

    /// Loads 64 bits at an offset from [`BASE`].
    pub fn read64(&mut self, offset: u64) -> u64 {
        let Some((slice, partid)) = shadow_at(offset) else { return 0 };
        let Some(slice) = self.slices.get_mut(slice) else { return 0 };
        slice.arrive(self.steps);
        self.steps += 1;
        slice.shadow.get(&partid).map_or(0, |limits| u64::from(limits.min) << 16 | u64::from(limits.max))
    }

    /// Stores 64 bits at an offset from [`BASE`].
    pub fn write64(&mut self, offset: u64, value: u64) {
        let Some(spare) = SPARES.iter().position(|spare| *spare == offset).filter(|_| value == 0) else { return };
        self.spares_written[spare] = true;
        if self.spares_written == [true; 2] {
            self.spares_written = [false; 2];
            for slice in &mut self.slices {
                slice.arrive(self.steps);
                slice.effective.clone_from(&slice.shadow);
            }
        }
    }

    /// What is in effect for a PARTID in each slice; `None` for what never was limited.
    pub fn in_effect(&self, partid: u16) -> impl Iterator<Item = Option<Limits>> {
        self.slices.iter().map(move |slice| slice.effective.get(&partid).copied())
    }

    /// What is in effect for a PARTID, where the slices agree; inside `None` for no limit.
    #[must_use]
    pub fn agreed(&self, partid: u16) -> Option<Option<Limits>> {
        let mut slices = self.in_effect(partid);
        let first = slices.next()?;
        slices.all(|slice| slice == first).then_some(first)
    }

    /// Share of the bandwidth that a PARTID gets, of 2^16, given the fraction bits of its limits: at worst.
    #[must_use]
    pub fn share(&self, partid: u16, bits: u32) -> u64 {
        let step = 1_u64 << (16 - bits.min(16));
        let of_slice = |limits: Option<Limits>| match limits {
            None => 1 << 16,
            // Once throttled it never leaves that state.
            Some(Limits { min: 0, .. }) => step,
            Some(limits) => u64::from(limits.min.min(limits.max)) + step,
        };
        self.in_effect(partid).map(of_slice).sum::<u64>() / SLICES as u64
    }

    /// Lets a slice keep its shadow register as it is from now on: no chip does, but software has to end all the same.
    pub fn stick(&mut self, slice: usize) {
        self.stuck = Some(slice);
    }
}

/// Slice, whether there is one or not, and PARTID of the shadow register at an offset.
fn shadow_at(offset: u64) -> Option<(usize, u16)> {
    let distance = offset.checked_sub(SHADOW)?;
    let (slice, rest) = (place(distance / SLICE_STRIDE), distance % SLICE_STRIDE);
    let partid = u16::try_from(rest / 8).ok()?;
    rest.is_multiple_of(8).then_some((slice, partid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mpam::{BandwidthControls, MscConfig, RisConfig};

    const LIMITS: Limits = Limits { max: 0x7f00, min: 0x7300 };

    fn limited() -> Chip {
        let bandwidth = BandwidthControls { bits: 8, max: true, min: true, ..BandwidthControls::default() };
        let mut msc = Msc::new(MscConfig::new(vec![RisConfig { bandwidth: Some(bandwidth), ..RisConfig::new(31, 3) }]));
        let mut chip = Chip::default();
        msc.write32(PartSel::OFFSET, 5, 0);
        for (offset, value) in [(MbwMin::OFFSET, 0x7300), (MbwMax::OFFSET, 0x7f00)] {
            msc.write32(offset, value, 0);
            chip.follow(&msc, offset, 0);
        }
        chip
    }

    fn shadows(chip: &mut Chip) -> Vec<u64> {
        (0..12).map(|slice| chip.read64(0x36_0048 + slice * 0x1_0000 + 5 * 8)).collect()
    }

    fn spares(chip: &mut Chip) {
        chip.write64(0x1b_0000, 0);
        chip.write64(0x1c_0000, 0);
    }

    #[test]
    fn a_limit_has_no_effect_until_the_spare_registers_are_written() {
        let mut chip = limited();
        for _ in 0..3 {
            shadows(&mut chip);
        }
        assert_eq!((chip.agreed(5), chip.share(5, 8)), (Some(None), 1 << 16));
        chip.write64(0x1b_0000, 0);
        chip.write64(0x1c_0000, 1);
        assert_eq!(chip.agreed(5), Some(None), "one of them, and another value");
        spares(&mut chip);
        assert_eq!((chip.agreed(5), chip.share(5, 8)), (Some(Some(LIMITS)), 0x7400));
    }

    #[test]
    fn a_slice_is_left_behind_by_who_does_not_wait_for_all() {
        let mut chip = limited();
        assert_ne!(shadows(&mut chip), [0x7300_7f00; 12], "some are still on the way");
        spares(&mut chip);
        assert_eq!(chip.agreed(5), None);
        while shadows(&mut chip) != [0x7300_7f00; 12] {}
        spares(&mut chip);
        assert_eq!(chip.agreed(5), Some(Some(LIMITS)));
    }

    #[test]
    fn other_registers_are_neither_spare_nor_shadow() {
        for spare in [0x1b_0000, 0x1c_0000] {
            let mut chip = limited();
            while shadows(&mut chip) != [0x7300_7f00; 12] {}
            for offset in [0, 0x1d_0000, 0x36_0048, spare, spare] {
                chip.write64(offset, 0);
                assert_eq!(chip.agreed(5), Some(None), "at most one of them was written");
            }
        }
        let mut chip = limited();
        while shadows(&mut chip) != [0x7300_7f00; 12] {}
        let shadow = 0x36_0048 + 5 * 8;
        for (offset, value) in [(shadow, 0x7300_7f00), (shadow + 4, 0), (shadow + 12 * 0x1_0000, 0), (0, 0)] {
            assert_eq!(chip.read64(offset), value, "{offset:#x}");
        }
    }

    #[test]
    fn without_a_minimum_next_to_nothing_is_achieved() {
        let mut chip = limited();
        for slice in &mut chip.slices {
            slice.effective.insert(5, Limits { min: 0, ..LIMITS });
        }
        assert_eq!(chip.share(5, 8), 0x100);
    }
}
