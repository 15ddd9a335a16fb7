// SPDX-License-Identifier: GPL-2.0-only
//! A vector whose growth can fail.

use alloc::vec::Vec;
use core::fmt;
use core::ops::{Deref, DerefMut};

use crate::errno::{Errno, Result};

/// A vector whose growth can fail. Derefs to a slice.
pub struct KVec<T>(Vec<T>);

impl<T> KVec<T> {
    /// An empty vector; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        KVec(Vec::new())
    }

    /// An empty vector with room for `capacity` elements.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn with_capacity(capacity: usize) -> Result<Self> {
        let mut vec = Self::new();
        if capacity > 0 && super::fails() {
            return Err(Errno::ENOMEM);
        }
        vec.0.try_reserve_exact(capacity).map_err(|_| Errno::ENOMEM)?;
        Ok(vec)
    }

    /// `len` elements, each made by `make` from its index.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn from_fn(len: usize, mut make: impl FnMut(usize) -> T) -> Result<Self> {
        let mut vec = Self::with_capacity(len)?;
        for index in 0..len {
            vec.push(make(index))?;
        }
        Ok(vec)
    }

    /// A copy of a slice.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn from_slice(slice: &[T]) -> Result<Self>
    where
        T: Copy,
    {
        let mut vec = Self::with_capacity(slice.len())?;
        slice.iter().try_for_each(|value| vec.push(*value))?;
        Ok(vec)
    }

    /// Makes room for `additional` more elements, so that as many pushes cannot fail.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn reserve(&mut self, additional: usize) -> Result<()> {
        if self.0.capacity().saturating_sub(self.0.len()) < additional && super::fails() {
            return Err(Errno::ENOMEM);
        }
        self.0.try_reserve(additional).map_err(|_| Errno::ENOMEM)
    }

    /// Whether `additional` more elements fit without an allocation.
    #[must_use]
    pub fn has_room(&self, additional: usize) -> bool {
        self.0.capacity().saturating_sub(self.0.len()) >= additional
    }

    /// Moves every element to the memory of `spare`, an empty vector with room for them, and leaves it the old memory.
    ///
    /// # Panics
    /// If `spare` has elements, or not enough room.
    pub fn move_to(&mut self, spare: &mut Self) {
        assert!(spare.is_empty() && spare.has_room(self.len()), "memory for other elements, or too few");
        let len = self.len();
        // SAFETY: both are valid for `len` elements, one initialised, the other with so much capacity, and are two vectors.
        unsafe { core::ptr::copy_nonoverlapping(self.0.as_ptr(), spare.0.as_mut_ptr(), len) };
        // SAFETY: the elements are in the other vector now, which is told in the next line.
        unsafe { self.0.set_len(0) };
        // SAFETY: initialised above.
        unsafe { spare.0.set_len(len) };
        core::mem::swap(self, spare);
    }

    /// Appends `value`.
    ///
    /// # Errors
    /// `ENOMEM`; `value` is dropped.
    pub fn push(&mut self, value: T) -> Result<()> {
        self.reserve(1)?;
        let len = self.0.len();
        self.0.spare_capacity_mut().first_mut().ok_or(Errno::ENOMEM)?.write(value);
        // SAFETY: the line above has found room for one more element, and initialised it.
        unsafe { self.0.set_len(len.wrapping_add(1)) };
        Ok(())
    }

    /// Inserts `value` before the element at `index`.
    ///
    /// # Errors
    /// `ENOMEM`; `EINVAL` where `index > len`. `value` is dropped.
    pub fn insert(&mut self, index: usize, value: T) -> Result<()> {
        if index > self.0.len() {
            return Err(Errno::EINVAL);
        }
        self.push(value)?;
        if let Some(moved @ [_, ..]) = self.0.get_mut(index..) {
            moved.rotate_right(1);
        }
        Ok(())
    }

    /// Removes and returns the last element.
    pub fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    /// Removes and returns the element at `index`; later ones move down.
    ///
    /// # Panics
    /// If `index >= len`.
    pub fn remove(&mut self, index: usize) -> T {
        self.0.remove(index)
    }

    /// Keeps the elements for which `keep` returns true.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.0.retain(keep);
    }

    /// Drops the elements from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Drops every element; keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl<T> Default for KVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for KVec<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for KVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T> IntoIterator for KVec<T> {
    type Item = T;
    type IntoIter = alloc::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a KVec<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut KVec<T> {
    type Item = &'a mut T;
    type IntoIter = core::slice::IterMut<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter_mut()
    }
}

