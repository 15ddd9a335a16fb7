// SPDX-License-Identifier: GPL-2.0-only
//! Which scenarios run where: cases, and the guests that some of them share.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use regex::Regex;

use super::fault::Fault;
use super::known::Known;
use super::{Implementation, Scenario};
use crate::differential::Asked;
use crate::kernels::{Arch, Kernel};
use crate::machine::{self, Chosen};
use crate::needs::Found;
use crate::shell::word;

/// Part of the cases for one of several machines that share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    /// 1-based.
    index: usize,
    count: usize,
}

impl FromStr for Shard {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (index, count) = text.split_once('/').context("expected I/N, for example 1/4")?;
        let shard = Self { index: index.parse()?, count: count.parse()? };
        ensure!((1..=shard.count).contains(&shard.index), "shard {text}: I goes from 1 to N");
        Ok(shard)
    }
}

impl Shard {
    /// The shard's part of `items`: every N-th one, beginning with the I-th.
    pub(crate) fn select<T>(self, items: Vec<T>) -> Vec<T> {
        items.into_iter().skip(self.index - 1).step_by(self.count).collect()
    }
}

/// A scenario on one machine, kernel and implementation: what gets a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    /// The scenario.
    pub(crate) scenario: Scenario,
    /// The machine.
    pub(crate) machine: machine::Name,
    /// Its instruction set.
    pub(crate) arch: Arch,
    /// Name of the guest kernel.
    pub(crate) kernel: String,
    /// The kernel whose known differences and faults hold for it: itself, unless it is a user's.
    pub(crate) like: String,
    /// Which resctrl.
    pub(crate) implementation: Implementation,
    /// Checks that are known to fail here.
    pub(crate) known: Vec<Known>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, machine, kernel, implementation, .. } = self;
        write!(f, "{} [{machine} {kernel} {implementation}]", scenario.name)
    }
}

impl Case {
    /// The fault that must show in this case, for it to pass.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        self.scenario.fault.as_ref().filter(|fault| fault.applies_to(&self.like, self.implementation))
    }

    /// Kernel arguments that it needs.
    pub(crate) fn arguments(&self) -> &str {
        self.scenario.arguments(self.implementation)
    }

    /// Whether one guest does for this and `other`.
    fn may_be_beside(&self, other: &Self) -> bool {
        let (mine, others) = (self.arguments(), other.arguments());
        (&self.machine, &self.kernel, self.implementation, mine.is_empty())
            == (&other.machine, &other.kernel, other.implementation, others.is_empty())
            && agree(mine, others)
    }

    /// Whether `other` is the same on the other implementation: what this one's answers are compared with.
    pub(crate) fn is_partner_of(&self, other: &Self) -> bool {
        self.implementation != other.implementation
            && (&self.scenario, &self.machine, &self.kernel) == (&other.scenario, &other.machine, &other.kernel)
    }

    /// The command that runs this case and no other.
    pub(crate) fn command(&self, again: &Again) -> String {
        let Self { scenario, machine, kernel, implementation, .. } = self;
        let in_pairs = scenario.lockstep && again.both;
        let implementation = if in_pairs { "both".to_owned() } else { implementation.to_string() };
        let kernel = if again.tree { String::new() } else { format!(" --kernel {kernel}") };
        let mut command = format!(
            "cargo xtask test-qemu --machine {}{kernel} --impl {implementation} --scenario '^{}$'",
            word(machine.argument()),
            scenario.name
        );
        for (name, value) in &again.settings {
            command.push_str(&format!(" --set {}", word(&format!("{name}={value}"))));
        }
        if scenario.lockstep {
            let Asked { seed, operations } = again.sequences;
            command.push_str(&format!(" --seed {seed} --ops {operations}"));
        }
        for flag in &again.flags {
            command.push_str(&format!(" {}", word(&flag.to_string_lossy())));
        }
        command
    }
}

/// What a run was asked for beside its cases, so that one of them can be run again.
#[derive(Debug, Clone)]
pub(crate) struct Again {
    /// Parameters of scenarios.
    pub(crate) settings: BTreeMap<String, String>,
    /// Both implementations, so that scenarios that are about two guests had one of each.
    pub(crate) both: bool,
    /// Random sequences.
    pub(crate) sequences: Asked,
    /// Whatever else was on the command line and makes a difference.
    pub(crate) flags: Vec<OsString>,
    /// The kernel is a tree of the user's, which is among the flags.
    pub(crate) tree: bool,
}

/// What to run, as asked for on the command line.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    /// Machines.
    pub(crate) machines: &'a [Chosen],
    /// Kernels.
    pub(crate) kernels: &'a [Kernel],
    /// Implementations.
    pub(crate) implementations: &'a [Implementation],
    /// Patterns a scenario's name must match one of; none: all.
    pub(crate) patterns: &'a [Regex],
    /// Part of the result.
    pub(crate) shard: Option<Shard>,
}

