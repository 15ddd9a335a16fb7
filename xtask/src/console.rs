// SPDX-License-Identifier: GPL-2.0-only
//! Reads the kernel's console: finds what a kernel says when something is wrong.
//!
//! A line that matches a [`Marker`] is a [`Splat`], unless `console/allowed.toml` has a pattern for
//! it with the reason why it may appear.

use std::fmt;

use anyhow::{Context, Result};
use regex::Regex;
use serde::Deserialize;

const SOFT_LOCKUP: &str = "soft lockup";

/// What a kernel says when something is wrong, with the name that reports use. The first match
/// counts, so the special ones stand before the general ones.
const MARKERS: &[(&str, &str)] = &[
    ("KASAN", r"BUG: KASAN:"),
    ("KCSAN", r"BUG: KCSAN:"),
    ("UBSAN", r"UBSAN:"),
    (SOFT_LOCKUP, r"watchdog: BUG: soft lockup|BUG: workqueue lockup"),
    ("hard lockup", r"[Hh]ard LOCKUP"),
    ("panic", r"Kernel panic - not syncing"),
    ("BUG", r"\bBUG: |kernel BUG at|Oops: |general protection fault|invalid opcode: |Unable to handle kernel"),
    (
        "lockdep",
        r"WARNING: (possible|inconsistent|bad unlock|suspicious RCU|held lock|Nested lock)|INFO: trying to register non-static key|\blockdep\b.*(turning off|splat)",
    ),
    ("RCU stall", r"rcu:? .*(detected (expedited )?stalls?|self-detected stall|kthread starved)"),
    ("hung task", r"INFO: task .* blocked for more than"),
    ("unchecked MSR access", r"unchecked MSR access error"),
    ("object state", r"ODEBUG:"),
    ("leak", r"kmemleak: \d+ new suspected"),
    // What looks for faults has stopped looking; everything after it would pass.
    (
        "checks turned off",
        r"kmemleak: .*(detector disabled|Kmemleak disabled|pool empty)|turning off the locking correctness validator|Disabling lock debugging",
    ),
    (
        "memory corruption",
        r"(list_(add|del)|slab) corruption|\bBUG kmalloc|Bad page state|refcount_t: |SLUB: .*(Redzone|Poison) overwritten",
    ),
    ("WARNING", r"\bWARNING: "),
    ("Call Trace", r"\bCall [Tt]race:"),
];

/// A line of the console that should not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Splat {
    /// Which kind, for reports.
    pub(crate) kind: &'static str,
    /// The line, without its time stamp.
    pub(crate) line: String,
}

impl fmt::Display for Splat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.line)
    }
}

impl Splat {
    /// Whether it is more likely that a loaded host is at fault than the guest, as long as the guest does no more than boot.
    pub(crate) fn is_the_hosts(&self) -> bool {
        self.kind == SOFT_LOCKUP
    }
}

#[derive(Debug)]
struct Marker {
    kind: &'static str,
    pattern: Regex,
}

/// A line that may appear.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    /// Regular expression for the line without its time stamp.
    pattern: String,
    /// Why the line is no fault of what is under test.
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowList {
    #[serde(default)]
    allowed: Vec<Allowed>,
}

/// Recognises splats.
#[derive(Debug)]
pub(crate) struct Scanner {
    markers: Vec<Marker>,
    allowed: Vec<Regex>,
}

impl Scanner {
    /// The scanner with the project's allow-list.
    ///
    /// # Errors
    ///
    /// The allow-list does not parse.
    pub(crate) fn new() -> Result<Self> {
        Self::with_allow_list(include_str!("console/allowed.toml"))
    }

    fn with_allow_list(text: &str) -> Result<Self> {
        let list: AllowList = toml::from_str(text).context("console/allowed.toml is malformed")?;
        let mut allowed = Vec::new();
        for Allowed { pattern, reason } in list.allowed {
            anyhow::ensure!(!reason.trim().is_empty(), "`{pattern}` is allowed without a reason");
            allowed.push(Regex::new(&pattern)?);
        }
        let markers = MARKERS
            .iter()
            .map(|&(kind, pattern)| Ok(Marker { kind, pattern: Regex::new(pattern)? }))
            .collect::<Result<_, regex::Error>>()?;
        Ok(Self { markers, allowed })
    }

    /// One that lets lines pass that match one of `patterns`, too.
    pub(crate) fn allowing<'a>(mut self, patterns: impl IntoIterator<Item = &'a Regex>) -> Self {
        self.allowed.extend(patterns.into_iter().cloned());
        self
    }

    /// Says whether a console line is a splat.
    pub(crate) fn scan(&self, line: &str) -> Option<Splat> {
        let line = without_time_stamp(line);
        let marker = self.markers.iter().find(|marker| marker.pattern.is_match(line))?;
        if self.allowed.iter().any(|allowed| allowed.is_match(line)) {
            return None;
        }
        Some(Splat { kind: marker.kind, line: line.to_owned() })
    }
}