impl<T: fmt::Debug> fmt::Debug for KVec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "sim")]
    #[test]
    fn memory_that_is_not_needed_cannot_run_out() {
        use crate::sim::fault::fail_allocation;
        let with = |capacity| fail_allocation(0, || KVec::<u8>::with_capacity(capacity).is_ok());
        assert_eq!([with(0), with(1), with(2)], [(true, false), (false, true), (false, true)]);
        let mut vec = KVec::<u8>::with_capacity(4).unwrap();
        let room = vec.0.capacity();
        vec.push(1).unwrap();
        let mut reserve = |more| fail_allocation(0, || vec.reserve(more).is_ok());
        assert_eq!([reserve(0), reserve(room - 1), reserve(room)], [(true, false), (true, false), (false, true)]);
    }

    #[test]
    fn insert_keeps_the_order_of_the_others() {
        let mut vec = KVec::from_slice(&[1, 2, 4]).unwrap();
        vec.insert(2, 3).unwrap();
        vec.insert(0, 0).unwrap();
        vec.push(5).unwrap();
        assert_eq!(&vec[..], &[0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn elements_move_to_larger_memory() {
        let mut vec = KVec::with_capacity(1).unwrap();
        vec.push(KVec::from_slice(&[7]).unwrap()).unwrap();
        assert!(!vec.has_room(1));
        let mut spare = KVec::with_capacity(4).unwrap();
        vec.move_to(&mut spare);
        assert!(vec.has_room(3) && spare.is_empty() && !spare.has_room(2));
        assert_eq!((vec.len(), &vec[0][..]), (1, &[7][..]));
    }

    #[test]
    fn nothing_is_inserted_beyond_the_end() {
        let mut vec = KVec::from_slice(&[1]).unwrap();
        assert_eq!(vec.insert(2, 3), Err(Errno::EINVAL));
        assert_eq!(&vec[..], &[1]);
    }

    #[test]
    fn a_capacity_nobody_has_is_enomem() {
        assert_eq!(KVec::<u64>::with_capacity(usize::MAX / 16).unwrap_err(), Errno::ENOMEM);
    }

    #[test]
    fn what_a_vector_has_room_for_needs_no_more_memory() {
        let mut vec = KVec::with_capacity(3).unwrap();
        vec.push(1).unwrap();
        assert!(vec.has_room(0) && vec.has_room(2) && !vec.has_room(3));
        let place = vec.as_ptr();
        vec.reserve(2).unwrap();
        vec.insert(0, 0).unwrap();
        vec.insert(2, 2).unwrap();
        assert_eq!((&vec[..], vec.as_ptr()), (&[0, 1, 2][..], place));
    }

    #[test]
    fn elements_are_taken_out_of_any_place() {
        let mut vec = KVec::from_fn(6, |index| index * 10).unwrap();
        assert_eq!((vec.pop(), vec.remove(1)), (Some(50), 10));
        vec.retain(|&value| value != 30);
        assert_eq!(&vec[..], &[0, 20, 40]);
        vec.truncate(2);
        vec.iter_mut().for_each(|value| *value += 1);
        for value in &mut vec {
            *value += 1;
        }
        assert_eq!(alloc::format!("{vec:?}"), "[2, 22]");
        assert!((&vec).into_iter().eq(&[2, 22]));
        assert!(vec.into_iter().eq([2, 22]));
        let mut empty = KVec::from_slice(&[1]).unwrap();
        empty.clear();
        assert_eq!((empty.pop(), empty.len()), (None, 0));
    }

    #[test]
    #[should_panic = "memory for other elements, or too few"]
    fn nothing_moves_to_memory_that_is_too_small() {
        KVec::from_slice(&[1, 2]).unwrap().move_to(&mut KVec::with_capacity(1).unwrap());
    }
}
