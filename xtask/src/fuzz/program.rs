// SPDX-License-Identifier: GPL-2.0-only
//! The programs that libFuzzer is in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::target::Target;
use crate::cargo_tool::cargo;

/// The instruction set of the rig; naming it keeps the flags below from build scripts and macros.
const INSTRUCTION_SET: &str = "x86_64-unknown-linux-gnu";

/// Has notes taken for libFuzzer, of which branches were taken. No sanitizer: the crates have no unsafe code.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1";

/// And of what was compared. That leads to the numbers that tables and registers must have; for what users write there is a list of
/// words, and notes of each comparison in the file system would take half of the time.
const COMPARISONS: &str = "-Cllvm-args=-sanitizer-coverage-trace-compares";

/// The crates of which they are taken.
const COMPARING: [&str; 2] = ["resctrl_mpam", "resctrl_fuzz"];

/// Builds what these targets need.
///
/// # Errors
///
/// It does not build.
pub(super) fn build(targets: &[Target], folder: &Path) -> Result<()> {
    let wrapper = compiler(folder)?;
    let mut programs: Vec<_> = targets.iter().map(|target| target.program()).collect();
    programs.sort_unstable();
    programs.dedup();
    for (package, program) in programs {
        succeed(
            cargo()
                .args(["build", "--release", "--locked", "--package", package, "--features", "libfuzzer"])
                .args(["--bin", program, "--target", INSTRUCTION_SET, "--target-dir"])
                .arg(folder)
                // What would pass unnoticed in a release build shall not.
                .envs([
                    ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true"),
                    ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true"),
                ])
                .env("RUSTC_WORKSPACE_WRAPPER", &wrapper),
        )?;
    }
    Ok(())
}

/// The program of a target, to be run with inputs of `corpus`, into which it first writes those that it knows.
pub(super) fn command(target: Target, folder: &Path, corpus: &Path) -> Command {
    let mut command = Command::new(folder.join(INSTRUCTION_SET).join("release").join(target.program().1));
    command.env("FUZZ_SEEDS", corpus).env("FUZZ_TARGET", target.name());
    command
}

/// Writes a compiler that takes notes of this project's crates alone: what is seen in others leads nowhere.
fn compiler(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("rustc-with-coverage");
    fs::write(&path, script())
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn script() -> String {
    let comparing = COMPARING.map(|name| format!("*' --crate-name {name} '*")).join(" | ");
    format!(
        "#!/bin/sh\nnotes='{COVERAGE}'\ncase \" $* \" in\n{comparing}) notes=\"$notes {COMPARISONS}\" ;;\nesac\n\
         exec \"$@\" $notes\n"
    )
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
    fn comparisons_are_noted_where_numbers_are_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let compiler = compiler(folder.path()).unwrap();
        let given = |name: &str| {
            let output = Command::new(&compiler).args(["echo", "--crate-name", name, "a b"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(given("resctrl_fs"), format!("--crate-name resctrl_fs a b {COVERAGE}\n"));
        assert_eq!(given("resctrl_mpam"), format!("--crate-name resctrl_mpam a b {COVERAGE} {COMPARISONS}\n"));
    }
}
