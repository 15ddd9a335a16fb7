// SPDX-License-Identifier: GPL-2.0-only
//! Flags of the subcommands that run scenarios.

use std::collections::BTreeMap;
use std::time::Duration;

use regex::Regex;

use crate::differential::Asked;
use crate::run_qemu::parse_setting;

/// Seconds that a guest may boot.
const BOOT_TIMEOUT: u64 = 90;

/// Which scenarios run, and how.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ScenarioOptions {
    /// Only scenarios whose name this regular expression matches somewhere; may be repeated
    #[arg(long = "scenario", value_name = "PATTERN")]
    pub(crate) patterns: Vec<Regex>,
    /// Parameter for scenarios, for example STRESS_SECONDS=3600; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// Scenario `differential`: what its random sequences are made from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Scenario `differential`: operations to compare, on each machine
    #[arg(long, value_name = "M", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    ops: u64,
    /// Guests at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: u16,
    /// Time limit of a boot, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = BOOT_TIMEOUT, value_parser = clap::value_parser!(u64).range(1..))]
    boot_timeout: u64,
}

impl ScenarioOptions {
    /// Random sequences.
    pub(crate) fn sequences(&self) -> Asked {
        Asked { seed: self.seed, operations: self.ops }
    }

    /// Time limit of a boot.
    pub(crate) fn boot_limit(&self) -> Duration {
        Duration::from_secs(self.boot_timeout)
    }

    /// Parameters of scenarios.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        self.settings.iter().cloned().collect()
    }

    /// The time limit as a flag, unless it is the usual one.
    pub(crate) fn boot_timeout_flag(&self) -> Option<[String; 2]> {
        (self.boot_timeout != BOOT_TIMEOUT).then(|| ["--boot-timeout".to_owned(), self.boot_timeout.to_string()])
    }
}
