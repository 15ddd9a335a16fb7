// SPDX-License-Identifier: GPL-2.0-only
//! What happened in a run, as far as the life of domains hangs on it: for a model that must allow each step.
//!
//! Everything in a simulated machine runs on one thread of the host: the record is that thread's, and starts empty with
//! [`record`].

use std::cell::RefCell;
use std::sync::Arc;
use std::thread_local;
use std::vec::Vec;

use crate::ids::CpuId;

use super::thread::Thread;

/// A work, by its number. Those of a domain are made one after the other.
pub type WorkId = u64;

/// What a callback is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackKind {
    /// A CPU has come, or is back from the system's sleep.
    Come(CpuId),
    /// A CPU goes.
    Go(CpuId),
    /// A CPU stops, because the system falls asleep.
    Suspend(CpuId),
    /// All CPUs that come back are back.
    Awake,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The clock shows so many milliseconds now.
    Clock(u64),
    /// A work was made.
    Made(WorkId),
    /// A work was given back, with the domain that it is of.
    Freed(WorkId),
    /// A work was scheduled on a CPU, so many milliseconds from now.
    Scheduled(WorkId, CpuId, u32),
    /// The same was asked for, but it was pending already.
    WasPending(WorkId),
    /// A work that was pending was cancelled.
    Cancelled(WorkId),
    /// A work's time has come.
    Fired(WorkId),
    /// A run began, bound to a CPU or displaced.
    Begun(WorkId, Option<CpuId>),
    /// A run returned.
    Finished(WorkId),
    /// The rdtgroup mutex was taken.
    Locked,
    /// The rdtgroup mutex is about to be let go.
    Unlocked,
    /// The hotplug lock was taken for reading.
    CpusHeld,
    /// It is about to be let go.
    CpusReleased,
    /// A CPU begins to come.
    Starting(CpuId),
    /// The workers of a CPU are bound to it again.
    Rebound(CpuId),
    /// A CPU is online, its callbacks have been called.
    Online(CpuId),
    /// A CPU begins to go: what goes takes the hotplug lock for writing.
    Leaving(CpuId),
    /// A CPU's callbacks have been called; it goes.
    Left(CpuId),
    /// The workers of a CPU are loose.
    Unbound(CpuId),
    /// A CPU is offline.
    Offline(CpuId),
    /// A callback begins.
    Calls(CallbackKind),
    /// A callback has returned.
    Called(CallbackKind),
    /// The callbacks are being unregistered: the module's exit.
    Unregisters,
    /// They have been.
    Unregistered,
    /// Tasks and workers are frozen.
    Frozen,
    /// Tasks and workers go on.
    Thawed,
    /// A counter was read on a CPU.
    Read(CpuId),
    /// The thread has mounted the file system, since it last took the mutex.
    Mounted,
    /// The thread has unmounted it, since it last took the mutex.
    Unmounted,
}

/// What happened, and to which thread: a number that no other thread has at the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who did it, or who was running.
    pub thread: usize,
    /// What happened.
    pub event: Event,
}

thread_local! {
    static RECORDS: RefCell<Option<Vec<Record>>> = const { RefCell::new(None) };
}

/// Begins to record, and forgets what was recorded.
pub fn record() {
    RECORDS.set(Some(Vec::new()));
}

/// Ends the recording, if there is one, and gives what was recorded.
#[must_use]
pub fn recorded() -> Option<Vec<Record>> {
    RECORDS.take()
}

/// Records something that the simulated kernel does not see: [`Event::Read`], [`Event::Mounted`], [`Event::Unmounted`].
pub fn note(event: Event) {
    RECORDS.with_borrow_mut(|records| {
        if let Some(records) = records {
            records.push(Record { thread: Arc::as_ptr(&Thread::current()).addr(), event });
        }
    });
}
