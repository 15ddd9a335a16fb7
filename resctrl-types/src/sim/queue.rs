// SPDX-License-Identifier: GPL-2.0-only
//! The works of the system, as far as they are data: which wait for their timer, which are queued, which run. The rules are
//! told where they are [driven](super::workqueue).

use std::boxed::Box;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::vec::Vec;

use crate::context::WorkerContext;
use crate::ids::CpuId;

use super::thread::Thread;

/// One scheduled run: the handler with the reference it was given.
pub(super) type Run = Box<dyn FnOnce(WorkerContext<'_>) + Send>;

pub(super) enum Stage {
    /// Waits for its timer, whose key this is.
    Timer(u64, u64),
    /// In a pool, not started.
    Queued,
}

pub(super) struct Pending {
    pub(super) stage: Stage,
    /// Whose pool: where it was scheduled, or once queued where it waits.
    pub(super) cpu: CpuId,
    run: Run,
}

pub(super) struct Running {
    pool: CpuId,
    thread: Arc<Thread>,
}

#[derive(Default)]
pub(super) struct WorkState {
    pub(super) pending: Option<Pending>,
    running: Option<Running>,
}

/// Every work of the system, the timers and the state of the pools.
pub(super) struct Queue {
    pub(super) now_ms: u64,
    next_id: u64,
    next_timer: u64,
    pub(super) works: BTreeMap<u64, WorkState>,
    pub(super) timers: BTreeMap<(u64, u64), u64>,
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

    pub(super) fn create(&mut self) -> u64 {
        self.next_id += 1;
        self.works.insert(self.next_id, WorkState::default());
        self.next_id
    }

    /// Arms the timer of an idle or running work. The caller has checked that it is not pending.
    pub(super) fn arm(&mut self, id: u64, cpu: CpuId, delay_ms: u64, run: Run) {
        let key = (self.now_ms + delay_ms, self.next_timer);
        self.next_timer += 1;
        self.timers.insert(key, id);
        let pending = Pending { stage: Stage::Timer(key.0, key.1), cpu, run };
        self.works.entry(id).or_default().pending = Some(pending);
    }

    /// Queues an idle or running work without a timer, as a delay of 0 does; gives whether a thread must be started.
    pub(super) fn queue_now(&mut self, id: u64, cpu: CpuId, run: Run) -> bool {
        let work = self.works.entry(id).or_default();
        let cpu = work.running.as_ref().map_or(cpu, |running| running.pool);
        work.pending = Some(Pending { stage: Stage::Queued, cpu, run });
        work.running.is_none()
    }

    /// Takes back a work that is pending, with the reference it was given.
    pub(super) fn cancel(&mut self, id: u64) -> Option<Run> {
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

    pub(super) fn is_running(&self, id: u64) -> bool {
        self.works.get(&id).is_some_and(|work| work.running.is_some())
    }

    /// Fires the first timer that is due no later than `until`; the clock moves to its time. Gives the work and the CPU
    /// of its pool, and whether a thread must be started for it.
    pub(super) fn expire(&mut self, until: u64) -> Option<(u64, CpuId, bool)> {
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
    pub(super) fn begin(&mut self, id: u64, thread: &Arc<Thread>) -> Option<(Run, Option<CpuId>)> {
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
    pub(super) fn finish(&mut self, id: u64) {
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
