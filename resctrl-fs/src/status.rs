// SPDX-License-Identifier: GPL-2.0-only
//! `info/last_cmd_status`: what the last command had to say.
//!
//! A buffer of 512 bytes, as the kernel's `last_cmd_status` is, the last of them for a NUL. A formatted message that does not
//! fit is stored cut, a constant text that does not fit is left out whole; either way the rest is lost and a reader is told
//! `[truncated]`.

use core::fmt;

use resctrl_types::Errno;

use crate::text::{Bytes, Stop, TextOut};

/// Why a command is refused: the errno, and with it that the status says why. Only [`Status`] makes one, out of words, and
/// an errno does not become one by itself: there is no refusal that leaves the status at `ok`.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the status says that the command was refused"]
pub(crate) struct Refusal(Errno);

impl Refusal {
    /// What the system call fails with.
    pub(crate) const fn errno(&self) -> Errno {
        self.0
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Errno(refusal.errno())
    }
}

/// The result of a command.
pub(crate) type Done<T = ()> = Result<T, Refusal>;

/// What is said of a file that takes no commands, which somebody has made writable.
pub(crate) const NO_COMMANDS: &str = "The file takes no commands\n";

/// Bytes the buffer holds.
pub(crate) const CAPACITY: usize = 512;

/// The text of the last command. Empty means `ok`.
pub(crate) struct Status {
    text: [u8; CAPACITY],
    len: usize,
    overflowed: bool,
}

impl Status {
    pub(crate) const fn new() -> Self {
        Status { text: [0; CAPACITY], len: 0, overflowed: false }
    }

    /// Forgets what earlier commands said.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.overflowed = false;
    }

    /// Appends a constant text, or nothing of it.
    pub(crate) fn text(&mut self, text: &str) {
        if self.overflowed {
            return;
        }
        if text.len() > self.room() {
            self.overflowed = true;
            return;
        }
        self.append(text.as_bytes());
    }

    /// Appends a formatted text, cut where the buffer ends.
    pub(crate) fn format(&mut self, args: fmt::Arguments<'_>) {
        // Running over is not an error of the caller's: it shows as `[truncated]`.
        let _ = fmt::Write::write_fmt(&mut Cut(self), args);
    }

    /// Appends `before`, then bytes that the user gave (they need not be UTF-8), then `after`; cut where the buffer ends.
    pub(crate) fn quote(&mut self, before: &str, quoted: &[u8], after: &str) {
        for part in [before.as_bytes(), quoted, after.as_bytes()] {
            self.append_cut(part);
        }
    }

    /// Refuses with a constant text.
    pub(crate) fn refuse(&mut self, errno: Errno, text: &'static str) -> Refusal {
        debug_assert!(!text.is_empty(), "a refusal says why");
        self.text(text);
        Refusal(errno)
    }

    /// Refuses with a formatted text.
    pub(crate) fn refuse_with(&mut self, errno: Errno, args: fmt::Arguments<'_>) -> Refusal {
        self.format(args);
        Refusal(errno)
    }

    /// Refuses with bytes that the user gave, between two texts.
    pub(crate) fn refuse_quoting(&mut self, errno: Errno, before: &str, quoted: &[u8], after: &str) -> Refusal {
        self.quote(before, quoted, after);
        Refusal(errno)
    }

    /// Refuses for want of memory, where the kernel's has no words of its own for it.
    pub(crate) fn out_of_memory(&mut self) -> Refusal {
        self.refuse(Errno::ENOMEM, "Out of memory\n")
    }

    /// Refuses because something else has failed: hardware, or the kernel. `to_do` is what.
    pub(crate) fn failed(&mut self, errno: Errno, to_do: fmt::Arguments<'_>) -> Refusal {
        self.refuse_with(errno, format_args!("Failed to {to_do}: error {}\n", errno.to_ret()))
    }

    /// Refuses because the file system was unmounted while the command waited.
    pub(crate) fn unmounted(&mut self) -> Refusal {
        self.refuse(Errno::ENOENT, "File system unmounted. No commands possible.\n")
    }

    /// Prints what a reader of the file sees.
    pub(crate) fn show(&self, out: &mut dyn TextOut) -> fmt::Result {
        if self.len == 0 && !self.overflowed {
            return out.write_str("ok\n");
        }
        out.bytes(Bytes(self.text.get(..self.len).unwrap_or_default()))?;
        if self.overflowed {
            out.write_str("[truncated]\n")?;
        }
        Ok(())
    }

    /// How many more bytes fit. In the kernel the text ends with a NUL, so one byte stays free.
    fn room(&self) -> usize {
        (CAPACITY - 1).saturating_sub(self.len)
    }

    fn append(&mut self, bytes: &[u8]) {
        let free = self.text.get_mut(self.len..).unwrap_or_default();
        let taken = free.iter_mut().zip(bytes).map(|(to, from)| *to = *from).count();
        self.len = self.len.saturating_add(taken);
    }

    fn append_cut(&mut self, bytes: &[u8]) {
        if self.overflowed {
            return;
        }
        let room = self.room();
        if bytes.len() > room {
            self.append(&bytes[..room]);
            self.overflowed = true;
        } else {
            self.append(bytes);
        }
    }
}

