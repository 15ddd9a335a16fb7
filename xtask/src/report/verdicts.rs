// SPDX-License-Identifier: GPL-2.0-only
//! Verdicts for programs (`verdicts.json`), and for the page that GitHub shows of a job.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::Run;
use crate::test_qemu::outcome::{Outcome, Verdict};

/// The variable in which GitHub's runners have the file for a job's page.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// A case and what became of it.
#[derive(Debug, Serialize)]
struct Row<'a> {
    scenario: &'a str,
    machine: String,
    kernel: &'a str,
    implementation: String,
    /// `pass`, `FAIL` or `skip`.
    verdict: String,
    /// Why it failed or was skipped.
    reasons: &'a [String],
    /// Its guest had to be booted twice.
    retried: bool,
    /// Why its answers were compared with nobody's, although they are there for that.
    not_compared: Option<&'a str>,
    /// Checks that held.
    checks: usize,
    seconds: f64,
    /// The command that runs it again.
    again: String,
}

fn row<'a>(run: &Run, outcome: &'a Outcome) -> Row<'a> {
    let case = &outcome.case;
    Row {
        scenario: &case.scenario.name,
        machine: case.machine.to_string(),
        kernel: &case.kernel,
        implementation: case.implementation.to_string(),
        verdict: outcome.verdict.to_string(),
        reasons: &outcome.reasons,
        retried: outcome.retried,
        not_compared: outcome.not_compared.as_deref(),
        checks: outcome.checks,
        seconds: outcome.took.as_secs_f64(),
        again: run.again(outcome),
    }
}

/// Writes `verdicts.json` into the run's folder, and adds to the page of the job, if there is one.
///
/// # Errors
///
/// One of them cannot be written.
pub(crate) fn write(run: &Run) -> Result<()> {
    let path = run.folder.join("verdicts.json");
    let rows: Vec<Row<'_>> = run.outcomes.iter().map(|outcome| row(run, outcome)).collect();
    let text = serde_json::to_string_pretty(&rows)? + "\n";
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    match std::env::var_os(STEP_SUMMARY).filter(|path| !path.is_empty()) {
        Some(path) => add(run, &PathBuf::from(path)),
        None => Ok(()),
    }
}

/// Adds to the page of a job.
fn add(run: &Run, page: &Path) -> Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(page);
    file.and_then(|mut file| file.write_all(markdown(run).as_bytes()))
        .with_context(|| format!("{STEP_SUMMARY}: cannot write {}", page.display()))
}

