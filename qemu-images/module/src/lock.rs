// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's mutex, its lock that many may share, and its CPU hotplug lock.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use resctrl_types::platform::{self, LockClass};
use resctrl_types::{CpusHeld, Errno, Result};

use crate::ffi;

/// The number of a class, below `SHIM_LOCK_CLASSES`.
const fn number(class: LockClass) -> u32 {
    const { assert!(ffi::LOCK_CLASSES == 4, "one lock class for each variant") };
    match class {
        LockClass::Rdtgroup => 0,
        LockClass::Tree => 1,
        LockClass::Regions => 2,
        LockClass::FirstMount => 3,
    }
}

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
        // SAFETY: the class is below SHIM_LOCK_CLASSES.
        let lock = NonNull::new(unsafe { ffi::shim_mutex_new(number(class)) }).ok_or(Errno::ENOMEM)?;
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

    fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        // SAFETY: the mutex is alive by the invariant.
        let taken = unsafe { ffi::shim_mutex_trylock(self.lock.as_ptr()) };
        // INVARIANT: taken above.
        taken.then_some(MutexGuard { mutex: self, not_send: PhantomData })
    }
}

/// The held mutex. A mutex of the kernel is released by the task that took it, so the guard stays in its thread.
///
/// # Invariants
/// The current task holds the mutex.
#[must_use = "dropped at once, the lock is not held"]
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

/// `struct rw_semaphore` around a value.
///
/// # Invariants
/// `lock` is a semaphore made by the shim, alive until this value is dropped.
pub(crate) struct KernelRwLock<T> {
    lock: NonNull<ffi::RwSem>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock may be taken by any thread; the value goes where the lock goes.
unsafe impl<T: Send> Send for KernelRwLock<T> {}
// SAFETY: whoever looks has a shared reference, together with others (`T: Sync`); whoever changes has it alone.
unsafe impl<T: Send + Sync> Sync for KernelRwLock<T> {}

impl<T> KernelRwLock<T> {
    pub(crate) fn new(class: LockClass, value: T) -> Result<Self> {
        // SAFETY: the class is below SHIM_LOCK_CLASSES.
        let lock = NonNull::new(unsafe { ffi::shim_rwsem_new(number(class)) }).ok_or(Errno::ENOMEM)?;
        // INVARIANT: fresh from the shim.
        Ok(KernelRwLock { lock, value: UnsafeCell::new(value) })
    }
}

impl<T> Drop for KernelRwLock<T> {
    fn drop(&mut self) {
        // SAFETY: exclusive access, so nobody holds or waits for the lock.
        unsafe { ffi::shim_rwsem_free(self.lock.as_ptr()) };
    }
}

impl<T: Send + Sync + 'static> platform::RwLock<T> for KernelRwLock<T> {
    type ReadGuard<'a> = ReadGuard<'a, T>;
    type WriteGuard<'a> = WriteGuard<'a, T>;

    fn read(&self) -> ReadGuard<'_, T> {
        // SAFETY: the semaphore is alive by the invariant.
        unsafe { ffi::shim_rwsem_read(self.lock.as_ptr()) };
        // INVARIANT: taken above.
        ReadGuard { lock: self, not_send: PhantomData }
    }

    fn write(&self) -> WriteGuard<'_, T> {
        // SAFETY: the semaphore is alive by the invariant.
        unsafe { ffi::shim_rwsem_write(self.lock.as_ptr()) };
        // INVARIANT: taken above.
        WriteGuard { lock: self, not_send: PhantomData }
    }
}

/// The semaphore held for reading. It is released by the task that took it, so the guard stays in its thread.
///
/// # Invariants
/// The current task holds the semaphore for reading.
#[must_use = "dropped at once, the lock is not held"]
pub(crate) struct ReadGuard<'a, T> {
    lock: &'a KernelRwLock<T>,
    not_send: PhantomData<*const ()>,
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: held for reading by the invariant, so nobody has the value exclusively.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: held by the invariant, by this task, since the guard is not `Send`.
        unsafe { ffi::shim_rwsem_read_end(self.lock.lock.as_ptr()) };
    }
}

/// The semaphore held for writing. It is released by the task that took it, so the guard stays in its thread.
///
/// # Invariants
/// The current task holds the semaphore for writing.
#[must_use = "dropped at once, the lock is not held"]
pub(crate) struct WriteGuard<'a, T> {
    lock: &'a KernelRwLock<T>,
    not_send: PhantomData<*const ()>,
}

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: held for writing by the invariant, and this guard is borrowed.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: held for writing by the invariant, and this guard is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: held by the invariant, by this task, since the guard is not `Send`.
        unsafe { ffi::shim_rwsem_write_end(self.lock.lock.as_ptr()) };
    }
}

/// `cpus_read_lock()` until dropped.
///
/// # Invariants
/// The current task holds the hotplug lock for reading.
#[must_use = "dropped at once, the lock is not held"]
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
