// SPDX-License-Identifier: GPL-2.0-only
//! The oracle: a scenario marked `# compare: yes` must print the same on both implementations.

use similar::{ChangeTag, DiffTag, TextDiff};

use super::outcome::{Check, Outcome, Verdict};
use crate::scenario::Implementation;

/// Fails the Rust side of every pair whose outputs differ, and notes what was compared with nothing.
pub(crate) fn check(outcomes: &mut [Outcome]) {
    let alone: Vec<Option<String>> = outcomes.iter().map(|outcome| why_not_compared(outcomes, outcome)).collect();
    for (outcome, why) in outcomes.iter_mut().zip(alone) {
        outcome.not_compared = why;
    }
    let differences: Vec<(usize, String)> = outcomes
        .iter()
        .enumerate()
        .filter_map(|(index, ours)| {
            let (oracle, known) = partner(outcomes, ours)?;
            Some((index, difference(&oracle.output, &ours.output, &known)?))
        })
        .collect();
    for (index, difference) in differences {
        outcomes[index].fail(format!("it prints something else than the kernel's own resctrl:\n{difference}"));
    }
}

/// Why a case that is there to be compared was not.
fn why_not_compared(outcomes: &[Outcome], of: &Outcome) -> Option<String> {
    let Outcome { case, verdict, .. } = of;
    if *verdict == Verdict::Skip || case.scenario.guided || !case.scenario.compare && !case.scenario.lockstep {
        return None;
    }
    let partner = outcomes.iter().find(|other| other.case.is_partner_of(case));
    let whose = match case.implementation {
        Implementation::Rust => "the kernel's own",
        Implementation::Kernel => "resctrl.ko",
    };
    match partner.map(|partner| partner.verdict) {
        None if case.scenario.lockstep => {
            Some(format!("only with a second guest of its own: {whose} is not in this run"))
        }
        None => Some(format!("{whose} is not in this run")),
        Some(Verdict::Skip) => Some(format!("{whose} was skipped")),
        // What is printed up to a failure is no answer. Guests in lockstep are compared as long as both go on.
        Some(Verdict::Fail) if case.implementation == Implementation::Rust && !case.scenario.lockstep => {
            Some(format!("{whose} failed"))
        }
        Some(_) => None,
    }
}

/// The lines that differ, `-` the oracle's, `+` ours; `None` if there are none. Checks in `known` may.
pub(crate) fn difference(oracle: &[String], ours: &[String], known: &[&str]) -> Option<String> {
    let (oracle, ours) = (lines(oracle, known), lines(ours, known));
    if oracle == ours {
        return None;
    }
    let mut text = String::new();
    for change in TextDiff::from_lines(&oracle, &ours).iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Equal => continue,
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
        };
        text.push_str(&format!("    {sign}{change}"));
    }
    Some(text)
}

/// A line of the oracle and one of ours, which are beside each other.
pub(crate) type Beside = [Option<String>; 2];

/// The lines that differ, those of the oracle beside ours; none if nothing does. Checks in `known` may.
pub(crate) fn beside(oracle: &[String], ours: &[String], known: &[&str]) -> Vec<Beside> {
    let (oracle, ours) = (lines(oracle, known), lines(ours, known));
    let mut rows = Vec::new();
    for operation in TextDiff::from_lines(&oracle, &ours).ops() {
        if operation.tag() == DiffTag::Equal {
            continue;
        }
        let of = |text: &str, range: std::ops::Range<usize>| -> Vec<String> {
            text.lines().skip(range.start).take(range.len()).map(str::to_owned).collect()
        };
        let mut left = of(&oracle, operation.old_range()).into_iter();
        let mut right = of(&ours, operation.new_range()).into_iter();
        loop {
            let row = [left.next(), right.next()];
            if row == [None, None] {
                break;
            }
            rows.push(row);
        }
    }
    rows
}

