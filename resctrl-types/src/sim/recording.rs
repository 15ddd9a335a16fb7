// SPDX-License-Identifier: GPL-2.0-only
//! Schedules that are written down, and followed again.
//!
//! The file says which of the test's explorations it is, then has a line for each stretch of the schedule: `task 3 x 12` for
//! twelve steps of one thread, `random 17` for a random number that was drawn.

use std::cell::RefCell;
use std::fmt::Write;
use std::format;
use std::string::String;
use std::thread_local;
use std::vec::Vec;

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// So many steps of one thread.
    Task(usize, usize),
    Random(u64),
}

thread_local! {
    /// The schedule under way on this thread of the host.
    static STEPS: RefCell<Vec<Step>> = const { RefCell::new(Vec::new()) };
}

/// The schedule that is under way, or was until it failed, in the test's exploration of this number.
pub(super) fn recorded(exploration: u32) -> String {
    format!("exploration {exploration}\n{}", STEPS.with_borrow(|steps| text(steps)))
}

fn text(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        // Writing to a string cannot fail.
        let _ = match step {
            Step::Task(task, times) => writeln!(text, "task {task} x {times}"),
            Step::Random(number) => writeln!(text, "random {number}"),
        };
    }
    text
}

fn parse(text: &str) -> Result<Vec<Step>, String> {
    let step = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["task", task, "x", times] => Some(Step::Task(task.parse().ok()?, times.parse().ok()?)),
            ["random", number] => Some(Step::Random(number.parse().ok()?)),
            _ => None,
        }
    };
    text.lines().map(|line| step(line).ok_or_else(|| format!("`{line}` is no step of a schedule"))).collect()
}

/// Another scheduler, of which the present schedule is remembered.
pub(super) struct Recorded<S>(pub(super) S);

impl<S: Scheduler> Scheduler for Recorded<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        STEPS.with_borrow_mut(Vec::clear);
        self.0.new_execution()
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, is_yielding: bool) -> Option<TaskId> {
        let next = self.0.next_task(runnable, current, is_yielding)?;
        STEPS.with_borrow_mut(|steps| match steps.last_mut() {
            Some(Step::Task(task, times)) if *task == usize::from(next) => *times += 1,
            _ => steps.push(Step::Task(next.into(), 1)),
        });
        Some(next)
    }

    fn next_u64(&mut self) -> u64 {
        let number = self.0.next_u64();
        STEPS.with_borrow_mut(|steps| steps.push(Step::Random(number)));
        number
    }
}

/// One schedule, followed as far as it was recorded.
pub(super) struct Replay {
    /// In which of the test's explorations it was recorded.
    pub(super) exploration: u32,
    steps: std::vec::IntoIter<Step>,
    /// What is left of a stretch.
    stretch: (usize, usize),
    started: bool,
}

impl Replay {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let (first, steps) = text.split_once('\n').unwrap_or((text, ""));
        let exploration = first.strip_prefix("exploration ").and_then(|number| number.parse().ok());
        let exploration = exploration.ok_or("it does not say of which exploration it is")?;
        Ok(Replay { exploration, steps: parse(steps)?.into_iter(), stretch: (0, 0), started: false })
    }
}

impl Scheduler for Replay {
    fn new_execution(&mut self) -> Option<Schedule> {
        (!core::mem::replace(&mut self.started, true)).then(|| Schedule::new(0))
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, _is_yielding: bool) -> Option<TaskId> {
        if self.stretch.1 == 0 {
            self.stretch = match self.steps.next() {
                Some(Step::Task(task, times)) => (task, times),
                Some(Step::Random(_)) => panic!("the recorded test drew a random number here"),
                // The schedule ended with the failure: what is left to unwind goes on as it likes, the failing thread
                // first.
                None => {
                    return current
                        .filter(|&id| runnable.iter().any(|task| task.id() == id))
                        .or(Some(runnable[0].id()));
                }
            };
        }
        self.stretch.1 -= 1;
        let next = TaskId::from(self.stretch.0);
        assert!(runnable.iter().any(|task| task.id() == next), "the recorded test could go on with {next:?} here");
        Some(next)
    }

    fn next_u64(&mut self) -> u64 {
        match self.steps.next() {
            Some(Step::Random(number)) => number,
            _ => panic!("the recorded test drew no random number here"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::{Arc, Mutex};

    use shuttle::scheduler::RandomScheduler;
    use shuttle::{Config, FailurePersistence, Runner};

    use super::super::thread::preemption_point;
    use super::*;

    #[test]
    fn a_schedule_is_read_as_it_was_written() {
        let steps = [Step::Task(0, 12), Step::Random(u64::MAX), Step::Task(0, 1), Step::Task(3, 2)];
        assert_eq!(text(&steps).lines().next(), Some("task 0 x 12"));
        assert_eq!(parse(&text(&steps)).unwrap(), steps);
        assert!(parse("task 1 x 2\nnonsense\n").is_err());
        assert!(Replay::new("task 1 x 2\n").is_err());
    }

    /// What the body's failing schedule complains about, under this scheduler.
    fn complaint(scheduler: impl Scheduler + 'static) -> Option<String> {
        let body = || {
            let order = Arc::new(Mutex::new(Vec::new()));
            let threads = [0, 1, 2].map(|number| {
                let order = Arc::clone(&order);
                shuttle::thread::spawn(move || {
                    preemption_point();
                    let drawn = shuttle::rand::Rng::gen_range(&mut shuttle::rand::thread_rng(), 0..100);
                    order.lock().unwrap().push((number, drawn));
                })
            });
            for thread in threads {
                thread.join().unwrap();
            }
            let order = order.lock().unwrap();
            assert!(order[0].0 < 2 || order[1].0 < 1, "{order:?}");
        };
        let mut config = Config::new();
        config.failure_persistence = FailurePersistence::None;
        let panic = catch_unwind(AssertUnwindSafe(|| Runner::new(scheduler, config).run(body))).err()?;
        panic.downcast_ref::<String>().cloned()
    }

    #[test]
    fn a_schedule_that_failed_fails_again_and_with_the_same_random_numbers() {
        let first = complaint(Recorded(RandomScheduler::new_from_seed(7, 1000))).unwrap();
        let replay = Replay::new(&recorded(3)).unwrap();
        assert_eq!(replay.exploration, 3);
        assert_eq!(complaint(replay), Some(first));
    }
}
