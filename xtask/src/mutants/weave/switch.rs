// SPDX-License-Identifier: GPL-2.0-only
//! Which mutant is there, of all that were woven into a program: the number in the environment variable RESCTRL_MUTANT; none without
//! it. With `record`, none is, and which ones the program comes by is noted: a byte for each in the file RESCTRL_MUTANT_FILE, [REACHED]
//! or, if the value there would be another with the mutant, [DIFFERS].
//!
//! This is a crate of its own in the copy of the checkout that is woven, and a module of the rig's tests.

use std::env;
use std::ffi::{c_int, c_long, c_ulong, c_void};
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::ptr::null_mut;
use std::slice;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// Nobody has looked yet.
const UNKNOWN: u32 = u32::MAX;
/// None, and those that are passed are noted.
const RECORDING: u32 = u32::MAX - 1;
/// None.
const NONE: u32 = u32::MAX - 2;

/// The program comes by it.
const REACHED: u8 = 1;
/// It makes a difference, or may make one.
const DIFFERS: u8 = 3;

static ACTIVE: AtomicU32 = AtomicU32::new(UNKNOWN);
static TABLE: OnceLock<&'static [AtomicU8]> = OnceLock::new();

/// Which of `count` mutants of one place there is, the first of which has the number `first`: from 1 on; 0 for none of them.
#[inline]
pub fn which(first: u32, count: u32) -> u32 {
    choose(first, count, DIFFERS)
}

/// The same where it is looked into whether each makes a difference.
#[inline]
pub fn watched(first: u32, count: u32) -> u32 {
    choose(first, count, REACHED)
}

/// Whether it is to be looked into.
#[inline]
pub fn recording() -> bool {
    ACTIVE.load(Ordering::Relaxed) == RECORDING
}

/// A mutant makes a difference, if `does` says so.
pub fn differs(mutant: u32, does: bool) {
    if does && recording() {
        mark(mutant, DIFFERS);
    }
}

/// `value`, where a mutant makes a difference.
pub fn met(mutant: u32, value: bool) -> bool {
    differs(mutant, true);
    value
}

/// `value`, which a mutant replaces with `new`.
pub fn replaced(mutant: u32, new: bool, value: bool) -> bool {
    differs(mutant, value != new);
    value
}

#[inline]
fn choose(first: u32, count: u32, what: u8) -> u32 {
    let active = ACTIVE.load(Ordering::Relaxed);
    let nth = active.wrapping_sub(first);
    if nth < count {
        nth + 1
    } else if active < RECORDING {
        0
    } else {
        look(first, count, what, active)
    }
}

#[cold]
fn look(first: u32, count: u32, what: u8, active: u32) -> u32 {
    if active == UNKNOWN {
        let chosen = chosen(env::var("RESCTRL_MUTANT").ok().as_deref());
        if chosen == RECORDING {
            TABLE.get_or_init(|| map(&env::var("RESCTRL_MUTANT_FILE").expect("RESCTRL_MUTANT_FILE")));
        }
        restrain();
        ACTIVE.store(chosen, Ordering::Relaxed);
        return choose(first, count, what);
    }
    (first..first + count).for_each(|mutant| mark(mutant, what));
    0
}

fn mark(mutant: u32, what: u8) {
    TABLE.get().expect("the file comes first")[mutant as usize].fetch_or(what, Ordering::Relaxed);
}

fn chosen(variable: Option<&str>) -> u32 {
    match variable {
        None => NONE,
        Some("record") => RECORDING,
        Some(number) => number.parse().expect("RESCTRL_MUTANT is a number"),
    }
}

#[repr(C)]
struct Limit {
    soft: c_ulong,
    hard: c_ulong,
}

// SAFETY: Declared as the C library of every Linux of 64 bits has them: mmap(2), setrlimit(2), prctl(2).
unsafe extern "C" {
    fn mmap(
        at: *mut c_void,
        length: usize,
        protection: c_int,
        flags: c_int,
        file: c_int,
        offset: c_long,
    ) -> *mut c_void;
    fn setrlimit(resource: c_int, limit: *const Limit) -> c_int;
    fn prctl(option: c_int, argument: c_ulong) -> c_int;
}

/// The bytes of a file: what is written there stays, however the program ends.
fn map(path: &str) -> &'static [AtomicU8] {
    const READ_AND_WRITE: c_int = 3;
    const SHARED: c_int = 1;
    let file = OpenOptions::new().read(true).write(true).open(path).expect("RESCTRL_MUTANT_FILE opens");
    let length = file.metadata().map_or(0, |file| file.len()) as usize;
    // SAFETY: A new mapping, of all of a file that is open.
    let at = unsafe { mmap(null_mut(), length, READ_AND_WRITE, SHARED, file.as_raw_fd(), 0) };
    assert!(at.addr() != usize::MAX, "RESCTRL_MUTANT_FILE is mapped");
    // SAFETY: The mapping is that long, nobody unmaps it, and atomics may change under everybody's hands.
    unsafe { slice::from_raw_parts(at.cast(), length) }
}

/// A mutant may eat memory without end; it ends with who started it.
fn restrain() {
    const DIES_WITH_PARENT: c_int = 1;
    const KILL: c_ulong = 9;
    const CORE: c_int = 4;
    const MEMORY: c_int = 9;
    let limit = |resource, most| {
        let limit = Limit { soft: most, hard: most };
        // SAFETY: `limit` is there while it is read.
        unsafe { setrlimit(resource, &raw const limit) };
    };
    limit(CORE, 0);
    limit(MEMORY, 6 << 30);
    // SAFETY: This option takes a signal's number.
    unsafe { prctl(DIES_WITH_PARENT, KILL) };
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test, since what it sets is the whole program's.
    #[test]
    fn one_is_there_or_what_is_passed_is_noted() {
        assert_eq!((chosen(None), chosen(Some("record")), chosen(Some("7"))), (NONE, RECORDING, 7));
        ACTIVE.store(6, Ordering::Relaxed);
        assert_eq!((which(5, 2), watched(6, 1), which(7, 9), which(0, 6)), (2, 1, 0, 0));
        assert!(!recording() && met(9, true) && !replaced(9, true, false));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [0; 10]).unwrap();
        TABLE.set(map(file.path().to_str().unwrap())).unwrap();
        ACTIVE.store(RECORDING, Ordering::Relaxed);
        assert_eq!((which(1, 2), watched(5, 3)), (0, 0));
        differs(5, false);
        differs(6, true);
        assert!(!met(8, false) && replaced(7, true, true) && replaced(9, false, true));
        assert_eq!(std::fs::read(file.path()).unwrap(), [0, 3, 3, 0, 0, 1, 3, 1, 3, 3]);
    }
}
