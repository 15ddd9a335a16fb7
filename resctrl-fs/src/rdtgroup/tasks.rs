// SPDX-License-Identifier: GPL-2.0-only
//! The file `tasks`, and moving the tasks of groups that go.
//!
//! A task belongs to the groups whose ids are in its word. Storing a word is enough for a task that does not run: it
//! loads the word when it is switched to. A task that runs has the old ids in its CPU's registers, so its CPU must be
//! interrupted. The order that makes this safe: store, full fence, then ask whether it runs. Either the context switch
//! that starts it sees the new word, or we see that it runs.
//!
//! # Forks
//!
//! A new thread starts with its creator's word, copied early in `fork`, and appears in the list of tasks late. A walk that
//! comes in between misses it, and it stays behind with the ids of a group that is gone. The kernel lives with that and so
//! do we: to close the gap takes a hook at the end of `fork`, and repeating the walk only makes it narrower. Such a task
//! runs with what those ids mean next, and whoever writes its id to some `tasks` file gets it back. Which ids tasks may have is
//! known from what they were given and what CPUs switch to ([`Resctrl::sched_in`]), so such a task is found again as soon as it
//! has run. Who misses that the last group goes runs as one of the default group's, since nobody watches context switches any
//! more, and is taken in before anybody is given other ids.

use core::ops::ControlFlow;

use resctrl_types::arch::MonId;
use resctrl_types::{
    Arch, Closid, CpuId, CpuMask, CpusHeld, Errno, IrqOff, Platform, Result, Rmid, TaskWord, TaskWords,
};

use crate::data::group::Place;
use crate::data::state::{Op, Resctrl};
use crate::rdtgroup::switch;
use crate::status::Done;
use crate::text::{Pieces, TextOut, parse_i32, split_once, together, trim, until_nul};
use crate::text::{Shown, Stop};

/// Which tasks, by the ids in their words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Members {
    /// Those of a control group and of all its monitor groups.
    Ctrl(Closid),
    /// Those of a monitor group.
    Mon(MonId),
}

impl Members {
    /// The words that they have.
    fn words<A: Arch<P>, P: Platform>(self, arch: &A) -> TaskWords {
        let (id, places) = match self {
            Members::Ctrl(closid) => (MonId { closid, rmid: Rmid::RESERVED }, A::CLOSID_PLACES),
            Members::Mon(id) if A::RMID_DEPENDS_ON_CLOSID => (id, A::CLOSID_PLACES | A::RMID_PLACES),
            Members::Mon(id) => (id, A::RMID_PLACES),
        };
        TaskWords::like(arch.task_word(id), places)
    }

    /// Whether there can be such a task.
    fn may_be<A: Arch<P>, P: Platform>(self, fs: &Resctrl<A, P>) -> bool {
        match self {
            Members::Ctrl(closid) => fs.history.has_closid(closid),
            Members::Mon(id) => fs.history.has_rmid(fs.arch.rmid_index(id)),
        }
    }

    /// The same, when all of them are about to be given other ids.
    fn forget<A: Arch<P>, P: Platform>(self, fs: &Resctrl<A, P>) -> bool {
        match self {
            Members::Ctrl(closid) => fs.history.forget_closid(closid),
            Members::Mon(id) => fs.history.forget_rmid(fs.arch.rmid_index(id)),
        }
    }
}

/// Prints the ids of the group's threads that the reader's pid namespace knows.
pub(crate) fn show<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, place: Place, out: &mut dyn TextOut) -> Shown {
    let fs = op.fs;
    let (closid, rmid) = op.state().ids(place);
    if op.state().groups[place.ctrl()].mode.is_pseudo_locking() && matches!(place, Place::Ctrl(_)) {
        // What it had for ids may be another group's by now.
        return Ok(());
    }
    let (members, meaningful) = match place {
        // Where nothing can be allocated nobody looks at CLOSIDs, and the default group shows no tasks.
        Place::Ctrl(_) => (Members::Ctrl(closid), fs.alloc_capable()),
        Place::Mon(..) => (Members::Mon(MonId { closid, rmid }), fs.mon_capable()),
    };
    if !meaningful || !members.may_be(fs) {
        return Ok(());
    }
    together(out, |out| {
        let mut shown = Ok(());
        fs.platform.for_each_task(members.words(&fs.arch), &mut |task| {
            if let Some(id) = fs.platform.task_id(task) {
                shown = out.decimal(id.unsigned_abs()).map_err(Stop::from).and_then(Pieces::end_line);
            }
            // Whoever reads asks again with more room.
            if shown.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        shown
    })
}

/// Whether there is a task that the ids of its word make a member.
pub(crate) fn any<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, members: Members) -> bool {
    if !members.may_be(fs) {
        return false;
    }
    let mut found = false;
    fs.platform.for_each_task(members.words(&fs.arch), &mut |_| {
        found = true;
        ControlFlow::Break(())
    });
    found
}

/// Moves threads into the group, one after the other until one cannot be moved.
pub(crate) fn write<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, place: Place, data: &[u8]) -> Done {
    op.refuse_members(place.ctrl())?;
    let (closid, rmid) = op.state().ids(place);
    let to = MonId { closid, rmid };
    let word = op.arch().task_word(to);
    let mut rest = Some(until_nul(data));
    while let Some(list) = rest.filter(|list| !matches!(list, [] | [b'\n', ..])) {
        let (token, following) = split_once(list, b',');
        rest = following;
        let token = trim(token);
        let Ok(id) = parse_i32(token, 0) else {
            let status = &mut op.state().status;
            return Err(status.refuse_quoting(Errno::EINVAL, "Task list parsing error pid ", token, "\n"));
        };
        if id < 0 {
            return Err(op.state().status.refuse_with(Errno::EINVAL, format_args!("Invalid pid {id}\n")));
        }
        if let Err(stays) = move_one(op, place, to, word, id) {
            let status = &mut op.state().status;
            let errno = match stays {
                Stays::NoTask => {
                    status.format(format_args!("No task {id}\n"));
                    Errno::ESRCH
                }
                Stays::NoPermission(id) => {
                    status.format(format_args!("No permission to move task {id}\n"));
                    Errno::EPERM
                }
                Stays::OtherControlGroup => {
                    status.text("Can't move task to different control group\n");
                    Errno::EINVAL
                }
            };
            return Err(status.refuse_with(errno, format_args!("Error while processing task {id}\n")));
        }
    }
    Ok(())
}

