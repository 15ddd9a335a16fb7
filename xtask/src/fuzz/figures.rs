// SPDX-License-Identifier: GPL-2.0-only
//! What the runs of each target come to, in docs/evidence/fuzz.json.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::kept;
use super::target::Target;
use super::tried::{Tried, rate};
use crate::measured::{self, Table, When};

/// Figures by target.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures(BTreeMap<String, Sum>);

/// All runs of a target.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Sum {
    inputs: u64,
    seconds: f64,
    processor_seconds: f64,
    /// How many runs ended with an input that fails.
    failed: u64,
    /// What the last run reached, which began with what the runs before had found.
    edges: u64,
    features: u64,
    /// The inputs that are committed, and how long they are.
    kept: usize,
    kept_bytes: usize,
    /// Of the last run.
    #[serde(flatten)]
    when: When,
}

impl Sum {
    fn add(&mut self, tried: &Tried, (kept, kept_bytes): (usize, usize), when: When) {
        let tenths = |seconds: f64| (seconds * 10.0).round() / 10.0;
        self.inputs += tried.inputs;
        self.seconds = tenths(self.seconds + tried.passed.as_secs_f64());
        self.processor_seconds = tenths(self.processor_seconds + tried.processor.as_secs_f64());
        self.failed += u64::from(tried.failed);
        (self.edges, self.features) = (tried.edges, tried.features);
        (self.kept, self.kept_bytes, self.when) = (kept, kept_bytes, when);
    }
}

impl Figures {
    /// Adds a run to those that are committed, and gives them.
    ///
    /// # Errors
    ///
    /// They cannot be read or written.
    pub(super) fn add(target: Target, tried: &Tried) -> Result<Self> {
        let path = measured::kept("fuzz");
        let mut figures: Self = if path.exists() { measured::load(&path)? } else { Self::default() };
        figures.0.entry(target.name()).or_default().add(tried, kept::size(target)?, When::now()?);
        measured::save(&path, &figures)?;
        Ok(figures)
    }

    /// Of each target: its name, what came of it, and when it was last run.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (&str, String, &When)> {
        self.0.iter().map(|(name, sum)| {
            let Sum { inputs, failed, .. } = sum;
            let hours = sum.processor_seconds / 3600.0;
            (name.as_str(), format!("{inputs} inputs in {hours:.2} hours; {failed} runs failed"), &sum.when)
        })
    }

    /// As docs/evidence.md has them.
    pub(crate) fn table(&self) -> Table {
        let header = [
            "target",
            "inputs",
            "hours",
            "processor hours",
            "inputs in a second of processor time",
            "branches",
            "features",
            "inputs kept",
            "runs that failed",
            "last",
            "at",
        ];
        let mut table = Table::new(&header);
        for (name, sum) in &self.0 {
            let hours = |seconds: f64| format!("{:.2}", seconds / 3600.0);
            table.row(vec![
                name.clone(),
                sum.inputs.to_string(),
                hours(sum.seconds),
                hours(sum.processor_seconds),
                format!("{:.0}", rate(sum.inputs, sum.processor_seconds)),
                sum.edges.to_string(),
                sum.features.to_string(),
                format!("{}, {} B", sum.kept, sum.kept_bytes),
                sum.failed.to_string(),
                sum.when.date.clone(),
                sum.when.commit.clone(),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn runs_of_a_target_add_up_and_what_was_reached_is_the_last_ones() {
        let when = |date: &str| When { date: date.to_owned(), commit: "abc".to_owned() };
        let seconds = Duration::from_secs;
        let first = Tried {
            inputs: 7000,
            passed: seconds(1800),
            processor: seconds(900),
            edges: 7,
            features: 9,
            failed: true,
            input: None,
        };
        let second = Tried { inputs: 11_000, edges: 8, features: 12, failed: false, ..first.clone() };
        let mut sum = Sum::default();
        sum.add(&first, (3, 50), when("2026-11-29"));
        sum.add(&second, (4, 60), when("2026-11-30"));
        let figures = Figures([("tasks".to_owned(), sum)].into());
        let row = "| tasks | 18000 | 1.00 | 0.50 | 10 | 8 | 12 | 4, 60 B | 1 | 2026-11-30 | abc |";
        assert_eq!(figures.table().markdown().lines().last(), Some(row));
        let claims: Vec<_> = figures.claims().map(|(name, figure, _)| format!("{name}: {figure}")).collect();
        assert_eq!(claims, ["tasks: 18000 inputs in 0.50 hours; 1 runs failed"]);
        let text = serde_json::to_string(&figures).unwrap();
        assert_eq!(serde_json::from_str::<Figures>(&text).unwrap(), figures);
    }
}
