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

use std::boxed::Box;
use std::collections::BTreeMap;
use std::format;
use std::sync::{Arc, Weak};
use std::thread::panicking;
use std::vec::Vec;

use crate::context::{BoundTo, WorkerContext};
use crate::errno::Errno;
use crate::ids::CpuId;

use super::platform::{Kernel, SimPlatform, Stats};
use super::thread::{Thread, preemption_point};

/// One scheduled run: the handler with the reference it was given.
pub(super) type Run = Box<dyn FnOnce(WorkerContext<'_>) + Send>;

enum Stage {
    /// Waits for its timer, whose key this is.
    Timer(u64, u64),
    /// In a pool, not started.
    Queued,
}

struct Pending {
    stage: Stage,
    /// Whose pool: where it was scheduled, or once queued where it waits.
    cpu: CpuId,
    run: Run,
}

struct Running {
    pool: CpuId,
    thread: Arc<Thread>,
}

#[derive(Default)]
struct WorkState {
    pending: Option<Pending>,
    running: Option<Running>,
}

/// Every work of the system, the timers and the state of the pools.
pub(super) struct Queue {
    now_ms: u64,
    next_id: u64,
    next_timer: u64,
    works: BTreeMap<u64, WorkState>,
    timers: BTreeMap<(u64, u64), u64>,
    /// By CPU: whether its workers are loose.
    disassociated: Vec<bool>,
}

impl Queue {
    pub(super) fn new(nr_cpu_ids: usize) -> Self {
        Queue {
            now_ms: 0,
            next_id: 0,
            next_timer: 0,
            works: BTreeMap::new(),
            timers: BTreeMap::new(),
            disassociated: std::vec![false; nr_cpu_ids],
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(super) fn is_pending(&self, id: u64) -> bool {
        self.works.get(&id).is_some_and(|work| work.pending.is_some())
    }

    /// Works that exist, that wait for their timer, that are queued, that run.
    pub(super) fn counts(&self) -> [usize; 4] {
        let timers = self.timers.len();
        let pending = self.works.values().filter(|work| work.pending.is_some()).count();
        let running = self.works.values().filter(|work| work.running.is_some()).count();
        [self.works.len(), timers, pending - timers, running]
    }

    fn create(&mut self) -> u64 {
        self.next_id += 1;
        self.works.insert(self.next_id, WorkState::default());
        self.next_id
    }

    /// Arms the timer of an idle or running work. The caller has checked that it is not pending.
    fn arm(&mut self, id: u64, cpu: CpuId, delay_ms: u64, run: Run) {
        let key = (self.now_ms + delay_ms, self.next_timer);
        self.next_timer += 1;
        self.timers.insert(key, id);
        let pending = Pending { stage: Stage::Timer(key.0, key.1), cpu, run };
        self.works.entry(id).or_default().pending = Some(pending);
    }

    /// Queues an idle or running work without a timer, as a delay of 0 does; gives whether a thread must be started.
    fn queue_now(&mut self, id: u64, cpu: CpuId, run: Run) -> bool {
        let work = self.works.entry(id).or_default();
        let cpu = work.running.as_ref().map_or(cpu, |running| running.pool);
        work.pending = Some(Pending { stage: Stage::Queued, cpu, run });
        work.running.is_none()
    }

    /// Takes back a work that is pending, with the reference it was given.
    fn cancel(&mut self, id: u64) -> Option<Run> {
        let pending = self.works.get_mut(&id)?.pending.take()?;
        if let Stage::Timer(due, number) = pending.stage {
            self.timers.remove(&(due, number));
        }
        Some(pending.run)
    }

    /// Takes back every work that is pending.
    pub(super) fn take_all(&mut self) -> Vec<Run> {
        self.timers.clear();
        self.works.values_mut().filter_map(|work| work.pending.take()).map(|pending| pending.run).collect()
    }

    fn is_running(&self, id: u64) -> bool {
        self.works.get(&id).is_some_and(|work| work.running.is_some())
    }

    /// Fires the first timer that is due no later than `until`; the clock moves to its time. Gives the work and the CPU
    /// of its pool, and whether a thread must be started for it.
    fn expire(&mut self, until: u64) -> Option<(u64, CpuId, bool)> {
        let (&(due, _), _) = self.timers.first_key_value()?;
        if due > until {
            return None;
        }
        let (_, id) = self.timers.pop_first()?;
        self.now_ms = self.now_ms.max(due);
        let work = self.works.get_mut(&id)?;
        let pending = work.pending.as_mut()?;
        pending.stage = Stage::Queued;
        if let Some(running) = &work.running {
            pending.cpu = running.pool;
        }
        Some((id, pending.cpu, work.running.is_none()))
    }

    /// Starts the run that is queued, if any, on the calling worker: binds it as its pool says, and gives the CPU.
    fn begin(&mut self, id: u64, thread: &Arc<Thread>) -> Option<(Run, Option<CpuId>)> {
        let work = self.works.get_mut(&id)?;
        if work.running.is_some() {
            // This worker was started for a run that another took; that one takes this too, when it has finished.
            return None;
        }
        let pending = work.pending.take_if(|pending| matches!(pending.stage, Stage::Queued))?;
        let bound = (!self.disassociated[pending.cpu.index()]).then_some(pending.cpu);
        thread.bind(bound);
        work.running = Some(Running { pool: pending.cpu, thread: Arc::clone(thread) });
        Some((pending.run, bound))
    }

    /// Ends a run. The work may have gone meanwhile.
    fn finish(&mut self, id: u64) {
        if let Some(work) = self.works.get_mut(&id) {
            work.running = None;
        }
    }

    /// Turns the workers of a CPU loose: `unbind_workers`. Gives how many lost it while running.
    pub(super) fn unbind(&mut self, cpu: CpuId) -> usize {
        self.disassociated[cpu.index()] = true;
        self.rebind_running(cpu, None)
    }

    /// Binds the workers of a CPU again: `rebind_workers`.
    pub(super) fn rebind(&mut self, cpu: CpuId) {
        self.disassociated[cpu.index()] = false;
        self.rebind_running(cpu, Some(cpu));
    }

    fn rebind_running(&self, pool: CpuId, to: Option<CpuId>) -> usize {
        let running = self.works.values().filter_map(|work| work.running.as_ref());
        running.filter(|running| running.pool == pool).map(|running| running.thread.bind(to)).count()
    }
}

/// A delayed work of the simulated kernel. Dropping one that is scheduled panics: the use-after-free that was to be.
pub struct SimWork {
    kernel: Weak<Kernel>,
    pub(super) id: u64,
}

impl Drop for SimWork {
    fn drop(&mut self) {
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
        kernel.notify();
        preemption_point();
    }
}

impl SimPlatform {
    /// A work, registered. The type stays idle until it is scheduled.
    pub(super) fn new_work(&self) -> Result<SimWork, Errno> {
        let id = self.kernel.state().queue.create();
        Ok(SimWork { kernel: Arc::downgrade(&self.kernel), id })
    }

    /// Fires the next timer due by `until`, if there is one, and starts its worker.
    fn fire(&self, until: u64) -> bool {
        let fired = self.kernel.state().queue.expire(until);
        let Some((id, cpu, start)) = fired else { return false };
        if start {
            self.start_worker(id, cpu);
        }
        true
    }

    fn start_worker(&self, id: u64, cpu: CpuId) {
        let kernel = Arc::clone(&self.kernel);
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
