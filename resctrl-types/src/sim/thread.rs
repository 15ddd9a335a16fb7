// SPDX-License-Identifier: GPL-2.0-only
//! What the simulated kernel knows of a thread: where it runs, what it holds, whether it may sleep.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::panicking;
use std::thread_local;
use std::time::Duration;
use std::vec::Vec;

use crate::ids::CpuId;

use super::serial;
use super::task::SimTask;

/// The locks that there are, outermost first: taking one while holding it or a later one is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lock {
    FirstMount,
    Hotplug,
    Rdtgroup,
    Tree,
    Regions,
}

/// Why a thread is for the moment on a CPU that it did not choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A hotplug callback: may sleep and take locks.
    Callback,
    /// A function called on a CPU: may sleep, takes no lock of resctrl.
    CallOn,
    /// Interrupts are off: may not sleep.
    Irq,
}

#[derive(Default)]
struct State {
    /// The CPU the thread is bound to by itself.
    bound: Option<CpuId>,
    /// Where it was called to, innermost last.
    places: Vec<(Place, CpuId)>,
    held: Vec<Lock>,
    /// Depth of callbacks that must not sleep although interrupts are on.
    atomic: u32,
    task: Option<SimTask>,
}

/// One thread of the simulated kernel. Shared, since a CPU that goes away takes the binding of its workers with it.
#[derive(Default)]
pub(super) struct Thread(Mutex<State>);

shuttle::thread_local! {
    static THREAD: Arc<Thread> = Arc::new(Thread::default());
}

/// The CPU that the calling thread cannot leave at this moment: it is bound to it, was called there, or is in an
/// interrupt of it. `None` for a thread that runs anywhere, where touching a register would be a mistake.
///
/// # Panics
/// Outside a simulated run.
#[must_use]
pub fn current_cpu() -> Option<CpuId> {
    Thread::current().cpu()
}

/// A place where the scheduler may let another thread run.
pub(super) fn preemption_point() {
    if !panicking() && !serial::is_serial() {
        shuttle::thread::sleep(Duration::ZERO);
    }
}

thread_local! {
    /// Whether a simulated machine runs on this thread of the host.
    static RUNNING: Cell<bool> = const { Cell::new(false) };
    /// Without a scheduler, what counts as the thread at the moment.
    static ONLY: RefCell<Arc<Thread>> = RefCell::default();
}

/// Runs `f`, in which simulated machines run.
pub(super) fn while_running<R>(f: impl FnOnce() -> R) -> R {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            RUNNING.set(false);
        }
    }
    RUNNING.set(true);
    let _end = End;
    f()
}

/// Runs `f` as a thread of its own, where there is no scheduler that has any.
pub(super) fn apart<R>(f: impl FnOnce() -> R) -> R {
    struct Back(Arc<Thread>);
    impl Drop for Back {
        fn drop(&mut self) {
            ONLY.set(Arc::clone(&self.0));
        }
    }
    let _back = Back(ONLY.replace(Arc::default()));
    f()
}

/// Checks that the thread may allocate.
pub(super) fn check_allocation() {
    if RUNNING.get() && !panicking() {
        assert!(!Thread::current().holds(Lock::Tree), "allocated under the lock of the tree");
    }
}

impl Thread {
    pub(super) fn current() -> Arc<Thread> {
        if serial::is_serial() { ONLY.with_borrow(Arc::clone) } else { THREAD.with(Arc::clone) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Never held across a switch; poisoned only by a failing check, whose panic is the news.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cpu(&self) -> Option<CpuId> {
        let state = self.state();
        state.places.last().map(|&(_, cpu)| cpu).or(state.bound)
    }

    pub(super) fn bind(&self, cpu: Option<CpuId>) {
        self.state().bound = cpu;
    }

    pub(super) fn task(&self) -> Option<SimTask> {
        self.state().task.clone()
    }

    pub(super) fn set_task(&self, task: Option<SimTask>) -> Option<SimTask> {
        std::mem::replace(&mut self.state().task, task)
    }

    pub(super) fn holds(&self, lock: Lock) -> bool {
        self.state().held.contains(&lock)
    }

    pub(super) fn holds_nothing(&self) -> bool {
        self.state().held.is_empty()
    }

    /// The kernel's `might_sleep()`.
    pub(super) fn might_sleep(&self, what: &str) {
        let state = self.state();
        let irq = state.places.iter().any(|&(place, _)| place == Place::Irq);
        let atomic = state.atomic > 0;
        drop(state);
        assert!(panicking() || !irq, "{what} with interrupts off");
        assert!(panicking() || !atomic, "{what} in a callback that must not sleep");
    }

    /// Checks that the thread may take `lock` now, before it waits for it.
    pub(super) fn check_order(&self, lock: Lock) {
        self.might_sleep(match lock {
            Lock::FirstMount => "the mutex of the first mount taken",
            Lock::Hotplug => "the hotplug lock taken",
            Lock::Rdtgroup => "the rdtgroup mutex taken",
            Lock::Tree => "the lock of the tree taken",
            Lock::Regions => "the mutex of regions taken",
        });
        let state = self.state();
        let called = state.places.iter().any(|&(place, _)| place == Place::CallOn);
        let worst = state.held.iter().max().copied();
        drop(state);
        if panicking() {
            return;
        }
        assert!(!called, "{lock:?} lock taken in a function called on a CPU");
        if let Some(worst) = worst {
            assert!(worst != lock, "{lock:?} lock taken twice by one thread");
            assert!(worst < lock, "{lock:?} lock taken while holding {worst:?}: the order is that of the type");
        }
    }
}

/// That the thread holds a lock, for as long as this lives.
pub(super) struct Hold {
    thread: Arc<Thread>,
    lock: Lock,
}

impl Hold {
    pub(super) fn new(thread: Arc<Thread>, lock: Lock) -> Self {
        thread.state().held.push(lock);
        Hold { thread, lock }
    }

    pub(super) fn is_of(&self, lock: Lock) -> bool {
        self.lock == lock
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.thread.state();
        if let Some(at) = state.held.iter().rposition(|&held| held == self.lock) {
            state.held.remove(at);
        }
    }
}

/// Runs `f` with the calling thread moved to `cpu`.
pub(super) fn on_cpu<R>(place: Place, cpu: CpuId, f: impl FnOnce() -> R) -> R {
    struct Leave(Arc<Thread>);
    impl Drop for Leave {
        fn drop(&mut self) {
            self.0.state().places.pop();
        }
    }
    let thread = Thread::current();
    thread.state().places.push((place, cpu));
    let _leave = Leave(thread);
    f()
}

/// Runs `f`, which must not sleep.
pub(super) fn atomically<R>(f: impl FnOnce() -> R) -> R {
    struct Leave(Arc<Thread>);
    impl Drop for Leave {
        fn drop(&mut self) {
            self.0.state().atomic -= 1;
        }
    }
    let thread = Thread::current();
    thread.state().atomic += 1;
    let _leave = Leave(thread);
    f()
}
