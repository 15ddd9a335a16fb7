// SPDX-License-Identifier: GPL-2.0-only
//! A simulated kernel: a [`Platform`](crate::Platform) in which every interleaving can be had, and had again.
//!
//! The shipped file system and architectures run on it unchanged. What the real kernel decides by luck (who gets the
//! lock, whether a timer fires before or after a CPU has gone) is decided here by a scheduler of
//! [Shuttle](https://docs.rs/shuttle), which tries many orders and prints the one that failed. Time is virtual: nothing
//! waits, [`SimPlatform::advance`] moves the clock.
//!
//! | Part | Stands for |
//! |---|---|
//! | [`SimMutex`], [`SimCpusReadGuard`] | `struct mutex`, `cpus_read_lock()`, with a lock validator that panics |
//! | [`Topology`] | possible CPUs, their caches, nodes and packages |
//! | [`SimPlatform::online`], [`SimPlatform::offline`] | `kernel/cpu.c` |
//! | [`SimPlatform::sleep`], [`SimPlatform::as_user`] | `kernel/power`: suspend and hibernation, the freezer |
//! | [`SimWork`], [`SimPlatform::advance`], [`Clock`] | `kernel/workqueue.c`, timers |
//! | [`fail_allocation`] | `failslab` |
//! | [`Refusal`], [`RegionCounts`] | what pseudo-locked regions have of the kernel, and how it refuses |
//! | [`SimTask`] | tasks, their ids in pid namespaces, their credentials, context switches |
//!
//! # Running a test
//!
//! Everything above only works inside one of [`run`] (one fixed schedule: for a plain unit test), [`explore`] and
//! [`explore_pct`] (random schedules), [`explore_preemptions`] (every schedule with few preemptions) and [`explore_all`]
//! (every schedule, for bodies of a few steps). [`run_serially`] has no scheduler, and is for tests in which one thread does
//! everything, over and over again:
//!
//! ```
//! use resctrl_types::sim::{self, SimPlatform, Topology};
//!
//! sim::run(|| {
//!     let sim = SimPlatform::new(Topology::packages(2, 2));
//!     sim.offline(resctrl_types::CpuId(3)).unwrap();
//!     sim.assert_idle();
//! });
//! ```
//!
//! A register of a CPU may only be touched on that CPU; emulated hardware asks [`current_cpu`] where it is being
//! touched from.
//!
//! # Repeating a failure
//!
//! A schedule that fails is written to a file, and the command is printed that runs exactly this one again: the test with
//! the file's path in `SIM_REPLAY`. `SIM_ITERATIONS` multiplies how many schedules the random explorers try, `SIM_SEED`
//! makes them try others, `SIM_PREEMPTIONS` raises the bound of [`explore_preemptions`].
//!
//! What the schedules have exercised is counted with [`tally`]. With the path of a file in `SIM_TALLY`, each exploration
//! appends its number of schedules and its counts to that.
//!
//! # What happened
//!
//! [`trace::record`] keeps a list of what happened to works, CPUs and locks, for a model that must allow each step.
//!
//! # What is exact and what is not
//!
//! Exact, because the lifetime of monitor domains hangs on it: which of a work's runs are bound, displaced or unbound
//! under way; that a run neither overlaps with another of the same work nor moves away from a worker that is running
//! it; that a cleared CPU is still online during its callback; the order of callback, workqueue and timers. Left out:
//! fairness, priorities, preemption inside straight code (threads switch where they touch the platform), memory
//! ordering weaker than sequential consistency.

mod callbacks;
mod contract;
mod explore;
pub(crate) mod fault;
mod gate;
mod hotplug;
mod locks;
mod platform;
mod preemptions;
mod pseudo_lock;
mod queue;
mod recording;
mod regions;
mod serial;
mod sleep;
mod tally;
mod task;
mod tasks;
mod thread;
mod topology;
pub mod trace;
mod workqueue;

pub use explore::{explore, explore_all, explore_pct, explore_preemptions, is_replay, run, run_serially};
pub use fault::fail_allocation;
pub use locks::{SimCpusReadGuard, SimMutex, SimMutexGuard, SimReadGuard, SimRwLock, SimWriteGuard};
pub use platform::{LimboEvent, SimPlatform, Stats};
pub use preemptions::in_one_order;
pub use pseudo_lock::{SimCounters, SimLatencyLimit, SimLockMemory, SimRegionNodes};
pub use regions::{Reading, Refusal, RegionCounts};
pub use tally::{tallied, tally};
pub use task::{SimTask, TaskSpec};
pub use tasks::SimSwitches;
pub use thread::current_cpu;
pub use topology::{CpuTopology, Topology};
pub use workqueue::{Clock, SimWork};
