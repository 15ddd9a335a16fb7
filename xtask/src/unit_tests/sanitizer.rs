// SPDX-License-Identifier: GPL-2.0-only
//! Unit tests under one of the compiler's sanitizers: code that the compiler instruments, so that a wrong access ends the
//! program with a report.
//!
//! The pinned toolchain has the sanitizers but not the options to switch them on, which `RUSTC_BOOTSTRAP` unlocks; miri,
//! which would see more, it has not.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

use crate::toolroot::ToolOptions;
use crate::{toolroot, workspace};

/// What the tests are watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sanitizer {
    /// Use of memory that was given back, of stacks too, and accesses out of bounds
    Address,
    /// Data races of threads of the host; those of the simulated kernel are one to it
    Thread,
}

impl Sanitizer {
    const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Thread => "thread",
        }
    }

    /// The example that makes the mistake on purpose, and what the report of it calls it.
    const fn mistake(self) -> (&'static str, &'static str) {
        match self {
            Self::Address => ("use_after_free", "heap-use-after-free"),
            Self::Thread => ("data_race", "data race"),
        }
    }

    /// A command of cargo that builds with the sanitizer, into a target folder of its own.
    fn instrument(self, command: &mut Command, tools: &ToolOptions) -> Result<()> {
        let rustc = Command::new("rustc").current_dir(workspace::root()).arg("-vV").output();
        let Output { stdout, .. } = rustc.context("cannot run rustc")?;
        let text = String::from_utf8_lossy(&stdout);
        let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("`rustc -vV` prints no host")?;
        command
            // With a target build scripts and macros, which run in the compiler, stay as they are.
            .args(["--target", host])
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", format!("-Zsanitizer={}", self.name()))
            .env("CARGO_TARGET_DIR", workspace::target().join(format!("sanitizer-{}", self.name())));
        if self == Self::Thread {
            // Its runtime must see what the standard library does, too.
            let library = toolroot::rust_library(tools)?;
            command.arg("-Zbuild-std").env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
        }
        // Tests that build something build it as it is without all this.
        let runner = format!("CARGO_TARGET_{}_RUNNER", host.to_uppercase().replace('-', "_"));
        let names = command.get_envs().map(|(name, _)| name.to_string_lossy().into_owned()).chain([runner.clone()]);
        let unset = names.fold("env".to_owned(), |command, name| format!("{command} -u {name}"));
        command
            .env(runner, unset)
            // Shuttle leaks the stacks of a schedule that was to fail. A test asks for more memory than there is, and must be told
            // so.
            .env("ASAN_OPTIONS", "detect_leaks=0:allocator_may_return_null=1")
            .env("TSAN_OPTIONS", "allocator_may_return_null=1");
        Ok(())
    }

    /// Sees that the mistake on purpose is reported: a run without a report means something then.
    ///
    /// # Errors
    ///
    /// It is not, or cargo cannot be run.
    pub(super) fn prove(self, tools: &ToolOptions) -> Result<()> {
        let (example, report) = self.mistake();
        let mut command = super::cargo();
        command.args(["run", "--quiet", "--locked", "--package", "resctrl-types", "--example", example]);
        self.instrument(&mut command, tools)?;
        let output = command.current_dir(workspace::root()).output().context("cannot run cargo")?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() || !said.contains(report) {
            bail!("the {} sanitizer does not notice the mistake in the example {example}:\n{said}", self.name());
        }
        println!("the {} sanitizer reports the {report} of the example {example}", self.name());
        Ok(())
    }

    /// The tests under the sanitizer.
    ///
    /// # Errors
    ///
    /// As [`Sanitizer::prove`].
    pub(super) fn tests_with(self, nextest: &Path, filter: &[String], tools: &ToolOptions) -> Result<Command> {
        let mut command = Command::new(nextest);
        command.args(["nextest", "run", "--locked", "--profile", "sanitizer"]).args(super::EVERYTHING);
        self.instrument(&mut command, tools)?;
        command.args(filter);
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_test_builds_is_built_without_the_sanitizer_that_watches_it() {
        let mut command = Command::new("cargo");
        Sanitizer::Address.instrument(&mut command, &ToolOptions::default()).unwrap();
        let set = |name: &str| command.get_envs().any(|(set, _)| set == name);
        assert!(set("RUSTFLAGS") && set("RUSTC_BOOTSTRAP") && set("ASAN_OPTIONS"));
        let (_, runner) = command.get_envs().find(|(name, _)| name.to_string_lossy().ends_with("_RUNNER")).unwrap();
        let mut test = Command::new("sh");
        test.arg("-c").arg(format!("{} env", runner.unwrap().to_string_lossy()));
        test.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        test.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let seen = String::from_utf8(test.output().unwrap().stdout).unwrap();
        let mut names: Vec<_> = seen.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        names.retain(|name| !["PATH", "PWD", "SHLVL", "_", "OLDPWD"].contains(name));
        names.sort();
        assert_eq!(names, ["ASAN_OPTIONS", "TSAN_OPTIONS"]);
    }
}
