// SPDX-License-Identifier: GPL-2.0-only
//! Reading an event: a group's own counter and those of its monitor groups, on a CPU of the domain; those of packages on the
//! CPU of whoever reads.

use resctrl_types::arch::{MonId, ReadError};
use resctrl_types::event::{EventSet, FractionBits};
use resctrl_types::{
    Arch, Closid, Counter, CpuMask, CpusHeld, DomainId, Errno, EventId, Here, KVec, Platform, Ref, ResourceId, Result,
    Rmid,
};

use super::fixed_point::FixedPoint;
use crate::data::counters::Owner;
use crate::data::domain::{Bandwidth, MonState, any_housekeeping};
use crate::data::group::{CtrlGroup, Monitored, Place};
use crate::data::state::MonDomain;
use crate::data::state::Op;
use crate::text::Shown;
use crate::text::TextOut;

/// Prints an event file.
///
/// # Errors
/// `ENOENT` when the domain has gone.
pub(crate) fn show_event<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    place: Place,
    domain: DomainId,
    event: EventId,
    out: &mut dyn TextOut,
) -> Shown {
    let (arch, platform, cpus) = (op.arch(), op.platform(), op.cpus);
    let (key, state) = (&mut op.locked.key, &op.locked.state);
    if event.resource() == ResourceId::PerfPkg {
        state.packages.iter().find(|package| package.id == domain).ok_or(Errno::ENOENT)?;
        let group = &state.groups[place.ctrl()];
        let sum = group_sum(group, place, |Monitored { id, .. }| arch.read_package(platform, domain, id, event));
        return print(sum, arch.fraction_bits(event), out);
    }
    let domain = state.mon_domains.iter().find(|candidate| candidate.id == domain).ok_or(Errno::ENOENT)?;
    let MonState { arch: arch_domain, cpus: mask, counters, .. } = domain.open(key);
    let group = &state.groups[place.ctrl()];
    // Until a first reading succeeds there is no number; the last failure says why.
    let mut sum = Err(ReadError::Unavailable);
    if event.is_mbm() && arch.counters_assigned() {
        at_domain(platform, cpus, mask, &mut |here| {
            sum = group_sum(group, place, |Monitored { group, id }| {
                let number = counters.find(Owner { group, event }).ok_or(ReadError::Unassigned)?;
                arch.read_counter(here, arch_domain, Counter { number, id, event })
            });
        })?;
    } else {
        match arch.mon_context(ResourceId::L3, event) {
            Ok(mut context) => at_domain(platform, cpus, mask, &mut |here| {
                sum = group_sum(group, place, |Monitored { id, .. }| {
                    arch.read(here, ResourceId::L3, arch_domain, id, event, &mut context)
                });
            })?,
            Err(error) => sum = Err(error),
        }
    }
    print(sum, None, out)
}

/// Prints the sum of an event over all domains that are parts of an L3. Any of them that can be read makes a number.
///
/// # Errors
/// `ENOENT` when the last of the domains has gone.
pub(crate) fn show_sum<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    place: Place,
    cache: DomainId,
    event: EventId,
    out: &mut dyn TextOut,
) -> Shown {
    let (arch, platform, cpus) = (op.arch(), op.platform(), op.cpus);
    let (key, state) = (&mut op.locked.key, &op.locked.state);
    let group = &state.groups[place.ctrl()];
    let domains = &state.mon_domains;
    let parts = || domains.iter().filter(|domain| domain.part_of == Some(cache));
    let mut mask = CpuMask::new(platform.nr_cpu_ids())?;
    for domain in parts() {
        for cpu in domain.peek(key).cpus.iter() {
            mask.set(cpu)?;
        }
    }
    // Machines whose L3s have parts have no counters to assign.
    let mut sum = Err(ReadError::Unavailable);
    if !(event.is_mbm() && arch.counters_assigned())
        && let Ok(mut context) = arch.mon_context(ResourceId::L3, event)
    {
        at_domain(platform, cpus, &mask, &mut |here| {
            sum = group_sum(group, place, |Monitored { id, .. }| {
                let read = |domain: &Ref<MonDomain<A, P>>| {
                    arch.read(here, ResourceId::L3, &mut domain.open(key).arch, id, event, &mut context).ok()
                };
                parts().filter_map(read).reduce(u64::wrapping_add).ok_or(ReadError::Unavailable)
            });
        })?;
    }
    print(sum, None, out)
}

