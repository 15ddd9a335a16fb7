// SPDX-License-Identifier: GPL-2.0-only
//! Faults that a scenario is there to provoke: `# fault: KERNEL IMPL TEXT; TEXT` in its header.
//!
//! Where a kernel is known to be wrong, a scenario that finds nothing wrong proves nothing. So there
//! the verdict turns round: it passes only if the console shows a fault with every text.

use anyhow::{Context, Result, bail, ensure};

use super::Implementation;
use crate::console::without_time_stamp;

/// Begins the line after the last one of a kernel's report of a fault.
const END_OF_REPORT: &str = "---[ end trace ";

/// A fault that must show on one kernel with one implementation, and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Name of the kernel.
    kernel: String,
    implementation: Implementation,
    /// Each is part of a line of the report.
    texts: Vec<String>,
}

impl Fault {
    /// Parses `KERNEL IMPL TEXT; TEXT`.
    ///
    /// # Errors
    ///
    /// A part is missing, or IMPL is neither `kernel` nor `rust`.
    pub(super) fn parse(value: &str) -> Result<Self> {
        let mut words = value.splitn(3, ' ');
        let mut word = || words.next().filter(|word| !word.is_empty()).context("expected KERNEL IMPL TEXT; TEXT");
        let (kernel, implementation, texts) = (word()?, word()?, word()?);
        let [implementation] = super::implementations(implementation)?[..] else {
            bail!("expected `rust` or `kernel`");
        };
        let texts: Vec<String> = texts.split(';').map(|text| text.trim().to_owned()).collect();
        ensure!(texts.iter().all(|text| !text.is_empty()), "a text is empty: every report would have it");
        Ok(Self { kernel: kernel.to_owned(), implementation, texts })
    }

    /// The kernel.
    pub(super) fn kernel(&self) -> &str {
        &self.kernel
    }

    /// It must show on this kernel with this implementation.
    pub(crate) fn applies_to(&self, kernel: &str, implementation: Implementation) -> bool {
        self.kernel == kernel && self.implementation == implementation
    }

    /// The texts that the first report in `console` lacks; `console` begins with its first line. What
    /// comes after the first report is a consequence of it and proves nothing.
    pub(crate) fn missing_in(&self, console: &[String]) -> Vec<&str> {
        let report = report(console);
        let shown = |text: &&String| report.iter().any(|line| line.contains(text.as_str()));
        self.texts.iter().filter(|text| !shown(text)).map(String::as_str).collect()
    }
}

/// The lines of the first report in `console`, without their time stamps.
pub(crate) fn report(console: &[String]) -> Vec<&str> {
    let lines = console.iter().map(|line| without_time_stamp(line));
    lines.take_while(|line| !line.starts_with(END_OF_REPORT)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: &str = "stable kernel general protection fault, probably for non-canonical address 0x6b6b6b6b6b6b; \
                         Workqueue: events mbm_handle_overflow";

    /// From the console of a guest with 6.12.107, abridged.
    const RACE: &str = "\
Oops: general protection fault, probably for non-canonical address 0x6b6b6b6b6b6b6b73: 0000 [#1] PREEMPT SMP PTI
[   70.893225] CPU: 0 UID: 0 PID: 201 Comm: kworker/3:2 Not tainted 6.12.107+deb13-cloud-amd64 #1  Debian 6.12.107-1
[   70.894546] Workqueue: events mbm_handle_overflow
[   70.906089] RIP: 0010:resctrl_arch_rmid_read+0x149/0x1e0
[   70.925347] Call Trace:
[   70.925575]  <TASK>
[   70.925756]  __mon_event_count+0x74/0x1b0
[   70.925938]  mbm_update.constprop.0+0x8e/0x110
[   70.926038]  mbm_handle_overflow+0x70/0x250
[   70.926137]  process_one_work+0x177/0x330
[   70.937034]  </TASK>
[   70.937318] Modules linked in: msr
[   70.945232] ---[ end trace 0000000000000000 ]---
[   70.945524] RIP: 0010:resctrl_arch_rmid_read+0x149/0x1e0
";

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_recorded_report_has_every_text_and_is_cut_at_its_end() {
        let fault = Fault::parse(TEXTS).unwrap();
        assert_eq!(fault.missing_in(&lines(RACE)), [""; 0]);
        let console = lines(RACE);
        let report = report(&console);
        assert_eq!(report[2], "Workqueue: events mbm_handle_overflow");
        assert_eq!(report.last(), Some(&"Modules linked in: msr"));
    }

    #[test]
    fn another_worker_or_another_address_is_another_fault() {
        let fault = Fault::parse(TEXTS).unwrap();
        let worker = RACE.replace("events mbm_handle_overflow", "events cqm_handle_limbo");
        assert_eq!(fault.missing_in(&lines(&worker)), ["Workqueue: events mbm_handle_overflow"]);
        let address = RACE.replace("0x6b6b6b6b6b6b6b73", "0xdead000000000122");
        assert_eq!(fault.missing_in(&lines(&address)).len(), 1);
        assert_eq!(fault.missing_in(&[]).len(), 2);
    }

    #[test]
    fn a_second_report_does_not_complete_the_first() {
        let fault = Fault::parse(TEXTS).unwrap();
        let first = "WARNING: CPU: 2 PID: 1 at kernel/x.c:1\n---[ end trace 0000000000000000 ]---\n";
        assert_eq!(fault.missing_in(&lines(&format!("{first}{RACE}"))).len(), 2);
    }

    #[test]
    fn it_applies_to_one_kernel_and_one_implementation() {
        let fault = Fault::parse(TEXTS).unwrap();
        assert!(fault.applies_to("stable", Implementation::Kernel));
        assert!(!fault.applies_to("stable", Implementation::Rust));
        assert!(!fault.applies_to("stock", Implementation::Kernel));
    }

    #[test]
    fn a_fault_without_kernel_implementation_or_text_does_not_parse() {
        for wrong in
            ["", "stable", "stable kernel", "stable kernel ", "stable both x", "stable c x", "stable kernel x;"]
        {
            assert!(Fault::parse(wrong).is_err(), "{wrong}");
        }
    }
}
