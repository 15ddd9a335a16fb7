// SPDX-License-Identifier: GPL-2.0-only
//! Who counts for whom: the RMIDs, free, in use and in limbo.
//!
//! A freed RMID still tags cache lines. Where occupancy can be read, it therefore waits in limbo until every domain has
//! seen its occupancy fall below the threshold, and only then joins the end of the free list, so that the RMID that has
//! been free for longest is the next to be used.
//!
//! # Invariants
//! * Each index but the reserved one is in use by one group, or on the free list once, or in limbo with a busy count
//!   that says in how many domains its bit is set.

use resctrl_types::{Arch, Closid, Errno, KVec, Platform, Result, Rmid, RmidIndex};

use crate::nodes::GroupId;

/// What an index is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Free,
    InUse,
    /// In limbo: busy in so many domains.
    Limbo(u32),
}

/// Every monitor id of the machine.
pub(crate) struct RmidTable {
    pub(crate) entries: KVec<Entry>,
    /// Longest free first. Has room for every index, so that freeing cannot fail.
    pub(crate) free: KVec<RmidIndex>,
    /// How many indexes are in limbo.
    pub(crate) limbo: u32,
    /// How many indexes of each CLOSID are in limbo; empty where RMIDs do not depend on the CLOSID.
    dirty: KVec<u32>,
    /// The monitor group that was the last to have each index and has left it behind by moving; empty where RMIDs do not depend
    /// on the CLOSID.
    left_by: KVec<Option<GroupId>>,
}

/// The index of the default group.
const RESERVED: RmidIndex = RmidIndex(0);

impl RmidTable {
    /// All RMIDs of the machine free, in ascending order, but the default group's.
    pub(crate) fn for_arch<A: Arch<P>, P: Platform>(arch: &A) -> Result<Self> {
        let count = arch.num_rmid_index();
        let last = RmidIndex(count.saturating_sub(1));
        let closids = if A::RMID_DEPENDS_ON_CLOSID { arch.rmid_decode(last).closid.index() + 1 } else { 0 };
        Self::new(count, closids)
    }

    fn new(count: u32, closids: usize) -> Result<Self> {
        let entries =
            KVec::from_fn(count as usize, |index| if index == RESERVED.index() { Entry::InUse } else { Entry::Free })?;
        let mut free = KVec::with_capacity(count as usize)?;
        for index in 1..count {
            free.push(RmidIndex(index))?;
        }
        let dirty = KVec::from_fn(closids, |_| 0)?;
        let left_by = KVec::from_fn(if closids > 0 { count as usize } else { 0 }, |_| None)?;
        Ok(RmidTable { entries, free, limbo: 0, dirty, left_by })
    }

    /// Takes the RMID that has been free for longest; where RMIDs depend on the CLOSID, of those of `closid`.
    ///
    /// # Errors
    /// As [`RmidTable::next`].
    pub(crate) fn alloc<A: Arch<P>, P: Platform>(&mut self, arch: &A, closid: Closid) -> Result<Rmid> {
        let next = self.next(arch, closid)?;
        self.take(next);
        Ok(arch.rmid_decode(next).rmid)
    }

    /// The index that is to be taken next: the one that has been free for longest; where RMIDs depend on the CLOSID, of
    /// those of `closid`.
    ///
    /// # Errors
    /// `EBUSY` when none is free but some are in limbo, `ENOSPC`.
    pub(crate) fn next<A: Arch<P>, P: Platform>(&self, arch: &A, closid: Closid) -> Result<RmidIndex> {
        if self.free.is_empty() {
            return Err(if self.limbo > 0 { Errno::EBUSY } else { Errno::ENOSPC });
        }
        let fits = |&&index: &&RmidIndex| !A::RMID_DEPENDS_ON_CLOSID || arch.rmid_decode(index).closid == closid;
        self.free.iter().find(fits).copied().ok_or(Errno::ENOSPC)
    }

    /// Takes an index that is free.
    pub(crate) fn take(&mut self, index: RmidIndex) {
        if let Some(at) = self.free.iter().position(|&free| free == index) {
            self.free.remove(at);
            self.set(index, Entry::InUse);
            self.leave(index, None);
        }
    }

    /// Takes note that a group has moved away from an index, or that whoever did has nothing to do with it any more.
    pub(crate) fn leave(&mut self, index: RmidIndex, group: Option<GroupId>) {
        if let Some(last) = self.left_by.get_mut(index.index()) {
            *last = group;
        }
    }

    /// An index of `closid` in limbo that `group` has left, and nobody has had since: what lines it has are the group's own.
    pub(crate) fn left_behind<A: Arch<P>, P: Platform>(
        &self,
        arch: &A,
        closid: Closid,
        group: GroupId,
    ) -> Option<RmidIndex> {
        let mut left = (0..).zip(self.left_by.iter()).filter(|&(_, &last)| last == Some(group));
        left.find_map(|(index, _)| {
            let limbo = matches!(self.entries.get(RmidIndex(index).index()), Some(Entry::Limbo(_)));
            Some(RmidIndex(index)).filter(|&index| limbo && arch.rmid_decode(index).closid == closid)
        })
    }

