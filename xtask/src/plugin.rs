// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask plugin`: the emulated hardware for a QEMU that somebody else starts.

mod check;
mod parts;
mod refusals;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::guest::platform::Kind;
use crate::guest::{interrupt, programs};
use crate::kernels::Kernel;
use crate::toolroot::{ToolOptions, ToolRoot};
use crate::{list, machine, workspace};
use parts::Parts;

/// Builds the plugin for a QEMU of yours, and prints the command line that puts a machine under its guest
///
/// The folder gets the plugin, the machine all in one file, for Arm the ACPI tables for the initial RAM disk, and a script that
/// is QEMU with all that: it takes QEMU's other arguments. docs/plugin.md has plain QEMU, virtme-ng, libvirt and kunit.py.
///
/// The command line is all there is on standard output. `-kernel` and what else the guest needs is to be added to it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Machine to emulate: a file of qemu-images/machines/ without .toml, or a file of your own (docs/machines.md)
    #[arg(long, value_name = "NAME|FILE", default_value = "intel")]
    machine: String,
    /// Folder for it all [default: target/qemu-plugin/MACHINE]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Boot a kernel by that command line, compare what its own resctrl shows with the machine, and see other arguments refused
    #[arg(long)]
    check: bool,
    /// Kernel for that: a file of qemu-images/kernels/ without .toml
    #[arg(long, value_name = "NAME", default_value = "stock", requires = "check")]
    kernel: String,
    #[command(flatten)]
    tools: ToolOptions,
}

/// Makes the folder and prints the command line.
///
/// # Errors
///
/// The machine is none or has no such hardware; QEMU is missing and cannot be fetched; the plugin does not build; the folder
/// cannot be written; with `--check`: what the guest shows is not the machine.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let machine = machine::load(&options.machine, Kind::Qemu)?;
    ensure!(
        machine.hardware.has_controls(),
        "machine `{}` has neither [rdt] nor [qos] nor [mpam]: there is nothing to emulate",
        machine.name
    );
    let arch = machine.arch();
    let kernels =
        if options.check { Kernel::load_all(std::slice::from_ref(&options.kernel), &[arch])?.0 } else { vec![] };
    interrupt::install()?;
    let tools = match kernels.is_empty() {
        true => ToolRoot::with_emulator(&options.tools, arch)?,
        false => ToolRoot::ensure(&options.tools, &kernels)?,
    };
    let folder = match &options.out {
        Some(folder) => std::path::absolute(folder)?,
        None => workspace::target().join("qemu-plugin").join(machine.name.to_string()),
    };
    let parts = Parts::make(&machine, &programs::plugin()?, &tools, folder)?;
    list::print(&format!("{}\n", parts.command_line()))?;
    eprintln!("{}", parts.notes());
    for kernel in &kernels {
        check::run(&parts, kernel, &tools)?;
        refusals::run(&parts, kernel, &tools)?;
    }
    Ok(ExitCode::SUCCESS)
}
