// SPDX-License-Identifier: GPL-2.0-only
//! The simulated kernel itself, and how it keeps the contract.

use std::boxed::Box;
use std::format;
use std::string::String;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::vec::Vec;

use core::fmt;

use crate::context::{CpusHeld, IrqOff, Pinned};
use crate::cpumask::CpuMask;
use crate::errno::{Errno, Result};
use crate::ids::{CpuId, DomainId, TaskWord};
use crate::platform::{CacheInfo, CacheLevel, LockClass, LogLevel, Owner, Platform, Timestamp, WorkKind, WorkTarget};
use crate::refs::Ref;
use crate::stay::CpusStay;

use super::fault;
use super::hotplug::{Callbacks, CpuState};
use super::locks::{HotplugLock, SimCpusReadGuard, SimMutex, SimRwLock};
use super::pseudo_lock::Shared;
use super::sleep::{Freezer, SleepCallbacks};
use super::tasks::{SchedIn, SimTask, Tasks};
use super::thread::{Lock, Place, Thread, atomically, on_cpu, preemption_point};
use super::topology::{CpuTopology, Topology};
use super::workqueue::{Queue, SimWork};

/// The wall clock when the virtual clock is 0, in seconds since the epoch.
const BOOT_SECONDS: i64 = 1_700_000_000;
/// Bytes of a cache line.
pub(super) const CACHE_LINE: u32 = 64;
/// Bytes of the largest piece of memory: KMALLOC_MAX_SIZE.
pub(super) const MAX_MEMORY: u32 = 4 << 20;

/// The trace event `resctrl:mon_llc_occupancy_limbo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimboEvent {
    /// CLOSID of the freed RMID; all ones where RMIDs are global.
    pub ctrl_hw_id: u32,
    /// The freed RMID.
    pub mon_hw_id: u32,
    /// Where it was looked for.
    pub domain: DomainId,
    /// What was found.
    pub bytes: u64,
}

/// What has happened on a simulated machine. Add these up over schedules to see what a test exercised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Runs of works that started on the CPU they were scheduled for.
    pub bound_runs: usize,
    /// Runs of works that started after that CPU had gone.
    pub displaced_runs: usize,
    /// Runs of works whose CPU went under way.
    pub unbound_under_way: usize,
    /// CPUs brought online.
    pub onlines: usize,
    /// CPUs taken offline, the sleep of the system included.
    pub offlines: usize,
    /// Functions called on a CPU in a thread.
    pub calls: usize,
    /// Functions called on a CPU in an interrupt, but those that were called on a whole mask.
    pub interrupts: usize,
    /// How often the system has slept, or was refused.
    pub sleeps: usize,
}

/// Everything that changes. Behind a lock that is never held across a switch of threads.
pub(super) struct State {
    pub(super) cpus: Vec<CpuState>,
    pub(super) queue: Queue,
    pub(super) tasks: Tasks,
    pub(super) callbacks: Option<Arc<Callbacks>>,
    pub(super) sched_in: Option<Arc<SchedIn>>,
    pub(super) sleep: Option<Arc<SleepCallbacks>>,
    pub(super) freezer: Freezer,
    pub(super) clock_stops: bool,
    pub(super) stats: Stats,
    waiters: usize,
    tolerant: bool,
    log: Vec<(LogLevel, String)>,
    limbo_events: Vec<LimboEvent>,
}

pub(super) struct Kernel {
    pub(super) topology: Topology,
    pub(super) hotplug: HotplugLock,
    pub(super) regions: Shared,
    state: std::sync::Mutex<State>,
    /// By CPU: held while its interrupts are off.
    irq: Vec<shuttle::sync::Mutex<()>>,
    changing: shuttle::sync::Mutex<()>,
    changed: shuttle::sync::Condvar,
}

impl Kernel {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Poisoned only by a failing check, whose panic is the news.
        match self.state.try_lock() {
            Ok(state) => state,
            Err(std::sync::TryLockError::Poisoned(state)) => state.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => panic!("the simulated kernel's state was held over a switch"),
        }
    }

    pub(super) fn count(&self, f: impl FnOnce(&mut Stats)) {
        f(&mut self.state().stats);
    }

    pub(super) fn irq_lock(&self, cpu: CpuId) -> shuttle::sync::MutexGuard<'_, ()> {
        self.irq[cpu.index()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the threads in [`Kernel::wait`] to look again.
    pub(super) fn notify(&self) {
        if self.state().waiters > 0 {
            drop(self.changing.lock().unwrap_or_else(PoisonError::into_inner));
            self.changed.notify_all();
        }
    }

    /// Waits for `condition`, which only changes before a [`Kernel::notify`].
    pub(super) fn wait(&self, condition: impl Fn(&State) -> bool) {
        Thread::current().might_sleep("a wait");
        let mut guard = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        // No other thread runs between the look and being on the list of waiters: the wait itself is the first switch.
        while !condition(&self.state()) {
            self.state().waiters += 1;
            guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
            self.state().waiters -= 1;
        }
    }
}

/// A simulated machine with its kernel. Clones are the same machine: keep one to drive it, give one to the file system.
#[derive(Clone)]
pub struct SimPlatform {
    pub(super) kernel: Arc<Kernel>,
}

