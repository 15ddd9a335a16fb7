// SPDX-License-Identifier: GPL-2.0-only
//! Repeats an operation and prints what it took.

use guest_tools::{Failure, Outcome};

use crate::Extent;
use crate::clock::{busy, ticks};

/// Takes samples and prints a line for each operation.
pub(crate) struct Sampler {
    pub(crate) extent: Extent,
}

/// One operation: prepared and cleaned up while nobody looks at the clock.
pub(crate) trait Operation {
    /// Makes the next one possible.
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

impl Sampler {
    pub(crate) const fn new(extent: Extent) -> Self {
        Self { extent }
    }

    /// Samples of an operation that takes little: as many as make the median steady.
    pub(crate) fn often(&mut self, name: &str, operation: &mut dyn Operation) -> Outcome {
        let count = if self.extent == Extent::Quick { 61 } else { 201 };
        self.times(name, count, operation)
    }

    /// Samples of one that takes long.
    pub(crate) fn seldom(&mut self, name: &str, operation: &mut dyn Operation) -> Outcome {
        let count = if self.extent == Extent::Quick { 7 } else { 15 };
        self.times(name, count, operation)
    }

    fn times(&mut self, name: &str, count: usize, operation: &mut dyn Operation) -> Outcome {
        // The first ones fill caches of the kernel's.
        for _ in 0..3 {
            one(operation).map_err(|failure| at(name, &failure))?;
        }
        let mut taken = (0..count).map(|_| one(operation)).collect::<Result<Vec<_>, _>>();
        let taken = taken.as_mut().map_err(|failure| at(name, failure))?;
        println!("{name}\t{}", spread(taken));
        Ok(())
    }

    /// Samples of one that waits, with how long CPUs worked meanwhile.
    pub(crate) fn waiting(&mut self, name: &str, operation: &mut dyn Operation) -> Outcome {
        let (mut elapsed, mut worked) = (Vec::new(), Vec::new());
        for _ in 0..if self.extent == Extent::Quick { 3 } else { 7 } {
            operation.prepare()?;
            let before = busy()?;
            elapsed.push(timed(operation).map_err(|failure| at(name, &failure))?);
            worked.push(busy()?.saturating_sub(before));
            operation.undo()?;
        }
        worked.sort_unstable();
        println!("{name}\t{}\t{}", spread(&mut elapsed), worked[worked.len() / 2]);
        Ok(())
    }

    /// What measuring itself costs, and two things that resctrl has no part in.
    pub(crate) fn controls(&mut self) -> Outcome {
        self.often("control:nothing", &mut || Ok(()))?;
        self.often("control:getppid", &mut || {
            std::hint::black_box(nix::unistd::getppid());
            Ok(())
        })
    }
}

fn at(name: &str, failure: &Failure) -> Failure {
    Failure::Hardware(format!("{name}: {failure}"))
}

fn timed(operation: &mut dyn Operation) -> Result<u64, Failure> {
    let before = ticks();
    let outcome = operation.run();
    let taken = ticks() - before;
    outcome.map(|()| taken)
}

fn one(operation: &mut dyn Operation) -> Result<u64, Failure> {
    operation.prepare()?;
    let taken = timed(operation)?;
    operation.undo()?;
    Ok(taken)
}

/// Median, least, most, and how many there are.
fn spread(taken: &mut [u64]) -> String {
    taken.sort_unstable();
    let count = taken.len();
    match (taken.get(count / 2), taken.first(), taken.last()) {
        (Some(median), Some(least), Some(most)) => format!("{median}\t{least}\t{most}\t{count}"),
        _ => format!("0\t0\t0\t{count}"),
    }
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn the_median_is_the_middle_of_an_odd_number() {
        assert_eq!(spread(&mut [5, 1, 9]), "5\t1\t9\t3");
        assert_eq!(spread(&mut []), "0\t0\t0\t0");
    }
}
