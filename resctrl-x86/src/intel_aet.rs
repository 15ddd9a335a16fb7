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

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use resctrl_types::arch::ReadError;
use resctrl_types::event::{EventSet, FractionBits};
use resctrl_types::platform::{LogLevel, Platform};
use resctrl_types::resource::{Monitor, Scope};
use resctrl_types::{DomainId, EventId, KVec, ResourceId, Result, Rmid};

use crate::Registers;
use crate::core::X86;
use crate::options::Options;
use crate::register::registers;

/// What a region is about: the kernel's `enum pmt_feature_id`, which the hardware's tables have, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TelemetryFeature {
    /// `FEATURE_PER_RMID_PERF_TELEM`: what cores did for each RMID.
    Perf = 0x3,
    /// `FEATURE_PER_RMID_ENERGY_TELEM`: what energy they used for it.
    Energy = 0xb,
}

impl TelemetryFeature {
    /// What the parameter `rdt=` and the log call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            TelemetryFeature::Perf => "perf",
            TelemetryFeature::Energy => "energy",
        }
    }
}

/// What the kernel's driver knows of a region: `struct telemetry_region`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelemetryRegion {
    /// Says what is in it.
    pub guid: u32,
    /// The package that it counts for, as the kernel numbers packages.
    pub package: u32,
    /// RMIDs that the hardware can count for at the same time.
    pub num_rmids: u32,
    /// Bytes.
    pub size: usize,
}

/// All the regions of a feature: `struct pmt_feature_group`. Dropping it gives them back to their driver.
pub trait TelemetryRegions: Send + Sync + 'static {
    /// How many there are. Constant.
    fn count(&self) -> usize;

    /// What is known of one, below [`TelemetryRegions::count`]. Constant.
    fn region(&self, index: usize) -> TelemetryRegion;

    /// Reads eight bytes of a region, at a multiple of eight below its size: `readq`. Callable with interrupts off.
    fn read(&self, index: usize, offset: usize) -> u64;
}

/// The regions of machines that have none.
#[derive(Clone, Copy, Debug)]
pub enum NoTelemetry {}

impl TelemetryRegions for NoTelemetry {
    fn count(&self) -> usize {
        match *self {}
    }

    fn region(&self, _index: usize) -> TelemetryRegion {
        match *self {}
    }

    fn read(&self, _index: usize, _offset: usize) -> u64 {
        match *self {}
    }
}

registers! {
    usize;

    /// A counter: the one of an event for an RMID is at `RMID * events + event` in its region.
    Counter = 0; {
        /// The count, in units of the event.
        DATA: 62, 0;
        /// Something has been counted for the RMID.
        VALID: 63, 63;
    }
}

/// Bytes of a counter, and of each status register behind the counters.
const COUNTER_SIZE: usize = 8;

/// An event in a region.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TelemetryEvent {
    pub(crate) id: EventId,
    /// Bits of fraction; `None` for a whole number.
    fraction: Option<FractionBits>,
}

/// Events that are counted together, in regions of one GUID.
#[derive(Debug)]
pub(crate) struct EventGroup {
    pub(crate) feature: TelemetryFeature,
    pub(crate) guid: u32,
    /// RMIDs that a region has counters for.
    pub(crate) num_rmid: u32,
    /// Status registers behind the counters.
    status_registers: usize,
    /// In the order of their counters.
    pub(crate) events: &'static [TelemetryEvent],
}

impl EventGroup {
    /// Bytes of a region.
    pub(crate) const fn size(&self) -> usize {
        let counters = (self.num_rmid as usize).saturating_mul(self.events.len());
        counters.saturating_add(self.status_registers).saturating_mul(COUNTER_SIZE)
    }

    fn place(&self, event: EventId) -> Option<usize> {
        self.events.iter().position(|known| known.id == event)
    }
}

impl fmt::Display for EventGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{:#x}", ResourceId::PerfPkg.name(), self.feature.name(), self.guid)
    }
}

const fn whole(id: EventId) -> TelemetryEvent {
    TelemetryEvent { id, fraction: None }
}

const fn fixed_point(id: EventId, bits: u8) -> TelemetryEvent {
    TelemetryEvent { id, fraction: FractionBits::new(bits) }
}

/// What is known. `xml/CWF/OOBMSM/RMID-ENERGY/cwf_aggregator.xml` and `xml/CWF/OOBMSM/RMID-PERF/cwf_aggregator.xml` (Clearwater
/// Forest).
pub(crate) static GROUPS: [EventGroup; 2] = [
    EventGroup {
        feature: TelemetryFeature::Energy,
        guid: 0x2669_6143,
        num_rmid: 576,
        status_registers: 3,
        events: &[fixed_point(EventId::CoreEnergy, 18), fixed_point(EventId::Activity, 18)],
    },
    EventGroup {
        feature: TelemetryFeature::Perf,
        guid: 0x2655_7651,
        num_rmid: 576,
        status_registers: 3,
        events: &[
            whole(EventId::StallsLlcHit),
            whole(EventId::C1Res),
            whole(EventId::UnhaltedCoreCycles),
            whole(EventId::StallsLlcMiss),
            whole(EventId::C6Res),
            whole(EventId::UnhaltedRefCycles),
            whole(EventId::UopsRetired),
        ],
    },
];

/// A group whose events are read.
struct Enabled<T> {
    group: &'static EventGroup,
    /// Those of its events that no other group has.
    events: EventSet,
    regions: T,
    /// Which of the regions are of this group, and of which package each is.
    used: KVec<(usize, DomainId)>,
}

/// What there is to read of packages.
pub(crate) struct Telemetry<T> {
    pub(crate) monitor: Monitor,
    groups: KVec<Enabled<T>>,
    /// Whether a counter was asked for that its region has no room for. Told once.
    out_of_range: AtomicBool,
}

