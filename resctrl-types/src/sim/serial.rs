// SPDX-License-Identifier: GPL-2.0-only
//! What replaces threads where there is no scheduler.
//!
//! What would be a thread of its own waits in a queue until the only thread waits for something; then it runs to its end. Whoever
//! waits for what nobody is left to do has found a deadlock.

use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::thread_local;

type Body = Box<dyn FnOnce()>;

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
    /// What would be threads, and have not begun.
    static QUEUE: RefCell<VecDeque<Body>> = const { RefCell::new(VecDeque::new()) };
}

/// Runs `body`, and then what it has put into the queue.
pub(super) fn run<R>(body: impl FnOnce() -> R) -> R {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            RUNNING.set(false);
            // After a panic: what has not begun belongs to a machine that is gone.
            QUEUE.with_borrow_mut(VecDeque::clear);
        }
    }
    assert!(!RUNNING.replace(true), "a run within a run");
    let _end = End;
    let result = body();
    while begin_next() {}
    result
}

/// Whether the run that is under way has no scheduler.
pub(super) fn is_serial() -> bool {
    RUNNING.get()
}

/// Puts what would be a thread into the queue.
pub(super) fn start(body: impl FnOnce() + 'static) {
    QUEUE.with_borrow_mut(|queue| queue.push_back(Box::new(body)));
}

/// Lets the next in the queue run to its end; false if there is none.
fn begin_next() -> bool {
    let next = QUEUE.with_borrow_mut(VecDeque::pop_front);
    next.map(|body| body()).is_some()
}

/// Lets others run until the condition holds.
pub(super) fn wait(condition: impl Fn() -> bool) {
    while !condition() {
        assert!(begin_next(), "a wait for what nobody is left to do");
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;
    use std::string::String;

    use super::super::thread::{Thread, apart};
    use super::super::{SimPlatform, Topology, current_cpu, run_serially};
    use super::*;
    use crate::ids::CpuId;

    #[test]
    fn what_would_be_a_thread_runs_when_it_is_waited_for_as_a_thread_of_its_own() {
        run_serially(|| {
            let done = Rc::new(Cell::new(false));
            let theirs = Rc::clone(&done);
            Thread::current().bind(Some(CpuId(1)));
            start(move || {
                apart(|| assert_eq!(current_cpu(), None));
                theirs.set(true);
            });
            assert!(!done.get());
            wait(|| done.get());
            assert_eq!(current_cpu(), Some(CpuId(1)));
        });
        assert!(!is_serial());
        run_serially(|| assert_eq!(current_cpu(), None));
    }

    #[test]
    fn what_nobody_waited_for_has_run_in_the_end() {
        let done = Rc::new(Cell::new(0));
        run_serially(|| {
            for _ in 0..2 {
                let done = Rc::clone(&done);
                start(move || done.set(done.get() + 1));
            }
        });
        assert_eq!(done.get(), 2);
    }

    fn complaint(body: impl FnOnce()) -> String {
        let panic = catch_unwind(AssertUnwindSafe(|| run_serially(body))).unwrap_err();
        let text = panic.downcast_ref::<&str>().map(|&text| text.into());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap()
    }

    #[test]
    fn a_wait_that_would_not_end_is_found_and_the_next_run_is_not_harmed() {
        assert_eq!(complaint(|| wait(|| false)), "a wait for what nobody is left to do");
        assert_eq!(complaint(|| run_serially(|| ())), "a run within a run");
        complaint(|| {
            start(|| panic!("of the run before"));
            panic!("a failing check");
        });
        run_serially(|| ());
    }

    #[test]
    fn a_lock_that_somebody_who_waits_holds_is_a_deadlock_and_is_found() {
        let text = complaint(|| {
            let sim = SimPlatform::new(Topology::packages(1, 2));
            let held = sim.kernel.irq_lock(CpuId(0));
            let other = sim.clone();
            let ended = Rc::new(Cell::new(false));
            let theirs = Rc::clone(&ended);
            start(move || {
                drop(other.kernel.irq_lock(CpuId(0)));
                theirs.set(true);
            });
            wait(|| ended.get());
            drop(held);
        });
        assert_eq!(text, "a lock is held by what waits");
    }
}
