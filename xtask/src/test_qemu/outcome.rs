// SPDX-License-Identifier: GPL-2.0-only
//! Turns the events of one guest into one verdict a case.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::console::Splat;
use crate::differential::Compared;
use crate::guest::event::{End, Event};
use crate::guest::qemu::Folder;
use crate::report::plot::Line;
use crate::scenario::known::Known;
use crate::scenario::{Case, fault};
use crate::stages::Spent;

/// Exit code by which a scenario says that it does not apply, as in the kernel's selftests.
const SKIPPED: i32 = 4;

/// Lines of a kernel's report that are given as a reason: to its registers and the first callers. The report page and the console
/// log have it all.
const QUOTED: usize = 30;

/// The result of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every check held and the console is clean.
    Pass,
    /// Something did not hold.
    Fail,
    /// The scenario does not apply.
    Skip,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Skip => "skip",
        })
    }
}

/// A check as its line of output says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Check<'a> {
    /// It held.
    pub(crate) held: bool,
    /// Its name.
    pub(crate) name: &'a str,
}

impl<'a> Check<'a> {
    /// Parses `ok N - NAME` or `not ok N - NAME`; `None` for any other line.
    pub(crate) fn of(line: &'a str) -> Option<Self> {
        let (held, rest) = match line.strip_prefix("not ok ") {
            Some(rest) => (false, rest),
            None => (true, line.strip_prefix("ok ")?),
        };
        Some(Self { held, name: rest.split_once(" - ")?.1 })
    }
}

/// What is across and up, each a word, and a point.
fn point(text: &str) -> Option<([String; 2], (f64, f64))> {
    let words: Vec<&str> = text.split(' ').collect();
    let [across, up, x, y] = words.try_into().ok()?;
    Some(([across, up].map(|axis| axis.replace('_', " ")), (x.parse().ok()?, y.parse().ok()?)))
}

/// What became of a case.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// The case.
    pub(crate) case: Case,
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// Why it failed or was skipped; empty for a pass.
    pub(crate) reasons: Vec<String>,
    /// Time it ran in the guest.
    pub(crate) took: Duration,
    /// Processor time that its guest took for it.
    pub(crate) processor: Duration,
    /// Checks that held.
    pub(crate) checks: usize,
    /// Checks that failed as they are known to, and why.
    pub(crate) expected: Vec<Known>,
    /// Lines of standard output, without snapshots.
    pub(crate) output: Vec<String>,
    /// Snapshots it made, by name.
    pub(crate) snapshots: BTreeMap<String, String>,
    /// Numbers it measured (`# stat NAME VALUE` lines), for the plots.
    pub(crate) stats: BTreeMap<String, f64>,
    /// Curves of which it measured points (`# point ACROSS UP X Y` lines), by what is across and what is up.
    pub(crate) curves: BTreeMap<[String; 2], Line>,
    /// The kernel's report of the fault that the case is there to provoke, if it came.
    pub(crate) fault: Vec<String>,
    /// The guest had to be booted twice.
    pub(crate) retried: bool,
    /// Its guest came up, so that the verdict is one on the case.
    pub(crate) booted: bool,
    /// Its guest's console log.
    pub(crate) console: PathBuf,
    /// What random sequences have shown.
    pub(crate) compared: Option<Compared>,
    /// Why its answers were compared with nobody's, although they are there for that.
    pub(crate) not_compared: Option<String>,
}

impl Outcome {
    /// The verdict as tables show it: with whether its guest was booted twice, and whether it was compared.
    pub(crate) fn marked_verdict(&self) -> String {
        let retried = if self.retried { " (retried)" } else { "" };
        let alone = if self.not_compared.is_some() { ", not compared" } else { "" };
        format!("{}{retried}{alone}", self.verdict)
    }

    /// A pass, until something is known of it.
    pub(crate) fn new(case: Case) -> Self {
        Self {
            case,
            verdict: Verdict::Pass,
            reasons: Vec::new(),
            took: Duration::ZERO,
            processor: Duration::ZERO,
            checks: 0,
            expected: Vec::new(),
            output: Vec::new(),
            snapshots: BTreeMap::new(),
            stats: BTreeMap::new(),
            curves: BTreeMap::new(),
            fault: Vec::new(),
            retried: false,
            booted: true,
            console: PathBuf::new(),
            compared: None,
            not_compared: None,
        }
    }

