// SPDX-License-Identifier: GPL-2.0-only
//! Compares with figures from before.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::table::{Row, Table};

/// By how much a ratio may be worse than it was. Where boots differ by more, by that.
const TOLERANCE: f64 = 0.03;

fn tolerance(before: &Row, now: &Row) -> f64 {
    TOLERANCE.max(before.spread + now.spread)
}

/// Reads a file of figures.
///
/// # Errors
///
/// It cannot be read, or is none.
pub(super) fn load(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} has no figures of `cargo xtask bench`", path.display()))
}

/// Prints what has become worse.
pub(super) fn judge(before: &Table, now: &Table) -> ExitCode {
    let Verdict { compared, loosely, worse } = compare(before, now);
    for line in &worse {
        println!("worse than at {}: {line}", before.origin.commit);
    }
    println!(
        "{compared} operations compared with those at {}, {loosely} of them loosely because boots differ: {} are worse",
        before.origin.commit,
        worse.len()
    );
    if worse.is_empty() && compared > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    compared: usize,
    /// Those that are given more than [`TOLERANCE`].
    loosely: usize,
    worse: Vec<String>,
}

fn compare(before: &Table, now: &Table) -> Verdict {
    let pairs = now.operations.iter().filter(|row| !row.is_control()).filter_map(|row| {
        let old = before.operations.iter().find(|old| old.operation == row.operation)?;
        Some((old, row))
    });
    let worse = pairs.clone().filter(|(old, row)| row.ratio > old.ratio * (1.0 + tolerance(old, row)));
    Verdict {
        compared: pairs.clone().count(),
        loosely: pairs.clone().filter(|(old, row)| tolerance(old, row) > TOLERANCE).count(),
        worse: worse.map(|(old, row)| format!("{}: {:.3}, was {:.3}", row.operation, row.ratio, old.ratio)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::table;
    use super::*;

    #[test]
    fn a_ratio_may_get_better_and_three_hundredths_worse() {
        let kernel = "a\tcost=1000\nb\tcost=1000\nc\tcost=1000\ncontrol:d\tcost=1000";
        let before = table(kernel, "a\tcost=1000\nb\tcost=2000\nc\tcost=900\ncontrol:d\tcost=1");
        let now = table(kernel, "a\tcost=1030\nb\tcost=2070\nc\tcost=500\ncontrol:d\tcost=9");
        let worse = vec!["b: 2.070, was 2.000".to_owned()];
        assert_eq!(compare(&before, &now), Verdict { compared: 3, loosely: 0, worse });
    }

    #[test]
    fn what_differs_between_boots_may_differ_by_that_much_from_before() {
        let mut before = table("a\tcost=1000", "a\tcost=1000");
        let mut now = table("a\tcost=1000", "a\tcost=1080");
        assert_eq!(compare(&before, &now).worse.len(), 1);
        (before.operations[0].spread, now.operations[0].spread) = (0.05, 0.04);
        assert_eq!(compare(&before, &now), Verdict { compared: 1, loosely: 1, worse: Vec::new() });
        now.operations[0].spread = 0.01;
        assert_eq!(compare(&before, &now).worse.len(), 1);
    }

    #[test]
    fn operations_that_only_one_has_are_not_compared() {
        let verdict = compare(&table("a\tcost=1", "a\tcost=1"), &table("b\tcost=1", "b\tcost=9"));
        assert_eq!(verdict, Verdict { compared: 0, loosely: 0, worse: Vec::new() });
    }

    #[test]
    fn a_file_without_figures_is_named() {
        let error = load(Path::new("no/such.json")).unwrap_err();
        assert!(error.to_string().contains("no/such.json"));
    }
}
