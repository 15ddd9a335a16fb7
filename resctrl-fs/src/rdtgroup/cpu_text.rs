// SPDX-License-Identifier: GPL-2.0-only
//! The two ways to write a set of CPUs, with the errors of the kernel's bitmap parsers (`lib/bitmap-str.c`).
//!
//! A mask is written most significant digit first, so it is read from its end. Commas and white space cut it into chunks
//! of 32 bits each, however few digits a chunk has. A list is read from its beginning: regions `7`, `4-7`, `all`,
//! `0-31:2/8` (the first two of each eight), where `N` is the highest number there can be.
//!
//! Behaviour of the kernel's that is not worth copying for its own sake, but that programs may have come to rely on, is
//! kept: what follows the first newline of a mask is ignored; a list may begin with newlines; a byte that is no digit is
//! skipped when exactly eight digits follow it in its chunk.

use resctrl_types::{CpuId, CpuMask, Errno, Result};

/// White space as the kernel's `isspace` has it, or a comma.
const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0xa0 | b',')
}

/// Reads a hexadecimal mask into `mask`, which is empty.
///
/// # Errors
/// `EINVAL` for what is no digit; `EOVERFLOW` for a chunk of more than 32 bits, for more chunks than the mask has, and
/// for bits beyond its width. `mask` is then of no use.
pub(super) fn parse_mask(text: &[u8], mask: &mut CpuMask) -> Result<()> {
    let mut rest = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut base = 0;
    loop {
        while let [before @ .., last] = rest
            && is_separator(*last)
        {
            rest = before;
        }
        if rest.is_empty() {
            return Ok(());
        }
        if base >= mask.nr_cpu_ids() {
            return Err(Errno::EOVERFLOW);
        }
        let (chunk, before) = chunk(rest)?;
        rest = before;
        for bit in (0..32_u32).filter(|bit| chunk >> bit & 1 == 1) {
            let cpu = bit.checked_add(base).ok_or(Errno::EOVERFLOW)?;
            mask.set(CpuId(cpu)).map_err(|_| Errno::EOVERFLOW)?;
        }
        base = base.saturating_add(32);
    }
}

/// The last chunk of a text that ends in one, and what is before it.
fn chunk(text: &[u8]) -> Result<(u32, &[u8])> {
    let mut rest = text;
    let mut value = 0;
    for place in 0..8 {
        let [before @ .., digit] = rest else { return Ok((value, rest)) };
        value |= hex_digit(*digit).ok_or(Errno::EINVAL)? << (4 * place);
        rest = before;
        if rest.last().is_none_or(|&byte| is_separator(byte)) {
            return Ok((value, rest));
        }
    }
    match rest {
        [before @ .., odd] if hex_digit(*odd).is_none() => Ok((value, before)),
        _ => Err(Errno::EOVERFLOW),
    }
}

fn hex_digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

/// A region of a list, `first..=last`, of which the first `used` out of every `group` numbers are meant.
struct Region {
    first: u32,
    last: u32,
    used: u32,
    group: u32,
}

/// Reads a list into `mask`, which is empty.
///
/// # Errors
/// `EINVAL` for what is no region, `EOVERFLOW` for numbers of more than 32 bits, `ERANGE` for a region beyond the width of
/// the mask. `mask` is then of no use.
pub(super) fn parse_list(text: &[u8], mask: &mut CpuMask) -> Result<()> {
    let width = mask.nr_cpu_ids();
    let mut rest = text;
    while let Some(start) = rest.iter().position(|&byte| !is_separator(byte)) {
        let text = rest.get(start..).unwrap_or_default();
        let (Region { first, last, used, group }, following) = region(text, width.saturating_sub(1))?;
        if first > last || group == 0 || used > group {
            return Err(Errno::EINVAL);
        }
        if last >= width {
            return Err(Errno::ERANGE);
        }
        for cpu in
            (first..=last).filter(|cpu| cpu.wrapping_sub(first).checked_rem(group).is_some_and(|place| place < used))
        {
            mask.set(CpuId(cpu))?;
        }
        match following {
            Some(following) => rest = following,
            None => break,
        }
    }
    Ok(())
}

/// The region a text begins with, and what follows it; `None` when the list ends there: at the end of the text, or at a
/// newline right behind a region without a pattern.
fn region(text: &[u8], highest: u32) -> Result<(Region, Option<&[u8]>)> {
    let (first, last, rest) = match text {
        [a, l1, l2, rest @ ..] if [*a, *l1, *l2].eq_ignore_ascii_case(b"all") => (0, highest, rest),
        _ => {
            let (first, rest) = number(text, highest)?;
            match rest {
                [b'-', rest @ ..] => {
                    let (last, rest) = number(rest, highest)?;
                    (first, last, rest)
                }
                // A single number takes no pattern.
                [b':', ..] => return Err(Errno::EINVAL),
                _ => (first, first, rest),
            }
        }
    };
    match rest {
        [b':', rest @ ..] => {
            let (used, rest) = number(rest, highest)?;
            let [b'/', rest @ ..] = rest else { return Err(Errno::EINVAL) };
            let (group, rest) = number(rest, highest)?;
            Ok((Region { first, last, used, group }, Some(rest)))
        }
        [] | [b'\n', ..] => Ok((whole(first, last), None)),
        [byte, ..] if is_separator(*byte) => Ok((whole(first, last), Some(rest))),
        _ => Err(Errno::EINVAL),
    }
}

/// All of `first..=last`, as one group. One that ends at the largest number there is has no size that a number could hold;
/// it is refused as a group of none.
const fn whole(first: u32, last: u32) -> Region {
    let size = last.wrapping_add(1);
    Region { first, last, used: size, group: size }
}

/// The number a text begins with, and what follows it.
fn number(text: &[u8], highest: u32) -> Result<(u32, &[u8])> {
    if let [b'N', rest @ ..] = text {
        return Ok((highest, rest));
    }
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(len).ok_or(Errno::EINVAL)?;
    if digits.is_empty() {
        return Err(Errno::EINVAL);
    }
    let add = |value: u32, &digit: &u8| value.checked_mul(10)?.checked_add(char::from(digit).to_digit(10)?);
    let value = digits.iter().try_fold(0, add).ok_or(Errno::EOVERFLOW)?;
    Ok((value, rest))
}

#[cfg(test)]
mod tests;
