// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask test`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::{apt, toolroot, workspace};

/// The version that is built where there is none; it builds with the pinned toolchain.
const NEXTEST: &str = "0.9.151";

/// How many times the schedules of a short run a long one tries: 450 times 2270 are a million.
const LONG_SCHEDULES: &str = "450";
/// Cases of each property test in a long run.
const LONG_CASES: &str = "20000";

/// Runs the unit tests with cargo-nextest, then the reference count under the memory model
///
/// Where cargo-nextest is missing it is built into `target/tools` first, which takes some minutes, once.
///
/// The tests run a share of the thread schedules; `--long` runs a million of them, and more cases of the property tests,
/// in half an hour or so.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Try about a million thread schedules
    #[arg(long)]
    pub(crate) long: bool,
    /// Arguments for `cargo nextest run`, for example a filter or `--profile ci`
    #[arg(last = true, value_name = "NEXTEST ARGS")]
    pub(crate) nextest: Vec<String>,
}

/// Runs the tests; the exit code says whether all passed.
///
/// # Errors
///
/// cargo-nextest is missing and cannot be built, or cannot be run.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let nextest = match installed("cargo-nextest".as_ref()) {
        Some(path) => path,
        None => install()?,
    };
    let mut tests = Command::new(&nextest);
    // The module exists for the bare target only; guests test it.
    tests.args(["nextest", "run", "--workspace", "--exclude", "resctrl-module"]);
    if options.long {
        tests.args(["--profile", "long"]).env("SIM_ITERATIONS", LONG_SCHEDULES).env("PROPTEST_CASES", LONG_CASES);
    }
    let passed = succeeds(tests.args(&options.nextest))?;
    // A filter asks for some tests, and those of the memory model are another build of the same crate.
    let modelled = !options.nextest.is_empty() || succeeds(&mut memory_model())?;
    Ok(if passed && modelled { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a command in the workspace.
fn succeeds(command: &mut Command) -> Result<bool> {
    let program = command.get_program().to_owned();
    let status = command.current_dir(workspace::root()).status();
    Ok(status.with_context(|| format!("cannot run {}", program.display()))?.success())
}

/// Loom runs every execution of the reference count that the memory model allows.
fn memory_model() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["test", "--quiet", "--locked", "--package", "resctrl-types", "--lib", "refs::model"])
        .env("RUSTFLAGS", "--cfg loom")
        // Other flags, other artefacts: side by side they would be rebuilt each time.
        .env("CARGO_TARGET_DIR", workspace::root().join("target/loom"));
    command
}

/// `program`, if it is a cargo-nextest that runs.
fn installed(program: &Path) -> Option<PathBuf> {
    let output = Command::new(program).args(["nextest", "--version"]).output().ok()?;
    output.status.success().then(|| program.to_owned())
}

/// Builds cargo-nextest into the tool root, unless an earlier run did.
fn install() -> Result<PathBuf> {
    let root = toolroot::folder(&format!("nextest-{NEXTEST}"));
    let program = root.join("bin/cargo-nextest");
    fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
    let _lock = apt::lock(&root.join("lock"))?;
    if let Some(program) = installed(&program) {
        return Ok(program);
    }
    eprintln!("cargo-nextest is not on this machine: building it into {}", root.display());
    let shell = Shell::new()?;
    shell.change_dir(workspace::root());
    let build = root.join("build");
    // The optimised build of its dependencies would take longer than it could ever save here.
    cmd!(shell, "cargo install cargo-nextest --version {NEXTEST} --locked --debug --no-default-features")
        .args(["--features", "default-no-update"])
        .arg("--root")
        .arg(&root)
        .env("CARGO_TARGET_DIR", &build)
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .quiet()
        .run()
        .context("cannot build cargo-nextest")?;
    fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
    match installed(&program) {
        Some(program) => Ok(program),
        None => bail!("{} does not run", program.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_no_nextest_does_not_count_as_installed() {
        assert_eq!(installed(Path::new("/nonexistent/cargo-nextest")), None);
        assert_eq!(installed(Path::new("/bin/false")), None);
    }
}
