// SPDX-License-Identifier: GPL-2.0-only
//! One life of a CPU: how resctrl stands to it, which way it gets there, and what its registers hold.
//!
//! Everything that can happen to a CPU is an [`Edge`], whoever tells of it: CPU hotplug, the suspend of the system, the
//! hardware's failure, the end of the module. [`Life::after`] is the one table of what follows from what; the file system has
//! a [`Life`] of each CPU under its mutex and one function for each edge.
//!
//! | from | [`Come`](Edge::Come) | [`Go`](Edge::Go) | [`Suspend`](Edge::Suspend) | [`Resume`](Edge::Resume) | [`Lose`](Edge::Lose) | [`Fail`](Edge::Fail) |
//! |---|---|---|---|---|---|---|
//! | [`Offline`](Life::Offline) | online | | | | | failed |
//! | [`Online`](Life::Online) | | offline | suspended | | | failed |
//! | [`Suspended`](Life::Suspended) | | | | online | offline | failed |
//! | [`Failed`](Life::Failed) | | | | | | |
//!
//! An empty cell is an edge that does not exist: nothing happens.
//!
//! What a CPU's registers hold is not part of that table, since they are written at each context switch, where no lock is
//! held: [`CpuLabels`].

use crate::atomic::{AtomicU64, Ordering};

/// How resctrl stands to a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// It is in no group and no domain. Nothing of what it held is remembered.
    #[default]
    Offline,
    /// It works for a group, is in its domains, and can be crossed to.
    Online,
    /// The system sleeps, or is on its way there or back. The CPU is in its group and its domains, but cannot be crossed to,
    /// and nothing is known of its registers: the power may have gone.
    Suspended,
    /// The hardware has failed: resctrl has left it for good.
    Failed,
}

/// What happens to a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// It has come online.
    Come,
    /// It is about to go offline, or resctrl ends.
    Go,
    /// It is about to stop because the system is to sleep: its power may go.
    Suspend,
    /// It is back from that; its registers may hold anything.
    Resume,
    /// The system is awake, and this CPU has not come back.
    Lose,
    /// The hardware has failed.
    Fail,
}

impl Edge {
    /// All of them.
    pub const ALL: [Edge; 6] = [Edge::Come, Edge::Go, Edge::Suspend, Edge::Resume, Edge::Lose, Edge::Fail];
}

impl Life {
    /// All of them.
    pub const ALL: [Life; 4] = [Life::Offline, Life::Online, Life::Suspended, Life::Failed];

    /// How resctrl stands to a CPU after this has happened to it; `None` where it does not matter to resctrl.
    #[must_use]
    pub const fn after(self, edge: Edge) -> Option<Life> {
        match (self, edge) {
            (Life::Offline, Edge::Come) | (Life::Suspended, Edge::Resume) => Some(Life::Online),
            (Life::Online, Edge::Suspend) => Some(Life::Suspended),
            (Life::Online, Edge::Go) | (Life::Suspended, Edge::Lose) => Some(Life::Offline),
            (Life::Offline | Life::Online | Life::Suspended, Edge::Fail) => Some(Life::Failed),
            _ => None,
        }
    }

    /// Whether the CPU is in its group and its domains.
    #[must_use]
    pub const fn is_member(self) -> bool {
        matches!(self, Life::Online | Life::Suspended)
    }
}

/// Labels no CPU can have.
const UNKNOWN: u64 = u64::MAX;

/// The registers that say for whom a CPU works: what they hold, and what they are to hold for tasks without ids of their own.
///
/// What stands for their contents is the architecture's: a word that is never all ones. Each CPU has a cache line of its own, since
/// this is touched at every context switch.
///
/// # Invariants
/// What is held is written only by code that runs on the CPU. It is what the registers hold, or it is unknown; and it is
/// unknown from the moment when the registers may have been lost until they have been written.
///
/// ```
/// use core::sync::atomic::{AtomicU64, Ordering};
/// use resctrl_types::cpu::CpuLabels;
///
/// let register = AtomicU64::new(0);
/// let write = |labels| register.store(labels, Ordering::Relaxed);
/// let cpu = CpuLabels::default();
/// cpu.switch(7, write);
/// cpu.switch(7, |_| panic!("they hold that"));
/// register.store(0, Ordering::Relaxed); // the power goes
/// cpu.forget();
/// cpu.switch(7, write);
/// assert_eq!(register.load(Ordering::Relaxed), 7);
/// ```
#[derive(Debug)]
#[repr(align(64))]
pub struct CpuLabels {
    held: AtomicU64,
    default: AtomicU64,
    /// What tasks with two words need, as found out in this epoch: a task's and that of the idle ones, mostly.
    epoch: AtomicU64,
    known: [Known; 2],
}

