// SPDX-License-Identifier: GPL-2.0-only
//! Filling a cache with memory that is to stay there.

use crate::context::Pinned;
use crate::ids::Closid;
use crate::platform::{MemoryOf, Platform};
use crate::pseudo_lock::Measurement;

/// Pseudo-locking. An architecture that has none leaves everything as it is.
pub trait PseudoLock<P: Platform>: Sized + Send + Sync + 'static {
    /// Whether there is such a thing as pseudo-locking (`CONFIG_RESCTRL_FS_PSEUDO_LOCK`); if not, its modes are unknown words.
    const PSEUDO_LOCKING: bool = false;

    /// Whether it is known how this processor's prefetchers are turned off, without which what is locked would be mixed
    /// with what they fetch.
    fn can_pseudo_lock(&self) -> bool {
        false
    }

    /// Fills what `closid` may fill of the caches of this CPU with `memory`, and with little else: nothing of it is cached
    /// before. Asked for only where [`PseudoLock::can_pseudo_lock`]; may take milliseconds with interrupts off.
    fn pseudo_lock(
        &self,
        _platform: &P,
        _kernel: &P::PseudoLocking,
        _here: Pinned<'_>,
        _memory: &MemoryOf<P>,
        _line_size: u32,
        _closid: Closid,
    ) {
    }

    /// Reads `memory` and [tells](crate::pseudo_lock::PseudoLocking::trace) what was found; nothing where this processor
    /// cannot measure that.
    fn measure(
        &self,
        _platform: &P,
        _kernel: &P::PseudoLocking,
        _here: Pinned<'_>,
        _memory: &MemoryOf<P>,
        _line_size: u32,
        _what: Measurement,
    ) {
    }
}
