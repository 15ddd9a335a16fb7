// SPDX-License-Identifier: GPL-2.0-only
//! What is different between two kernels that ran the same cases.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use crate::guest::event::End;
use crate::test_qemu::compare;
use crate::test_qemu::outcome::{Check, Outcome, Verdict};

/// Name of what is no check: the kernel's reports, a guest that hangs or dies, an exit code.
const GUEST: &str = "the guest";

/// Something that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The machine.
    pub(crate) machine: String,
    /// The scenario.
    pub(crate) scenario: String,
    /// The check, or what else.
    pub(crate) what: String,
    /// What was seen, of a kernel's report its beginning.
    pub(crate) details: String,
    /// The kernel has reported a fault, which is a fault however seldom it shows.
    pub(crate) is_report: bool,
    /// The console of the guest that it failed in.
    pub(crate) console: PathBuf,
    /// What else is to be said of it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) note: String,
}

impl Finding {
    fn of(outcome: &Outcome, what: &str, details: &str) -> Self {
        Self {
            machine: outcome.case.machine.argument().to_owned(),
            scenario: outcome.case.scenario.name.clone(),
            what: what.to_owned(),
            details: details.to_owned(),
            is_report: what == GUEST && details.contains(&End::Splat.describe()),
            console: outcome.console.clone(),
            note: String::new(),
        }
    }

    fn is_the_same(&self, other: &Self) -> bool {
        (&self.machine, &self.scenario, &self.what) == (&other.machine, &other.scenario, &other.what)
    }
}

/// Something that both do, and not in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// The machine.
    pub(crate) machine: String,
    /// The scenario.
    pub(crate) scenario: String,
    /// What differs.
    pub(crate) what: String,
    /// How: lines with `-` before and `+` after, or a script.
    pub(crate) text: String,
    /// It was made sure of when it was found.
    #[serde(skip)]
    is_sure: bool,
}

/// What comes of comparing cases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Findings {
    /// Cases that were compared.
    pub(crate) cases: usize,
    /// Checks that held on both.
    pub(crate) checks: usize,
    /// Fails after and not before.
    pub(crate) worse: Vec<Finding>,
    /// Failed before and does not after.
    pub(crate) better: Vec<Finding>,
    /// Fails on both.
    pub(crate) both: Vec<Finding>,
    /// Failed after and not before, and not the second time.
    pub(crate) unsteady: Vec<Finding>,
    /// Could not be compared.
    pub(crate) unknown: Vec<Finding>,
    /// What answers differ in.
    pub(crate) changed: Vec<Change>,
}

impl Change {
    /// As people are shown it.
    pub(crate) fn shown(&self) -> Self {
        let text = self.text.lines().map(|line| line.strip_prefix("    ").unwrap_or(line).to_owned() + "\n").collect();
        Self { text, ..self.clone() }
    }
}

impl Findings {
    /// Compares the outcomes of a case on both kernels.
    pub(crate) fn of(before: &Outcome, after: &Outcome) -> Self {
        let mut findings = Self { cases: 1, ..Self::default() };
        if !before.booted {
            let reasons = before.reasons.join("\n");
            findings.unknown.push(Finding::of(before, "does not boot without the series", &reasons));
        } else if !after.booted {
            findings.worse.push(Finding::of(after, "does not boot", &after.reasons.join("\n")));
        } else if before.compared.is_some() || after.compared.is_some() {
            findings.sequences(before, after);
        } else {
            findings.checks(before, after);
            findings.answers(before, after);
        }
        findings
    }

    /// Random sequences: the second outcome has the differences, each its own losses.
    fn sequences(&mut self, before: &Outcome, after: &Outcome) {
        let of = |outcome: &Outcome| outcome.compared.clone().unwrap_or_default();
        let (old, new) = (of(before), of(after));
        if after.stats.get("operations").is_none_or(|&operations| operations == 0.0) {
            let details = [old.lost, new.lost].concat().join("\n");
            self.unknown.push(Finding::of(after, "no operation was compared", &details));
            return;
        }
        for script in new.scripts {
            self.change(after, "a random sequence", script, true);
        }
        let list = match (old.lost.is_empty(), new.lost.is_empty()) {
            (true, true) => {
                self.checks += 1;
                return;
            }
            (true, false) => &mut self.worse,
            (false, true) => &mut self.better,
            (false, false) => &mut self.both,
        };
        let side = if new.lost.is_empty() { (before, old.lost) } else { (after, new.lost) };
        list.push(Finding::of(side.0, GUEST, &side.1.join("\n")));
    }

