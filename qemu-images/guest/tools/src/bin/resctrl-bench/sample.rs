// SPDX-License-Identifier: GPL-2.0-only
//! Repeats an operation and prints what it took.

use std::io::{Write as _, stdout};
use std::thread::sleep;
use std::time::Duration;

use guest_tools::{Failure, Outcome};

use crate::Extent;
use crate::clock::{self, Counts, ticks};

/// Takes samples and prints a line for each operation.
pub(crate) struct Sampler {
    pub(crate) extent: Extent,
    /// Only operations whose name has this in it.
    pub(crate) only: Option<String>,
}

/// One operation: prepared and cleaned up while nobody looks at the clock.
pub(crate) trait Operation {
    /// Makes the next one possible.
    ///
    /// # Errors
    ///
    /// What the kernel refuses.
    fn prepare(&mut self) -> Outcome {
        Ok(())
    }

    /// What is measured.
    ///
    /// # Errors
    ///
    /// What the kernel refuses.
    fn run(&mut self) -> Outcome;

    /// Undoes it.
    ///
    /// # Errors
    ///
    /// What the kernel refuses.
    fn undo(&mut self) -> Outcome {
        Ok(())
    }
}

impl<F: FnMut() -> Outcome> Operation for F {
    fn run(&mut self) -> Outcome {
        self()
    }
}

/// An operation with something to undo.
pub(crate) struct Undone<R, U>(pub(crate) R, pub(crate) U);

impl<R: FnMut() -> Outcome, U: FnMut() -> Outcome> Operation for Undone<R, U> {
    fn run(&mut self) -> Outcome {
        (self.0)()
    }

    fn undo(&mut self) -> Outcome {
        (self.1)()
    }
}

/// An operation that needs something made first.
pub(crate) struct Prepared<P, R>(pub(crate) P, pub(crate) R);

impl<P: FnMut() -> Outcome, R: FnMut() -> Outcome> Operation for Prepared<P, R> {
    fn prepare(&mut self) -> Outcome {
        (self.0)()
    }

    fn run(&mut self) -> Outcome {
        (self.1)()
    }
}

/// An operation that needs something made first and leaves something.
pub(crate) struct Around<P, R, U>(pub(crate) P, pub(crate) R, pub(crate) U);

impl<P: FnMut() -> Outcome, R: FnMut() -> Outcome, U: FnMut() -> Outcome> Operation for Around<P, R, U> {
    fn prepare(&mut self) -> Outcome {
        (self.0)()
    }

    fn run(&mut self) -> Outcome {
        (self.1)()
    }

    fn undo(&mut self) -> Outcome {
        (self.2)()
    }
}

/// Which of its figures an operation's cost is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cost {
    /// Ticks from beginning to end.
    Elapsed,
    /// The same, divided by [`ROW`].
    OfEach,
    /// Instructions that CPUs executed, divided by so many.
    ExecutedOfEach(u64),
    /// Instructions that CPUs executed meanwhile: it waits, and for how long depends on when timers fire.
    Executed,
}

/// Operations in one sample of [`Sampler::in_a_row`].
const ROW: u64 = 20;

/// One measurement.
#[derive(Clone, Copy)]
struct Sample {
    ticks: u64,
    counts: Counts,
}

/// How long is looked at what runs by itself, and how often.
const WINDOW: Duration = Duration::from_secs(10);
const WINDOWS: u32 = 7;

/// How long an idle system takes to write a line to the serial port.
const LINE: Duration = Duration::from_millis(30);

impl Sampler {
    /// Samples of an operation that takes little: as many as make the median steady.
    ///
    /// # Errors
    ///
    /// What the kernel refuses.
    pub(crate) fn often(&mut self, name: &str, operation: &mut dyn Operation) -> Outcome {
        let count = if self.extent == Extent::Quick { 61 } else { 201 };
        self.take(name, count, Cost::Elapsed, operation)
    }

    /// Samples of an operation so short and so dependent on what came before that one sample is many in a row: the figures are
    /// those of one.
    ///
    /// # Errors
    ///
    /// What the kernel refuses.
    pub(crate) fn in_a_row(&mut self, name: &str, operation: &mut dyn FnMut() -> Outcome) -> Outcome {
        let mut row = || (0..ROW).try_for_each(|_| operation());
        let count = if self.extent == Extent::Quick { 21 } else { 61 };
        self.take(name, count, Cost::OfEach, &mut row)
    }

