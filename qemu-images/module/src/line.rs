// SPDX-License-Identifier: GPL-2.0-only
//! A line of text of limited length, on the stack: for the log and for panics, where nothing may be allocated.

use core::fmt;

/// Up to `N` bytes of text. What does not fit is left out, at a character's boundary.
pub(crate) struct Line<const N: usize> {
    bytes: [u8; N],
    len: usize,
    full: bool,
}

impl<const N: usize> Line<N> {
    /// Formats a line.
    pub(crate) fn new(message: fmt::Arguments<'_>) -> Self {
        let mut line = Line { bytes: [0; N], len: 0, full: false };
        // A formatter that reports an error leaves the line short; there is nowhere better to report it.
        let _ = fmt::Write::write_fmt(&mut line, message);
        line
    }

    /// The text so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Write for Line<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.full {
            return Ok(());
        }
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let fits = text.floor_char_boundary(room.len());
        self.full = fits < text.len();
        room.iter_mut().zip(text.bytes().take(fits)).for_each(|(to, from)| *to = from);
        self.len = self.len.saturating_add(fits);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_kept_whole() {
        assert_eq!(Line::<16>::new(format_args!("{} and {}", 1, 2)).bytes(), b"1 and 2");
        assert_eq!(Line::<3>::new(format_args!("{}", 123)).bytes(), b"123");
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_nothing_follows_the_cut() {
        assert_eq!(Line::<4>::new(format_args!("abc\u{e9}{}", "z")).bytes(), b"abc");
        assert_eq!(Line::<4>::new(format_args!("ab{}", "cdef")).bytes(), b"abcd");
    }
}
