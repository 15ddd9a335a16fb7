// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask setup`.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::kernels::{Arch, Kernel};
use crate::module_build;
use crate::toolroot::{ToolOptions, ToolRoot};

/// Fetches QEMU, guest kernels, compiler and guest programs into `target/tools`
///
/// Everything comes from Debian packages and is only unpacked, never installed: the machine stays as it is, and
/// root is not needed. Every other subcommand does this by itself for what it needs; run it to prepare for
/// work without a network, or with --update to get newer versions.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Guest kernel to set up, may be repeated [default: stock]
    #[arg(long, value_name = "NAME")]
    pub(crate) kernel: Vec<String>,
    /// Instruction set of the machines to set up for, may be repeated
    #[arg(long, value_name = "ARCH", default_value = "amd64")]
    pub(crate) arch: Vec<Arch>,
    /// Fetch nothing: print the packages that all this would be made from now, with their versions
    #[arg(long, conflicts_with = "update")]
    pub(crate) resolve: bool,
    /// Replace what is installed by newer versions where there are any
    #[arg(long, conflicts_with = "offline")]
    pub(crate) update: bool,
    #[command(flatten)]
    pub(crate) tools: ToolOptions,
}

/// Sets up and prints what is there.
///
/// # Errors
///
/// An unknown kernel; anything that cannot be fetched or unpacked.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let start = Instant::now();
    let names = if options.kernel.is_empty() { vec!["stock".to_owned()] } else { options.kernel.clone() };
    let (kernels, _) = Kernel::load_all(&names, &options.arch)?;
    if options.resolve {
        for file in ToolRoot::resolved(&options.tools, &kernels)? {
            println!("{file}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let root = if options.update {
        ToolRoot::update(&options.tools, &kernels)?
    } else {
        ToolRoot::ensure(&options.tools, &kernels)?
    };
    module_build::fetch_crates(&root)?;
    for kernel in &kernels {
        let installed = root.kernel(kernel)?;
        println!(
            "kernel {} ({}): Linux {}, {}",
            kernel.name,
            kernel.arch,
            installed.release,
            installed.image.display()
        );
    }
    println!("rust library: {}", root.rust_library().display());
    println!("ready in {:.1} s", start.elapsed().as_secs_f32());
    Ok(ExitCode::SUCCESS)
}
