// SPDX-License-Identifier: GPL-2.0-only
//! Which CPU executes.
//!
//! QEMU tells callbacks, but where one thread executes all CPUs in turn (`-accel tcg,thread=single`, which `-icount` needs) it
//! is wrong: the number is part of a translation, and is that of the CPU for which the block was translated, whoever
//! executes it now. QEMU's own pointer to the CPU, `current_cpu`, is right then. What it points to is not looked at: the callback
//! that begins each CPU tells which pointer is whose.

use std::cell::Cell;
use std::ffi::{c_uint, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// QEMU's pointer of each CPU, as a number; 0 where it is not known.
static POINTERS: OnceLock<Vec<AtomicUsize>> = OnceLock::new();

/// Whether one thread executes several CPUs.
static SHARED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The CPU that this thread executes, the first one if there are several.
    static EXECUTES: Cell<Option<c_uint>> = const { Cell::new(None) };
    /// Where this thread's `current_cpu` is: `Some(null)` where this QEMU does not show it.
    static PLACE: Cell<Option<*const *const c_void>> = const { Cell::new(None) };
}

/// The CPU that executes; a callback says what it was told.
pub(crate) fn cpu(told: c_uint) -> usize {
    let told = told as usize;
    POINTERS.get().and_then(|pointers| find(pointers, current(), told)).unwrap_or(told)
}

/// The CPU that executes, for callbacks that come with nearly every instruction: where each CPU has a thread of its own, it is who
/// was told, but for the few instructions for which QEMU stops all others.
#[inline]
pub(crate) fn cpu_of_access(told: c_uint) -> usize {
    if SHARED.load(Ordering::Relaxed) { cpu(told) } else { told as usize }
}

/// Notes who is who, in the callback that begins a CPU, of so many.
pub(crate) fn begin(cpu: c_uint, cpus: usize) {
    let pointers = POINTERS.get_or_init(|| (0..cpus).map(|_| AtomicUsize::new(0)).collect());
    if let Some(pointer) = pointers.get(cpu as usize) {
        pointer.store(current(), Ordering::Relaxed);
    }
    if EXECUTES.get().is_some_and(|first| first != cpu) {
        SHARED.store(true, Ordering::Relaxed);
    } else {
        EXECUTES.set(Some(cpu));
    }
}

fn find(pointers: &[AtomicUsize], current: usize, told: usize) -> Option<usize> {
    let is = |pointer: &AtomicUsize| pointer.load(Ordering::Relaxed) == current;
    if current == 0 {
        return None;
    }
    // Nearly always it is right.
    if pointers.get(told).is_some_and(is) { Some(told) } else { pointers.iter().position(is) }
}

/// This thread's `current_cpu` as a number, 0 where there is none.
fn current() -> usize {
    let place = PLACE.with(|place| {
        place.get().unwrap_or_else(|| {
            // SAFETY: the name is a terminated string; RTLD_DEFAULT is always a valid handle.
            let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"current_cpu".as_ptr()) };
            let found = found.cast_const().cast();
            place.set(Some(found));
            found
        })
    });
    if place.is_null() {
        return 0;
    }
    // SAFETY: it is QEMU's `__thread CPUState *current_cpu`, of which the dynamic linker has given the address of this thread's.
    unsafe { place.read() }.addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_executes_is_found_whatever_was_told() {
        let pointers = [0x1000, 0x2000, 0x3000].map(AtomicUsize::new);
        assert_eq!(find(&pointers, 0x2000, 1), Some(1));
        assert_eq!(find(&pointers, 0x3000, 1), Some(2));
        assert_eq!(find(&pointers, 0x4000, 1), None);
        assert_eq!(find(&pointers, 0, 1), None, "nothing is known");
    }

    #[test]
    fn without_qemu_it_is_what_was_told() {
        assert_eq!(cpu(5), 5);
    }
}
