// SPDX-License-Identifier: GPL-2.0-only
//! Locks with a validator: a wrong order panics in every schedule, not only in the one that deadlocks.

use std::ops::{Deref, DerefMut};

use crate::context::CpusHeld;
use crate::platform::{CpusReadGuard, LockClass, Mutex, RwLock};

use super::gate;
use super::thread::{Hold, Lock, Thread};
use super::trace::{Event, note};

const fn lock_of(class: LockClass) -> Lock {
    match class {
        LockClass::FirstMount => Lock::FirstMount,
        LockClass::Rdtgroup => Lock::Rdtgroup,
        LockClass::Tree => Lock::Tree,
        LockClass::Regions => Lock::Regions,
    }
}

/// A [`Mutex`] of the simulated kernel.
pub struct SimMutex<T> {
    lock: Lock,
    inner: gate::Mutex<T>,
}

impl<T> SimMutex<T> {
    pub(super) fn new(class: LockClass, value: T) -> Self {
        SimMutex { lock: lock_of(class), inner: gate::Mutex::new(value) }
    }
}

impl<T: Send + 'static> Mutex<T> for SimMutex<T> {
    type Guard<'a> = SimMutexGuard<'a, T>;

    fn lock(&self) -> SimMutexGuard<'_, T> {
        let thread = Thread::current();
        thread.check_order(self.lock);
        let guard = self.inner.lock();
        SimMutexGuard::new(guard, Hold::new(thread, self.lock))
    }

    fn try_lock(&self) -> Option<SimMutexGuard<'_, T>> {
        let guard = self.inner.try_lock()?;
        Some(SimMutexGuard::new(guard, Hold::new(Thread::current(), self.lock)))
    }
}

/// A held [`SimMutex`].
#[must_use = "dropped at once, the lock is not held"]
pub struct SimMutexGuard<'a, T> {
    guard: gate::MutexGuard<'a, T>,
    hold: Hold,
}

impl<'a, T> SimMutexGuard<'a, T> {
    fn new(guard: gate::MutexGuard<'a, T>, hold: Hold) -> Self {
        if hold.is_of(Lock::Rdtgroup) {
            note(Event::Locked);
        }
        SimMutexGuard { guard, hold }
    }
}

impl<T> Drop for SimMutexGuard<'_, T> {
    fn drop(&mut self) {
        // Still held: nobody comes in between.
        if self.hold.is_of(Lock::Rdtgroup) {
            note(Event::Unlocked);
        }
    }
}

impl<T> Deref for SimMutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for SimMutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// An [`RwLock`] of the simulated kernel.
pub struct SimRwLock<T> {
    lock: Lock,
    inner: gate::RwLock<T>,
}

impl<T> SimRwLock<T> {
    pub(super) fn new(class: LockClass, value: T) -> Self {
        SimRwLock { lock: lock_of(class), inner: gate::RwLock::new(value) }
    }
}

impl<T: Send + Sync + 'static> RwLock<T> for SimRwLock<T> {
    type ReadGuard<'a> = SimReadGuard<'a, T>;
    type WriteGuard<'a> = SimWriteGuard<'a, T>;

    fn read(&self) -> SimReadGuard<'_, T> {
        let thread = Thread::current();
        thread.check_order(self.lock);
        let guard = self.inner.read();
        SimReadGuard { guard, _hold: Hold::new(thread, self.lock) }
    }

    fn write(&self) -> SimWriteGuard<'_, T> {
        let thread = Thread::current();
        thread.check_order(self.lock);
        let guard = self.inner.write();
        SimWriteGuard { guard, _hold: Hold::new(thread, self.lock) }
    }
}

/// A [`SimRwLock`] held for looking.
#[must_use = "dropped at once, the lock is not held"]
pub struct SimReadGuard<'a, T> {
    guard: gate::ReadGuard<'a, T>,
    _hold: Hold,
}

impl<T> Deref for SimReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

/// A [`SimRwLock`] held for changing.
#[must_use = "dropped at once, the lock is not held"]
pub struct SimWriteGuard<'a, T> {
    guard: gate::WriteGuard<'a, T>,
    _hold: Hold,
}

impl<T> Deref for SimWriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for SimWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// The CPU hotplug lock: `cpu_hotplug_lock`, a read/write semaphore.
pub(super) struct HotplugLock(gate::RwLock<()>);

impl HotplugLock {
    pub(super) fn new() -> Self {
        HotplugLock(gate::RwLock::new(()))
    }

    /// `cpus_read_lock()`.
    pub(super) fn read(&self) -> SimCpusReadGuard<'_> {
        let thread = Thread::current();
        thread.check_order(Lock::Hotplug);
        let guard = self.0.read();
        note(Event::CpusHeld);
        SimCpusReadGuard { _guard: guard, _hold: Hold::new(thread, Lock::Hotplug) }
    }

    /// `cpus_write_lock()`.
    pub(super) fn write(&self) -> CpusWriteGuard<'_> {
        let thread = Thread::current();
        thread.check_order(Lock::Hotplug);
        let guard = self.0.write();
        CpusWriteGuard { _guard: guard, _hold: Hold::new(thread, Lock::Hotplug) }
    }
}

/// The hotplug lock of the simulated kernel, held for reading.
#[must_use = "dropped at once, the lock is not held"]
pub struct SimCpusReadGuard<'a> {
    _guard: gate::ReadGuard<'a, ()>,
    _hold: Hold,
}

impl Drop for SimCpusReadGuard<'_> {
    fn drop(&mut self) {
        note(Event::CpusReleased);
    }
}

impl CpusReadGuard for SimCpusReadGuard<'_> {
    fn held(&self) -> CpusHeld<'_> {
        // SAFETY: this guard holds the hotplug lock for reading and outlives the proof.
        unsafe { CpusHeld::new() }
    }
}

/// The hotplug lock held for writing.
#[must_use = "dropped at once, the lock is not held"]
pub(super) struct CpusWriteGuard<'a> {
    _guard: gate::WriteGuard<'a, ()>,
    _hold: Hold,
}
