// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask build-module` and the linter for the same code.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::kernels::Kernel;
use crate::module_build;
use crate::toolroot::{ToolOptions, ToolRoot};

/// Builds resctrl.ko for a guest kernel
///
/// A warning of the compiler, of objtool or of modpost is an error. Prints the path of the module.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Guest kernel to build for
    #[arg(long, value_name = "NAME", default_value = "stock")]
    pub(crate) kernel: String,
    #[command(flatten)]
    pub(crate) tools: ToolOptions,
}

/// Builds the module and prints its path.
///
/// # Errors
///
/// An unknown kernel, missing tools, code that does not build.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let kernel = Kernel::load(&options.kernel)?;
    let tools = ToolRoot::ensure(&options.tools, std::slice::from_ref(&kernel))?;
    let module = module_build::ensure(&tools, &kernel)?;
    let symbols = fs::read_to_string(&module.undefined_symbols)
        .with_context(|| format!("cannot read {}", module.undefined_symbols.display()))?;
    eprintln!("needs {} symbols of the kernel: {}", symbols.lines().count(), module.undefined_symbols.display());
    println!("{}", module.path.display());
    Ok(ExitCode::SUCCESS)
}

/// Runs clippy on the module's Rust code for the bare target
#[derive(Debug, clap::Args)]
pub(crate) struct ClippyOptions {
    #[command(flatten)]
    pub(crate) tools: ToolOptions,
}

/// Runs clippy on the module; warnings are errors.
///
/// # Errors
///
/// Missing tools, or a finding.
pub(crate) fn run_clippy(options: &ClippyOptions) -> Result<ExitCode> {
    let tools = ToolRoot::ensure(&options.tools, &[])?;
    module_build::clippy(&tools)?;
    Ok(ExitCode::SUCCESS)
}
