// SPDX-License-Identifier: GPL-2.0-only
//! Bandwidth as MPAM's registers hold it, and as percentages.
//!
//! A memory system component implements `MPAMCFG_MBW_MAX.MAX` as a fraction of 16 bits of which only the uppermost
//! `MPAMF_MBW_IDR.BWA_WD` exist (Arm MPAM system component specification, IHI 0099, "Memory-bandwidth maximum limit
//! partitioning"). With `w` bits there are `2^w` values; value `v`, counted in the lowest bit that exists, stands for
//! every share of the bandwidth up to `(v + 1) / 2^w`, so all ones is the whole of it. Conversions round to the nearest,
//! halves up, as the kernel's `mbw_max_to_percent()` and `percent_to_mbw_max()` do.

/// Bits of the register field, implemented or not.
const FIELD_BITS: u32 = 16;

/// The whole bandwidth.
const ALL_PERCENT: u32 = 100;

/// How many fraction bits a component implements.
///
/// # Invariants
/// The number is in `1..=16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FractionBits(u32);

impl FractionBits {
    /// The width read from `MPAMF_MBW_IDR.BWA_WD`; `None` for 0, a component that has no fraction to program, and for more
    /// bits than the field has.
    #[must_use]
    pub const fn new(width: u32) -> Option<FractionBits> {
        // INVARIANT: checked here and nowhere changed.
        if 1 <= width && width <= FIELD_BITS { Some(FractionBits(width)) } else { None }
    }

    /// Bits below the implemented ones.
    const fn shift(self) -> u32 {
        FIELD_BITS - self.0
    }

    /// The percentage that a field value stands for, `0..=100`. Bits that are not implemented do not count.
    #[must_use]
    pub fn to_percent(self, field: u16) -> u32 {
        let bands = (u32::from(field) >> self.shift()) + 1;
        (bands * ALL_PERCENT + (1 << self.0) / 2) >> self.0
    }

    /// The field value for a percentage. More than 100 is 100: rounding up to the granularity of a component with four
    /// bits makes 105 of 99, and a sum that does not fit the field must not become the smallest share.
    #[must_use]
    pub fn from_percent(self, percent: u32) -> u16 {
        let percent = percent.min(ALL_PERCENT);
        let bands = ((percent << self.0) + ALL_PERCENT / 2) / ALL_PERCENT;
        let field = (bands.max(1) - 1) << self.shift();
        // At most 2^w bands of 2^(16 - w) each, less one band: always in the field.
        u16::try_from(field).unwrap_or(u16::MAX)
    }

    /// The smallest percentage that can be asked for: `min_bandwidth`. 0 where one band is less than half a percent.
    #[must_use]
    pub fn min_bandwidth(self) -> u32 {
        self.to_percent(0)
    }

