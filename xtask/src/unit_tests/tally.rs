// SPDX-License-Identifier: GPL-2.0-only
//! What the explorations of a long run add up to.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result};

/// Schedules that a long run tries at least.
const SCHEDULES: u64 = 1_000_000;

/// What must have happened in them, or they prove nothing about the life of a monitor domain.
const COVERAGE: [&str; 6] = [
    "overflow runs",
    "limbo runs",
    "displaced runs",
    "re-picks",
    "late runs on dead domains",
    "runs that lost their CPU",
];

/// The sums over all explorations of the file system. Those of models, and of the simulated kernel itself, count nothing
/// that a file system does, and are left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Schedules by how they were chosen.
    schedules: BTreeMap<String, u64>,
    counts: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds up the lines that `resctrl_types::sim` appends to the file in `SIM_TALLY`: test, kind of exploration, then
    /// `name=count` each, tabs in between.
    ///
    /// # Errors
    ///
    /// A line that is none.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut tally = Tally::default();
        for line in text.lines() {
            tally.add(line).with_context(|| format!("no line of counts: `{line}`"))?;
        }
        Ok(tally)
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let mut words = line.split('\t');
        let (_test, how) = (words.next()?, words.next()?);
        let mut schedules = 0;
        let mut counted = false;
        for word in words {
            let (name, count) = word.split_once('=')?;
            let count: u64 = count.parse().ok()?;
            if name == "schedules" {
                schedules = count;
            } else {
                counted = true;
                *self.counts.entry(name.to_owned()).or_default() += count;
            }
        }
        if counted {
            *self.schedules.entry(how.to_owned()).or_default() += schedules;
        }
        Some(())
    }

    fn total(&self) -> u64 {
        self.schedules.values().sum()
    }

    /// The sums as a table.
    pub(super) fn summary(&self, time: Duration) -> String {
        let mut text = format!("{} schedules of the file system in {} s\n", self.total(), time.as_secs());
        let rows = self.schedules.iter().chain(&self.counts);
        for (what, count) in rows {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{count:>12}  {what}");
        }
        text
    }

    /// What the run was to do and did not.
    pub(super) fn missing(&self) -> Vec<String> {
        let few = (self.total() < SCHEDULES).then(|| format!("{} of {SCHEDULES} schedules", self.total()));
        let none = COVERAGE.iter().filter(|&&what| self.counts.get(what).is_none_or(|&count| count == 0));
        few.into_iter().chain(none.map(|what| format!("no {what}"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_add_up_and_those_of_models_are_left_out() {
        let text = "one\trandom\tschedules=3\tre-picks=4\n\
                    two\trandom\tschedules=5\tre-picks=0\tlimbo runs=1\n\
                    model\trandom\tschedules=7\n";
        let tally = Tally::parse(text).unwrap();
        assert_eq!(tally.total(), 8);
        assert_eq!((tally.counts["re-picks"], tally.counts["limbo runs"]), (4, 1));
        let summary = tally.summary(Duration::from_millis(1999));
        assert!(summary.starts_with("8 schedules of the file system in 1 s\n           8  random\n"), "{summary}");
        assert!(Tally::parse("one\trandom\tschedules\n").is_err());
    }

    #[test]
    fn a_run_is_not_enough_without_a_million_schedules_and_something_of_everything() {
        let counts = COVERAGE.map(|what| format!("\t{what}=1")).concat();
        let run =
            |schedules: u64, counts: &str| Tally::parse(&format!("t\tall\tschedules={schedules}{counts}\n")).unwrap();
        assert_eq!(run(SCHEDULES, &counts).missing(), Vec::<String>::new());
        assert_eq!(run(SCHEDULES - 1, &counts).missing(), ["999999 of 1000000 schedules"]);
        assert_eq!(run(SCHEDULES, &counts.replace("re-picks=1", "re-picks=0")).missing(), ["no re-picks"]);
        assert_eq!(run(SCHEDULES, &counts.replace("\tlimbo runs=1", "")).missing(), ["no limbo runs"]);
    }
}
