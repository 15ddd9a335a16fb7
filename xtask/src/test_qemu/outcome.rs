// SPDX-License-Identifier: GPL-2.0-only
//! Turns the events of one guest into one verdict a case.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::guest::event::{End, Event};
use crate::scenario::{Case, fault};

/// Exit code by which a scenario says that it does not apply, as in the kernel's selftests.
const SKIPPED: i32 = 4;

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
    /// Checks that held.
    pub(crate) checks: usize,
    /// Lines of standard output, without snapshots.
    pub(crate) output: Vec<String>,
    /// Snapshots it made, by name.
    pub(crate) snapshots: BTreeMap<String, String>,
    /// Numbers it measured (`# stat NAME VALUE` lines), for the plots.
    pub(crate) stats: BTreeMap<String, f64>,
    /// The kernel's report of the fault that the case is there to provoke, if it came.
    pub(crate) fault: Vec<String>,
    /// The guest had to be booted twice.
    pub(crate) retried: bool,
    /// Its guest's console log.
    pub(crate) console: PathBuf,
}

impl Outcome {
    fn new(case: Case) -> Self {
        Self {
            case,
            verdict: Verdict::Pass,
            reasons: Vec::new(),
            took: Duration::ZERO,
            checks: 0,
            output: Vec::new(),
            snapshots: BTreeMap::new(),
            stats: BTreeMap::new(),
            fault: Vec::new(),
            retried: false,
            console: PathBuf::new(),
        }
    }

    /// Makes it a failure, if it is none yet, for one more reason.
    pub(crate) fn fail(&mut self, reason: impl Into<String>) {
        self.verdict = Verdict::Fail;
        self.reasons.push(reason.into());
    }

