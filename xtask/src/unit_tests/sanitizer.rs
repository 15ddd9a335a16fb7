// SPDX-License-Identifier: GPL-2.0-only
//! Unit tests under one of the compiler's sanitizers: code that the compiler instruments, so that a wrong access ends the
//! program with a report.
//!
//! The pinned toolchain has the sanitizers but not the options to switch them on, which `RUSTC_BOOTSTRAP` unlocks; miri,
//! which would see more, it has not.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

use crate::rust_src::Source;
use crate::workspace;

/// What the tests are watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sanitizer {
    /// Use of freed memory, accesses out of bounds: everything, the schedules of the simulated kernel too
    Address,
    /// Data races: whatever uses threads of the host
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

    /// The tests that can run so, as arguments of nextest.
    ///
    /// The simulated kernel switches stacks under one thread of the host. The address sanitizer does not mind, the thread
    /// sanitizer does: it keeps a stack of its own for each thread. What remains to it are the tests of the reference count
    /// with real threads, and of the emulated hardware, which every CPU of a guest calls.
    const fn tests(self) -> &'static [&'static str] {
        match self {
            Self::Address => &[
                "--package=resctrl-types",
                "--package=resctrl-fs",
                "--package=resctrl-x86",
                "--package=resctrl-mpam",
                "--package=resctrl-hardware",
            ],
            Self::Thread => &["--package=resctrl-types", "--package=resctrl-hardware"],
        }
    }

    /// A command of cargo that builds with the sanitizer, into a target folder of its own.
    fn instrument(self, command: &mut Command) -> Result<()> {
        let rustc = Command::new("rustc").current_dir(workspace::root()).arg("-vV").output();
        let Output { stdout, .. } = rustc.context("cannot run rustc")?;
        let text = String::from_utf8_lossy(&stdout);
        let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("`rustc -vV` prints no host")?;
        command
            // With a target build scripts and macros, which run in the compiler, stay as they are.
            .args(["--target", host])
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", format!("-Zsanitizer={}", self.name()))
            .env("CARGO_TARGET_DIR", workspace::target().join(format!("sanitizer-{}", self.name())))
            // Stacks are the simulated kernel's, and Shuttle leaks those of a schedule that was to fail. A test asks for more
            // memory than there is, and must be told so.
            .env("ASAN_OPTIONS", "detect_stack_use_after_return=0:detect_leaks=0:allocator_may_return_null=1")
            .env("TSAN_OPTIONS", "allocator_may_return_null=1");
        if self == Self::Thread {
            // Its runtime must see what the standard library does, too.
            let library = Source::find()?.library();
            if !library.is_dir() {
                bail!("there is no source of the standard library: `cargo xtask setup` fetches it");
            }
            command.arg("-Zbuild-std").env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
        }
        Ok(())
    }

    /// Sees that the mistake on purpose is reported: a run without a report means something then.
    ///
    /// # Errors
    ///
    /// It is not, or cargo cannot be run.
    pub(super) fn prove(self) -> Result<()> {
        let (example, report) = self.mistake();
        let mut command = super::cargo();
        command.args(["run", "--quiet", "--locked", "--package", "resctrl-types", "--example", example]);
        self.instrument(&mut command)?;
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
    pub(super) fn tests_with(self, nextest: &Path, filter: &[String]) -> Result<Command> {
        let mut command = Command::new(nextest);
        command.args(["nextest", "run", "--locked"]).args(self.tests());
        self.instrument(&mut command)?;
        command.args(filter);
        Ok(command)
    }
}
