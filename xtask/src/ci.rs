// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask ci`.

use std::collections::VecDeque;
use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::toolroot::ToolOptions;
use crate::{cargo_tool, tee, workspace};

/// Runs what continuous integration runs: formatting, lints, module, unit tests, guests, performance
///
/// A step that fails does not keep the following ones from running; the last lines say which failed, and
/// repeat the end of what they printed if that went to a file.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Leave the guests out
    #[arg(long)]
    pub(crate) quick: bool,
    #[command(flatten)]
    pub(crate) tools: ToolOptions,
}

/// Lines of a failed step that are printed again at the end. Services that keep the log of a run show its end, some nothing else,
/// and after the step that failed comes what the others print.
const REPEATED: usize = 60;

/// Measures, and fails if what operations cost has become worse than the table that is committed.
const PERFORMANCE: [&str; 4] = ["bench", "--quick", "--against", "docs/performance/intel.json"];

/// Programs, files and root file systems in guests of `run-qemu`.
const VISITS: [&str; 9] =
    ["test", "--quiet", "--locked", "--package", "xtask", "--features", "guests", "--test", "visits"];

/// Subcommands that need nothing but cargo.
const WITHOUT_TOOLS: [&str; 2] = ["unit tests", "crates"];

/// What everybody runs, and hibernation.
const GUESTS: [&str; 3] = ["test-qemu", "--set", "SUSPEND_SECONDS=30"];

/// The plugin under a QEMU that is started by its own command line, and refused under others.
const PLUGIN: [&str; 2] = ["plugin", "--check"];

/// A few random sequences on both implementations: the two guests, the way to them, and what they say are tried, if little is found.
const SEQUENCES: [&str; 7] = ["test-qemu", "--impl", "both", "--scenario", "^differential$", "--ops", "200"];

/// The variable with flags about the tools, one a line, for tests that run subcommands (`xtask/tests/visits`).
const TOOL_FLAGS: &str = "RIG_TOOL_FLAGS";

