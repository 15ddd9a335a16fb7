// SPDX-License-Identifier: GPL-2.0-only
//! Random sequences of operations on both implementations at once: after each step, all that can be seen must be the same.
//!
//! One guest for each implementation carries out the same sequences, which are made here from a seed, and writes down what
//! it sees (`resctrl-replay`, in the guest). A difference is tried once more, made as short as it can be, and printed as a
//! script. What may differ is in two places: what no two guests have in common is made equal in the guest
//! (`resctrl-replay/observe.rs` and `seen.rs`), what the implementations are known to do differently is listed in
//! `known-differences.toml`.

mod boots;
mod generate;
mod guest;
pub(crate) mod guided;
pub(crate) mod record;
pub(crate) mod script;
mod shrink;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use guest_tools::operation::Operation;
use indicatif::{ProgressBar, ProgressStyle};

use crate::guest::interrupt;
use crate::scenario::Case;
use crate::scenario::known::Random;
use crate::test_qemu::outcome::Outcome;
use boots::{Boots, Loss};
pub(crate) use boots::{Pair, Stage};
use generate::Generator;
use guest::{Gone, Replayer};
use record::{Difference, Record};

/// Attempts to make a sequence shorter.
const ATTEMPTS: usize = 90;

/// Different differences after which a run ends; and guests that are gone.
const ENOUGH: usize = 5;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Sequences are made from it.
    pub(crate) seed: u64,
    /// Operations to compare.
    pub(crate) operations: u64,
}

/// A kind of difference.
#[derive(Debug)]
struct Found {
    /// How often it was seen.
    times: u64,
    script: String,
}

/// What came of a pair.
#[derive(Debug, Default)]
struct Tally {
    operations: u64,
    plans: u64,
    /// By kind.
    found: BTreeMap<String, Found>,
    /// Differences that a second attempt did not show.
    unrepeatable: Vec<String>,
    took: Duration,
    /// Guests that did not live to the end.
    gone: Vec<Loss>,
}

/// What sequences have shown of one side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Compared {
    /// The shortest script of each difference; the second side has them.
    pub(crate) scripts: Vec<String>,
    /// Why guests did not live to the end, with what they were doing.
    pub(crate) lost: Vec<String>,
}

/// Runs sequences on both and says what came of it, for each.
///
/// # Errors
///
/// Something that is no guest's fault.
pub(crate) fn run(stage: &Stage<'_>, asked: Asked) -> Result<Vec<Outcome>> {
    let Stage { pair, known, .. } = stage;
    let generator = stage.generator(asked.seed);
    stage.with_guests(|mut boots| {
        let mut tally = Tally::default();
        let mut consoles = [PathBuf::new(), PathBuf::new()];
        match boots.both()? {
            Err(loss) => tally.gone.push(loss),
            Ok(guests) => {
                let mut session = Session { guests, boots, known, sides: pair.names(), next: 0 };
                session.sequences(&generator, asked, &pair.ours.0, &mut tally)?;
                consoles = session.guests.each_ref().map(|guest| guest.folder().console());
            }
        }
        for loss in tally.gone.iter().rev() {
            consoles[loss.guest].clone_from(&loss.console);
        }
        let [oracle, ours] = consoles;
        if pair.is_of_twins() {
            let mut outcome = tally.outcome(&pair.ours.0, &[0, 1], asked);
            outcome.console = if tally.gone.iter().any(|loss| loss.guest == 0) { oracle } else { ours };
            return Ok(vec![outcome]);
        }
        let mut outcomes = vec![tally.outcome(&pair.oracle.0, &[0], asked), tally.outcome(&pair.ours.0, &[1], asked)];
        (outcomes[0].console, outcomes[1].console) = (oracle, ours);
        Ok(outcomes)
    })
}

/// Operations as a guest is told them.
fn lines(operations: &[Operation]) -> String {
    operations.iter().map(|operation| format!("{operation}\n")).collect()
}

/// Two guests that wait for plans.
struct Session<'a> {
    guests: [Replayer; 2],
    boots: Boots<'a>,
    known: &'a [Random],
    /// Names of the two for people.
    sides: [String; 2],
    /// Number of the next plan that is sent.
    next: u64,
}

