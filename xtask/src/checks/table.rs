// SPDX-License-Identifier: GPL-2.0-only
//! The table "check, oracle, ours" of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use comfy_table::presets;

use super::{Behaviour, Catalogue, numbers};
use crate::scenario::{Implementation, Scenario};
use crate::test_qemu::outcome::Outcome;

/// What a run found of a behaviour on one implementation, over all machines and kernels. What weighs more comes later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Found {
    /// No check of it was made.
    #[default]
    NotRun,
    /// Every check of it held.
    Passed,
    /// A check of it failed that is known to.
    Known,
    /// A check of it failed.
    Failed,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotRun => "not run",
            Self::Passed => "passed",
            Self::Known => "differs, as known",
            Self::Failed => "FAILED",
        })
    }
}

/// What there is to say of one behaviour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its number.
    pub(crate) number: u16,
    /// What it is.
    pub(crate) behaviour: Behaviour,
    /// On the kernel's own resctrl.
    pub(crate) oracle: Found,
    /// On ours.
    pub(crate) ours: Found,
    /// Scenarios that name it, with the machines they run on.
    pub(crate) scenarios: BTreeMap<String, String>,
}

impl Row {
    /// One implementation does what the other does not.
    fn differs(&self) -> bool {
        let failed = |found| found == Found::Failed;
        failed(self.oracle) || failed(self.ours) || self.oracle == Found::Known || self.ours == Found::Known
    }

    fn seen(&self) -> bool {
        self.oracle != Found::NotRun || self.ours != Found::NotRun
    }

    /// Where it is tried, or why nowhere.
    pub(crate) fn place(&self) -> String {
        let needs = if self.behaviour.needs.is_empty() {
            String::new()
        } else {
            format!("; needs {}", self.behaviour.needs.join(", "))
        };
        if self.scenarios.is_empty() {
            return format!("no scenario has it{needs}");
        }
        let names: Vec<&str> = self.scenarios.keys().map(String::as_str).collect();
        let left_out = if self.seen() { "" } else { " (not in this run, or not on its machines)" };
        format!("{}{left_out}", names.join(" "))
    }
}

/// All behaviours of the catalogue, each with what a run found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// In order of their numbers.
    pub(crate) rows: Vec<Row>,
    /// The run left nothing out, so what is missing is missing for good.
    everything: bool,
}

impl Table {
    /// What `scenarios` name, without anything that ran.
    pub(crate) fn new(catalogue: &Catalogue, scenarios: &[Scenario], everything: bool) -> Self {
        let row = |(&number, behaviour): (&u16, &Behaviour)| Row {
            number,
            behaviour: behaviour.clone(),
            oracle: Found::NotRun,
            ours: Found::NotRun,
            scenarios: scenarios
                .iter()
                .filter(|scenario| scenario.checks.contains(&number))
                .map(|scenario| (scenario.name.clone(), scenario.place()))
                .collect(),
        };
        Self { rows: catalogue.behaviours.iter().map(row).collect(), everything }
    }

