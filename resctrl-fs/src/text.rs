// SPDX-License-Identifier: GPL-2.0-only
//! Reading and printing the texts of files.
//!
//! What users write is bytes, not UTF-8: a mistake of theirs is quoted back to them as it was. The number grammars are
//! those of the kernel's `kstrto*` functions (`lib/kstrtox.c`).

use core::fmt;

use resctrl_types::{Errno, Result};

/// Bytes that need not be UTF-8.
#[derive(Clone, Copy)]
pub struct Bytes<'a>(pub &'a [u8]);

/// Where a file's content goes.
pub trait TextOut: fmt::Write {
    /// Appends bytes as they are.
    ///
    /// # Errors
    /// When the place is full, as [`fmt::Write`].
    fn bytes(&mut self, bytes: Bytes<'_>) -> fmt::Result;
}

/// How many bytes of a text are put together before they go where it goes.
const TOGETHER: usize = 96;

/// The longest number: 64 bits in decimal.
const DIGITS: usize = 20;

/// A text that is put together from small pieces. Where it goes is asked once for many of them.
pub(crate) struct Pieces<'a> {
    out: &'a mut dyn TextOut,
    bytes: [u8; TOGETHER],
    len: usize,
}

/// Prints what `put` puts together.
///
/// # Errors
/// Those of `put`; when `out` is full.
pub(crate) fn together(out: &mut dyn TextOut, put: impl FnOnce(&mut Pieces<'_>) -> Shown) -> Shown {
    let mut pieces = Pieces { out, bytes: [0; TOGETHER], len: 0 };
    put(&mut pieces)?;
    Ok(pieces.pass_on()?)
}

/// Prints one number, in decimal, on a line.
///
/// # Errors
/// When `out` is full.
pub(crate) fn line_of(out: &mut dyn TextOut, number: impl Into<u64>) -> Shown {
    together(out, |pieces| pieces.decimal(number)?.end_line())
}

/// Prints one number, in hexadecimal, on a line.
///
/// # Errors
/// When `out` is full.
pub(crate) fn line_of_hex(out: &mut dyn TextOut, number: impl Into<u64>) -> Shown {
    together(out, |pieces| pieces.hex(number)?.end_line())
}

impl Pieces<'_> {
    /// Appends a text.
    ///
    /// # Errors
    /// When the place is full; so of all of these.
    #[inline]
    pub(crate) fn text(&mut self, text: &str) -> Result<&mut Self, fmt::Error> {
        self.append(text.as_bytes())
    }

    /// Appends a text, and before it as many spaces as make it `width` bytes long.
    pub(crate) fn aligned(&mut self, text: &str, width: usize) -> Result<&mut Self, fmt::Error> {
        for _ in text.len()..width {
            self.append(b" ")?;
        }
        self.append(text.as_bytes())
    }

    /// Appends a number in decimal.
    pub(crate) fn decimal(&mut self, number: impl Into<u64>) -> Result<&mut Self, fmt::Error> {
        self.number::<10>(number.into())
    }

    /// Appends a number in hexadecimal.
    pub(crate) fn hex(&mut self, number: impl Into<u64>) -> Result<&mut Self, fmt::Error> {
        self.number::<16>(number.into())
    }

    /// Ends a line.
    pub(crate) fn end_line(&mut self) -> Shown {
        self.append(b"\n")?;
        Ok(())
    }

    fn number<const BASE: u64>(&mut self, number: u64) -> Result<&mut Self, fmt::Error> {
        let mut digits = [0; DIGITS];
        let (mut rest, mut first) = (number, DIGITS);
        for place in digits.iter_mut().rev() {
            *place = digit(rest % BASE);
            rest /= BASE;
            first = first.saturating_sub(1);
            if rest == 0 {
                break;
            }
        }
        self.append(digits.get(first..).unwrap_or_default())
    }

    #[inline]
    fn append(&mut self, bytes: &[u8]) -> Result<&mut Self, fmt::Error> {
        let room = self.bytes.get_mut(self.len..).and_then(|room| room.get_mut(..bytes.len()));
        if let Some(room) = room {
            room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            self.len = self.len.saturating_add(bytes.len());
            return Ok(self);
        }
        self.pass_on()?;
        match self.bytes.get_mut(..bytes.len()) {
            Some(room) => {
                room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                self.len = bytes.len();
            }
            None => self.out.bytes(Bytes(bytes))?,
        }
        Ok(self)
    }

    /// What has been put together goes where the text goes.
    fn pass_on(&mut self) -> fmt::Result {
        let len = core::mem::take(&mut self.len);
        self.out.bytes(Bytes(self.bytes.get(..len).unwrap_or_default()))
    }
}

