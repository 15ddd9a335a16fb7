// SPDX-License-Identifier: GPL-2.0-only
//! resctrl on Arm MPAM: the [`Arch`](resctrl_types::Arch) of Memory System Resource Partitioning and Monitoring.
//!
//! Under MPAM a processor labels each memory request with a *PARTID* and a *PMG*, two registers per exception level. Memory
//! system components (MSCs: caches, memory controllers) look at the labels: what a PARTID may use is programmed into each
//! MSC, what it uses is counted there. The firmware says where the MSCs are. This crate reads that, asks each MSC what it
//! can do, programs it, and reads its counters; it knows nothing of groups or files.
//!
//! | File | What | In the kernel |
//! |---|---|---|
//! | `acpi` | the firmware tables MPAM and PPTT | `drivers/acpi/arm64/mpam.c`, `drivers/acpi/pptt.c` |
//! | `devices` | MSCs: probing, merging, programming, monitors, errors | `drivers/resctrl/mpam_devices.c` |
//! | `resctrl` | what of that resctrl shows; ids; CDP; context switch | `drivers/resctrl/mpam_resctrl.c` |
//! | `bandwidth` | percentages and fixed-point fractions | the same |
//! | `registers` | every register, once | `mpam_internal.h` |
//!
//! # What is not here
//!
//! * The event `mbm_local_bytes`: no monitor of an MSC can tell local traffic. `mbm_total_bytes` is counted for groups that
//!   were given counters (`mbm_event`), of which there are few.
//! * MSCs behind a platform communication channel: a table with one is refused, since safe PARTIDs are not known then.
#![no_std]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod acpi;
pub mod bandwidth;
pub mod devices;
pub mod resctrl;

mod register;
mod registers;

pub use resctrl::{CtrlDomain, MonContext, MonDomain, Mpam, Options};

use devices::t241;
use resctrl_types::{CpuId, Here, Pinned};

/// The memory-mapped registers of one MSC.
///
/// All of this crate's access to MSCs goes through here. It is only used from CPUs that the MSC can be reached from.
pub trait Msc: Send + Sync + 'static {
    /// Reads 32 bits at a byte offset below 0x3000, as `readl_relaxed` does. Callable with interrupts off.
    fn read32(&self, here: Here<'_>, offset: u32) -> u32;

    /// Writes 32 bits, as `writel_relaxed` does. Callable with interrupts off.
    fn write32(&self, here: Here<'_>, offset: u32, value: u32);

    /// The registers of the chip that it is on, outside of its page: on a machine whose SoC id is [`t241::SOC_ID`] those at
    /// [`t241::registers_of`] its address, on any other none.
    fn chip(&self) -> Option<&dyn t241::ChipRegisters> {
        None
    }
}

/// A register of FEAT_MPAM that is written at context switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemRegister {
    /// `MPAM0_EL1`: labels of user space.
    Mpam0,
    /// `MPAM1_EL1`: labels of the kernel. At EL2 that name stands for `MPAM2_EL2`.
    Mpam1,
    /// `MPAM1_EL12`, the name of `MPAM1_EL1` at EL2: labels of the kernels of guests.
    Mpam1Guest,
    /// `MPAMSM_EL1`: labels of the streaming mode compute unit.
    Mpamsm,
}

/// The system registers of the processor that the calling code runs on.
pub trait SystemRegisters: Send + Sync + 'static {
    /// Reads `MPAMIDR_EL1`.
    fn mpamidr(&self, here: Here<'_>) -> u64;

    /// Whether there is `MPAMSM_EL1` (FEAT_SME); the same on all processors.
    fn has_streaming(&self) -> bool;

    /// Whether the kernel runs at EL2, and the kernels of guests have registers of their own; the same on all processors.
    fn has_guests(&self) -> bool;

    /// Writes a register. Callable with interrupts off.
    fn write(&self, here: Here<'_>, register: SystemRegister, value: u64);

    /// Makes writes so far take effect before what comes (ISB). Callable with interrupts off.
    fn synchronize(&self, here: Here<'_>);

    /// Waits at least so many microseconds: `fsleep`. Sleeps.
    fn wait_us(&self, here: Pinned<'_>, us: u32);
}

/// What the firmware says.
pub struct Firmware<'a> {
    /// The table MPAM.
    pub mpam: &'a [u8],
    /// The table PPTT.
    pub pptt: &'a [u8],
    /// The possible CPU with a processor id of the MADT.
    pub processor: &'a dyn Fn(u32) -> Option<CpuId>,
    /// The NUMA node of a proximity domain.
    pub proximity: &'a dyn Fn(u64) -> Option<u32>,
    /// There is a cache between memory and those who request from it (HMAT): what goes to memory is then not what leaves
    /// the level 3 cache.
    pub memory_side_cache: bool,
}

#[cfg(test)]
mod tests;
