// SPDX-License-Identifier: GPL-2.0-only
//! Tasks: what they are called in which pid namespace, who owns them, which CPU runs them.

use std::sync::Arc;
use std::vec::Vec;

use crate::context::IrqOff;
use crate::errno::{Errno, Result};
use crate::ids::{CpuId, TaskWord};
use crate::platform::Platform;

use super::fault;
use super::platform::SimPlatform;
use super::task::{SimTask, TaskSpec};
use super::thread::{Place, Thread, on_cpu, preemption_point};

impl SimPlatform {
    /// All tasks but the idle ones.
    #[must_use]
    pub fn tasks(&self) -> Vec<SimTask> {
        self.kernel.state().tasks.all()
    }

    /// A new task with the word 0, running nowhere.
    pub fn spawn_task(&self, spec: TaskSpec) -> SimTask {
        self.kernel.state().tasks.spawn(spec, TaskWord(0))
    }

    /// A child of `parent`: same owner and namespace, and its word.
    #[must_use]
    pub fn fork(&self, parent: &SimTask) -> SimTask {
        self.kernel.state().tasks.spawn(parent.spec(), parent.word())
    }

    /// Stores a word in a task, and nothing else. Orders nothing.
    pub fn set_task_word(&self, task: &SimTask, word: TaskWord) {
        task.set_word(word);
    }

    /// The CPU which a task runs on at this moment, if it runs.
    #[must_use]
    pub fn running_on(&self, task: &SimTask) -> Option<CpuId> {
        self.kernel.state().tasks.cpu_of(task)
    }

    /// Ends a task.
    ///
    /// # Panics
    /// For the first one, pid 1.
    pub fn exit_task(&self, task: &SimTask) {
        assert!(task.pid() != 1, "init does not exit");
        if let Some(cpu) = self.kernel.state().tasks.cpu_of(task) {
            // A task dies on a CPU, by switching to another for good.
            let _ = self.switch_to(cpu, None);
        }
        self.kernel.state().tasks.all.remove(&task.pid());
    }

    /// Runs `f` on behalf of `task`: its ids and its namespace are the caller's.
    pub fn as_task<R>(&self, task: &SimTask, f: impl FnOnce() -> R) -> R {
        let before = Thread::current().set_task(Some(task.clone()));
        let result = f();
        Thread::current().set_task(before);
        result
    }

    pub(super) fn caller(&self) -> SimTask {
        Thread::current().task().unwrap_or_else(|| self.kernel.state().tasks.init())
    }

    /// Sets what is called at every context switch, on the CPU with interrupts off, with the next task's word, while somebody
    /// [watches](Platform::watch_switches) them. Held until [`SimPlatform::clear_sched_in`].
    pub fn set_sched_in(&self, hook: impl Fn(IrqOff<'_>, TaskWord) + Send + Sync + 'static) {
        self.kernel.state().sched_in = Some(Arc::new(hook));
    }

    /// Whether anybody [watches](Platform::watch_switches) context switches.
    #[must_use]
    pub fn watches_switches(&self) -> bool {
        self.kernel.state().watchers > 0
    }

    /// Calls nothing at context switches any more.
    pub fn clear_sched_in(&self) {
        let hook = self.kernel.state().sched_in.take();
        drop(hook);
    }

    /// Switches `cpu` to `task`, or to its idle task: first the CPU's current task changes, then the task's word is
    /// loaded and [`SimPlatform::set_sched_in`]'s hook called, all with the CPU's interrupts off (`__schedule`,
    /// `__switch_to`). A task that runs elsewhere leaves that CPU first.
    ///
    /// # Errors
    /// `ENODEV` when `cpu` is not online.
    pub fn switch_to(&self, cpu: CpuId, task: Option<&SimTask>) -> Result<()> {
        if let Some(task) = task {
            let elsewhere = self.kernel.state().tasks.cpu_of(task);
            if let Some(elsewhere) = elsewhere.filter(|&elsewhere| elsewhere != cpu) {
                self.switch_to(elsewhere, None)?;
            }
        }
        let _irq = self.kernel.irq_lock(cpu);
        if !self.is_online(cpu) {
            return Err(Errno::ENODEV);
        }
        self.kernel.state().tasks.running[cpu.index()] = task.cloned();
        preemption_point();
        if self.kernel.state().watchers > 0 {
            self.sched_in(cpu, task.map_or(TaskWord(0), SimTask::word));
        }
        Ok(())
    }

    /// With the CPU's interrupts off.
    fn sched_in(&self, cpu: CpuId, word: TaskWord) {
        let hook = self.kernel.state().sched_in.clone();
        if let Some(hook) = hook {
            on_cpu(Place::Irq, cpu, || {
                // SAFETY: the CPU's interrupt lock is held and the thread counts as being on `cpu` meanwhile.
                hook(unsafe { IrqOff::new(cpu) }, word);
            });
        }
    }

    /// Tells of what each CPU runs, if anybody is told; otherwise of the word 0.
    fn see_each_cpu(&self) {
        for cpu in (0..self.nr_cpu_ids()).map(CpuId) {
            let _irq = self.kernel.irq_lock(cpu);
            if self.is_online(cpu) {
                // In here, so that whoever has begun to watch meanwhile has the last word.
                let state = self.kernel.state();
                let task = state.tasks.on(cpu).filter(|_| state.watchers > 0);
                drop(state);
                self.sched_in(cpu, task.map_or(TaskWord(0), |task| task.word()));
            }
        }
    }
}

/// That context switches are watched, until it is dropped: at once, where a kernel may take its time.
#[must_use = "they are watched while it is there"]
pub struct SimSwitches(SimPlatform);

impl SimSwitches {
    pub(super) fn begin(sim: &SimPlatform) -> Result<Self> {
        if fault::fails() {
            return Err(Errno::ENOMEM);
        }
        // As a kernel does that changes its code; whoever holds it already waits for himself.
        drop(sim.cpus_read_lock());
        sim.kernel.state().watchers += 1;
        let watching = SimSwitches(sim.clone());
        preemption_point();
        sim.see_each_cpu();
        Ok(watching)
    }
}

impl Drop for SimSwitches {
    fn drop(&mut self) {
        let watchers = {
            let mut state = self.0.kernel.state();
            state.watchers -= 1;
            state.watchers
        };
        if watchers == 0 {
            self.0.see_each_cpu();
        }
    }
}

#[cfg(test)]
mod tests;