    fn output(&mut self, line: String) {
        if let Some((name, text)) = line.strip_prefix('|').and_then(|rest| rest.split_once('|')) {
            let snapshot = self.snapshots.entry(name.to_owned()).or_default();
            snapshot.push_str(text);
            snapshot.push('\n');
            return;
        }
        if line.starts_with("ok ") {
            self.checks += 1;
        } else if line.starts_with("not ok ") {
            self.fail(line.clone());
        } else if let Some(stat) = line.strip_prefix("# stat ")
            && let Some((name, value)) = stat.split_once(' ')
            && let Ok(value) = value.parse()
        {
            self.stats.insert(name.to_owned(), value);
        } else if let Some(detail) = line.strip_prefix("#   ")
            && let Some(reason) = self.reasons.last_mut()
        {
            reason.push_str("\n    ");
            reason.push_str(detail);
        }
        self.output.push(line);
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
}

/// Why a guest did not come up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoBoot {
    /// For reports.
    pub(crate) reasons: Vec<String>,
    /// It died or hung, as guests on a loaded host do: worth a second attempt.
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
    splats: Vec<String>,
    /// The console from the line of the first splat on.
    after_splat: Vec<String>,
    no_boot: Option<NoBoot>,
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
        }
    }

    /// Takes note of an event. Returns the outcome that is complete with it.
    pub(crate) fn event(&mut self, event: &Event) -> Option<Outcome> {
        let mut complete = None;
        match event {
            Event::Booted(_) => self.booted = true,
            Event::ScenarioStarted { name, at } => {
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
                self.splats.push(format!("{}: {}", splat.kind, splat.line));
            }
            Event::Console(line) if !self.splats.is_empty() => self.after_splat.push(line.clone()),
            Event::Ended(end) => complete = self.ended(end),
            event => {
                if let Some(running) = &mut self.running {
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
            reasons.extend(splats);
            let retry = end.is_worth_a_retry();
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
        outcome.reasons.extend(splats);
        Some(self.complete(outcome))
    }

    /// What there is left when the guest is gone.
    pub(crate) fn finish(self) -> Collected {
        Collected { remaining: self.waiting.into(), no_boot: self.no_boot }
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

/// The outcome of a case whose guest did not come up.
pub(crate) fn not_booted(case: Case, reasons: &[String], retried: bool, console: PathBuf) -> Outcome {
    let mut outcome = Outcome::new(case);
    outcome.verdict = Verdict::Fail;
    outcome.reasons = reasons.to_vec();
    outcome.retried = retried;
    outcome.console = console;
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Splat;
    use crate::guest::protocol::Available;
    use crate::scenario::{Implementation, Scenario};

    fn case(name: &str, header: &str) -> Case {
        Case {
            scenario: Scenario::parse(name, &format!("# Shows {name}.\n{header}")).unwrap(),
            machine: "intel".to_owned(),
            arch: crate::kernels::Arch::Amd64,
            kernel: "stock".to_owned(),
            implementation: Implementation::Kernel,
        }
    }

    fn booted() -> Event {
        Event::Booted(Available { uptime: Duration::from_secs(5), resctrl: true, cpus: 4, kernel: "7.3".to_owned() })
    }

    fn start(name: &str) -> Event {
        Event::ScenarioStarted { name: name.to_owned(), at: Duration::from_secs(6) }
    }

    fn exit(name: &str, code: i32) -> Event {
        Event::Exited { name: name.to_owned(), code, at: Duration::from_secs(8) }
    }

    fn output(line: &str) -> Event {
        Event::Output(line.to_owned())
    }

    fn collect(cases: &[Case], events: &[Event]) -> (Vec<Outcome>, Collected) {
        let mut collector = Collector::new(cases, PathBuf::from("console.log"), false);
        let outcomes = events.iter().filter_map(|event| collector.event(event)).collect();
        (outcomes, collector.finish())
    }

    #[test]
    fn each_case_of_a_good_guest_passes_once() {
        let (outcomes, collected) = collect(
            &[case("a", ""), case("b", "")],
            &[
                booted(),
                start("a"),
                output("ok 1 - abi-2 mounts"),
                exit("a", 0),
                start("b"),
                output("ok 1 - x"),
                output("ok 2 - y"),
                exit("b", 0),
                Event::Ended(End::Done),
            ],
        );
        let seen: Vec<_> = outcomes.iter().map(|o| (o.case.scenario.name.as_str(), o.verdict, o.checks)).collect();
        assert_eq!(seen, [("a", Verdict::Pass, 1), ("b", Verdict::Pass, 2)]);
        assert_eq!(outcomes[0].took, Duration::from_secs(2));
        assert!(collected.remaining.is_empty() && collected.no_boot.is_none());
    }

    #[test]
    fn a_failed_check_fails_the_case_with_its_details() {
        let (outcomes, _) = collect(
            &[case("a", "")],
            &[
                booted(),
                start("a"),
                output("not ok 1 - abi-2 mounts"),
                output("#   expected: ok"),
                output("#   got:      EBUSY"),
                exit("a", 1),
                Event::Ended(End::Done),
            ],
        );
        assert_eq!(outcomes[0].verdict, Verdict::Fail);
        assert_eq!(outcomes[0].reasons, ["not ok 1 - abi-2 mounts\n    expected: ok\n    got:      EBUSY"]);
    }

    #[test]
    fn a_failed_check_cannot_be_hidden_by_the_exit_code() {
        for code in [0, 4] {
            let (outcomes, _) = collect(
                &[case("a", "")],
                &[booted(), start("a"), output("not ok 1 - x"), exit("a", code), Event::Ended(End::Done)],
            );
            assert_eq!(outcomes[0].verdict, Verdict::Fail, "exit code {code}");
        }
    }

    #[test]
    fn a_scenario_without_a_check_fails() {
        let (outcomes, _) = collect(&[case("a", "")], &[booted(), start("a"), exit("a", 0), Event::Ended(End::Done)]);
        assert_eq!(outcomes[0].verdict, Verdict::Fail);
    }

    #[test]
    fn a_splat_after_the_exit_still_fails_the_case_and_the_others_remain() {
        let splat = Splat { kind: "KASAN", line: "BUG: KASAN: x".to_owned() };
        let (outcomes, collected) = collect(
            &[case("a", ""), case("b", "")],
            &[booted(), start("a"), output("ok 1 - x"), exit("a", 0), Event::Splat(splat), Event::Ended(End::Splat)],
        );
        assert_eq!(outcomes.len(), 1);
        assert_eq!(outcomes[0].verdict, Verdict::Fail);
        assert!(outcomes[0].reasons.contains(&"KASAN: BUG: KASAN: x".to_owned()));
        assert_eq!(collected.remaining.len(), 1);
    }

    #[test]
    fn a_time_out_fails_the_running_case_only() {
        let (outcomes, collected) = collect(
            &[case("a", ""), case("b", "")],
            &[booted(), start("a"), Event::Ended(End::Timeout(Duration::from_secs(30)))],
        );
        assert_eq!(outcomes[0].reasons, ["no verdict within 30 s"]);
        assert_eq!(collected.remaining.len(), 1);
    }

    #[test]
    fn a_hang_at_boot_is_worth_a_retry_and_a_splat_at_boot_is_not() {
        let hang = Event::Ended(End::BootTimeout(Duration::from_secs(90)));
        let (outcomes, collected) = collect(&[case("a", "")], &[hang]);
        assert!(outcomes.is_empty());
        assert!(collected.no_boot.unwrap().retry);
        let (_, collected) = collect(&[case("a", "")], &[Event::Ended(End::Splat)]);
        assert!(!collected.no_boot.unwrap().retry);
    }

    #[test]
    fn snapshots_and_numbers_are_taken_from_the_output() {
        let (outcomes, _) = collect(
            &[case("a", "# snapshot: tree\n")],
            &[
                booted(),
                start("a"),
                output("|tree|info"),
                output("|tree|a|b"),
                output("# stat cycles 12"),
                output("ok 1 - x"),
                exit("a", 0),
                Event::Ended(End::Done),
            ],
        );
        assert_eq!(outcomes[0].verdict, Verdict::Pass, "{:?}", outcomes[0].reasons);
        assert_eq!(outcomes[0].snapshots["tree"], "info\na|b\n");
        assert_eq!(outcomes[0].stats["cycles"], 12.0);
        assert_eq!(outcomes[0].output.len(), 2);
    }

    #[test]
    fn a_promised_snapshot_that_is_not_made_fails_the_case() {
        let (outcomes, _) = collect(
            &[case("a", "# snapshot: tree\n")],
            &[booted(), start("a"), output("ok 1 - x"), exit("a", 0), Event::Ended(End::Done)],
        );
        assert_eq!(outcomes[0].reasons, ["it made no snapshot `tree`"]);
    }

    const RACE: &str = "# fault: stable kernel address 0x6b6b6b6b; Workqueue: events mbm_handle_overflow\n";

    /// On the kernel that has the fault.
    fn race() -> Case {
        Case { kernel: "stable".to_owned(), ..case("race", RACE) }
    }

    /// A guest that ran into a fault whose report says that `worker` ran.
    fn faulty(worker: &str) -> Vec<Event> {
        let line = "Oops: general protection fault for address 0x6b6b6b6b6b6b6b73: 0000 [#1]";
        vec![
            booted(),
            Event::Console("[ 4.9] reboots".to_owned()),
            start("race"),
            output("# stat cycles 3"),
            Event::Console(format!("[ 8.6] {line}")),
            Event::Splat(Splat { kind: "BUG", line: line.to_owned() }),
            Event::Console(format!("[ 8.6] Workqueue: events {worker}")),
            Event::Console("[ 8.6] Call Trace:".to_owned()),
            Event::Splat(Splat { kind: "Call Trace", line: "Call Trace:".to_owned() }),
            Event::Ended(End::Splat),
        ]
    }

    #[test]
    fn a_fault_that_must_show_and_does_is_a_pass_with_its_report() {
        let (outcomes, _) = collect(&[race()], &faulty("mbm_handle_overflow"));
        assert_eq!((outcomes.len(), outcomes[0].verdict, outcomes[0].checks), (1, Verdict::Pass, 1));
        assert!(outcomes[0].fault[0].starts_with("Oops: "), "{:?}", outcomes[0].fault);
        assert_eq!(outcomes[0].fault[1..], ["Workqueue: events mbm_handle_overflow", "Call Trace:"]);
        assert_eq!(outcomes[0].stats["cycles"], 3.0);
    }

    #[test]
    fn another_fault_than_the_one_that_must_show_is_a_failure() {
        let (outcomes, _) = collect(&[race()], &faulty("cqm_handle_limbo"));
        assert_eq!(outcomes[0].verdict, Verdict::Fail);
        assert!(outcomes[0].reasons[0].contains("mbm_handle_overflow"), "{:?}", outcomes[0].reasons);
        assert!(outcomes[0].fault.is_empty());
    }

    #[test]
    fn a_fault_that_must_show_and_does_not_is_a_failure() {
        let (outcomes, _) = collect(
            &[race()],
            &[booted(), start("race"), output("ok 1 - x"), exit("race", 0), Event::Ended(End::Done)],
        );
        assert_eq!(outcomes[0].verdict, Verdict::Fail);
        assert!(outcomes[0].reasons[0].contains("not met"), "{:?}", outcomes[0].reasons);
    }

    #[test]
    fn a_failed_check_is_not_made_good_by_the_fault_that_must_show() {
        let mut events = faulty("mbm_handle_overflow");
        events.insert(4, output("not ok 1 - it mounts"));
        let (outcomes, _) = collect(&[race()], &events);
        assert_eq!(outcomes[0].verdict, Verdict::Fail);
    }

    #[test]
    fn the_same_fault_on_another_kernel_is_a_failure() {
        let (outcomes, _) = collect(&[case("race", RACE)], &faulty("mbm_handle_overflow"));
        assert_eq!(outcomes[0].verdict, Verdict::Fail);
    }
}
