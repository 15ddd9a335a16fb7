// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask test`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::{apt, toolroot, workspace};

/// The version that is built where there is none; it builds with the pinned toolchain.
const NEXTEST: &str = "0.9.151";

/// Runs the unit tests with cargo-nextest
///
/// Where cargo-nextest is missing it is built into `target/tools` first, which takes some minutes, once.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
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
    let status = Command::new(&nextest)
        // The module exists for the bare target only; guests test it.
        .args(["nextest", "run", "--workspace", "--exclude", "resctrl-module"])
        .args(&options.nextest)
        .current_dir(workspace::root())
        .status()
        .with_context(|| format!("cannot run {}", nextest.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
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
