// SPDX-License-Identifier: GPL-2.0-only
//! The two guests that sequences are carried out in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use super::generate::Generator;
use super::guest::{Gone, Host, Replayer};
use crate::console::Scanner;
use crate::guest::run::Limits;
use crate::guest::{Provisions, Spec};
use crate::scenario::known::Random;
use crate::scenario::{Case, Implementation};

/// A scenario on two guests: both implementations, or two kernels.
#[derive(Debug)]
pub(crate) struct Pair {
    /// The one that says what is right: the kernel's own, or the kernel before.
    pub(crate) oracle: (Case, Spec),
    /// Ours, or the kernel after.
    pub(crate) ours: (Case, Spec),
}

impl Pair {
    /// One case with itself: two guests of the same must see the same.
    pub(super) fn is_of_twins(&self) -> bool {
        self.oracle.0 == self.ours.0
    }

    /// What to call them.
    pub(super) fn names(&self) -> [String; 2] {
        let ((oracle, _), (ours, _)) = (&self.oracle, &self.ours);
        if self.is_of_twins() {
            ["one", "the other"].map(str::to_owned)
        } else if oracle.implementation == ours.implementation {
            [oracle.kernel.clone(), ours.kernel.clone()]
        } else {
            ["the kernel's own", "ours"].map(str::to_owned)
        }
    }
}

/// A pair, and what its guests need.
pub(crate) struct Stage<'a> {
    pub(crate) pair: Pair,
    pub(crate) provisions: &'a Provisions,
    /// Where logs go.
    pub(crate) folder: &'a Path,
    pub(crate) boot_limit: Duration,
    /// What the kernel's own is known to do differently on that machine.
    pub(crate) known: Vec<Random>,
}

impl Stage<'_> {
    /// Makes sequences for the machine of the pair.
    pub(super) fn generator(&self, seed: u64) -> Generator<'_> {
        Generator::new(crate::guest::facts_of(&self.pair.ours.1.hardware), seed, &self.known)
    }

    /// Does `work` with guests of the pair, which are gone after it.
    ///
    /// # Errors
    ///
    /// Those of `work`, and something that is no guest's fault.
    pub(super) fn with_guests<T>(&self, work: impl FnOnce(Boots<'_>) -> Result<T>) -> Result<T> {
        let Self { pair, known, .. } = self;
        let spec = &pair.ours.1;
        let limits =
            Limits { boot: self.boot_limit, scenarios: BTreeMap::new(), script: None }.stretched(spec.slowness());
        let scanner = |case: &Case| -> Result<Scanner> {
            let warns = known.iter().filter(|_| case.implementation == Implementation::Kernel);
            Ok(Scanner::new()?.allowing(warns.filter_map(|known| known.warns.as_ref())))
        };
        let scanners = [scanner(&pair.oracle.0)?, scanner(&pair.ours.0)?];
        let hosts = scanners.each_ref().map(|scanner| Host { provisions: self.provisions, scanner, limits: &limits });
        std::thread::scope(|scope| {
            let start = |number: usize, attempt: u32| {
                let (case, spec) = if number == 0 { &pair.oracle } else { &pair.ours };
                let twin = if pair.is_of_twins() && number == 0 { "-twin" } else { "" };
                let label =
                    format!("{}-{}-{}-{}{twin}", case.machine, case.kernel, case.implementation, case.scenario.name);
                Replayer::start(scope, &hosts[number], spec, self.folder.join(format!("{label}.{attempt}")))
            };
            work(Boots { start: &start, count: [0, 0] })
        })
    }
}

/// A guest that crashed, hung or did not boot.
#[derive(Debug)]
pub(super) struct Loss {
    /// 0 the oracle's.
    pub(super) guest: usize,
    pub(super) why: String,
    /// What it was doing.
    pub(super) sequence: String,
    pub(super) console: PathBuf,
}

/// Where guests come from.
pub(super) struct Boots<'a> {
    /// Boots the guest of a number for the so-manieth time.
    start: &'a dyn Fn(usize, u32) -> Result<Replayer>,
    count: [u32; 2],
}

impl Boots<'_> {
    pub(super) fn one(&mut self, number: usize) -> Result<Replayer> {
        self.count[number] += 1;
        (self.start)(number, self.count[number])
    }

    /// Both boot at the same time. One that hangs is booted once more, as any guest.
    pub(super) fn both(&mut self) -> Result<Result<[Replayer; 2], Loss>> {
        let mut guests = [self.one(0)?, self.one(1)?];
        for (number, guest) in guests.iter_mut().enumerate() {
            if guest.wait_until_ready().is_err() {
                *guest = self.one(number)?;
                if let Err(Gone(why)) = guest.wait_until_ready() {
                    let console = guest.folder().console();
                    return Ok(Err(Loss { guest: number, why, sequence: String::new(), console }));
                }
            }
        }
        Ok(Ok(guests))
    }
}
