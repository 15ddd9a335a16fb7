// SPDX-License-Identifier: GPL-2.0-only
//! Emulated Arm MPAM: memory system components (MSCs), the processors' system registers, and the firmware tables that
//! describe them.
//!
//! One [`Msc`] is one page of registers as software sees it: identification, control of each PARTID, monitors, errors. A
//! test or a guest's plugin owns it, tells it the time with each access, and plays the traffic of the memory system
//! into it with [`Msc::request`] and [`Msc::set_occupancy`]. Like the rest of this crate it shares no code with the
//! driver that it is there to test.
//!
//! * [`registers`]: every register once, with its fields.
//! * [`MscConfig`], [`RisConfig`]: what an MSC implements.
//! * [`Msc`]: the registers at work.
//! * [`Cpu`]: the system registers of FEAT_MPAM of one processor.
//! * [`Page`]: an MSC's registers as memory shows them.
//! * [`t241`]: a chip with errata.
//! * [`System`]: all of that for one machine, with the traffic source.
//! * [`firmware`]: the ACPI tables PPTT and MPAM for a machine.
//!
//! ```
//! use resctrl_hardware::mpam::{Msc, MscConfig, RisConfig, registers::{Cpbm, PartSel}};
//!
//! let cache = RisConfig { cpor_bits: 16, ..RisConfig::new(31, 3) };
//! let mut msc = Msc::new(MscConfig::new(vec![cache]));
//! let now = 0;
//! msc.write32(PartSel::OFFSET, 5, now);
//! msc.write32(Cpbm::OFFSET, 0xff, now);
//! assert_eq!(msc.control(0, 5, Cpbm::OFFSET), Some(0xff));
//!
//! // A PARTID that does not exist is an error, which software finds in the error status register.
//! msc.write32(PartSel::OFFSET, 32, now);
//! msc.write32(Cpbm::OFFSET, 0xff, now);
//! assert!(msc.error_status() != 0);
//! ```

mod config;
mod cpu;
mod monitor;
mod msc;
mod page;
mod partition;
mod request;
mod system;

pub mod firmware;
pub mod registers;
pub mod t241;

pub use config::{
    BandwidthControls, BandwidthMonitors, CapacityControls, CounterWidth, FIRST_SHARED_INTERRUPT, MscConfig, NotReady,
    Priority, RisConfig, UsageMonitors,
};
pub use cpu::{Cpu, CpuConfig, Label, Level, SystemRegister};
pub use monitor::Occupancy;
pub use msc::{ErrorCode, Msc};
pub use page::Page;
pub use request::Request;
pub use system::{Access, Effects, System};