impl Session<'_> {
    fn sequences(&mut self, generator: &Generator<'_>, asked: Asked, case: &Case, tally: &mut Tally) -> Result<()> {
        let bar = ProgressBar::new(asked.operations);
        let style = ProgressStyle::with_template("  {prefix}  [{bar:40}] {pos}/{len} operations  {msg}  {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(case.to_string());
        let start = Instant::now();
        let mut aside = Duration::ZERO;
        let mut number = 0;
        while tally.operations < asked.operations && tally.found.len() < ENOUGH {
            if interrupt::requested() {
                bail!("interrupted");
            }
            let operations = generator.plan(number);
            let mut began = None;
            let end = self.compare(&operations).and_then(|difference| {
                let Some(difference) = difference else { return Ok(()) };
                began = Some(Instant::now());
                let title = format!("{case}, seed {}, sequence {number}", asked.seed);
                self.investigate(&title, &operations, &difference, tally)
            });
            number += 1;
            tally.plans += 1;
            tally.operations += operations.len() as u64;
            if let Err((guest, Gone(why))) = end {
                began = began.or(Some(Instant::now()));
                let sequence = lines(&operations);
                let console = self.guests[guest].folder().console();
                tally.gone.push(Loss { guest, why, sequence, console });
                // That the oracle crashes says nothing of what comes after. Both begin anew, so that both know the same.
                if guest == 1 || tally.gone.len() >= ENOUGH {
                    break;
                }
                match self.boots.both()? {
                    Ok(guests) => self.guests = guests,
                    Err(loss) => {
                        tally.gone.push(loss);
                        break;
                    }
                }
            }
            aside += began.map_or(Duration::ZERO, |began| began.elapsed());
            bar.set_position(tally.operations);
            bar.set_message(format!("{} differences", tally.found.len()));
        }
        bar.finish_and_clear();
        if interrupt::requested() {
            bail!("interrupted");
        }
        tally.took = start.elapsed().saturating_sub(aside);
        Ok(())
    }

    /// Both carry out the same operations; where they part. An error names the guest.
    fn compare(&mut self, operations: &[Operation]) -> Result<Option<Difference>, (usize, Gone)> {
        let id = self.next;
        self.next += 1;
        for (number, guest) in self.guests.iter_mut().enumerate() {
            guest.send(id, &lines(operations)).map_err(|gone| (number, gone))?;
        }
        let mut record = |number: usize| -> Result<Record, (usize, Gone)> {
            self.guests[number].receive(id, &lines(operations)).map_err(|gone| (number, gone))
        };
        let (oracle, ours) = (record(0)?, record(1)?);
        Ok(Difference::find(&oracle, &ours, self.known))
    }

    /// Makes sure of a difference and, if its kind is new, finds the shortest sequence that shows it.
    fn investigate(
        &mut self,
        title: &str,
        operations: &[Operation],
        difference: &Difference,
        tally: &mut Tally,
    ) -> Result<(), (usize, Gone)> {
        let kind = |operations: &[Operation], difference: &Difference| {
            let operation = difference.step.checked_sub(1).and_then(|index| operations.get(index));
            difference.kind(&operation.map(ToString::to_string).unwrap_or_default())
        };
        let name = kind(operations, difference);
        if let Some(found) = tally.found.get_mut(&name) {
            found.times += 1;
            return Ok(());
        }
        let operations = &operations[..difference.step];
        let again = if operations.is_empty() { Some(difference.clone()) } else { self.compare(operations)? };
        let Some(mut last) = again else {
            tally.unrepeatable.push(script::script(title, &self.sides, operations, difference));
            return Ok(());
        };
        let mut gone = None;
        let shortest = shrink::shrink(operations, ATTEMPTS, |part| match self.compare(part) {
            // Only the same kind counts: otherwise it ends at another, shorter one.
            Ok(Some(difference)) if kind(part, &difference) == name => {
                last = difference;
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(error) => {
                gone = Some(error);
                bail!("a guest is gone")
            }
        });
        let shortest = shortest.unwrap_or_else(|_| operations.to_vec());
        tally.found.insert(name, Found { times: 1, script: script::script(title, &self.sides, &shortest, &last) });
        gone.map_or(Ok(()), Err)
    }
}

impl Tally {
    /// What there is to say of one side, 0 the oracle's; or of both, where they are the same.
    fn outcome(&self, case: &Case, sides: &[usize], asked: Asked) -> Outcome {
        let mut outcome = Outcome::new(case.clone());
        outcome.took = self.took;
        let per_minute = self.operations as f64 * 60.0 / self.took.as_secs_f64().max(0.001);
        let times: u64 = self.found.values().map(|found| found.times).sum();
        for (name, value) in [
            ("seed", asked.seed as f64),
            ("operations", self.operations as f64),
            ("sequences", self.plans as f64),
            ("operations_a_minute", per_minute.round()),
            ("differences", times as f64),
            ("not_repeatable", self.unrepeatable.len() as f64),
            ("guests_gone", self.gone.len() as f64),
        ] {
            outcome.output(format!("# stat {name} {value}"));
        }
        let mut compared = Compared::default();
        if sides.contains(&1) {
            compared.scripts = self.found.values().map(|found| found.script.clone()).collect();
        }
        for Loss { why, sequence, console, .. } in self.gone.iter().filter(|loss| sides.contains(&loss.guest)) {
            compared.lost.push(format!("{why} ({}); the sequence was\n{sequence}", console.display()));
        }
        let mut details = String::new();
        for (Found { times, script }, _) in self.found.values().zip(&compared.scripts) {
            let _ = writeln!(details, "seen {times} times:\n{script}");
        }
        for lost in &compared.lost {
            let _ = writeln!(details, "{lost}");
        }
        outcome.compared = Some(compared);
        let about = format!("{} operations of seed {}", self.operations, asked.seed);
        if details.is_empty() && self.operations > 0 {
            outcome.output(format!("ok 1 - {about} came to the same on both"));
        } else {
            outcome.output(format!("not ok 1 - {about} came to the same on both"));
        }
        for line in details.lines() {
            outcome.output(format!("#   {line}"));
        }
        for script in &self.unrepeatable {
            outcome.output("# a difference that a second attempt did not show:".to_owned());
            for line in script.lines() {
                outcome.output(format!("# {line}"));
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Implementation;
    use crate::scenario::tests::case_of;
    use crate::test_qemu::outcome::Verdict;

    const ASKED: Asked = Asked { seed: 7, operations: 100 };

    fn case(implementation: Implementation) -> Case {
        case_of("differential", "# Both do the same.\n# machines: intel\n", implementation)
    }

    #[test]
    fn a_difference_fails_ours_with_its_script_and_not_the_oracle() {
        let found = Found { times: 2, script: "#!/bin/sh\nresctrl-sys umount $M\n".to_owned() };
        let tally =
            Tally { operations: 61, plans: 1, found: BTreeMap::from([("x".to_owned(), found)]), ..Tally::default() };
        let ours = tally.outcome(&case(Implementation::Rust), &[1], ASKED);
        assert_eq!(ours.verdict, Verdict::Fail);
        assert!(ours.reasons[0].contains("resctrl-sys umount $M"), "{:?}", ours.reasons);
        assert_eq!(ours.stats["differences"], 2.0);
        assert_eq!(tally.outcome(&case(Implementation::Kernel), &[0], ASKED).verdict, Verdict::Pass);
    }

    #[test]
    fn a_guest_that_is_gone_fails_its_side_and_nothing_compared_fails_both() {
        let loss = Loss {
            guest: 0,
            why: "the kernel reported a fault".to_owned(),
            sequence: "mount\t\n".to_owned(),
            console: PathBuf::from("guest.1/console.log"),
        };
        let tally = Tally { operations: 61, gone: vec![loss], ..Tally::default() };
        assert_eq!(tally.outcome(&case(Implementation::Kernel), &[0], ASKED).verdict, Verdict::Fail);
        assert_eq!(tally.outcome(&case(Implementation::Rust), &[1], ASKED).verdict, Verdict::Pass);
        for side in 0..2 {
            assert_eq!(Tally::default().outcome(&case(Implementation::Rust), &[side], ASKED).verdict, Verdict::Fail);
        }
    }

    #[test]
    fn what_cannot_be_repeated_is_shown_and_counted() {
        let tally = Tally { operations: 61, unrepeatable: vec!["umount".to_owned()], ..Tally::default() };
        let ours = tally.outcome(&case(Implementation::Rust), &[1], ASKED);
        assert_eq!((ours.verdict, ours.stats["not_repeatable"]), (Verdict::Pass, 1.0));
        assert!(ours.output.contains(&"# umount".to_owned()));
    }
}