/// What a task with this word needs.
#[derive(Debug)]
struct Known {
    task: AtomicU64,
    labels: AtomicU64,
}

impl Default for CpuLabels {
    fn default() -> Self {
        let [held, default, epoch] = [UNKNOWN, 0, 0].map(AtomicU64::new);
        let known = [(); 2].map(|()| Known { task: AtomicU64::new(UNKNOWN), labels: AtomicU64::new(0) });
        CpuLabels { held, default, epoch, known }
    }
}

impl CpuLabels {
    /// The word that tasks without ids of their own run with on this CPU. 0 to begin with.
    #[must_use]
    #[inline]
    pub fn default_word(&self) -> u64 {
        self.default.load(Ordering::Relaxed)
    }

    /// Sets that word. Takes effect at the next switch.
    pub fn set_default_word(&self, word: u64) {
        self.default.store(word, Ordering::Relaxed);
    }

    /// What the registers hold; `None` when that is unknown.
    #[must_use]
    pub fn held(&self) -> Option<u64> {
        Some(self.held.load(Ordering::Relaxed)).filter(|&held| held != UNKNOWN)
    }

    /// Makes the registers hold what a task with this word needs, with interrupts off, if that has been
    /// [found out](CpuLabels::learn) in this epoch; otherwise does nothing and tells so. What a task needs depends on the default,
    /// and on what else the caller knows of: who changes any of that, begins another epoch then. Called at every context switch.
    #[must_use = "what the task needs may have to be found out"]
    #[inline]
    pub fn switch_to(&self, task: u64, epoch: u64, write: impl FnOnce(u64)) -> bool {
        if self.epoch.load(Ordering::Relaxed) != epoch {
            return false;
        }
        let Some(known) = self.known.iter().find(|known| known.task.load(Ordering::Relaxed) == task) else {
            return false;
        };
        self.switch(known.labels.load(Ordering::Relaxed), write);
        true
    }

    /// Takes note, with interrupts off, of what a task with this word needs, in place of the word that the CPU does not come from,
    /// and tells it. `find` tells it from the default. The epoch is that from before: if it is another by now, the next switch asks again.
    pub fn learn(&self, task: u64, epoch: u64, find: impl FnOnce(u64) -> u64) -> u64 {
        let labels = find(self.default_word());
        let [first, second] = &self.known;
        if self.epoch.load(Ordering::Relaxed) != epoch {
            self.unlearn();
            self.epoch.store(epoch, Ordering::Relaxed);
        }
        let comes_from_first = first.labels.load(Ordering::Relaxed) == self.held.load(Ordering::Relaxed);
        let known = if comes_from_first { second } else { first };
        known.labels.store(labels, Ordering::Relaxed);
        known.task.store(task, Ordering::Relaxed);
        labels
    }

    fn unlearn(&self) {
        self.known.iter().for_each(|known| known.task.store(UNKNOWN, Ordering::Relaxed));
    }

    /// Makes the registers hold `labels`, with interrupts off: calls `write` unless they do.
    #[inline]
    pub fn switch(&self, labels: u64, write: impl FnOnce(u64)) {
        if self.held.load(Ordering::Relaxed) != labels {
            self.held.store(labels, Ordering::Relaxed);
            write(labels);
        }
    }

    /// The registers may have been lost: the next switch writes them, whatever it is to. Nor is it known what tasks need.
    pub fn forget(&self) {
        self.held.store(UNKNOWN, Ordering::Relaxed);
        self.unlearn();
    }

