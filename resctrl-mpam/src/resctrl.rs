// SPDX-License-Identifier: GPL-2.0-only
//! The resctrl face of the driver: `drivers/resctrl/mpam_resctrl.c`.
//!
//! A CLOSID is a PARTID, or under the emulation of code and data prioritisation (CDP) a pair of them; an RMID is a PMG. Of
//! the classes of MSCs, resctrl shows level 2 and 3 caches with portion bit maps, memory bandwidth with a maximum, the
//! occupancy of the level 3 cache, and what leaves it, counted by counters that are assigned.
//!
//! # Where this differs from the kernel's driver
//!
//! * A task's word holds CLOSID and RMID, not PARTIDs: switching CDP rewrites no task (see `ids`).
//! * A domain that comes back has the values of before, but not for a group that was made while it was away; the kernel's
//!   gives such a group the values of the one that had its CLOSID.
//! * Nobody waits for a usage monitor: readings take theirs one after another under the rdtgroup mutex. None free is
//!   `Unavailable`.
//! * Which counter counts for whom is known for each domain, not for each event, and it counts from its assignment on, not
//!   from the first reading after it.
//! * The counters of the level 3 cache are preferred to those of memory, whichever was seen first.
//! * MSCs that no online CPU reaches hold nothing, and what they had counted stays part of a number; the kernel's own has no
//!   number then (see `parts`).
//! * Where the kernel runs at EL2, the labels of guests are written with the others, whenever a CPU's are. The kernel's are
//!   copied by KVM when it loads a virtual processor; told to leave MPAM alone, it does not.
//! * Every MSC must be reachable when the driver starts; the kernel goes on waiting for the CPUs.

mod cdp;
mod classes;
mod control;
mod counters;
mod domain;
mod ids;
mod monitor;
mod parts;
mod sched;

use core::sync::atomic::{AtomicBool, Ordering};

use resctrl_types::arch::{self, Ids as _, IoAlloc, OccupancyThreshold, PseudoLock, Telemetry};
use resctrl_types::cpu::CpuLabels;
use resctrl_types::event::EventSet;
use resctrl_types::platform::LogLevel;
use resctrl_types::resource::{Control, Monitor, Scope};
use resctrl_types::{CpuId, CpuMask, CpusHeld, Errno, EventId, Here, KVec, Platform, Ref, ResourceId, Result, Switch};

pub use control::CtrlDomain;
pub use monitor::{MonContext, MonDomain};

use crate::acpi::MscNode;
use crate::devices::{Component, Devices, Ids};
use crate::registers::Mpamidr;
use crate::{Firmware, Msc, SystemRegisters};
use classes::Resources;
use ids::CdpSwitches;

/// What the user of the driver decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// CDP may be emulated (`CONFIG_EXPERT`): components that are not managed here then see two PARTIDs of one group.
    pub expert: bool,
}

/// MPAM as resctrl sees it.
pub struct Mpam<M, S> {
    pub(crate) devices: Devices<M>,
    pub(crate) system: S,
    pub(crate) resources: Resources,
    options: Options,
    cdp: CdpSwitches,
    cpus: KVec<CpuLabels>,
    possible: CpuMask,
    /// An MSC reported an error: what it does is not known any more, and nothing is changed or read until the end.
    failed: AtomicBool,
}

impl<M: Msc, S: SystemRegisters> arch::Resources for Mpam<M, S> {
    fn control(&self, resource: ResourceId) -> Option<Control> {
        // Bandwidth of code and of data would add up to something nobody asked for.
        if resource == ResourceId::Mb && self.cdp.any() {
            return None;
        }
        self.real_control(resource)
    }

    fn monitor(&self, resource: ResourceId) -> Option<Monitor> {
        let counted = [
            (EventId::LlcOccupancy, self.resources.occupancy().is_some()),
            (EventId::MbmTotal, self.resources.traffic().is_some()),
        ];
        let counted = counted.into_iter().filter(|&(_, counted)| counted);
        let events = counted.fold(EventSet::EMPTY, |events, (event, _)| events.with(event));
        if resource != ResourceId::L3 || events.is_empty() {
            return None;
        }
        // A pair of PARTIDs has the RMIDs of one.
        let num_rmid = if self.cdp.any() { self.num_rmid_index() / 2 } else { self.num_rmid_index() };
        Some(Monitor { scope: Scope::L3Cache, num_rmid, events })
    }