/// What a case is compared with, and the names of the checks that may differ.
pub(crate) fn partner<'a>(outcomes: &'a [Outcome], ours: &'a Outcome) -> Option<(&'a Outcome, Vec<&'a str>)> {
    let is_oracle = |other: &&Outcome| other.verdict != Verdict::Fail && other.case.is_partner_of(&ours.case);
    let compared = ours.case.implementation == Implementation::Rust && ours.case.scenario.compare;
    let oracle = outcomes.iter().filter(|_| compared).find(is_oracle)?;
    let known =
        [oracle, ours].iter().flat_map(|outcome| &outcome.case.known).map(|known| known.check.as_str()).collect();
    Some((oracle, known))
}

/// Output as one text, without what may differ: measurements, and checks that are known to, with their details.
fn lines(output: &[String], known: &[&str]) -> String {
    let mut text = String::new();
    let mut leaving_out = false;
    for line in output {
        match Check::of(line) {
            Some(check) => leaving_out = known.contains(&check.name),
            None => leaving_out &= line.starts_with("#   "),
        }
        if !leaving_out && !["# stat ", "# point "].iter().any(|measured| line.starts_with(measured)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::case_of;
    use crate::test_qemu::outcome::tests::finished;

    fn outcome(header: &str, implementation: Implementation, line: &str) -> Outcome {
        let case = case_of("info", &format!("# Info.\n# machines: intel\n{header}\n"), implementation);
        finished(case, &[line])
    }

    #[test]
    fn a_case_without_its_partner_was_not_compared_and_says_why() {
        use Implementation::{Kernel, Rust};
        let why = |outcomes: &mut [Outcome]| {
            check(outcomes);
            outcomes.iter().map(|outcome| outcome.not_compared.clone().unwrap_or_default()).collect::<Vec<_>>()
        };
        let compared = |implementation, line| outcome("# compare: yes", implementation, line);
        assert_eq!(why(&mut [compared(Rust, "ok 1 - x")]), ["the kernel's own is not in this run"]);
        assert_eq!(why(&mut [compared(Kernel, "ok 1 - x")]), ["resctrl.ko is not in this run"]);
        assert_eq!(why(&mut [compared(Kernel, "ok 1 - x"), compared(Rust, "ok 1 - x")]), ["", ""]);
        assert_eq!(
            why(&mut [compared(Kernel, "not ok 1 - x"), compared(Rust, "ok 1 - x")]),
            ["", "the kernel's own failed"]
        );
        // Others are not there to be compared.
        assert_eq!(why(&mut [outcome("", Rust, "ok 1 - x")]), [""]);
        let twins = "only with a second guest of its own: the kernel's own is not in this run";
        assert_eq!(why(&mut [outcome("# lockstep: yes", Rust, "ok 1 - x")]), [twins]);
    }

    fn text(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn only_the_lines_that_differ_are_shown() {
        let shown = difference(&text(&["a", "mode 1", "c"]), &text(&["a", "mode 2", "c"]), &[]);
        assert_eq!(shown.unwrap(), "    -mode 1\n    +mode 2\n");
    }

    #[test]
    fn lines_that_differ_are_beside_each_other() {
        let rows = beside(&text(&["a", "mode 1", "c", "gone"]), &text(&["a", "mode 2", "new", "c"]), &[]);
        let row =
            |left: &str, right: &str| [left, right].map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()));
        assert_eq!(rows, [row("mode 1", "mode 2"), row("", "new"), row("gone", "")]);
        assert_eq!(beside(&text(&["a"]), &text(&["a"]), &[]), [] as [Beside; 0]);
    }

    #[test]
    fn equal_output_and_different_measurements_are_no_difference() {
        let (one, other) =
            (text(&["a", "# stat n 1", "# point x y 1 2"]), text(&["a", "# stat n 2", "# point x y 1 3"]));
        assert_eq!(difference(&one, &other, &[]), None);
    }

    #[test]
    fn a_check_that_is_known_to_fail_may_differ_and_nothing_after_it() {
        let one = text(&["not ok 1 - a", "#   got: 2", "ok 2 - b"]);
        assert_eq!(difference(&one, &text(&["ok 1 - a", "ok 2 - b"]), &["a"]), None);
        assert!(difference(&one, &text(&["ok 1 - a", "not ok 2 - b"]), &["a"]).is_some());
    }
}
