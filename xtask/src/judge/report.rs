// SPDX-License-Identifier: GPL-2.0-only
//! The verdict as text and as a file for programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::subject::Commit;
use super::verdict::{Change, Finding, Findings};
use crate::bench::pair::Cost;
use crate::shell::word;
use crate::test_qemu::outcome::Outcome;

/// Lines of a finding that the text has; the file and the page have all.
const SHOWN: usize = 40;

/// All that is to be said of a series.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Judgement {
    /// The command that judges it again.
    pub(crate) command: String,
    /// The rig's own commit.
    pub(crate) rig: String,
    /// Without the series.
    pub(crate) before: Commit,
    /// With it.
    pub(crate) after: Commit,
    /// First lines of its commits.
    pub(crate) subjects: Vec<String>,
    /// The machines.
    pub(crate) machines: Vec<String>,
    /// The kernels had all checks on.
    pub(crate) debug: bool,
    /// Why it does not build.
    pub(crate) broken: Option<String>,
    /// What cases have shown.
    pub(crate) findings: Findings,
    /// What operations cost, by machine.
    pub(crate) costs: BTreeMap<String, Vec<Cost>>,
    /// Every case.
    pub(crate) table: Vec<Line>,
    /// How long it took.
    pub(crate) seconds: u64,
}

/// A case on both.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    /// The scenario.
    pub(crate) scenario: String,
    /// The machine.
    pub(crate) machine: String,
    /// Its verdict before.
    pub(crate) before: String,
    /// Its verdict after.
    pub(crate) after: String,
}

impl Line {
    /// That of a pair.
    pub(super) fn of([before, after]: [&Outcome; 2]) -> Self {
        Self {
            scenario: before.case.scenario.name.clone(),
            machine: before.case.machine.argument().to_owned(),
            before: before.verdict.to_string(),
            after: after.verdict.to_string(),
        }
    }
}

impl Judgement {
    /// Something is worse with the series.
    pub(crate) fn is_worse(&self) -> bool {
        self.broken.is_some() || !self.findings.worse.is_empty() || self.dearer().next().is_some()
    }

    /// The operations that cost more, with their machines.
    pub(crate) fn dearer(&self) -> impl Iterator<Item = (&str, &Cost)> {
        self.all_costs().filter(|(_, cost)| cost.is_worse())
    }

    /// The operations that cost less, with their machines.
    pub(crate) fn cheaper(&self) -> impl Iterator<Item = (&str, &Cost)> {
        self.all_costs().filter(|(_, cost)| cost.is_better())
    }

    fn all_costs(&self) -> impl Iterator<Item = (&str, &Cost)> {
        self.costs.iter().flat_map(|(machine, costs)| costs.iter().map(move |cost| (machine.as_str(), cost)))
    }

    /// What is judged.
    pub(crate) fn head(&self) -> String {
        let mut text = format!("judging {} against {}:", self.after.name, self.before.name);
        for subject in &self.subjects {
            // Writing to a string does not fail.
            let _ = write!(text, "\n  {subject}");
        }
        text
    }

    /// The command that looks at one finding again.
    pub(crate) fn again(&self, scenario: &str, machine: &str) -> String {
        format!("{} --machine {} --scenario '^{scenario}$'", self.command, word(machine))
    }

    /// All of it, without a page's details.
    pub(crate) fn text(&self) -> String {
        let mut text = self.head();
        text.push('\n');
        if let Some(broken) = &self.broken {
            let _ = write!(text, "\nIT DOES NOT BUILD\n{}", indented(broken));
            return text;
        }
        let findings = &self.findings;
        let sections = [
            ("WORSE: fails with the series and not without", &findings.worse),
            ("FIXED: fails without the series and not with it", &findings.better),
            ("UNSTEADY: failed with the series once, and not the second time", &findings.unsteady),
            ("CANNOT BE TOLD", &findings.unknown),
        ];
        for (title, list) in sections {
            if !list.is_empty() {
                let _ = writeln!(text, "\n{title}");
            }
            for finding in list {
                text.push_str(&self.finding(finding));
            }
        }
        if !findings.changed.is_empty() {
            text.push_str("\nCHANGED: both do it, differently (- without the series, + with it)\n");
        }
        for Change { machine, scenario, what, text: how, .. } in findings.changed.iter().map(Change::shown) {
            let _ = writeln!(text, "  {scenario} [{machine}]: {what}\n{}", indented(&how));
            let _ = writeln!(text, "    again: {}", self.again(&scenario, &machine));
        }
        if !findings.both.is_empty() {
            let _ = writeln!(text, "\nfails on both, and is not held against it: {}", names(&findings.both));
        }
        for (title, costs) in
            [("COSTS MORE", self.dearer().collect::<Vec<_>>()), ("costs less", self.cheaper().collect::<Vec<_>>())]
        {
            if !costs.is_empty() {
                let _ = writeln!(text, "\n{title} (instructions, memory in bytes)");
            }
            for (machine, cost) in costs {
                let Cost { operation, before, after, ratio, .. } = cost;
                let _ = writeln!(text, "  {operation} [{machine}]: {before}, then {after}: {ratio:.2}");
            }
        }
        text
    }

