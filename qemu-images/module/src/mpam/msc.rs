// SPDX-License-Identifier: GPL-2.0-only
//! The pages of MSCs, and the registers of the chip that they are on.

use core::ptr::NonNull;

use resctrl_mpam::Msc;
use resctrl_mpam::acpi::MscNode;
use resctrl_mpam::devices::t241::{self, ChipRegisters};
use resctrl_types::platform::LogLevel;
use resctrl_types::{Errno, Here, Platform, Result};

use super::ffi;
use crate::platform::KernelPlatform;

/// The end of the last register that is used, [`Msc`].
const SIZE: u32 = 0x3000;

/// Registers that the kernel has mapped.
///
/// # Invariants
/// `start` is the mapping of `size` bytes of device memory until this value is dropped.
struct Mapping {
    start: NonNull<ffi::MscPage>,
    size: u32,
}

// SAFETY: a mapping is the same for all threads.
unsafe impl Send for Mapping {}
// SAFETY: registers are read and written in one access each; who may do so when is the driver's business.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `None` where the kernel cannot map it: for want of memory, or for an address that is not a device's.
    ///
    /// # Safety
    /// Registers of a device are there, which nobody else uses.
    unsafe fn new(address: u64, size: u32) -> Option<Mapping> {
        // SAFETY: by the contract.
        let start = unsafe { ffi::shim_msc_map(address, size) };
        // INVARIANT: fresh from the kernel, of that size.
        NonNull::new(start).map(|start| Mapping { start, size })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: by the invariant; nobody uses it any more.
        unsafe { ffi::shim_msc_unmap(self.start.as_ptr()) };
    }
}

/// The registers of one MSC.
///
/// # Invariants
/// `page` has at least [`SIZE`] bytes.
pub(crate) struct KernelMsc {
    page: Mapping,
    chip: Option<KernelChip>,
}

/// The registers of the chip that an MSC is on.
///
/// # Invariants
/// The mapping has [`t241::SIZE`] bytes.
struct KernelChip(Mapping);

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
        let unmapped = |why| {
            move || {
                refused(why);
                Errno::ENOMEM
            }
        };
        // SAFETY: the address does not wrap; that an MSC is there the firmware says.
        let page =
            unsafe { Mapping::new(node.address, node.size) }.ok_or_else(unmapped("its page cannot be mapped"))?;
        let chip = if u32::try_from(ffi::shim_soc_id()) == Ok(t241::SOC_ID) {
            // SAFETY: on this chip they are there, and these registers nobody else has a use for.
            let chip = unsafe { Mapping::new(t241::registers_of(node.address), t241::SIZE) };
            // INVARIANT: of that size.
            Some(KernelChip(chip.ok_or_else(unmapped("the registers of its chip cannot be mapped"))?))
        } else {
            None
        };
        // INVARIANT: checked above.
        Ok(KernelMsc { page, chip })
    }
}

impl Msc for KernelMsc {
    fn read32(&self, _: Here<'_>, offset: u32) -> u32 {
        debug_assert!(offset <= self.page.size - 4);
        // SAFETY: mapped by the invariant, and within it by the contract of the trait.
        unsafe { ffi::shim_msc_read(self.page.start.as_ptr(), offset) }
    }

    fn write32(&self, _: Here<'_>, offset: u32, value: u32) {
        debug_assert!(offset <= self.page.size - 4);
        // SAFETY: mapped by the invariant, and within it by the contract of the trait. An MSC writes to no memory.
        unsafe { ffi::shim_msc_write(self.page.start.as_ptr(), offset, value) };
    }

    fn chip(&self) -> Option<&dyn ChipRegisters> {
        self.chip.as_ref().map(|chip| chip as &dyn ChipRegisters)
    }
}

impl ChipRegisters for KernelChip {
    fn read64(&self, _: Here<'_>, offset: u32) -> u64 {
        debug_assert!(offset <= self.0.size - 8);
        // SAFETY: mapped by the invariant, and within it by the contract of the trait.
        unsafe { ffi::shim_msc_read64(self.0.start.as_ptr(), offset) }
    }

    fn write64(&self, _: Here<'_>, offset: u32, value: u64) {
        debug_assert!(offset <= self.0.size - 8);
        // SAFETY: mapped by the invariant, and within it by the contract of the trait. What is used writes to no memory.
        unsafe { ffi::shim_msc_write64(self.0.start.as_ptr(), offset, value) };
    }
}