    fn occupancy_threshold(&self) -> OccupancyThreshold {
        OccupancyThreshold { limit: self.resources.occupancy().map_or(0, |(_, size)| size), unit: 1 }
    }

    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

impl<P: Platform, M: Msc, S: SystemRegisters> Telemetry<P> for Mpam<M, S> {}

impl<P: Platform, M: Msc, S: SystemRegisters> IoAlloc<P> for Mpam<M, S> {}

impl<P: Platform, M: Msc, S: SystemRegisters> PseudoLock<P> for Mpam<M, S> {}

impl<M: Msc, S: SystemRegisters> Mpam<M, S> {
    /// Finds the MSCs and what resctrl can do with them. `map` makes the registers of an MSC accessible.
    ///
    /// Every MSC must be reachable from some online CPU: PARTIDs that are safe are those which all MSCs know.
    ///
    /// Logs a line that says what is wrong.
    ///
    /// # Errors
    /// Those of [`Devices::discover`], and `EOPNOTSUPP` when there is nothing to control or to monitor.
    // Its locals are off the stack again when it returns: a thread of the kernel has 16 kB of it.
    #[inline(never)]
    pub fn new<P: Platform>(
        platform: &P,
        cpus: CpusHeld<'_>,
        firmware: &Firmware<'_>,
        system: S,
        options: Options,
        map: &mut dyn FnMut(&MscNode<'_>) -> Result<M>,
    ) -> Result<Self> {
        let requestors = requestors(platform, cpus, &system)?;
        let devices = Devices::discover(platform, cpus, firmware, requestors, map)?;
        let mut possible = CpuMask::new(platform.nr_cpu_ids())?;
        (0..platform.nr_cpu_ids()).try_for_each(|cpu| possible.set(CpuId(cpu)))?;
        let resources = Resources::choose(platform, &devices, &possible, firmware);
        if resources.is_empty() {
            platform.log(LogLevel::Warn, format_args!("MPAM has nothing here that resctrl can control or monitor"));
            return Err(Errno::EOPNOTSUPP);
        }
        let Ids { partid_max, pmg_max } = devices.ids;
        platform.log(
            LogLevel::Info,
            format_args!("MPAM enabled with {} PARTIDs and {} PMGs", u32::from(partid_max) + 1, u32::from(pmg_max) + 1),
        );
        let cpus = KVec::from_fn(platform.nr_cpu_ids() as usize, |_| CpuLabels::default())?;
        Ok(Mpam {
            devices,
            system,
            resources,
            options,
            cdp: CdpSwitches::default(),
            cpus,
            possible,
            failed: AtomicBool::new(false),
        })
    }

    /// The MSCs and what they make up.
    pub const fn devices(&self) -> &Devices<M> {
        &self.devices
    }

    /// The error interrupt of the MSC at this place of [`Devices::mscs`] came. True when that ends the use of MPAM: the
    /// caller then arranges, in a thread, that resctrl is shut down. False when the interrupt was not this MSC's, or the end
    /// is under way.
    ///
    /// The handler may be a thread, which context switches and commands interrupt at any point.
    pub fn error_interrupt<P: Platform>(&self, platform: &P, here: Here<'_>, msc: usize) -> bool {
        let Some(msc) = self.devices.mscs.get(msc).filter(|msc| msc.cpus.contains(here.cpu())) else { return false };
        let Some(error) = msc.take_error(here) else { return false };
        // At once: who runs before this thread goes on shall not trust the hardware.
        let first = !self.failed.swap(true, Ordering::Relaxed);
        msc.switch_error_interrupt(here, Switch::Off);
        platform.log(LogLevel::Warn, format_args!("{error}"));
        if first {
            platform.log(LogLevel::Warn, format_args!("MPAM disabled due to hardware error interrupt"));
        }
        first
    }

    /// The component of a class that a CPU belongs to.
    fn component_of(&self, class: usize, cpu: CpuId) -> Option<&Ref<Component>> {
        self.devices.classes.get(class)?.components.iter().find(|component| component.cpus.contains(cpu))
    }
}

/// Labels that every online processor can make. Each has those of the default group from here on: what the firmware left
/// is unknown, and an MSC may take it for an error, which ends the use of MPAM once somebody listens to its interrupt.
fn requestors<P: Platform>(platform: &P, cpus: CpusHeld<'_>, system: &impl SystemRegisters) -> Result<Ids> {
    let mut common: Option<Ids> = None;
    for cpu in (0..platform.nr_cpu_ids()).map(CpuId) {
        let called = platform.call_on(cpus, cpu, &mut |here| {
            let known = ids_of(system.mpamidr(here.into()));
            sched::write_labels(system, here.into(), 0);
            common = Some(common.map_or(known, |common| common.common(known)));
        });
        match called {
            Ok(()) | Err(Errno::ENODEV) => {}
            Err(error) => return Err(error),
        }
    }
    common.ok_or(Errno::ENODEV)
}

/// What `MPAMIDR_EL1` says.
fn ids_of(mpamidr: u64) -> Ids {
    Ids { partid_max: Mpamidr::PARTID_MAX.half_of(mpamidr), pmg_max: Mpamidr::PMG_MAX.byte_of(mpamidr) }
}