/// The character of a digit.
fn digit(value: u64) -> u8 {
    usize::try_from(value).ok().and_then(|at| b"0123456789abcdef".get(at)).copied().unwrap_or(b'?')
}

/// Why a file's content stopped.
pub(crate) enum Stop {
    /// The reader's buffer is full; it will come back with a larger one.
    Full,
    /// The file cannot be read.
    Errno(Errno),
}

/// The result of printing a file.
pub(crate) type Shown = Result<(), Stop>;

impl From<fmt::Error> for Stop {
    fn from(_: fmt::Error) -> Self {
        Stop::Full
    }
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Stop::Errno(errno)
    }
}

/// Removes the white space at both ends, as `strim` does.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | 0xa0);
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last.saturating_add(1));
    text.get(start..end).unwrap_or_default()
}

/// Splits at the first `separator`: what is before it, and what is after it if it is there. As `strsep`.
pub(crate) fn split_once(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|&byte| byte == separator) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// The text as a C string: what is before the first NUL.
pub(crate) fn until_nul(text: &[u8]) -> &[u8] {
    text.iter().position(|&byte| byte == 0).map_or(text, |end| &text[..end])
}

/// Requires the newline that ends a command and removes it, as the last byte of all that was written; the command ends at
/// a NUL before it.
pub(crate) fn strip_newline(text: &[u8]) -> Option<&[u8]> {
    text.strip_suffix(b"\n").map(until_nul)
}

/// `kstrtou64`: an optional `+`, digits of `base` (0: by prefix; 16: `0x` allowed), an optional single newline at the end.
///
/// # Errors
/// `EINVAL` for anything else, `ERANGE` when it does not fit 64 bits.
pub(crate) fn parse_u64(text: &[u8], base: u32) -> Result<u64> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let hex_prefix = matches!(text, [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit());
    let (base, digits) = match base {
        0 if hex_prefix => (16, &text[2..]),
        0 if text.first() == Some(&b'0') => (8, text),
        0 => (10, text),
        16 if matches!(text, [b'0', b'x' | b'X', ..]) => (16, &text[2..]),
        base => (base, text),
    };
    if digits.is_empty() {
        return Err(Errno::EINVAL);
    }
    let base = u64::from(base);
    let mut value = 0_u64;
    // So many digits fit, whatever they are.
    if digits.len() <= 16 {
        for &byte in digits {
            value = value.wrapping_mul(base).wrapping_add(value_of(byte, base).ok_or(Errno::EINVAL)?);
        }
        return Ok(value);
    }
    let mut fits = true;
    for &byte in digits {
        let digit = value_of(byte, base).ok_or(Errno::EINVAL)?;
        let next = value.checked_mul(base).and_then(|value| value.checked_add(digit));
        fits &= next.is_some();
        value = next.unwrap_or(0);
    }
    if fits { Ok(value) } else { Err(Errno::ERANGE) }
}

/// What a digit of a number stands for, as far as there is such a digit in this base.
#[inline]
fn value_of(byte: u8, base: u64) -> Option<u64> {
    let decimal = byte.wrapping_sub(b'0');
    let letter = (byte | 0x20).wrapping_sub(b'a');
    let value = match (decimal, letter) {
        (0..=9, _) => decimal,
        (_, 0..=5) => letter.wrapping_add(10),
        _ => return None,
    };
    Some(u64::from(value)).filter(|&value| value < base)
}

