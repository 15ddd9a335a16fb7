// SPDX-License-Identifier: GPL-2.0-only
//! The plugin's own account of what the guest did to the registers.

use std::fmt;
use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A file with one line an event; complete up to the last line even if QEMU is killed.
#[derive(Debug)]
pub(crate) struct Log(Mutex<LineWriter<File>>);

impl Log {
    pub(crate) fn create(path: &Path) -> Result<Self, String> {
        let file = File::create(path).map_err(|problem| format!("log {}: {problem}", path.display()))?;
        Ok(Self(Mutex::new(LineWriter::new(file))))
    }

    /// Writes one line, `now` being nanoseconds since the start. A full disk must not end the guest: the line is lost.
    pub(crate) fn line(&self, now: u64, text: fmt::Arguments<'_>) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (seconds, micros) = (now / 1_000_000_000, now / 1_000 % 1_000_000);
        let _ = writeln!(file, "[{seconds:5}.{micros:06}] {text}");
    }
}