    /// A case that does not apply.
    pub(crate) fn skipped(case: Case, reason: &str) -> Self {
        Self { verdict: Verdict::Skip, reasons: vec![reason.to_owned()], ..Self::new(case) }
    }

    /// Makes it a failure, if it is none yet, for one more reason.
    pub(crate) fn fail(&mut self, reason: impl Into<String>) {
        self.verdict = Verdict::Fail;
        self.reasons.push(reason.into());
    }

    /// Takes a line of standard output.
    pub(crate) fn output(&mut self, line: String) {
        if let Some((name, text)) = line.strip_prefix('|').and_then(|rest| rest.split_once('|')) {
            let snapshot = self.snapshots.entry(name.to_owned()).or_default();
            snapshot.push_str(text);
            snapshot.push('\n');
            return;
        }
        if line.starts_with("ok ") {
            self.checks += 1;
        } else if line.starts_with("not ok ") {
            let name = Check::of(&line).map(|check| check.name);
            match self.case.known.iter().find(|known| Some(known.check.as_str()) == name).cloned() {
                Some(known) => self.expected.push(known),
                None => self.fail(line.clone()),
            }
        } else if let Some(stat) = line.strip_prefix("# stat ")
            && let Some((name, value)) = stat.split_once(' ')
            && let Ok(value) = value.parse()
        {
            self.stats.insert(name.to_owned(), value);
        } else if let Some((axes, point)) = line.strip_prefix("# point ").and_then(point) {
            self.curves.entry(axes).or_default().push(point);
        } else if let Some(detail) = line.strip_prefix("#   ")
            && !self.last_failed_as_expected()
            && let Some(reason) = self.reasons.last_mut()
        {
            reason.push_str("\n    ");
            reason.push_str(detail);
        }
        self.output.push(line);
    }

    /// What its guest has left beside the console: what it is, and the file.
    pub(crate) fn evidence(&self) -> Vec<(&'static str, PathBuf)> {
        let folder = Folder(self.console.parent().unwrap_or(&self.console).to_owned());
        let files = [("registers:", folder.registers()), ("trace:  ", folder.trace())];
        let written = |path: &PathBuf| path.metadata().is_ok_and(|file| file.len() > 0);
        files.into_iter().filter(|(_, path)| written(path)).collect()
    }

    /// The checks that it made, in their order.
    pub(crate) fn made(&self) -> impl Iterator<Item = Check<'_>> {
        self.output.iter().filter_map(|line| Check::of(line))
    }

    /// Checks that are known to fail and held, or were not made. What is known was not seen on a user's machine.
    pub(crate) fn gone(&self) -> impl Iterator<Item = &Known> {
        let is_the_projects = !self.case.machine.is_the_users();
        self.case.known.iter().filter(move |known| is_the_projects && !self.expected.contains(known))
    }

    /// The details that follow belong to a check that is known to fail.
    fn last_failed_as_expected(&self) -> bool {
        let last = self.output.iter().rev().find_map(|line| Check::of(line));
        last.is_some_and(|check| !check.held && self.case.known.iter().any(|known| known.check == check.name))
    }

    /// Says whether a fault had to show and did, which is a check that held. `console` begins with its
    /// first line.
    fn take_fault(&mut self, console: &[String]) -> bool {
        let Some(fault) = self.case.fault() else { return false };
        let missing: Vec<String> = fault.missing_in(console).into_iter().map(str::to_owned).collect();
        if !missing.is_empty() {
            self.fail(format!("not the fault that was to show; it lacks: {}", missing.join("; ")));
            return false;
        }
        self.fault = fault::report(console).into_iter().map(str::to_owned).collect();
        self.checks += 1;
        true
    }

    fn exited(&mut self, code: i32) {
        match code {
            0 if self.checks == 0 => self.fail("it made no check"),
            0 => {}
            // What `finish` ends with after failed checks, all of which are known here.
            1 if self.verdict == Verdict::Pass && !self.expected.is_empty() => {}
            SKIPPED if self.verdict == Verdict::Pass => {
                self.verdict = Verdict::Skip;
                self.reasons.extend(self.output.last().cloned());
            }
            _ if self.reasons.is_empty() => self.fail(format!("exit code {code}")),
            _ => self.verdict = Verdict::Fail,
        }
        for promised in &self.case.scenario.snapshots {
            if !self.snapshots.contains_key(&promised.name) && self.verdict == Verdict::Pass {
                self.verdict = Verdict::Fail;
                self.reasons.push(format!("it made no snapshot `{}`", promised.name));
            }
        }
    }
}

