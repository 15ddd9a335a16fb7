// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask test`.

use std::process::ExitCode;

use anyhow::{Result, bail};

/// Runs the unit tests.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Arguments for cargo-nextest
    #[arg(last = true)]
    pub(crate) nextest: Vec<String>,
}

pub(crate) fn run(_options: &Options) -> Result<ExitCode> {
    bail!("not wired up yet")
}
