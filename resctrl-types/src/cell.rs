// SPDX-License-Identifier: GPL-2.0-only
//! `core`'s cell, opened as Loom's is: `memory-model` puts that in its place, and is told so who reads and who writes.

/// What may be changed behind a shared reference, by whoever knows that nobody else has it.
pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        UnsafeCell(core::cell::UnsafeCell::new(value))
    }

    /// Gives the value to somebody who reads.
    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Gives the value to somebody who writes.
    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}
