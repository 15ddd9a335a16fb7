// SPDX-License-Identifier: GPL-2.0-only
//! The processor's counter, and what the plugin below the guest counts.

use std::collections::BTreeMap;
use std::fs::{read_dir, read_to_string};
use std::ops::Sub;

use guest_tools::{Failure, Outcome, channel};
use resctrl_hardware::control::Request;

/// The processor's counter: on x86 the time stamp counter.
#[cfg(target_arch = "x86_64")]
pub(crate) fn ticks() -> u64 {
    // SAFETY: RDTSC has no precondition; an x86-64 processor has it, and Linux lets programs use it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The processor's counter in nanoseconds: on Arm the virtual counter, which may tick more slowly.
#[cfg(target_arch = "aarch64")]
pub(crate) fn ticks() -> u64 {
    let (ticks, frequency): (u64, u64);
    // SAFETY: reading the virtual counter and its frequency has no precondition, and Linux lets programs do it.
    unsafe {
        core::arch::asm!(
            "isb",
            "mrs {}, cntvct_el0",
            "mrs {}, cntfrq_el0",
            out(reg) ticks,
            out(reg) frequency,
            options(nomem, nostack)
        );
    }
    let nanoseconds = u128::from(ticks) * 1_000_000_000 / u128::from(frequency.max(1));
    u64::try_from(nanoseconds).unwrap_or(u64::MAX)
}

/// What all CPUs together have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Instructions executed.
    pub(crate) executed: u64,
    /// Interrupts that one CPU sent another.
    pub(crate) interrupts: u64,
    /// Reads of the emulated hardware's registers.
    pub(crate) reads: u64,
    /// Writes of them.
    pub(crate) writes: u64,
}

impl Counts {
    /// What has been counted since power-on.
    ///
    /// # Errors
    ///
    /// Nobody counts.
    pub(crate) fn now() -> Result<Counts, Failure> {
        let [reads, writes, _] = channel::send(Request::Accesses)?;
        let [executed, interrupts, _] = channel::send(Request::Executed)?;
        Ok(Counts { executed, interrupts, reads, writes })
    }
}

impl Sub for Counts {
    type Output = Counts;

    fn sub(self, before: Counts) -> Counts {
        Counts {
            executed: self.executed.saturating_sub(before.executed),
            interrupts: self.interrupts.saturating_sub(before.interrupts),
            reads: self.reads.saturating_sub(before.reads),
            writes: self.writes.saturating_sub(before.writes),
        }
    }
}

/// For how many nanoseconds each of the kernel's worker threads has run, by its number; `None` where the kernel does not say
/// (without `CONFIG_SCHEDSTATS`).
///
/// # Errors
///
/// `/proc` cannot be read.
pub(crate) fn workers() -> Result<Option<BTreeMap<u32, u64>>, Failure> {
    let mut workers = BTreeMap::new();
    for entry in read_dir("/proc")? {
        let path = entry?.path();
        let Some(id) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that is not there any more has nothing to tell.
        let is_worker = read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("kworker"));
        if let (true, Ok(text)) = (is_worker, read_to_string(path.join("schedstat"))) {
            let ran = text.split_whitespace().next().and_then(|field| field.parse().ok());
            workers.insert(id, ran.ok_or_else(|| Failure::Hardware(format!("schedstat: \"{text}\"")))?);
        }
    }
    Ok(Some(workers).filter(|workers| !workers.is_empty()))
}

/// For how long they ran in between. One that was not there before has begun since.
pub(crate) fn ran(before: &BTreeMap<u32, u64>, after: &BTreeMap<u32, u64>) -> u64 {
    after.iter().map(|(id, ran)| ran.saturating_sub(before.get(id).copied().unwrap_or_default())).sum()
}

/// Where the kernel's handlers of interrupts that one CPU sends another begin: to run a function, or to choose a task anew.
const HANDLERS: [&str; 3] =
    ["asm_sysvec_call_function", "asm_sysvec_call_function_single", "asm_sysvec_reschedule_ipi"];

/// Tells the plugin which interrupts count. On Arm it sees who sends them.
///
/// # Errors
///
/// The kernel does not say where its handlers are, or nobody counts.
pub(crate) fn watch_interrupts() -> Outcome {
    if cfg!(target_arch = "aarch64") {
        return Counts::now().map(|_| ());
    }
    let symbols = read_to_string("/proc/kallsyms")?;
    for handler in HANDLERS {
        let address = address_of(&symbols, handler)
            .ok_or_else(|| Failure::Hardware(format!("/proc/kallsyms does not have {handler}")))?;
        channel::send(Request::CountHandler(address))?;
    }
    Ok(())
}

fn address_of(symbols: &str, name: &str) -> Option<u64> {
    let line = symbols.lines().find(|line| line.split_whitespace().nth(2) == Some(name))?;
    let address = u64::from_str_radix(line.split_whitespace().next()?, 16).ok()?;
    (address != 0).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_are_new_ran_from_nothing_and_those_that_are_gone_do_not_count() {
        let before = BTreeMap::from([(1, 100), (2, 50)]);
        let after = BTreeMap::from([(1, 130), (3, 7)]);
        assert_eq!(ran(&before, &after), 37);
    }

    #[test]
    fn an_address_is_that_of_the_whole_name_and_not_hidden() {
        let symbols = "ffffffff81000010 T handler_single\nffffffff81000000 T handler\n0000000000000000 T hidden\n";
        assert_eq!(address_of(symbols, "handler"), Some(0xffff_ffff_8100_0000));
        assert_eq!(address_of(symbols, "hidden"), None);
        assert_eq!(address_of(symbols, "no"), None);
    }
}
