// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask build-module` and the linter for the same code.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::kernels::{Arch, Kernel};
use crate::module_build::{self, panics, size};
use crate::toolroot::{ToolOptions, ToolRoot};
use crate::{docs, workspace};

/// Builds resctrl.ko for a guest kernel
///
/// A warning of the compiler, of objtool or of modpost is an error, and so is a symbol that the module did not
/// need from the kernel before, or a place in its Rust code that could panic and is not listed with the reason why it does
/// not. Prints the path of the module.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Guest kernel to build for
    #[arg(long, value_name = "NAME", default_value = "stock")]
    pub(crate) kernel: String,
    /// Instruction set of the guest
    #[arg(long, value_name = "ARCH", default_value = "amd64")]
    pub(crate) arch: Arch,
    /// Record the symbols that the module needs from this kernel, and where it could panic, as reviewed
    #[arg(long, conflicts_with = "kdir")]
    pub(crate) accept: bool,
    /// Print what the module is made of, in bytes
    #[arg(long)]
    pub(crate) size: bool,
    /// Bring that table in docs/performance.md up to date
    #[arg(long, requires = "size")]
    pub(crate) docs: bool,
    #[command(flatten)]
    pub(crate) tools: ToolOptions,
}

/// Builds the module and prints its path.
///
/// # Errors
///
/// An unknown kernel, missing tools, code that does not build, needs more of the kernel than was reviewed or could panic
/// elsewhere than was reviewed.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let kernel = Kernel::load(&options.kernel, options.arch)?;
    let tools = ToolRoot::ensure(&options.tools, std::slice::from_ref(&kernel))?;
    let module = module_build::ensure(&tools, &kernel)?;
    let symbols = fs::read_to_string(&module.undefined_symbols)
        .with_context(|| format!("cannot read {}", module.undefined_symbols.display()))?;
    println!("{}", module.path.display());
    if options.size {
        let sizes = size::of(&module.path)?.markdown();
        println!("{sizes}");
        if options.docs {
            let command = format!(
                "`cargo xtask build-module --size --arch {}` at {}:\n\n{sizes}",
                kernel.arch,
                workspace::commit()
            );
            docs::put("performance.md", &format!("size of the module for {}", kernel.arch), &command)?;
        }
    }
    let reviewed_path = reviewed_symbols(&kernel);
    if options.accept {
        fs::write(&reviewed_path, &symbols).with_context(|| format!("cannot write {}", reviewed_path.display()))?;
        if let Some(rust) = &module.plain_rust {
            panics::accept(rust, kernel.arch)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(rust) = &module.plain_rust {
        panics::check(rust, kernel.arch)?;
    }
    // A kernel of the user's or built here is configured differently, so that other symbols are inlined.
    if options.tools.kdir.is_some() || kernel.build.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    let reviewed = match fs::read_to_string(&reviewed_path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        other => other.with_context(|| format!("cannot read {}", reviewed_path.display()))?,
    };
    let new = unreviewed(&reviewed, &symbols);
    if new.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "error: the module needs symbols of the kernel that are not in {}: {}\n\
         (`cargo xtask build-module --kernel {} --arch {} --accept` records them)",
        reviewed_path.display(),
        new.join(", "),
        kernel.name,
        kernel.arch
    );
    Ok(ExitCode::FAILURE)
}

/// The list of symbols under review: what a new kernel must still export for the module to load.
fn reviewed_symbols(kernel: &Kernel) -> PathBuf {
    let arch = if kernel.arch == Arch::Amd64 { "" } else { ".arm64" };
    workspace::root().join(format!("qemu-images/module/undefined-symbols.{}{arch}.txt", kernel.name))
}

/// The lines of `needed` that are not in `reviewed`; a symbol no longer needed is no reason to fail.
fn unreviewed<'a>(reviewed: &str, needed: &'a str) -> Vec<&'a str> {
    needed.lines().filter(|symbol| !reviewed.lines().any(|known| known == *symbol)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_more_is_noticed_and_a_symbol_less_is_not() {
        assert_eq!(unreviewed("kfree\nkmalloc\n", "kfree\nprintk\n"), ["printk"]);
        assert!(unreviewed("kfree\nkmalloc\n", "kfree\n").is_empty());
        assert_eq!(unreviewed("", "kfree\n"), ["kfree"]);
    }
}
