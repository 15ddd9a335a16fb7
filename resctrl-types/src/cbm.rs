// SPDX-License-Identifier: GPL-2.0-only
//! Capacity bit masks: which portions of a cache a group may fill.

/// The mask with the `len` lowest bits set; `len` in `0..=32`.
#[must_use]
pub const fn full(len: u32) -> u32 {
    if len >= 32 { u32::MAX } else { (1 << len) - 1 }
}

/// The run of ones that starts at the lowest set bit; 0 for 0.
#[must_use]
pub const fn lowest_run(mask: u32) -> u32 {
    if mask == 0 {
        return 0;
    }
    let start = mask.trailing_zeros();
    let len = (mask >> start).trailing_ones();
    full(len) << start
}

/// Whether the set bits of `mask` follow one another without a gap. 0 counts as contiguous.
#[must_use]
pub const fn is_contiguous(mask: u32) -> bool {
    lowest_run(mask) == mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_run_stops_at_the_first_gap() {
        assert_eq!(lowest_run(0), 0);
        assert_eq!(lowest_run(0b1101_1100), 0b1_1100);
        assert_eq!(lowest_run(u32::MAX), u32::MAX);
        assert_eq!(lowest_run(1 << 31), 1 << 31);
    }

    #[test]
    fn contiguous_means_one_run() {
        assert!(is_contiguous(0b0111_0000));
        assert!(is_contiguous(0));
        assert!(!is_contiguous(0b101));
    }

    #[test]
    fn full_masks_have_their_length() {
        for len in 0..=32 {
            assert_eq!(full(len).count_ones(), len);
        }
    }
}