    /// The step of percentages in which something changes, rounded up: `bandwidth_gran`.
    #[must_use]
    pub const fn granularity(self) -> u32 {
        ALL_PERCENT.div_ceil(1 << self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn width(bits: u32) -> FractionBits {
        FractionBits::new(bits).unwrap()
    }

    fn widths() -> impl Iterator<Item = FractionBits> {
        (1..=FIELD_BITS).map(width)
    }

    /// Reference values, the exact share in each width cut off below its lowest bit.
    const PERCENTAGES: [u32; 14] = [1, 25, 33, 35, 45, 50, 52, 55, 58, 75, 80, 88, 95, 100];
    const REFERENCES: [(u32, [u32; 14]); 3] = [
        (8, [0x1, 0x3f, 0x53, 0x58, 0x72, 0x7f, 0x84, 0x8b, 0x93, 0xbf, 0xcb, 0xe0, 0xf2, 0xff]),
        (12, [0x27, 0x3ff, 0x546, 0x598, 0x732, 0x7ff, 0x850, 0x8cb, 0x946, 0xbff, 0xccb, 0xe13, 0xf32, 0xfff]),
        (
            16,
            [
                0x28e, 0x3fff, 0x5479, 0x5998, 0x7332, 0x7fff, 0x851d, 0x8ccb, 0x9479, 0xbfff, 0xcccb, 0xe146, 0xf332,
                0xffff,
            ],
        ),
    ];

    fn references() -> impl Iterator<Item = (FractionBits, u32, u32)> {
        REFERENCES.into_iter().flat_map(|(bits, values)| {
            PERCENTAGES.into_iter().zip(values).map(move |(percent, value)| (width(bits), percent, value))
        })
    }

    #[test]
    fn no_bits_and_too_many_bits_are_no_fraction() {
        assert_eq!(FractionBits::new(0), None);
        assert_eq!(FractionBits::new(17), None);
        assert!(FractionBits::new(1).is_some() && FractionBits::new(16).is_some());
    }

    #[test]
    fn the_granularity_is_one_band_rounded_up() {
        for (bits, granularity) in [(1, 50), (2, 25), (3, 13), (4, 7), (5, 4), (6, 2), (7, 1), (8, 1), (16, 1)] {
            assert_eq!(width(bits).granularity(), granularity, "{bits} bits");
        }
    }

    #[test]
    fn the_smallest_bandwidth_is_one_band() {
        for (bits, smallest) in [(1, 50), (2, 25), (3, 13), (4, 6), (5, 3), (6, 2), (7, 1), (8, 0), (9, 0), (16, 0)] {
            assert_eq!(width(bits).min_bandwidth(), smallest, "{bits} bits");
        }
    }

    #[test]
    fn reference_values_are_exactly_their_percentages() {
        for (width, percent, value) in references() {
            let field = u16::try_from(value << width.shift()).unwrap();
            assert_eq!(width.to_percent(field), percent, "{width:?} {value:#x}");
        }
    }

    #[test]
    fn percentages_become_their_reference_values_or_the_next() {
        let mut rounded_up = 0;
        for (width, percent, value) in references() {
            let got = u32::from(width.from_percent(percent)) >> width.shift();
            assert!(got == value || got == value + 1, "{width:?} {percent}%: {got:#x}, reference {value:#x}");
            rounded_up += got - value;
        }
        // Rounding to the nearest goes up for about half of them; always or never would be another rounding.
        let vectors = u32::try_from(references().count()).unwrap();
        assert!((vectors / 4..=vectors * 3 / 4).contains(&rounded_up), "{rounded_up} of {vectors}");
    }

    #[test]
    fn the_limits_meet_at_every_width() {
        for width in widths() {
            assert_eq!(width.to_percent(u16::MAX), 100);
            assert_eq!(width.from_percent(100), u16::MAX << width.shift());
            assert_eq!(width.from_percent(0), 0);
        }
    }

    #[test]
    fn with_eight_bits_the_known_values_come_out() {
        for (percent, value) in [(0, 0), (1, 0x02), (25, 0x3f), (50, 0x7f), (80, 0xcc), (100, 0xff)] {
            assert_eq!(width(8).from_percent(percent), value << 8, "{percent}%");
        }
    }

    /// Shares as whole numbers of `1 / (100 * 2^w)`: nothing is lost.
    #[test]
    fn every_percentage_becomes_the_nearest_band() {
        for width in widths() {
            for percent in 0..=100_u32 {
                let wanted = percent << width.0;
                let nearest = (1..=1 << width.0)
                    .rev() // of two equally near the larger: halves round up
                    .min_by_key(|band| (band * 100_u32).abs_diff(wanted))
                    .unwrap();
                assert_eq!(
                    u32::from(width.from_percent(percent)) >> width.shift(),
                    nearest - 1,
                    "{width:?} {percent}%"
                );
            }
        }
    }

    #[test]
    fn every_value_becomes_the_nearest_percentage() {
        for width in widths() {
            for value in 0..1_u32 << width.0 {
                let share = (value + 1) * 100;
                let percent = width.to_percent(u16::try_from(value << width.shift()).unwrap());
                let error = i64::from(percent << width.0) - i64::from(share);
                let half = 1_i64 << (width.0 - 1);
                assert!(-half < error && error <= half, "{width:?} {value:#x}: {percent}%");
            }
        }
    }

    #[test]
    fn what_can_be_told_apart_survives_the_way_there_and_back() {
        for width in widths() {
            if width.0 >= 7 {
                for percent in width.min_bandwidth()..=100 {
                    assert_eq!(width.to_percent(width.from_percent(percent)), percent, "{width:?}");
                }
            } else {
                for value in 0..1_u16 << width.0 {
                    let field = value << width.shift();
                    assert_eq!(width.from_percent(width.to_percent(field)), field, "{width:?}");
                }
            }
        }
    }

    /// Where bands are wider than a percentage they cannot all come back: half a band is lost on the way there, half a
    /// percentage on the way back, and nothing else. In whole numbers of `1 / (200 * 2^w)`.
    #[test]
    fn every_percentage_from_half_a_band_on_comes_back_within_the_rounding_of_both_ways() {
        for width in widths() {
            for percent in (0..=100_u32).filter(|percent| percent << width.0 >= 50) {
                let back = width.to_percent(width.from_percent(percent));
                assert!(back.abs_diff(percent) << (width.0 + 1) <= 100 + (1 << width.0), "{width:?}: {percent}%");
            }
        }
    }

    #[test]
    fn a_percentage_rounded_up_beyond_the_whole_is_the_whole() {
        for width in widths() {
            for percent in width.min_bandwidth()..=100 {
                let rounded = percent.next_multiple_of(width.granularity());
                let back = width.to_percent(width.from_percent(rounded));
                assert!(back + width.granularity() > percent, "{width:?}: {percent}% became {back}%");
            }
        }
        assert_eq!(100_u32.next_multiple_of(width(4).granularity()), 105);
        assert_eq!(width(4).from_percent(105), 0xf000);
    }

    proptest! {
        #[test]
        fn no_number_overflows(bits in 1..=FIELD_BITS, percent in any::<u32>(), field in any::<u16>()) {
            let width = width(bits);
            prop_assert_eq!(width.from_percent(percent), width.from_percent(percent.min(100)));
            prop_assert!(width.to_percent(field) <= 100);
        }

        #[test]
        fn more_percent_is_never_less_bandwidth(bits in 1..=FIELD_BITS, a in 0..=100_u32, b in 0..=100_u32) {
            let width = width(bits);
            prop_assert!(width.from_percent(a.min(b)) <= width.from_percent(a.max(b)));
        }

        #[test]
        fn bits_that_do_not_exist_do_not_count(bits in 1..=FIELD_BITS, field in any::<u16>()) {
            let width = width(bits);
            prop_assert_eq!(width.to_percent(field), width.to_percent(field >> width.shift() << width.shift()));
        }
    }
}
