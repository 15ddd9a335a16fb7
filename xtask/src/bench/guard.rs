// SPDX-License-Identifier: GPL-2.0-only
//! Compares with figures from before.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::table::{INTERRUPTS, Row, STEADY, Table};

/// By how much a ratio may be worse than it was. Where boots differ by more, by that.
pub(super) const TOLERANCE: f64 = 0.03;

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

/// Reads a file of figures to compare with those of `machine`.
///
/// # Errors
///
/// Those of [`load`]; the figures are another machine's.
pub(super) fn load_for(path: &Path, machine: &str) -> Result<Table> {
    let table = load(path)?;
    let of = &table.origin.machine;
    ensure!(of == machine, "the figures of {} are of machine `{of}`, not of `{machine}`", path.display());
    Ok(table)
}

/// What a comparison has found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The commit of the figures from before.
    commit: String,
    compared: usize,
    /// Those that are given more than [`TOLERANCE`].
    loosely: usize,
    /// Operations that the figures from before lack.
    new: Vec<String>,
    worse: Vec<Worse>,
}

/// An operation that has become worse.
#[derive(Debug, PartialEq, Eq)]
struct Worse {
    operation: String,
    how: String,
}

impl Verdict {
    /// Something was compared, and nothing is worse.
    pub(super) fn passes(&self) -> bool {
        self.worse.is_empty() && self.compared > 0
    }

    /// Something is worse, which a second measurement may not show: addresses are random in each boot, and two boots do not
    /// tell all that comes of that.
    pub(super) fn is_doubtful(&self) -> bool {
        !self.worse.is_empty()
    }

    /// What is worse in `again`, too.
    pub(super) fn confirmed_by(mut self, again: &Self) -> Self {
        self.worse.retain(|worse| again.worse.iter().any(|other| other.operation == worse.operation));
        self
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commit, compared, loosely, new, worse } = self;
        for Worse { operation, how } in worse {
            writeln!(f, "worse than at {commit}: {operation}: {how}")?;
        }
        for operation in new {
            writeln!(f, "not compared, because there is no figure of {commit}: {operation}")?;
        }
        write!(
            f,
            "{compared} operations compared with those at {commit}, {loosely} of them loosely because boots differ: {} are \
             worse",
            worse.len()
        )
    }
}

/// Looks for what has become worse.
pub(super) fn compare(before: &Table, now: &Table) -> Verdict {
    let mut verdict =
        Verdict { commit: before.origin.commit.clone(), compared: 0, loosely: 0, new: Vec::new(), worse: Vec::new() };
    let operations = now.operations.iter().filter(|row| row.is_judged()).map(|row| (&before.operations, row));
    for (olds, row) in operations.chain(now.memory.iter().map(|row| (&before.memory, row))) {
        let operation = row.operation.clone();
        let Some(old) = olds.iter().find(|old| old.operation == operation) else {
            verdict.new.push(operation);
            continue;
        };
        verdict.compared += 1;
        verdict.loosely += usize::from(tolerance(old, row) > TOLERANCE);
        let how = [costs_more(old, row), reaches_more(old, row)].into_iter().flatten().collect::<Vec<_>>().join("; ");
        if !how.is_empty() {
            verdict.worse.push(Worse { operation, how });
        }
    }
    verdict
}

/// The ratio, if it is worse and ours has a part in that: the kernel's own differs between boots and releases, too.
fn costs_more(old: &Row, row: &Row) -> Option<String> {
    let (ours, before) = (row.instructions.rust, old.instructions.rust);
    let ours_grew = ours as f64 > before as f64 * (1.0 + STEADY);
    let worse = ours_grew && row.ratio > old.ratio * (1.0 + tolerance(old, row));
    worse.then(|| format!("{:.3}, was {:.3} (ours {ours}, was {before})", row.ratio, old.ratio))
}

