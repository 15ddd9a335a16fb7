// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask man`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Command;

use crate::workspace;

/// Writes manual pages: one of the rig, and one of each subcommand
///
/// To have them found by man: --output ~/.local/share/man/man1
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder for them [default: target/man]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// What the rig is called where it is installed, and its pages are.
pub(crate) const NAME: &str = "resctrl-rig";

/// Writes the pages of `command` and prints where they are.
///
/// # Errors
///
/// A file cannot be written.
pub(crate) fn run(options: &Options, command: Command) -> Result<ExitCode> {
    let output = options.output.clone().unwrap_or_else(|| workspace::target().join("man"));
    write(&output, command)?;
    println!("{}", output.display());
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path, command: Command) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let command = command.name(NAME).bin_name(NAME);
    clap_mangen::generate_to(command, folder).with_context(|| format!("cannot write to {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_has_a_page_with_its_flags() {
        let folder = tempfile::tempdir().unwrap();
        let command = crate::cli::command();
        write(folder.path(), command.clone()).unwrap();
        let page = |name: &str| fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap();
        for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
            let text = page(&format!("{NAME}-{}", subcommand.get_name()));
            assert!(text.contains(".SH DESCRIPTION"), "{text}");
            for flag in subcommand.get_arguments().filter_map(clap::Arg::get_long) {
                let escaped = flag.replace('-', "\\-");
                assert!(text.contains(&format!("\\-\\-{escaped}")), "{}: --{flag}", subcommand.get_name());
            }
        }
        assert!(page(NAME).contains("\nresctrl\\-rig\\-test\\-qemu(1)\n"));
    }
}
