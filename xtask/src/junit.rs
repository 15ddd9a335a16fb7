// SPDX-License-Identifier: GPL-2.0-only
//! JUnit XML, which hosted runners show: a suite for each machine, kernel and implementation.
//!
//! GitHub's actions and GitLab group tests by their class, and Jenkins takes what is before the last dot of it for a package; all of
//! them add up the times of tests, and GitLab and Jenkins compare a test with the one of the same class and name of an earlier run.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::report::Run;
use crate::scenario::Case;
use crate::test_qemu::outcome::{Outcome, Verdict};

/// The XML for `run`.
///
/// # Errors
///
/// It cannot be serialised.
pub(crate) fn xml(run: &Run) -> Result<String> {
    let mut suites: BTreeMap<String, TestSuite> = BTreeMap::new();
    for outcome in &run.outcomes {
        let case = &outcome.case;
        let name = format!("{} {} {}", case.machine, case.kernel, case.implementation);
        suites.entry(name.clone()).or_insert_with(|| TestSuite::new(name)).add_test_case(test_case(run, outcome));
    }
    let mut report = Report::new("test-qemu");
    for suite in suites.values_mut() {
        suite.set_time(suite.test_cases.iter().filter_map(|test| test.time).sum::<Duration>());
    }
    report.set_time(run.guests);
    report.add_test_suites(suites.into_values());
    Ok(report.to_string()?)
}

fn test_case(run: &Run, outcome: &Outcome) -> TestCase {
    let status = match outcome.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Skip => TestCaseStatus::skipped(),
        Verdict::Fail => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(outcome.reasons.first().map_or("", String::as_str));
            status.set_description(format!(
                "{}\nconsole: {}\nagain: {}",
                outcome.reasons.join("\n"),
                outcome.console.display(),
                run.again(outcome)
            ));
            status
        }
    };
    let mut test = TestCase::new(outcome.case.scenario.name.clone(), status);
    let Case { machine, kernel, implementation, .. } = &outcome.case;
    test.set_classname(format!("{machine}.{kernel}.{implementation}"));
    test.set_time(outcome.took);
    let mut output = [outcome.output.as_slice(), outcome.fault.as_slice()].concat();
    if let Some(why) = &outcome.not_compared {
        test.add_property(("not compared", why.as_str()));
        output.push(format!("# not compared: {why}"));
    }
    test.set_system_out(output.join("\n"));
    test
}
