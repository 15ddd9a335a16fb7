// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask fuzz`.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum as _;

use crate::cargo_tool::cargo;
use crate::workspace;

/// The instruction set of the rig; naming it keeps the flags below from build scripts and macros.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Has notes taken for libFuzzer, of which branches were taken and what was compared. No sanitizer: the crates have no unsafe
/// code.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// What is given hostile input.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Target {
    /// Firmware tables of an Arm machine
    Tables,
    /// Identification registers of memory system components
    Registers,
    /// What users write into the files of the file system, and names of groups
    Commands,
    /// What they write into `schemata`
    Schemata,
    /// What they write into `tasks`
    Tasks,
    /// What they write into `cpus` and `cpus_list`
    Cpus,
    /// What they write into `event_filter`
    EventFilter,
    /// What they write into `mbm_L3_assignments`
    Assignments,
}

impl Target {
    /// As on the command line.
    fn name(self) -> String {
        self.to_possible_value().expect("none is hidden").get_name().to_owned()
    }

    /// The package and its program. One does for all files: it is told which.
    const fn program(self) -> (&'static str, &'static str) {
        match self {
            Target::Tables => ("resctrl-fuzz", "fuzz-tables"),
            Target::Registers => ("resctrl-fuzz", "fuzz-registers"),
            _ => ("resctrl-fs-fuzz", "fuzz-commands"),
        }
    }
}

/// Looks for input that harms the Arm driver or the file system, with libFuzzer
///
/// Begins with good inputs and what earlier runs found interesting, in target/fuzz/corpus. An input that makes the code
/// panic, touch a register that is not there, or change something it refuses, is left in target/fuzz. Needs a C++ compiler.
/// The unit tests run the same targets on random changes of good inputs.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What is given hostile input
    target: Target,
    /// How long to look, in seconds
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
    /// Run this input only
    #[arg(long, value_name = "FILE", conflicts_with = "seconds")]
    input: Option<PathBuf>,
}

/// Runs libFuzzer; the exit code says whether it found nothing.
///
/// # Errors
///
/// The targets do not build, or cannot be run.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let name = options.target.name();
    let folder = workspace::target().join("fuzz");
    let corpus = folder.join("corpus").join(&name);
    fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    let (package, program) = options.target.program();
    succeed(
        cargo()
            .args(["build", "--release", "--locked", "--package", package, "--features", "libfuzzer"])
            .args(["--bin", program, "--target", TARGET, "--target-dir"])
            .arg(&folder)
            // What would pass unnoticed in a release build shall not.
            .envs([
                ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true"),
                ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true"),
            ])
            .env("RUSTC_WORKSPACE_WRAPPER", compiler(&folder)?),
    )?;
    let mut fuzzer = Command::new(folder.join(TARGET).join("release").join(program));
    fuzzer.env("FUZZ_SEEDS", &corpus).env("FUZZ_TARGET", &name);
    match &options.input {
        Some(input) => fuzzer.arg(input),
        None => fuzzer
            .arg(format!("-max_total_time={}", options.seconds))
            .arg(format!("-artifact_prefix={}/{name}-", folder.display()))
            .args(["-max_len=2048", "-timeout=20", "-print_final_stats=1"])
            .arg(&corpus),
    };
    let begun = Instant::now();
    let mut child = fuzzer.stderr(Stdio::piped()).spawn().context("cannot run the fuzzer")?;
    let said = child.stderr.take().context("the fuzzer says nothing")?;
    let inputs = pass_on(BufReader::new(said), &mut io::stderr()).context("cannot read what the fuzzer says")?;
    let status = child.wait().context("cannot wait for the fuzzer")?;
    if let Some(inputs) = inputs {
        println!("{}", rate(&name, inputs, begun.elapsed()));
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Passes on what libFuzzer says, and gives how many inputs it says that it has tried in the end.
fn pass_on(mut from: impl BufRead, to: &mut impl Write) -> io::Result<Option<u64>> {
    let (mut line, mut inputs) = (Vec::new(), None);
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        inputs = tried(&String::from_utf8_lossy(&line)).or(inputs);
        line.clear();
    }
    Ok(inputs)
}

/// The number of inputs, if this is the line with it.
fn tried(line: &str) -> Option<u64> {
    line.strip_prefix("stat::number_of_executed_units:")?.trim().parse().ok()
}

fn rate(name: &str, inputs: u64, time: Duration) -> String {
    let seconds = time.as_secs_f64().max(0.001);
    // Nobody tries more inputs than a float can count.
    let rate = inputs as f64 / seconds;
    format!("{name}: {inputs} inputs in {seconds:.0} s, {rate:.0} a second")
}

/// Writes a compiler that takes notes of this project's crates alone. Of others, the scheduler of the simulated kernel above all,
/// they would cost more time than everything else, and what is seen there leads nowhere.
fn compiler(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("rustc-with-coverage");
    let script = format!("#!/bin/sh\nexec \"$@\" {COVERAGE}\n");
    fs::write(&path, script)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn succeed(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_owned();
    let status = command.status().with_context(|| format!("cannot run {}", program.display()))?;
    if !status.success() {
        bail!("{} failed", program.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_inputs_is_read_from_what_libfuzzer_says_and_all_of_it_is_passed_on() {
        let said = "#2\tINITED cov: 5\nstat::number_of_executed_units: 3664\nstat::average_exec_per_sec:     20\n";
        let mut passed_on = Vec::new();
        assert_eq!(pass_on(said.as_bytes(), &mut passed_on).unwrap(), Some(3664));
        assert_eq!(passed_on, said.as_bytes());
        assert_eq!(pass_on("==1== ERROR\n".as_bytes(), &mut io::sink()).unwrap(), None);
    }

    #[test]
    fn inputs_a_second_are_printed() {
        assert_eq!(rate("tasks", 3664, Duration::from_secs(180)), "tasks: 3664 inputs in 180 s, 20 a second");
    }
}
