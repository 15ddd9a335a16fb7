// SPDX-License-Identifier: GPL-2.0-only
//! Delayed works on per-CPU workqueues, in virtual time.
//!
//! The rules are those of `kernel/workqueue.c`; each is proved by a test of its name below:
//!
//! * A work has one pending bit. Queueing a pending work does nothing (`queue_delayed_work_on` returns false).
//! * The bit is cleared before the handler is called (`process_one_work`), so a running work can be queued again.
//! * A work that is still running is queued to the pool that runs it, whatever CPU was asked for (`__queue_work`), and
//!   its next run comes after that one (`assign_work`): two runs never overlap.
//! * A CPU on its way out first runs its dynamic hotplug callbacks (`CPUHP_AP_ONLINE_DYN`), then turns its pool's workers
//!   loose (`CPUHP_AP_WORKQUEUE_ONLINE`, `unbind_workers`): works that wait there and works that come later run unbound,
//!   and one that is running loses its CPU under way. A CPU that comes back binds them again (`rebind_workers`) before
//!   its callbacks run.
//! * Timers of a dead CPU fire at their time on another (`timers_dead_cpu`); they queue to the pool of the CPU that the
//!   work was scheduled for, dead or not (`delayed_work_timer_fn`).
//! * A pool starts another work while one of its own sleeps: every run is a thread of its own here.

use std::format;
use std::sync::{Arc, Weak};
use std::thread::panicking;

use crate::context::{BoundTo, WorkerContext};
use crate::errno::Errno;
use crate::ids::CpuId;

use super::platform::{Kernel, SimPlatform, Stats};
use super::queue::{Run, Stage, WorkState};
use super::serial;
use super::thread::{Thread, apart, preemption_point};
use super::trace::{Event, note};

/// A delayed work of the simulated kernel. Dropping one that is scheduled panics: the use-after-free that was to be.
pub struct SimWork {
    kernel: Weak<Kernel>,
    pub(super) id: u64,
}

impl Drop for SimWork {
    fn drop(&mut self) {
        note(Event::Freed(self.id));
        let Some(kernel) = self.kernel.upgrade() else { return };
        let work = kernel.state().queue.works.remove(&self.id);
        let Some(WorkState { pending: Some(pending), .. }) = work else { return };
        if let Stage::Timer(due, number) = pending.stage {
            kernel.state().queue.timers.remove(&(due, number));
        }
        assert!(panicking(), "a work was freed while it was scheduled on CPU {}", pending.cpu);
    }
}

/// The body of a worker thread: runs one work until it is not queued any more.
fn worker(kernel: &Arc<Kernel>, id: u64) {
    let thread = Thread::current();
    loop {
        // The module's works are freezable.
        let _awake = kernel.awake();
        let begun = kernel.state().queue.begin(id, &thread);
        let Some((run, bound)) = begun else { return };
        note(Event::Begun(id, bound));
        kernel.count(|stats| match bound {
            Some(_) => stats.bound_runs += 1,
            None => stats.displaced_runs += 1,
        });
        let context = bound.map_or(WorkerContext::Displaced, |cpu| {
            // SAFETY: the thread is bound to `cpu`, and stays so until the CPU has run its hotplug callback.
            WorkerContext::Bound(unsafe { BoundTo::new(cpu) })
        });
        run(context);
        assert!(panicking() || thread.holds_nothing(), "a work returned with a lock held");
        kernel.state().queue.finish(id);
        note(Event::Finished(id));
        kernel.notify();
        preemption_point();
    }
}

impl SimPlatform {
    /// A work, registered. The type stays idle until it is scheduled.
    pub(super) fn new_work(&self) -> Result<SimWork, Errno> {
        let id = self.kernel.state().queue.create();
        note(Event::Made(id));
        Ok(SimWork { kernel: Arc::downgrade(&self.kernel), id })
    }

    /// Fires the next timer due by `until`, if there is one, and starts its worker.
    fn fire(&self, until: u64) -> bool {
        let fired = self.kernel.state().queue.expire(until);
        let Some((id, cpu, start)) = fired else { return false };
        note(Event::Clock(self.now_ms()));
        note(Event::Fired(id));
        if start {
            self.start_worker(id, cpu);
        }
        true
    }

    fn start_worker(&self, id: u64, cpu: CpuId) {
        let kernel = Arc::clone(&self.kernel);
        if serial::is_serial() {
            return serial::start(move || apart(|| worker(&kernel, id)));
        }
        shuttle::thread::Builder::new()
            .name(format!("kworker/{cpu}:{id}"))
            .spawn(move || worker(&kernel, id))
            .unwrap_or_else(|error| panic!("no worker: {error}"));
    }