/// A command and what it is called in the log.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// Runs all steps.
///
/// # Errors
///
/// A command that cannot be started at all.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let xtask = env::current_exe().context("cannot find this program")?;
    let folded = env::var_os("GITHUB_ACTIONS").is_some();
    let start = Instant::now();
    let steps = steps(&xtask, options);
    let mut failed = Vec::new();
    for step in &steps {
        let ended = run_step(step, &options.tools, folded)?;
        if !ended.passed {
            failed.push((step.name, ended.last));
        }
    }
    for (name, last) in failed.iter().filter(|(_, last)| !last.is_empty()) {
        println!("\n== {name} FAILED, and ended with:");
        last.iter().for_each(|line| println!("{line}"));
        println!();
    }
    let names: Vec<_> = failed.iter().map(|(name, _)| *name).collect();
    println!("{}", verdict(steps.len(), &names, start.elapsed()));
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn steps(xtask: &Path, options: &Options) -> Vec<Step> {
    let cargo = || PathBuf::from(cargo_tool::program());
    let step = |name, program, arguments: &[&str]| Step {
        name,
        program,
        arguments: arguments.iter().map(OsString::from).collect(),
    };
    let mut steps = vec![
        step("formatting", cargo(), &["fmt", "--all", "--check"]),
        step(
            "lints",
            cargo(),
            &[
                "clippy",
                "--locked",
                "--workspace",
                "--exclude",
                "resctrl-module",
                "--features",
                "xtask/guests",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
        ),
        step("lints of the module", xtask.to_owned(), &["clippy-module"]),
        step("module", xtask.to_owned(), &["build-module"]),
        step("module for arm64", xtask.to_owned(), &["build-module", "--arch", "arm64"]),
        step("unit tests", xtask.to_owned(), &["test"]),
        step("book", xtask.to_owned(), &["book"]),
        step("crates", xtask.to_owned(), &["crates"]),
    ];
    if !options.quick {
        steps.push(step("guests", xtask.to_owned(), &GUESTS));
        // Of the run before.
        steps.push(step("report", xtask.to_owned(), &["check-report"]));
        steps.push(step("guests for arm64", xtask.to_owned(), &["test-qemu", "--machine", "mpam"]));
        steps.push(step("programs in guests", cargo(), &VISITS));
        steps.push(step("plugin", xtask.to_owned(), &PLUGIN));
        steps.push(step("plugin for arm64", xtask.to_owned(), &[&PLUGIN[..], &["--machine", "mpam"]].concat()));
        steps.push(step("random sequences", xtask.to_owned(), &SEQUENCES));
        steps.push(step("performance", xtask.to_owned(), &PERFORMANCE));
    }
    for step in &mut steps {
        if step.program == xtask && !WITHOUT_TOOLS.contains(&step.name) {
            step.arguments.extend(options.tools.arguments());
        }
    }
    steps
}

/// How a step ended.
struct Ended {
    passed: bool,
    /// The last lines that it printed, unless they are on a terminal.
    last: VecDeque<String>,
}

fn run_step(step: &Step, tools: &ToolOptions, folded: bool) -> Result<Ended> {
    println!("{}{}", if folded { "::group::" } else { "== " }, step.name);
    let start = Instant::now();
    let command = duct::cmd(&step.program, &step.arguments)
        .dir(workspace::root())
        // The profile of .config/nextest.toml that keeps quiet and writes JUnit.
        .env("NEXTEST_PROFILE", "ci")
        // What tests give to the commands that they run.
        .env(TOOL_FLAGS, tools.arguments().join("\n".as_ref()))
        .unchecked();
    // On a terminal, programs draw their progress, and whoever looks can scroll.
    let ended = if io::stdout().is_terminal() {
        command.run().map(|output| Ended { passed: output.status.success(), last: VecDeque::new() })
    } else {
        pass_on(&command, &mut io::stdout())
    };
    let ended = ended.with_context(|| format!("cannot run {}", step.program.display()))?;
    if folded {
        println!("::endgroup::");
    }
    let result = if ended.passed { "passed" } else { "FAILED" };
    println!("{}: {result} in {} s", step.name, start.elapsed().as_secs());
    Ok(ended)
}

/// Runs a command, passes on what it prints, and keeps the last lines.
fn pass_on(command: &duct::Expression, to: &mut impl Write) -> io::Result<Ended> {
    let mut last = VecDeque::with_capacity(REPEATED);
    let passed = tee::run(&command.stderr_to_stdout(), to, |line| {
        if last.len() == REPEATED {
            last.pop_front();
        }
        last.push_back(line.to_owned());
    })?;
    Ok(Ended { passed, last })
}

/// The closing line.
fn verdict(steps: usize, failed: &[&str], time: Duration) -> String {
    let mut line = String::from("ci: ");
    // Writing to a string cannot fail.
    let _ = if failed.is_empty() {
        write!(line, "all {steps} steps passed")
    } else {
        write!(line, "{} of {steps} steps FAILED: {}", failed.len(), failed.join(", "))
    };
    line + &format!(" ({} min {} s)", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(quick: bool) -> Vec<&'static str> {
        let options = Options { quick, tools: ToolOptions::default() };
        steps("xtask".as_ref(), &options).into_iter().map(|step| step.name).collect()
    }

    #[test]
    fn the_quick_run_leaves_only_the_guests_out() {
        let mut all = names(false);
        let guests = [
            "guests",
            "report",
            "guests for arm64",
            "programs in guests",
            "plugin",
            "plugin for arm64",
            "random sequences",
            "performance",
        ];
        assert_eq!(all.split_off(all.len() - guests.len()), guests);
        assert_eq!(all, names(true));
    }

    #[test]
    fn tool_flags_reach_the_steps_that_need_the_tools() {
        let tools = ToolOptions { mirror: Some("http://m".into()), offline: true, ..ToolOptions::default() };
        let options = Options { quick: false, tools };
        let with_flags: Vec<_> = steps("xtask".as_ref(), &options)
            .into_iter()
            .filter(|step| step.arguments.ends_with(&["--offline".into(), "--mirror".into(), "http://m".into()]))
            .map(|step| step.name)
            .collect();
        let needing = [
            "lints of the module",
            "module",
            "module for arm64",
            "book",
            "guests",
            "report",
            "guests for arm64",
            "plugin",
            "plugin for arm64",
            "random sequences",
            "performance",
        ];
        assert_eq!(with_flags, needing);
    }

    #[test]
    fn the_workflow_has_every_machine_in_its_matrix() {
        let root = workspace::root();
        let workflow = std::fs::read_to_string(root.join(".github/workflows/ci.yml")).expect("it is there");
        // The matrix of each instruction set is one line.
        let lists = workflow.lines().filter_map(|line| line.trim().strip_prefix("machine: [")?.strip_suffix(']'));
        let mut listed: Vec<_> = lists.flat_map(|list| list.split(", ")).map(str::to_owned).collect();
        listed.sort();
        assert_eq!(listed, crate::machine::names(crate::guest::platform::Kind::Qemu).expect("the folder is there"));
    }

    #[test]
    fn the_workflow_measures_and_boots_as_the_command_does() {
        let workflow = workspace::root().join(".github/workflows/ci.yml");
        let workflow = std::fs::read_to_string(workflow).expect("it is there");
        let measure = format!("- run: cargo xtask {}", PERFORMANCE.join(" "));
        let visit = format!("- run: cargo {}", VISITS.join(" "));
        for command in [measure, visit] {
            assert!(workflow.lines().any(|line| line.trim() == command), "{command}");
        }
    }

    #[test]
    fn the_last_lines_of_a_step_are_kept_and_all_are_passed_on() {
        let command = duct::cmd("sh", ["-c", "seq 100; echo fault >&2; exit 3"]).unchecked();
        let mut passed_on = Vec::new();
        let ended = pass_on(&command, &mut passed_on).unwrap();
        assert!(!ended.passed);
        assert_eq!(ended.last.len(), REPEATED);
        assert_eq!(ended.last.back().map(String::as_str), Some("fault"));
        assert_eq!(passed_on.iter().filter(|byte| **byte == b'\n').count(), 101);
    }

    #[test]
    fn a_step_that_ends_well_has_passed() {
        let ended = pass_on(&duct::cmd!("echo", "done").unchecked(), &mut io::sink()).unwrap();
        assert!(ended.passed);
        assert_eq!(ended.last, ["done"]);
    }

    #[test]
    fn the_closing_line_names_what_failed() {
        assert_eq!(verdict(5, &[], Duration::from_secs(125)), "ci: all 5 steps passed (2 min 5 s)");
        assert_eq!(
            verdict(5, &["lints", "guests"], Duration::from_secs(9)),
            "ci: 2 of 5 steps FAILED: lints, guests (0 min 9 s)"
        );
    }
}
