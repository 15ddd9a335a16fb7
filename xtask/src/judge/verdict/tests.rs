// SPDX-License-Identifier: GPL-2.0-only

use super::*;
use crate::differential::Compared;
use crate::scenario::tests::case_of;
use crate::scenario::{Case, Implementation};

fn case(kernel: &str) -> Case {
    let text = "# It mounts.\n# needs: resctrl\n# machines: intel\n# compare: yes\n";
    Case { kernel: kernel.to_owned(), ..case_of("mount", text, Implementation::Kernel) }
}

fn outcome(kernel: &str, output: &[&str]) -> Outcome {
    let mut outcome = Outcome::new(case(kernel));
    for line in output {
        outcome.output((*line).to_owned());
    }
    outcome
}

fn both(before: &[&str], after: &[&str]) -> Findings {
    Findings::of(&outcome("before", before), &outcome("after", after))
}

fn names(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.what.as_str()).collect()
}

#[test]
fn a_check_that_fails_after_and_not_before_is_worse_and_the_other_way_round_better() {
    let findings = both(
        &["ok 1 - a", "not ok 2 - b", "#   got: 1", "not ok 3 - c"],
        &["not ok 1 - a", "#   got: 2", "ok 2 - b", "not ok 3 - c"],
    );
    assert_eq!(names(&findings.worse), ["a"]);
    assert_eq!(findings.worse[0].details, "got: 2");
    assert_eq!((names(&findings.better), names(&findings.both)), (vec!["b"], vec!["c"]));
    assert_eq!((findings.cases, findings.checks), (1, 0));
}

#[test]
fn the_kernels_report_is_worse_even_if_it_does_not_show_again() {
    let mut after = outcome("after", &["ok 1 - a"]);
    after.fail(End::Splat.describe());
    after.fail("KASAN: BUG: KASAN: slab-use-after-free in mbm_handle_overflow");
    let findings = Findings::of(&outcome("before", &["ok 1 - a"]), &after);
    assert_eq!(names(&findings.worse), [GUEST]);
    assert!(findings.worse[0].is_report && findings.worse[0].details.contains("mbm_handle_overflow"));
    let quiet = both(&["ok 1 - a"], &["ok 1 - a"]);
    assert_eq!(quiet.checks, 1);
    let sure = findings.clone().confirmed_by(&quiet);
    assert!(sure.worse[0].note.contains("did not show the second time"));
    assert!(findings.clone().confirmed_by(&findings).worse[0].note.contains("each time"));
}

#[test]
fn a_check_that_does_not_fail_again_is_unsteady() {
    let findings = both(&["ok 1 - a"], &["not ok 1 - a"]);
    let again = both(&["ok 1 - a"], &["ok 1 - a"]);
    assert_eq!(findings.doubtful().into_iter().collect::<Vec<_>>(), [("mount".to_owned(), "intel".to_owned())]);
    let sure = findings.clone().confirmed_by(&again);
    assert_eq!((names(&sure.worse), names(&sure.unsteady)), (vec![], vec!["a"]));
    let sure = findings.clone().confirmed_by(&findings);
    assert_eq!((names(&sure.worse), names(&sure.unsteady)), (vec!["a"], vec![]));
}

#[test]
fn a_report_that_only_the_second_look_shows_counts() {
    let findings = both(&["ok 1 - a"], &["not ok 1 - a"]);
    let mut after = outcome("after", &["ok 1 - a"]);
    after.fail(End::Splat.describe());
    let again = Findings::of(&outcome("before", &["ok 1 - a"]), &after);
    assert_eq!(names(&findings.confirmed_by(&again).worse), [GUEST]);
}

#[test]
fn what_a_check_would_have_said_is_unknown_if_it_was_not_reached() {
    let mut before = outcome("before", &["ok 1 - a"]);
    before.fail(End::Splat.describe());
    let findings = Findings::of(&before, &outcome("after", &["ok 1 - a", "not ok 2 - b"]));
    assert_eq!((names(&findings.worse), names(&findings.unknown)), (vec![], vec!["b", GUEST]));
}

#[test]
fn without_a_boot_before_there_is_nothing_to_say_and_without_one_after_all() {
    let mut dead = outcome("x", &[]);
    dead.booted = false;
    dead.fail("the guest did not boot within 90 s");
    let alive = outcome("x", &["ok 1 - a"]);
    assert_eq!(names(&Findings::of(&dead, &alive).unknown), ["does not boot without the series"]);
    assert_eq!(names(&Findings::of(&alive, &dead).worse), ["does not boot"]);
}

#[test]
fn answers_and_snapshots_that_differ_are_changes() {
    let findings = both(&["ok 1 - a", "mode 1", "|tree|one"], &["ok 1 - a", "mode 2", "|tree|two"]);
    assert!(findings.worse.is_empty());
    let shown: Vec<_> = findings.changed.iter().map(|change| (change.what.as_str(), change.text.as_str())).collect();
    assert_eq!(shown, [("its answers", "    -mode 1\n    +mode 2\n"), ("snapshot tree", "    -one\n    +two\n")]);
    assert!(findings.clone().confirmed_by(&both(&["ok 1 - a"], &["ok 1 - a"])).changed.is_empty());
    assert_eq!(findings.clone().confirmed_by(&findings).changed.len(), 2);
}

#[test]
fn a_difference_of_sequences_is_a_change_and_a_guest_that_is_gone_is_worse() {
    let compared = |scripts: &[&str], lost: &[&str]| {
        let mut outcome = outcome("x", &[]);
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        outcome.compared = Some(Compared { scripts: texts(scripts), lost: texts(lost) });
        outcome.stats.insert("operations".to_owned(), 61.0);
        outcome
    };
    let findings = Findings::of(&compared(&[], &[]), &compared(&["mount\n"], &[]));
    assert_eq!((findings.changed.len(), findings.worse.len()), (1, 0));
    assert!(findings.doubtful().is_empty(), "it was tried again when it was found");
    let findings = Findings::of(&compared(&[], &[]), &compared(&[], &["the kernel reported a fault"]));
    assert_eq!((names(&findings.worse), findings.worse[0].is_report), (vec![GUEST], true));
    assert_eq!(names(&Findings::of(&compared(&[], &["x"]), &compared(&[], &[])).better), [GUEST]);
    assert_eq!(names(&Findings::of(&compared(&[], &["x"]), &compared(&[], &["y"])).both), [GUEST]);
    let nothing = |lost: &[&str]| {
        let mut outcome = compared(&[], lost);
        outcome.stats.insert("operations".to_owned(), 0.0);
        outcome
    };
    let findings = Findings::of(&nothing(&["the guest ended as it should"]), &nothing(&[]));
    assert_eq!((names(&findings.unknown), findings.better.len()), (vec!["no operation was compared"], 0));
}
