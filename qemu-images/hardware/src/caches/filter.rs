// SPDX-License-Identifier: GPL-2.0-only
//! What keeps the repeated accesses of a CPU to the same few lines from the [`Model`](super::Model).
//!
//! It stands where an L1 is, and like one it hides hits: they do not count as uses of the line in the caches behind it. A
//! line that is in it may have left those caches since; an access to it then fills nothing. So it bears on exactness by no
//! more than its own lines: whoever works on more than it holds reaches the model with every line that is not in it.
//!
//! It knows lines by any number of the caller's choice, also of virtual addresses, as long as it is emptied when they come to mean
//! something else; and it is emptied when the CPU's labels or masks change, so that the first access under new ones is seen.

use std::sync::atomic::{AtomicU64, Ordering};

/// Lines that it holds: 16 KiB.
const LINES: usize = 256;

/// A filter of one CPU. Only the thread that executes the CPU asks it; anybody may have it emptied.
#[derive(Debug)]
pub struct Filter {
    /// The line's number with [`PRESENT`], and with [`WRITTEN`]; 0 if there is none.
    lines: [AtomicU64; LINES],
    /// How often it was to be emptied, and how often it has been.
    asked: AtomicU64,
    done: AtomicU64,
}

const PRESENT: u64 = 1;
const WRITTEN: u64 = 2;

impl Default for Filter {
    fn default() -> Self {
        Self { lines: [const { AtomicU64::new(0) }; LINES], asked: AtomicU64::new(0), done: AtomicU64::new(0) }
    }
}

impl Filter {
    /// Whether an access need not go on to the caches. What nearly every access of a guest comes to: short, and without a call.
    #[inline]
    #[must_use]
    pub fn holds(&self, line: u64, write: Write) -> bool {
        let held = self.entry(line).load(Ordering::Relaxed);
        let wanted = line << 2 | PRESENT;
        let is_held = match write {
            Write::No => held & !WRITTEN == wanted,
            Write::Yes => held == wanted | WRITTEN,
        };
        is_held && self.done.load(Ordering::Relaxed) == self.asked.load(Ordering::Acquire)
    }

    /// Whether an access need not go on to the caches. From now on the line is in it.
    #[must_use]
    pub fn hides(&self, line: u64, write: Write) -> bool {
        if self.holds(line, write) {
            return true;
        }
        let asked = self.asked.load(Ordering::Acquire);
        if self.done.load(Ordering::Relaxed) != asked {
            self.lines.iter().for_each(|line| line.store(0, Ordering::Relaxed));
            self.done.store(asked, Ordering::Relaxed);
        }
        let written = if write == Write::Yes { WRITTEN } else { 0 };
        self.entry(line).store(line << 2 | PRESENT | written, Ordering::Relaxed);
        false
    }

    #[inline]
    fn entry(&self, line: u64) -> &AtomicU64 {
        &self.lines[crate::numbers::place(line) % LINES]
    }

    /// Has it emptied before the next access.
    pub fn empty(&self) {
        self.asked.fetch_add(1, Ordering::Release);
    }
}

/// Whether an access writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// It does.
    Yes,
    /// It only reads.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_hidden_after_its_first_access_until_another_takes_its_place() {
        let filter = Filter::default();
        assert!(!filter.hides(0, Write::No));
        assert!(filter.hides(0, Write::No));
        assert!(!filter.hides(LINES as u64, Write::No));
        assert!(!filter.hides(0, Write::No));
    }

    #[test]
    fn the_first_write_is_never_hidden() {
        let filter = Filter::default();
        assert!(!filter.hides(7, Write::No));
        assert!(!filter.hides(7, Write::Yes));
        assert!(filter.hides(7, Write::Yes));
        assert!(filter.hides(7, Write::No));
    }

    #[test]
    fn emptied_it_hides_nothing() {
        let filter = Filter::default();
        assert!(!filter.hides(7, Write::Yes));
        filter.empty();
        assert!(!filter.hides(7, Write::No));
        assert!(!filter.hides(7, Write::Yes));
    }
}
