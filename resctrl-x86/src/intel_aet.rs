// SPDX-License-Identifier: GPL-2.0-only
//! Intel Application Energy Telemetry: energy and performance of each RMID, counted by package.
//!
//! A unit of the processor that no core runs (the out-of-band management services module, a device on the PCI bus) gathers what
//! cores count for the RMIDs they work for, and shows the sums in its memory. Each such table is a *region*; what is in a
//! region is said by a number, its GUID, which leads to a published description. A package may have several regions of one
//! GUID: its counts are their sum.
//!
//! The kernel's driver for these devices finds the regions ([`Registers::telemetry`]), perhaps after this crate has begun,
//! so they are asked for when the file system is first mounted. What is found then stays.
//!
//! Sources: the kernel's `arch/x86/kernel/cpu/resctrl/intel_aet.c`; the descriptions named with each group, in
//! <https://github.com/intel/Intel-PMT>.

mod groups;
mod telemetry;

pub(crate) use groups::{EventGroup, GROUPS};
pub(crate) use telemetry::Telemetry;

use resctrl_types::arch::{self, MonId, ReadError};
use resctrl_types::event::FractionBits;
use resctrl_types::platform::Platform;
use resctrl_types::{DomainId, EventId, Result};

use crate::Registers;
use crate::core::X86;

impl<P: Platform, R: Registers> arch::Telemetry<P> for X86<R> {
    /// Looks for telemetry, unless there is some already.
    fn pre_mount(&self, platform: &P) -> Result<()> {
        if self.amd.is_some() || self.telemetry.get().is_some() {
            return Ok(());
        }
        let regions_of = |feature| self.registers.telemetry(feature);
        if let Some(telemetry) = Telemetry::find(&GROUPS, self.options, platform, regions_of)? {
            // Nobody else looks meanwhile.
            let _ = self.telemetry.set(telemetry);
        }
        Ok(())
    }

    fn read_package(&self, platform: &P, package: DomainId, id: MonId, event: EventId) -> Result<u64, ReadError> {
        self.telemetry.get().ok_or(ReadError::Error)?.read(platform, package, id.rmid, event)
    }

    fn fraction_bits(&self, event: EventId) -> Option<FractionBits> {
        self.telemetry.get()?.fraction_bits(event)
    }
}
