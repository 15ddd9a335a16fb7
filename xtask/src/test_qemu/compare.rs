// SPDX-License-Identifier: GPL-2.0-only
//! The oracle: a scenario marked `# compare: yes` must print the same on both implementations.

use similar::{ChangeTag, TextDiff};

use super::outcome::{Outcome, Verdict};
use crate::scenario::Implementation;

/// Fails the Rust side of every pair whose outputs differ.
pub(crate) fn check(outcomes: &mut [Outcome]) {
    let differences: Vec<(usize, String)> = outcomes
        .iter()
        .enumerate()
        .filter(|(_, ours)| ours.case.implementation == Implementation::Rust && ours.case.scenario.compare)
        .filter_map(|(index, ours)| {
            let oracle = outcomes.iter().find(|other| is_oracle(other, ours))?;
            Some((index, difference(&oracle.output, &ours.output)?))
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

/// The lines that differ, `-` the oracle's, `+` ours; `None` if there are none.
fn difference(oracle: &[String], ours: &[String]) -> Option<String> {
    let (oracle, ours) = (lines(oracle), lines(ours));
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

/// Output as one text; what was measured may differ.
fn lines(output: &[String]) -> String {
    output.iter().filter(|line| !line.starts_with("# stat ")).flat_map(|line| [line.as_str(), "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn only_the_lines_that_differ_are_shown() {
        let shown = difference(&text(&["a", "mode 1", "c"]), &text(&["a", "mode 2", "c"]));
        assert_eq!(shown.unwrap(), "    -mode 1\n    +mode 2\n");
    }

    #[test]
    fn equal_output_and_different_measurements_are_no_difference() {
        let (one, other) = (text(&["a", "# stat n 1"]), text(&["a", "# stat n 2"]));
        assert_eq!(difference(&one, &other), None);
    }
}