impl<T: TelemetryRegions> Telemetry<T> {
    /// Looks which of the groups have regions here, and tells the log.
    fn find<P: Platform>(
        groups: &'static [EventGroup],
        options: Options,
        platform: &P,
        mut regions_of: impl FnMut(TelemetryFeature) -> Option<T>,
    ) -> Result<Option<Telemetry<T>>> {
        let mut found = Telemetry {
            monitor: Monitor { scope: Scope::Package, num_rmid: u32::MAX, events: EventSet::EMPTY },
            groups: KVec::new(),
            out_of_range: AtomicBool::new(false),
        };
        for group in groups {
            let Some(regions) = regions_of(group.feature) else { continue };
            let Some((enabled, num_rmid)) = enable(group, regions, options, platform, found.monitor.events)? else {
                continue;
            };
            found.monitor.events = enabled.events.iter().fold(found.monitor.events, EventSet::with);
            found.monitor.num_rmid = found.monitor.num_rmid.min(num_rmid);
            found.groups.push(enabled)?;
        }
        Ok((!found.groups.is_empty()).then_some(found))
    }

    fn of(&self, event: EventId) -> Option<&Enabled<T>> {
        self.groups.iter().find(|enabled| enabled.events.contains(event))
    }

    fn read<P: Platform>(&self, platform: &P, package: DomainId, rmid: Rmid, event: EventId) -> Result<u64, ReadError> {
        let Enabled { group, regions, used, .. } = self.of(event).ok_or(ReadError::Error)?;
        let place = group.place(event).ok_or(ReadError::Error)?;
        let index = (rmid.0 as usize).saturating_mul(group.events.len()).saturating_add(place);
        let offset = index.saturating_mul(COUNTER_SIZE).saturating_add(Counter::ADDRESS);
        if offset.saturating_add(COUNTER_SIZE) > group.size() {
            if !self.out_of_range.swap(true, Ordering::Relaxed) {
                platform.log(LogLevel::Warn, format_args!("MMIO index {index} out of range"));
            }
            return Err(ReadError::Error);
        }
        used.iter()
            .filter(|&&(_, of_package)| of_package == package)
            .map(|&(region, _)| regions.read(region, offset))
            .filter(|&counter| Counter::VALID.is_set(counter))
            .map(|counter| Counter::DATA.get(counter))
            .reduce(u64::wrapping_add)
            .ok_or(ReadError::Unavailable)
    }
}

/// Whether a group is to be used: which of its events, from which regions, and for how many RMIDs.
fn enable<T: TelemetryRegions, P: Platform>(
    group: &'static EventGroup,
    regions: T,
    options: Options,
    platform: &P,
    taken: EventSet,
) -> Result<Option<(Enabled<T>, u32)>> {
    let log = |text: fmt::Arguments<'_>| platform.log(LogLevel::Info, text);
    if options.telemetry_off(group.feature, group.guid) {
        return Ok(None);
    }
    let (mut used, mut num_rmid) = (KVec::new(), group.num_rmid);
    for index in 0..regions.count() {
        let region = regions.region(index);
        if is_usable(group, region, platform) {
            used.push((index, DomainId(region.package)))?;
            num_rmid = num_rmid.min(region.num_rmids);
        }
    }
    if used.is_empty() {
        return Ok(None);
    }
    // Without an RMID even the default group would have no counter.
    if num_rmid < group.num_rmid && !options.telemetry_on(group.feature, group.guid) || num_rmid == 0 {
        log(format_args!("{group} monitoring not enabled due to insufficient RMIDs"));
        return Ok(None);
    }
    let (mut events, mut skipped) = (EventSet::EMPTY, 0_u32);
    for event in group.events {
        if taken.contains(event.id) {
            platform.log(LogLevel::Warn, format_args!("Duplicate enable for event {}", event.id as u8));
            skipped = skipped.saturating_add(1);
        } else {
            events = events.with(event.id);
        }
    }
    if events.is_empty() {
        log(format_args!("No events enabled in {group}"));
        return Ok(None);
    }
    if skipped > 0 {
        log(format_args!("{group} monitoring detected (skipped {skipped} events)"));
    } else {
        log(format_args!("{group} monitoring detected"));
    }
    Ok(Some((Enabled { group, events, regions, used }, num_rmid)))
}

/// Whether a region is one of the group, and is what the group's description says.
fn is_usable<P: Platform>(group: &EventGroup, region: TelemetryRegion, platform: &P) -> bool {
    let TelemetryRegion { guid, package, size, .. } = region;
    if guid != group.guid {
        return false;
    }
    if package >= platform.max_packages() {
        platform.log(LogLevel::Warn, format_args!("Bad package {package} in guid {guid:#x}"));
        return false;
    }
    let expected = group.size();
    if size != expected {
        platform.log(
            LogLevel::Warn,
            format_args!("MMIO space wrong size ({size} bytes) for guid {guid:#x}. Expected {expected} bytes."),
        );
        return false;
    }
    true
}

impl<R: Registers> X86<R> {
    /// Looks for telemetry, unless there is some already.
    pub(crate) fn find_telemetry<P: Platform>(&self, platform: &P) -> Result<()> {
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

    pub(crate) fn read_package<P: Platform>(
        &self,
        platform: &P,
        package: DomainId,
        rmid: Rmid,
        event: EventId,
    ) -> Result<u64, ReadError> {
        self.telemetry.get().ok_or(ReadError::Error)?.read(platform, package, rmid, event)
    }

    pub(crate) fn fraction_bits(&self, event: EventId) -> Option<FractionBits> {
        let group = self.telemetry.get()?.of(event)?.group;
        group.events.get(group.place(event)?)?.fraction
    }
}

#[cfg(test)]
mod tests;
