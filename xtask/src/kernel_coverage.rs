// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask kernel-coverage`.

mod counts;
mod gcov;
mod reasons;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use regex::Regex;

use crate::guest::debugging::Debugging;
use crate::guest::interrupt;
use crate::guest::platform::{Kind, PlatformOptions};
use crate::kernels::{Arch, Kernel};
use crate::machine::{self, Chosen};
use crate::scenario::known::KnownDifferences;
use crate::scenario::{self, Case, Implementation, Selection};
use crate::shell::word;
use crate::stages::Stages;
use crate::test_qemu::outcome::Verdict;
use crate::test_qemu::rig::{Demands, Rig, Work};
use crate::test_qemu::scenario_options::ScenarioOptions;
use crate::test_qemu::{self, run_folder};
use crate::toolroot::{ToolOptions, ToolRoot};
use crate::{docs, workspace};
use counts::Counts;
use gcov::Reader;
use reasons::Reasons;
use report::{Guest, Report};

/// The kernel that counts.
const KERNEL: &str = "gcov";

/// The scenario with the kernel's own tests.
const SELFTESTS: &str = "selftests";

/// Scenarios that run only if they are asked for: those of caches that follow programs, which take long and say nothing of other
/// code than the rest does, and those that need what this kernel has not (SELinux, CPUs that are left alone, namespaces).
const LEFT_OUT: &str = "^(caches|labels$|nohz$|security$)";

/// The folder of the kernel's source with the file system.
const FILE_SYSTEM: &str = "fs/resctrl";

/// Why what no scenario reaches is not reached.
const REASONS: &str = "qemu-images/guest/unreached.toml";

/// The page of the documentation with the tables.
const PAGE: &str = "kernel-coverage.md";

/// Machines that together reach what all do.
const fn machines(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::Amd64 => &[
            "intel",
            "amd",
            "amd-abmc",
            "amd-sdciae",
            "intel-pseudo-lock",
            "intel-pseudo-lock-perf",
            "intel-snc",
            "intel-haswell",
            "intel-cdp",
            "intel-aet",
            "intel-aet-few",
            "intel-aet-broken",
            "intel-big",
            "intel-nonlinear-mba",
            "intel-skylake",
        ],
        Arch::Arm64 => &[
            "mpam",
            "mpam-2l3",
            "mpam-l2",
            "mpam-ris",
            "mpam-narrow",
            "mpam-few-monitors",
            "mpam-no-monitors",
            "mpam-split",
            "mpam-t241",
            "mpam-vhe",
            "mpam-wide",
            "mpam-cmax",
            "mpam-broken-partids",
            "mpam-broken-widths",
            "mpam-broken-version",
            "mpam-broken-cache-ids",
            "mpam-broken-checksum",
        ],
    }
}

/// Says which lines of the kernel's own resctrl, in C, the scenarios reach.
///
/// Boots a kernel whose resctrl counts how often each line and branch runs (built here the first time), runs scenarios on it, and
/// adds up what all guests have counted: for each file, beside what Linux's own selftests reach alone; for each machine; and
/// what no scenario reaches, by function, with the reason that qemu-images/guest/unreached.toml gives. The run's folder has
/// it as coverage.json and coverage.html.
///
/// Without --scenario: those that `test-qemu` runs unasked but for a few, and the selftests. What was counted while the kernel boots is in
/// both figures.
///
/// The exit code is 1 if a scenario failed, or less than --at-least of the file system's lines run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Instruction set [default: that of the machines, or amd64]
    #[arg(long, value_name = "ARCH", conflicts_with = "machines")]
    arch: Option<Arch>,
    /// Machine to run on; may be repeated [default: those that together reach the most]
    #[arg(long = "machine", value_name = "NAME")]
    machines: Vec<String>,
    #[command(flatten)]
    scenarios: ScenarioOptions,
    /// Add what this earlier run has counted, a folder below target/rig; may be repeated
    #[arg(long = "with", value_name = "RUN")]
    earlier: Vec<PathBuf>,
    /// Boot nothing: add up the runs that --with names
    #[arg(long, requires = "earlier")]
    no_guests: bool,
    /// Fail if less than so many per cent of the file system's lines run
    #[arg(long, value_name = "PERCENT")]
    at_least: Option<f64>,
    /// Bring the tables of docs/kernel-coverage.md up to date
    #[arg(long)]
    docs: bool,
    #[command(flatten)]
    tools: ToolOptions,
}

