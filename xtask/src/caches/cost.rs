// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask caches cost`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::boot::{Caches, Guests, Made};
use crate::guest::{Pace, Provisions, interrupt, programs};
use crate::progress;
use crate::test_qemu::run_folder;

/// What a guest does when it is up: as little as it takes to come to a verdict.
const SCRIPT: &str = "#!/bin/sh\nset -e\nmount -t resctrl resctrl /sys/fs/resctrl\ncat /sys/fs/resctrl/schemata\n";

/// Of a boot with still caches, by a plugin that cannot do otherwise.
const OFF_AT_MOST: f64 = 1.02;
/// Of the same, with caches that follow.
const ON_AT_MOST: f64 = 4.0;

/// Boots guests, from power-on to a script's end: with a plugin that is built without the model of caches, with one whose caches are
/// still, and with caches that follow, in turns, and compares what they take of the processor
///
/// Fails if still caches cost more than 2 %, or following ones more than 4 times.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// How often each is booted
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u8).range(3..))]
    rounds: u8,
    #[command(flatten)]
    guests: Guests,
}

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Without,
    Still,
    Follow,
}

impl Who {
    const ALL: [Self; 3] = [Self::Without, Self::Still, Self::Follow];

    const fn name(self) -> &'static str {
        match self {
            Self::Without => "built without the model",
            Self::Still => "caches that are still",
            Self::Follow => "caches that follow",
        }
    }
}

pub(super) fn run(options: &Options) -> Result<ExitCode> {
    interrupt::install()?;
    let made = options.guests.make(run_folder::create()?)?;
    let with = programs::provisions(made.tools(), made.arch())?;
    let without = Provisions { plugin: programs::plugin_with_still_caches()?, ..with.clone() };
    let rounds = options.rounds;
    let mut taken: [Vec<f64>; 3] = Default::default();
    for round in 1..=rounds {
        // Who has just begun in this round does not in the next: what is slower at first, or warmer, is everybody's.
        for place in 0..Who::ALL.len() {
            let which = (place + usize::from(round)) % Who::ALL.len();
            let who = Who::ALL[which];
            let spinner = progress::spinner(&format!("round {round} of {rounds}: {}", who.name()));
            let provisions = if who == Who::Without { &without } else { &with };
            let time = boot(&made, who, provisions, &format!("{which}.{round}"));
            spinner.finish_and_clear();
            taken[which].push(time?.as_secs_f64());
        }
    }
    let [without, still, follow] = &taken;
    for (who, times) in Who::ALL.iter().zip(&taken) {
        println!("{:<26} {}", who.name(), Spread::of(times).text("s of processor time"));
    }
    let (off, on) = (Spread::of_ratios(still, without), Spread::of_ratios(follow, without));
    println!("still / without            {}", off.text("times, boot by boot"));
    println!("follow / without           {}", on.text("times, boot by boot"));
    let (off, on) = (off.median <= OFF_AT_MOST, on.median <= ON_AT_MOST);
    println!("still caches cost at most 2 %: {}; following ones at most 4 times: {}", yes(off), yes(on));
    Ok(if off && on { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

const fn yes(holds: bool) -> &'static str {
    if holds { "yes" } else { "NO" }
}

/// What a boot takes of the processor.
fn boot(made: &Made, who: Who, provisions: &Provisions, name: &str) -> Result<Duration> {
    let caches = if who == Who::Follow { Caches::Follow } else { Caches::Still };
    let script = made.script(SCRIPT)?;
    let spec = made.spec(caches, &script, Pace::Time, Vec::new())?;
    let ran = made.run(&spec, provisions, name)?;
    match ran.printed.is_empty() {
        true => Err(anyhow!("{name}: the guest printed nothing")),
        false => Ok(ran.processor),
    }
}

/// Where figures are.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (half, odd) = (sorted.len() / 2, sorted.len() % 2 == 1);
        let median = if odd { sorted[half] } else { f64::midpoint(sorted[half - 1], sorted[half]) };
        Self { least: sorted[0], median, most: sorted[sorted.len() - 1] }
    }

    /// Of the figures of each round: the host may be slower in one than in the next.
    fn of_ratios(figures: &[f64], base: &[f64]) -> Self {
        let ratios: Vec<f64> = figures.iter().zip(base).map(|(figure, base)| figure / base).collect();
        Self::of(&ratios)
    }

    fn text(self, unit: &str) -> String {
        format!("{:.3} ({:.3} to {:.3}) {unit}", self.median, self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_that_of_the_ratios_of_rounds() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { least: 1.0, median: 2.0, most: 3.0 });
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 3.0]).median, 2.5);
        // A host that is slower in the second round than in the first.
        let ratios = Spread::of_ratios(&[1.0, 20.0, 3.0], &[1.0, 20.0, 2.0]);
        assert_eq!(ratios, Spread { least: 1.0, median: 1.0, most: 1.5 });
    }
}
