// SPDX-License-Identifier: GPL-2.0-only
//! What is configured for each PARTID.

use std::collections::BTreeMap;

use super::RisConfig;
use super::registers::{Cassoc, Cmax, Cmin, Cpbm, MbwMax, MbwMin, MbwPbm, MbwProp, MbwWinwd, Pri};

/// Bytes that a bit map array can take.
const ARRAY_SIZE: u32 = 0x1000;

/// The uppermost `bits` of a 16 bit fraction.
const fn fraction(bits: u32) -> u32 {
    if bits >= 16 { 0xffff } else { 0xffff << (16 - bits) & 0xffff }
}

/// The lowest `bits` of a word, none or all of them at the ends.
const fn low_bits(bits: u32) -> u32 {
    match bits {
        0 => 0,
        1..=31 => u32::MAX >> (32 - bits),
        _ => u32::MAX,
    }
}

/// Which word of an array at `base` the offset is, if it is one.
const fn array_word(offset: u32, base: u32) -> Option<u32> {
    if offset >= base && offset - base < ARRAY_SIZE { Some((offset - base) / 4) } else { None }
}

impl RisConfig {
    /// Bits of the control register at `offset` that are implemented; `None` when this instance lacks the control.
    pub(super) fn implemented(&self, offset: u32) -> Option<u32> {
        if let Some(word) = array_word(offset, Cpbm::OFFSET) {
            return (self.cpor_bits > 0).then(|| low_bits(self.cpor_bits.saturating_sub(word * 32)));
        }
        if let Some(word) = array_word(offset, MbwPbm::OFFSET) {
            let bits = self.bandwidth.map_or(0, |bandwidth| bandwidth.portion_bits);
            return (bits > 0).then(|| low_bits(bits.saturating_sub(word * 32)));
        }
        let capacity = self.capacity.unwrap_or_default();
        let bandwidth = self.bandwidth.unwrap_or_default();
        match offset {
            Cmax::OFFSET if capacity.max => {
                let soft = if capacity.soft_limit { Cmax::SOFTLIM.mask32() } else { 0 };
                Some(fraction(capacity.bits) | soft)
            }
            Cmin::OFFSET if capacity.min => Some(fraction(capacity.bits)),
            Cassoc::OFFSET if capacity.associativity_bits > 0 => Some(fraction(capacity.associativity_bits)),
            MbwMin::OFFSET if bandwidth.min => Some(fraction(bandwidth.bits)),
            MbwMax::OFFSET if bandwidth.max => Some(fraction(bandwidth.bits) | MbwMax::HARDLIM.mask32()),
            MbwProp::OFFSET if bandwidth.proportional => Some(low_bits(bandwidth.bits.min(16)) | MbwProp::EN.mask32()),
            MbwWinwd::OFFSET if bandwidth.window => Some(MbwWinwd::US.mask32()),
            Pri::OFFSET if self.internal_priority.is_some() || self.downstream_priority.is_some() => {
                let internal = self.internal_priority.map_or(0, |priority| low_bits(priority.bits));
                let downstream = self.downstream_priority.map_or(0, |priority| low_bits(priority.bits));
                Some(internal | downstream << 16)
            }
            _ => None,
        }
    }

    /// How many partitions have a configuration of their own.
    pub(super) fn partitions(&self) -> usize {
        usize::from(self.narrowing.unwrap_or(self.partid_max)) + 1
    }
}

/// Whether `offset` is that of a register about a partition.
pub(super) fn is_control(offset: u32) -> bool {
    array_word(offset, Cpbm::OFFSET).is_some()
        || array_word(offset, MbwPbm::OFFSET).is_some()
        || matches!(
            offset,
            Cmax::OFFSET
                | Cmin::OFFSET
                | Cassoc::OFFSET
                | MbwMin::OFFSET
                | MbwMax::OFFSET
                | MbwProp::OFFSET
                | MbwWinwd::OFFSET
                | Pri::OFFSET
        )
}

/// The control registers of one partition.
///
/// At reset the architecture promises something for PARTID 0 only: that it is not restricted, so that a system whose
/// software knows nothing of MPAM works. What the others hold is unknown; here it is 0, which for most controls is the
/// hardest restriction there is, so that software which relies on it notices.
#[derive(Clone, Debug, Default)]
pub(super) struct Partition {
    open: bool,
    written: BTreeMap<u32, u32>,
}

impl Partition {
    /// As after reset.
    pub(super) fn new(number: usize) -> Self {
        Partition { open: number == 0, written: BTreeMap::new() }
    }

    pub(super) fn read(&self, offset: u32, implemented: u32) -> u32 {
        self.written
            .get(&offset)
            .copied()
            .unwrap_or_else(|| if self.open { open_value(offset, implemented) } else { 0 })
    }

    pub(super) fn write(&mut self, offset: u32, value: u32, implemented: u32) {
        self.written.insert(offset, value & implemented);
    }
}