/// A kernel line without `[   12.345678] ` (and `[ T123]` after it) at its start.
pub(crate) fn without_time_stamp(line: &str) -> &str {
    let mut rest = line.trim_end_matches(['\r', '\n']);
    while let Some(bracket) = rest.strip_prefix('[') {
        let Some((inside, after)) = bracket.split_once(']') else { break };
        let stamp = inside.trim_start();
        if stamp.is_empty() || !stamp.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'T' | b'C')) {
            break;
        }
        rest = after.trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded lines, each with the kind it must be found as.
    const RECORDED: &[(&str, &str)] = &[
        (
            "[    8.612345] Oops: general protection fault, probably for non-canonical address 0x6b6b6b6b6b6b6b83: 0000 [#1] SMP NOPTI",
            "BUG",
        ),
        ("[   12.000001][   T35] BUG: KASAN: slab-use-after-free in resctrl_arch_rmid_read+0x1a/0x2b0", "KASAN"),
        ("[    5.183805] Kernel panic - not syncing: No working init found.", "panic"),
        ("[    5.190364] Call Trace:", "Call Trace"),
        ("[   23.817020] Oops: int3: 0000 [#1] SMP NOPTI", "BUG"),
        ("[   61.2] watchdog: BUG: soft lockup - CPU#2 stuck for 26s! [kworker/2:1:57]", "soft lockup"),
        ("[   61.2] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "RCU stall"),
        ("[   61.2] rcu: INFO: rcu_preempt self-detected stall on CPU", "RCU stall"),
        ("[  242.0] INFO: task rmdir:231 blocked for more than 120 seconds.", "hung task"),
        (
            "[    1.5] unchecked MSR access error: WRMSR to 0xc90 (tried to write 0x0000000000000005) at rIP: 0xffffffff8105",
            "unchecked MSR access",
        ),
        ("[    3.1] WARNING: possible circular locking dependency detected", "lockdep"),
        ("[    3.1] WARNING: suspicious RCU usage", "lockdep"),
        ("[    3.1] WARNING: CPU: 0 PID: 1 at kernel/smp.c:815 smp_call_function_many_cond+0x3f", "WARNING"),
        ("[    3.1] refcount_t: underflow; use-after-free.", "memory corruption"),
        ("[   12.1] BUG: sleeping function called from invalid context at kernel/locking/mutex.c:585", "BUG"),
        ("[   12.1] [ BUG: Invalid wait context ]", "BUG"),
        (
            "[   12.1] ODEBUG: free active (active state 0) object: ff11000006242010 object type: timer_list",
            "object state",
        ),
        ("[   12.1] turning off the locking correctness validator.", "checks turned off"),
        ("[   12.1] kmemleak: Kernel memory leak detector disabled", "checks turned off"),
        ("[   12.1] kmemleak: Kmemleak disabled without freeing internal data.", "checks turned off"),
        ("[   99.9] kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)", "leak"),
    ];

    const QUIET: &[&str] = &[
        "[   53.1] kmemleak: Kernel memory leak detector initialized (mem pool available: 35576)",
        "[    0.1] rcu: \tRCU callback double-/use-after-free debug is enabled.",
        "[    0.012] resctrl: L3 allocation detected",
        "[    4.848259] reboot: Restarting system",
        "[    0.1] rcu: Hierarchical RCU implementation.",
        "[    0.2] debug: unmapping init [mem 0xffffffff82c00000-0xffffffff82dfffff]",
        "[    0.3] Spectre V2 : WARNING is not printed here",
        "[    1.3] resctrl: loading out-of-tree module taints kernel.",
    ];

    #[test]
    fn recorded_splats_are_found_with_their_kind() {
        let scanner = Scanner::new().unwrap();
        for (line, kind) in RECORDED {
            assert_eq!(scanner.scan(line).map(|splat| splat.kind), Some(*kind), "{line}");
        }
    }

    #[test]
    fn recorded_harmless_lines_are_no_splats() {
        let scanner = Scanner::new().unwrap();
        for line in QUIET {
            assert_eq!(scanner.scan(line), None, "{line}");
        }
    }

    #[test]
    fn an_allowed_line_is_no_splat_but_its_neighbours_are() {
        let scanner = Scanner::with_allow_list(
            "[[allowed]]\npattern = '^WARNING: CPU: \\d+ PID: 1 at kernel/smp.c'\nreason = 'known'\n",
        )
        .unwrap();
        assert_eq!(scanner.scan("[ 3.1] WARNING: CPU: 0 PID: 1 at kernel/smp.c:815"), None);
        assert!(scanner.scan("[ 3.1] WARNING: CPU: 0 PID: 1 at fs/resctrl/monitor.c:1").is_some());
    }

    #[test]
    fn what_is_let_pass_for_once_is_one_line_of_its_kind() {
        let known = Regex::new(r"^WARNING: fs/resctrl/rdtgroup\.c:\d+ at rdt_bit_usage_show\+").unwrap();
        let [known_line, other] = ["rdt_bit_usage_show", "rdtgroup_mkdir"].map(|function| {
            format!("[   18.1] WARNING: fs/resctrl/rdtgroup.c:1128 at {function}+0x284/0x350, CPU#0: cat/1")
        });
        let scanner = Scanner::new().unwrap();
        assert!(scanner.scan(&known_line).is_some());
        let scanner = scanner.allowing([&known]);
        assert!(scanner.scan(&known_line).is_none());
        assert!(scanner.scan(&other).is_some());
    }

    #[test]
    fn an_allowed_line_needs_a_reason() {
        assert!(Scanner::with_allow_list("[[allowed]]\npattern = 'x'\nreason = ' '\n").is_err());
    }

    #[test]
    fn time_stamps_are_cut_and_other_brackets_are_kept() {
        assert_eq!(without_time_stamp("[    1.5][  T35] resctrl: x\r\n"), "resctrl: x");
        assert_eq!(without_time_stamp("[mem 0x0-0x1] usable"), "[mem 0x0-0x1] usable");
        assert_eq!(without_time_stamp("[ 1.5] [Firmware Bug]: x"), "[Firmware Bug]: x");
    }
}