impl Selection<'_> {
    /// The selected cases.
    ///
    /// # Errors
    ///
    /// There are none: a run that tests nothing is not green.
    pub(crate) fn cases(&self, scenarios: &[Scenario]) -> Result<Vec<Case>> {
        let mut cases = Vec::new();
        for kernel in self.kernels {
            for machine in self.machines.iter().filter(|machine| machine.arch() == kernel.arch) {
                let found = Found::on(&machine.hardware);
                for scenario in scenarios.iter().filter(|scenario| self.wants(scenario)) {
                    if scenario.why_not(&machine.name, &found).or_else(|| scenario.why_not_on(kernel)).is_some() {
                        continue;
                    }
                    for implementation in self.implementations {
                        if implementation.why_not(kernel).is_some() {
                            continue;
                        }
                        let wanted =
                            !(*implementation == Implementation::Kernel && self.spares_the_oracle(kernel, scenario));
                        if wanted && scenario.implementations.contains(implementation) {
                            cases.push(Case {
                                scenario: scenario.clone(),
                                machine: machine.name.clone(),
                                arch: machine.arch(),
                                kernel: kernel.name.clone(),
                                like: kernel.like().to_owned(),
                                implementation: *implementation,
                                known: Vec::new(),
                            });
                        }
                    }
                }
            }
        }
        if let Some(shard) = self.shard {
            cases = shard.select(cases);
        }
        if cases.is_empty() {
            bail!("{}", self.nothing(scenarios));
        }
        Ok(cases)
    }

    /// In a run of everything the oracle only answers where answers are compared: what ours does is under test.
    fn spares_the_oracle(&self, kernel: &Kernel, scenario: &Scenario) -> bool {
        let ours_runs = kernel.no_module.is_none() && self.implementations.contains(&Implementation::Rust);
        let is_compared = scenario.compare || !scenario.snapshots.is_empty();
        self.patterns.is_empty()
            && !is_compared
            && ours_runs
            && scenario.implementations.contains(&Implementation::Rust)
    }

    fn wants(&self, scenario: &Scenario) -> bool {
        if self.patterns.is_empty() {
            return !scenario.only_asked;
        }
        self.patterns.iter().any(|pattern| pattern.is_match(&scenario.name))
    }

    /// What is asked for and cannot be, each with its reason.
    pub(crate) fn left_out(&self) -> Vec<String> {
        let mut left_out = Vec::new();
        for kernel in self.kernels {
            for implementation in self.implementations {
                if let Some(reason) = implementation.why_not(kernel) {
                    left_out.push(format!("[{} {} {implementation}]: {reason}", kernel.name, kernel.arch));
                }
            }
        }
        left_out
    }

    /// Scenarios that the user's own machines do not fit, each with the reason: a table for each machine.
    pub(crate) fn misfits(&self, scenarios: &[Scenario]) -> Vec<String> {
        let wanted: Vec<&Scenario> = scenarios.iter().filter(|scenario| self.wants(scenario)).collect();
        let mut tables = Vec::new();
        for machine in self.machines.iter().filter(|machine| machine.name.is_the_users()) {
            let found = Found::on(&machine.hardware);
            let why_not =
                |scenario: &&Scenario| Some((scenario.name.clone(), scenario.why_not(&machine.name, &found)?));
            let misfits: Vec<(String, String)> = wanted.iter().copied().filter_map(|it| why_not(&it)).collect();
            let fitting = wanted.len() - misfits.len();
            let mut table = format!("{fitting} of {} scenarios fit {}", wanted.len(), machine.name);
            table.push_str(if misfits.is_empty() { "" } else { "; these do not:" });
            let width = misfits.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
            for (name, reason) in misfits {
                table.push_str(&format!("\n  {name:width$}  {reason}"));
            }
            tables.push(table);
        }
        tables
    }

    /// Why a scenario has no case, for each machine and kernel.
    fn why_none(&self, scenario: &Scenario) -> BTreeSet<String> {
        let mut reasons = BTreeSet::new();
        for Chosen { name, hardware, .. } in self.machines {
            if let Some(reason) = scenario.why_not(name, &Found::on(hardware)) {
                reasons.insert(format!("on {name}: it {reason}"));
            }
        }
        for kernel in self.kernels {
            if let Some(reason) = scenario.why_not_on(kernel) {
                reasons.insert(format!("on kernel {}: it {reason}", kernel.name));
            }
        }
        if !scenario.implementations.iter().any(|it| self.implementations.contains(it)) {
            let theirs: Vec<_> = scenario.implementations.iter().map(|it| format!("--impl {it}")).collect();
            reasons.insert(format!("with that --impl: it is for {}", theirs.join(", ")));
        }
        reasons
    }

    /// Why there is no case.
    fn nothing(&self, scenarios: &[Scenario]) -> String {
        let patterns: Vec<_> = self.patterns.iter().map(Regex::as_str).collect();
        let implementations: Vec<_> = self.implementations.iter().map(ToString::to_string).collect();
        let mut text = format!(
            "no scenario matches --scenario {patterns:?} --machine {:?} --impl {implementations:?}",
            self.machines.iter().map(|machine| machine.name.to_string()).collect::<Vec<_>>()
        );
        for scenario in scenarios.iter().filter(|scenario| !patterns.is_empty() && self.wants(scenario)) {
            let reasons = self.why_none(scenario);
            for reason in reasons.iter().take(REASONS) {
                text.push_str(&format!("\n  `{}` does not run {reason}", scenario.name));
            }
            if reasons.len() > REASONS {
                text.push_str(&format!("\n  `{}` has {} more such reasons", scenario.name, reasons.len() - REASONS));
            }
        }
        for left_out in self.left_out() {
            text.push_str(&format!("\n  not run: {left_out}"));
        }
        text.push_str("\n`cargo xtask test-qemu --machine all --list` shows all of them");
        text
    }
}

