// SPDX-License-Identifier: GPL-2.0-only
//! The counter, and how long CPUs have worked.

use std::fs::read_to_string;

use guest_tools::Failure;

/// The processor's counter: on x86 the time stamp counter.
#[cfg(target_arch = "x86_64")]
pub(crate) fn ticks() -> u64 {
    // SAFETY: RDTSC has no precondition; an x86-64 processor has it, and Linux lets programs use it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The processor's counter: on Arm the virtual counter.
#[cfg(target_arch = "aarch64")]
pub(crate) fn ticks() -> u64 {
    let ticks: u64;
    // SAFETY: reading the virtual counter has no precondition, and Linux lets programs do it.
    unsafe { core::arch::asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
    ticks
}

/// Nanoseconds that tasks have run, on all CPUs together: the seventh number of each CPU's line.
pub(crate) fn busy() -> Result<u64, Failure> {
    let text = read_to_string("/proc/schedstat")?;
    let cpus = text.lines().filter(|line| line.starts_with("cpu"));
    let run = cpus.map(|line| line.split_whitespace().nth(7).and_then(|field| field.parse::<u64>().ok()));
    run.sum::<Option<u64>>().ok_or_else(|| Failure::Hardware("/proc/schedstat: an odd line".to_owned()))
}
