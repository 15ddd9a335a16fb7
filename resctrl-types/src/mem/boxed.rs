// SPDX-License-Identifier: GPL-2.0-only
//! A box whose allocation can fail.

use alloc::alloc::{Layout, alloc};
use alloc::boxed::Box;
use core::fmt;
use core::ops::{Deref, DerefMut};

use crate::errno::{Errno, Result};

/// A value in memory of its own, as `kmalloc` gives it. It never moves while the box lives.
pub struct KBox<T>(Box<T>);

impl<T> KBox<T> {
    /// Moves `value` into memory of its own.
    ///
    /// # Errors
    /// `ENOMEM`; `value` is dropped.
    pub fn new(value: T) -> Result<Self> {
        let layout = Layout::new::<T>();
        if layout.size() == 0 {
            // A zero-sized value needs no memory: `Box` does not allocate for it and cannot fail.
            // SAFETY: a dangling, aligned pointer is a valid box of a zero-sized type.
            let boxed = unsafe { Box::from_raw(core::ptr::NonNull::<T>::dangling().as_ptr()) };
            core::mem::forget(value);
            return Ok(KBox(boxed));
        }
        if super::fails() {
            return Err(Errno::ENOMEM);
        }
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc(layout) }.cast::<T>();
        if memory.is_null() {
            return Err(Errno::ENOMEM);
        }
        // SAFETY: `memory` is fresh, aligned and large enough for a `T`.
        unsafe { memory.write(value) };
        // SAFETY: `memory` came from the global allocator with the layout of `T` and holds a `T`.
        Ok(KBox(unsafe { Box::from_raw(memory) }))
    }

    /// Takes the value out; frees the memory.
    #[must_use]
    pub fn into_inner(self) -> T {
        *self.0
    }
}

impl<T> Deref for KBox<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for KBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for KBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_holds_its_value_and_gives_it_back() {
        let mut boxed = KBox::new([7_u64; 9]).unwrap();
        boxed[3] = 1;
        assert_eq!(boxed.into_inner()[3], 1);
        assert_eq!(KBox::new(()).unwrap().into_inner(), ());
    }

    #[test]
    fn a_box_is_shown_as_what_it_holds() {
        assert_eq!(alloc::format!("{:?}", KBox::new(7).unwrap()), "7");
    }
}