/// So many reasons are given why a scenario has no case.
const REASONS: usize = 4;

/// Scenarios that may share a guest are given so many that each has no more than this to do: a boot costs some seconds of a
/// processor, and the run is over when the last guest is.
const BUSY: Duration = Duration::from_secs(80);

/// Cases that run in one guest, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Boot {
    /// At least one; all of the same machine, kernel and implementation.
    pub(crate) cases: Vec<Case>,
    /// Which of several guests for such cases it is.
    number: usize,
}

impl Boot {
    /// Puts cases that may share a guest together, and the guests in the order in which they are begun.
    ///
    /// Those that need kernel arguments share guests with each other, if they do not need others of the same name.
    pub(crate) fn group(cases: Vec<Case>) -> Vec<Self> {
        let (own, shared): (Vec<Case>, Vec<Case>) = cases.into_iter().partition(|case| case.scenario.needs_a_guest());
        let mut boots: Vec<Self> = own.into_iter().map(|case| Self { cases: vec![case], number: 0 }).collect();
        let mut together: Vec<Vec<Case>> = Vec::new();
        for case in shared {
            match together.iter_mut().find(|cases| cases.iter().all(|other| other.may_be_beside(&case))) {
                Some(cases) => cases.push(case),
                None => together.push(vec![case]),
            }
        }
        boots.extend(together.into_iter().flat_map(Self::spread));
        boots.sort_by_key(|boot| Reverse(lasts(&boot.cases)));
        boots
    }

    /// Spreads cases over as few guests as have time for them, evenly.
    fn spread(cases: Vec<Case>) -> Vec<Self> {
        let guests = usize::try_from(lasts(&cases).as_secs().div_ceil(BUSY.as_secs())).unwrap_or(1);
        let mut guests: Vec<Vec<Case>> = vec![Vec::new(); guests.clamp(1, cases.len())];
        let mut longest = cases;
        longest.sort_by_key(|case| Reverse(case.scenario.lasts()));
        for case in longest {
            if let Some(least) = guests.iter_mut().min_by_key(|cases| lasts(cases)) {
                least.push(case);
            }
        }
        let boot = |(number, mut cases): (usize, Vec<Case>)| {
            // In the order of their names, but the module is loaded anew where its parameters change.
            cases.sort_by_key(|case| (!case.scenario.parameters.is_empty(), case.scenario.name.clone()));
            Self { cases, number }
        };
        guests.into_iter().enumerate().map(boot).collect()
    }

    /// The kernel arguments that its cases need.
    pub(crate) fn arguments(&self) -> String {
        let mut words: Vec<&str> = Vec::new();
        for word in self.cases.iter().flat_map(|case| case.arguments().split_whitespace()) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        words.join(" ")
    }

    /// The case that stands for what all of them have in common.
    pub(crate) fn first(&self) -> &Case {
        &self.cases[0]
    }

    /// Name for folders and the live view.
    pub(crate) fn label(&self) -> String {
        let case = self.first();
        let Case { scenario, machine, kernel, implementation, .. } = case;
        if scenario.needs_a_guest() || !case.arguments().is_empty() {
            format!("{machine}-{kernel}-{implementation}-{}", scenario.name)
        } else if self.number > 0 {
            format!("{machine}-{kernel}-{implementation}-{}", self.number + 1)
        } else {
            format!("{machine}-{kernel}-{implementation}")
        }
    }
}

/// How long cases take, about.
fn lasts(cases: &[Case]) -> Duration {
    cases.iter().map(|case| case.scenario.lasts()).sum()
}

/// Whether a kernel can be told both.
fn agree(one: &str, other: &str) -> bool {
    let name = |word: &str| word.split('=').next().map(str::to_owned);
    let differ = |(one, other): (&str, &str)| one != other && name(one) == name(other);
    !one.split_whitespace().flat_map(|one| other.split_whitespace().map(move |other| (one, other))).any(differ)
}
