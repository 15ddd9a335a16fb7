// SPDX-License-Identifier: GPL-2.0-only
//! How the simulated kernel keeps the contract.

use core::ops::ControlFlow;
use core::sync::atomic::{Ordering, fence};
use std::boxed::Box;
use std::format;

use core::fmt;

use crate::cache::{CacheInfo, CacheLevel};
use crate::context::{CpusHeld, IrqOff, Pinned};
use crate::cpumask::CpuMask;
use crate::errno::{Errno, Result};
use crate::ids::{CpuId, DomainId, TaskWord, TaskWords};
use crate::platform::{LockClass, LogLevel, Owner, Platform, Timestamp, WorkKind, WorkTarget};
use crate::refs::Ref;
use crate::stay::CpusStay;

use super::callbacks::CpuState;
use super::fault;
use super::locks::{SimCpusReadGuard, SimMutex, SimRwLock};
use super::platform::{LimboEvent, SimPlatform};
use super::task::SimTask;
use super::tasks::SimSwitches;
use super::thread::{Place, Thread, atomically, current_cpu, on_cpu, preemption_point};
use super::trace::{Event, note};
use super::workqueue::SimWork;

/// The wall clock when the virtual clock is 0, in seconds since the epoch.
const BOOT_SECONDS: i64 = 1_700_000_000;
impl Platform for SimPlatform {
    type Mutex<T: Send + 'static> = SimMutex<T>;
    type RwLock<T: Send + Sync + 'static> = SimRwLock<T>;
    type CpusReadGuard<'a> = SimCpusReadGuard<'a>;
    type Work = SimWork;
    type Task = SimTask;
    type Switches = SimSwitches;
    type PseudoLocking = Self;

