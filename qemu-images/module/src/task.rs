// SPDX-License-Identifier: GPL-2.0-only
//! Tasks.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ops::ControlFlow;
use core::ptr;

use resctrl_types::{CpuMask, Result, TaskWord, TaskWords};

use crate::{convert, ffi};
use resctrl_types::CpuId;

/// `struct task_struct`, alive for as long as a callback runs: under the RCU read lock.
#[repr(transparent)]
pub(crate) struct Task(UnsafeCell<ffi::TaskStruct>);

impl Task {
    const fn raw(&self) -> *mut ffi::TaskStruct {
        self.0.get()
    }

    /// The id in the caller's pid namespace.
    pub(crate) fn id(&self) -> Option<i32> {
        // SAFETY: the task is alive.
        let id = unsafe { ffi::shim_task_id(self.raw()) };
        (id != 0).then_some(id)
    }

    pub(crate) fn may_move(&self) -> bool {
        // SAFETY: the task is alive.
        unsafe { ffi::shim_task_may_move(self.raw()) }
    }

    pub(crate) fn word(&self) -> TaskWord {
        // SAFETY: the task is alive.
        TaskWord(unsafe { ffi::shim_task_word(self.raw()) })
    }

    pub(crate) fn relabel(&self, word: TaskWord) -> Option<CpuId> {
        // SAFETY: the task is alive.
        convert::cpu(unsafe { ffi::shim_relabel_task(self.raw(), word.0) })
    }
}

/// That context switches are watched: one of those that `shim_sched_watch` counts.
#[must_use = "they are watched while it is there"]
pub(crate) struct Switches(());

impl Switches {
    pub(crate) fn watch() -> Result<Self> {
        convert::from_ret(ffi::shim_sched_watch()).map(|()| Switches(()))
    }
}

impl Drop for Switches {
    fn drop(&mut self) {
        // SAFETY: this was counted, and is not any more.
        unsafe { ffi::shim_sched_unwatch() };
    }
}

type TaskCall<'a> = &'a mut dyn FnMut(&Task) -> ControlFlow<()>;

/// # Safety
/// `task` is alive until this returns; `closure` is a `TaskCall` that nobody else uses meanwhile.
unsafe extern "C" fn call(task: *mut ffi::TaskStruct, closure: *mut c_void) -> bool {
    // SAFETY: by the contract; `Task` is a transparent cell around it.
    let task = unsafe { &*task.cast::<Task>() };
    // SAFETY: by the contract.
    let f = unsafe { &mut *closure.cast::<TaskCall<'_>>() };
    f(task).is_continue()
}

pub(crate) fn for_each(which: TaskWords, mut f: TaskCall<'_>) {
    // SAFETY: `call` takes this closure, for tasks that the RCU read lock keeps alive.
    unsafe { ffi::shim_each_task(which.places(), which.bits(), call, ptr::from_mut(&mut f).cast()) };
}

pub(crate) fn relabel(which: TaskWords, word: TaskWord, running: &mut CpuMask) {
    let words = running.words_mut().as_mut_ptr();
    // SAFETY: there is a bit for each CPU that there can be.
    unsafe { ffi::shim_relabel_tasks(which.places(), which.bits(), word.0, words) };
}

pub(crate) fn set_every_word(word: TaskWord) {
    // SAFETY: has no requirements.
    unsafe { ffi::shim_set_every_task(word.0) };
}

type OneTaskCall<'a> = &'a mut dyn FnMut(&Task);

/// # Safety
/// As [`call`], for a `OneTaskCall`.
unsafe extern "C" fn call_once(task: *mut ffi::TaskStruct, closure: *mut c_void) -> bool {
    // SAFETY: by the contract; `Task` is a transparent cell around it.
    let task = unsafe { &*task.cast::<Task>() };
    // SAFETY: by the contract.
    let f = unsafe { &mut *closure.cast::<OneTaskCall<'_>>() };
    f(task);
    true
}

pub(crate) fn with(id: i32, mut f: OneTaskCall<'_>) -> bool {
    // SAFETY: `call_once` takes this closure, for a task that the RCU read lock keeps alive.
    unsafe { ffi::shim_with_task(id, call_once, ptr::from_mut(&mut f).cast()) }
}
