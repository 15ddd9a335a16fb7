// SPDX-License-Identifier: GPL-2.0-only
#![doc = include_str!("../README.md")]
//!
//! # Inside
//!
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
//! | `hardware` | what is asked of whoever runs the machine: registers, firmware tables | |
//!
//! # What is not here
//!
//! * The event `mbm_local_bytes`: no monitor of an MSC can tell local traffic. `mbm_total_bytes` is counted for groups that
//!   were given counters (`mbm_event`), of which there are few.
//! * MSCs behind a platform communication channel: a table with one is refused, since safe PARTIDs are not known then.
#![no_std]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]
#![cfg_attr(not(test), warn(clippy::fn_params_excessive_bools))]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

// By way of the crate, so that resctrl-types/memory-model can compile a file that uses them with Loom's in their place. Who does
// not, orders nothing by them.
use core::sync::atomic;

pub mod acpi;
pub mod bandwidth;
pub mod devices;
pub mod resctrl;

mod hardware;
mod register;
mod registers;

pub use hardware::{Firmware, Msc, SystemRegister, SystemRegisters};
pub use resctrl::{CtrlDomain, MonContext, MonDomain, Mpam, Options};

#[cfg(test)]
mod tests;
