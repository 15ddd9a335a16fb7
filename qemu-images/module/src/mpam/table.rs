// SPDX-License-Identifier: GPL-2.0-only
//! The firmware's tables.

use core::ffi::{CStr, c_void};
use core::ptr::NonNull;
use core::slice;

use super::ffi;

/// A table of ACPI, for as long as it is looked at.
///
/// # Invariants
/// `start` is a table that the kernel has mapped, `length` bytes of it, until this value is dropped.
pub(super) struct Table {
    start: NonNull<c_void>,
    length: u32,
}

impl Table {
    /// The first table with a signature of four letters.
    pub(super) fn find(signature: &CStr) -> Option<Table> {
        let mut length = 0;
        // SAFETY: the signature is a C string, `length` is writable.
        let start = unsafe { ffi::shim_acpi_table(signature.as_ptr(), &raw mut length) };
        // INVARIANT: fresh from the kernel, which maps as much as the header says.
        NonNull::new(start.cast_mut()).map(|start| Table { start, length })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: by the invariant; the kernel does not write to tables.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast::<u8>().cast_const(), self.length as usize) }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: by the invariant; no reference to it is left.
        unsafe { ffi::shim_acpi_table_put(self.start.as_ptr()) };
    }
}
