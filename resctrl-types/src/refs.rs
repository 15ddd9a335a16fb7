// SPDX-License-Identifier: GPL-2.0-only
//! Reference counting, the kernel's `struct kref` as a type.
//!
//! A [`Ref`] *is* one reference: having it is the proof that the value is alive, dropping it gives the reference up,
//! and whoever drops the last one frees the value. There is no get or put to forget. `alloc::sync::Arc` cannot serve:
//! its allocation cannot fail on a stable compiler and its count overflows by aborting.

use alloc::alloc::{Layout, alloc};
use alloc::boxed::Box;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

use crate::atomic::{AtomicU32, Ordering};
use crate::errno::{Errno, Result};

/// Counts above this are taken for an overflow: the value is then never freed, as `refcount_t` does it.
const SATURATED: u32 = i32::MAX.unsigned_abs();

struct Counted<T> {
    count: AtomicU32,
    value: T,
}

/// One reference to a shared value. Dropping the last one frees the value.
///
/// ```
/// use resctrl_types::{Errno, Ref};
///
/// let list = Ref::new(String::from("an L3 domain"))?;
/// let worker = list.clone();
/// assert!(Ref::same(&list, &worker));
/// assert_eq!(Ref::count(&worker), 2);
///
/// // The list forgets it; the worker has it for as long as it needs.
/// drop(list);
/// assert_eq!(*worker, "an L3 domain");
///
/// // The kernel's timers hold nothing but a pointer, which is the reference meanwhile.
/// let raw = Ref::into_raw(worker);
/// // SAFETY: of the same type, and taken back once.
/// let back = unsafe { Ref::<String>::from_raw(raw) };
/// assert_eq!(Ref::count(&back), 1);
/// # Ok::<(), Errno>(())
/// ```
#[must_use = "dropped at once, the reference is given up"]
pub struct Ref<T> {
    shared: NonNull<Counted<T>>,
    owns: PhantomData<Counted<T>>,
}

// SAFETY: a `Ref` gives shared access to the value (`T: Sync`) and may drop it on whichever thread (`T: Send`).
unsafe impl<T: Send + Sync> Send for Ref<T> {}
// SAFETY: as above; a shared `Ref` can be cloned into an owned one.
unsafe impl<T: Send + Sync> Sync for Ref<T> {}

impl<T> Ref<T> {
    /// Moves `value` into shared memory and returns its first reference.
    ///
    /// # Errors
    /// `ENOMEM`; `value` is dropped.
    pub fn new(value: T) -> Result<Self> {
        if crate::mem::fails() {
            return Err(Errno::ENOMEM);
        }
        let counted = Counted { count: AtomicU32::new(1), value };
        // SAFETY: `Counted` is never zero-sized, it holds the count.
        let memory = unsafe { alloc(Layout::new::<Counted<T>>()) }.cast::<Counted<T>>();
        let shared = NonNull::new(memory).ok_or(Errno::ENOMEM)?;
        // SAFETY: fresh memory of the right layout.
        unsafe { shared.write(counted) };
        Ok(Ref { shared, owns: PhantomData })
    }

    fn counted(&self) -> &Counted<T> {
        // SAFETY: this reference keeps the count above zero, so the value is alive.
        unsafe { self.shared.as_ref() }
    }

    /// How many references there are at this moment. Only a caller that knows that no others can appear may act on it.
    #[must_use]
    pub fn count(this: &Self) -> u32 {
        this.counted().count.load(Ordering::Acquire)
    }

    /// Whether two references are to the same value.
    #[must_use]
    pub fn same(this: &Self, other: &Self) -> bool {
        this.shared == other.shared
    }

    /// Gives the reference to somebody who can only hold a pointer (a timer, a work item of the kernel).
    /// It comes back with [`Ref::from_raw`].
    #[must_use = "the reference leaks unless from_raw takes it back"]
    pub fn into_raw(this: Self) -> *const () {
        let raw = this.shared.as_ptr().cast_const().cast();
        core::mem::forget(this);
        raw
    }

