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
