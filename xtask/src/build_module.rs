// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask build-module`.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::toolroot::ToolOptions;

/// Builds resctrl.ko for a guest kernel.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) tools: ToolOptions,
}

pub(crate) fn run(_options: &Options) -> Result<ExitCode> {
    bail!("not wired up yet")
}
