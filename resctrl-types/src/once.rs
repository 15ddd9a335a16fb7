// SPDX-License-Identifier: GPL-2.0-only
//! Data that is found out once, after the value that it is in has come to be shared, and never changes again.
//!
//! In C that is a pointer which is null at first, or a flag beside plain fields, and a comment that says who may write it.
//! Reading takes no lock, so it is good for context switches; `std`'s `OnceLock` would be the same, but waits.

use crate::atomic::{AtomicU8, Ordering};
use crate::cell::UnsafeCell;

const EMPTY: u8 = 0;
const BUSY: u8 = 1;
const SET: u8 = 2;

/// A value that is set at most once.
///
/// # Invariants
/// * The state only ever grows: `EMPTY`, `BUSY`, `SET`.
/// * The value is written by the one thread that turned `EMPTY` into `BUSY`, and by nobody from `SET` on.
pub struct SetOnce<T> {
    state: AtomicU8,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: from `SET` on there are only shared borrows of the value, for which `T: Sync`; it is put in by one thread and may be
// dropped by another, for which `T: Send`.
unsafe impl<T: Send + Sync> Sync for SetOnce<T> {}

impl<T> SetOnce<T> {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        SetOnce { state: AtomicU8::new(EMPTY), value: UnsafeCell::new(None) }
    }

    /// Sets the value.
    ///
    /// # Errors
    /// The value comes back when there is one already, or another thread is about to set one.
    pub fn set(&self, value: T) -> Result<(), T> {
        if self.state.compare_exchange(EMPTY, BUSY, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return Err(value);
        }
        // SAFETY: this thread turned `EMPTY` into `BUSY`, so no other writes, and nobody reads before `SET`.
        self.value.with_mut(|place| unsafe { *place = Some(value) });
        self.state.store(SET, Ordering::Release);
        Ok(())
    }

    /// The value, once it is set.
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        if self.state.load(Ordering::Acquire) != SET {
            return None;
        }
        // SAFETY: from `SET` on, which the load synchronises with, nobody writes.
        self.value.with(|place| unsafe { (*place).as_ref() })
    }
}

impl<T> Default for SetOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::thread;

    #[test]
    fn the_first_value_stays() {
        let once = SetOnce::new();
        assert_eq!(once.get(), None);
        assert_eq!(once.set(1), Ok(()));
        assert_eq!(once.set(2), Err(2));
        assert_eq!(once.get(), Some(&1));
    }

    #[test]
    fn of_many_threads_one_sets_it_and_all_see_the_same() {
        for _ in 0..200 {
            let once = SetOnce::new();
            let set: usize = thread::scope(|scope| {
                let setters: [_; 4] = std::array::from_fn(|number| {
                    let once = &once;
                    scope.spawn(move || {
                        let mine = once.set([number; 8]).is_ok();
                        if let Some(value) = once.get() {
                            assert!(value.iter().all(|&other| other == value[0]));
                        }
                        usize::from(mine)
                    })
                });
                setters.into_iter().map(|setter| setter.join().unwrap()).sum()
            });
            assert_eq!(set, 1);
            assert!(once.get().is_some());
        }
    }

    #[test]
    fn by_default_nothing_is_set() {
        assert_eq!(SetOnce::<u8>::default().get(), None);
    }
}