    fn mutex<T: Send + 'static>(&self, class: LockClass, value: T) -> Result<SimMutex<T>> {
        if fault::fails() {
            return Err(Errno::ENOMEM);
        }
        Ok(SimMutex::new(class, value))
    }

    fn rw_lock<T: Send + Sync + 'static>(&self, class: LockClass, value: T) -> Result<SimRwLock<T>> {
        if fault::fails() {
            return Err(Errno::ENOMEM);
        }
        Ok(SimRwLock::new(class, value))
    }

    fn cpus_read_lock(&self) -> SimCpusReadGuard<'_> {
        self.kernel.hotplug.read()
    }

    fn nr_cpu_ids(&self) -> u32 {
        u32::try_from(self.kernel.topology.cpus.len()).unwrap_or(u32::MAX)
    }

    fn is_housekeeping(&self, cpu: CpuId) -> bool {
        self.shape(cpu).is_some_and(|shape| !shape.isolated)
    }

    fn cache(&self, cpu: CpuId, level: CacheLevel) -> Option<CacheInfo> {
        let shape = self.shape(cpu).filter(|_| self.is_online(cpu))?;
        match level {
            CacheLevel::L2 => shape.l2,
            CacheLevel::L3 => shape.l3,
        }
    }

    fn node(&self, cpu: CpuId) -> Option<u32> {
        self.shape(cpu)?.node
    }

    fn package(&self, cpu: CpuId) -> Option<u32> {
        self.shape(cpu)?.package
    }

    fn nodes_per_package(&self) -> u32 {
        self.kernel.topology.nodes_per_package()
    }

    fn max_packages(&self) -> u32 {
        self.kernel.topology.max_packages()
    }

    fn call_on<'a>(
        &self,
        cpus: impl Into<CpusStay<'a>>,
        cpu: CpuId,
        f: &mut (dyn FnMut(Pinned<'_>) + Send),
    ) -> Result<()> {
        let stay = cpus.into();
        Thread::current().might_sleep("a call on a CPU");
        if fault::fails() {
            return Err(Errno::ENOMEM);
        }
        preemption_point();
        self.check_stays(stay, cpu);
        if !self.is_online(cpu) {
            return Err(Errno::ENODEV);
        }
        self.kernel.count(|stats| stats.calls += 1);
        on_cpu(Place::CallOn, cpu, || {
            // SAFETY: the thread counts as being on `cpu` meanwhile, which stays.
            f(unsafe { Pinned::new(cpu) });
        });
        preemption_point();
        self.check_stays(stay, cpu);
        Ok(())
    }

    fn interrupt<'a>(
        &self,
        cpus: impl Into<CpusStay<'a>>,
        cpu: CpuId,
        f: &mut (dyn FnMut(IrqOff<'_>) + Send),
    ) -> Result<()> {
        self.check_stays(cpus.into(), cpu);
        Thread::current().might_sleep("an interrupt sent");
        if !self.is_online(cpu) {
            return Err(Errno::ENODEV);
        }
        self.kernel.count(|stats| stats.interrupts += 1);
        self.in_interrupt(cpu, f);
        Ok(())
    }

    /// Where a thread is that is bound to no CPU is anybody's guess: on the first.
    fn likely_here(&self) -> Option<CpuId> {
        current_cpu().or_else(|| self.online_cpus().first().copied())
    }

    fn interrupt_mask(&self, _cpus: CpusHeld<'_>, mask: &CpuMask, f: &(dyn Fn(IrqOff<'_>) + Sync)) {
        self.check_cpus_held();
        Thread::current().might_sleep("an interrupt sent");
        for cpu in mask.iter().filter(|&cpu| self.is_online(cpu)) {
            self.in_interrupt(cpu, f);
        }
    }

    fn work(&self) -> Result<SimWork> {
        if fault::fails() {
            return Err(Errno::ENOMEM);
        }
        self.new_work()
    }

    fn schedule<T: WorkTarget<Self>>(
        &self,
        target: Ref<T>,
        kind: WorkKind,
        cpu: CpuId,
        delay_ms: u32,
    ) -> Result<(), Ref<T>> {
        Thread::current().might_sleep("a work scheduled");
        preemption_point();
        let id = target.work(kind).id;
        let state = self.kernel.state();
        if state.queue.is_pending(id) {
            note(Event::WasPending(id));
            return Err(target);
        }
        let gone = !matches!(state.cpus.get(cpu.index()), Some(CpuState::Starting | CpuState::Online));
        let tolerant = state.tolerant;
        drop(state);
        assert!(!gone || tolerant, "a work was scheduled on CPU {cpu}, which has gone or never was");
        note(Event::Scheduled(id, cpu, delay_ms));
        let run = Box::new(move |context: crate::WorkerContext<'_>| T::run(target, kind, context));
        self.queue_work(id, cpu, delay_ms, run);
        self.kernel.notify();
        Ok(())
    }

    fn for_each_task(&self, which: TaskWords, f: &mut dyn FnMut(&SimTask) -> ControlFlow<()>) {
        self.kernel.count(|stats| stats.walks += 1);
        let all = self.kernel.state().tasks.all();
        preemption_point();
        atomically(|| {
            let _ = all.iter().filter(|task| which.contain(task.word())).try_for_each(f);
        });
    }

    fn set_every_task_word(&self, word: TaskWord) {
        self.kernel.count(|stats| stats.walks += 1);
        let all = self.kernel.state().tasks.all();
        preemption_point();
        atomically(|| all.iter().for_each(|task| task.set_word(word)));
    }

    fn with_task(&self, id: i32, f: &mut dyn FnMut(&SimTask)) -> bool {
        let caller = self.caller();
        let found = if id == 0 {
            Some(caller)
        } else {
            let namespace = caller.spec().namespace;
            self.kernel.state().tasks.all().into_iter().find(|task| task.pid_in(namespace) == Some(id))
        };
        found.inspect(|task| atomically(|| f(task))).is_some()
    }

    fn task_id(&self, task: &SimTask) -> Option<i32> {
        task.pid_in(self.caller().spec().namespace)
    }

    fn may_move(&self, task: &SimTask) -> bool {
        let euid = self.caller().spec().euid;
        euid == 0 || euid == task.spec().uid || euid == task.spec().suid
    }

    fn task_word(&self, task: &SimTask) -> TaskWord {
        task.word()
    }

    fn relabel_task(&self, task: &SimTask, word: TaskWord) -> Option<CpuId> {
        task.set_word(word);
        fence(Ordering::SeqCst);
        self.running_on(task)
    }

    fn current_word(&self, here: IrqOff<'_>) -> TaskWord {
        assert_eq!(Thread::current().cpu(), Some(here.cpu()), "the proof of another CPU");
        let state = self.kernel.state();
        state.tasks.on(here.cpu()).filter(|_| state.watchers > 0).map_or(TaskWord(0), |task| task.word())
    }

    fn watch_switches(&self) -> Result<SimSwitches> {
        SimSwitches::begin(self)
    }

    fn pseudo_locking(&self) -> Option<&Self> {
        Some(self)
    }

    fn owner(&self) -> Owner {
        let spec = self.caller().spec();
        Owner { uid: spec.euid, gid: spec.gid }
    }

    fn now(&self) -> Timestamp {
        let ms = i64::try_from(self.now_ms()).unwrap_or(i64::MAX);
        let nsec = u32::try_from(ms % 1000).unwrap_or_default() * 1_000_000;
        Timestamp { sec: BOOT_SECONDS + ms / 1000, nsec }
    }

    fn trace_limbo(&self, ctrl_hw_id: u32, mon_hw_id: u32, domain: DomainId, bytes: u64) {
        self.kernel.state().limbo_events.push(LimboEvent { ctrl_hw_id, mon_hw_id, domain, bytes });
    }

    fn log(&self, level: LogLevel, message: fmt::Arguments<'_>) {
        let line = format!("resctrl: {message}");
        self.kernel.state().log.push((level, line));
    }
}

#[cfg(test)]
mod tests;
