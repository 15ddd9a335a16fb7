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
    let mut value: Result<u64> = Ok(0);
    for &byte in digits {
        let digit = char::from(byte).to_digit(base).ok_or(Errno::EINVAL)?;
        value = value.and_then(|value| {
            let value = value.checked_mul(u64::from(base)).ok_or(Errno::ERANGE)?;
            value.checked_add(u64::from(digit)).ok_or(Errno::ERANGE)
        });
    }
    value
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
    use super::*;

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
