// SPDX-License-Identifier: GPL-2.0-only
//! What there is to read of packages.

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use resctrl_types::arch::ReadError;
use resctrl_types::event::{EventSet, FractionBits};
use resctrl_types::platform::{LogLevel, Platform};
use resctrl_types::resource::{Monitor, Scope};
use resctrl_types::{DomainId, EventId, KVec, Result, Rmid};

use super::groups::{COUNTER_SIZE, Counter, EventGroup};
use crate::options::Options;
use crate::{TelemetryFeature, TelemetryRegion, TelemetryRegions};

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
    pub(super) fn find<P: Platform>(
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

    pub(super) fn fraction_bits(&self, event: EventId) -> Option<FractionBits> {
        let group = self.of(event)?.group;
        group.events.get(group.place(event)?)?.fraction
    }

    pub(super) fn read<P: Platform>(
        &self,
        platform: &P,
        package: DomainId,
        rmid: Rmid,
        event: EventId,
    ) -> Result<u64, ReadError> {
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

#[cfg(test)]
mod tests;