impl Options {
    fn machines(&self) -> Result<Vec<Chosen>> {
        let unasked = machines(self.arch.unwrap_or(Arch::Amd64)).iter().map(|&name| name.to_owned());
        let names = if self.machines.is_empty() { unasked.collect() } else { self.machines.clone() };
        let machines = machine::load_all(&names, Kind::Qemu)?;
        let arch = machines[0].arch();
        ensure!(machines.iter().all(|machine| machine.arch() == arch), "the machines are of two instruction sets");
        Ok(machines)
    }

    /// The command that does it again.
    fn command(&self) -> String {
        let mut words = vec!["cargo xtask kernel-coverage".to_owned()];
        words.extend(self.arch.map(|arch| format!("--arch {arch}")));
        words.extend(self.machines.iter().map(|machine| format!("--machine {}", word(machine))));
        words.extend(self.scenarios.patterns.iter().map(|pattern| format!("--scenario {}", word(pattern.as_str()))));
        for (name, value) in &self.scenarios.settings {
            words.push(format!("--set {}", word(&format!("{name}={value}"))));
        }
        words.extend(self.earlier.iter().map(|run| format!("--with {}", word(&run.to_string_lossy()))));
        words.join(" ")
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    interrupt::install()?;
    let machines = options.machines()?;
    let kernel = Kernel::load(KERNEL, machines[0].arch())?;
    let watched = kernel.build.as_ref().and_then(|recipe| recipe.watched.as_ref()).context("nothing in it counts")?;
    let reasons = Reasons::load(&workspace::root().join(REASONS), kernel.arch)?;
    let tools = ToolRoot::ensure(&options.tools, std::slice::from_ref(&kernel))?;
    let reader =
        Reader { gcov: tools.gcov()?, notes: tools.compiler_notes(&kernel)?, folders: watched.folders.clone() };
    let folder = run_folder::create()?;
    let mut failed = 0;
    if !options.no_guests {
        failed = match count(options, &machines, &kernel, &folder) {
            Err(_) if interrupt::requested() => {
                eprintln!("interrupted; every guest is gone. What was counted: {}", folder.display());
                return Ok(interrupt::EXIT_CODE.into());
            }
            failed => failed?,
        };
    }
    let mut guests = Vec::new();
    for run in options.earlier.iter().chain([&folder]) {
        guests.extend(guests_of(run, &reader)?);
    }
    ensure!(!guests.is_empty(), "no guest has handed over what it counted");
    let origin = [options.command(), workspace::commit(), tools.kernel(&kernel)?.release];
    let report = Report::new(origin, &reader.folders, guests, &reasons);
    conclude(options, &report, &folder, machines[0].arch())?;
    for outdated in reasons.outdated(&report.all) {
        println!("{REASONS}: {outdated}");
    }
    let enough = options.at_least.is_none_or(|percent| report.file_system().percent() >= percent);
    println!("{}; {failed} cases failed", report.summary());
    Ok(if failed == 0 && enough { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the scenarios; returns how many failed.
fn count(options: &Options, machines: &[Chosen], kernel: &Kernel, folder: &Path) -> Result<usize> {
    let guest = workspace::root().join("qemu-images/guest");
    let scenarios = scenario::load(&guest.join("scenarios"))?;
    let kernels = std::slice::from_ref(kernel);
    let select = |patterns: &[Regex]| {
        let implementations = &[Implementation::Kernel];
        Selection { machines, kernels, implementations, patterns, shard: None }.cases(&scenarios)
    };
    let mut settings = options.scenarios.settings();
    let mut cases = select(&options.scenarios.patterns)?;
    if options.scenarios.patterns.is_empty() {
        let left_out = Regex::new(LEFT_OUT)?;
        cases.retain(|case| !left_out.is_match(&case.scenario.name));
        // No machine may have what they need.
        cases.extend(select(&[Regex::new(&format!("^{SELFTESTS}$"))?]).unwrap_or_default());
        test_qemu::shorten(&mut settings, &cases);
    }
    let differences = KnownDifferences::load(&guest.join("known-differences.toml"), &scenarios)?;
    for case in &mut cases {
        case.known = differences.of(case);
    }
    test_qemu::check_settings(&settings, &cases)?;
    // Two guests that are compared are not asked what they have counted.
    let cases: Vec<Case> = cases.into_iter().filter(|case| !case.scenario.lockstep).collect();
    let platform = PlatformOptions::default();
    let mut stages = Stages::default();
    let mut rig = Rig::new(Demands {
        tools: &options.tools,
        platform: &platform,
        append: "",
        boot_limit: options.scenarios.boot_limit(),
        debugging: Debugging::default(),
        jobs: options.scenarios.jobs,
        sequences: options.scenarios.sequences(),
        counts_lines: true,
    });
    rig.add(kernels, &cases, &mut stages)?;
    let outcomes = rig.test(&Work { cases, pairs: Vec::new() }, folder, &settings, &differences, &mut stages)?;
    let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Fail).collect();
    for outcome in &failed {
        println!("\n{}\n  {}", outcome.case, outcome.reasons.join("\n  "));
    }
    println!("\n{}", stages.table());
    Ok(failed.len())
}

/// What the guests of a run have counted.
fn guests_of(run: &Path, reader: &Reader) -> Result<Vec<Guest>> {
    let mut guests = Vec::new();
    let mut places: Vec<PathBuf> = run
        .read_dir()
        .with_context(|| format!("cannot read {}", run.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    places.sort();
    for place in places {
        let out = place.join("out");
        let Ok(machine) = fs::read_to_string(out.join("machine")) else {
            eprintln!("{} has handed over no counts", place.display());
            continue;
        };
        let scenarios = fs::read_to_string(out.join("scenarios"))?.lines().map(str::to_owned).collect();
        let counts: Counts = reader.read(&out.join("gcov"))?;
        guests.push(Guest { machine: machine.trim().to_owned(), scenarios, counts });
    }
    Ok(guests)
}

/// Prints and writes the results.
fn conclude(options: &Options, report: &Report<'_>, folder: &Path, arch: Arch) -> Result<()> {
    let (page, json) = (folder.join("coverage.html"), folder.join("coverage.json"));
    fs::write(&page, report.page()).with_context(|| format!("cannot write {}", page.display()))?;
    fs::write(&json, report.json()? + "\n").with_context(|| format!("cannot write {}", json.display()))?;
    println!("\n{}\n{}", report.markdown(), report.unreached());
    println!("page: {}", page.display());
    if options.docs {
        let text = format!(
            "`{}` at {}, on Linux {}: {}.\n\n{}",
            report.command,
            report.commit,
            report.kernel,
            report.summary(),
            report.markdown()
        );
        docs::put(PAGE, &format!("kernel coverage, {arch}"), &text)?;
        docs::put(PAGE, &format!("unreached, {arch}"), &report.unreached())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(words: &[&str]) -> Options {
        Line::parse_from(["kernel-coverage"].iter().chain(words)).options
    }

    #[test]
    fn machines_that_nobody_names_are_of_the_kernel_that_counts() {
        for arch in Arch::ALL {
            let options = options(&["--arch", &arch.to_string()]);
            assert!(options.machines().unwrap().iter().all(|machine| machine.arch() == arch));
            let watched = Kernel::load(KERNEL, arch).unwrap().build.unwrap().watched.unwrap();
            assert_eq!(watched.folders[0], FILE_SYSTEM);
        }
    }

    #[test]
    fn machines_of_two_instruction_sets_are_refused() {
        let error = options(&["--machine", "intel", "--machine", "mpam"]).machines().unwrap_err().to_string();
        assert!(error.contains("two instruction sets"), "{error}");
    }

    #[test]
    fn the_command_in_the_report_does_it_again() {
        let command = options(&["--machine", "intel", "--scenario", "mo(de|unt)", "--set", "A=1", "--docs"]).command();
        assert_eq!(command, "cargo xtask kernel-coverage --machine intel --scenario 'mo(de|unt)' --set A=1");
        assert_eq!(options(&["--arch", "arm64"]).command(), "cargo xtask kernel-coverage --arch arm64");
    }
}