/// Accesses to registers, if ours now makes more than the kernel's own and did not before. Interrupts are not judged:
/// also others send them, as many as come.
fn reaches_more(old: &Row, row: &Row) -> Option<String> {
    let before = old.more();
    let more = row.more().into_iter().filter(|what| !before.contains(what) && *what != INTERRUPTS);
    let more = more.collect::<Vec<_>>().join(" and ");
    (!more.is_empty()).then(|| format!("more {more} than the kernel's own"))
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::table;
    use super::*;
    use crate::workspace;

    fn worse(verdict: &Verdict) -> Vec<String> {
        verdict.worse.iter().map(|worse| format!("{}: {}", worse.operation, worse.how)).collect()
    }

    #[test]
    fn a_ratio_may_get_better_and_three_hundredths_worse() {
        let kernel = "a\tcost=1000\nb\tcost=1000\nc\tcost=1000\ncontrol:d\tcost=1000";
        let before = table(kernel, "a\tcost=1000\nb\tcost=2000\nc\tcost=900\ncontrol:d\tcost=1");
        let now = table(kernel, "a\tcost=1030\nb\tcost=2070\nc\tcost=500\ncontrol:d\tcost=9");
        let verdict = compare(&before, &now);
        assert_eq!((verdict.compared, verdict.loosely, verdict.passes()), (3, 0, false));
        let what = "b: 2.070, was 2.000 (ours 2070, was 2000)";
        assert_eq!(worse(&verdict), [what]);
        assert!(verdict.to_string().contains(&format!("worse than at 0123456789ab: {what}\n")), "{verdict}");
        assert!(compare(&before, &before).passes());
    }

    #[test]
    fn what_the_kernels_own_saves_is_no_fault_of_ours() {
        let before = table("a\tcost=1000", "a\tcost=1000");
        assert!(compare(&before, &table("a\tcost=900", "a\tcost=1005")).passes());
        assert!(!compare(&before, &table("a\tcost=900", "a\tcost=1020")).passes());
    }

    /// What the step of continuous integration compares with.
    #[test]
    fn each_committed_figure_fails_if_it_becomes_worse() {
        let committed = load_for(&workspace::root().join("docs/performance/intel.json"), "intel").unwrap();
        assert!(compare(&committed, &committed).passes());
        for place in (0..committed.operations.len()).filter(|&place| committed.operations[place].is_judged()) {
            let mut now = committed.clone();
            let row = &mut now.operations[place];
            row.ratio *= 1.001 + TOLERANCE.max(2.0 * row.spread);
            row.instructions.rust *= 2;
            let verdict = compare(&committed, &now);
            assert!(!verdict.passes());
            assert_eq!(verdict.worse.len(), 1, "{verdict}");
            assert_eq!(verdict.worse[0].operation, committed.operations[place].operation);
        }
    }

    #[test]
    fn what_differs_between_boots_may_differ_by_that_much_from_before() {
        let mut before = table("a\tcost=1000", "a\tcost=1000");
        let mut now = table("a\tcost=1000", "a\tcost=1080");
        assert_eq!(compare(&before, &now).worse.len(), 1);
        (before.operations[0].spread, now.operations[0].spread) = (0.05, 0.04);
        let verdict = compare(&before, &now);
        assert_eq!((verdict.compared, verdict.loosely, verdict.passes()), (1, 1, true));
        now.operations[0].spread = 0.01;
        assert_eq!(compare(&before, &now).worse.len(), 1);
    }

    #[test]
    fn more_accesses_than_theirs_are_worse_unless_there_were_before() {
        let with =
            |accesses: &str| table("a\tcost=9\tinterrupts=1\treads=1\twrites=1", &format!("a\tcost=9\t{accesses}"));
        let (same, writes) = (with("interrupts=1\treads=1\twrites=1"), with("interrupts=1\treads=1\twrites=2"));
        assert_eq!(worse(&compare(&same, &writes)), ["a: more writes than the kernel's own"]);
        assert!(compare(&writes, &writes).passes());
        assert!(compare(&same, &with("interrupts=3\treads=1\twrites=1")).passes(), "others send interrupts, too");
    }

    #[test]
    fn memory_is_compared_with_memory() {
        let with = |bytes: u64| table("a\tcost=9\nmemory:a\tcost=100", &format!("a\tcost=9\nmemory:a\tcost={bytes}"));
        assert!(compare(&with(100), &with(103)).passes());
        assert_eq!(worse(&compare(&with(100), &with(110))), ["a: 1.100, was 1.000 (ours 110, was 100)"]);
    }

    #[test]
    fn what_only_one_of_two_measurements_shows_is_not_worse() {
        let kernel = "a\tcost=100\nb\tcost=100";
        let before = table(kernel, kernel);
        let first = compare(&before, &table(kernel, "a\tcost=110\nb\tcost=120"));
        let again = compare(&before, &table(kernel, "a\tcost=100\nb\tcost=130"));
        assert!(first.is_doubtful());
        assert_eq!(worse(&first.confirmed_by(&again)), ["b: 1.200, was 1.000 (ours 120, was 100)"]);
    }

    #[test]
    fn operations_that_only_one_has_are_not_compared_and_the_new_ones_are_told() {
        let verdict = compare(&table("a\tcost=1", "a\tcost=1"), &table("b\tcost=1", "b\tcost=9"));
        assert_eq!((verdict.compared, verdict.passes(), verdict.is_doubtful()), (0, false, false));
        assert_eq!(verdict.new, ["b"]);
        assert!(verdict.to_string().contains("no figure of 0123456789ab: b\n"), "{verdict}");
    }

    #[test]
    fn a_file_without_figures_is_named_and_so_is_one_of_another_machine() {
        let error = load(Path::new("no/such.json")).unwrap_err();
        assert!(error.to_string().contains("no/such.json"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), table("a\tcost=1", "a\tcost=1").json().unwrap()).unwrap();
        let error = load_for(file.path(), "amd").unwrap_err();
        assert!(error.to_string().contains("are of machine `intel`, not of `amd`"), "{error}");
    }
}
