// SPDX-License-Identifier: GPL-2.0-only
//! Compares what scenarios hand over as snapshots with the files in `qemu-images/guest/snapshots/`.
//!
//! insta does the comparing. It leaves a `.snap.new` file where something differs (but never when
//! `CI` is set); accepting means to put that in the place of the old one, as `cargo insta accept`
//! does.

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context, Result};
use regex::Regex;
use similar::TextDiff;

use crate::console::without_time_stamp;
use crate::test_qemu::outcome::{Outcome, Verdict};
use crate::workspace;

/// The kernel that snapshots are made on. Others may differ, so they are not compared.
const KERNEL: &str = "stock";

/// What snapshots are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// What they were made on.
    Debians,
    /// Trees of the user's as well, as asked for.
    Trees,
}

/// Snapshots that were made and are not compared, because they are of a machine of the user's or another kernel; `None` if there are
/// none.
pub(crate) fn not_compared(outcomes: &[Outcome], held: Held) -> Option<String> {
    let cases: Vec<String> = outcomes
        .iter()
        .filter(|outcome| !outcome.snapshots.is_empty() && !has_snapshots(outcome, held))
        .map(|outcome| outcome.case.to_string())
        .collect();
    let cases = (!cases.is_empty()).then(|| cases.join(", "))?;
    Some(format!("no snapshot to compare with (they are of the project's machines on kernel {KERNEL}): {cases}\n"))
}

/// There are files that its snapshots are compared with, or should be.
fn has_snapshots(outcome: &Outcome, held: Held) -> bool {
    let case = &outcome.case;
    let kernel = case.kernel == KERNEL || held == Held::Trees && case.like == KERNEL;
    kernel && !case.machine.is_the_users()
}

/// Compares the snapshots of every outcome; those that differ make it a failure, unless they are to
/// be accepted. Returns how many were accepted.
///
/// # Errors
///
/// A file cannot be written.
pub(crate) fn check(outcomes: &mut [Outcome], accept: bool, held: Held) -> Result<usize> {
    let folder = workspace::root().join("qemu-images/guest/snapshots");
    let mut accepted = 0;
    for outcome in outcomes {
        // What a failed scenario hands over is not worth comparing, much less accepting.
        if outcome.verdict != Verdict::Pass || !has_snapshots(outcome, held) {
            continue;
        }
        for (name, text) in outcome.snapshots.clone() {
            let file = file_name(outcome, &name);
            let text = if name == "dmesg" { normalise_dmesg(&text) } else { text };
            if matches(&folder, &file, &text) {
                continue;
            }
            let new = folder.join(format!("{file}.snap.new"));
            if accept && new.is_file() {
                take(&new, &folder.join(format!("{file}.snap")))?;
                accepted += 1;
                continue;
            }
            let place = format!("qemu-images/guest/snapshots/{file}.snap");
            outcome.fail(if folder.join(format!("{file}.snap")).is_file() {
                let old = fs::read_to_string(folder.join(format!("{file}.snap"))).unwrap_or_default();
                format!("snapshot `{name}` differs from {place}; --accept takes it over:\n{}", difference(&old, &text))
            } else {
                format!("snapshot `{name}` is new, there is no {place}; --accept makes it")
            });
        }
    }
    Ok(accepted)
}

/// What has gone from a snapshot, and what is new, with the lines around. Its file begins with what insta notes of it.
fn difference(file: &str, new: &str) -> String {
    let old = file.splitn(3, "---\n").nth(2).unwrap_or(file);
    TextDiff::from_lines(old.trim_end(), new.trim_end()).unified_diff().context_radius(2).to_string()
}

fn file_name(outcome: &Outcome, name: &str) -> String {
    let case = &outcome.case;
    let promised = case.scenario.snapshots.iter().find(|snapshot| snapshot.name == name);
    let mut file = format!("{}__{name}@{}", case.scenario.name, case.machine);
    if promised.is_some_and(|snapshot| snapshot.per_implementation) {
        file.push_str(&format!("-{}", case.implementation));
    }
    file
}

/// Asks insta, which panics where tests are expected to.
fn matches(folder: &Path, file: &str, text: &str) -> bool {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let compared = panic::catch_unwind(AssertUnwindSafe(|| {
        settings.bind(|| insta::assert_snapshot!(file, text));
    }));
    panic::set_hook(hook);
    compared.is_ok()
}

/// Makes the new snapshot the valid one.
fn take(new: &PathBuf, valid: &PathBuf) -> Result<()> {
    let text = fs::read_to_string(new).with_context(|| format!("cannot read {}", new.display()))?;
    // The line of our own source says nothing about the guest.
    let kept: Vec<_> = text.split_inclusive('\n').filter(|line| !line.starts_with("assertion_line:")).collect();
    fs::write(valid, kept.concat()).with_context(|| format!("cannot write {}", valid.display()))?;
    fs::remove_file(new)?;
    Ok(())
}

