// SPDX-License-Identifier: GPL-2.0-only
//! The processes and threads that sequences move between groups: they sleep, and have the same ids in every guest.

use guest_tools::{Failure, Outcome};
use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, Uid, pause, setuid};
use std::fs;
use std::time::Duration;

/// Id of the process that carries out sequences.
pub(super) const REPLAYER: i32 = 30001;

/// Ids of processes of root's.
const SLEEPERS: [i32; 3] = [30002, 30003, 30004];

/// Id of a process of another user's.
const STRANGER: i32 = 30005;

/// Id of a process of root's that has threads, which are its other ones.
const CROWD: i32 = 30006;

/// Ids of its other threads.
const THREADS: [i32; 2] = [30007, 30008];

/// That user.
pub(super) const USER: Uid = Uid::from_raw(65534);

/// A process or a thread of the cast has this id.
pub(super) fn has(id: i32) -> bool {
    (REPLAYER..=THREADS[1]).contains(&id)
}

/// What clone3(2) has to know for an id of our choice. Good for as long as `ids` is.
fn with_id(ids: &[i32; 1]) -> libc::clone_args {
    // SAFETY: all of it may be zero, which stands for nothing asked for.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.set_tid = ids.as_ptr() as u64;
    arguments.set_tid_size = ids.len() as u64;
    arguments
}

/// Makes a process with an id of our choice; `Some` in the new one.
fn fork_as(id: i32) -> Result<Option<()>, Failure> {
    let ids = [id];
    let mut arguments = with_id(&ids);
    arguments.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    // SAFETY: without flags this is fork(2). This process has one thread, so that the new one finds no lock held that
    // nobody would release; arguments and ids are valid until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>()) };
    match Errno::result(result)? {
        0 => Ok(Some(())),
        _ => Ok(None),
    }
}

/// Makes a thread with an id of our choice, which sleeps as long as its process lives.
fn sleeping_thread(id: i32) -> Outcome {
    let ids = [id];
    let mut arguments = with_id(&ids);
    let flags = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM;
    arguments.flags = u64::from(flags.unsigned_abs());
    let size = size_of::<libc::clone_args>();
    let result: i64;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the new thread has no stack and needs none: it executes the loop here, pause(2) again and again, which
    // touches no memory, and never leaves it. For the one that makes it this is a system call with arguments that are
    // valid until it returns.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 3f",
            "2:",
            "mov eax, {pause}",
            "syscall",
            "jmp 2b",
            "3:",
            pause = const libc::SYS_pause,
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") &raw const arguments,
            in("rsi") size,
            out("rcx") _,
            out("r11") _,
            options(nostack)
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above, with ppoll(2) of nothing for pause(2), which this processor's Linux does not have.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 3f",
            "2:",
            "mov x0, xzr",
            "mov x1, xzr",
            "mov x2, xzr",
            "mov x3, xzr",
            "mov x8, {ppoll}",
            "svc 0",
            "b 2b",
            "3:",
            ppoll = const libc::SYS_ppoll,
            inlateout("x0") &raw const arguments => result,
            inlateout("x1") size => _,
            inlateout("x8") libc::SYS_clone3 => _,
            out("x2") _,
            out("x3") _,
            options(nostack)
        );
    }
    // An errno is a small negative number.
    if result < 0 { Err(Errno::from_raw(i32::try_from(-result).unwrap_or(0)).into()) } else { Ok(()) }
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
    for id in SLEEPERS.into_iter().chain([STRANGER, CROWD]) {
        if fork_as(id)?.is_some() {
            match id {
                STRANGER => setuid(USER)?,
                CROWD => THREADS.into_iter().try_for_each(sleeping_thread)?,
                _ => {}
            }
            loop {
                pause();
            }
        }
    }
    // They make themselves; a sequence is to find them all.
    let ready = || fs::read_dir(format!("/proc/{CROWD}/task")).is_ok_and(|tasks| tasks.count() > THREADS.len());
    for _ in 0..1000 {
        if ready() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(Failure::Hardware(format!("process {CROWD} does not get its threads")))
}