/// Why a thread stays where it is.
enum Stays {
    NoTask,
    NoPermission(i32),
    OtherControlGroup,
}

/// Moves one thread, 0 for the writer itself.
fn move_one<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    place: Place,
    to: MonId,
    word_of_group: TaskWord,
    id: i32,
) -> Result<(), Stays> {
    let fs = op.fs;
    let mut moved = Err(Stays::NoTask);
    fs.platform.with_task(id, &mut |task| {
        let word = fs.platform.task_word(task);
        moved = if !fs.platform.may_move(task) {
            Err(Stays::NoPermission(fs.platform.task_id(task).unwrap_or(id)))
        } else if word == word_of_group {
            Ok(None)
        } else if matches!(place, Place::Mon(..)) && fs.arch.task_ids(word).closid != to.closid {
            Err(Stays::OtherControlGroup)
        } else {
            fs.history.note(to.closid, fs.arch.rmid_index(to));
            // Pairs with the full barrier between a context switch's choice of the next task and its load of the word.
            Ok(fs.platform.relabel_task(task, word_of_group))
        };
    });
    if let Some(cpu) = moved? {
        // A CPU that is not online runs no task; hotplug is held off, so it cannot have left either.
        let _ = fs.platform.interrupt(op.cpus, cpu, &mut |here| take_over(fs, here));
    }
    Ok(())
}

/// Gives every matching task new ids; adds the CPUs that run one of them now to `affected`, for [`refresh`].
pub(crate) fn move_matching<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    members: Members,
    to: MonId,
    affected: &mut CpuMask,
) {
    if members.forget(fs) {
        fs.history.note(to.closid, fs.arch.rmid_index(to));
        fs.platform.relabel_tasks(members.words(&fs.arch), fs.arch.task_word(to), affected);
    }
}

/// Sets the ids with which a CPU runs tasks of the default group. It does so from its next context switch on, or from [`refresh`] on.
pub(crate) fn set_cpu_default<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, cpu: CpuId, id: MonId) {
    switch::set_cpu_default(&fs.arch, &fs.history, cpu, id);
}

/// Gives every task the ids of the default group, if any may have others. The caller refreshes every CPU.
pub(crate) fn move_all_to_default<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>) {
    if fs.history.has_any() {
        move_all(fs);
    }
}

/// The caller refreshes every CPU, which has the new word of its task then.
fn move_all<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>) {
    fs.platform.set_every_task_word(fs.arch.task_word(MonId { closid: Closid::RESERVED, rmid: Rmid::RESERVED }));
}

/// Gives the default group's ids to those that were being created when the last group went, before anybody can get others.
pub(crate) fn begin<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>) {
    let fs = op.fs;
    if fs.history.forget_all() {
        move_all(fs);
        refresh(fs, op.cpus, op.locked.state.online.mask());
    }
}

/// Makes the online CPUs of `mask` run with the ids that hold now: their tasks' words, their own defaults.
pub(crate) fn refresh<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, cpus: CpusHeld<'_>, mask: &CpuMask) {
    if !mask.is_empty() {
        fs.platform.interrupt_mask(cpus, mask, &|here| take_over(fs, here));
    }
}

impl<A: Arch<P>, P: Platform> Resctrl<A, P> {
    /// The context switch to a task with this word, behind a full barrier: takes note of its ids, and makes this CPU run with them.
    /// Takes no lock.
    #[inline]
    pub fn sched_in(&self, here: IrqOff<'_>, word: TaskWord) {
        switch::sched_in(&self.arch, &self.history, here, word);
    }
}

fn take_over<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, here: IrqOff<'_>) {
    fs.sched_in(here, fs.platform.current_word(here));
}
