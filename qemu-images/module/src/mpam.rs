// SPDX-License-Identifier: GPL-2.0-only
//! arm64: MPAM, as the firmware's tables describe it.

mod ffi;
mod interrupt;
mod msc;
mod system;
mod table;

use core::ffi::CStr;

use resctrl_mpam::acpi::has_memory_side_cache;
use resctrl_mpam::{Firmware, Mpam, Options};
use resctrl_types::platform::{CpusReadGuard, LogLevel};
use resctrl_types::{Errno, Platform, Result};

use crate::convert;
use crate::platform::KernelPlatform;
use msc::KernelMsc;
use system::KernelSystem;
use table::Table;

/// The architecture of this kernel.
pub(crate) type KernelArch = Mpam<KernelMsc, KernelSystem>;

/// Finds the MSCs. Every online processor has MPAM: the shim has asked them all.
///
/// # Errors
/// `ENODEV` when the firmware describes no MSC, and those of [`Mpam::new`].
pub(crate) fn new(platform: &KernelPlatform) -> Result<KernelArch> {
    let wanted = |signature: &CStr| {
        Table::find(signature).ok_or_else(|| {
            let signature = signature.to_str().unwrap_or_default();
            platform.log(LogLevel::Warn, format_args!("the firmware has no table {signature}"));
            Errno::ENODEV
        })
    };
    let (mpam, pptt) = (wanted(c"MPAM")?, wanted(c"PPTT")?);
    let hmat = Table::find(c"HMAT");
    let firmware = Firmware {
        mpam: mpam.bytes(),
        pptt: pptt.bytes(),
        processor: &|uid| convert::cpu(ffi::shim_cpu_of_processor(uid)),
        proximity: &|domain| convert::non_negative(ffi::shim_node_of_proximity(domain)),
        // A table that cannot be read may well describe one.
        memory_side_cache: hmat.is_some_and(|table| has_memory_side_cache(table.bytes()).unwrap_or(true)),
    };
    let options = Options { expert: ffi::shim_expert_parameter() };
    let cpus = platform.cpus_read_lock();
    Mpam::new(platform, cpus.held(), &firmware, KernelSystem::new(), options, &mut KernelMsc::map)
}
