// SPDX-License-Identifier: GPL-2.0-only
//! Who has which counter, where bandwidth is counted by counters that are assigned (`mbm_event` mode).
//!
//! Each monitor domain has a table of its own: a group may be counted in one domain and not in another. The counters of a
//! domain that goes offline are gone with it, and one that comes has none assigned.
//!
//! # Invariants
//! * An entry names a group that lives and an event that the machine has.
//! * No pair of group and event has two counters in one domain.

use resctrl_types::{Arch, Counter, CpuMask, Errno, EventId, KVec, Platform, Result, Transactions};

use super::assign_mode;
use crate::domain::MonState;
use crate::nodes::GroupId;
use crate::ops::Shown;
use crate::state::{Locked, Monitored};
use crate::text::TextOut;
use crate::{Op, Resctrl};

/// What a counter was given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) group: GroupId,
    pub(crate) event: EventId,
}

/// The counters of one domain.
#[derive(Default)]
pub(crate) struct CounterTable(KVec<Option<Owner>>);

impl CounterTable {
    /// `count` counters that are nobody's.
    pub(crate) fn new(count: u32) -> Result<Self> {
        Ok(CounterTable(KVec::from_fn(count as usize, |_| None)?))
    }

    /// The counter of `owner`.
    pub(crate) fn find(&self, owner: Owner) -> Option<u32> {
        (0..).zip(self.0.iter()).find(|&(_, &taken)| taken == Some(owner)).map(|(number, _)| number)
    }

    /// Gives the lowest free counter of the first `usable` ones to `owner`, who has none.
    fn take(&mut self, owner: Owner, usable: u32) -> Option<u32> {
        let (number, entry) = (0..usable).zip(self.0.iter_mut()).find(|(_, entry)| entry.is_none())?;
        *entry = Some(owner);
        Some(number)
    }

    /// Takes the counter of `owner` back and says which it was.
    fn release(&mut self, owner: Owner) -> Option<u32> {
        let number = self.find(owner)?;
        self.0[number as usize] = None;
        Some(number)
    }

    /// Takes all counters back.
    pub(crate) fn clear(&mut self) {
        self.0.fill(None);
    }

    /// How many of the first `usable` counters are free.
    fn available(&self, usable: u32) -> usize {
        self.0.iter().take(usable as usize).filter(|entry| entry.is_none()).count()
    }

    /// Whoever has a counter.
    pub(crate) fn owners(&self) -> impl Iterator<Item = Owner> + '_ {
        self.0.iter().filter_map(|&entry| entry)
    }
}

/// What each event counts, in the order of [`EventId::MBM`]: `event_filter`.
pub(crate) type Filters = [Transactions; EventId::MBM.len()];

/// What each event counts unless told otherwise.
pub(crate) fn default_filters<A: Arch<P>, P: Platform>(arch: &A) -> Filters {
    let counters = arch.counters();
    EventId::MBM.map(|event| counters.map_or(Transactions::EMPTY, |counters| counters.default_filter(event)))
}

/// What an event counts.
pub(crate) fn filter(filters: &Filters, event: EventId) -> Transactions {
    event.mbm_index().map_or(Transactions::EMPTY, |index| filters[index])
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
) -> Result<()> {
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
        state.status.format(format_args!("Failed to allocate counter for {name} in domain {id}\n"));
        return Err(Errno::ENOSPC);
    };
    let counter = Counter { number, id: who.id, event };
    arch.configure_counter(platform, cpus, arch_domain, mask, counter, Some(filter(&state.filters, event)));
    Ok(())
}

/// Takes the counter for `event` from a group, in the domain at this place of the list, if it has one.
pub(crate) fn unassign<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, place: usize, who: Monitored, event: EventId) {
    let (arch, platform, cpus) = (op.arch(), op.platform(), op.cpus);
    let Locked { key, state } = &mut *op.locked;
    let MonState { arch: arch_domain, cpus: mask, counters, .. } = state.mon_domains[place].open(key);
    if let Some(number) = counters.release(Owner { group: who.group, event }) {
        let counter = Counter { number, id: who.id, event };
        arch.configure_counter(platform, cpus, arch_domain, mask, counter, None);
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

/// Takes all counters from all groups: the file system goes.
pub(crate) fn release_all<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>) {
    let (fs, cpus) = (op.fs, op.cpus);
    each_assigned(op, |domain, mask, counter, _| {
        fs.arch.configure_counter(&fs.platform, cpus, domain, mask, counter, None);
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
            fs.arch.configure_counter(&fs.platform, cpus, domain, mask, counter, Some(filter));
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
    assign_mode::require_assigned(op)?;
    show_each(op, out, CounterTable::available)
}

fn show_each<A: Arch<P>, P: Platform>(
    op: &Op<'_, A, P>,
    out: &mut dyn TextOut,
    number: impl Fn(&CounterTable, u32) -> usize,
) -> Shown {
    let usable = op.arch().counters().map_or(0, |counters| counters.count);
    let Locked { key, state } = &*op.locked;
    let mut separator = "";
    for domain in &state.mon_domains {
        write!(out, "{separator}{}={}", domain.id, number(&domain.peek(key).counters, usable))?;
        separator = ";";
    }
    Ok(out.write_str("\n")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn owner(group: u64) -> Owner {
        Owner { group: GroupId(group), event: EventId::MbmTotal }
    }

    #[test]
    fn the_lowest_free_counter_is_given_and_none_beyond_the_usable_ones() {
        let mut table = CounterTable::new(3).unwrap();
        assert_eq!([1, 2, 3].map(|group| table.take(owner(group), 2)), [Some(0), Some(1), None]);
        assert_eq!(table.available(2), 0);
        assert_eq!(table.release(owner(1)), Some(0));
        assert_eq!(table.release(owner(1)), None);
        assert_eq!((table.available(2), table.find(owner(2))), (1, Some(1)));
        assert_eq!(table.take(owner(3), 3), Some(0));
        assert_eq!(table.take(owner(4), 3), Some(2));
        assert!(table.owners().eq([3, 2, 4].map(owner)));
    }

    #[test]
    fn an_event_of_a_group_has_a_counter_of_its_own() {
        let mut table = CounterTable::new(2).unwrap();
        let local = Owner { event: EventId::MbmLocal, ..owner(1) };
        assert_eq!((table.take(owner(1), 2), table.take(local, 2)), (Some(0), Some(1)));
        table.release(owner(1));
        assert_eq!((table.find(owner(1)), table.find(local)), (None, Some(1)));
        table.clear();
        assert_eq!(table.available(2), 2);
    }
}
