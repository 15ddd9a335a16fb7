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

use resctrl_types::ids::TaskWord;
use resctrl_types::{Arch, Closid, Errno, KVec, Platform, Rmid, RmidIndex};
use resctrl_types::{Result, arch::MonId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Free,
    InUse,
    /// In limbo: busy in so many domains.
    Limbo(u32),
}

/// Every monitor id of the machine.
pub(crate) struct RmidTable {
    entries: KVec<Entry>,
    /// Longest free first. Has room for every index, so that freeing cannot fail.
    free: KVec<RmidIndex>,
    limbo: u32,
}

/// The index of the default group.
const RESERVED: RmidIndex = RmidIndex(0);

impl RmidTable {
    /// All of `0..count` free, in ascending order, but the default group's.
    pub(crate) fn new(count: u32) -> Result<Self> {
        let entries =
            KVec::from_fn(count as usize, |index| if index == RESERVED.index() { Entry::InUse } else { Entry::Free })?;
        let mut free = KVec::with_capacity(count as usize)?;
        for index in 1..count {
            free.push(RmidIndex(index))?;
        }
        Ok(RmidTable { entries, free, limbo: 0 })
    }

    /// Takes the RMID that has been free for longest; where RMIDs depend on the CLOSID, of those of `closid`.
    ///
    /// # Errors
    /// `EBUSY` when none is free but some are in limbo, `ENOSPC`.
    pub(crate) fn alloc<A: Arch<P>, P: Platform>(&mut self, arch: &A, closid: Closid) -> Result<Rmid> {
        if self.free.is_empty() {
            return Err(if self.limbo > 0 { Errno::EBUSY } else { Errno::ENOSPC });
        }
        let fits = |&index: &RmidIndex| !A::RMID_DEPENDS_ON_CLOSID || arch.rmid_decode(index).closid == closid;
        let at = self.free.iter().position(fits).ok_or(Errno::ENOSPC)?;
        let index = self.free.remove(at);
        self.entries[index.index()] = Entry::InUse;
        Ok(arch.rmid_decode(index).rmid)
    }

    /// How many RMIDs that depend on `closid` are in limbo.
    pub(crate) fn dirty<A: Arch<P>, P: Platform>(&self, arch: &A, closid: Closid) -> usize {
        let indexes = (0..).map(RmidIndex).zip(self.entries.iter());
        let in_limbo = indexes.filter(|(_, entry)| matches!(entry, Entry::Limbo(_)));
        in_limbo.filter(|&(index, _)| arch.rmid_decode(index).closid == closid).count()
    }

    /// Ends the use of an index that is to be busy in `domains` domains: with none, it is free at once.
    pub(crate) fn release(&mut self, index: RmidIndex, domains: u32) {
        if index == RESERVED {
            return;
        }
        if domains == 0 {
            self.set_free(index);
        } else {
            self.entries[index.index()] = Entry::Limbo(domains);
            self.limbo += 1;
        }
    }

    /// One domain is done with an index in limbo. Returns whether it was the last.
    pub(crate) fn cleaned(&mut self, index: RmidIndex) -> bool {
        match self.entries[index.index()] {
            Entry::Limbo(busy) if busy > 1 => {
                self.entries[index.index()] = Entry::Limbo(busy - 1);
                false
            }
            Entry::Limbo(_) => {
                self.limbo -= 1;
                self.set_free(index);
                true
            }
            Entry::Free | Entry::InUse => {
                debug_assert!(false, "{index} is not in limbo");
                false
            }
        }
    }

    fn set_free(&mut self, index: RmidIndex) {
        self.entries[index.index()] = Entry::Free;
        // The list was made with room for every index.
        let pushed = self.free.push(index);
        debug_assert!(pushed.is_ok());
    }
}

/// The task word of a group.
pub(crate) fn word<A: Arch<P>, P: Platform>(arch: &A, closid: Closid, rmid: Rmid) -> TaskWord {
    arch.task_word(MonId { closid, rmid })
}
