// SPDX-License-Identifier: GPL-2.0-only
//! Subcommands of cargo that this machine may not have: they are built from crates.io, once, at a version that builds with the
//! pinned toolchain.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::{apt, workspace};

/// The cargo that runs this.
pub(crate) fn program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// It, in the checkout.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(program());
    command.current_dir(workspace::root());
    command
}

/// A subcommand of cargo.
#[derive(Debug)]
pub(crate) struct CargoTool {
    /// Without `cargo-`.
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// For `cargo install`.
    pub(crate) flags: &'static [&'static str],
}

impl CargoTool {
    /// `program`, if it is this tool and runs.
    pub(crate) fn runs(&self, program: &Path) -> Option<PathBuf> {
        let output = Command::new(program).args([self.name, "--version"]).output().ok()?;
        output.status.success().then(|| program.to_owned())
    }

    /// The one that was built below `folder`.
    pub(crate) fn installed(&self, folder: &Path) -> Option<PathBuf> {
        self.runs(&self.program(folder))
    }

    fn root(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}-{}", self.name, self.version))
    }

    fn program(&self, folder: &Path) -> PathBuf {
        self.root(folder).join("bin").join(format!("cargo-{}", self.name))
    }

    /// Builds it below `folder`, unless an earlier run did.
    ///
    /// # Errors
    ///
    /// It does not build: no network, no compiler.
    pub(crate) fn ensure(&self, folder: &Path) -> Result<PathBuf> {
        let (root, name, version) = (self.root(folder), format!("cargo-{}", self.name), self.version);
        fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
        let _lock = apt::lock(&root.join("lock"))?;
        if let Some(program) = self.installed(folder) {
            return Ok(program);
        }
        eprintln!("{name} is not on this machine: building it into {}", root.display());
        let shell = Shell::new()?;
        shell.change_dir(workspace::root());
        let build = root.join("build");
        // The optimised build of its dependencies would take longer than it could ever save here.
        cmd!(shell, "cargo install {name} --version {version} --locked --debug")
            .args(self.flags)
            .arg("--root")
            .arg(&root)
            .env("CARGO_TARGET_DIR", &build)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .quiet()
            .run()
            .with_context(|| format!("cannot build {name}"))?;
        fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
        let program = self.program(folder);
        match self.runs(&program) {
            Some(program) => Ok(program),
            None => bail!("{} does not run", program.display()),
        }
    }
}
