// SPDX-License-Identifier: GPL-2.0-only
//! A CPU switches to a task while another one takes an id away from all tasks that have it: either the walk over tasks sees it, or the
//! id is noted again. Loom runs every execution that C11 allows (`resctrl-fs/memory-model`).

use std::sync::Arc;

use loom::sync::atomic::{AtomicBool, Ordering, fence};
use loom::thread;

use super::*;

const CLOSID: Closid = Closid(1);
const RMID: RmidIndex = RmidIndex(0);

/// A task with the id that is in nobody's list yet, and a CPU's history.
struct Machine {
    history: History,
    /// It can be seen by a walk.
    listed: AtomicBool,
}

/// The task runs on one CPU, and the id is forgotten on another. `switch` is what the first does once it has chosen the task.
fn race(switch: fn(&History), forget: fn(&History) -> bool) {
    loom::model(move || {
        let machine = Arc::new(Machine { history: History::of(2, 1).unwrap(), listed: AtomicBool::new(false) });
        // Another task had it.
        machine.history.note(CLOSID, RMID);
        let cpu = machine.clone();
        let cpu = thread::spawn(move || {
            cpu.listed.store(true, Ordering::Relaxed);
            // Choosing a task is a full barrier.
            fence(Ordering::SeqCst);
            switch(&cpu.history);
        });
        assert!(forget(&machine.history), "it was noted");
        let seen = machine.listed.load(Ordering::Relaxed);
        cpu.join().unwrap();
        assert!(seen || machine.history.has_closid(CLOSID), "a task is lost");
        assert!(seen || machine.history.has_any(), "a task is lost when the last group goes");
    });
}

#[test]
fn whoever_notes_an_id_at_each_switch_is_seen_or_notes_it_again() {
    race(|history| history.note(CLOSID, RMID), |history| history.forget_closid(CLOSID));
}

#[test]
fn whoever_knows_the_epoch_is_seen_or_finds_that_it_is_another() {
    // Nothing was forgotten when the CPU switched to such a task before.
    let switch = |history: &History| {
        if history.epoch() != 0 {
            history.note(CLOSID, RMID);
        }
    };
    race(switch, |history| history.forget_closid(CLOSID));
}

#[test]
fn the_same_when_all_are_given_the_default_groups() {
    race(|history| history.note(CLOSID, RMID), History::forget_all);
}
