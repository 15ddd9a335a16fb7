// SPDX-License-Identifier: GPL-2.0-only
//! The mirror of `shim_arm64.h`.

use core::ffi::{c_char, c_int, c_void};

use crate::ffi::opaque;

opaque! {
    /// `struct shim_msc`: the registers of an MSC.
    MscPage;
}

/// `enum shim_interrupt`.
pub(super) const INTERRUPT_EDGE: u32 = 1;
/// See [`INTERRUPT_EDGE`].
pub(super) const INTERRUPT_PRIVATE: u32 = 2;

// SAFETY: these are the declarations of `shim_arm64.h`.
unsafe extern "C" {
    pub(super) safe fn shim_expert_parameter() -> bool;

    pub(super) fn shim_acpi_table(signature: *const c_char, length: *mut u32) -> *const c_void;
    pub(super) fn shim_acpi_table_put(table: *const c_void);
    pub(super) safe fn shim_cpu_of_processor(uid: u32) -> c_int;
    pub(super) safe fn shim_node_of_proximity(domain: u64) -> c_int;

    pub(super) fn shim_msc_map(address: u64, size: u32) -> *mut MscPage;
    pub(super) fn shim_msc_unmap(page: *mut MscPage);
    pub(super) fn shim_msc_read(page: *mut MscPage, offset: u32) -> u32;
    pub(super) fn shim_msc_write(page: *mut MscPage, offset: u32, value: u32);

    pub(super) safe fn shim_soc_id() -> i32;
    pub(super) fn shim_msc_read64(page: *mut MscPage, offset: u32) -> u64;
    pub(super) fn shim_msc_write64(page: *mut MscPage, offset: u32, value: u64);

    pub(super) safe fn shim_has_streaming() -> bool;
    pub(super) safe fn shim_has_guests() -> bool;
    pub(super) safe fn shim_wait_us(us: u32);

    pub(super) safe fn shim_error_interrupt_watch(gsi: u32, kind: u32) -> c_int;
}
