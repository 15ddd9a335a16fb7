// SPDX-License-Identifier: GPL-2.0-only
//! The contract of a kernel: everything the file system and an architecture may ask of the place they run in.
//!
//! There are two implementations and no third: the module (`qemu-images/module`, over the shim's wrappers of kernel
//! functions) and the simulated kernel (feature `sim` of this crate). The file system never calls a kernel function in
//! any other way, so what runs in the one runs in the other unchanged.
//!
//! # Lock order
//!
//! The mutex of the first mount, then the CPU hotplug lock, then the rdtgroup mutex, then the lock of the tree, then the mutex
//! of pseudo-locked regions. Hotplug callbacks come with the second held for writing; workers take only the third; look-ups in
//! the tree take only the fourth, and share it; whoever maps a region takes only the fifth, below the locks of his address
//! space. Nothing sleeps on a worker, and nothing is allocated or freed under the fourth.

use core::fmt;
use core::ops::ControlFlow;
use core::ops::{Deref, DerefMut};

use crate::cache::{CacheInfo, CacheLevel};
use crate::context::{CpusHeld, IrqOff, Pinned, WorkerContext};
use crate::cpumask::CpuMask;

use crate::errno::Result;
use crate::ids::{CpuId, DomainId, TaskWord, TaskWords};
use crate::pseudo_lock::PseudoLocking;
use crate::refs::Ref;
use crate::stay::CpusStay;

/// A sleeping mutual exclusion lock around a value: `struct mutex`.
pub trait Mutex<T>: Send + Sync {
    /// The held lock; dropping it releases.
    type Guard<'a>: DerefMut<Target = T>
    where
        Self: 'a;

    /// Takes the lock; may sleep, cannot fail, is not interrupted by signals.
    fn lock(&self) -> Self::Guard<'_>;

    /// Takes the lock if nobody has it. May be called with interrupts off, in a thread.
    fn try_lock(&self) -> Option<Self::Guard<'_>>;
}

/// A sleeping lock around a value that many look at or one changes: `struct rw_semaphore`.
///
/// Nobody takes it twice, not even to look: whoever waits to change the value keeps newcomers from looking.
pub trait RwLock<T>: Send + Sync {
    /// The lock held for looking; dropping it releases.
    type ReadGuard<'a>: Deref<Target = T>
    where
        Self: 'a;
    /// The lock held for changing; dropping it releases.
    type WriteGuard<'a>: DerefMut<Target = T>
    where
        Self: 'a;

    /// Takes the lock together with others who look; may sleep, cannot fail, is not interrupted by signals.
    fn read(&self) -> Self::ReadGuard<'_>;

    /// Takes the lock alone; may sleep, cannot fail, is not interrupted by signals.
    fn write(&self) -> Self::WriteGuard<'_>;
}

/// The CPU hotplug lock held for reading: `cpus_read_lock()`. Dropping it releases.
pub trait CpusReadGuard {
    /// The proof that CPUs neither come nor go.
    fn held(&self) -> CpusHeld<'_>;
}

/// Which lock a mutex or an [`RwLock`] is. Platforms with a lock validator make one class of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockClass {
    /// What happens once, before the first mount, and may wait for modules to load. Outermost.
    FirstMount,
    /// `rdtgroup_mutex`: serialises every command, both workers and all hotplug callbacks.
    Rdtgroup,
    /// The node tree of the file system.
    Tree,
    /// The pseudo-locked regions. Innermost.
    Regions,
}

/// How serious a kernel log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// `pr_warn`.
    Warn,
    /// `pr_info`.
    Info,
}

/// Who owns a new file: the file system ids of the task that makes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Kernel user id.
    pub uid: u32,
    /// Kernel group id.
    pub gid: u32,
}

/// Wall-clock time, for the time stamps of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since the epoch.
    pub sec: i64,
    /// `0..1_000_000_000`.
    pub nsec: u32,
}

/// The two delayed works of an L3 monitor domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkKind {
    /// Reads bandwidth counters often enough that none wraps twice: `mbm_over`.
    Overflow,
    /// Waits for the cache lines of freed RMIDs to go: `cqm_limbo`.
    Limbo,
}

/// A reference-counted value that has delayed works in it.
pub trait WorkTarget<P: Platform>: Send + Sync + Sized + 'static {
    /// The work of this kind.
    fn work(&self, kind: WorkKind) -> &P::Work;

    /// Runs the work. `this` is the reference that scheduling it consumed: hand it to the next
    /// [`Platform::schedule`], or drop it. May sleep.
    fn run(this: Ref<Self>, kind: WorkKind, context: WorkerContext<'_>);
}