/// What remains after a guest.
#[derive(Debug)]
pub(crate) struct Collected {
    /// Cases that had no turn.
    pub(crate) remaining: Vec<Case>,
    /// The guest did not come up: why.
    pub(crate) no_boot: Option<NoBoot>,
    /// What it took.
    pub(crate) spent: GuestSpent,
}

/// What a guest has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GuestSpent {
    /// Until it was up.
    pub(crate) boot: Spent,
    /// While scenarios ran.
    pub(crate) scenarios: Spent,
    /// Between them, and at the end.
    pub(crate) rest: Spent,
}

/// Why a guest did not come up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoBoot {
    /// For reports.
    pub(crate) reasons: Vec<String>,
    /// It died or hung, or its fault is the host's, as happens on a loaded one: worth a second attempt.
    pub(crate) retry: bool,
}

#[derive(Debug)]
struct Running {
    outcome: Outcome,
    /// The guest's uptime.
    started: Duration,
    since: Instant,
    exited: bool,
}

/// Collects the outcomes of one guest.
#[derive(Debug)]
pub(crate) struct Collector {
    waiting: VecDeque<Case>,
    /// Stays after its exit until the next one begins: what the kernel has to say then is about it.
    running: Option<Running>,
    console: PathBuf,
    booted: bool,
    retried: bool,
    splats: Vec<Splat>,
    /// The console from the line of the first splat on.
    after_splat: Vec<String>,
    no_boot: Option<NoBoot>,
    begun: Instant,
    /// Processor time so far.
    processor: Duration,
    /// What it had taken when what it does now began.
    mark: Spent,
    spent: GuestSpent,
}

impl Collector {
    /// For a guest that is to run `cases` in this order; `retried` if it is the second attempt.
    pub(crate) fn new(cases: &[Case], console: PathBuf, retried: bool) -> Self {
        Self {
            waiting: cases.iter().cloned().collect(),
            running: None,
            console,
            booted: false,
            retried,
            splats: Vec::new(),
            after_splat: Vec::new(),
            no_boot: None,
            begun: Instant::now(),
            processor: Duration::ZERO,
            mark: Spent::default(),
            spent: GuestSpent::default(),
        }
    }

    /// What was taken since this was last asked.
    fn lap(&mut self) -> Spent {
        let now = Spent { passed: self.begun.elapsed(), processor: self.processor };
        now - std::mem::replace(&mut self.mark, now)
    }

    /// Takes note of an event. Returns the outcome that is complete with it.
    pub(crate) fn event(&mut self, event: &Event) -> Option<Outcome> {
        let mut complete = None;
        match event {
            Event::Processor(time) => self.processor = *time,
            Event::Booted(_) => {
                self.booted = true;
                let lap = self.lap();
                self.spent.boot = lap;
            }
            Event::ScenarioStarted { name, at } => {
                let lap = self.lap();
                self.spent.rest += lap;
                complete = self.running.take().map(|running| self.complete(running.outcome));
                let place = self.waiting.iter().position(|case| case.scenario.name == *name)?;
                let case = self.waiting.remove(place)?;
                self.running =
                    Some(Running { outcome: Outcome::new(case), started: *at, since: Instant::now(), exited: false });
            }
            Event::Splat(splat) => {
                if self.splats.is_empty() {
                    self.after_splat.push(splat.line.clone());
                }
                self.splats.push(splat.clone());
            }
            Event::Console(line) if !self.splats.is_empty() => self.after_splat.push(line.clone()),
            Event::Ended(end) => {
                let lap = self.lap();
                match &mut self.running {
                    _ if !self.booted => self.spent.boot = lap,
                    Some(running) if !running.exited => {
                        running.outcome.processor = lap.processor;
                        self.spent.scenarios += lap;
                    }
                    _ => self.spent.rest += lap,
                }
                complete = self.ended(end);
            }
            event => {
                let exited = matches!(event, Event::Exited { .. });
                let lap = if exited { self.lap() } else { Spent::default() };
                self.spent.scenarios += lap;
                if let Some(running) = &mut self.running {
                    running.outcome.processor += lap.processor;
                    running.event(event);
                }
            }
        }
        complete
    }

