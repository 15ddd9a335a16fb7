// SPDX-License-Identifier: GPL-2.0-only
//! What the schedules of a test have exercised: a million in which no worker was ever displaced prove nothing.
//!
//! Everything in a simulated machine runs on one thread of the host, and so does each test: the counts are that thread's.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;
use std::format;
use std::fs::OpenOptions;
use std::io::Write;
use std::string::String;
use std::thread_local;

/// Counts by name.
type Counts = BTreeMap<&'static str, u64>;

thread_local! {
    static COUNTS: RefCell<Counts> = const { RefCell::new(Counts::new()) };
}

/// Adds to a count of the running test: at the end of each schedule, of what that one has exercised.
pub fn tally(what: &'static str, count: u64) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(what).or_default() += count);
}

/// What the running test has counted so far.
#[must_use]
pub fn tallied(what: &'static str) -> u64 {
    COUNTS.with_borrow(|counts| counts.get(what).copied().unwrap_or(0))
}

/// One exploration under way.
pub(super) struct Exploration(Counts);

impl Exploration {
    pub(super) fn begin() -> Self {
        Exploration(COUNTS.with_borrow(Counts::clone))
    }

    /// Appends a line to the file that `SIM_TALLY` names: the test, how it was explored, how many schedules, and the
    /// counts, separated by tabs.
    pub(super) fn end(self, test: &str, how: &str, schedules: usize) {
        let Some(path) = env::var_os("SIM_TALLY") else { return };
        let mut line = format!("{test}\t{how}\tschedules={schedules}");
        COUNTS.with_borrow(|counts| {
            for (what, count) in counts {
                line += &format!("\t{what}={}", count - self.0.get(what).copied().unwrap_or(0));
            }
        });
        line.push('\n');
        append(&path, &line).unwrap_or_else(|error| panic!("SIM_TALLY: {error}"));
    }
}

fn append(path: &std::ffi::OsStr, line: &String) -> std::io::Result<()> {
    // One write, which the kernel puts behind those of the other tests.
    OpenOptions::new().append(true).create(true).open(path)?.write_all(line.as_bytes())
}