    fn finding(&self, finding: &Finding) -> String {
        let Finding { machine, scenario, what, details, note, console, .. } = finding;
        let mut text = format!("  {scenario} [{machine}]: {what}\n");
        let lines: Vec<&str> = details.lines().collect();
        text.push_str(&indented(&lines[..lines.len().min(SHOWN)].join("\n")));
        if lines.len() > SHOWN {
            let _ = writeln!(text, "    ({} lines more on the page)", lines.len() - SHOWN);
        }
        if !note.is_empty() {
            let _ = writeln!(text, "    note: {note}");
        }
        let _ = writeln!(text, "    console: {}", console.display());
        let _ = writeln!(text, "    again: {}", self.again(scenario, machine));
        text
    }

    /// The last line.
    pub(crate) fn summary(&self) -> String {
        let Findings { cases, checks, worse, better, changed, unknown, .. } = &self.findings;
        let verdict = match (self.is_worse(), unknown.is_empty()) {
            (true, _) => "worse",
            (false, true) => "nothing is worse",
            (false, false) => "it cannot be told whether something is worse",
        };
        if self.broken.is_some() {
            return format!("{verdict}: the series does not build");
        }
        let measured: usize = self.costs.values().map(Vec::len).sum();
        let cost = match measured {
            0 => "costs not measured".to_owned(),
            _ => {
                format!("{} of {measured} operations dearer, {} cheaper", self.dearer().count(), self.cheaper().count())
            }
        };
        format!(
            "{verdict}: {cases} cases compared, {checks} checks held on both; {} newly failing, {} fixed, {} changed answers; \
             {cost}; {} min {} s",
            worse.len(),
            better.len(),
            changed.len(),
            self.seconds / 60,
            self.seconds % 60,
        )
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {}\n", line.trim_end())).collect()
}

fn names(findings: &[Finding]) -> String {
    let names: Vec<String> = findings
        .iter()
        .map(|Finding { machine, scenario, what, .. }| format!("{scenario} [{machine}] {what}"))
        .collect();
    names.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(what: &str, details: &str) -> Finding {
        Finding {
            machine: "intel".to_owned(),
            scenario: "hotplug-stress".to_owned(),
            what: what.to_owned(),
            details: details.to_owned(),
            is_report: false,
            console: "run/console.log".into(),
            note: String::new(),
        }
    }

    fn judgement() -> Judgement {
        let commit = |name: &str| Commit { hash: "0".repeat(40), name: name.to_owned() };
        Judgement {
            command: "cargo xtask judge --tree linux --series x.mbox".to_owned(),
            before: commit("v7.3"),
            after: commit("v7.3-1-gabc"),
            subjects: vec!["fs/resctrl: do not wait".to_owned()],
            ..Judgement::default()
        }
    }

    #[test]
    fn what_is_worse_comes_with_its_report_its_console_and_the_command() {
        let mut judgement = judgement();
        assert!(!judgement.is_worse());
        judgement.findings.worse.push(finding("the guest", "the kernel reported a fault\nKASAN: use after free"));
        let text = judgement.text();
        for part in [
            "judging v7.3-1-gabc against v7.3:\n  fs/resctrl: do not wait\n",
            "WORSE",
            "  hotplug-stress [intel]: the guest\n    the kernel reported a fault\n    KASAN: use after free\n",
            "console: run/console.log",
            "again: cargo xtask judge --tree linux --series x.mbox --machine intel --scenario '^hotplug-stress$'",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(judgement.is_worse() && judgement.summary().starts_with("worse: 0 cases compared"));
    }

    #[test]
    fn long_reports_are_cut_in_the_text_only() {
        let mut judgement = judgement();
        judgement.findings.worse.push(finding("the guest", &"line\n".repeat(SHOWN + 2)));
        assert!(judgement.text().contains("(2 lines more on the page)"));
        assert_eq!(serde_json::to_string(&judgement).unwrap().matches("line\\n").count(), SHOWN + 2);
    }

    #[test]
    fn a_series_that_does_not_build_is_worse() {
        let judgement = Judgement { broken: Some("error: x".to_owned()), ..judgement() };
        assert!(judgement.is_worse() && judgement.text().contains("IT DOES NOT BUILD\n    error: x"));
        assert_eq!(judgement.summary(), "worse: the series does not build");
    }

    #[test]
    fn what_cannot_be_told_is_no_approval() {
        let mut judgement = judgement();
        judgement.findings.unknown.push(finding("does not boot without the series", ""));
        assert!(judgement.summary().starts_with("it cannot be told"), "{}", judgement.summary());
    }
}
