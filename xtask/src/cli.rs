// SPDX-License-Identifier: GPL-2.0-only
//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::toolroot::default_cache;
use crate::{
    bench, book, build_module, caches, check_report, ci, completions, coverage, crates, disk, docs, doctor, evidence,
    fuzz, judge, kernel_coverage, list, man, mutants, package, plugin, release, run_qemu, setup, test_qemu, timings,
    unit_tests, workspace,
};

/// resctrl in Rust: builds it, boots it in QEMU on emulated hardware, tests it.
///
/// Nothing is installed on this machine: everything a guest needs is put into `target/` from
/// distribution packages.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Doctor(doctor::Options),
    Setup(setup::Options),
    BuildModule(build_module::Options),
    #[command(hide = true)]
    ClippyModule(build_module::ClippyOptions),
    RunQemu(run_qemu::Options),
    TestQemu(test_qemu::Options),
    CheckReport(check_report::Options),
    Judge(judge::Options),
    Package(package::Options),
    Plugin(plugin::Options),
    Test(unit_tests::Options),
    Coverage(coverage::Options),
    Mutants(mutants::Options),
    Bench(bench::Options),
    Caches(caches::Options),
    KernelCoverage(kernel_coverage::Options),
    Fuzz(fuzz::Options),
    Timings(timings::Options),
    Ci(ci::Options),
    List(list::Options),
    Docs(docs::Options),
    Evidence(evidence::Options),
    Book(book::Options),
    Crates(crates::Options),
    Man(man::Options),
    Completions(completions::Options),
    Release(release::Options),
}

/// The command line, described.
#[cfg(test)]
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

/// The command line with the name that it was called by: cargo sets a variable for what it runs.
fn described() -> clap::Command {
    match std::env::var_os("CARGO") {
        Some(_) => Cli::command(),
        None => Cli::command().name(man::NAME).bin_name(man::NAME),
    }
}

/// Parses the command line, runs the subcommand, and says why it failed if it did; the result is the exit code of the process.
/// A command line that does not parse does not return: clap prints the reason and exits with 2.
pub(crate) fn run() -> ExitCode {
    let matches = described().get_matches();
    let command = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).command;
    let failure = match command {
        // What keeps it from a verdict is no verdict.
        Command::TestQemu(_) | Command::RunQemu(_) | Command::Judge(_) => test_qemu::NO_VERDICT.into(),
        _ => ExitCode::FAILURE,
    };
    workspace::locate().and_then(|()| carry_out(command)).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        if let Some(advice) = disk::advice(&error, &disk::places(workspace::target(), cache(&matches))) {
            eprintln!("{advice}");
        }
        failure
    })
}

/// The folder for downloads that the command line names, or that is taken otherwise.
fn cache(matches: &ArgMatches) -> PathBuf {
    let given = matches.subcommand().and_then(|(_, matches)| matches.try_get_one::<PathBuf>("cache").ok().flatten());
    given.cloned().unwrap_or_else(default_cache)
}

fn carry_out(command: Command) -> Result<ExitCode> {
    match command {
        Command::Doctor(options) => doctor::run(&options),
        Command::Setup(options) => setup::run(&options),
        Command::BuildModule(options) => build_module::run(&options),
        Command::ClippyModule(options) => build_module::run_clippy(&options),
        Command::RunQemu(options) => run_qemu::run(&options),
        Command::TestQemu(options) => test_qemu::run(&options),
        Command::CheckReport(options) => check_report::run(&options),
        Command::Judge(options) => judge::run(&options),
        Command::Package(options) => package::run(&options),
        Command::Plugin(options) => plugin::run(&options),
        Command::Test(options) => unit_tests::run(&options),
        Command::Coverage(options) => coverage::run(&options),
        Command::Mutants(options) => mutants::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Caches(options) => caches::run(&options),
        Command::KernelCoverage(options) => kernel_coverage::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Timings(options) => timings::run(&options),
        Command::Ci(options) => ci::run(&options),
        Command::List(options) => list::run(&options),
        Command::Docs(options) => docs::run(&options),
        Command::Evidence(options) => evidence::run(&options),
        Command::Book(options) => book::run(&options),
        Command::Crates(options) => crates::run(&options),
        Command::Man(options) => man::run(&options, Cli::command()),
        Command::Release(options) => release::run(&options),
        Command::Completions(options) => completions::run(&options, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_folder_for_downloads_is_known_whatever_is_called() {
        let of = |arguments: &[&str]| super::cache(&super::command().get_matches_from(arguments));
        assert_eq!(of(&["xtask", "setup", "--cache", "/c"]).to_str(), Some("/c"));
        assert_eq!(of(&["xtask", "list", "machines"]), super::default_cache());
    }

    #[test]
    fn the_command_line_is_well_formed() {
        super::command().debug_assert();
    }
}
