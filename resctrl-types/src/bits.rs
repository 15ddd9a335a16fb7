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