/// The summary, the cases that are not simply passed, and how to run failures again.
fn markdown(run: &Run) -> String {
    let mut text = format!("### test-qemu: {}\n\n", run.summary());
    let notable: Vec<_> = run
        .outcomes
        .iter()
        .filter(|outcome| outcome.verdict != Verdict::Pass || outcome.retried || outcome.not_compared.is_some())
        .collect();
    if notable.is_empty() {
        return text;
    }
    text.push_str("| case | verdict | why |\n|---|---|---|\n");
    for outcome in notable {
        let reason = outcome.reasons.first().and_then(|reason| reason.lines().next()).unwrap_or_default();
        let why = [reason, outcome.not_compared.as_deref().unwrap_or_default()];
        let why: Vec<String> =
            why.iter().filter(|why| !why.is_empty()).map(|why| why.replace('|', "\\|").replace('<', "&lt;")).collect();
        let again = match outcome.verdict {
            Verdict::Fail => format!("<br>`{}`", run.again(outcome)),
            _ => String::new(),
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {} | {} | {}{again} |", outcome.case, outcome.marked_verdict(), why.join("; "));
    }
    text.push('\n');
    text
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::checks::{Catalogue, Table};
    use crate::differential::Asked;
    use crate::report::html;
    use crate::report::origin::Origin;
    use crate::scenario::tests::case_of;
    use crate::scenario::{Again, Implementation};
    use crate::snapshot::Held;
    use crate::stages::Stages;
    use crate::test_qemu::compare;
    use crate::test_qemu::outcome::tests::finished;
    use crate::{junit, workspace};

    /// A run of one case that is there to be compared, on these implementations.
    pub(crate) fn run(implementations: &[Implementation]) -> Run {
        let case = |&implementation| case_of("info", "# Info.\n# machines: intel\n# compare: yes\n", implementation);
        let mut outcomes: Vec<_> =
            implementations.iter().map(|implementation| finished(case(implementation), &["ok 1 - x"])).collect();
        compare::check(&mut outcomes);
        let again = Again {
            settings: BTreeMap::new(),
            both: false,
            sequences: Asked { seed: 1, operations: 1 },
            flags: Vec::new(),
            tree: false,
        };
        let catalogue = Catalogue::load(&workspace::root().join("qemu-images/guest/checks.toml")).unwrap();
        Run {
            outcomes,
            origin: Origin::of_this_run(),
            again,
            folder: PathBuf::new(),
            build: Duration::ZERO,
            guests: Duration::ZERO,
            stages: Stages::default(),
            checks: Table::new(&catalogue, &[], false),
            held: Held::Debians,
            misfits: Vec::new(),
        }
    }

    fn summaries(mut run: Run) -> [String; 6] {
        let folder = tempfile::tempdir().unwrap();
        run.folder = folder.path().to_owned();
        write(&run).unwrap();
        let page = folder.path().join("page.md");
        add(&run, &page).unwrap();
        [
            run.table(),
            run.summary(),
            html::page(&run).unwrap(),
            junit::xml(&run).unwrap(),
            fs::read_to_string(folder.path().join("verdicts.json")).unwrap(),
            fs::read_to_string(page).unwrap(),
        ]
    }

    #[test]
    fn a_case_without_its_partner_says_so_in_every_summary() {
        let alone = summaries(run(&[Implementation::Rust]));
        for (number, text) in alone.iter().enumerate() {
            assert!(text.replace('_', " ").contains("not compared"), "{number}: {text}");
        }
        for text in [&alone[2], &alone[3], &alone[4], &alone[5]] {
            let text = text.replace("&apos;", "'").replace("&#39;", "'");
            assert!(text.contains("the kernel's own is not in this run"), "{text}");
        }
        let both = summaries(run(&[Implementation::Kernel, Implementation::Rust]));
        for text in &both {
            assert!(!text.contains("not compared") && !text.contains("is not in this run"), "{text}");
        }
        assert!(both[4].contains("\"not_compared\": null"), "{}", both[4]);
    }

    #[test]
    fn every_verdict_has_a_cell_that_leads_to_its_case() {
        let run = run(&[Implementation::Kernel, Implementation::Rust]);
        let page = html::page(&run).unwrap();
        let links: Vec<&str> = page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(links.len(), run.outcomes.len(), "{links:?}");
        for link in links {
            assert_eq!(page.matches(&format!("id=\"{link}\"")).count(), 1, "{link}");
        }
        for (name, _) in run.origin.rows() {
            assert!(page.contains(&format!("<dt>{name}</dt>")), "{name}");
        }
        assert!(
            !page.contains(" src=") && !page.contains("href=\"http") && !page.contains("@import"),
            "it needs a network"
        );
    }

    #[test]
    fn a_test_of_junit_has_a_class_a_name_and_a_time_and_so_has_its_suite() {
        let mut run = run(&[Implementation::Kernel, Implementation::Rust]);
        run.outcomes[1].took = Duration::from_millis(1500);
        run.outcomes[1].verdict = Verdict::Fail;
        run.outcomes[1].reasons = vec!["not ok 1 - <x>".to_owned()];
        let report = quick_junit::Report::deserialize_from_str(&junit::xml(&run).unwrap()).unwrap();
        let suites: Vec<_> =
            report.test_suites.iter().map(|suite| (suite.name.as_str(), suite.tests, suite.failures)).collect();
        assert_eq!(suites, [("intel stock kernel", 1, 0), ("intel stock rust", 1, 1)]);
        let suite = &report.test_suites[1];
        let test = &suite.test_cases[0];
        assert_eq!(test.classname.as_deref(), Some("intel.stock.rust"));
        assert_eq!(test.name.as_str(), "info");
        assert_eq!((test.time, suite.time), (Some(Duration::from_millis(1500)), Some(Duration::from_millis(1500))));
        let text = junit::xml(&run).unwrap();
        assert!(text.contains("message=\"not ok 1 - &lt;x&gt;\""), "{text}");
    }

    #[test]
    fn the_end_says_what_to_do_next() {
        let mut run = run(&[Implementation::Rust]);
        assert!(run.next().ends_with("`cargo xtask run-qemu --machine intel`"), "{}", run.next());
        run.outcomes[0].verdict = Verdict::Fail;
        let again = run.again(&run.outcomes[0]);
        assert!(run.next().ends_with(&format!("`{again} --trace`")), "{}", run.next());
        run.outcomes[0].booted = false;
        assert!(run.next().ends_with("`cargo xtask doctor` what is missing"), "{}", run.next());
    }

    #[test]
    fn the_page_of_a_job_is_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("page.md");
        fs::write(&page, "before\n").unwrap();
        add(&run(&[Implementation::Rust]), &page).unwrap();
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.starts_with("before\n### test-qemu: 1 passed"), "{text}");
        assert!(
            text.contains("| info [intel stock rust] | pass, not compared | the kernel's own is not in this run |")
        );
    }
}
