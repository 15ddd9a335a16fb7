// SPDX-License-Identifier: GPL-2.0-only
//! Which mutant is there, of all that were woven into a program: the number in the environment variable RESCTRL_MUTANT; none without
//! it. With `record`, none is, and which ones the program comes by is noted: a byte for each in the file RESCTRL_MUTANT_FILE.
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

static ACTIVE: AtomicU32 = AtomicU32::new(UNKNOWN);
static REACHED: OnceLock<&'static [AtomicU8]> = OnceLock::new();

/// Which of `count` mutants of one place there is, the first of which has the number `first`: from 1 on; 0 for none of them.
#[inline]
pub fn which(first: u32, count: u32) -> u32 {
    let active = ACTIVE.load(Ordering::Relaxed);
    let nth = active.wrapping_sub(first);
    if nth < count {
        nth + 1
    } else if active < RECORDING {
        0
    } else {
        look(first, count, active)
    }
}

#[cold]
fn look(first: u32, count: u32, active: u32) -> u32 {
    if active == UNKNOWN {
        let chosen = chosen(env::var("RESCTRL_MUTANT").ok().as_deref());
        if chosen == RECORDING {
            REACHED.get_or_init(|| map(&env::var("RESCTRL_MUTANT_FILE").expect("RESCTRL_MUTANT_FILE")));
        }
        restrain();
        ACTIVE.store(chosen, Ordering::Relaxed);
        return which(first, count);
    }
    for mutant in first..first + count {
        REACHED.get().expect("the file comes first")[mutant as usize].store(1, Ordering::Relaxed);
    }
    0
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
