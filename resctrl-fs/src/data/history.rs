// SPDX-License-Identifier: GPL-2.0-only
//! Which ids tasks may have: whoever looks for tasks with others need not walk through all there are.
//!
//! An id is noted before a task gets it, and at each context switch to a task that has it, unless the CPU knows the task's word from
//! a switch before and nothing was forgotten meanwhile: the epoch tells. It is forgotten before all tasks that have it are given
//! others. A task that was being created meanwhile is in no list yet and keeps the id (see [`crate::rdtgroup::tasks`]); it cannot
//! have run, so it notes the id when it does. What is noted is kept when the last group goes, for whoever gives something to a group next,
//! or mounts, to see whether there can be such tasks.
//!
//! Of two ids in a word each is noted by itself. An id that is not known here, and the default group's, tasks may always have.

use resctrl_types::{Arch, Closid, KVec, Platform, ResourceId, Result, RmidIndex};

use crate::atomic::{AtomicBool, AtomicU64, Ordering, fence};

/// What tasks may have.
pub(crate) struct History {
    closids: KVec<AtomicBool>,
    rmids: KVec<AtomicBool>,
    any: AtomicBool,
    /// How often anything was forgotten, or a CPU got another default.
    epoch: AtomicU64,
}

impl History {
    /// No task has any id.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn new<A: Arch<P>, P: Platform>(arch: &A) -> Result<Self> {
        let controls = ResourceId::ALL.into_iter().filter_map(|resource| arch.control(resource));
        let closids = controls.map(|control| control.num_closid).max().unwrap_or(0);
        Self::of(closids, arch.num_rmid_index())
    }

    pub(crate) fn of(closids: u32, rmids: u32) -> Result<Self> {
        let none = |count: u32| KVec::from_fn(count as usize, |_| AtomicBool::new(false));
        let (any, epoch) = (AtomicBool::new(false), AtomicU64::new(0));
        Ok(History { closids: none(closids)?, rmids: none(rmids)?, any, epoch })
    }

    /// Another number after anything was forgotten or a CPU got another default: whoever has seen this number, then an id noted, and
    /// sees it again, need not note it again.
    ///
    /// As with [`History::note`], the caller is behind a full barrier and has chosen the task.
    #[inline]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Takes note of the ids of a task. Called at context switches: no lock, no loop.
    ///
    /// What is noted already is not written again. That orders nothing; but before it there is a full barrier, since the caller has
    /// chosen the task, and so is there in [`History::forget_closid`], where it begins an epoch. Either the walk behind that sees the task, or this
    /// sees that the id was forgotten.
    #[inline]
    pub(crate) fn note(&self, closid: Closid, index: RmidIndex) {
        let missing = |of: Option<&AtomicBool>| of.is_some_and(|noted| !noted.load(Ordering::Relaxed));
        let (closid, rmid) = (self.closids.get(closid.index()), self.rmids.get(index.index()));
        if missing(closid) || missing(rmid) {
            self.note_first(closid, rmid);
        }
    }

    #[cold]
    fn note_first(&self, closid: Option<&AtomicBool>, rmid: Option<&AtomicBool>) {
        // Whoever sees one of these sees the task in the list of all, if it is there: by the barrier before.
        [closid, rmid].into_iter().flatten().for_each(|noted| noted.store(true, Ordering::Relaxed));
        self.any.store(true, Ordering::Relaxed);
    }

    /// Whether a task may have the CLOSID.
    pub(crate) fn has_closid(&self, closid: Closid) -> bool {
        closid == Closid::RESERVED || may(&self.closids, closid.index())
    }

    /// Whether a task may have the RMID.
    pub(crate) fn has_rmid(&self, index: RmidIndex) -> bool {
        index == RmidIndex(0) || may(&self.rmids, index.index())
    }

    /// All tasks that have the CLOSID are about to be given another. Whether there can be any.
    pub(crate) fn forget_closid(&self, closid: Closid) -> bool {
        closid == Closid::RESERVED || self.forget(&self.closids, closid.index())
    }

    /// All tasks that have the RMID are about to be given another. Whether there can be any.
    pub(crate) fn forget_rmid(&self, index: RmidIndex) -> bool {
        index == RmidIndex(0) || self.forget(&self.rmids, index.index())
    }

    /// Whether any task may have an id.
    pub(crate) fn has_any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// All tasks are about to be given the default group's ids. Whether any may have another.
    pub(crate) fn forget_all(&self) -> bool {
        let had = take_back(&self.any);
        if had {
            self.closids.iter().chain(self.rmids.iter()).for_each(|noted| noted.store(false, Ordering::Relaxed));
            self.begin_epoch();
        }
        had
    }

    fn forget(&self, noted: &[AtomicBool], at: usize) -> bool {
        let had = noted.get(at).is_none_or(take_back);
        if had {
            self.begin_epoch();
        }
        had
    }

    /// What CPUs have found out about tasks' words may not be true any more. Whoever sees the new epoch sees what was done before.
    ///
    /// A full barrier: the walk behind this sees every task that was chosen by a CPU which has not seen the new epoch. An exchange
    /// alone is none; on Arm what follows it may come before its write (C11, 7.17.3; DDI 0487, B2.3, without FEAT_LSE).
    pub(crate) fn begin_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
        fence(Ordering::SeqCst);
    }
}

