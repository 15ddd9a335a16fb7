// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask run-qemu`.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::toolroot::ToolOptions;

/// Boots a guest and gives a shell in it, or runs a script as root there.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) tools: ToolOptions,
}

pub(crate) fn run(_options: &Options) -> Result<ExitCode> {
    bail!("not wired up yet")
}