impl fmt::Debug for SimPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimPlatform({} CPUs)", self.kernel.topology.cpus.len())
    }
}

impl SimPlatform {
    /// A machine of this shape with every CPU online, at virtual time 0.
    ///
    /// # Panics
    /// Without a CPU.
    #[must_use]
    pub fn new(topology: Topology) -> Self {
        let cpus = topology.cpus.len();
        assert!(cpus > 0, "a machine has a CPU");
        let state = State {
            cpus: std::vec![CpuState::Online; cpus],
            queue: Queue::new(cpus),
            tasks: Tasks::new(cpus),
            callbacks: None,
            sched_in: None,
            sleep: None,
            freezer: Freezer::default(),
            clock_stops: false,
            stats: Stats::default(),
            waiters: 0,
            tolerant: false,
            log: Vec::new(),
            limbo_events: Vec::new(),
        };
        SimPlatform {
            kernel: Arc::new(Kernel {
                irq: topology.cpus.iter().map(|_| shuttle::sync::Mutex::new(())).collect(),
                topology,
                hotplug: HotplugLock::default(),
                regions: Shared::default(),
                state: std::sync::Mutex::new(state),
                changing: shuttle::sync::Mutex::new(()),
                changed: shuttle::sync::Condvar::new(),
            }),
        }
    }

    /// Lets works be scheduled on CPUs that have gone, as Linux does, instead of panicking: for models of code that was
    /// wrong.
    pub fn tolerate_gone_cpus(&self) {
        self.kernel.state().tolerant = true;
    }

    /// The lines logged so far, as they appear in the kernel log (`resctrl: ` in front).
    #[must_use]
    pub fn log_lines(&self) -> Vec<String> {
        self.kernel.state().log.iter().map(|(_, line)| line.clone()).collect()
    }

    /// The trace events fired since this was asked last.
    #[must_use]
    pub fn take_limbo_events(&self) -> Vec<LimboEvent> {
        core::mem::take(&mut self.kernel.state().limbo_events)
    }

    /// The lines of one level.
    #[must_use]
    pub fn log_lines_at(&self, level: LogLevel) -> Vec<String> {
        self.kernel.state().log.iter().filter(|line| line.0 == level).map(|(_, line)| line.clone()).collect()
    }

    fn shape(&self, cpu: CpuId) -> Option<&CpuTopology> {
        self.kernel.topology.cpus.get(cpu.index())
    }

    pub(super) fn check_cpus_held(&self) {
        assert!(Thread::current().holds(Lock::Hotplug), "a cross-call without the hotplug lock");
    }

    /// Checks what is said to keep `cpu` from going.
    fn check_stays(&self, stay: CpusStay<'_>, cpu: CpuId) {
        if let CpusStay::All(_) = stay {
            self.check_cpus_held();
            return;
        }
        assert!(Thread::current().holds(Lock::Rdtgroup), "a cross-call without the mutex that keeps the CPUs");
        assert!(stay.includes(cpu), "a cross-call to CPU {cpu}, of which nobody says that it stays");
        let state = self.kernel.state().cpus.get(cpu.index()).copied();
        let stays = matches!(state, Some(CpuState::Starting | CpuState::Online));
        assert!(stays, "a cross-call to CPU {cpu}, which has gone though it was to stay");
    }

    /// Runs `f` as an interrupt of `cpu`.
    pub(super) fn in_interrupt(&self, cpu: CpuId, f: impl FnOnce(IrqOff<'_>)) {
        let _irq = self.kernel.irq_lock(cpu);
        on_cpu(Place::Irq, cpu, || {
            // SAFETY: the CPU's interrupt lock is held and the thread counts as being on `cpu` meanwhile.
            f(unsafe { IrqOff::new(cpu) });
        });
    }
}

impl Platform for SimPlatform {
    type Mutex<T: Send + 'static> = SimMutex<T>;
    type RwLock<T: Send + Sync + 'static> = SimRwLock<T>;
    type CpusReadGuard<'a> = SimCpusReadGuard<'a>;
    type Work = SimWork;
    type Task = SimTask;
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
            return Err(target);
        }
        let gone = !matches!(state.cpus.get(cpu.index()), Some(CpuState::Starting | CpuState::Online));
        let tolerant = state.tolerant;
        drop(state);
        assert!(!gone || tolerant, "a work was scheduled on CPU {cpu}, which has gone or never was");
        let run = Box::new(move |context: crate::WorkerContext<'_>| T::run(target, kind, context));
        self.queue_work(id, cpu, delay_ms, run);
        self.kernel.notify();
        Ok(())
    }

    fn for_each_task(&self, f: &mut dyn FnMut(&SimTask)) {
        let all = self.kernel.state().tasks.all();
        preemption_point();
        atomically(|| all.iter().for_each(f));
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

    fn set_task_word(&self, task: &SimTask, word: TaskWord) {
        task.set_word(word);
    }

    fn running_on(&self, task: &SimTask) -> Option<CpuId> {
        self.kernel.state().tasks.cpu_of(task)
    }

    fn current_word(&self, here: IrqOff<'_>) -> TaskWord {
        assert_eq!(Thread::current().cpu(), Some(here.cpu()), "the proof of another CPU");
        self.kernel.state().tasks.on(here.cpu()).map_or(TaskWord(0), |task| task.word())
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
