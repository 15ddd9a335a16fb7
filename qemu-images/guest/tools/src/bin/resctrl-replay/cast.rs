// SPDX-License-Identifier: GPL-2.0-only
//! The processes that sequences move between groups: they sleep, and have the same ids in every guest.

use guest_tools::{Failure, Outcome};
use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, Uid, pause, setuid};

/// Id of the process that carries out sequences.
pub(super) const REPLAYER: i32 = 30001;

/// Ids of processes of root's.
const SLEEPERS: [i32; 3] = [30002, 30003, 30004];

/// Id of a process of another user's.
const STRANGER: i32 = 30005;

/// That user.
pub(super) const USER: Uid = Uid::from_raw(65534);

/// A process of the cast has this id.
pub(super) fn has(id: i32) -> bool {
    (REPLAYER..=STRANGER).contains(&id)
}

/// Makes a process with an id of our choice; `Some` in the new one.
fn fork_as(id: i32) -> Result<Option<()>, Failure> {
    let ids = [id];
    // SAFETY: all of it may be zero, which stands for nothing asked for.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    arguments.set_tid = ids.as_ptr() as u64;
    arguments.set_tid_size = ids.len() as u64;
    // SAFETY: without flags this is fork(2). This process has one thread, so that the new one finds no lock held that
    // nobody would release; arguments and ids are valid until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>()) };
    match Errno::result(result)? {
        0 => Ok(Some(())),
        _ => Ok(None),
    }
}

/// Runs `work` in a process with an id of our choice and waits for it.
pub(super) fn as_process(id: i32, work: impl FnOnce() -> Outcome) -> Outcome {
    if fork_as(id)?.is_some() {
        return work();
    }
    match waitpid(Pid::from_raw(id), None)? {
        WaitStatus::Exited(_, 0) => Ok(()),
        status => Err(Failure::Hardware(format!("the process that replays ended: {status:?}"))),
    }
}

/// Starts everybody.
pub(super) fn start() -> Outcome {
    for id in SLEEPERS.into_iter().chain([STRANGER]) {
        if fork_as(id)?.is_some() {
            if id == STRANGER {
                setuid(USER)?;
            }
            loop {
                pause();
            }
        }
    }
    Ok(())
}
