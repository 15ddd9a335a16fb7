// SPDX-License-Identifier: GPL-2.0-only
//! Who has which counter, where bandwidth is counted by counters that are assigned (`mbm_event` mode).
//!
//! Each monitor domain has a table of its own: a group may be counted in one domain and not in another. The counters of a
//! domain that goes offline are gone with it, and one that comes has none assigned.
//!
//! # Invariants
//! * An entry names a group that lives and an event that the machine has.
//! * No pair of group and event has two counters in one domain.

use resctrl_types::{Arch, EventId, KVec, Platform, Result, Transactions};

use crate::nodes::GroupId;

/// What a counter was given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) group: GroupId,
    pub(crate) event: EventId,
}

/// The counters of one domain. There may be hundreds, of which few are taken.
#[derive(Default)]
pub(crate) struct CounterTable {
    entries: KVec<Option<Owner>>,
    /// How many of them are somebody's.
    taken: u32,
}

impl CounterTable {
    /// `count` counters that are nobody's.
    pub(crate) fn new(count: u32) -> Result<Self> {
        Ok(CounterTable { entries: KVec::from_fn(count as usize, |_| None)?, taken: 0 })
    }

    /// Those that are somebody's, with their numbers: looks no further than there are any.
    fn taken(&self) -> impl Iterator<Item = (u32, Owner)> + '_ {
        let taken = (0..).zip(self.entries.iter()).filter_map(|(number, &entry)| Some((number, entry?)));
        taken.take(self.taken as usize)
    }

    /// The counter of `owner`.
    pub(crate) fn find(&self, owner: Owner) -> Option<u32> {
        self.taken().find(|&(_, other)| other == owner).map(|(number, _)| number)
    }

    /// Gives the lowest free counter of the first `usable` ones to `owner`, who has none.
    pub(crate) fn take(&mut self, owner: Owner, usable: u32) -> Option<u32> {
        let (number, entry) = (0..usable).zip(self.entries.iter_mut()).find(|(_, entry)| entry.is_none())?;
        *entry = Some(owner);
        self.taken = self.taken.saturating_add(1);
        Some(number)
    }

    /// Takes the counter of `owner` back and says which it was.
    pub(crate) fn release(&mut self, owner: Owner) -> Option<u32> {
        let number = self.find(owner)?;
        if let Some(counter) = self.entries.get_mut(number as usize) {
            *counter = None;
            self.taken = self.taken.saturating_sub(1);
        }
        Some(number)
    }

    /// Takes all counters back.
    pub(crate) fn clear(&mut self) {
        self.entries.fill(None);
        self.taken = 0;
    }

    /// How many of the first `usable` counters are free. None beyond them is taken.
    pub(crate) fn available(&self, usable: u32) -> usize {
        usable.saturating_sub(self.taken) as usize
    }

    /// Whoever has a counter.
    pub(crate) fn owners(&self) -> impl Iterator<Item = Owner> + '_ {
        self.taken().map(|(_, owner)| owner)
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