/// Kernel messages without what changes from boot to boot: times, addresses, process numbers.
fn normalise_dmesg(text: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        [
            (r"\b(?:0x)?[0-9a-f]{16}\b", "ADDRESS"),
            (r"\b0x[0-9a-f]{6,}\b", "ADDRESS"),
            (r"\b(PID|pid)([:=] ?)\d+", "${1}${2}N"),
            (r"\bCPU: \d+", "CPU: N"),
            (r"\[(\d+)\]", "[N]"),
            (r"\d+\.\d+\.\d+\+deb\S+", "RELEASE"),
        ]
        .into_iter()
        .filter_map(|(pattern, replacement)| Some((Regex::new(pattern).ok()?, replacement)))
        .collect()
    });
    let mut normal = String::new();
    for line in text.lines() {
        let mut line = without_time_stamp(line).to_owned();
        for (pattern, replacement) in RULES.iter() {
            line = pattern.replace_all(&line, *replacement).into_owned();
        }
        normal.push_str(&line);
        normal.push('\n');
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::case_of;
    use crate::scenario::{Case, Implementation};
    use crate::test_qemu::outcome::tests::finished;

    #[test]
    fn dmesg_of_two_boots_is_the_same_after_normalisation() {
        let one = "[    1.234567] resctrl: domain 1 at ffff888003a1c000 gone\n\
                   [    1.3][  T57] CPU: 2 PID: 57 Comm: sh 7.3.4+deb13-cloud-amd64\n";
        let other = "[   11.000001] resctrl: domain 1 at ffff88800ff02000 gone\n\
                     [    9.3][ T112] CPU: 0 PID: 112 Comm: sh 7.3.9+deb13-cloud-amd64\n";
        assert_eq!(normalise_dmesg(one), normalise_dmesg(other));
        assert_eq!(normalise_dmesg(one), "resctrl: domain 1 at ADDRESS gone\nCPU: N PID: N Comm: sh RELEASE\n");
    }

    #[test]
    fn a_snapshot_that_differs_shows_what_has_gone_and_what_is_new() {
        let shown = difference("---\nsource: x\n---\na\nb\nc\n", "a\nB\nc\n");
        assert!(shown.contains("-b\n") && shown.contains("+B\n") && shown.contains(" a\n"), "{shown}");
        assert!(!shown.contains("source"), "{shown}");
    }

    #[test]
    fn normalisation_keeps_what_a_message_says() {
        let line = "resctrl: L3 monitoring detected, 32 RMIDs, mask fff\n";
        assert_eq!(normalise_dmesg(line), line);
    }

    #[test]
    fn a_users_tree_is_compared_if_that_is_asked_for() {
        let text = "# Info.\n# machines: intel\n# snapshot: none\n";
        let case = Case { kernel: "v7.4-rc1".to_owned(), ..case_of("info", text, Implementation::Kernel) };
        let outcomes = [finished(case, &["ok 1 - x", "|none|a line"])];
        assert!(!has_snapshots(&outcomes[0], Held::Debians) && has_snapshots(&outcomes[0], Held::Trees));
        assert!(not_compared(&outcomes, Held::Debians).unwrap().ends_with(": info [intel v7.4-rc1 kernel]\n"));
        assert_eq!(not_compared(&outcomes, Held::Trees), None);
    }

    #[test]
    fn snapshots_of_a_users_machine_are_not_compared_which_is_said() {
        let (_folder, mine) = crate::machine::tests::of_a_user("mine.toml", "like = \"intel\"\n");
        let text = "# Info.\n# machines: intel\n# snapshot: tree\n";
        let case = Case { machine: mine.name, ..case_of("info", text, Implementation::Rust) };
        let mut outcomes = [finished(case, &["ok 1 - x", "|tree|of a file that there is not"])];
        assert_eq!(outcomes[0].snapshots.len(), 1);
        assert_eq!(check(&mut outcomes, false, Held::Debians).unwrap(), 0);
        assert_eq!((outcomes[0].verdict, outcomes[0].reasons.len()), (Verdict::Pass, 0));
        let said = not_compared(&outcomes, Held::Debians).unwrap();
        assert!(said.ends_with(": info [mine.toml stock rust]\n"), "{said}");
        outcomes[0].case.machine = crate::machine::tests::named("intel");
        assert_eq!(not_compared(&outcomes, Held::Debians), None);
    }

    #[test]
    fn accepting_moves_the_new_snapshot_in_place_without_our_line_number() {
        let folder = tempfile::tempdir().unwrap();
        let (new, valid) = (folder.path().join("a.snap.new"), folder.path().join("a.snap"));
        fs::write(&new, "---\nsource: x\nassertion_line: 7\n---\ntext\n").unwrap();
        take(&new, &valid).unwrap();
        assert_eq!(fs::read_to_string(&valid).unwrap(), "---\nsource: x\n---\ntext\n");
        assert!(!new.exists());
    }
}
