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

#[cfg(test)]
mod tests {
    use super::*;

    /// A monitor that has counted something for filter 0, which is that of the default group, too.
    fn counted(bytes: u64) -> MbwuState {
        let state = MbwuState::default();
        state.begin(0);
        state.correction.store(bytes, Ordering::Relaxed);
        state
    }

    #[test]
    fn what_is_put_aside_is_that_of_whom_it_was_counted_for() {
        let state = counted(500);
        assert_eq!((state.aside(0), state.aside(7)), (500, 0));
        state.begin(7);
        assert_eq!((state.aside(0), state.aside(7)), (0, 0), "somebody else begins at 0");
    }

    #[test]
    fn what_is_put_aside_between_a_reset_and_the_next_reading_is_from_before_it() {
        let state = counted(500);
        state.reset();
        // The power goes: what the register still shows is put aside.
        state.correction.fetch_add(500, Ordering::Relaxed);
        assert_eq!(state.aside(0), 0);
    }

    #[test]
    fn a_forgotten_monitor_counts_for_nobody() {
        let state = counted(500);
        state.forget();
        assert_eq!(state.aside(0), 0);
        assert!(!Saved::ENABLED.is_set(state.saved.load(Ordering::Relaxed)), "its registers are not written again");
    }
}