fn print(value: Result<u64, ReadError>, fraction: Option<FractionBits>, out: &mut dyn TextOut) -> Shown {
    match (value, fraction) {
        (Ok(value), None) => writeln!(out, "{value}")?,
        (Ok(value), Some(fraction)) => writeln!(out, "{}", FixedPoint { value, fraction })?,
        (Err(error), _) => writeln!(out, "{}", error.text())?,
    }
    Ok(())
}

/// Runs `f` on a CPU of the domain: in a thread there, unless the domain has only CPUs that are to be left alone
/// (`nohz_full`), which a short interrupt disturbs less.
fn at_domain<P: Platform>(
    platform: &P,
    cpus: CpusHeld<'_>,
    mask: &CpuMask,
    f: &mut (dyn FnMut(Here<'_>) + Send),
) -> Result<()> {
    let cpu = any_housekeeping(platform, mask).ok_or(Errno::ENOENT)?;
    if platform.is_housekeeping(cpu) {
        platform.call_on(cpus, cpu, &mut |here| f(here.into()))
    } else {
        platform.interrupt(cpus, cpu, &mut |here| f(here.into()))
    }
}

/// Adds up a group's counter and, for a control group, those of its monitor groups. One success makes a number.
fn group_sum(
    group: &CtrlGroup,
    place: Place,
    mut read: impl FnMut(Monitored) -> Result<u64, ReadError>,
) -> Result<u64, ReadError> {
    if let Place::Mon(_, mon) = place {
        return read(group.monitored_child(&group.children[mon]));
    }
    // A group that is there for a region has no RMID to be counted by.
    let mut sum = group.monitored().map_or(Err(ReadError::Unavailable), &mut read);
    for child in &group.children {
        sum = match (sum, read(group.monitored_child(child))) {
            (Ok(sum), Ok(value)) => Ok(sum.wrapping_add(value)),
            (Ok(number), Err(_)) | (Err(_), Ok(number)) => Ok(number),
            (Err(_), Err(last)) => Err(last),
        };
    }
    sum
}

/// Makes 0 of the bandwidth counts of an RMID in every domain: it belongs to a new group.
pub(crate) fn rebase_everywhere<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    closid: Closid,
    rmid: Rmid,
) -> Result<()> {
    let (arch, platform, cpus) = (op.arch(), op.platform(), op.cpus);
    let Some(monitor) = arch.monitor(ResourceId::L3).filter(|monitor| monitor.events.any_mbm()) else { return Ok(()) };
    let (key, state) = (&mut op.locked.key, &op.locked.state);
    for domain in &state.mon_domains {
        let MonState { arch: arch_domain, cpus: mask, bandwidth, .. } = domain.open(key);
        at_domain(platform, cpus, mask, &mut |here| {
            rebase::<A, P>(arch, monitor.events, arch_domain, bandwidth, MonId { closid, rmid }, here);
        })?;
    }
    Ok(())
}

/// Makes 0 of the bandwidth counts of an RMID in the domain of `here`.
pub(crate) fn rebase<A: Arch<P>, P: Platform>(
    arch: &A,
    events: EventSet,
    domain: &mut A::MonDomain,
    bandwidth: &mut [KVec<Bandwidth>; 2],
    id: MonId,
    here: Here<'_>,
) {
    let index = arch.rmid_index(id).index();
    for event in events.iter().filter(|event| event.is_mbm()) {
        // A counter that is assigned begins at 0 with its assignment.
        if !arch.counters_assigned() {
            arch.rebase(here, ResourceId::L3, domain, id, event);
        }
        if let Some(memory) = event.mbm_index().and_then(|event| bandwidth[event].get_mut(index)) {
            *memory = Bandwidth::default();
        }
    }
}
