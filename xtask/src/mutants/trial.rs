// SPDX-License-Identifier: GPL-2.0-only
//! Tests on mutants that are woven into them.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::baseline::{Baseline, Ended, Place, workers};
use super::results::Outcome;
use super::tool::Mutant;
use crate::measured::part_of;
use crate::progress;

/// So often, what became of mutants is written down.
const INTERVAL: Duration = Duration::from_secs(10);
/// How many tests that have noticed a mutant of a file come first for the next.
const REMEMBERED: usize = 4;

/// What became of a mutant, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trial {
    pub(super) outcome: Outcome,
    /// The test that has noticed it.
    pub(super) by: Option<String>,
    /// How many tests come by it.
    reaching: usize,
    /// To how many of them it makes a difference where they do.
    concerned: usize,
    /// How many of those were run.
    run: usize,
}

/// Tries mutants with their numbers, on as many CPUs as there are; `note` is given what is known by then, from time to time. Which
/// test notices which mutant is written to `log`.
///
/// # Errors
///
/// A program cannot be run, or nothing can be written.
pub(super) fn try_all(
    baseline: &Baseline,
    wanted: &[(Mutant, u32)],
    own: bool,
    log: &Path,
    mut note: impl FnMut(Vec<(Mutant, Outcome)>) -> Result<()>,
) -> Result<()> {
    let bar = progress::count(&format!("{} mutants", wanted.len()), wanted.len());
    let mut log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let memory = Mutex::new(BTreeMap::new());
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..workers() {
            let sender = sender.clone();
            let (next, stop, memory) = (&next, &stop, &memory);
            scope.spawn(move || {
                while let Some((mutant, number)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let trial = attempt(baseline, mutant, *number, own, memory);
                    if stop.load(Ordering::Relaxed) || sender.send((mutant, trial)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let take = || -> Result<()> {
            let (mut new, mut noted) = (Vec::new(), Instant::now());
            for (mutant, trial) in receiver {
                let Trial { outcome, by, reaching, concerned, run } = trial?;
                let by = by.as_deref().unwrap_or("-");
                writeln!(log, "{}\t{outcome:?}\t{by}\t{run} of {concerned} of {reaching}", mutant.name)
                    .context("cannot write what is known")?;
                new.push((mutant.clone(), outcome));
                bar.inc(1);
                if noted.elapsed() > INTERVAL {
                    note(std::mem::take(&mut new))?;
                    noted = Instant::now();
                }
            }
            note(new)
        };
        let taken = take();
        stop.store(true, Ordering::Relaxed);
        taken
    })?;
    bar.finish_and_clear();
    Ok(())
}

/// The tests of each file that have noticed mutants of late.
type Memory = BTreeMap<String, VecDeque<Place>>;

/// Runs tests until one notices the mutant.
fn attempt(baseline: &Baseline, mutant: &Mutant, number: u32, own: bool, memory: &Mutex<Memory>) -> Result<Trial> {
    let package = part_of(&mutant.file).map_or("", |part| part.package);
    let reaching = baseline.reaching(number);
    let mut places = baseline.concerned(number, package);
    if own {
        places.retain(|place| baseline.program(*place).package == package);
    }
    let remembered = memory.lock().expect("nobody panics").get(&mutant.file).cloned().unwrap_or_default();
    // Others keep their order.
    places.sort_by_key(|place| remembered.iter().position(|other| other == place).unwrap_or(REMEMBERED));
    let concerned = places.len();
    for (run, place) in (1..).zip(&places) {
        let outcome = match baseline.run(*place, number, Stdio::null())? {
            Ended::Passed => continue,
            Ended::Late => Outcome::Timeout,
            Ended::Failed => {
                let mut memory = memory.lock().expect("nobody panics");
                let of_file = memory.entry(mutant.file.clone()).or_default();
                of_file.retain(|other| other != place);
                of_file.push_front(*place);
                of_file.truncate(REMEMBERED);
                Outcome::Caught
            }
        };
        return Ok(Trial { outcome, by: Some(baseline.name(*place)), reaching, concerned, run });
    }
    Ok(Trial { outcome: Outcome::Missed, by: None, reaching, concerned, run: concerned })
}

/// Runs all tests to which a mutant makes a difference, and shows which notice it.
///
/// # Errors
///
/// A program cannot be run.
pub(super) fn show(baseline: &Baseline, mutant: &Mutant, number: u32) -> Result<Outcome> {
    let package = part_of(&mutant.file).map_or("", |part| part.package);
    let places = baseline.concerned(number, package);
    let (reaching, concerned) = (baseline.reaching(number), places.len());
    println!("{}: {reaching} tests come by it, and {concerned} of them when it makes a difference", mutant.name);
    let mut outcome = Outcome::Missed;
    for place in places {
        let output = tempfile::NamedTempFile::new().context("cannot make a file")?;
        let ended = baseline.run(place, number, output.reopen()?.into())?;
        let word = match ended {
            Ended::Passed => "passes",
            Ended::Failed => "FAILS",
            Ended::Late => "does not end",
        };
        println!("  {:7} ms  {word:12} {}", baseline.test(place).millis, baseline.name(place));
        match ended {
            Ended::Late if outcome == Outcome::Missed => outcome = Outcome::Timeout,
            Ended::Passed | Ended::Late => {}
            Ended::Failed => {
                outcome = Outcome::Caught;
                let text = std::fs::read_to_string(output.path()).unwrap_or_default();
                let panic = text.lines().skip_while(|line| !line.contains("panicked at")).take(3);
                panic.for_each(|line| println!("                 {line}"));
            }
        }
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::baseline::tests::{program, test};
    use super::super::results::tests::all;
    use super::*;

    /// Tests that fail with the mutant of the number that their name has, and note which was run.
    fn baseline(folder: &Path) -> Baseline {
        let script =
            "#!/bin/sh\n[ \"$1\" = --exact ] || exit 2\necho \"$2\" >>run\n[ \"$2\" != \"fails_$RESCTRL_MUTANT\" ]\n";
        let path = folder.join("tests");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let of = |package| {
            let mut program = program(package, "tests");
            (program.path, program.folder) = (path.clone(), folder.to_owned());
            program
        };
        let own = vec![test("passes", 1, &[(0, 3)]), test("fails_1", 100, &[(0, 3)])];
        let above = vec![test("fails_2", 50, &[(2, 1)])];
        Baseline::new(vec![of("resctrl-fs"), of("resctrl-mpam")], vec![own, above])
    }

    fn run(folder: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(folder.join("run")).unwrap();
        std::fs::remove_file(folder.join("run")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn tests_are_run_until_one_notices_and_that_one_is_first_for_the_next_mutant_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (baseline, memory) = (baseline(folder.path()), Mutex::default());
        let mutant = &all()["resctrl-fs/src/a.rs"][0];
        let attempt = |number, own| {
            let trial = attempt(&baseline, mutant, number, own, &memory).unwrap();
            (trial.outcome, trial.by.unwrap_or_default(), trial.concerned)
        };
        assert_eq!(attempt(0, false), (Outcome::Missed, String::new(), 2));
        assert_eq!(run(folder.path()), ["passes", "fails_1"]);
        assert_eq!(attempt(1, false), (Outcome::Caught, "resctrl-fs::tests fails_1".to_owned(), 2));
        assert_eq!(run(folder.path()), ["passes", "fails_1"]);
        assert_eq!(attempt(2, true), (Outcome::Missed, String::new(), 2), "only its own crate's");
        assert_eq!(run(folder.path()), ["fails_1", "passes"]);
        assert_eq!(attempt(2, false), (Outcome::Caught, "resctrl-mpam::tests fails_2".to_owned(), 3));
        assert_eq!(run(folder.path()), ["fails_1", "passes", "fails_2"]);
        assert_eq!(attempt(3, false), (Outcome::Missed, String::new(), 0), "to none it makes a difference");
    }

    #[test]
    fn what_became_of_all_is_noted_and_logged() {
        let folder = tempfile::tempdir().unwrap();
        let baseline = baseline(folder.path());
        let mutants = &all()["resctrl-fs/src/a.rs"];
        let wanted: Vec<_> = mutants.iter().cloned().zip(0..).collect();
        let mut noted = Vec::new();
        let log = folder.path().join("log.tsv");
        let note = |new: Vec<(Mutant, Outcome)>| -> Result<()> {
            noted.extend(new.into_iter().map(|(mutant, outcome)| (mutant.line(), outcome)));
            Ok(())
        };
        try_all(&baseline, &wanted, false, &log, note).unwrap();
        noted.sort_by_key(|(line, _)| *line);
        assert_eq!(noted, [(1, Outcome::Missed), (2, Outcome::Caught), (3, Outcome::Caught)]);
        let mut lines: Vec<String> = std::fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines[0], "resctrl-fs/src/a.rs:1:5: replace a with ()\tMissed\t-\t2 of 2 of 3");
        assert!(lines[1].contains("\tCaught\tresctrl-fs::tests fails_1\t"), "{}", lines[1]);
        let fails = |_: Vec<(Mutant, Outcome)>| anyhow::bail!("the disk is full");
        assert!(try_all(&baseline, &wanted, false, &folder.path().join("log.tsv"), fails).is_err());
    }
}