    /// Takes an index out of limbo for the group that had it: it is busy in no domain any more.
    pub(crate) fn take_back(&mut self, closid: Closid, index: RmidIndex) {
        if matches!(self.entries.get(index.index()), Some(Entry::Limbo(_))) {
            self.left_limbo(closid);
            self.set(index, Entry::InUse);
            self.leave(index, None);
        }
    }

    fn left_limbo(&mut self, closid: Closid) {
        self.limbo = self.limbo.saturating_sub(1);
        if let Some(dirty) = self.dirty.get_mut(closid.index()) {
            *dirty = dirty.saturating_sub(1);
        }
    }

    /// How many RMIDs that depend on `closid` are in limbo.
    pub(crate) fn dirty(&self, closid: Closid) -> u32 {
        self.dirty.get(closid.index()).copied().unwrap_or(0)
    }

    /// Ends the use of an index, which belongs to `closid` where RMIDs depend on it, and which is to be busy in `domains`
    /// domains: with none, it is free at once.
    pub(crate) fn release(&mut self, closid: Closid, index: RmidIndex, domains: u32) {
        if index == RESERVED {
            return;
        }
        if domains == 0 {
            self.set_free(index);
            return;
        }
        self.set(index, Entry::Limbo(domains));
        self.limbo = self.limbo.saturating_add(1);
        if let Some(dirty) = self.dirty.get_mut(closid.index()) {
            *dirty = dirty.saturating_add(1);
        }
    }

    /// One domain is done with an index in limbo. Returns whether it was the last.
    pub(crate) fn cleaned(&mut self, closid: Closid, index: RmidIndex) -> bool {
        match self.entries.get_mut(index.index()) {
            Some(Entry::Limbo(busy @ 2..)) => {
                *busy = busy.saturating_sub(1);
                false
            }
            Some(Entry::Limbo(_)) => {
                self.left_limbo(closid);
                self.set_free(index);
                true
            }
            Some(Entry::Free | Entry::InUse) | None => {
                debug_assert!(false, "{index} is not in limbo");
                false
            }
        }
    }

    /// An index comes from this table, or from the architecture, which has told how many there are.
    fn set(&mut self, index: RmidIndex, entry: Entry) {
        if let Some(place) = self.entries.get_mut(index.index()) {
            *place = entry;
        }
    }

    fn set_free(&mut self, index: RmidIndex) {
        self.set(index, Entry::Free);
        // The list was made with room for every index.
        let pushed = self.free.push(index);
        debug_assert!(pushed.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_rmid_is_used_last_again() {
        let mut table = RmidTable::new(4, 0).unwrap();
        table.free.remove(0);
        table.release(Closid(0), RmidIndex(1), 0);
        assert_eq!(&table.free[..], &[2, 3, 1].map(RmidIndex));
    }

    #[test]
    fn an_rmid_in_limbo_is_free_when_the_last_domain_is_done() {
        let mut table = RmidTable::new(4, 2).unwrap();
        table.free.remove(2);
        table.release(Closid(1), RmidIndex(3), 2);
        assert_eq!((table.limbo, table.dirty(Closid(1)), table.dirty(Closid(0))), (1, 1, 0));
        assert!(!table.cleaned(Closid(1), RmidIndex(3)));
        assert!(table.cleaned(Closid(1), RmidIndex(3)));
        assert_eq!((table.limbo, table.dirty(Closid(1)), table.free.len()), (0, 0, 3));
    }

    #[test]
    fn an_rmid_that_is_taken_back_is_in_use_and_counted_nowhere_else() {
        let mut table = RmidTable::new(4, 2).unwrap();
        table.free.remove(2);
        table.leave(RmidIndex(3), Some(GroupId(7)));
        table.release(Closid(1), RmidIndex(3), 2);
        table.take_back(Closid(1), RmidIndex(3));
        assert_eq!((table.limbo, table.dirty(Closid(1)), table.free.len()), (0, 0, 2));
        assert_eq!((table.entries[3], table.left_by[3]), (Entry::InUse, None));
        // Not in limbo: nothing to take back.
        table.take_back(Closid(0), RmidIndex(1));
        assert_eq!((table.entries[1], table.free.len()), (Entry::Free, 2));
    }

    #[test]
    fn the_reserved_rmid_is_never_freed() {
        let mut table = RmidTable::new(2, 0).unwrap();
        table.release(Closid(0), RESERVED, 3);
        assert_eq!((table.limbo, table.free.len()), (0, 1));
    }
}