    /// Samples of so many operations at once, which CPUs share: the figures are what each cost them.
    ///
    /// # Errors
    ///
    /// What the kernel refuses.
    pub(crate) fn part(&mut self, name: &str, of: u64, operation: &mut dyn Operation) -> Outcome {
        let count = if self.extent == Extent::Quick { 11 } else { 31 };
        self.take(name, count, Cost::ExecutedOfEach(of), operation)
    }

    /// What the kernel's workers execute in a second, with so much taken off for what they do anyway.
    ///
    /// # Errors
    ///
    /// Nobody counts.
    pub(crate) fn second(&mut self, name: &str, anyway: Counts) -> Result<Counts, Failure> {
        if self.leaves_out(name) || clock::workers()?.is_none() {
            return Ok(anyway);
        }
        let workers = || clock::workers().map(Option::unwrap_or_default);
        let window = || -> Result<Counts, Failure> {
            let (before, earlier) = (Counts::now()?, workers()?);
            sleep(WINDOW);
            let executed = clock::ran(&earlier, &workers()?);
            Ok(Counts { executed, ..Counts::now()? - before })
        };
        // What was begun before has to end.
        window().map_err(|failure| at(name, &failure))?;
        let samples = (0..WINDOWS).map(|_| window()).collect::<Result<Vec<_>, _>>();
        let samples = samples.map_err(|failure| at(name, &failure))?;
        // What else the kernel does now and then only adds.
        let least =
            |figure: fn(&Counts) -> u64| samples.iter().map(figure).min().unwrap_or_default() / WINDOW.as_secs();
        let counts = Counts {
            executed: least(|counts| counts.executed),
            interrupts: least(|counts| counts.interrupts),
            reads: least(|counts| counts.reads),
            writes: least(|counts| counts.writes),
        };
        let more = counts - anyway;
        tell(&format!(
            "{name}\tcost={}\tinterrupts={}\treads={}\twrites={}\tsamples={WINDOWS}",
            more.executed, more.interrupts, more.reads, more.writes
        ))?;
        Ok(counts)
    }

    /// Samples of one that takes long.
    ///
    /// # Errors
    ///
    /// What the kernel refuses.
    pub(crate) fn seldom(&mut self, name: &str, operation: &mut dyn Operation) -> Outcome {
        let count = if self.extent == Extent::Quick { 7 } else { 15 };
        self.take(name, count, Cost::Elapsed, operation)
    }

    /// Samples of one that waits.
    ///
    /// # Errors
    ///
    /// What the kernel refuses.
    pub(crate) fn waiting(&mut self, name: &str, operation: &mut dyn Operation) -> Outcome {
        let count = if self.extent == Extent::Quick { 5 } else { 9 };
        self.take(name, count, Cost::Executed, operation)
    }

    fn take(&mut self, name: &str, count: usize, cost: Cost, operation: &mut dyn Operation) -> Outcome {
        if self.leaves_out(name) {
            // What comes after may count on it having happened once.
            return one(operation).map(|_| ()).map_err(|failure| at(name, &failure));
        }
        // The first ones fill caches of the kernel's.
        for _ in 0..3 {
            one(operation).map_err(|failure| at(name, &failure))?;
        }
        let samples = (0..count).map(|_| one(operation)).collect::<Result<Vec<_>, _>>();
        tell(&format!("{name}\t{}", line(&samples.map_err(|failure| at(name, &failure))?, cost)))
    }

    /// Tells how many bytes something takes.
    ///
    /// # Errors
    ///
    /// Nobody listens.
    pub(crate) fn bytes(&self, name: &str, bytes: u64) -> Outcome {
        if self.leaves_out(name) { Ok(()) } else { tell(&format!("{name}\tcost={bytes}")) }
    }

    /// Operations whose names begin so are to be measured.
    pub(crate) fn wants(&self, beginning: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(beginning) || beginning.contains(only.as_str()))
    }

    /// It is not to be measured.
    fn leaves_out(&self, name: &str) -> bool {
        self.only.as_ref().is_some_and(|only| !name.contains(only.as_str()))
    }

    /// What measuring itself costs, and a system call that resctrl has no part in.
    ///
    /// # Errors
    ///
    /// Nobody counts.
    pub(crate) fn controls(&mut self) -> Outcome {
        self.often("control:nothing", &mut || Ok(()))?;
        self.often("control:getppid", &mut || {
            std::hint::black_box(nix::unistd::getppid());
            Ok(())
        })
    }
}