/// What a kernel does for resctrl.
///
/// Code over a platform knows no kernel. In the module it is resctrl, on the simulated kernel it is a test:
///
#[cfg_attr(not(feature = "sim"), doc = "```ignore")]
#[cfg_attr(feature = "sim", doc = "```")]
/// use resctrl_types::platform::{LockClass, Mutex, WorkKind, WorkTarget};
/// use resctrl_types::sim::{self, SimPlatform, Topology};
/// use resctrl_types::{CpuId, Platform, Ref, Result, WorkerContext};
///
/// /// Takes note of where its worker runs.
/// struct Domain<P: Platform> {
///     work: P::Work,
///     runs: P::Mutex<Vec<Option<CpuId>>>,
/// }
///
/// impl<P: Platform> WorkTarget<P> for Domain<P> {
///     fn work(&self, _: WorkKind) -> &P::Work {
///         &self.work
///     }
///
///     fn run(this: Ref<Self>, _: WorkKind, context: WorkerContext<'_>) {
///         this.runs.lock().push(match context {
///             WorkerContext::Bound(here) => Some(here.cpu()),
///             WorkerContext::Displaced => None,
///         });
///         // The reference which scheduling it consumed ends here.
///     }
/// }
///
/// fn send<P: Platform>(platform: &P, domain: &Ref<Domain<P>>, cpu: CpuId) -> Result<(), Ref<Domain<P>>> {
///     let _stays = platform.cpus_read_lock();
///     platform.schedule(domain.clone(), WorkKind::Overflow, cpu, 1000)
/// }
///
/// sim::run(|| {
///     let sim = SimPlatform::new(Topology::packages(1, 2));
///     let runs = sim.mutex(LockClass::Rdtgroup, Vec::new()).unwrap();
///     let domain = Ref::new(Domain { work: sim.work().unwrap(), runs }).unwrap();
///
///     send(&sim, &domain, CpuId(1)).ok().unwrap();
///     // It is on its way already: the reference comes back.
///     assert!(send(&sim, &domain, CpuId(0)).is_err());
///     sim.advance(1000);
///     sim.settle();
///
///     send(&sim, &domain, CpuId(1)).ok().unwrap();
///     sim.offline(CpuId(1)).unwrap();
///     sim.advance(1000);
///     sim.settle();
///     assert_eq!(*domain.runs.lock(), [Some(CpuId(1)), None]);
///
///     assert_eq!(Ref::count(&domain), 1);
/// });
/// ```
///
/// Methods without an `# Errors` section cannot fail. None may be called with interrupts off unless it says so.
pub trait Platform: Sized + Send + Sync + 'static {
    /// The mutex.
    type Mutex<T: Send + 'static>: Mutex<T> + 'static;
    /// The lock that many may share.
    type RwLock<T: Send + Sync + 'static>: RwLock<T> + 'static;
    /// The hotplug lock held for reading.
    type CpusReadGuard<'a>: CpusReadGuard
    where
        Self: 'a;
    /// A delayed work: `struct delayed_work`. Idle until scheduled. Lives as long as the value it is in; the platform
    /// may rely on its never being dropped while scheduled, since the schedule holds a reference to that value.
    type Work: Send + Sync + 'static;
    /// A thread, for as long as a callback runs.
    type Task;
    /// That context switches are [watched](Platform::watch_switches), until it is dropped: anywhere, under any lock of these.
    type Switches: Send + Sync + 'static;
    /// What pseudo-locking asks of the kernel: [`NoPseudoLocking`](crate::pseudo_lock::NoPseudoLocking) where there is none.
    type PseudoLocking: PseudoLocking;

    // ---- Locks ----

    /// A new mutex around `value`.
    ///
    /// # Errors
    /// `ENOMEM`; `value` is dropped.
    fn mutex<T: Send + 'static>(&self, class: LockClass, value: T) -> Result<Self::Mutex<T>>;

    /// A new shared lock around `value`.
    ///
    /// # Errors
    /// `ENOMEM`; `value` is dropped.
    fn rw_lock<T: Send + Sync + 'static>(&self, class: LockClass, value: T) -> Result<Self::RwLock<T>>;

    /// Holds CPU hotplug off. Never called while it is already held by the same thread, nor with a mutex held but that
    /// of [`LockClass::FirstMount`].
    fn cpus_read_lock(&self) -> Self::CpusReadGuard<'_>;

    // ---- CPUs and topology ----

    /// One more than the highest possible CPU number. Constant, at least 1.
    fn nr_cpu_ids(&self) -> u32;

    /// Whether `cpu` takes unbound kernel work, that is, is not isolated by `nohz_full`.
    fn is_housekeeping(&self, cpu: CpuId) -> bool;

    /// A CPU of `cpus` to run a worker or a read on: the lowest that takes unbound work, or the lowest at all.
    fn any_housekeeping(&self, cpus: &CpuMask) -> Option<CpuId> {
        cpus.iter().find(|&cpu| self.is_housekeeping(cpu)).or_else(|| cpus.first())
    }

    /// The cache of this level that an online `cpu` uses; `None` when the kernel does not know.
    fn cache(&self, cpu: CpuId, level: CacheLevel) -> Option<CacheInfo>;

    /// The NUMA node of `cpu`.
    fn node(&self, cpu: CpuId) -> Option<u32>;

    /// The physical package of `cpu`.
    fn package(&self, cpu: CpuId) -> Option<u32>;

    /// How many NUMA nodes there are for each package, rounded up: `topology_num_nodes_per_package()`. Constant, at least 1;
    /// 1 where the architecture has no use for it.
    fn nodes_per_package(&self) -> u32;

    /// How many packages there are: `topology_max_packages()`. Constant, at least 1; 1 where the architecture has no use for it.
    fn max_packages(&self) -> u32;

    /// The CPU that the caller is on, if that is known. It may be on another one as soon as this returns: good for a choice, and
    /// no proof.
    fn likely_here(&self) -> Option<CpuId>;

    // ---- Running elsewhere ----

    /// Runs `f` once on `cpu` in a thread bound to it, and waits: `smp_call_on_cpu`. May be called with the rdtgroup
    /// mutex held. `f` may sleep but takes no lock of resctrl. `cpu` is one that `cpus` [includes](CpusStay::includes).
    ///
    /// # Errors
    /// `ENODEV` when `cpu` is not online, `ENOMEM`; `f` has then not run.
    fn call_on<'a>(
        &self,
        cpus: impl Into<CpusStay<'a>>,
        cpu: CpuId,
        f: &mut (dyn FnMut(Pinned<'_>) + Send),
    ) -> Result<()>;

    /// Runs `f` once on `cpu` with interrupts off, and waits: `smp_call_function_single`. `cpu` may be this one, and is one
    /// that `cpus` [includes](CpusStay::includes).
    ///
    /// # Errors
    /// `ENODEV` when `cpu` is not online; `f` has then not run.
    fn interrupt<'a>(
        &self,
        cpus: impl Into<CpusStay<'a>>,
        cpu: CpuId,
        f: &mut (dyn FnMut(IrqOff<'_>) + Send),
    ) -> Result<()>;

    /// Runs `f` on every online CPU of `mask` with interrupts off, this one included, and waits: `on_each_cpu_mask`.
    /// Several may run it at once.
    fn interrupt_mask(&self, cpus: CpusHeld<'_>, mask: &CpuMask, f: &(dyn Fn(IrqOff<'_>) + Sync));

    // ---- Workers ----

    /// A new idle work.
    ///
    /// # Errors
    /// `ENOMEM`.
    fn work(&self) -> Result<Self::Work>;

    /// Queues the target's work of this kind to run on `cpu` once, `delay_ms` milliseconds from now (0: at once), and
    /// hands the reference to it: `queue_delayed_work_on`.
    ///
    /// `cpu` must be online, or on its way out with its hotplug callback not yet run. When it goes offline before the
    /// work has started, the work still runs at its time, somewhere else ([`WorkerContext::Displaced`]).
    /// A work that has started is no longer pending and may be queued again, also by its own handler; two runs of one
    /// work never overlap. But a work that comes due while it still runs, as one always does that its own handler queues
    /// with no delay, stays with the pool that runs it, whatever `cpu` says (`__queue_work` in `kernel/workqueue.c`): a
    /// handler that wants to move itself asks for at least one tick.
    ///
    /// # Errors
    /// The reference comes back when the work was already pending; its earlier schedule stands.
    fn schedule<T: WorkTarget<Self>>(
        &self,
        target: Ref<T>,
        kind: WorkKind,
        cpu: CpuId,
        delay_ms: u32,
    ) -> Result<(), Ref<T>>;

    // ---- Tasks ----

    /// Calls `f` for every thread of the system but the idle ones, user and kernel, whose word is one of `which`, until it
    /// breaks. `f` must not sleep. Systems have many threads and groups few: what is left out here should cost no more than
    /// a comparison.
    fn for_each_task(&self, which: TaskWords, f: &mut dyn FnMut(&Self::Task) -> ControlFlow<()>);

    /// Stores a word in every thread of the system but the idle ones whose word is one of `which`; adds the CPUs that run one of
    /// them at this moment to `running`, which has room for every CPU. Each as by [`Platform::relabel_task`].
    fn relabel_tasks(&self, which: TaskWords, word: TaskWord, running: &mut CpuMask) {
        self.for_each_task(which, &mut |task| {
            if let Some(cpu) = self.relabel_task(task, word) {
                // There is room for every CPU.
                let _ = running.set(cpu);
            }
            ControlFlow::Continue(())
        });
    }

    /// Stores a word in `task`, which new threads inherit from their creator; has a full barrier; gives the CPU which the task runs
    /// on at this moment, if it runs. That is to be refreshed by [`Platform::interrupt_mask`]. A task that starts to run later loads
    /// the new word.
    fn relabel_task(&self, task: &Self::Task, word: TaskWord) -> Option<CpuId>;

    /// Stores a word in every thread of the system but the idle ones. Orders nothing.
    fn set_every_task_word(&self, word: TaskWord);

    /// Calls `f` with the thread which the caller's pid namespace knows by `id`; with the caller itself for 0.
    /// Returns false, without calling, when there is none. `f` must not sleep.
    fn with_task(&self, id: i32, f: &mut dyn FnMut(&Self::Task)) -> bool;

    /// The id of `task` in the caller's pid namespace; `None` when it has none there.
    fn task_id(&self, task: &Self::Task) -> Option<i32>;

    /// Whether the caller may move `task`: its effective user is the global root or the task's real or saved user.
    fn may_move(&self, task: &Self::Task) -> bool;

    /// The word stored in `task`.
    fn task_word(&self, task: &Self::Task) -> TaskWord;

    /// The word of the task that this CPU runs, or was running when the interrupt came; 0 while nobody watches context
    /// switches. Callable with interrupts off.
    fn current_word(&self, here: IrqOff<'_>) -> TaskWord;

    /// Watches context switches until what it gives is dropped: the platform calls `Resctrl::sched_in` with the next task's word
    /// at each, and has called it on each online CPU, with the word of what runs there, before this returns. Who holds several
    /// is called once. After the last has been dropped that goes on for as long as the platform likes, at whose end each CPU is
    /// switched to the word 0: nobody watches what has no effect, which is when every task has that word.
    ///
    /// To begin takes long, and locks before the CPU hotplug lock: called without any lock of these but that of the first mount.
    ///
    /// # Errors
    /// `ENOMEM` or `ENODEV`; nothing is watched.
    fn watch_switches(&self) -> Result<Self::Switches>;

    // ---- Pseudo-locking ----

    /// What pseudo-locking asks of the kernel; `None` where there is no such thing.
    fn pseudo_locking(&self) -> Option<&Self::PseudoLocking> {
        None
    }

    // ---- The caller, time, the log ----

    /// Tells those who watch the trace event `resctrl:mon_llc_occupancy_limbo` how many bytes of a domain an RMID that is in
    /// limbo occupies, where the kernel has that event. `ctrl_hw_id` is all ones where RMIDs are global.
    fn trace_limbo(&self, ctrl_hw_id: u32, mon_hw_id: u32, domain: DomainId, bytes: u64);

    /// The file system ids of the calling task.
    fn owner(&self) -> Owner;

    /// Wall-clock time.
    fn now(&self) -> Timestamp;

    /// Writes a line to the kernel log; the platform prefixes `resctrl: ` and ends the line. Callable anywhere.
    fn log(&self, level: LogLevel, message: fmt::Arguments<'_>);
}

/// The memory of a region on a platform.
pub type MemoryOf<P> = <<P as Platform>::PseudoLocking as PseudoLocking>::Memory;
/// The device and the directory of a region on a platform.
pub type NodesOf<P> = <<P as Platform>::PseudoLocking as PseudoLocking>::Nodes;
/// That a CPU of a platform does not sleep deeply.
pub type LatencyLimitOf<P> = <<P as Platform>::PseudoLocking as PseudoLocking>::LatencyLimit;