    /// Makes an idle or running work pending: behind a timer, or at once.
    pub(super) fn queue_work(&self, id: u64, cpu: CpuId, delay_ms: u32, run: Run) {
        if delay_ms > 0 {
            self.kernel.state().queue.arm(id, cpu, u64::from(delay_ms), run);
        } else {
            let start = self.kernel.state().queue.queue_now(id, cpu, run);
            if start {
                self.start_worker(id, cpu);
            }
        }
    }

    /// Cancels a work without waiting: `cancel_delayed_work`. Gives whether it was pending. For models of code that was
    /// wrong: the contract of [`Platform`](crate::Platform) has no cancelling.
    pub fn cancel(&self, work: &SimWork) -> bool {
        preemption_point();
        let taken = self.kernel.state().queue.cancel(work.id);
        if taken.is_some() {
            note(Event::Cancelled(work.id));
        }
        taken.is_some()
    }

    /// Cancels a work and waits until it does not run: `cancel_delayed_work_sync`. For models, as
    /// [`SimPlatform::cancel`].
    pub fn cancel_sync(&self, work: &SimWork) {
        Thread::current().might_sleep("waiting for a work");
        loop {
            self.cancel(work);
            if !self.kernel.state().queue.is_running(work.id) {
                return;
            }
            self.kernel.wait(|state| !state.queue.is_running(work.id));
        }
    }

    /// Whether a work is pending or running.
    #[must_use]
    pub fn is_scheduled(&self, work: &SimWork) -> bool {
        let state = self.kernel.state();
        state.queue.is_pending(work.id) || state.queue.is_running(work.id)
    }

    /// Virtual milliseconds since the machine was made.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.kernel.state().queue.now_ms()
    }

    /// Moves the clock by `ms`, firing timers in their order, and waits at each for every started work to finish: what
    /// a machine with idle CPUs does.
    pub fn advance(&self, ms: u64) {
        let until = self.now_ms() + ms;
        self.settle();
        while self.fire(until) {
            self.settle();
        }
        self.set_clock(until);
    }

    /// Moves the clock by `ms`, firing timers in their order, and waits for nothing: what a machine with busy CPUs may
    /// do. The works run when the scheduler lets them.
    pub fn elapse(&self, ms: u64) {
        let until = self.now_ms() + ms;
        while self.fire(until) {}
        self.set_clock(until);
    }

    fn set_clock(&self, now: u64) {
        let mut state = self.kernel.state();
        state.queue.now_ms = state.queue.now_ms.max(now);
        note(Event::Clock(state.queue.now_ms));
    }

    /// Waits until no work is queued or running; timers may be left.
    pub fn settle(&self) {
        self.kernel.wait(|state| {
            let [_, _, queued, running] = state.queue.counts();
            queued == 0 && running == 0
        });
    }

    /// How many works exist: two for each monitor domain that has not been freed.
    #[must_use]
    pub fn live_works(&self) -> usize {
        self.kernel.state().queue.counts()[0]
    }

    /// How many works are waiting for their time, queued or running; each pending one holds a reference.
    #[must_use]
    pub fn scheduled_works(&self) -> usize {
        let [_, timers, queued, running] = self.kernel.state().queue.counts();
        timers + queued + running
    }

    /// # Panics
    /// When a work is waiting for its time, queued or running.
    pub fn assert_idle(&self) {
        let [_, timers, queued, running] = self.kernel.state().queue.counts();
        assert!(
            timers + queued + running == 0,
            "not idle: {timers} works wait for their time, {queued} are queued, {running} run"
        );
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.kernel.state().stats
    }

    /// Starts a thread that moves the clock from timer to timer on its own, waiting for nothing, `firings` times.
    #[must_use]
    pub fn start_clock(&self, firings: u32) -> Clock {
        let sim = self.clone();
        sim.kernel.state().clock_stops = false;
        let thread = shuttle::thread::spawn(move || {
            for _ in 0..firings {
                sim.kernel.wait(|state| state.clock_stops || !state.queue.timers.is_empty());
                if sim.kernel.state().clock_stops {
                    return;
                }
                let next = sim.kernel.state().queue.timers.first_key_value().map(|(&(due, _), _)| due);
                if let Some(due) = next {
                    sim.fire(due);
                }
                preemption_point();
            }
        });
        Clock { sim: self.clone(), thread }
    }
}

/// A clock that runs on its own. Stop it before the end of the test.
pub struct Clock {
    sim: SimPlatform,
    thread: shuttle::thread::JoinHandle<()>,
}

impl Clock {
    /// Stops the clock and waits for every started work.
    ///
    /// # Panics
    /// When the clock's thread has.
    pub fn stop(self) {
        self.sim.kernel.state().clock_stops = true;
        self.sim.kernel.notify();
        assert!(self.thread.join().is_ok(), "the clock's thread panicked");
        self.sim.settle();
    }
}

#[cfg(test)]
mod tests;
