// SPDX-License-Identifier: GPL-2.0-only
//! Loom's atomics, which can be weaker than they are asked to be ([`place`]), and be where code is interrupted ([`interrupt`]).

use std::env;
use std::ops::BitOr;
pub(crate) use std::sync::atomic::Ordering;
use std::sync::{LazyLock, Mutex, PoisonError};

use loom::thread::{self, ThreadId};

use crate::{interrupt, place};

/// What a read that is part of a change orders.
const fn reading(order: Ordering) -> Ordering {
    match order {
        Ordering::Relaxed | Ordering::Release => Ordering::Relaxed,
        _ => Ordering::Acquire,
    }
}

/// What the write orders.
const fn writing(order: Ordering) -> Ordering {
    match order {
        Ordering::Relaxed | Ordering::Acquire => Ordering::Relaxed,
        _ => Ordering::Release,
    }
}

/// Who has read an atomic, in long runs.
///
/// Of all who have used an atomic Loom remembers the last one. Where one reads, another reads and then writes, it does not try what
/// happens if the first one reads later: what it remembers is the writer's own reading. So each reader has a place of its own here,
/// where writers meet it. That makes many more executions; short runs do without, and are known to notice what matters.
#[derive(Debug, Default)]
struct Readers(Option<Places>);

#[derive(Debug, Default)]
struct Places {
    readers: Mutex<Vec<ThreadId>>,
    /// Of a model's threads.
    places: [loom::sync::atomic::AtomicBool; 3],
}

impl Readers {
    fn new() -> Self {
        static ARE_WANTED: LazyLock<bool> = LazyLock::new(|| env::var_os("MODEL_LONG").is_some());
        Readers(ARE_WANTED.then(Places::default))
    }

    /// This thread is about to read.
    fn read(&self) {
        let Some(Places { readers, places }) = &self.0 else { return };
        let this = thread::current().id();
        let place = {
            let mut readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
            readers.iter().position(|&reader| reader == this).unwrap_or_else(|| {
                readers.push(this);
                readers.len() - 1
            })
        };
        meet(&places[place]);
    }

    /// This thread is about to write.
    fn write(&self) {
        let Some(Places { readers, places }) = &self.0 else { return };
        let this = thread::current().id();
        let readers = readers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        readers.iter().zip(places).filter(|&(&reader, _)| reader != this).for_each(|(_, place)| meet(place));
    }
}

fn meet(place: &loom::sync::atomic::AtomicBool) {
    place.swap(true, Ordering::Relaxed);
}

macro_rules! atomics {
    ($($name:ident($value:ty);)*) => { $(
        #[derive(Debug)]
        pub(crate) struct $name {
            atomic: loom::sync::atomic::$name,
            readers: Readers,
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new(<$value>::default())
            }
        }

        #[expect(dead_code, reason = "not every width is used in every way")]
        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                $name { atomic: loom::sync::atomic::$name::new(value), readers: Readers::new() }
            }

            #[track_caller]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.read(place::order(order))
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.writable().store(value, place::order(order));
            }

            #[track_caller]
            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                self.change(order, |_| value, |atomic, order| atomic.swap(value, order))
            }

            #[track_caller]
            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let (success, failure) = (place::order(success), place::order(failure));
                if place::is_torn() {
                    return self.torn(success, |old| (old == current).then_some(new));
                }
                self.writable().compare_exchange(current, new, success, failure)
            }

            #[track_caller]
            pub(crate) fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                change: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let (success, failure) = (place::order(success), place::order(failure));
                if place::is_torn() {
                    return self.torn(success, change);
                }
                self.writable().fetch_update(success, failure, change)
            }

            /// Reads and writes, as `whole` does unless it is torn.
            #[track_caller]
            fn change(
                &self,
                order: Ordering,
                change: impl FnOnce($value) -> $value,
                whole: impl FnOnce(&loom::sync::atomic::$name, Ordering) -> $value,
            ) -> $value {
                let order = place::order(order);
                if place::is_torn() {
                    let (Ok(old) | Err(old)) = self.torn(order, |old| Some(change(old)));
                    return old;
                }
                whole(self.writable(), order)
            }

            /// Reads, and then writes if there is something to write.
            fn torn(
                &self,
                order: Ordering,
                change: impl FnOnce($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let old = self.read(reading(order));
                self.writable().store(change(old).ok_or(old)?, writing(order));
                Ok(old)
            }

            fn read(&self, order: Ordering) -> $value {
                interrupt::point();
                self.readers.read();
                self.atomic.load(order)
            }

            /// For whoever is about to write.
            fn writable(&self) -> &loom::sync::atomic::$name {
                interrupt::point();
                self.readers.write();
                &self.atomic
            }
        }
    )* };
}

atomics! {
    AtomicBool(bool);
    AtomicU8(u8);
    AtomicU32(u32);
    AtomicU64(u64);
}

macro_rules! changes {
    ($($name:ident($value:ty): $($method:ident is $change:path),*;)*) => { $(
        impl $name { $(
            #[track_caller]
            pub(crate) fn $method(&self, value: $value, order: Ordering) -> $value {
                self.change(order, |old| $change(old, value), |atomic, order| atomic.$method(value, order))
            }
        )* }
    )* };
}

changes! {
    AtomicU32(u32): fetch_add is u32::wrapping_add, fetch_sub is u32::wrapping_sub, fetch_or is u32::bitor;
    AtomicU64(u64): fetch_add is u64::wrapping_add, fetch_or is u64::bitor;
}

/// A fence, or none.
#[track_caller]
pub(crate) fn fence(order: Ordering) {
    match place::order(order) {
        Ordering::Relaxed => {}
        order => loom::sync::atomic::fence(order),
    }
}
