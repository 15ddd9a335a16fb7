// SPDX-License-Identifier: GPL-2.0-only
//! Ctrl-C and SIGTERM: guests are ended by whoever watches them, so that files are complete and the
//! terminal is restored; a second signal ends xtask at once.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Exit code after an interrupt, as shells report SIGINT.
pub(crate) const EXIT_CODE: u8 = 130;

/// Installs the handler. To be called once, before the first guest.
///
/// # Errors
///
/// The handler is installed already.
pub(crate) fn install() -> Result<()> {
    ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            // QEMU is told to end with its parent.
            std::process::exit(EXIT_CODE.into());
        }
    })?;
    Ok(())
}

/// The user wants to stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