    fn checks(&mut self, before: &Outcome, after: &Outcome) {
        let (old, new) = (failures(before), failures(after));
        let held = |outcome: &Outcome| -> BTreeSet<String> {
            outcome.made().filter(|check| check.held).map(|check| check.name.to_owned()).collect()
        };
        let (held_before, held_after) = (held(before), held(after));
        self.checks += held_before.intersection(&held_after).count();
        for (what, details) in &new {
            let finding = Finding::of(after, what, details);
            if old.contains_key(what) {
                self.both.push(finding);
            } else if old.is_empty() || held_before.contains(what) || what == GUEST {
                self.worse.push(finding);
            } else {
                // It failed for something else before it came to this check.
                self.unknown.push(finding);
            }
        }
        for (what, details) in old.iter().filter(|(what, _)| !new.contains_key(*what)) {
            let finding = Finding::of(before, what, details);
            if new.is_empty() || held_after.contains(what) {
                self.better.push(finding);
            } else {
                self.unknown.push(finding);
            }
        }
    }

    /// What both print, where that says something.
    fn answers(&mut self, before: &Outcome, after: &Outcome) {
        let verdicts = (before.verdict, after.verdict);
        if verdicts.0 != verdicts.1 && (verdicts.0 == Verdict::Skip || verdicts.1 == Verdict::Skip) {
            let text = format!("-{}\n+{}", told(before), told(after));
            self.change(after, "whether it applies", text, false);
        }
        if verdicts != (Verdict::Pass, Verdict::Pass) {
            return;
        }
        if after.case.scenario.compare
            && let Some(text) = compare::difference(&before.output, &after.output, &[])
        {
            self.change(after, "its answers", text, false);
        }
        for (name, old) in &before.snapshots {
            let new: Vec<String> = after.snapshots.get(name).map(|text| lines(text)).unwrap_or_default();
            if let Some(text) = compare::difference(&lines(old), &new, &[]) {
                self.change(after, &format!("snapshot {name}"), text, false);
            }
        }
    }

    fn change(&mut self, outcome: &Outcome, what: &str, text: String, is_sure: bool) {
        let (machine, scenario) = (outcome.case.machine.argument().to_owned(), outcome.case.scenario.name.clone());
        self.changed.push(Change { machine, scenario, what: what.to_owned(), text, is_sure });
    }

    /// Adds those of other cases.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { cases, checks, worse, better, both, unsteady, unknown, changed } = other;
        (self.cases, self.checks) = (self.cases + cases, self.checks + checks);
        self.worse.extend(worse);
        self.better.extend(better);
        self.both.extend(both);
        self.unsteady.extend(unsteady);
        self.unknown.extend(unknown);
        self.changed.extend(changed);
    }

    /// The cases to look at again: scenario and machine of what is worse or has changed.
    pub(crate) fn doubtful(&self) -> BTreeSet<(String, String)> {
        let changed = self.changed.iter().filter(|change| !change.is_sure);
        let changed = changed.map(|change| (change.scenario.clone(), change.machine.clone()));
        self.worse.iter().map(|finding| (finding.scenario.clone(), finding.machine.clone())).chain(changed).collect()
    }

    /// Takes a second look into account: what does not show again is not held against the series, unless the kernel itself has
    /// reported it.
    pub(crate) fn confirmed_by(mut self, again: &Self) -> Self {
        for mut finding in std::mem::take(&mut self.worse) {
            let seen = again.worse.iter().chain(&again.both).any(|other| other.is_the_same(&finding));
            if seen || finding.is_report {
                let note = if seen {
                    "it shows each time"
                } else {
                    "it did not show the second time: a race may need many tries"
                };
                note.clone_into(&mut finding.note);
                self.worse.push(finding);
            } else {
                self.unsteady.push(finding);
            }
        }
        self.changed.retain(|change| change.is_sure || again.changed.iter().any(|other| other == change));
        // What only the second look shows counts as much as what only the first does.
        for finding in again.worse.iter().filter(|finding| finding.is_report) {
            if !self.worse.iter().any(|other| other.is_the_same(finding)) {
                self.worse.push(finding.clone());
            }
        }
        self
    }
}

/// What failed, by name, with what was seen of it.
fn failures(outcome: &Outcome) -> BTreeMap<String, String> {
    let mut failures: BTreeMap<String, String> = BTreeMap::new();
    let mut note = |what: &str, text: &str| {
        let details = failures.entry(what.to_owned()).or_default();
        if !details.is_empty() {
            details.push('\n');
        }
        details.push_str(text);
    };
    for reason in outcome.reasons.iter().filter(|_| outcome.verdict == Verdict::Fail) {
        let (first, rest) = reason.split_once('\n').unwrap_or((reason, ""));
        match Check::of(first) {
            Some(check) if !check.held => note(check.name, rest.trim()),
            _ => note(GUEST, reason),
        }
    }
    for known in &outcome.expected {
        note(&known.check, &format!("known of this kernel: {}", known.reason));
    }
    failures
}

fn told(outcome: &Outcome) -> String {
    match outcome.reasons.first() {
        Some(reason) => format!("{}: {reason}", outcome.verdict),
        None => outcome.verdict.to_string(),
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
