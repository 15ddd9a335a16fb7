// SPDX-License-Identifier: GPL-2.0-only
//! Every function and structure that crosses the border to C: the mirror of `shim.h`. What one architecture has alone is
//! in `x86/ffi.rs` and `mpam/ffi.rs`.
//!
//! `xtask/tests/border` compares these files with the headers: names, arguments, fields and numbers have to be the same.

use core::ffi::{c_char, c_int, c_ulong, c_void};

/// A structure of C's that Rust holds pointers to and never looks into.
macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[repr(C)]
        pub(crate) struct $name {
            bytes: [u8; 0],
            pinned: core::marker::PhantomData<(*mut u8, core::marker::PhantomPinned)>,
        }
    )*};
}
pub(crate) use opaque;

opaque! {
    /// `struct shim_mutex`.
    Mutex;
    /// `struct shim_rwsem`.
    RwSem;
    /// `struct shim_work`.
    Work;
    /// `struct task_struct`.
    TaskStruct;
}

/// `enum shim_log_level`.
pub(crate) const LOG_WARN: u32 = 0;
/// See [`LOG_WARN`].
pub(crate) const LOG_INFO: u32 = 1;

/// `SHIM_LOCK_CLASSES`.
pub(crate) const LOCK_CLASSES: u32 = 4;

/// `SHIM_OPTIONS_SIZE`.
pub(crate) const OPTIONS_SIZE: usize = 32;

/// `enum shim_set`.
pub(crate) const SET_MODE: u32 = 1;
/// See [`SET_MODE`].
pub(crate) const SET_UID: u32 = 2;
/// See [`SET_MODE`].
pub(crate) const SET_GID: u32 = 4;
/// See [`SET_MODE`].
pub(crate) const SET_ATIME: u32 = 8;
/// See [`SET_MODE`].
pub(crate) const SET_MTIME: u32 = 16;

/// `struct shim_cache`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Cache {
    pub(crate) id: u32,
    pub(crate) size: u32,
}

/// `struct shim_attr`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Attr {
    pub(crate) version: u64,
    pub(crate) id: u64,
    pub(crate) atime_sec: i64,
    pub(crate) mtime_sec: i64,
    pub(crate) ctime_sec: i64,
    pub(crate) atime_nsec: u32,
    pub(crate) mtime_nsec: u32,
    pub(crate) ctime_nsec: u32,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) nlink: u32,
    pub(crate) is_dir: u32,
}

/// `enum shim_open`.
pub(crate) const OPEN_READ: u32 = 1;
/// See [`OPEN_READ`].
pub(crate) const OPEN_WRITE: u32 = 2;

/// `enum shim_xattr`.
pub(crate) const XATTR_CREATE: c_int = 1;
/// See [`XATTR_CREATE`].
pub(crate) const XATTR_REPLACE: c_int = 2;

/// `SHIM_NAME_MAX`.
pub(crate) const NAME_MAX: usize = 4095;

/// `SHIM_ENTRIES_SIZE`.
pub(crate) const ENTRIES_SIZE: usize = 8192;

/// `struct shim_entry`. The name follows it.
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) id: u64,
    pub(crate) len: u32,
    pub(crate) is_dir: u32,
}

/// `shim_work_fn`.
///
/// # Safety
///
/// `target` is what the work was queued with.
pub(crate) type WorkFn = unsafe extern "C" fn(target: *const c_void, bound_cpu: c_int);
/// What [`shim_each_task`] and [`shim_with_task`] call. False ends the walk.
///
/// # Safety
///
/// The task stays for as long as the call, and `closure` is what the walk was called with.
pub(crate) type TaskFn = unsafe extern "C" fn(task: *mut TaskStruct, closure: *mut c_void) -> bool;

