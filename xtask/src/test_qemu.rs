// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask test-qemu`.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::toolroot::ToolOptions;

/// Runs the guest scenarios and compares their results.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) tools: ToolOptions,
}

pub(crate) fn run(_options: &Options) -> Result<ExitCode> {
    bail!("not wired up yet")
}
