// SPDX-License-Identifier: GPL-2.0-only
//! What remains of a run: the table at its end, the failures with all that is needed to look into
//! them, JUnit XML and a page to look at.

mod case;
pub(crate) mod html;
mod matrix;
pub(crate) mod origin;
pub(crate) mod plot;
pub(crate) mod verdicts;

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use comfy_table::{Table, presets};
use origin::Origin;

use crate::checks;
use crate::scenario::Again;
use crate::shell::word;
use crate::snapshot;
use crate::stages::Stages;
use crate::test_qemu::outcome::{Outcome, Verdict};

/// A whole run.
#[derive(Debug)]
pub(crate) struct Run {
    /// Every case's outcome.
    pub(crate) outcomes: Vec<Outcome>,
    /// Where and on what it ran.
    pub(crate) origin: Origin,
    /// What it was asked for beside its cases.
    pub(crate) again: Again,
    /// Folder with the logs.
    pub(crate) folder: PathBuf,
    /// Time the builds took.
    pub(crate) build: Duration,
    /// Time the guests took, all together.
    pub(crate) guests: Duration,
    /// Where the time went.
    pub(crate) stages: Stages,
    /// What was found of each behaviour of the catalogue.
    pub(crate) checks: checks::Table,
    /// What snapshots were compared with.
    pub(crate) held: snapshot::Held,
    /// Of each machine of the user's, the scenarios that do not fit it.
    pub(crate) misfits: Vec<String>,
}

impl Run {
    /// How many outcomes have this verdict.
    pub(crate) fn count(&self, verdict: Verdict) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.verdict == verdict).count()
    }

    /// The command that runs a case of it again, alone.
    pub(crate) fn again(&self, outcome: &Outcome) -> String {
        outcome.case.command(&self.again)
    }

    /// Verdict and time of every case.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["scenario", "machine", "kernel", "impl", "verdict", "checks", "seconds", "processor"]);
        for outcome in &self.outcomes {
            let case = &outcome.case;
            table.add_row([
                case.scenario.name.clone(),
                case.machine.to_string(),
                case.kernel.clone(),
                case.implementation.to_string(),
                outcome.marked_verdict(),
                outcome.checks.to_string(),
                format!("{:.1}", outcome.took.as_secs_f64()),
                format!("{:.1}", outcome.processor.as_secs_f64()),
            ]);
        }
        table.trim_fmt()
    }

    /// Each failure: what failed, where the console is, how to run it again.
    pub(crate) fn failures(&self) -> String {
        let mut text = String::new();
        for outcome in self.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Fail) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "\nFAIL {}", outcome.case);
            for reason in &outcome.reasons {
                let _ = writeln!(text, "  {reason}");
            }
            let _ = writeln!(text, "  console: {}", outcome.console.display());
            for (name, path) in outcome.evidence() {
                let _ = writeln!(text, "  {name} {}", path.display());
            }
            let _ = writeln!(text, "  again:   {}", self.again(outcome));
        }
        text
    }

    /// Each fault that a case was there to provoke.
    pub(crate) fn provoked(&self) -> String {
        let mut text = String::new();
        for outcome in self.outcomes.iter().filter(|outcome| !outcome.fault.is_empty()) {
            let _ = writeln!(text, "\nprovoked by {}, as it must be on this kernel:", outcome.case);
            for (name, value) in &outcome.stats {
                let _ = writeln!(text, "  {name}: {value}");
            }
            for line in &outcome.fault {
                let _ = writeln!(text, "  {line}");
            }
            let _ = writeln!(text, "  console: {}", outcome.console.display());
        }
        text
    }

    /// What was counted by cases that run as long as they are told, or as many operations: that is what somebody asks them for.
    pub(crate) fn counted(&self) -> String {
        let mut text = String::new();
        for Outcome { case, stats, .. } in &self.outcomes {
            if stats.is_empty() || !(case.scenario.lockstep || case.scenario.seconds.is_some()) {
                continue;
            }
            let _ = writeln!(text, "\ncounted by {case}:");
            for (name, value) in stats {
                let _ = writeln!(text, "{value:>12}  {name}");
            }
        }
        text
    }

    /// Differences that are listed as known and did not show, and snapshots that nothing was compared with.
    pub(crate) fn gone(&self) -> String {
        let mut text = String::new();
        for outcome in &self.outcomes {
            for known in outcome.gone() {
                let _ = writeln!(text, "known difference not seen: {}: {}", outcome.case, known.check);
            }
        }
        text.push_str(&snapshot::not_compared(&self.outcomes, self.held).unwrap_or_default());
        text
    }

    /// What to do now.
    pub(crate) fn next(&self) -> String {
        let failed: Vec<&Outcome> = self.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Fail).collect();
        let Some(failure) = failed.first() else {
            let machine = self.outcomes.first().map_or("intel", |outcome| outcome.case.machine.argument());
            return format!(
                "next: look around in such a guest with `cargo xtask run-qemu --machine {}`",
                word(machine)
            );
        };
        match failed.iter().find(|outcome| outcome.booted) {
            Some(first) => {
                format!("next: that case alone, with what led to it in trace.log: `{} --trace`", self.again(first))
            }
            None => format!(
                "next: no guest came up; {} says why, and `cargo xtask doctor` what is missing",
                failure.console.display()
            ),
        }
    }

    /// The last line.
    pub(crate) fn summary(&self) -> String {
        let retried = self.outcomes.iter().filter(|outcome| outcome.retried).count();
        let mut text = format!(
            "{} passed, {} failed, {} skipped",
            self.count(Verdict::Pass),
            self.count(Verdict::Fail),
            self.count(Verdict::Skip),
        );
        if retried > 0 {
            text.push_str(&format!(", {retried} on a second boot"));
        }
        let alone = self.outcomes.iter().filter(|outcome| outcome.not_compared.is_some()).count();
        if alone > 0 {
            text.push_str(&format!(", {alone} not compared"));
        }
        text.push_str(&format!(
            "; builds {:.1} s, guests {:.1} s",
            self.build.as_secs_f64(),
            self.guests.as_secs_f64()
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::verdicts::tests::run;
    use crate::scenario::Implementation;
    use crate::scenario::tests::case_of;
    use crate::test_qemu::outcome::tests::finished;

    #[test]
    fn counts_are_said_of_cases_that_are_asked_for_them() {
        let mut run = run(&[Implementation::Rust]);
        let lines = ["ok 1 - x", "# stat cycles 2366", "# stat pace 1.5"];
        run.outcomes = ["# Info.\n", "# Stress.\n# seconds: STRESS_SECONDS=60\n"]
            .map(|text| finished(case_of("it", &format!("{text}# machines: intel\n"), Implementation::Rust), &lines))
            .into();
        assert_eq!(run.counted(), "\ncounted by it [intel stock rust]:\n        2366  cycles\n         1.5  pace\n");
    }
}