    /// Takes back a reference that [`Ref::into_raw`] gave away.
    ///
    /// # Safety
    /// `raw` came from `Ref::<T>::into_raw` of the same `T`, and each such pointer comes back at most once.
    pub unsafe fn from_raw(raw: *const ()) -> Self {
        // SAFETY: by the contract `raw` is the non-null pointer of a live `Counted<T>`.
        let shared = unsafe { NonNull::new_unchecked(raw.cast_mut().cast::<Counted<T>>()) };
        Ref { shared, owns: PhantomData }
    }
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        let count = &self.counted().count;
        if count.fetch_add(1, Ordering::Relaxed) >= SATURATED {
            // Somebody leaked two thousand million references. Leak the value too rather than free it early.
            count.store(SATURATED, Ordering::Relaxed);
        }
        Ref { shared: self.shared, owns: PhantomData }
    }
}

impl<T> Drop for Ref<T> {
    fn drop(&mut self) {
        let count = &self.counted().count;
        if count.load(Ordering::Relaxed) >= SATURATED || count.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        // Every use of the value through another reference happened before that reference's release decrement. An acquiring
        // load instead of a fence: sanitizers do not know fences.
        count.load(Ordering::Acquire);
        // SAFETY: the count went to zero here and nowhere else, so nobody else has the value; it was allocated by
        // `Ref::new` with this layout from the global allocator.
        drop(unsafe { Box::from_raw(self.shared.as_ptr()) });
    }
}

impl<T> Deref for Ref<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.counted().value
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::cell::Cell;
    use std::sync::mpsc::{Sender, channel};
    use std::vec::Vec;

    struct Tell<'a>(&'a Cell<u32>);
    impl Drop for Tell<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn the_last_reference_frees_the_value_once() {
        let drops = Cell::new(0);
        let first = Ref::new(Tell(&drops)).unwrap();
        let second = first.clone();
        assert_eq!(Ref::count(&first), 2);
        drop(first);
        assert_eq!(drops.get(), 0);
        drop(second);
        assert_eq!(drops.get(), 1);
    }

    #[test]
    fn what_threads_did_to_a_value_is_there_when_the_last_of_them_frees_it() {
        struct Notes([AtomicU32; 4], Sender<u32>);
        impl Drop for Notes {
            fn drop(&mut self) {
                // Without atomics: whoever frees has the value alone.
                self.1.send(self.0.iter_mut().map(|note| *note.get_mut()).sum()).unwrap();
            }
        }
        let (send, receive) = channel();
        let notes = Ref::new(Notes(Default::default(), send)).unwrap();
        let threads = [0, 1, 2, 3].map(|number| {
            let mine = notes.clone();
            std::thread::spawn(move || {
                for _ in 0..100 {
                    let another = mine.clone();
                    another.0[number].fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        drop(notes);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(receive.iter().collect::<Vec<_>>(), [400]);
    }

    #[test]
    fn a_raw_reference_keeps_the_value_alive() {
        let drops = Cell::new(0);
        let raw = Ref::into_raw(Ref::new(Tell(&drops)).unwrap());
        assert_eq!(drops.get(), 0);
        // SAFETY: `raw` is from `into_raw` above and comes back once.
        drop(unsafe { Ref::<Tell<'_>>::from_raw(raw) });
        assert_eq!(drops.get(), 1);
    }

    #[test]
    fn two_references_are_the_same_if_they_are_to_one_value_and_show_what_it_is() {
        let one = Ref::new(7).unwrap();
        assert!(Ref::same(&one, &one.clone()) && !Ref::same(&one, &Ref::new(7).unwrap()));
        assert_eq!(std::format!("{one:?}"), "7");
    }

    #[test]
    fn a_value_with_too_many_references_is_never_freed() {
        let drops = Cell::new(0);
        let first = Ref::new(Tell(&drops)).unwrap();
        // As if so many references had been leaked.
        first.counted().count.store(SATURATED, Ordering::Relaxed);
        let second = first.clone();
        assert_eq!(Ref::count(&second), SATURATED, "it counts no further, and so not around to 0");
        drop(second);
        assert_eq!(Ref::count(&first), SATURATED);
        drop(first);
        assert_eq!(drops.get(), 0);
    }
}
