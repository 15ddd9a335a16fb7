// SPDX-License-Identifier: GPL-2.0-only
//! What a guest has done, and the verdict on that.

use std::path::PathBuf;
use std::time::Duration;

use crate::differential::Asked;
use crate::differential::boots::Loss;
use crate::differential::record::Record;
use crate::scenario::Case;
use crate::test_qemu::outcome::Outcome;

/// Points of a curve.
const POINTS: u64 = 60;

/// What a guest says of a sequence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// Steps that nobody had taken there.
    pub(super) new: usize,
    /// Operations of the first part up to the last that took one.
    pub(super) useful: usize,
    /// All that were taken there, and places that they lead to.
    pub(super) steps: usize,
    pub(super) places: usize,
    /// Operations that were not refused, of so many.
    pub(super) ok: u64,
    pub(super) operations: u64,
}

impl Report {
    pub(super) fn of(record: &Record) -> Option<Self> {
        let lines = &record.steps.first()?.changes;
        let value = |name: &str| {
            let line = lines.iter().find_map(|line| line.strip_prefix('=')?.strip_prefix(name)?.strip_prefix('\t'));
            line?.parse::<u64>().ok()
        };
        let count = |name: &str| usize::try_from(value(name)?).ok();
        Some(Self {
            new: count("new")?,
            useful: count("useful")?,
            steps: count("steps")?,
            places: count("places")?,
            ok: value("ok")?,
            operations: value("operations")?,
        })
    }
}

/// Something that must not happen, of one guest.
#[derive(Debug)]
pub(super) struct Harm {
    pub(super) loss: Loss,
    /// The shortest script that does it again; none if a second attempt did not.
    pub(super) script: Option<String>,
}

/// What a guest has done, and those that it was booted in place of.
pub(super) struct Figures {
    pub(super) case: Case,
    steps: usize,
    pub(super) places: usize,
    ok: u64,
    pub(super) operations: u64,
    sequences: u64,
    /// Operations and places.
    curve: Vec<(u64, usize)>,
    pub(super) harm: Vec<Harm>,
}

impl Figures {
    pub(super) fn new(case: &Case) -> Self {
        Self {
            case: case.clone(),
            steps: 0,
            places: 0,
            ok: 0,
            operations: 0,
            sequences: 0,
            curve: Vec::new(),
            harm: Vec::new(),
        }
    }

    pub(super) fn heard(&mut self, report: Report, asked: Asked) {
        // A guest that is booted in another's place begins at nothing.
        self.steps = self.steps.max(report.steps);
        self.places = self.places.max(report.places);
        self.ok += report.ok;
        self.operations += report.operations;
        self.sequences += 1;
        if self.operations * POINTS / asked.operations.max(1) >= self.curve.len() as u64 {
            self.curve.push((self.operations, self.places));
        }
    }

    /// The verdict. `console` is the log of the guest that is left.
    pub(super) fn outcome(&self, asked: Asked, took: Duration, corpus: usize, console: PathBuf) -> Outcome {
        let mut outcome = Outcome::new(self.case.clone());
        outcome.took = took;
        outcome.console = self.harm.first().map_or(console, |harm| harm.loss.console.clone());
        let per_minute = self.operations as f64 * 60.0 / took.as_secs_f64().max(0.001);
        for (name, value) in [
            ("seed", asked.seed as f64),
            ("operations", self.operations as f64),
            ("operations_that_were_not_refused", self.ok as f64),
            ("sequences", self.sequences as f64),
            ("operations_a_minute", per_minute.round()),
            ("places_of_the_kernel", self.places as f64),
            ("steps_from_place_to_place", self.steps as f64),
            ("corpus", corpus as f64),
            ("guests_gone", self.harm.len() as f64),
        ] {
            outcome.output(format!("# stat {name} {value}"));
        }
        for (operations, places) in &self.curve {
            outcome.output(format!("# point operations places_of_the_kernel {operations} {places}"));
        }
        let verdict = if self.harm.is_empty() && self.operations > 0 { "ok" } else { "not ok" };
        let about = format!("{} operations of seed {} do no harm", self.operations, asked.seed);
        outcome.output(format!("{verdict} 1 - {about}"));
        for Harm { loss, script } in &self.harm {
            let mut details = format!("{} ({})\n", loss.why, loss.console.display());
            match script {
                Some(script) => details.push_str(&format!("this does it again:\n{script}")),
                None => {
                    details.push_str(&format!("a second attempt did not; the last sequences were\n{}", loss.sequence));
                }
            }
            details.lines().for_each(|line| outcome.output(format!("#   {line}")));
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::record::Step;
    use crate::scenario::Implementation;
    use crate::scenario::tests::case_of;
    use crate::test_qemu::outcome::Verdict;

    const ASKED: Asked = Asked { seed: 7, operations: 100 };

    fn figures() -> Figures {
        Figures::new(&case_of("guided", "# Harms nothing.\n# machines: intel\n", Implementation::Rust))
    }

    fn outcome(figures: &Figures) -> Outcome {
        figures.outcome(ASKED, Duration::from_secs(60), 3, PathBuf::from("guest.2/console.log"))
    }

    fn record(lines: &[&str]) -> Record {
        let changes = lines.iter().map(|line| (*line).to_owned()).collect();
        Record { plan: 1, steps: vec![Step { outcome: "ok".to_owned(), changes }] }
    }

    const REPORT: [&str; 6] = ["=new\t2", "=useful\t1", "=steps\t40", "=places\t30", "=ok\t5", "=operations\t60"];

    #[test]
    fn a_report_has_all_its_numbers() {
        let expected = Report { new: 2, useful: 1, steps: 40, places: 30, ok: 5, operations: 60 };
        assert_eq!(Report::of(&record(&REPORT)), Some(expected));
        for missing in 0..REPORT.len() {
            let mut lines = REPORT.to_vec();
            lines.remove(missing);
            assert_eq!(Report::of(&record(&lines)), None);
        }
    }

    #[test]
    fn reports_add_up_and_what_was_reached_is_a_curve() {
        let mut figures = figures();
        assert_eq!(outcome(&figures).verdict, Verdict::Fail);
        for places in [30, 40] {
            let report = Report { places, ..Report::of(&record(&REPORT)).unwrap() };
            figures.heard(report, ASKED);
        }
        let outcome = outcome(&figures);
        assert_eq!((outcome.verdict, outcome.stats["operations"]), (Verdict::Pass, 120.0));
        assert_eq!(outcome.stats["operations_that_were_not_refused"], 10.0);
        assert_eq!(outcome.curves.values().map(Vec::as_slice).collect::<Vec<_>>(), [[(60.0, 30.0), (120.0, 40.0)]]);
    }

    #[test]
    fn a_guest_that_is_gone_fails_with_what_does_it_again() {
        let mut figures = figures();
        figures.heard(Report::of(&record(&REPORT)).unwrap(), ASKED);
        let loss = Loss {
            guest: 1,
            why: "the kernel reported a fault".to_owned(),
            sequence: "umount\n".to_owned(),
            console: PathBuf::from("guest.1/console.log"),
        };
        figures.harm.push(Harm { loss, script: Some("resctrl-sys umount $M\n".to_owned()) });
        let outcome = outcome(&figures);
        assert_eq!((outcome.verdict, outcome.console), (Verdict::Fail, PathBuf::from("guest.1/console.log")));
        assert!(outcome.reasons[0].contains("reported a fault") && outcome.reasons[0].contains("umount $M"));
    }
}
