// SPDX-License-Identifier: GPL-2.0-only
//! The rig: sets up QEMU and guest kernels, builds the module, boots it on emulated hardware and
//! compares it with the kernel's own resctrl.
//!
//! One module a subcommand; `cargo xtask --help` lists them.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

mod apt;
mod bench;
mod book;
mod build_module;
mod caches;
mod cargo_tool;
mod check_report;
mod checks;
mod ci;
mod cli;
mod completions;
mod console;
mod coverage;
mod crates;
mod differential;
mod disk;
mod docs;
mod doctor;
mod evidence;
mod files;
mod fuzz;
mod git;
mod guest;
mod initramfs;
mod judge;
mod junit;
mod kernel_build;
mod kernel_coverage;
mod kernels;
mod list;
mod machine;
mod man;
mod measured;
mod module_build;
mod mutants;
mod needs;
mod package;
mod plugin;
mod progress;
mod release;
mod report;
mod run_qemu;
mod rust_src;
mod scenario;
mod setup;
mod shell;
mod snapshot;
mod stages;
mod tee;
mod test_qemu;
mod timings;
mod toolroot;
mod unit_tests;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
