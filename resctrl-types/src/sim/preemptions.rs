// SPDX-License-Identifier: GPL-2.0-only
//! Every schedule with at most so many preemptions, one after the other.
//!
//! A preemption takes the CPU from a thread that could go on; switching when a thread waits or ends is none. Errors of
//! concurrency need few preemptions, each at the right place: two at most in nearly all that were ever looked into
//! (Musuvathi and Qadeer, "Iterative context bounding for systematic testing of multithreaded programs", 2007). With the
//! bound, the number of schedules grows with a power of the length of a run instead of exponentially, so what a random
//! scheduler finds with luck is here found for certain, and a search that ends is a proof up to the bound.

use std::cell::Cell;
use std::thread_local;
use std::vec::Vec;

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

thread_local! {
    /// Whether the running test is where only one order is of interest.
    static ONE_ORDER: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, in which [`explore_preemptions`](super::explore_preemptions) tries no alternatives: for what comes before
/// and after the moment that a test is about. Switching at waits goes on as ever; no preemption happens within.
pub fn in_one_order<R>(f: impl FnOnce() -> R) -> R {
    ONE_ORDER.with(|one| one.set(true));
    let result = f();
    ONE_ORDER.with(|one| one.set(false));
    result
}

/// A place where there was more than one way to go on.
struct Choice {
    /// Which way the present schedule takes.
    taken: usize,
    /// How many there are.
    ways: usize,
}

/// Depth-first search over all choices.
pub(super) struct Preemptions {
    bound: usize,
    /// The way of the present schedule, at least as far as it is given.
    choices: Vec<Choice>,
    /// How far it has been gone.
    at: usize,
    spent: usize,
    started: bool,
}

impl Preemptions {
    /// Every schedule with at most `bound` preemptions.
    pub(super) const fn new(bound: usize) -> Self {
        Preemptions { bound, choices: Vec::new(), at: 0, spent: 0, started: false }
    }

    /// Which of `ways` to take here.
    fn choose(&mut self, ways: usize) -> usize {
        if self.at == self.choices.len() {
            self.choices.push(Choice { taken: 0, ways });
        }
        let choice = &self.choices[self.at];
        assert_eq!(choice.ways, ways, "the test does not do the same under the same schedule");
        self.at += 1;
        choice.taken
    }
}

impl Scheduler for Preemptions {
    fn new_execution(&mut self) -> Option<Schedule> {
        if self.started {
            while self.choices.pop_if(|choice| choice.taken + 1 == choice.ways).is_some() {}
            self.choices.last_mut()?.taken += 1;
        }
        self.started = true;
        (self.at, self.spent) = (0, 0);
        ONE_ORDER.with(|one| one.set(false));
        Some(Schedule::new(0))
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, is_yielding: bool) -> Option<TaskId> {
        let goes_on = current.and_then(|current| runnable.iter().position(|task| task.id() == current));
        let goes_on = goes_on.filter(|_| !is_yielding);
        let may_branch = !ONE_ORDER.with(Cell::get) && (goes_on.is_none() || self.spent < self.bound);
        if runnable.len() == 1 || !may_branch {
            return Some(runnable[goes_on.unwrap_or(0)].id());
        }
        let way = self.choose(runnable.len());
        let Some(goes_on) = goes_on else { return Some(runnable[way].id()) };
        if way == 0 {
            return Some(runnable[goes_on].id());
        }
        self.spent += 1;
        // The others in their order, the thread that could go on left out.
        let other = if way <= goes_on { way - 1 } else { way };
        Some(runnable[other].id())
    }

    fn next_u64(&mut self) -> u64 {
        panic!("a random number in a search that tries everything");
    }
}

#[cfg(test)]
mod tests;
