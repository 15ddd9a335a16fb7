// SPDX-License-Identifier: GPL-2.0-only
//! x86: Intel RDT or AMD QoS, over CPUID and model specific registers.

mod device;
mod ffi;
pub(crate) mod region;
mod registers;
mod telemetry;

use core::ffi::CStr;

use resctrl_types::Result;
use resctrl_x86::{Options, X86};

use crate::platform::KernelPlatform;
use registers::KernelRegisters;

/// The architecture of this kernel.
pub(crate) type KernelArch = X86<KernelRegisters>;

/// Finds out what the processors can do.
///
/// # Errors
/// Those of [`X86::new`].
pub(crate) fn new(platform: &KernelPlatform) -> Result<KernelArch> {
    let parameter = ffi::shim_rdt_parameter();
    // SAFETY: the module parameter is a C string that lives as long as the module.
    let parameter = if parameter.is_null() { c"" } else { unsafe { CStr::from_ptr(parameter) } };
    let options = Options::parse(parameter.to_str().unwrap_or_default());
    X86::new(KernelRegisters::new(), platform, options)
}
