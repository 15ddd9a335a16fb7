// SPDX-License-Identifier: GPL-2.0-only
//! A value behind a lock, and beside the lock how often it was changed.
//!
//! What was [seen](Seen) of it with one version is so for as long as it has that version, which takes no lock to find out. That
//! holds as the version is raised by whoever changes the value, with the lock held: who sees the value sees that, too, and who
//! has seen a change never again believes what was seen before it. The lock orders all of this; the number by itself orders nothing.

use resctrl_types::platform::RwLock;

use crate::atomic::{AtomicU64, Ordering};

/// What was seen in the tree, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen<T> {
    /// The tree's version then: as long as it has not another, `what` is so.
    pub version: u64,
    /// What was seen.
    pub what: T,
}

/// A lock with what is behind it, and its version.
pub(crate) struct Versioned<L> {
    lock: L,
    /// How often it was changed, and 1. Raised with the lock held.
    version: AtomicU64,
}

impl<L> Versioned<L> {
    pub(crate) fn new(lock: L) -> Self {
        Versioned { lock, version: AtomicU64::new(1) }
    }

    /// The version: never 0. Takes no lock.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// The value, to look at.
    pub(crate) fn read<T>(&self) -> L::ReadGuard<'_>
    where
        L: RwLock<T>,
    {
        self.lock.read()
    }

    /// Looks at the value.
    pub(crate) fn see<T, R>(&self, look: impl FnOnce(&T) -> R) -> Seen<R>
    where
        L: RwLock<T>,
    {
        let value = self.lock.read();
        // While the lock is held nobody raises it.
        Seen { version: self.version(), what: look(&value) }
    }

    /// Changes the value. What `change` returns is dropped without the lock.
    pub(crate) fn change<T, R>(&self, change: impl FnOnce(&mut T) -> R) -> R
    where
        L: RwLock<T>,
    {
        let mut value = self.lock.write();
        self.version.fetch_add(1, Ordering::Relaxed);
        change(&mut value)
    }
}