/// Whether it was noted, which it is not any more. Whoever calls this holds the rdtgroup mutex, so that CPUs alone write meanwhile.
fn take_back(noted: &AtomicBool) -> bool {
    let had = noted.load(Ordering::Relaxed);
    if had {
        noted.store(false, Ordering::Relaxed);
    }
    had
}

fn may(noted: &[AtomicBool], at: usize) -> bool {
    noted.get(at).is_none_or(|noted| noted.load(Ordering::Acquire))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_had_from_the_first_note_until_it_is_forgotten() {
        let history = History::of(4, 8).unwrap();
        assert!(!history.has_any() && !history.has_closid(Closid(2)) && !history.has_rmid(RmidIndex(5)));
        history.note(Closid(2), RmidIndex(5));
        assert!(history.has_any() && history.has_closid(Closid(2)) && history.has_rmid(RmidIndex(5)));
        assert!(!history.has_closid(Closid(3)) && !history.has_rmid(RmidIndex(2)));
        assert!(history.forget_closid(Closid(2)) && !history.forget_closid(Closid(2)));
        assert!(history.has_rmid(RmidIndex(5)) && history.forget_rmid(RmidIndex(5)) && !history.has_rmid(RmidIndex(5)));
        history.note(Closid(2), RmidIndex(0));
        assert!(history.has_closid(Closid(2)), "again");
        assert!(history.forget_all() && !history.has_closid(Closid(2)) && !history.forget_all());
    }

    #[test]
    fn whatever_is_forgotten_begins_an_epoch_and_nothing_else_does() {
        let history = History::of(4, 8).unwrap();
        let begins = |f: &dyn Fn() -> bool| {
            let before = history.epoch();
            f();
            history.epoch() != before
        };
        history.note(Closid(2), RmidIndex(5));
        assert!(!begins(&|| history.forget_closid(Closid(3)) || history.forget_rmid(RmidIndex(2))));
        assert!(begins(&|| history.forget_closid(Closid(2))) && !begins(&|| history.forget_closid(Closid(2))));
        assert!(begins(&|| history.forget_rmid(RmidIndex(5))) && !begins(&|| history.forget_rmid(RmidIndex(5))));
        assert!(begins(&|| history.forget_all()) && !begins(&|| history.forget_all()));
        assert!(begins(&|| history.forget_closid(Closid(7))), "what is not known may always have been had");
    }

    #[test]
    fn what_is_not_known_and_the_default_groups_ids_are_always_had() {
        let history = History::of(2, 0).unwrap();
        assert!(history.has_closid(Closid(0)) && history.has_rmid(RmidIndex(0)) && history.forget_closid(Closid(0)));
        assert!(history.has_closid(Closid(2)) && history.has_rmid(RmidIndex(1)) && history.forget_rmid(RmidIndex(1)));
        history.note(Closid(7), RmidIndex(7));
        assert!(!history.has_closid(Closid(1)));
    }
}
