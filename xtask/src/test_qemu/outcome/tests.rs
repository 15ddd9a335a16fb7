// SPDX-License-Identifier: GPL-2.0-only
use super::*;
use crate::guest::protocol::Available;
use crate::scenario::Implementation;
use crate::scenario::tests::case_of;

fn case(name: &str, header: &str) -> Case {
    case_of(name, &format!("# Shows {name}.\n# machines: intel\n{header}"), Implementation::Kernel)
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
fn processor_time_is_the_boots_a_scenarios_or_what_is_between() {
    let at = |seconds| Event::Processor(Duration::from_secs(seconds));
    let events =
        [at(4), booted(), at(5), start("a"), output("ok 1 - x"), at(12), exit("a", 0), at(13), Event::Ended(End::Done)];
    let (outcomes, collected) = collect(&[case("a", "")], &events);
    assert_eq!(outcomes[0].processor, Duration::from_secs(7));
    let GuestSpent { boot, scenarios, rest } = collected.spent;
    assert_eq!([boot, scenarios, rest].map(|spent| spent.processor.as_secs()), [4, 7, 2]);
}

#[test]
fn what_an_interrupted_boot_or_scenario_took_is_its_own() {
    let at = |seconds| Event::Processor(Duration::from_secs(seconds));
    let limit = End::Timeout(Duration::from_secs(60));
    let events = [at(4), booted(), at(5), start("a"), at(9), Event::Ended(limit)];
    let (outcomes, collected) = collect(&[case("a", "")], &events);
    assert_eq!(outcomes[0].processor, Duration::from_secs(4));
    assert_eq!(collected.spent.scenarios.processor, Duration::from_secs(4));
    let (_, collected) = collect(&[case("a", "")], &[at(3), Event::Ended(End::Done)]);
    assert_eq!(collected.spent.boot.processor, Duration::from_secs(3));
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
fn the_kernels_report_is_quoted_where_a_case_fails_for_it() {
    let splat = Splat { kind: "BUG", line: "Oops: x".to_owned() };
    let lines = ["[ 1.0] RIP: 0010:f+0x1", "[ 1.0] ---[ end trace 0 ]---", "[ 1.1] later"];
    let lines = lines.map(|line| Event::Console(line.to_owned()));
    let events = [&[booted(), start("a"), Event::Splat(splat)][..], &lines, &[Event::Ended(End::Splat)]].concat();
    let (outcomes, _) = collect(&[case("a", "")], &events);
    assert_eq!(outcomes[0].reasons.last().unwrap(), "on the console:\n    Oops: x\n    RIP: 0010:f+0x1");
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
fn a_boot_is_tried_again_if_it_hung_or_the_host_is_at_fault() {
    let hang = Event::Ended(End::BootTimeout(Duration::from_secs(90)));
    let (outcomes, collected) = collect(&[case("a", "")], &[hang]);
    assert!(outcomes.is_empty());
    assert!(collected.no_boot.unwrap().retry);
    for (kind, retry) in [("BUG", false), ("soft lockup", true)] {
        let splats = [kind, "BUG"].map(|kind| Event::Splat(Splat { kind, line: "what it said".to_owned() }));
        let events = [&splats[..], &[Event::Ended(End::Splat)]].concat();
        let (_, collected) = collect(&[case("a", "")], &events);
        assert_eq!(collected.no_boot.unwrap().retry, retry, "{kind}");
    }
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
            output("# point bits_of_the_mask occupancy 1 10"),
            output("# point bits_of_the_mask occupancy 2 20.5"),
            output("# point of something else"),
            output("ok 1 - x"),
            exit("a", 0),
            Event::Ended(End::Done),
        ],
    );
    assert_eq!(outcomes[0].verdict, Verdict::Pass, "{:?}", outcomes[0].reasons);
    let curve = ["bits of the mask", "occupancy"].map(str::to_owned);
    assert_eq!(outcomes[0].curves, [(curve, vec![(1.0, 10.0), (2.0, 20.5)])].into());
    assert_eq!(outcomes[0].snapshots["tree"], "info\na|b\n");
    assert_eq!(outcomes[0].stats["cycles"], 12.0);
    assert_eq!(outcomes[0].output.len(), 5);
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
    Case { kernel: "stable".to_owned(), like: "stable".to_owned(), ..case("race", RACE) }
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
    let (outcomes, _) =
        collect(&[race()], &[booted(), start("race"), output("ok 1 - x"), exit("race", 0), Event::Ended(End::Done)]);
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

/// The outcome of a guest in which `case` printed `lines` and ended as `finish` does.
pub(crate) fn finished(case: Case, lines: &[&str]) -> Outcome {
    let failed = lines.iter().any(|line| line.starts_with("not ok "));
    let name = case.scenario.name.clone();
    let mut events = vec![booted(), start(&name)];
    events.extend(lines.iter().map(|line| output(line)));
    events.extend([exit(&name, i32::from(failed)), Event::Ended(End::Done)]);
    collect(&[case], &events).0.remove(0)
}

fn known(check: &str) -> Vec<Known> {
    let text = format!("scenario = \"a\"\ncheck = \"{check}\"\nreason = \"so it is\"\nreport = \"x\"\n");
    vec![toml::from_str(&text).unwrap()]
}

#[test]
fn a_check_that_is_known_to_fail_is_no_failure_of_the_run() {
    let case = Case { known: known("abi-7 x"), ..case("a", "") };
    let outcome = finished(case.clone(), &["ok 1 - y", "not ok 2 - abi-7 x", "#   expected: 1"]);
    assert_eq!((outcome.verdict, outcome.expected.len(), outcome.gone().count()), (Verdict::Pass, 1, 0));
    let outcome = finished(case, &["not ok 1 - y", "not ok 2 - abi-7 x", "#   expected: 1"]);
    assert_eq!((outcome.verdict, outcome.reasons.as_slice()), (Verdict::Fail, ["not ok 1 - y".to_owned()].as_slice()));
}

#[test]
fn a_known_difference_that_does_not_show_is_reported() {
    let case = Case { known: known("abi-7 x"), ..case("a", "") };
    let outcome = finished(case, &["ok 1 - abi-7 x"]);
    assert_eq!((outcome.verdict, outcome.gone().count()), (Verdict::Pass, 1));
}

#[test]
fn a_failure_names_what_its_guest_has_left_and_nothing_that_is_empty() {
    let guest = tempfile::tempdir().unwrap();
    let mut outcome = Outcome::new(case("a", ""));
    outcome.console = guest.path().join("console.log");
    assert!(outcome.evidence().is_empty());
    let registers = guest.path().join("registers.txt");
    std::fs::write(&registers, "# at the end\n").unwrap();
    std::fs::write(guest.path().join("trace.log"), "").unwrap();
    assert_eq!(outcome.evidence(), [("registers:", registers)]);
}

#[test]
fn what_is_known_of_another_machine_and_does_not_show_on_a_users_is_no_news() {
    let (_folder, mine) = crate::machine::tests::of_a_user("mine.toml", "like = \"intel\"\n");
    let case = Case { known: known("abi-7 x"), machine: mine.name, ..case("a", "") };
    assert_eq!(finished(case.clone(), &["ok 1 - abi-7 x"]).gone().count(), 0);
    let outcome = finished(case, &["ok 1 - y", "not ok 2 - abi-7 x"]);
    assert_eq!((outcome.verdict, outcome.expected.len()), (Verdict::Pass, 1), "but where it shows it is no failure");
}