/// `kstrtou32`.
///
/// # Errors
/// As [`parse_u64`].
pub(crate) fn parse_u32(text: &[u8], base: u32) -> Result<u32> {
    u32::try_from(parse_u64(text, base)?).map_err(|_| Errno::ERANGE)
}

/// `kstrtoint`: as [`parse_u64`] with an optional `-`.
///
/// # Errors
/// As [`parse_u64`].
pub(crate) fn parse_i32(text: &[u8], base: u32) -> Result<i32> {
    match text.strip_prefix(b"-") {
        Some(magnitude) if magnitude.first() != Some(&b'+') => {
            let magnitude = parse_u64(magnitude, base)?;
            i64::try_from(magnitude).ok().and_then(|value| i32::try_from(-value).ok()).ok_or(Errno::ERANGE)
        }
        Some(_) => Err(Errno::EINVAL),
        None => i32::try_from(parse_u64(text, base)?).map_err(|_| Errno::ERANGE),
    }
}

/// `kstrtobool`: the first letter decides, after an `o` the second one.
pub(crate) fn parse_bool(text: &[u8]) -> Option<bool> {
    match text {
        [b'e' | b'E' | b'y' | b'Y' | b't' | b'T' | b'1', ..] | [b'o' | b'O', b'n' | b'N', ..] => Some(true),
        [b'd' | b'D' | b'n' | b'N' | b'f' | b'F' | b'0', ..] | [b'o' | b'O', b'f' | b'F', ..] => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// Takes note of how often it is asked.
    struct Sink(Vec<Vec<u8>>);
    impl fmt::Write for Sink {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.bytes(Bytes(text.as_bytes()))
        }
    }
    impl TextOut for Sink {
        fn bytes(&mut self, bytes: Bytes<'_>) -> fmt::Result {
            self.0.push(bytes.0.to_vec());
            Ok(())
        }
    }

    fn put(put: impl FnOnce(&mut Pieces<'_>) -> Shown) -> Vec<Vec<u8>> {
        let mut sink = Sink(Vec::new());
        assert!(together(&mut sink, put).is_ok());
        sink.0
    }

    #[test]
    fn numbers_are_printed_as_everybody_prints_them() {
        for number in [0, 1, 9, 10, 15, 16, 99, 100, 255, 256, 4_294_967_295, u64::MAX / 10, u64::MAX] {
            let printed = put(|out| out.decimal(number)?.text(" ")?.hex(number).map(drop).map_err(Stop::from));
            assert_eq!(printed, [std::format!("{number} {number:x}").into_bytes()]);
        }
    }

    #[test]
    fn pieces_arrive_together_in_order_and_none_is_lost_however_long() {
        for len in [0, 1, TOGETHER - 1, TOGETHER, TOGETHER + 1, 3 * TOGETHER] {
            let long = "x".repeat(len);
            let parts =
                put(|out| out.text("ab")?.text(&long)?.aligned("c", 4)?.text("d").map(drop).map_err(Stop::from));
            assert_eq!(parts.concat(), std::format!("ab{long}{:>4}d", "c").into_bytes(), "{len}");
            assert!(parts.len() <= 3, "{len}: asked {} times", parts.len());
        }
        assert_eq!(put(|out| out.aligned("long", 2).map(drop).map_err(Stop::from)), [b"long"]);
    }

    #[test]
    fn numbers_follow_the_kernels_grammar() {
        assert_eq!(parse_u64(b"17", 0), Ok(17));
        assert_eq!(parse_u64(b"+17\n", 0), Ok(17));
        assert_eq!(parse_u64(b"017", 0), Ok(15));
        assert_eq!(parse_u64(b"0x1f", 0), Ok(31));
        assert_eq!(parse_u64(b"0", 0), Ok(0));
        assert_eq!(parse_u64(b"0x1F", 16), Ok(31));
        assert_eq!(parse_u64(b"ff", 16), Ok(255));
        for bad in [&b""[..], b"\n", b"+", b"-1", b" 1", b"1 ", b"1\n\n", b"0x", b"08", b"1a", b"++1"] {
            assert_eq!(parse_u64(bad, 0), Err(Errno::EINVAL), "{bad:?}");
        }
        assert_eq!(parse_u64(b"0x10", 10), Err(Errno::EINVAL));
        assert_eq!(parse_u64(b"18446744073709551616", 10), Err(Errno::ERANGE));
        assert_eq!(parse_u64(b"18446744073709551616x", 10), Err(Errno::EINVAL));
        assert_eq!(parse_u32(b"4294967296", 10), Err(Errno::ERANGE));
    }

    #[test]
    fn numbers_of_any_length_are_what_everybody_takes_them_for() {
        for base in [8, 10, 16] {
            for len in 1..24 {
                for digit in ["1", "7", "8", "9", "a", "F", "f", "g", "G", "/", ":", "@", "`", "\u{80}"] {
                    let text = digit.repeat(len);
                    // Of two mistakes the kernel says that of the digits.
                    let wanted = match u64::from_str_radix(&text, base) {
                        Ok(number) => Ok(number),
                        Err(_) if text.chars().all(|digit| digit.is_digit(base)) => Err(Errno::ERANGE),
                        Err(_) => Err(Errno::EINVAL),
                    };
                    assert_eq!(parse_u64(text.as_bytes(), base), wanted, "{text} in base {base}");
                }
            }
        }
    }

    #[test]
    fn signed_numbers_take_one_sign() {
        assert_eq!(parse_i32(b"-5", 0), Ok(-5));
        assert_eq!(parse_i32(b"-2147483648", 0), Ok(i32::MIN));
        assert_eq!(parse_i32(b"2147483648", 0), Err(Errno::ERANGE));
        assert_eq!(parse_i32(b"-+5", 0), Err(Errno::EINVAL));
        assert_eq!(parse_i32(b"--5", 0), Err(Errno::EINVAL));
    }

    #[test]
    fn the_first_letter_decides_of_yes_and_no() {
        for yes in [&b"1\n"[..], b"y", b"Yes", b"true", b"enable", b"ON", b"one", b"12"] {
            assert_eq!(parse_bool(yes), Some(true), "{yes:?}");
        }
        for no in [&b"0"[..], b"n", b"No", b"false", b"Disable", b"off", b"0x1"] {
            assert_eq!(parse_bool(no), Some(false), "{no:?}");
        }
        for neither in [&b""[..], b"\n", b"2", b" 1", b"o", b"ok", b"-1"] {
            assert_eq!(parse_bool(neither), None, "{neither:?}");
        }
    }

    #[test]
    fn trim_removes_white_space_at_both_ends_only() {
        assert_eq!(trim(b"  a b\t"), b"a b");
        assert_eq!(trim(b" \t "), b"");
    }

    #[test]
    fn a_command_ends_with_the_write_but_its_text_at_a_nul() {
        assert_eq!(strip_newline(b"a\n\n"), Some(&b"a\n"[..]));
        assert_eq!(strip_newline(b"a\0b\n"), Some(&b"a"[..]));
        assert_eq!(strip_newline(b"a\n\0"), None);
        assert_eq!(strip_newline(b""), None);
        assert_eq!(until_nul(b"a\n\0b"), b"a\n");
    }

    #[test]
    fn split_once_tells_a_missing_separator_from_an_empty_rest() {
        assert_eq!(split_once(b"a=b=c", b'='), (&b"a"[..], Some(&b"b=c"[..])));
        assert_eq!(split_once(b"a=", b'='), (&b"a"[..], Some(&b""[..])));
        assert_eq!(split_once(b"a", b'='), (&b"a"[..], None));
    }
}
