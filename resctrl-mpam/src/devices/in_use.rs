// SPDX-License-Identifier: GPL-2.0-only
//! Things that one at a time may use, and whoever comes meanwhile goes away again: a lock that nobody waits for.
//!
//! What one did is over before the next may use it.

use crate::atomic::{AtomicBool, Ordering};

/// Whether somebody uses a thing.
#[derive(Debug, Default)]
pub(crate) struct InUse(AtomicBool);

/// Nobody else uses it. Dropping this lets others.
#[derive(Debug)]
#[must_use = "dropped at once, others use it"]
pub(crate) struct Using<'a>(&'a InUse);

impl InUse {
    /// For whoever asks first; `None` while it is in use.
    pub(crate) fn begin(&self) -> Option<Using<'_>> {
        self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok().then(|| Using(self))
    }
}

impl Drop for Using<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_uses_it_until_it_has_done() {
        let in_use = InUse::default();
        let using = in_use.begin();
        assert!(using.is_some() && in_use.begin().is_none());
        drop(using);
        assert!(in_use.begin().is_some());
    }
}
