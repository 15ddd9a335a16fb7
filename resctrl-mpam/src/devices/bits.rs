// SPDX-License-Identifier: GPL-2.0-only
//! Bit maps in words of 32 bits.

/// Word `word` of a bit map of `bits` ones.
pub(crate) const fn ones(bits: u16, word: u16) -> u32 {
    match bits.saturating_sub(word.saturating_mul(32)) {
        0 => 0,
        left if left >= 32 => u32::MAX,
        left => u32::MAX >> (32 - left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_map_has_its_bits_at_the_bottom_in_as_many_words_as_it_takes() {
        for bits in [0, 1, 31, 32, 33, 64, 1 << 15, u16::MAX] {
            let words = (0..=bits / 32).map(|word| ones(bits, word));
            assert!(words.clone().all(|word| word.trailing_ones() == word.count_ones()));
            assert_eq!(words.map(u32::count_ones).sum::<u32>(), u32::from(bits));
            assert_eq!(ones(bits, bits.div_ceil(32)), 0, "nothing behind its last word");
        }
    }
}
