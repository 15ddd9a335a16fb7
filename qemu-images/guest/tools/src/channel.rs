// SPDX-License-Identifier: GPL-2.0-only
//! The way to the emulated hardware, see [`resctrl_hardware::control`].

use crate::Failure;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use resctrl_hardware::control::{Answer, Call, Request, Status, VERSION, read_answer};

/// Sends a command and returns the three values of the answer.
///
/// # Errors
///
/// There is no emulated hardware, or it refuses.
pub fn send(request: Request) -> Result<[u64; 3], Failure> {
    ask(request)?.map_err(|status| Failure::Hardware(status.to_string()))
}

fn ask(request: Request) -> Result<Result<[u64; 3], Status>, Failure> {
    let answer = exchange(request.encode()).and_then(read_answer);
    answer.ok_or_else(|| Failure::Hardware("this machine has no emulated hardware to drive".to_owned()))
}

/// Asks for the first write to a control register at or after a position; `None` where there is none.
///
/// # Errors
///
/// There is no emulated hardware.
pub fn write_at(position: u64) -> Result<Option<[u64; 3]>, Failure> {
    match ask(Request::WriteAt(position))? {
        Ok(values) => Ok(Some(values)),
        Err(_) => Ok(None),
    }
}

/// Checks that the hardware is there and speaks this protocol; returns the number of CPUs and of L3 domains.
///
/// # Errors
///
/// It is not, or does not.
pub fn probe() -> Result<(u64, u64), Failure> {
    let [version, cpus, domains] = send(Request::Probe)?;
    if version != VERSION {
        return Err(Failure::Hardware(format!("the emulated hardware speaks version {version}, not {VERSION}")));
    }
    Ok((cpus, domains))
}

/// The label that this program works under at this moment: RMID and CLOSID, or PMG and PARTID. Leaves the program on the
/// CPU it is on.
///
/// # Errors
///
/// There is no emulated hardware.
pub fn mine() -> Result<(u64, u64), Failure> {
    let cpu = sched_getcpu()?;
    let mut only = CpuSet::new();
    only.set(cpu)?;
    // Other programs of the CPU have other labels, so the answer has to come from the CPU that asks.
    sched_setaffinity(Pid::from_raw(0), &only)?;
    let [rmid, closid, _] = send(Request::Association(cpu as u64))?;
    Ok((rmid, closid))
}

#[cfg(target_arch = "x86_64")]
fn exchange(call: Call) -> Option<Answer> {
    use resctrl_hardware::control::LEAF;
    use std::arch::asm;

    let [command, first, second, third, fourth] = call;
    let (mut rax, mut rbx, mut rcx, mut rdx) = (u64::from(LEAF), first, command, second);
    // SAFETY: CPUID writes four registers; RBX, which the compiler keeps for itself, is saved and restored around it. It
    // touches no memory, though the hardware's state changes.
    unsafe {
        asm!(
            "xchg {rbx}, rbx",
            "cpuid",
            "xchg {rbx}, rbx",
            rbx = inout(reg) rbx,
            inout("rax") rax,
            inout("rcx") rcx,
            inout("rdx") rdx,
            in("rsi") third,
            in("rdi") fourth,
            options(nostack, preserves_flags)
        );
    }
    Some([rax, rbx, rcx, rdx])
}

#[cfg(target_arch = "aarch64")]
fn exchange(call: Call) -> Option<Answer> {
    use resctrl_hardware::control::LEAF;
    use std::arch::asm;

    let [command, first, second, third, fourth] = call;
    let (mut x0, mut x1, mut x2, mut x3) = (u64::from(LEAF), command, first, second);
    // SAFETY: the hint does nothing on a processor; the emulated hardware writes four registers. It touches no memory of
    // this program, though the hardware's state changes.
    unsafe {
        asm!(
            "hint #119",
            inout("x0") x0,
            inout("x1") x1,
            inout("x2") x2,
            inout("x3") x3,
            in("x4") third,
            in("x5") fourth,
            options(nostack, preserves_flags)
        );
    }
    Some([x0, x1, x3, x2])
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn exchange(_call: Call) -> Option<Answer> {
    None
}
