// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask setup`.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::toolroot::ToolOptions;

/// Fetches QEMU, guest kernels, compiler and guest programs into `target/tools`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) tools: ToolOptions,
}

pub(crate) fn run(_options: &Options) -> Result<ExitCode> {
    bail!("not wired up yet")
}
