// SPDX-License-Identifier: GPL-2.0-only
//! What users ask of the devices of pseudo-locked regions, and of the files beside them in debugfs. All of it is asked
//! between `rust_start` and `rust_stop`.

use core::ffi::{c_char, c_int};
use core::slice;

use resctrl_fs::{MapRequest, Resctrl};
use resctrl_types::CpuMask;

use super::ffi;
use super::region::KernelMemory;
use crate::convert::to_ret;
use crate::instance::instance;

#[unsafe(no_mangle)]
extern "C" fn rust_region_open(minor: u32) -> c_int {
    to_ret(instance().open_region(minor))
}

#[unsafe(no_mangle)]
extern "C" fn rust_region_close(minor: u32) {
    instance().close_region(minor);
}

/// # Safety
/// `area` is the mapping that is being made, of a device that is open.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_region_map(minor: u32, offset: u64, len: u64, flags: u32, area: *mut ffi::Area) -> c_int {
    let fits = |cpus: &CpuMask| {
        // SAFETY: there are words for all bits.
        unsafe { ffi::shim_affinity_within(cpus.words().as_ptr(), cpus.nr_cpu_ids()) }
    };
    let mut map = |memory: &KernelMemory| {
        // SAFETY: by the contract; the file system lets nobody map more than the memory.
        unsafe { memory.map(area) }
    };
    to_ret(instance().map_region(
        minor,
        MapRequest { offset, len, shared: flags & ffi::MAPPING_SHARED != 0 },
        &fits,
        &mut map,
    ))
}

/// # Safety
/// `text` points to `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_region_measure(minor: u32, text: *const c_char, len: usize) -> c_int {
    // SAFETY: by the contract.
    let text = unsafe { slice::from_raw_parts(text.cast(), len) };
    to_ret(Resctrl::measure(instance(), minor, text))
}