    /// Adds what a run found.
    pub(crate) fn add(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            for check in outcome.made() {
                let known = outcome.expected.iter().any(|known| known.check == check.name);
                let found = match (check.held, known) {
                    (true, _) => Found::Passed,
                    (false, true) => Found::Known,
                    (false, false) => Found::Failed,
                };
                for number in numbers(check.name) {
                    let Some(row) = self.rows.iter_mut().find(|row| row.number == number) else { continue };
                    let place = match outcome.case.implementation {
                        Implementation::Kernel => &mut row.oracle,
                        Implementation::Rust => &mut row.ours,
                    };
                    *place = found.max(*place);
                }
            }
        }
    }

    /// A line, and one for each behaviour that failed or differs; in a run of everything also what no scenario has.
    pub(crate) fn summary(&self) -> String {
        let seen = self.rows.iter().filter(|row| row.seen()).count();
        let mut text = format!("checks: {seen} of the {} in the catalogue were tried", self.rows.len());
        for (who, place) in [("oracle", (|row| row.oracle) as fn(&Row) -> Found), ("ours", |row| row.ours)] {
            let count = |found| self.rows.iter().filter(|row| place(row) == found).count();
            let _ = write!(text, "; {who}: {} passed, {} failed", count(Found::Passed), count(Found::Failed));
            if count(Found::Known) > 0 {
                let _ = write!(text, ", {} differ as known", count(Found::Known));
            }
        }
        text.push('\n');
        for row in self.rows.iter().filter(|row| row.differs()) {
            let Row { number, oracle, ours, behaviour, .. } = row;
            let _ = writeln!(text, "  {number} {}: oracle {oracle}, ours {ours}", behaviour.title);
        }
        let missing: BTreeSet<u16> =
            self.rows.iter().filter(|row| row.scenarios.is_empty()).map(|row| row.number).collect();
        if self.everything && !missing.is_empty() {
            let _ = writeln!(text, "  in no scenario: {}", ranges(&missing));
        }
        text
    }

    /// Every row.
    pub(crate) fn full(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["check", "oracle", "ours", "about", "scenarios"]);
        for row in &self.rows {
            table.add_row([
                row.number.to_string(),
                row.oracle.to_string(),
                row.ours.to_string(),
                row.behaviour.title.clone(),
                row.place(),
            ]);
        }
        table.trim_fmt()
    }

    /// Which scenario has which check, and on which machines it runs.
    pub(crate) fn overview(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let places: Vec<String> =
                row.scenarios.iter().map(|(name, machines)| format!("{name} ({machines})")).collect();
            let place = if places.is_empty() { row.place() } else { places.join(", ") };
            let _ = writeln!(text, "{:>3} {}: {place}", row.number, row.behaviour.title);
        }
        let covered = self.rows.iter().filter(|row| !row.scenarios.is_empty()).count();
        let _ = writeln!(text, "{covered} of {} are in a scenario", self.rows.len());
        text
    }

    /// Every row for programs: tab-separated, with a header.
    pub(crate) fn tsv(&self) -> String {
        let mut text = "check\toracle\tours\tneeds\tscenarios\ttitle\n".to_owned();
        for Row { number, behaviour, oracle, ours, scenarios } in &self.rows {
            let word = |found: &Found| match found {
                Found::NotRun => "not-run",
                Found::Passed => "passed",
                Found::Known => "known",
                Found::Failed => "failed",
            };
            let scenarios: Vec<&str> = scenarios.keys().map(String::as_str).collect();
            let _ = writeln!(
                text,
                "{number}\t{}\t{}\t{}\t{}\t{}",
                word(oracle),
                word(ours),
                behaviour.needs.join(" "),
                scenarios.join(" "),
                behaviour.title
            );
        }
        text
    }
}

/// Numbers as `1 3-5`.
fn ranges(numbers: &BTreeSet<u16>) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let range = |&(first, last): &(u16, u16)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::tests::catalogue;
    use crate::scenario::tests::case_of;
    use crate::test_qemu::outcome::tests::finished;

    fn outcome(implementation: Implementation, lines: &[&str]) -> Outcome {
        let text = "# Shows a.\n# machines: intel\nis \"abi-2 x\"; is \"abi-5 y\"";
        finished(case_of("a", text, implementation), lines)
    }

    fn row(table: &Table, number: u16) -> (Found, Found) {
        let row = table.rows.iter().find(|row| row.number == number).unwrap();
        (row.oracle, row.ours)
    }

    #[test]
    fn one_failure_anywhere_is_what_the_table_says() {
        let oracle = outcome(Implementation::Kernel, &["ok 1 - abi-2 x", "not ok 2 - abi-3 z"]);
        let good = outcome(Implementation::Rust, &["ok 1 - abi-2 x", "ok 2 - abi-5 y"]);
        let bad = outcome(Implementation::Rust, &["not ok 1 - abi-2 abi-4 x"]);
        let mut table = Table::new(&catalogue(), std::slice::from_ref(&good.case.scenario), true);
        table.add(&[oracle, bad, good]);
        assert_eq!(row(&table, 2), (Found::Passed, Found::Failed));
        assert_eq!(row(&table, 3), (Found::Failed, Found::NotRun));
        assert_eq!(row(&table, 4), (Found::NotRun, Found::Failed));
        assert_eq!(row(&table, 5), (Found::NotRun, Found::Passed));
        assert_eq!(row(&table, 6), (Found::NotRun, Found::NotRun));
        let summary = table.summary();
        assert!(summary.starts_with(&format!("checks: 4 of the {}", catalogue().behaviours.len())), "{summary}");
        assert!(summary.contains("  2 a plain mount works"), "{summary}");
        assert!(summary.contains("in no scenario: 1 3-4 6-"), "{summary}");
        assert!(table.tsv().contains("\n5\tnot-run\tpassed\t\ta\t"));
    }

    #[test]
    fn a_part_of_a_run_does_not_complain_of_what_is_missing() {
        let table = Table::new(&catalogue(), &[], false);
        assert!(!table.summary().contains("in no scenario"));
        assert!(table.overview().contains(&format!("0 of {}", catalogue().behaviours.len())));
    }

    #[test]
    fn what_no_scenario_has_says_what_it_needs() {
        let table = Table::new(&catalogue(), &[], true);
        let row = table.rows.iter().find(|row| row.number == 71).unwrap();
        assert_eq!(row.place(), "no scenario has it; needs ABMC");
    }
}
