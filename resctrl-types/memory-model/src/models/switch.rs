// SPDX-License-Identifier: GPL-2.0-only
//! The context switch: what a CPU goes by that others change meanwhile, and what interrupts those who change it on that CPU.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use loom::sync::atomic::{AtomicBool, fence};
use loom::thread;

use super::{Harmless, Subject, explore, models};
use crate::arch::Ids;
use crate::atomic::Ordering;
use crate::cpu::CpuLabels;
use crate::history::History;
use crate::place::Change;
use crate::{Closid, CpuId, Here, IrqOff, MonId, ResourceId, Rmid, RmidIndex, TaskWord, interrupt, switch};

pub(super) const SUBJECT: Subject = Subject {
    name: "switch",
    files: &["resctrl-fs/src/rdtgroup/switch.rs", "resctrl-fs/src/data/history.rs", "resctrl-types/src/cpu.rs"],
    models: models![
        a_task_that_is_switched_to_is_seen_or_has_its_id_noted,
        so_is_one_whose_id_was_noted_before,
        so_is_one_whose_word_the_cpu_knows,
        so_is_one_when_all_are_given_the_default_groups,
        whoever_sees_an_id_noted_sees_the_task,
        the_default_of_an_epoch_is_the_one_that_was_set_before_it,
        whatever_interrupts_a_reset_the_next_switch_is_to_what_holds,
    ],
    wrong: models![
        a_default_that_begins_no_epoch,
        a_default_that_is_set_after_its_epoch_has_begun,
        a_thread_that_takes_a_switch_for_impossible,
    ],
    harmless: &[Harmless {
        line: "self.epoch.fetch_add(1, Ordering::Release);",
        change: Change::Torn,
        reason: "whoever begins an epoch holds the rdtgroup mutex",
    }],
};

const CLOSID: Closid = Closid(1);
const WORD: TaskWord = TaskWord(1);
const DEFAULT: TaskWord = TaskWord(0);

/// An architecture of one CPU: a task's word is its CLOSID, and what the register holds.
#[derive(Default)]
struct OneCpu {
    labels: CpuLabels,
    /// Only the CPU has it.
    register: AtomicU64,
}

impl OneCpu {
    fn write(&self, labels: u64) {
        interrupt::point();
        self.register.store(labels, Ordering::Relaxed);
    }

    fn register(&self) -> u64 {
        self.register.load(Ordering::Relaxed)
    }
}

impl Ids for OneCpu {
    const RMID_DEPENDS_ON_CLOSID: bool = false;
    const CLOSID_PLACES: u64 = u64::MAX;
    const RMID_PLACES: u64 = 0;

    fn num_rmid_index(&self) -> u32 {
        1
    }

    fn rmid_index(&self, _: MonId) -> RmidIndex {
        RmidIndex(0)
    }

    fn rmid_decode(&self, _: RmidIndex) -> MonId {
        MonId { closid: Closid::RESERVED, rmid: Rmid::RESERVED }
    }

    fn task_word(&self, id: MonId) -> TaskWord {
        TaskWord(id.closid.0.into())
    }

    fn task_ids(&self, word: TaskWord) -> MonId {
        MonId { closid: Closid(word.0.try_into().expect("a CLOSID")), rmid: Rmid::RESERVED }
    }

    fn cpu_labels(&self, _: CpuId) -> Option<&CpuLabels> {
        Some(&self.labels)
    }

    fn effective(&self, task: TaskWord, default: TaskWord) -> u64 {
        if task == DEFAULT { default.0 } else { task.0 }
    }

    fn write_labels(&self, _: Here<'_>, labels: u64) {
        self.write(labels);
    }

    fn cdp_enabled(&self, _: ResourceId) -> bool {
        false
    }
}

struct Machine {
    arch: OneCpu,
    history: History,
    /// A walk over tasks sees the one there is.
    listed: AtomicBool,
}

impl Machine {
    fn new() -> Self {
        let history = History::of(8, 1).expect("there is memory");
        Machine { arch: OneCpu::default(), history, listed: AtomicBool::new(false) }
    }

    /// The CPU switches to a task.
    fn switch(&self, word: TaskWord) {
        // SAFETY: of the threads of a model one is the CPU.
        let here = unsafe { IrqOff::new(CpuId(0)) };
        switch::sched_in(&self.arch, &self.history, here, word);
    }

    /// The task appears in the list of all, and the CPU switches to it.
    fn begin_task(&self) {
        self.listed.store(true, Ordering::Relaxed);
        // Choosing a task is a full barrier.
        fence(Ordering::SeqCst);
        self.switch(WORD);
    }

    fn walk_sees_it(&self) -> bool {
        self.listed.load(Ordering::Relaxed)
    }

