// SPDX-License-Identifier: GPL-2.0-only
//! Reading an event: a group's own counter and those of its monitor groups, together, from where the architecture can; those
//! of packages on the CPU of whoever reads.

use resctrl_types::arch::{MonId, ReadError};
use resctrl_types::event::FractionBits;
use resctrl_types::{
    Arch, Closid, Counter, CpuMask, CpusStay, DomainCpus, DomainId, Errno, EventId, Pinned, Platform, ResourceId,
    Result, Rmid,
};

use super::fixed_point::FixedPoint;
use crate::data::counters::Owner;
use crate::data::domain::{Bandwidth, MonState};
use crate::data::group::{CtrlGroup, Monitored, Place};
use crate::data::state::{Op, Resctrl};
use crate::text::Shown;
use crate::text::{TextOut, line_of, together};

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
        let mut sum = Sum::NONE;
        each_of_group(group, place, |Monitored { id, .. }| {
            sum.add(Some(arch.read_package(platform, domain, id, event)));
        });
        return print(sum.0, arch.fraction_bits(event), out);
    }
    let domain = state.mon_domains.iter().find(|candidate| candidate.id == domain).ok_or(Errno::ENOENT)?;
    let MonState { arch: arch_domain, cpus: mask, counters, .. } = domain.open(key);
    let cpus = DomainCpus::new(cpus, mask);
    let group = &state.groups[place.ctrl()];
    let mut sum = Sum::NONE;
    if event.is_mbm() && arch.counters_assigned() {
        arch.read_counters(platform, cpus, &mut |read| {
            each_of_group(group, place, |Monitored { group, id }| match counters.find(Owner { group, event }) {
                Some(number) => sum.add(read(arch_domain, Counter { number, id, event })),
                None => sum.add(Some(Err(ReadError::Unassigned))),
            });
        })?;
    } else {
        match arch.mon_context(ResourceId::L3, event) {
            Ok(mut context) => arch.read(platform, cpus, event, &mut context, &mut |read| {
                each_of_group(group, place, |Monitored { id, .. }| sum.add(read(arch_domain, id)));
            })?,
            Err(error) => sum.add(Some(Err(error))),
        }
    }
    print(sum.0, None, out)
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
    let mut sum = Sum::NONE;
    if !(event.is_mbm() && arch.counters_assigned())
        && let Ok(mut context) = arch.mon_context(ResourceId::L3, event)
    {
        arch.read(platform, DomainCpus::new(cpus, &mask), event, &mut context, &mut |read| {
            each_of_group(group, place, |Monitored { id, .. }| {
                for domain in parts() {
                    // Why a part has no number is not told: the others make one.
                    let value = read(&mut domain.open(key).arch, id);
                    sum.add(value.map(|value| value.map_err(|_| ReadError::Unavailable)));
                }
            });
        })?;
    }
    print(sum.0, None, out)
}

fn print(value: Result<u64, ReadError>, fraction: Option<FractionBits>, out: &mut dyn TextOut) -> Shown {
    match (value, fraction) {
        (Ok(value), None) => line_of(out, value)?,
        (Ok(value), Some(fraction)) => writeln!(out, "{}", FixedPoint { value, fraction })?,
        (Err(error), _) => together(out, |out| out.text(error.text())?.end_line())?,
    }
    Ok(())
}

/// What a group's counters come to. One that has a number makes a number; without any, the last failure says why.
struct Sum(Result<u64, ReadError>);

impl Sum {
    /// Nothing has been read, perhaps because there is nothing: a group that is there for a region has no RMID.
    const NONE: Sum = Sum(Err(ReadError::Unavailable));

    /// Adds a reading, if it is complete.
    fn add(&mut self, reading: Option<Result<u64, ReadError>>) {
        let Some(value) = reading else { return };
        self.0 = match (self.0, value) {
            (Ok(sum), Ok(value)) => Ok(sum.wrapping_add(value)),
            (Ok(number), Err(_)) | (Err(_), Ok(number)) => Ok(number),
            (Err(_), Err(last)) => Err(last),
        };
    }
}

/// Calls `f` for a group and, if it is a control group, for each of its monitor groups.
fn each_of_group(group: &CtrlGroup, place: Place, mut f: impl FnMut(Monitored)) {
    if let Place::Mon(_, mon) = place {
        return f(group.monitored_child(&group.children[mon]));
    }
    group.monitored().into_iter().for_each(&mut f);
    group.children.iter().for_each(|child| f(group.monitored_child(child)));
}

/// Makes 0 of the bandwidth counts of an RMID in every domain: it belongs to a new group.
pub(crate) fn rebase_everywhere<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    closid: Closid,
    rmid: Rmid,
) -> Result<()> {
    let (fs, cpus) = (op.fs, op.cpus);
    let (key, state) = (&mut op.locked.key, &op.locked.state);
    for domain in &state.mon_domains {
        rebase(fs, domain.open(key), cpus.into(), None, || core::iter::once(MonId { closid, rmid }))?;
    }
    Ok(())
}

/// Makes 0 of the bandwidth counts of some RMIDs in a domain, from wherever the caller is.
pub(crate) fn rebase<A: Arch<P>, P: Platform, I: Iterator<Item = MonId> + Send>(
    fs: &Resctrl<A, P>,
    domain: &mut MonState<A::MonDomain>,
    stay: CpusStay<'_>,
    here: Option<Pinned<'_>>,
    ids: impl Fn() -> I,
) -> Result<()> {
    if !fs.has_mbm() {
        return Ok(());
    }
    let arch = &fs.arch;
    let MonState { arch: arch_domain, cpus: mask, bandwidth, .. } = domain;
    // A counter that is assigned begins at 0 with its assignment.
    if !arch.counters_assigned() {
        let cpus = DomainCpus::new(stay, mask);
        let cpus = here.map_or(cpus, |here| cpus.from_here(here));
        arch.rebase(&fs.platform, cpus, arch_domain, &mut ids())?;
    }
    for id in ids() {
        let index = arch.rmid_index(id).index();
        bandwidth.iter_mut().filter_map(|of_event| of_event.get_mut(index)).for_each(|it| *it = Bandwidth::default());
    }
    Ok(())
}
