// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask test`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::cargo_tool::{CargoTool, cargo};
use crate::toolroot::ToolOptions;
use crate::{toolroot, workspace};

mod sanitizer;
mod tally;

use sanitizer::Sanitizer;
use tally::Tally;

/// What is built where there is none.
const NEXTEST: CargoTool = CargoTool {
    name: "nextest",
    version: "0.9.151",
    flags: &["--no-default-features", "--features", "default-no-update"],
};

/// All packages that run on the host: the module exists for the bare target only; guests test it.
const EVERYTHING: [&str; 3] = ["--workspace", "--exclude", "resctrl-module"];

/// How many times the random schedules of a short run a long one tries: 326 times 3070 are a million.
const LONG_SCHEDULES: &str = "326";
/// How many preemptions more a long run tries out where it tries all there are.
const LONG_PREEMPTIONS: &str = "1";
/// The crates whose tests a long run makes longer.
const LONG_PACKAGES: [&str; 7] = [
    "resctrl-types",
    "resctrl-memory-model",
    "resctrl-fs",
    "resctrl-fs-model",
    "resctrl-x86",
    "resctrl-mpam",
    "resctrl-hardware",
];
/// Cases of each property test in a long run.
const LONG_CASES: &str = "20000";

/// Runs the unit tests, then the examples of the documentation
///
/// cargo-nextest runs them where it is installed, and `cargo test` where it is not. What only cargo-nextest can do
/// (arguments for it, --long, --sanitizer, a report where CI is set) has it built into `target/tools` first, which takes
/// some minutes, once.
///
/// The tests run a share of the thread schedules. `--long` runs a million of them, on an optimised build, and more cases
/// of the property tests, in half an hour or so, and fails if they did not exercise what they are for.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Try a million thread schedules, and say what they have exercised
    #[arg(long)]
    pub(crate) long: bool,
    /// Watch the tests for wrong accesses to memory
    #[arg(long, conflicts_with = "long")]
    pub(crate) sanitizer: Option<Sanitizer>,
    /// Arguments for `cargo nextest run`, for example a filter or `--profile ci`
    #[arg(last = true, value_name = "NEXTEST ARGS")]
    pub(crate) nextest: Vec<String>,
    #[command(flatten)]
    pub(crate) tools: ToolOptions,
}

/// Runs the tests; the exit code says whether all passed.
///
/// # Errors
///
/// cargo-nextest is missing and cannot be built, or cannot be run.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let there = installed("cargo-nextest".as_ref()).or_else(|| NEXTEST.installed(&toolroot::folder("")));
    let in_ci = env::var_os("CI").is_some_and(|value| !value.is_empty());
    let nextest = match there {
        Some(path) => path,
        None if options.is_plain() && !in_ci => return run_plain(),
        None => nextest()?,
    };
    if let Some(sanitizer) = options.sanitizer {
        sanitizer.prove(&options.tools)?;
        let passed = succeeds(&mut sanitizer.tests_with(&nextest, &options.nextest, &options.tools)?)?;
        return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let mut tests = Command::new(&nextest);
    tests.args(["nextest", "run"]);
    let passed = if options.long {
        run_long(&mut tests, &options.nextest)?
    } else {
        succeeds(tests.args(EVERYTHING).args(&options.nextest))?
    };
    // nextest knows no examples, and a filter asks for some tests.
    let examples = !options.nextest.is_empty() || succeeds(&mut examples())?;
    Ok(if passed && examples { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Options {
    /// All tests are to be run and nothing else.
    fn is_plain(&self) -> bool {
        !self.long && self.sanitizer.is_none() && self.nextest.is_empty()
    }
}

/// Runs the tests without cargo-nextest, the examples among them.
fn run_plain() -> Result<ExitCode> {
    eprintln!("cargo-nextest is not on this machine: `cargo test` runs the tests");
    Ok(if succeeds(&mut plain())? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All tests, without cargo-nextest.
fn plain() -> Command {
    let mut command = cargo();
    command.args(["test", "--quiet", "--locked", "--no-fail-fast"]).args(EVERYTHING);
    command
}

/// Runs the long tests and sums up what they did.
fn run_long(tests: &mut Command, filter: &[String]) -> Result<bool> {
    let file = tempfile::NamedTempFile::new().context("cannot make a file for the counts")?;
    let packages = LONG_PACKAGES.iter().flat_map(|package| ["--package", package]);
    tests
        .args(["--profile", "long", "--cargo-profile", "long"])
        .args(packages)
        .args(filter)
        .env("SIM_ITERATIONS", LONG_SCHEDULES)
        .env("SIM_PREEMPTIONS", LONG_PREEMPTIONS)
        .env("SIM_TALLY", file.path())
        .env("MODEL_LONG", "1")
        .env("PROPTEST_CASES", LONG_CASES);
    let began = Instant::now();
    let passed = succeeds(tests)?;
    let text = fs::read_to_string(file.path()).context("cannot read the counts")?;
    let tally = Tally::parse(&text)?;
    println!("{}", tally.summary(began.elapsed()));
    // A filter asks for some tests, which need not exercise everything.
    let missing = if filter.is_empty() { tally.missing() } else { Vec::new() };
    for what in &missing {
        eprintln!("not enough: {what}");
    }
    Ok(passed && missing.is_empty())
}

/// Runs a command in the workspace.
fn succeeds(command: &mut Command) -> Result<bool> {
    let program = command.get_program().to_owned();
    let status = command.current_dir(workspace::root()).status();
    Ok(status.with_context(|| format!("cannot run {}", program.display()))?.success())
}

/// The examples in the documentation.
fn examples() -> Command {
    let mut command = cargo();
    command.args(["test", "--quiet", "--locked", "--doc"]).args(EVERYTHING);
    // Has the files of other crates, with their examples; `--doc` does not ask whether a library wants its own to be run.
    command.args(["--exclude", "resctrl-memory-model"]);
    command
}

/// `program`, if it is a cargo-nextest that runs.
fn installed(program: &Path) -> Option<PathBuf> {
    NEXTEST.runs(program)
}

/// cargo-nextest; built first where there is none.
///
/// # Errors
///
/// It cannot be built.
pub(crate) fn nextest() -> Result<PathBuf> {
    match installed("cargo-nextest".as_ref()) {
        Some(path) => Ok(path),
        None => NEXTEST.ensure(&toolroot::folder("")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_of_everything_does_without_nextest() {
        assert!(Options::default().is_plain());
        let filtered = Options { nextest: vec!["mkdir".to_owned()], ..Options::default() };
        let long = Options { long: true, ..Options::default() };
        assert!(!filtered.is_plain() && !long.is_plain());
    }

    #[test]
    fn a_program_that_is_no_nextest_does_not_count_as_installed() {
        assert_eq!(installed(Path::new("/nonexistent/cargo-nextest")), None);
        assert_eq!(installed(Path::new("/bin/false")), None);
    }
}
