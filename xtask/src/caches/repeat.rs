// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask caches repeat`.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use super::boot::{Caches, Guests};
use crate::guest::{Pace, interrupt, programs};
use crate::progress;
use crate::test_qemu::run_folder;

/// What the guest runs: it walks and chases through memory, alone and beside a neighbour, and prints all that was counted.
const SCRIPT: &str = include_str!("repeat.sh");

/// Boots a guest twice, with a clock that counts instructions and with the same seed, and compares what its caches counted
///
/// Nothing may differ: the figures of both boots are printed, and the exit code is 1 if they are not the same.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// What QEMU's random numbers begin with, the guest's among them
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// How often the guest is booted
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..))]
    boots: u8,
    /// Have caches follow from power-on, so that firmware and the boot of the kernel are in the figures; it takes four times as long
    #[arg(long)]
    from_power_on: bool,
    /// Have the guest use all its CPUs, not only the first: in turns that QEMU gives them when its other thread asks for something,
    /// which is not the same in two boots
    #[arg(long)]
    all_cpus: bool,
    #[command(flatten)]
    guests: Guests,
}

/// QEMU's arguments by which nothing of the host gets into the guest: random numbers, and the time of day.
fn of_seed(seed: u64) -> Vec<String> {
    ["-seed", &seed.to_string(), "-rtc", "base=2026-01-01T00:00:00,clock=vm"].map(str::to_owned).to_vec()
}

pub(super) fn run(options: &Options) -> Result<ExitCode> {
    interrupt::install()?;
    let made = options.guests.make(run_folder::create()?)?;
    let provisions = programs::provisions(made.tools(), made.arch())?;
    let script = made.script(SCRIPT)?;
    let caches = if options.from_power_on { Caches::Follow } else { Caches::Still };
    let mut spec = made.spec(caches, &script, Pace::Instructions, of_seed(options.seed))?;
    if !options.all_cpus {
        "maxcpus=1".clone_into(&mut spec.append);
    }
    let mut boots = Vec::new();
    for number in 1..=options.boots {
        let spinner = progress::spinner(&format!("boot {number} of {}", options.boots));
        let ran = made.run(&spec, &provisions, &format!("boot.{number}"));
        spinner.finish_and_clear();
        boots.push(ran?.printed);
    }
    let (text, same) = compared(&boots);
    ensure!(!text.is_empty(), "the guests printed nothing; their files: {}", made.folder().display());
    print!("{text}");
    let lines = boots[0].lines().count();
    match same {
        true => println!("the same in {} boots with seed {}: {lines} lines", boots.len(), options.seed),
        false => println!("NOT the same in {} boots with seed {}", boots.len(), options.seed),
    }
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The lines of all boots, each once where they are the same; and whether all are.
fn compared(boots: &[String]) -> (String, bool) {
    let lines: Vec<Vec<&str>> = boots.iter().map(|boot| boot.lines().collect()).collect();
    let longest = lines.iter().map(Vec::len).max().unwrap_or_default();
    let mut text = String::new();
    let mut same = true;
    for number in 0..longest {
        let line = |boot: &Vec<&str>| boot.get(number).copied().unwrap_or("(nothing)").to_owned();
        let all: Vec<String> = lines.iter().map(line).collect();
        if all.iter().all(|line| *line == all[0]) {
            text.push_str(&format!("{}\n", all[0]));
        } else {
            same = false;
            for (boot, line) in (1..).zip(&all) {
                text.push_str(&format!("boot {boot}: {line}\n"));
            }
        }
    }
    (text, same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_figure_that_differs_is_seen_and_one_that_is_missing() {
        let boots = |all: &[&str]| all.iter().map(|&boot| boot.to_owned()).collect::<Vec<_>>();
        assert_eq!(compared(&boots(&["a 1\nb 2\n", "a 1\nb 2\n"])), ("a 1\nb 2\n".to_owned(), true));
        let (text, same) = compared(&boots(&["a 1\nb 2\n", "a 1\nb 2\n", "a 1\nb 3\n"]));
        assert_eq!(text, "a 1\nboot 1: b 2\nboot 2: b 2\nboot 3: b 3\n");
        assert!(!same);
        let (text, same) = compared(&boots(&["a 1\n", ""]));
        assert_eq!((text.as_str(), same), ("boot 1: a 1\nboot 2: (nothing)\n", false));
    }
}
