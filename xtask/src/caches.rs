// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask caches`: what can only be said of caches that follow what a guest does by comparing guests.

mod boot;
mod cost;
mod repeat;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// Compares guests whose caches follow what they do: with each other, and with guests whose caches are still
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Repeat(repeat::Options),
    Cost(cost::Options),
}

/// Compares.
///
/// # Errors
///
/// A guest does not come to its end, or what it is made from cannot be had.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    match &options.what {
        What::Repeat(options) => repeat::run(options),
        What::Cost(options) => cost::run(options),
    }
}