/// The value that restricts nothing.
const fn open_value(offset: u32, implemented: u32) -> u32 {
    match offset {
        Cmin::OFFSET | MbwMin::OFFSET | MbwProp::OFFSET | MbwWinwd::OFFSET | Pri::OFFSET => 0,
        Cmax::OFFSET => implemented & Cmax::CMAX.mask32(),
        MbwMax::OFFSET => implemented & MbwMax::MAX.mask32(),
        _ => implemented,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mpam::{BandwidthControls, CapacityControls, Priority};

    #[test]
    fn a_bit_map_has_as_many_words_as_its_bits_need() {
        let instance = RisConfig { cpor_bits: 33, ..RisConfig::new(3, 0) };
        assert_eq!(instance.implemented(Cpbm::OFFSET), Some(u32::MAX));
        assert_eq!(instance.implemented(Cpbm::OFFSET + 4), Some(1));
        assert_eq!(instance.implemented(Cpbm::OFFSET + 8), Some(0));
        assert_eq!(instance.implemented(MbwPbm::OFFSET), None);
    }

    #[test]
    fn fractions_are_left_aligned() {
        let bandwidth = BandwidthControls { bits: 4, max: true, ..BandwidthControls::default() };
        let instance = RisConfig { bandwidth: Some(bandwidth), ..RisConfig::new(3, 0) };
        assert_eq!(instance.implemented(MbwMax::OFFSET), Some(0x8000_f000));
        assert_eq!(instance.implemented(MbwMin::OFFSET), None);
    }

    const SINGLE: [u32; 8] = [
        Cmax::OFFSET,
        Cmin::OFFSET,
        Cassoc::OFFSET,
        MbwMin::OFFSET,
        MbwMax::OFFSET,
        MbwProp::OFFSET,
        MbwWinwd::OFFSET,
        Pri::OFFSET,
    ];

    /// Whether each of the abilities is there, for all combinations.
    fn instance(has: [bool; 9]) -> RisConfig {
        let [cmax, soft_limit, cmin, cassoc, min, max, proportional, window, priorities] = has;
        let associativity_bits = if cassoc { 3 } else { 0 };
        let priority = |bits| priorities.then_some(Priority { bits, zero_is_low: true });
        RisConfig {
            capacity: Some(CapacityControls { bits: 5, max: cmax, soft_limit, min: cmin, associativity_bits }),
            bandwidth: Some(BandwidthControls { bits: 6, max, min, proportional, window, portion_bits: 0 }),
            internal_priority: priority(2),
            downstream_priority: priority(4),
            ..RisConfig::new(3, 0)
        }
    }

    #[test]
    fn an_instance_has_the_control_registers_that_it_announces_and_no_other() {
        for bits in 0..1_u32 << 9 {
            let has: [bool; 9] = std::array::from_fn(|place| bits >> place & 1 == 1);
            let [cmax, soft_limit, cmin, cassoc, min, max, proportional, window, priorities] = has;
            let soft = if soft_limit { 1 << 31 } else { 0 };
            let expected = [
                cmax.then_some(0xf800 | soft),
                cmin.then_some(0xf800),
                cassoc.then_some(0xe000),
                min.then_some(0xfc00),
                max.then_some(0x8000_fc00),
                // A stride is a number, not a fraction.
                proportional.then_some(0x8000_003f),
                window.then_some(0x00ff_ffff),
                priorities.then_some(0x000f_0003),
            ];
            assert_eq!(SINGLE.map(|offset| instance(has).implemented(offset)), expected, "{has:?}");
        }
        let one = |internal_priority, downstream_priority| {
            RisConfig { internal_priority, downstream_priority, ..RisConfig::new(3, 0) }.implemented(Pri::OFFSET)
        };
        let priority = Some(Priority { bits: 16, zero_is_low: false });
        assert_eq!((one(priority, None), one(None, priority)), (Some(0xffff), Some(0xffff_0000)));
        assert!(SINGLE.into_iter().all(is_control) && !is_control(Cmax::OFFSET + 4) && !is_control(0x3000));
    }

    #[test]
    fn a_map_of_bandwidth_portions_has_as_many_words_as_its_bits_need() {
        let bandwidth = BandwidthControls { portion_bits: 72, ..BandwidthControls::default() };
        let instance = RisConfig { bandwidth: Some(bandwidth), ..RisConfig::new(3, 0) };
        let words = [0, 4, 8, 12].map(|distance| instance.implemented(MbwPbm::OFFSET + distance));
        assert_eq!(words, [Some(u32::MAX), Some(u32::MAX), Some(0xff), Some(0)]);
    }

    #[test]
    fn after_reset_the_limits_of_partition_0_are_whole_and_neither_soft_nor_hard() {
        let open = instance([true; 9]);
        let held = SINGLE.map(|offset| Partition::new(0).read(offset, open.implemented(offset).unwrap()));
        assert_eq!(held, [0xf800, 0, 0xe000, 0, 0xfc00, 0, 0, 0]);
    }

    #[test]
    fn only_partition_0_is_open_after_reset() {
        assert_eq!(Partition::new(0).read(Cpbm::OFFSET, 0xffff), 0xffff);
        assert_eq!(Partition::new(0).read(MbwMin::OFFSET, 0xffff), 0);
        assert_eq!(Partition::new(1).read(Cpbm::OFFSET, 0xffff), 0);
    }
}
