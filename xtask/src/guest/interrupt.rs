// SPDX-License-Identifier: GPL-2.0-only
//! Ctrl-C and SIGTERM: guests are ended by whoever watches them, so that files are complete and the
//! terminal is restored; a second signal ends xtask at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Exit code after an interrupt, as shells report SIGINT.
pub(crate) const EXIT_CODE: u8 = 130;

/// Installs the handler, unless that was done. To be called before the first guest.
///
/// # Errors
///
/// Something else of this process has a handler.
pub(crate) fn install() -> Result<()> {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*installed {
        ctrlc::set_handler(|| {
            if REQUESTED.swap(true, Ordering::SeqCst) {
                // QEMU is told to end with its parent.
                std::process::exit(EXIT_CODE.into());
            }
        })?;
        *installed = true;
    }
    Ok(())
}

/// The user wants to stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

#[cfg(test)]
mod tests {
    #[test]
    fn who_measures_twice_installs_the_handler_twice() {
        super::install().unwrap();
        super::install().unwrap();
    }
}
