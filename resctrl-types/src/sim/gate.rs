// SPDX-License-Identifier: GPL-2.0-only
//! Who may have what a lock protects: where there is a scheduler, a lock of Shuttle's says, at which threads switch. What is protected
//! lies behind a lock of the host that nobody has to wait for.

use std::ops::{Deref, DerefMut};
use std::sync::{PoisonError, TryLockError, TryLockResult};

use super::serial;

/// A mutex.
pub(super) struct Mutex<T> {
    gate: Option<shuttle::sync::Mutex<()>>,
    value: std::sync::Mutex<T>,
}

/// A held [`Mutex`]. The value is given back before the gate opens.
pub(super) struct MutexGuard<'a, T> {
    value: std::sync::MutexGuard<'a, T>,
    _gate: Option<shuttle::sync::MutexGuard<'a, ()>>,
}

/// A lock that many may look through.
pub(super) struct RwLock<T> {
    gate: Option<shuttle::sync::RwLock<()>>,
    value: std::sync::RwLock<T>,
}

/// An [`RwLock`] held for looking.
pub(super) struct ReadGuard<'a, T> {
    value: std::sync::RwLockReadGuard<'a, T>,
    _gate: Option<shuttle::sync::RwLockReadGuard<'a, ()>>,
}

/// An [`RwLock`] held for changing.
pub(super) struct WriteGuard<'a, T> {
    value: std::sync::RwLockWriteGuard<'a, T>,
    _gate: Option<shuttle::sync::RwLockWriteGuard<'a, ()>>,
}

/// What nobody else has. Poisoned only by a failing check, whose panic is the news.
fn free<G>(tried: TryLockResult<G>) -> G {
    match tried {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
        Err(TryLockError::WouldBlock) => panic!("a lock is held by what waits"),
    }
}

/// Made where there is a scheduler.
fn gate<G>(new: impl FnOnce() -> G) -> Option<G> {
    (!serial::is_serial()).then(new)
}

impl<T> Mutex<T> {
    pub(super) fn new(value: T) -> Self {
        Mutex { gate: gate(|| shuttle::sync::Mutex::new(())), value: std::sync::Mutex::new(value) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        let gate = self.gate.as_ref().map(|gate| gate.lock().unwrap_or_else(PoisonError::into_inner));
        MutexGuard { value: free(self.value.try_lock()), _gate: gate }
    }

    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let gate = match self.gate.as_ref().map(shuttle::sync::Mutex::try_lock) {
            None => None,
            Some(Ok(gate)) => Some(gate),
            Some(Err(TryLockError::Poisoned(gate))) => Some(gate.into_inner()),
            Some(Err(TryLockError::WouldBlock)) => return None,
        };
        match self.value.try_lock() {
            Err(TryLockError::WouldBlock) => None,
            tried => Some(MutexGuard { value: free(tried), _gate: gate }),
        }
    }
}

impl<T> RwLock<T> {
    pub(super) fn new(value: T) -> Self {
        RwLock { gate: gate(|| shuttle::sync::RwLock::new(())), value: std::sync::RwLock::new(value) }
    }

    pub(super) fn read(&self) -> ReadGuard<'_, T> {
        let gate = self.gate.as_ref().map(|gate| gate.read().unwrap_or_else(PoisonError::into_inner));
        ReadGuard { value: free(self.value.try_read()), _gate: gate }
    }

    pub(super) fn write(&self) -> WriteGuard<'_, T> {
        let gate = self.gate.as_ref().map(|gate| gate.write().unwrap_or_else(PoisonError::into_inner));
        WriteGuard { value: free(self.value.try_write()), _gate: gate }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
