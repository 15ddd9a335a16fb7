// SPDX-License-Identifier: GPL-2.0-only
//! The simulated kernel itself.

use std::string::String;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::vec::Vec;

use core::fmt;

use crate::context::IrqOff;
use crate::ids::{CpuId, DomainId};
use crate::platform::LogLevel;
use crate::stay::CpusStay;

use super::callbacks::{Callbacks, CpuState, SchedIn, SleepCallbacks};
use super::gate;
use super::locks::HotplugLock;
use super::queue::Queue;
use super::regions::Shared;
use super::serial;
use super::task::Tasks;
use super::thread::{Lock, Place, Thread, on_cpu};
use super::topology::{CpuTopology, Topology};

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
    /// Walks through all tasks.
    pub walks: usize,
    /// How often the system has slept, or was refused.
    pub sleeps: usize,
}

/// Who may run.
#[derive(Default)]
pub(super) struct Freezer {
    pub(super) frozen: bool,
    /// How many run that would not if it were.
    pub(super) awake: usize,
}

/// Everything that changes. Behind a lock that is never held across a switch of threads.
pub(super) struct State {
    pub(super) cpus: Vec<CpuState>,
    pub(super) queue: Queue,
    pub(super) tasks: Tasks,
    pub(super) callbacks: Option<Arc<Callbacks>>,
    pub(super) sched_in: Option<Arc<SchedIn>>,
    /// How many watch context switches.
    pub(super) watchers: usize,
    pub(super) sleep: Option<Arc<SleepCallbacks>>,
    pub(super) freezer: Freezer,
    pub(super) clock_stops: bool,
    pub(super) stats: Stats,
    waiters: usize,
    pub(super) tolerant: bool,
    pub(super) log: Vec<(LogLevel, String)>,
    pub(super) limbo_events: Vec<LimboEvent>,
}

pub(super) struct Kernel {
    pub(super) topology: Topology,
    pub(super) hotplug: HotplugLock,
    pub(super) regions: Shared,
    state: std::sync::Mutex<State>,
    /// By CPU: held while its interrupts are off.
    irq: Vec<gate::Mutex<()>>,
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

    pub(super) fn irq_lock(&self, cpu: CpuId) -> gate::MutexGuard<'_, ()> {
        self.irq[cpu.index()].lock()
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
        if serial::is_serial() {
            return serial::wait(|| condition(&self.state()));
        }
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
            watchers: 0,
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
                irq: topology.cpus.iter().map(|_| gate::Mutex::new(())).collect(),
                topology,
                hotplug: HotplugLock::new(),
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

    pub(super) fn shape(&self, cpu: CpuId) -> Option<&CpuTopology> {
        self.kernel.topology.cpus.get(cpu.index())
    }

    pub(super) fn check_cpus_held(&self) {
        assert!(Thread::current().holds(Lock::Hotplug), "a cross-call without the hotplug lock");
    }

    /// Checks what is said to keep `cpu` from going.
    pub(super) fn check_stays(&self, stay: CpusStay<'_>, cpu: CpuId) {
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