    fn set_default(&self, closid: Closid) {
        switch::set_cpu_default(&self.arch, &self.history, CpuId(0), MonId { closid, rmid: Rmid::RESERVED });
    }
}

/// A CPU switches to a task with the id, which is taken away meanwhile from all tasks that have it, if any can.
fn task_races(before: fn(&Machine), forget: fn(&History) -> bool, noted: fn(&History) -> bool) {
    explore(move || {
        let machine = Arc::new(Machine::new());
        before(&machine);
        let cpu = machine.clone();
        let cpu = thread::spawn(move || cpu.begin_task());
        let seen = forget(&machine.history) && machine.walk_sees_it();
        cpu.join().expect("it ends");
        assert!(seen || noted(&machine.history), "a task is lost");
    });
}

fn forget(history: &History) -> bool {
    history.forget_closid(CLOSID)
}

fn noted(history: &History) -> bool {
    history.has_closid(CLOSID)
}

fn a_task_that_is_switched_to_is_seen_or_has_its_id_noted() {
    task_races(|_| (), forget, noted);
}

fn so_is_one_whose_id_was_noted_before() {
    task_races(|machine| machine.history.note(CLOSID, RmidIndex(0)), forget, noted);
}

fn so_is_one_whose_word_the_cpu_knows() {
    task_races(|machine| machine.switch(WORD), forget, noted);
}

fn so_is_one_when_all_are_given_the_default_groups() {
    let had = |machine: &Machine| machine.history.note(Closid(2), RmidIndex(0));
    task_races(had, History::forget_all, |history| noted(history) && history.has_any());
    task_races(|machine| machine.switch(WORD), History::forget_all, |history| noted(history) && history.has_any());
}

fn whoever_sees_an_id_noted_sees_the_task() {
    explore(|| {
        let machine = Arc::new(Machine::new());
        let cpu = machine.clone();
        let cpu = thread::spawn(move || cpu.begin_task());
        if machine.history.has_any() || noted(&machine.history) {
            assert!(machine.walk_sees_it());
        }
        cpu.join().expect("it ends");
    });
}

/// A CPU switches while another one sets its default: it may go on with the old one for now, but not for good.
fn default_races(set: fn(&Machine)) {
    explore(move || {
        let machine = Arc::new(Machine::new());
        machine.switch(DEFAULT);
        let other = machine.clone();
        let other = thread::spawn(move || set(&other));
        machine.switch(WORD);
        machine.switch(DEFAULT);
        other.join().expect("it ends");
        machine.switch(DEFAULT);
        assert_eq!(machine.arch.register(), 7, "what the CPU works for");
    });
}

fn the_default_of_an_epoch_is_the_one_that_was_set_before_it() {
    default_races(|machine| machine.set_default(Closid(7)));
}

fn a_default_that_begins_no_epoch() {
    default_races(|machine| machine.arch.labels.set_default_word(7));
}

fn a_default_that_is_set_after_its_epoch_has_begun() {
    default_races(|machine| {
        machine.history.begin_epoch();
        machine.arch.labels.set_default_word(7);
    });
}

/// A thread makes the default group's ids its CPU's, and two context switches interrupt it wherever they can.
fn interrupted(reset: fn(&OneCpu)) {
    for bits in 0..16 {
        let word = |bit: u32| if bits >> bit & 1 == 0 { DEFAULT } else { WORD };
        let [before, first, second, after] = [0, 1, 2, 3].map(word);
        interrupt::everywhere(|at| {
            let used = Arc::new(AtomicUsize::new(0));
            let count = used.clone();
            explore(move || {
                let machine = Rc::new(Machine::new());
                machine.set_default(Closid(7));
                machine.switch(if before == WORD { DEFAULT } else { WORD });
                machine.switch(before);
                let (switching, mut words) = (machine.clone(), [first, second].into_iter());
                let switch = move || words.next().into_iter().for_each(|word| switching.switch(word));
                let used = interrupt::run(at, switch, || reset(&machine.arch));
                count.store(used, Ordering::Relaxed);
                machine.switch(after);
                assert_eq!(machine.arch.register(), after.0, "the register, for a task with the word {}", after.0);
            });
            used.load(Ordering::Relaxed)
        });
    }
}

fn whatever_interrupts_a_reset_the_next_switch_is_to_what_holds() {
    interrupted(|arch| {
        arch.labels.set_default_word(0);
        arch.labels.write_from_thread(0, |labels| arch.write(labels));
    });
}

fn a_thread_that_takes_a_switch_for_impossible() {
    interrupted(|arch| {
        arch.labels.set_default_word(0);
        arch.labels.forget();
        arch.labels.switch(0, |labels| arch.write(labels));
    });
}