struct Cut<'a>(&'a mut Status);

impl fmt::Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.append_cut(text.as_bytes());
        if self.0.overflowed { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    struct Sink(Vec<u8>);
    impl fmt::Write for Sink {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.extend(text.bytes());
            Ok(())
        }
    }
    impl TextOut for Sink {
        fn bytes(&mut self, bytes: Bytes<'_>) -> fmt::Result {
            self.0.extend(bytes.0);
            Ok(())
        }
    }

    fn shown(status: &Status) -> String {
        let mut sink = Sink(Vec::new());
        status.show(&mut sink).unwrap();
        String::from_utf8(sink.0).unwrap()
    }

    #[test]
    fn an_empty_buffer_reads_ok() {
        let mut status = Status::new();
        assert_eq!(shown(&status), "ok\n");
        status.text("Missing ':'\n");
        assert_eq!(shown(&status), "Missing ':'\n");
        status.clear();
        assert_eq!(shown(&status), "ok\n");
    }

    #[test]
    fn messages_accumulate() {
        let mut status = Status::new();
        status.format(format_args!("No task {}\n", 7));
        status.quote("Non-hex character in the mask ", b"xyz", "\n");
        assert_eq!(shown(&status), "No task 7\nNon-hex character in the mask xyz\n");
    }

    #[test]
    fn a_long_format_is_cut_and_says_so() {
        let mut status = Status::new();
        status.quote("Unknown or unsupported resource name '", &[b'x'; 600], "'\n");
        let text = shown(&status);
        assert_eq!(text.len(), 511 + "[truncated]\n".len());
        assert!(text.ends_with("xxx[truncated]\n"));
        status.text("lost\n");
        assert!(!shown(&status).contains("lost"));
    }

    #[test]
    fn a_text_fits_that_leaves_one_byte_free() {
        let text = |len| String::from_utf8(std::vec![b'x'; len]).unwrap();
        let appenders: [fn(&mut Status, &str); 3] = [
            Status::text,
            |status, text| status.format(format_args!("{text}")),
            |status, text| status.quote("", text.as_bytes(), ""),
        ];
        for append in appenders {
            let mut status = Status::new();
            append(&mut status, &text(500));
            append(&mut status, &text(11));
            assert_eq!(shown(&status), text(511));
            append(&mut status, "y");
            assert_eq!(shown(&status), text(511) + "[truncated]\n");
        }
    }

    #[test]
    fn a_long_constant_is_dropped_whole() {
        let mut status = Status::new();
        status.quote("", &[b'x'; 505], "\n");
        status.text("Missing ':'\n");
        let text = shown(&status);
        assert!(text.ends_with("xx\n[truncated]\n"));
    }
}
