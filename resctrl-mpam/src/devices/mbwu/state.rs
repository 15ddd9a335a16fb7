// SPDX-License-Identifier: GPL-2.0-only
//! What is remembered of a bandwidth monitor.

use core::sync::atomic::{AtomicU64, Ordering};

use resctrl_types::register::Field;

/// What is remembered of one monitor of one resource instance. Used under the rdtgroup mutex only.
#[derive(Debug, Default)]
pub(crate) struct MbwuState {
    /// Fields of [`Saved`].
    pub(super) saved: AtomicU64,
    /// Bytes to add to what the register shows.
    pub(super) correction: AtomicU64,
}

/// What is remembered beside the correction.
pub(super) struct Saved;

impl Saved {
    /// The filter register.
    pub(super) const FILTER: Field = Field::new(31, 0);
    /// The monitor is in use.
    pub(super) const ENABLED: Field = Field::new(32, 32);
    /// It begins at 0 with the next reading.
    pub(super) const RESET: Field = Field::new(33, 33);
}

impl MbwuState {
    /// Lets the monitor begin at 0 with its next reading: it counts for somebody new.
    pub(super) fn reset(&self) {
        self.correction.store(0, Ordering::Relaxed);
        self.saved.fetch_or(Saved::RESET.put(1), Ordering::Relaxed);
    }

    /// It counts for somebody from 0 on, now or as soon as there is somebody who can reach the registers.
    pub(super) fn begin(&self, filter: u32) {
        self.correction.store(0, Ordering::Relaxed);
        self.saved.store(Saved::ENABLED.put(1) | Saved::FILTER.put(filter.into()), Ordering::Relaxed);
    }

    /// What has been put aside of what was counted for this filter.
    pub(super) fn aside(&self, filter: u32) -> u64 {
        let saved = self.saved.load(Ordering::Relaxed);
        let counts = Saved::ENABLED.is_set(saved) && !Saved::RESET.is_set(saved);
        let same = counts && Saved::FILTER.get(saved) == u64::from(filter);
        if same { self.correction.load(Ordering::Relaxed) } else { 0 }
    }

    /// Forgets that the monitor counts for anybody: it is not started again when its registers have been lost.
    pub(super) fn forget(&self) {
        self.correction.store(0, Ordering::Relaxed);
        self.saved.store(0, Ordering::Relaxed);
    }
}
