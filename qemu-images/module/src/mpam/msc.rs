// SPDX-License-Identifier: GPL-2.0-only
//! The pages of MSCs.

use core::ptr::NonNull;

use resctrl_mpam::Msc;
use resctrl_mpam::acpi::MscNode;
use resctrl_types::platform::LogLevel;
use resctrl_types::{Errno, Here, Platform, Result};

use super::ffi;
use crate::platform::KernelPlatform;

/// The end of the last register that is used, [`Msc`].
const SIZE: u32 = 0x3000;

/// The registers of one MSC.
///
/// # Invariants
/// `page` is the mapping of at least [`SIZE`] bytes of device memory until this value is dropped.
pub(crate) struct KernelMsc {
    page: NonNull<ffi::MscPage>,
}

// SAFETY: a mapping is the same for all threads.
unsafe impl Send for KernelMsc {}
// SAFETY: registers are read and written in one access each; who may do so when is the driver's business.
unsafe impl Sync for KernelMsc {}

impl KernelMsc {
    /// Maps the page that the firmware describes.
    ///
    /// # Errors
    /// `EINVAL` for one that has no room for the registers, `ENOMEM` when the kernel cannot map it: also for an address
    /// that is not a device's.
    pub(super) fn map(node: &MscNode<'_>) -> Result<KernelMsc> {
        let refused = |why| KernelPlatform.log(LogLevel::Warn, format_args!("MSC {}: {why}", node.id));
        if node.size < SIZE || node.address.checked_add(node.size.into()).is_none() {
            refused("its page is too small for its registers");
            return Err(Errno::EINVAL);
        }
        // SAFETY: the address does not wrap; that an MSC is there the firmware says.
        let page = unsafe { ffi::shim_msc_map(node.address, node.size) };
        // INVARIANT: fresh from the kernel, of the size checked above.
        NonNull::new(page).map(|page| KernelMsc { page }).ok_or_else(|| {
            refused("its page cannot be mapped");
            Errno::ENOMEM
        })
    }
}

impl Msc for KernelMsc {
    fn read32(&self, _: Here<'_>, offset: u32) -> u32 {
        debug_assert!(offset <= SIZE - 4);
        // SAFETY: mapped by the invariant, and within it by the contract of the trait.
        unsafe { ffi::shim_msc_read(self.page.as_ptr(), offset) }
    }

    fn write32(&self, _: Here<'_>, offset: u32, value: u32) {
        debug_assert!(offset <= SIZE - 4);
        // SAFETY: mapped by the invariant, and within it by the contract of the trait. An MSC writes to no memory.
        unsafe { ffi::shim_msc_write(self.page.as_ptr(), offset, value) };
    }
}

impl Drop for KernelMsc {
    fn drop(&mut self) {
        // SAFETY: by the invariant; nobody uses it any more.
        unsafe { ffi::shim_msc_unmap(self.page.as_ptr()) };
    }
}
