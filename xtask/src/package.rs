// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask package`.

pub(crate) mod deb;
pub(crate) mod dkms;
mod lint;
pub(crate) mod version;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::kernels::{Arch, Kernel};
use crate::toolroot::{ToolOptions, ToolRoot};
use crate::{module_build, workspace};
use version::Version;

/// The kernel whose headers the Rust code is linked with: what is linked is the same for all that the package is for.
const KERNEL: &str = "stock";

/// Makes Debian packages: `resctrl-rust-dkms` has resctrl.ko for every kernel of the machine that it is installed on
///
/// Prints where they are. The same commit, built in the same folder, makes the same bytes. docs/package.md says how they are used.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Instruction set, may be repeated
    #[arg(long, value_name = "ARCH", default_values_t = Arch::ALL)]
    arch: Vec<Arch>,
    /// Folder for them [default: target/package]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// The package's revision: the version is the workspace's with this after it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    revision: u32,
    /// Who answers for the package [default: who made the commit]
    #[arg(long, value_name = "NAME <MAIL>")]
    maintainer: Option<String>,
    /// Have Debian's lintian look at them: an error or a warning is a failure
    #[arg(long)]
    lint: bool,
    #[command(flatten)]
    tools: ToolOptions,
}

/// Makes the packages and prints where they are.
///
/// # Errors
///
/// Code that does not build; a folder that cannot be written; no commit to date them by.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    ensure!(options.tools.kdir.is_none(), "--kdir: packages are made for all kernels, not for one");
    let output = match &options.output {
        Some(folder) => std::path::absolute(folder)?,
        None => workspace::target().join("package"),
    };
    let version = Version::of_checkout(options.revision, options.maintainer.as_deref())?;
    let packages = make(&options.tools, &options.arch, &version, &output)?;
    for path in &packages {
        println!("{}", path.display());
    }
    if options.lint {
        lint::run(&options.tools, &packages)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the packages for `arches` in the folder `output`.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn make(options: &ToolOptions, arches: &[Arch], version: &Version, output: &Path) -> Result<Vec<PathBuf>> {
    let kernels = arches.iter().map(|&arch| Kernel::load(KERNEL, arch)).collect::<Result<Vec<_>>>()?;
    let tools = ToolRoot::ensure(options, &kernels)?;
    fs::create_dir_all(output).with_context(|| format!("cannot create {}", output.display()))?;
    let one = |kernel: &Kernel| {
        let module = module_build::sources(&tools, kernel)?;
        dkms::package(&module, kernel, version)?.write(output, version.epoch)
    };
    kernels.iter().map(one).collect()
}

/// Where guests have the packages of [`pair`].
pub(crate) const PLACES: [&str; 2] = ["rig/package/old.deb", "rig/package/new.deb"];

/// A package for guests with `kernel`, and one that replaces it.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn pair(tools: &ToolRoot, kernel: &Kernel) -> Result<[PathBuf; 2]> {
    let folder = workspace::target().join("package").join("of-scenarios");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let module = module_build::sources(tools, kernel)?;
    let one = |revision| {
        let version = Version::of_checkout(revision, None)?;
        dkms::package(&module, kernel, &version)?.write(&folder, version.epoch)
    };
    Ok([one(1)?, one(2)?])
}
