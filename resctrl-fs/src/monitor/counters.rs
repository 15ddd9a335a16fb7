// SPDX-License-Identifier: GPL-2.0-only
//! Giving counters to groups and taking them back, where bandwidth is counted by counters that are assigned (`mbm_event`
//! mode). Who has which is in [`crate::data::counters`].

use resctrl_types::arch::MonId;
use resctrl_types::{Arch, Counter, CpuMask, DomainCpus, Errno, EventId, Platform, Transactions};

use crate::data::counters::{CounterTable, Owner, filter};
use crate::data::domain::MonState;
use crate::data::group::Monitored;
use crate::data::state::Locked;
use crate::data::state::{Op, Resctrl};
use crate::status::Done;
use crate::text::Shown;
use crate::text::{TextOut, together};

const NOT_ENABLED: &str = "mbm_event counter assignment mode is not enabled\n";

/// Requires that counters are assigned.
///
/// # Errors
/// `EINVAL` with a line in the status.
pub(crate) fn require_assigned<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>) -> Done {
    if !op.arch().counters_assigned() {
        return Err(op.refuse(Errno::EINVAL, NOT_ENABLED));
    }
    Ok(())
}

/// The bandwidth events of the machine: total before local.
pub(crate) fn events<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>) -> impl Iterator<Item = EventId> + '_ {
    EventId::MBM.into_iter().filter(|&event| fs.has_event(event))
}

/// Gives a counter for `event` to a group, in the domain at this place of the list, unless it has one.
///
/// # Errors
/// `ENOSPC` with a line in the status when all counters are taken.
pub(crate) fn assign<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    place: usize,
    who: Monitored,
    event: EventId,
) -> Done {
    let (arch, platform, cpus) = (op.arch(), op.platform(), op.cpus);
    let usable = arch.counters().map_or(0, |counters| counters.count);
    let Locked { key, state } = &mut *op.locked;
    let domain = &state.mon_domains[place];
    let MonState { arch: arch_domain, cpus: mask, counters, .. } = domain.open(key);
    let owner = Owner { group: who.group, event };
    if counters.find(owner).is_some() {
        return Ok(());
    }
    let Some(number) = counters.take(owner, usable) else {
        let (name, id) = (event.name(), domain.id);
        let why = format_args!("Failed to allocate counter for {name} in domain {id}\n");
        return Err(state.status.refuse_with(Errno::ENOSPC, why));
    };
    let counter = Counter { number, id: who.id, event };
    let filter = filter(&state.filters, event);
    arch.configure_counter(platform, DomainCpus::new(cpus, mask), arch_domain, counter, Some(filter));
    Ok(())
}

/// Takes the counter for `event` from a group, in the domain at this place of the list, if it has one.
pub(crate) fn unassign<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, place: usize, who: Monitored, event: EventId) {
    let (arch, platform, cpus) = (op.arch(), op.platform(), op.cpus);
    let Locked { key, state } = &mut *op.locked;
    let MonState { arch: arch_domain, cpus: mask, counters, .. } = state.mon_domains[place].open(key);
    if let Some(number) = counters.release(Owner { group: who.group, event }) {
        let counter = Counter { number, id: who.id, event };
        arch.configure_counter(platform, DomainCpus::new(cpus, mask), arch_domain, counter, None);
    }
}

/// Gives a new group a counter for each event in each domain, as far as there are any: what is missing is said in the
/// status and is no error.
pub(crate) fn assign_to_new<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, who: Monitored) {
    let fs = op.fs;
    if !fs.arch.counters_assigned() || !op.state().assign_on_mkdir {
        return;
    }
    for event in events(fs) {
        for place in 0..op.state().mon_domains.len() {
            let _ = assign(op, place, who, event);
        }
    }
}

/// Takes all counters from a group: it goes.
pub(crate) fn release<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, who: Monitored) {
    let fs = op.fs;
    for event in events(fs) {
        for place in 0..op.state().mon_domains.len() {
            unassign(op, place, who, event);
        }
    }
}

/// Lets the counters of a group count for other ids, from 0 on: the group has got these.
pub(crate) fn pass_on<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, who: Monitored, to: MonId) {
    let (fs, cpus) = (op.fs, op.cpus);
    let Locked { key, state } = &mut *op.locked;
    for domain in &state.mon_domains {
        let MonState { arch: arch_domain, cpus: mask, counters, .. } = domain.open(key);
        for event in events(fs) {
            let Some(number) = counters.find(Owner { group: who.group, event }) else { continue };
            for (id, filter) in [(who.id, None), (to, Some(filter(&state.filters, event)))] {
                fs.arch.configure_counter(
                    &fs.platform,
                    DomainCpus::new(cpus, mask),
                    arch_domain,
                    Counter { number, id, event },
                    filter,
                );
            }
        }
    }
}

/// Takes all counters from all groups: the file system goes.
pub(crate) fn release_all<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>) {
    let (fs, cpus) = (op.fs, op.cpus);
    each_assigned(op, |domain, mask, counter, _| {
        fs.arch.configure_counter(&fs.platform, DomainCpus::new(cpus, mask), domain, counter, None);
    });
    forget_all(op);
}

/// Empties every table; the architecture knows already.
pub(crate) fn forget_all<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>) {
    let Locked { key, state } = &mut *op.locked;
    for domain in &state.mon_domains {
        domain.open(key).counters.clear();
    }
}

/// Programs every counter of `event` anew, which makes 0 of it: what the event counts has changed.
pub(crate) fn reprogram<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, event: EventId) {
    let (fs, cpus) = (op.fs, op.cpus);
    each_assigned(op, |domain, mask, counter, filter| {
        if counter.event == event {
            fs.arch.configure_counter(&fs.platform, DomainCpus::new(cpus, mask), domain, counter, Some(filter));
        }
    });
}

/// Calls `f` for each counter of each domain that some group has, with what its event counts.
fn each_assigned<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    mut f: impl FnMut(&mut A::MonDomain, &CpuMask, Counter, Transactions),
) {
    let fs = op.fs;
    let Locked { key, state } = &mut *op.locked;
    for domain in &state.mon_domains {
        let MonState { arch, cpus, counters, .. } = domain.open(key);
        for who in state.every_monitored() {
            for event in events(fs) {
                if let Some(number) = counters.find(Owner { group: who.group, event }) {
                    f(arch, cpus, Counter { number, id: who.id, event }, filter(&state.filters, event));
                }
            }
        }
    }
}

/// Prints `num_mbm_cntrs`: the counters of each domain.
pub(crate) fn show_count<A: Arch<P>, P: Platform>(op: &Op<'_, A, P>, out: &mut dyn TextOut) -> Shown {
    show_each(op, out, |_, usable| usable as usize)
}

/// Prints `available_mbm_cntrs`: the counters of each domain that nobody has.
pub(crate) fn show_available<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, out: &mut dyn TextOut) -> Shown {
    require_assigned(op)?;
    show_each(op, out, CounterTable::available)
}

fn show_each<A: Arch<P>, P: Platform>(
    op: &Op<'_, A, P>,
    out: &mut dyn TextOut,
    number: impl Fn(&CounterTable, u32) -> usize,
) -> Shown {
    let usable = op.arch().counters().map_or(0, |counters| counters.count);
    let Locked { key, state } = &*op.locked;
    together(out, |out| {
        let mut separator = "";
        for domain in &state.mon_domains {
            let number = number(&domain.peek(key).counters, usable);
            out.text(separator)?.decimal(domain.id.0)?.text("=")?.decimal(number as u64)?;
            separator = ";";
        }
        out.end_line()
    })
}
