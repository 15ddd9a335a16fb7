// SPDX-License-Identifier: GPL-2.0-only
//! The user's terminal: its size, and its settings before QEMU changed them.

use std::io::stdin;

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

/// Puts the terminal's settings back when dropped: QEMU does so itself, unless it is killed.
#[derive(Debug)]
pub(crate) struct Restore(Option<Termios>);

impl Restore {
    /// Remembers the settings of standard input, if that is a terminal.
    pub(crate) fn new() -> Self {
        Self(isatty(stdin()).then(|| tcgetattr(stdin()).ok()).flatten())
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(settings) = &self.0 {
            // Nothing can be done if the terminal is gone.
            let _ = tcsetattr(stdin(), OptionalActions::Flush, settings);
        }
    }
}

/// Rows and columns of the terminal.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdin()).ok()?;
    (size.ws_row > 0).then_some((size.ws_row, size.ws_col))
}
