// SPDX-License-Identifier: GPL-2.0-only
//! A string whose growth can fail.

use core::fmt;
use core::ops::Deref;

use super::KVec;
use crate::errno::{Errno, Result};

/// A UTF-8 string whose growth can fail. Derefs to `str`.
#[derive(Default)]
pub struct KString(KVec<u8>);

impl KString {
    /// An empty string; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        KString(KVec::new())
    }

    /// A copy of `text`.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn from_text(text: &str) -> Result<Self> {
        Ok(KString(KVec::from_slice(text.as_bytes())?))
    }

    /// Appends `text`; on failure the string stays as it was.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn push_str(&mut self, text: &str) -> Result<()> {
        self.0.reserve(text.len())?;
        for &byte in text.as_bytes() {
            self.0.push(byte)?;
        }
        Ok(())
    }

    /// Formatted text, as `kasprintf` makes it.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn format(args: fmt::Arguments<'_>) -> Result<Self> {
        let mut string = KString::new();
        fmt::Write::write_fmt(&mut string, args).map_err(|_| Errno::ENOMEM)?;
        Ok(string)
    }
}

impl Deref for KString {
    type Target = str;
    fn deref(&self) -> &str {
        // Only whole `str`s are ever appended, so the bytes are UTF-8; the check costs little and needs no `unsafe`.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Write for KString {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for KString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for KString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_was_put_into_it() {
        let mut text = KString::from_text("L3:0=").unwrap();
        text.push_str("ff;1=").unwrap();
        fmt::Write::write_str(&mut text, "f0").unwrap();
        assert_eq!(&*text, "L3:0=ff;1=f0");
        let shown = KString::format(format_args!("{text} {text:?}")).unwrap();
        assert_eq!(&*shown, "L3:0=ff;1=f0 \"L3:0=ff;1=f0\"");
        assert_eq!(&*KString::new(), "");
    }
}
