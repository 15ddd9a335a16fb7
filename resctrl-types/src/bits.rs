// SPDX-License-Identifier: GPL-2.0-only
//! Bitmaps of 64-bit words: bit `n` is bit `n % 64` of word `n / 64`.

/// The lowest bit that is set and is not below `from`.
#[inline]
#[must_use]
pub fn first_from(words: &[u64], from: u32) -> Option<u32> {
    let first = from / 64;
    let above = u64::MAX << (from % 64);
    let words = (0_u32..).zip(words).skip(first as usize);
    let mut masked = words.map(|(at, &word)| (at, if at == first { word & above } else { word }));
    let (at, word) = masked.find(|&(_, word)| word != 0)?;
    Some(at.saturating_mul(64).saturating_add(word.trailing_zeros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bit_is_the_lowest_that_is_not_below_where_the_search_begins() {
        let words = [1 << 3 | 1 << 63, 0, 1 | 1 << 5];
        let found = |from| first_from(&words, from);
        assert_eq!([0, 3, 4, 63].map(found), [Some(3), Some(3), Some(63), Some(63)]);
        assert_eq!([64, 128, 129, 133].map(found), [Some(128), Some(128), Some(133), Some(133)]);
        assert_eq!([134, 192, u32::MAX].map(found), [None; 3]);
        assert_eq!(first_from(&[], 0), None);
    }
}
