// SPDX-License-Identifier: GPL-2.0-only
//! Data that can only be touched while a particular mutex is held.
//!
//! A monitor domain is shared by the domain list and by its workers, yet what is in it belongs to the rdtgroup mutex.
//! In C that is a comment; here it is a type. The mutex protects a [`Key`], of which there is one, and a [`LockedBy`]
//! value opens only with the key it was made for: `&mut Key` is the proof that the mutex is held, and that no other
//! locked value is open for writing at the same time.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};

static NEXT_KEY: AtomicU64 = AtomicU64::new(1);

/// The key of one mutex. Keep it inside that mutex, and nowhere else.
///
/// # Invariants
/// No two keys have the same number.
#[derive(Debug)]
pub struct Key(u64);

impl Key {
    /// A key unlike any other.
    #[must_use]
    pub fn new() -> Self {
        // INVARIANT: the counter is 64 bits wide and never comes around.
        Key(NEXT_KEY.fetch_add(1, Ordering::Relaxed))
    }

    /// That the mutex is held for as long as the key is lent.
    pub const fn held(&self) -> MutexHeld<'_> {
        MutexHeld { key: self.0, scope: PhantomData }
    }

    /// What tells it from other keys.
    pub(crate) const fn number(&self) -> u64 {
        self.0
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

/// The mutex of a [`Key`] stays held while this lives: the key is lent for as long, and the mutex's guard with it.
#[derive(Clone, Copy, Debug)]
#[must_use = "it proves something only to whoever asks for it"]
pub struct MutexHeld<'a> {
    key: u64,
    /// Neither `Send` nor `Sync`: the mutex is this thread's.
    scope: PhantomData<(&'a Key, *const ())>,
}

impl MutexHeld<'_> {
    /// The number of the key.
    pub(crate) const fn number(self) -> u64 {
        self.key
    }
}

/// A value which opens only with the [`Key`] it was made for.
///
/// ```
/// use resctrl_types::locked::{Key, LockedBy};
/// use std::sync::Mutex;
///
/// // The mutex protects its key, and nothing else.
/// let mutex = Mutex::new(Key::new());
/// // What belongs to it can be anywhere: here in two places.
/// let (one, other) = {
///     let key = mutex.lock().unwrap();
///     (LockedBy::new(&key, 1), LockedBy::new(&key, 2))
/// };
///
/// let mut key = mutex.lock().unwrap();
/// *one.get_mut(&mut key) += 10;
/// assert_eq!(*one.get(&key) + *other.get(&key), 13);
/// ```
///
/// Not without the mutex, and nothing stays open behind it:
///
/// ```compile_fail,E0505
/// # use resctrl_types::locked::{Key, LockedBy};
/// # use std::sync::Mutex;
/// # let mutex = Mutex::new(Key::new());
/// # let one = LockedBy::new(&mutex.lock().unwrap(), 1);
/// let key = mutex.lock().unwrap();
/// let open = one.get(&key);
/// drop(key);
/// println!("{open}");
/// ```
///
/// Any number of threads can have a `&Key` at once, behind a lock that lends it shared. So what is opened for reading has to
/// stand being read by several threads:
///
/// ```compile_fail,E0277
/// # use resctrl_types::locked::{Key, LockedBy};
/// use std::cell::Cell;
///
/// let key = Key::new();
/// let locked = LockedBy::new(&key, Cell::new(1));
/// std::thread::scope(|threads| {
///     for _ in 0..2 {
///         threads.spawn(|| locked.get(&key).set(2));
///     }
/// });
/// ```
pub struct LockedBy<T> {
    key: u64,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through a borrow of the one key, which orders all access as a mutex would. That this is
// a lock which many may share is for `LockedBy::get` to ask for.
unsafe impl<T: Send> Sync for LockedBy<T> {}

impl<T> LockedBy<T> {
    /// Puts `value` behind `key`.
    #[must_use]
    pub fn new(key: &Key, value: T) -> Self {
        LockedBy { key: key.0, value: UnsafeCell::new(value) }
    }

    /// Opens the value for reading.
    ///
    /// # Panics
    /// With the key of another mutex: a mistake of the programmer, not reachable by input.
    #[must_use]
    pub fn get<'a>(&'a self, key: &'a Key) -> &'a T
    where
        // Several threads can have a `&Key` at once.
        T: Sync,
    {
        assert_eq!(self.key, key.0, "the key of another mutex");
        // SAFETY: a `&mut T` needs `&mut Key`, which cannot exist beside this `&Key`, and the key is unique.
        unsafe { &*self.value.get() }
    }

    /// Opens the value for writing.
    ///
    /// # Panics
    /// With the key of another mutex: a mistake of the programmer, not reachable by input.
    #[must_use]
    pub fn get_mut<'a>(&'a self, key: &'a mut Key) -> &'a mut T {
        assert_eq!(self.key, key.0, "the key of another mutex");
        // SAFETY: `&mut Key` is exclusive for as long as the result lives, and the key is unique.
        unsafe { &mut *self.value.get() }
    }

    /// Opens the value for writing, and proves that the mutex is held meanwhile: the key itself cannot, as it is lent.
    ///
    /// # Panics
    /// As [`LockedBy::get_mut`].
    pub fn get_mut_held<'a>(&'a self, key: &'a mut Key) -> (&'a mut T, MutexHeld<'a>) {
        let held = MutexHeld { key: key.0, scope: PhantomData };
        (self.get_mut(key), held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_keys_have_the_same_number() {
        let keys = [(); 3].map(|()| Key::new().number());
        assert!(keys[0] < keys[1] && keys[1] < keys[2], "{keys:?}");
    }

    #[test]
    fn a_value_opens_with_its_own_key() {
        let mut key = Key::new();
        let locked = LockedBy::new(&key, 1);
        *locked.get_mut(&mut key) += 1;
        assert_eq!(*locked.get(&key), 2);
    }

    #[test]
    #[should_panic(expected = "the key of another mutex")]
    fn a_value_stays_shut_to_another_key() {
        let locked = LockedBy::new(&Key::new(), 1);
        let _ = locked.get(&Key::new());
    }
}