/// Prints a line.
fn tell(line: &str) -> Outcome {
    let mut output = stdout();
    output.write_all(format!("{line}\n").as_bytes())?;
    output.flush()?;
    // The port's interrupts are over before the next operation begins.
    sleep(LINE);
    Ok(())
}

/// How long a look at an idle system takes, and how many of them in a row must find it idle.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: u32 = 10;

/// Looks until it is given up: a minute of the guest's time.
const MOST_LOOKS: u32 = 600;

/// Waits until nothing that a boot begins still runs: CPUs execute less than a hundredth of what they could.
///
/// # Errors
///
/// Something does not end.
pub(crate) fn settle() -> Outcome {
    let (mut idle, mut looks) = (0, 0);
    while idle < LOOKS {
        let (before, from) = (Counts::now()?, ticks());
        sleep(LOOK);
        let (counts, taken) = (Counts::now()? - before, ticks() - from);
        idle = if counts.executed < taken / 100 { idle + 1 } else { 0 };
        looks += 1;
        if looks == MOST_LOOKS {
            return Err(Failure::Hardware(format!(
                "the system does not become idle: {} instructions in {taken} ticks",
                counts.executed
            )));
        }
    }
    Ok(())
}

fn at(name: &str, failure: &Failure) -> Failure {
    Failure::Hardware(format!("{name}: {failure}"))
}

fn timed(operation: &mut dyn Operation) -> Result<Sample, Failure> {
    let counts = Counts::now()?;
    let before = ticks();
    let outcome = operation.run();
    let ticks = ticks() - before;
    let counts = Counts::now()? - counts;
    outcome.map(|()| Sample { ticks, counts })
}

fn one(operation: &mut dyn Operation) -> Result<Sample, Failure> {
    operation.prepare()?;
    let taken = timed(operation)?;
    operation.undo()?;
    Ok(taken)
}

/// The middle one, of an even number the upper.
fn median(samples: &[Sample], figure: impl Fn(&Sample) -> u64) -> u64 {
    let mut figures: Vec<u64> = samples.iter().map(figure).collect();
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// Medians, as `figure=NUMBER`.
fn line(samples: &[Sample], cost: Cost) -> String {
    let each = match cost {
        Cost::OfEach => ROW,
        Cost::ExecutedOfEach(of) => of,
        Cost::Elapsed | Cost::Executed => 1,
    };
    let middle = |figure: fn(&Sample) -> u64| median(samples, figure) / each;
    let (elapsed, executed) = (middle(|sample| sample.ticks), middle(|sample| sample.counts.executed));
    let cost = match cost {
        Cost::Executed => format!("cost={executed}\telapsed={elapsed}"),
        Cost::ExecutedOfEach(_) => format!("cost={executed}"),
        // The counter may tick more slowly than instructions are executed.
        Cost::Elapsed | Cost::OfEach if cfg!(target_arch = "aarch64") => format!("cost={executed}"),
        Cost::Elapsed | Cost::OfEach => format!("cost={elapsed}"),
    };
    format!(
        "{cost}\tinterrupts={}\treads={}\twrites={}\tsamples={}",
        middle(|sample| sample.counts.interrupts),
        middle(|sample| sample.counts.reads),
        middle(|sample| sample.counts.writes),
        samples.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(ticks: u64, executed: u64) -> Sample {
        Sample { ticks, counts: Counts { executed, interrupts: 1, reads: 2, writes: 3 } }
    }

    #[test]
    fn the_median_is_the_middle_of_an_odd_number() {
        let samples = [sample(5, 0), sample(1, 0), sample(9, 0)];
        assert_eq!(median(&samples, |sample| sample.ticks), 5);
        assert_eq!(median(&[], |sample| sample.ticks), 0);
    }

    #[test]
    fn of_what_waits_the_cost_is_what_was_executed() {
        let samples = [sample(5000, 10)];
        assert_eq!(line(&samples, Cost::Elapsed), "cost=5000\tinterrupts=1\treads=2\twrites=3\tsamples=1");
        assert!(line(&[sample(20 * 7, 0)], Cost::OfEach).starts_with("cost=7\t"));
        assert!(line(&samples, Cost::Executed).starts_with("cost=10\telapsed=5000\t"));
    }
}