    /// Makes the registers hold `labels`, from a thread that context switches may interrupt.
    pub fn write_from_thread(&self, labels: u64, write: impl FnOnce(u64)) {
        // A context switch in here finds that nothing is known and writes. Whether it came before or after the write below
        // cannot be told then, so it stays unknown and the next switch writes again.
        self.forget();
        write(labels);
        if self.held.compare_exchange(UNKNOWN, labels, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            self.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::cell::Cell;

    #[test]
    fn the_table_of_edges_is_the_one_that_the_documentation_shows() {
        let source = include_str!("cpu.rs");
        for life in Life::ALL {
            let row = std::format!("//! | [`{life:?}`]");
            let row = source.lines().find(|line| line.starts_with(&row)).unwrap();
            let cells = row.split('|').skip(2).map(str::trim);
            for (edge, cell) in Edge::ALL.into_iter().zip(cells) {
                let shown = life.after(edge).map(|life| std::format!("{life:?}").to_lowercase()).unwrap_or_default();
                assert_eq!(shown, cell, "{life:?} after {edge:?}");
            }
        }
    }

    #[test]
    fn no_edge_leads_out_of_failure_and_every_other_state_can_be_left_and_entered_again() {
        let reachable = |from: Life| {
            let mut seen = std::vec![from];
            let mut at = 0;
            while let Some(&life) = seen.get(at) {
                for next in Edge::ALL.into_iter().filter_map(|edge| life.after(edge)) {
                    if !seen.contains(&next) {
                        seen.push(next);
                    }
                }
                at += 1;
            }
            seen
        };
        assert_eq!(reachable(Life::Failed), [Life::Failed]);
        for life in [Life::Offline, Life::Online, Life::Suspended] {
            assert_eq!(reachable(life).len(), Life::ALL.len());
        }
    }

    #[test]
    fn a_switch_that_comes_in_between_leaves_what_the_registers_hold_unknown() {
        let register = Cell::new(0);
        let cpu = CpuLabels::default();
        cpu.write_from_thread(1, |labels| {
            register.set(labels);
            cpu.switch(2, |labels| register.set(labels));
        });
        assert_eq!(cpu.held(), None);
        let written = Cell::new(0);
        cpu.switch(2, |_| written.set(written.get() + 1));
        cpu.switch(2, |_| written.set(written.get() + 1));
        assert_eq!((written.get(), cpu.held()), (1, Some(2)));
    }

    #[test]
    fn what_a_thread_writes_is_in_the_registers_and_the_next_switch_to_it_writes_nothing() {
        let register = Cell::new(0);
        let cpu = CpuLabels::default();
        cpu.write_from_thread(1, |labels| register.set(labels));
        assert_eq!((register.get(), cpu.held()), (1, Some(1)));
        cpu.switch(1, |_| panic!("they hold that"));
    }

    #[test]
    fn what_two_words_need_is_known_until_anything_that_mattered_is_another() {
        let cpu = CpuLabels::default();
        let written = Cell::new(None);
        // What a task needs is ten times its word, or the default; whether it was known, and what was written.
        let switch = |task: u64, epoch| {
            let write = |labels| written.set(Some(labels));
            let known = cpu.switch_to(task, epoch, write);
            if !known {
                cpu.switch(cpu.learn(task, epoch, |default| if task == 0 { default } else { task * 10 }), write);
            }
            (known, written.take())
        };
        assert_eq!(switch(1, 1), (false, Some(10)));
        assert_eq!(switch(1, 1), (true, None));
        assert_eq!(switch(0, 1), (false, Some(0)));
        assert_eq!([switch(1, 1), switch(0, 1)], [(true, Some(10)), (true, Some(0))]);
        assert_eq!(switch(2, 1), (false, Some(20)));
        assert_eq!([switch(0, 1), switch(2, 1)], [(true, Some(0)), (true, Some(20))], "whence the CPU came is kept");
        assert_eq!(switch(1, 1), (false, Some(10)), "of three one is forgotten");
        cpu.set_default_word(7);
        assert_eq!(switch(0, 2), (false, Some(7)), "the default is another, so the epoch is");
        assert_eq!(switch(1, 2), (false, Some(10)), "and nothing from before counts");
        assert_eq!(switch(0, 2), (true, Some(7)));
        cpu.forget();
        assert_eq!(switch(0, 2), (false, Some(7)), "the registers are lost");
    }
}
