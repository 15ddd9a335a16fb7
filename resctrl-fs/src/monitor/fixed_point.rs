// SPDX-License-Identifier: GPL-2.0-only
//! Numbers with a binary fraction, as decimal text: as few decimal places as tell any two neighbours apart, at least one, and
//! rounded to the nearest.

use core::fmt;

use resctrl_types::event::FractionBits;

/// A fixed-point number to be printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FixedPoint {
    pub(crate) value: u64,
    pub(crate) fraction: FractionBits,
}

/// The smallest power of ten, from 10 on, that is not below the number of steps of the fraction; and its exponent.
fn decimal_places(steps: u64) -> (u64, usize) {
    let (mut scale, mut places) = (10, 1);
    while scale < steps {
        scale *= 10;
        places += 1;
    }
    (scale, places)
}

impl fmt::Display for FixedPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = 1_u64.checked_shl(self.fraction.get().into()).ok_or(fmt::Error)?;
        let (scale, places) = decimal_places(steps);
        let (whole, part) = (self.value / steps, self.value % steps);
        // Less than 2^27 times 10^9. And less than `scale`, since that has no fewer steps than the fraction.
        let decimals = part.saturating_mul(scale).saturating_add(steps / 2) / steps;
        write!(f, "{whole}.{decimals:0places$}")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    fn text(value: u64, bits: u8) -> std::string::String {
        FixedPoint { value, fraction: FractionBits::new(bits).unwrap() }.to_string()
    }

    #[test]
    fn the_number_of_places_is_that_of_the_kernel() {
        let places = |bits: u8| text(0, bits).len() - 2;
        let known = [1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7, 7, 8, 8, 8, 9];
        for (bits, known) in (0..=FractionBits::MAX).zip(known) {
            assert_eq!(places(bits), known, "{bits} bits");
        }
    }

    #[test]
    fn without_a_fraction_there_is_a_zero_behind_the_point() {
        assert_eq!(text(0, 0), "0.0");
        assert_eq!(text(u64::MAX, 0), "18446744073709551615.0");
    }

    #[test]
    fn of_eighteen_bits_six_places_are_shown() {
        assert_eq!(text(0, 18), "0.000000");
        assert_eq!(text(1, 18), "0.000004");
        assert_eq!(text(1 << 17, 18), "0.500000");
        assert_eq!(text((1 << 18) - 1, 18), "0.999996");
        assert_eq!(text(3 << 18, 18), "3.000000");
        assert_eq!(text(u64::MAX, 18), "70368744177663.999996");
    }

    proptest! {
        #[test]
        fn the_text_is_the_nearest_there_is(value in any::<u64>(), bits in 0..=FractionBits::MAX) {
            let text = text(value, bits);
            let (whole, decimals) = text.split_once('.').unwrap();
            let places = u32::try_from(decimals.len()).unwrap();
            // Exactly: |shown / 10^places - value / 2^bits| <= 1/2 * 10^-places, both sides times 2 * 10^places * 2^bits.
            let scale = 10_u128.pow(places);
            let shown = whole.parse::<u128>().unwrap() * scale + decimals.parse::<u128>().unwrap();
            let error = (shown << bits).abs_diff(u128::from(value) * scale);
            prop_assert!(error * 2 <= 1 << bits);
        }

        #[test]
        fn neighbours_are_told_apart(value in 0..u64::MAX, bits in 1..=FractionBits::MAX) {
            prop_assert_ne!(text(value, bits), text(value + 1, bits));
        }
    }
}
