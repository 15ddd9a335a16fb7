// SPDX-License-Identifier: GPL-2.0-only
//! The oracle: a scenario marked `# compare: yes` must print the same on both implementations.

use similar::{ChangeTag, TextDiff};

use super::outcome::{Check, Outcome, Verdict};
use crate::scenario::Implementation;

/// Fails the Rust side of every pair whose outputs differ.
pub(crate) fn check(outcomes: &mut [Outcome]) {
    let differences: Vec<(usize, String)> = outcomes
        .iter()
        .enumerate()
        .filter(|(_, ours)| ours.case.implementation == Implementation::Rust && ours.case.scenario.compare)
        .filter_map(|(index, ours)| {
            let oracle = outcomes.iter().find(|other| is_oracle(other, ours))?;
            let known: Vec<&str> = [oracle, ours]
                .iter()
                .flat_map(|outcome| &outcome.case.known)
                .map(|known| known.check.as_str())
                .collect();
            Some((index, difference(&oracle.output, &ours.output, &known)?))
        })
        .collect();
    for (index, difference) in differences {
        outcomes[index].fail(format!("it prints something else than the kernel's own resctrl:\n{difference}"));
    }
}

/// `other` is the same scenario as `ours` on the kernel's own resctrl, and ran to its end.
fn is_oracle(other: &Outcome, ours: &Outcome) -> bool {
    let (theirs, ours) = (other, &ours.case);
    theirs.verdict != Verdict::Fail
        && theirs.case.implementation == Implementation::Kernel
        && theirs.case.scenario.name == ours.scenario.name
        && theirs.case.machine == ours.machine
        && theirs.case.kernel == ours.kernel
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

/// Output as one text, without what may differ: measurements, and checks that are known to, with their details.
fn lines(output: &[String], known: &[&str]) -> String {
    let mut text = String::new();
    let mut leaving_out = false;
    for line in output {
        match Check::of(line) {
            Some(check) => leaving_out = known.contains(&check.name),
            None => leaving_out &= line.starts_with("#   "),
        }
        if !leaving_out && !line.starts_with("# stat ") {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn only_the_lines_that_differ_are_shown() {
        let shown = difference(&text(&["a", "mode 1", "c"]), &text(&["a", "mode 2", "c"]), &[]);
        assert_eq!(shown.unwrap(), "    -mode 1\n    +mode 2\n");
    }

    #[test]
    fn equal_output_and_different_measurements_are_no_difference() {
        let (one, other) = (text(&["a", "# stat n 1"]), text(&["a", "# stat n 2"]));
        assert_eq!(difference(&one, &other, &[]), None);
    }

    #[test]
    fn a_check_that_is_known_to_fail_may_differ_and_nothing_after_it() {
        let one = text(&["not ok 1 - a", "#   got: 2", "ok 2 - b"]);
        assert_eq!(difference(&one, &text(&["ok 1 - a", "ok 2 - b"]), &["a"]), None);
        assert!(difference(&one, &text(&["ok 1 - a", "not ok 2 - b"]), &["a"]).is_some());
    }
}