// SAFETY: these are the declarations of `shim.h`.
unsafe extern "C" {
    // shim.c
    pub(crate) fn shim_realloc(old: *mut c_void, size: usize, align: usize) -> *mut c_void;
    pub(crate) fn shim_free(memory: *const c_void);
    pub(crate) fn shim_log(level: u32, text: *const c_char, len: usize);
    pub(crate) fn shim_bug(text: *const c_char, len: usize) -> !;
    pub(crate) safe fn shim_sleep_ms(ms: u32);
    pub(crate) fn shim_now(sec: *mut i64, nsec: *mut u32);

    // shim_lock.c
    pub(crate) fn shim_mutex_new(lock_class: u32) -> *mut Mutex;
    pub(crate) fn shim_mutex_free(mutex: *mut Mutex);
    pub(crate) fn shim_mutex_lock(mutex: *mut Mutex);
    pub(crate) fn shim_mutex_trylock(mutex: *mut Mutex) -> bool;
    pub(crate) fn shim_mutex_unlock(mutex: *mut Mutex);
    pub(crate) fn shim_rwsem_new(lock_class: u32) -> *mut RwSem;
    pub(crate) fn shim_rwsem_free(rwsem: *mut RwSem);
    pub(crate) fn shim_rwsem_read(rwsem: *mut RwSem);
    pub(crate) fn shim_rwsem_read_end(rwsem: *mut RwSem);
    pub(crate) fn shim_rwsem_write(rwsem: *mut RwSem);
    pub(crate) fn shim_rwsem_write_end(rwsem: *mut RwSem);
    pub(crate) fn shim_cpus_read_lock();
    pub(crate) fn shim_cpus_read_unlock();
    pub(crate) safe fn shim_work_new() -> *mut Work;
    pub(crate) fn shim_work_free(work: *mut Work);
    pub(crate) fn shim_work_queue(
        work: *mut Work,
        run: WorkFn,
        target: *const c_void,
        cpu: u32,
        jiffies: c_ulong,
    ) -> bool;
    pub(crate) safe fn shim_jiffies(ms: u32) -> c_ulong;

    // shim_trace.c
    pub(crate) safe fn shim_trace_limbo(ctrl_hw_id: u32, mon_hw_id: u32, domain_id: i32, llc_occupancy_bytes: u64);

    // shim_cpu.c
    pub(crate) safe fn shim_nr_cpu_ids() -> u32;
    pub(crate) fn shim_cpu_is_isolated(cpu: u32) -> bool;
    pub(crate) fn shim_cpu_cache(cpu: u32, level: u32, cache: *mut Cache) -> bool;
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn shim_cpu_cache_line(cpu: u32, level: u32) -> u32;
    pub(crate) fn shim_cpu_node(cpu: u32) -> c_int;
    pub(crate) fn shim_cpu_package(cpu: u32) -> c_int;
    pub(crate) safe fn shim_nodes_per_package() -> u32;
    pub(crate) safe fn shim_max_packages() -> u32;
    pub(crate) safe fn shim_likely_here() -> u32;
    pub(crate) fn shim_call_on(cpu: u32, closure: *mut c_void) -> c_int;
    pub(crate) fn shim_interrupt(cpu: u32, closure: *mut c_void) -> c_int;
    pub(crate) fn shim_interrupt_mask(words: *const u64, bits: u32, closure: *mut c_void);

    // shim_task.c
    pub(crate) fn shim_each_task(places: u64, bits: u64, f: TaskFn, closure: *mut c_void);
    pub(crate) fn shim_relabel_tasks(places: u64, bits: u64, word: u64, running: *mut u64);
    pub(crate) fn shim_set_every_task(word: u64);
    pub(crate) fn shim_with_task(id: i32, f: TaskFn, closure: *mut c_void) -> bool;
    pub(crate) fn shim_task_id(task: *mut TaskStruct) -> i32;
    pub(crate) fn shim_task_may_move(task: *mut TaskStruct) -> bool;
    pub(crate) fn shim_task_word(task: *mut TaskStruct) -> u64;
    pub(crate) fn shim_relabel_task(task: *mut TaskStruct, word: u64) -> i32;
    pub(crate) safe fn shim_current_word() -> u64;
    pub(crate) fn shim_sched_start(resctrl: *mut c_void);
    pub(crate) safe fn shim_sched_watch() -> c_int;
    pub(crate) fn shim_sched_unwatch();
    pub(crate) fn shim_owner(uid: *mut u32, gid: *mut u32);
}
