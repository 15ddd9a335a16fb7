// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's mutex and its CPU hotplug lock.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use resctrl_types::platform::{self, LockClass};
use resctrl_types::{CpusHeld, Errno, Result};

use crate::ffi;

/// `struct mutex` around a value.
///
/// # Invariants
/// `lock` is a mutex made by the shim, alive until this value is dropped.
pub(crate) struct KernelMutex<T> {
    lock: NonNull<ffi::Mutex>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock may be taken by any thread; the value goes where the mutex goes.
unsafe impl<T: Send> Send for KernelMutex<T> {}
// SAFETY: only the holder of the lock reaches the value, and one at a time.
unsafe impl<T: Send> Sync for KernelMutex<T> {}

impl<T> KernelMutex<T> {
    pub(crate) fn new(class: LockClass, value: T) -> Result<Self> {
        let class = match class {
            LockClass::Rdtgroup => 0,
            LockClass::Tree => 1,
            LockClass::Regions => 2,
            LockClass::FirstMount => 3,
        };
        const { assert!(ffi::LOCK_CLASSES == 4, "one lock class for each variant") };
        // SAFETY: the class is below SHIM_LOCK_CLASSES.
        let lock = NonNull::new(unsafe { ffi::shim_mutex_new(class) }).ok_or(Errno::ENOMEM)?;
        // INVARIANT: fresh from the shim.
        Ok(KernelMutex { lock, value: UnsafeCell::new(value) })
    }
}

impl<T> Drop for KernelMutex<T> {
    fn drop(&mut self) {
        // SAFETY: exclusive access, so nobody holds or waits for the lock.
        unsafe { ffi::shim_mutex_free(self.lock.as_ptr()) };
    }
}

impl<T: Send + 'static> platform::Mutex<T> for KernelMutex<T> {
    type Guard<'a> = MutexGuard<'a, T>;

    fn lock(&self) -> MutexGuard<'_, T> {
        // SAFETY: the mutex is alive by the invariant.
        unsafe { ffi::shim_mutex_lock(self.lock.as_ptr()) };
        // INVARIANT: taken above.
        MutexGuard { mutex: self, not_send: PhantomData }
    }
}

/// The held mutex. A mutex of the kernel is released by the task that took it, so the guard stays in its thread.
///
/// # Invariants
/// The current task holds the mutex.
pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a KernelMutex<T>,
    not_send: PhantomData<*const ()>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the mutex is held by the invariant, and this guard is borrowed.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the mutex is held by the invariant, and this guard is borrowed exclusively.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: held by the invariant, by this task, since the guard is not `Send`.
        unsafe { ffi::shim_mutex_unlock(self.mutex.lock.as_ptr()) };
    }
}

/// `cpus_read_lock()` until dropped.
///
/// # Invariants
/// The current task holds the hotplug lock for reading.
pub(crate) struct CpusRead {
    not_send: PhantomData<*const ()>,
}

impl CpusRead {
    pub(crate) fn new() -> Self {
        // SAFETY: the caller of `Platform::cpus_read_lock` does not hold it already.
        unsafe { ffi::shim_cpus_read_lock() };
        // INVARIANT: taken above.
        CpusRead { not_send: PhantomData }
    }
}

impl platform::CpusReadGuard for CpusRead {
    fn held(&self) -> CpusHeld<'_> {
        // SAFETY: held by the invariant as long as `self` lives, which the proof borrows.
        unsafe { CpusHeld::new() }
    }
}

impl Drop for CpusRead {
    fn drop(&mut self) {
        // SAFETY: held by the invariant.
        unsafe { ffi::shim_cpus_read_unlock() };
    }
}