    fn complete(&self, mut outcome: Outcome) -> Outcome {
        outcome.console.clone_from(&self.console);
        outcome.retried = self.retried;
        outcome
    }

    /// A guest that ends early fails the case that ran, or the one that would have been next.
    fn ended(&mut self, end: &End) -> Option<Outcome> {
        let splats = std::mem::take(&mut self.splats);
        if !self.booted {
            let mut reasons = vec![end.describe()];
            // What comes after the first follows from it.
            let host_at_fault = *end == End::Splat && splats.first().is_some_and(Splat::is_the_hosts);
            reasons.extend(splats.iter().map(Splat::to_string));
            let retry = end.is_worth_a_retry() || host_at_fault;
            if !retry {
                reasons.extend(quoted(&self.after_splat));
            }
            self.no_boot = Some(NoBoot { reasons, retry });
            return None;
        }
        let good = *end == End::Done && splats.is_empty();
        let mut outcome = match self.running.take() {
            Some(mut running) if running.exited && good => {
                if running.outcome.case.fault().is_some() {
                    running.outcome.fail("the race was not met: the console shows no fault");
                }
                return Some(self.complete(running.outcome));
            }
            Some(mut running) => {
                if !running.exited {
                    running.outcome.took = running.since.elapsed();
                }
                running.outcome
            }
            None => Outcome::new(self.waiting.pop_front()?),
        };
        if *end == End::Splat && outcome.take_fault(&self.after_splat) {
            return Some(self.complete(outcome));
        }
        outcome.fail(end.describe());
        outcome.reasons.extend(splats.iter().map(Splat::to_string));
        outcome.reasons.extend(quoted(&self.after_splat));
        Some(self.complete(outcome))
    }

    /// What there is left when the guest is gone.
    pub(crate) fn finish(self) -> Collected {
        Collected { remaining: self.waiting.into(), no_boot: self.no_boot, spent: self.spent }
    }
}

impl Running {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Output(line) => self.outcome.output(line.clone()),
            Event::Dirty { reason, .. } => {
                self.outcome.fail(format!("it left the guest unusable: {reason}"));
            }
            Event::Garbage(line) => {
                self.outcome.fail(format!("the control channel carried `{line}`"));
            }
            Event::Exited { code, at, .. } => {
                self.exited = true;
                self.outcome.took = at.saturating_sub(self.started);
                self.outcome.exited(*code);
            }
            _ => {}
        }
    }
}

/// The beginning of the first report of `console`, which begins with its first line; `None` where that is all.
fn quoted(console: &[String]) -> Option<String> {
    let report = fault::report(console);
    let lines = &report[..report.len().min(QUOTED)];
    (lines.len() > 1).then(|| format!("on the console:\n    {}", lines.join("\n    ")))
}

/// The outcome of a case whose guest did not come up.
pub(crate) fn not_booted(case: Case, reasons: &[String], retried: bool, console: PathBuf) -> Outcome {
    let mut outcome = Outcome::new(case);
    outcome.verdict = Verdict::Fail;
    outcome.reasons = reasons.to_vec();
    outcome.retried = retried;
    outcome.booted = false;
    outcome.console = console;
    outcome
}

#[cfg(test)]
pub(crate) mod tests;
