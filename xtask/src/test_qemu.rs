// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask test-qemu`.

pub(crate) mod compare;
mod estimate;
mod history;
mod live;
pub(crate) mod outcome;
mod pool;
pub(crate) mod rig;
pub(crate) mod run_folder;
pub(crate) mod scenario_options;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::checks::{Catalogue, Table};
use crate::guest::debugging::Debugging;
use crate::guest::interrupt;
use crate::guest::platform::{Kind, PlatformOptions};
use crate::kernels::Arch;
use crate::machine::{self, Chosen};
use crate::report::{Run, html, verdicts};
use crate::scenario::known::KnownDifferences;
use crate::scenario::{self, Again, Case, Implementation, Selection, Shard};
use crate::snapshot::Held;
use crate::stages::Stages;
use crate::toolroot::{ToolOptions, TreeOptions};
use crate::{junit, list, snapshot, workspace};
use outcome::{Outcome, Verdict};
use rig::{Demands, Rig, Work};
use scenario_options::ScenarioOptions;

/// The exit code of a run that cannot tell whether something fails: nothing booted, or did not build, or cannot be had. `git bisect
/// run` skips such a commit.
pub(crate) const NO_VERDICT: u8 = 125;

/// Runs scenarios in guests on emulated hardware, on our resctrl and on the kernel's own.
///
/// Without arguments: every scenario of machine `intel` on the stock kernel, with our implementation and,
/// where answers are compared, with the kernel's own; and a short hotplug stress (a minute if asked for:
/// --scenario hotplug-stress). Builds what is out of date first. Each scenario gets exactly one verdict; a
/// failure says what failed, where the guest's console log is and which command runs that case again.
///
/// The exit code is 1 if something failed, and 125 if there is no verdict: a kernel or module that does not build or boot,
/// something that cannot be had. So `git bisect run` can call it.
///
/// Logs, junit.xml and report.html are in a folder below target/rig/ that is printed at the end.
/// Scenarios are the files of qemu-images/guest/scenarios/; docs/rig.md says how to write one.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Machine to test on, `all` for every one of the project's, or a file of your own (docs/machines.md); may be repeated
    #[arg(long = "machine", value_name = "NAME|FILE", default_value = "intel")]
    machines: Vec<String>,
    /// Kernel to boot; may be repeated
    #[arg(long = "kernel", value_name = "NAME", default_value = "stock", conflicts_with = "tree")]
    kernels: Vec<String>,
    /// Which resctrl to test [default: both; the kernel's own of a --tree]
    #[arg(long = "impl", value_name = "WHICH")]
    implementation: Option<Implementations>,
    #[command(flatten)]
    scenarios: ScenarioOptions,
    /// Run part I of N of the scenarios, for several machines that share the work
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// List what would run and run nothing
    #[arg(long)]
    list: bool,
    /// Print what was found of every check of the catalogue; with --list, which scenario has it
    #[arg(long)]
    checks: bool,
    /// Take over snapshots that differ (never when CI is set)
    #[arg(long)]
    accept: bool,
    /// Compare the snapshots, which are of Debian's kernel, with a --tree as well
    #[arg(long, requires = "tree", conflicts_with = "accept")]
    snapshots: bool,
    /// More arguments for the kernel's command line
    #[arg(long, value_name = "STRING", default_value = "", hide_default_value = true)]
    append: String,
    #[command(flatten)]
    platform: PlatformOptions,
    #[command(flatten)]
    debugging: Debugging,
    #[command(flatten)]
    tools: ToolOptions,
    #[command(flatten)]
    tree: TreeOptions,
}

/// Value of `--impl`.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Implementations {
    /// resctrl.ko of this project
    Rust,
    /// The kernel's own
    Kernel,
    /// One after the other, compared
    Both,
}

impl Implementations {
    fn list(self) -> &'static [Implementation] {
        match self {
            Self::Rust => &[Implementation::Rust],
            Self::Kernel => &[Implementation::Kernel],
            Self::Both => &[Implementation::Kernel, Implementation::Rust],
        }
    }
}

impl Options {
    fn implementations(&self) -> &'static [Implementation] {
        let unasked = if self.tree.tree.is_some() { Implementations::Kernel } else { Implementations::Both };
        self.implementation.unwrap_or(unasked).list()
    }

    /// What a case is run again with.
    fn again(&self, settings: BTreeMap<String, String>) -> Again {
        let mut flags = self.tools.arguments();
        flags.extend(self.tree.arguments());
        flags.extend(self.scenarios.boot_timeout_flag().into_iter().flatten().map(Into::into));
        if !self.append.is_empty() {
            // With a dash at its beginning it would be taken for a flag.
            flags.push(format!("--append={}", self.append).into());
        }
        flags.extend(self.snapshots.then(|| "--snapshots".into()));
        flags.extend(self.debugging.arguments());
        flags.extend(self.platform.arguments());
        Again {
            settings,
            both: self.implementations().len() > 1,
            sequences: self.scenarios.sequences(),
            flags,
            tree: self.tree.tree.is_some(),
        }
    }

    /// What guests are made from.
    fn demands(&self) -> Demands<'_> {
        Demands {
            tools: &self.tools,
            platform: &self.platform,
            append: &self.append,
            debugging: self.debugging,
            boot_limit: self.scenarios.boot_limit(),
            jobs: self.scenarios.jobs,
            sequences: self.scenarios.sequences(),
            counts_lines: false,
        }
    }

    fn has_all_machines(&self) -> bool {
        self.machines.iter().any(|name| name == "all")
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let platform = options.platform.kind();
    let machines = machine::load_all(&options.machines, platform)?;
    let arches: BTreeSet<Arch> = machines.iter().map(Chosen::arch).collect();
    let (kernels, absent) = options.tree.kernels(&options.kernels, &arches.into_iter().collect::<Vec<_>>())?;
    let scenarios = scenario::load(&workspace::root().join("qemu-images/guest/scenarios"))?;
    let selection = Selection {
        machines: &machines,
        kernels: &kernels,
        implementations: options.implementations(),
        patterns: &options.scenarios.patterns,
        shard: options.shard,
    };
    let mut cases = selection.cases(&scenarios)?;
    let guest = workspace::root().join("qemu-images/guest");
    let differences = KnownDifferences::load(&guest.join("known-differences.toml"), &scenarios)?;
    for case in &mut cases {
        case.known = differences.of(case);
    }
    let catalogue = Catalogue::load(&guest.join("checks.toml"))?;
    let everything = options.scenarios.patterns.is_empty() && options.shard.is_none() && options.has_all_machines();
    let mut checks = Table::new(&catalogue, &scenarios, everything);
    let misfits = selection.misfits(&scenarios);
    let mut left_out = selection.left_out();
    left_out.extend(absent.iter().map(|(kernel, arch)| format!("[{kernel} {arch}]: there is no such kernel")));
    if options.list {
        // Else it is done where tools are set up.
        options.tools.check()?;
        return list::print(&match options.checks {
            true => checks.overview(),
            false => overview(&cases, &left_out, &misfits),
        });
    }
    // Said before anything is fetched or built.
    machines.iter().try_for_each(|machine| options.platform.find(machine.arch()).map(drop))?;
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    ensure!(!(options.accept && in_ci), "--accept does nothing when CI is set: snapshots are taken over by people");

    for left_out in &left_out {
        eprintln!("not run: {left_out}");
    }
    for misfits in &misfits {
        eprintln!("{misfits}");
    }
    interrupt::install()?;
    let mut settings = options.scenarios.settings();
    if options.scenarios.patterns.is_empty() {
        shorten(&mut settings, &cases);
    }
    check_settings(&settings, &cases)?;
    let start = Instant::now();
    let mut stages = Stages::default();
    let mut rig = Rig::new(options.demands());
    rig.add(&kernels, &cases, &mut stages)?;
    let build = start.elapsed();
    let folder = run_folder::create()?;
    let start = Instant::now();
    let (alone, pairs, lonely) = paired(&cases, options.platform.kind());
    let mut outcomes = match rig.test(&Work { cases: alone, pairs }, &folder, &settings, &differences, &mut stages) {
        Err(_) if interrupt::requested() => {
            eprintln!("interrupted; every guest is gone. Logs: {}", folder.display());
            return Ok(interrupt::EXIT_CODE.into());
        }
        outcomes => outcomes?,
    };
    outcomes.extend(lonely);
    let mut outcomes = in_order(outcomes, &cases)?;
    let guests = start.elapsed();
    compare::check(&mut outcomes);
    let held = if options.snapshots { Held::Trees } else { Held::Debians };
    let accepted = snapshot::check(&mut outcomes, options.accept, held)?;
    checks.add(&outcomes);
    let again = options.again(settings);
    let origin = rig.origin();
    let run = Run { outcomes, origin, again, folder, build, guests, stages, checks, held, misfits };
    conclude(&run, accepted, options)
}

/// What would run, and what would not.
fn overview(cases: &[Case], left_out: &[String], misfits: &[String]) -> String {
    let case = |case: &Case| {
        let expected = if case.fault().is_some() { " (a fault must show)" } else { "" };
        format!("{case}: {}{expected}\n", case.scenario.about)
    };
    let left_out = left_out.iter().map(|left_out| format!("not run: {left_out}\n"));
    cases.iter().map(case).chain(left_out).chain(misfits.iter().map(|misfits| format!("{misfits}\n"))).collect()
}

/// Nobody asked for a scenario by name: those that run as long as they are told run their short form.
pub(crate) fn shorten(settings: &mut BTreeMap<String, String>, cases: &[Case]) {
    for seconds in cases.iter().filter_map(|case| case.scenario.seconds.as_ref()) {
        if let Some(unasked) = seconds.unasked {
            settings.entry(seconds.variable.clone()).or_insert_with(|| unasked.to_string());
        }
    }
}

/// A parameter that does not parse is found before anything is booted.
pub(crate) fn check_settings(settings: &BTreeMap<String, String>, cases: &[Case]) -> Result<()> {
    cases.iter().try_for_each(|case| case.scenario.limit(settings).map(drop))
}

/// The cases that run alone, and the pairs of those in which two guests run at once: both implementations, or where only one is
/// under test, two guests of that. And what becomes of the others.
pub(crate) fn paired(cases: &[Case], platform: Kind) -> (Vec<Case>, Vec<[Case; 2]>, Vec<Outcome>) {
    let (lockstep, alone): (Vec<Case>, Vec<Case>) = cases.iter().cloned().partition(|case| case.scenario.lockstep);
    if platform != Kind::Qemu {
        let skipped = lockstep.into_iter().map(|case| Outcome::skipped(case, "it needs two guests at once, in QEMU"));
        return (alone, Vec::new(), skipped.collect());
    }
    let partner = |case: &Case| lockstep.iter().find(|other| other.is_partner_of(case));
    let pairs = lockstep.iter().filter_map(|case| match (partner(case), case.implementation) {
        (Some(oracle), Implementation::Rust) => Some([oracle.clone(), case.clone()]),
        (Some(_), Implementation::Kernel) => None,
        (None, _) => Some([case.clone(), case.clone()]),
    });
    (alone, pairs.collect(), Vec::new())
}

/// Every case has one outcome; they are put into the order of the cases.
fn in_order(mut outcomes: Vec<Outcome>, cases: &[Case]) -> Result<Vec<Outcome>> {
    let mut ordered = Vec::with_capacity(cases.len());
    for case in cases {
        let place = outcomes
            .iter()
            .position(|outcome| outcome.case == *case)
            .with_context(|| format!("{case} has no verdict"))?;
        ordered.push(outcomes.swap_remove(place));
    }
    ensure!(outcomes.is_empty(), "{} has a second verdict", outcomes[0].case);
    Ok(ordered)
}

/// Prints and writes the reports; the exit code says whether all is well.
fn conclude(run: &Run, accepted: usize, options: &Options) -> Result<ExitCode> {
    let (junit, page) = (run.folder.join("junit.xml"), run.folder.join("report.html"));
    let (checks, stages) = (run.folder.join("checks.tsv"), run.folder.join("stages.tsv"));
    fs::write(&stages, run.stages.tsv()).with_context(|| format!("cannot write {}", stages.display()))?;
    fs::write(&checks, run.checks.tsv()).with_context(|| format!("cannot write {}", checks.display()))?;
    fs::write(&junit, junit::xml(run)?).with_context(|| format!("cannot write {}", junit.display()))?;
    fs::write(&page, html::page(run)?).with_context(|| format!("cannot write {}", page.display()))?;
    verdicts::write(run)?;
    println!("\n{}", run.table());
    print!("{}", run.provoked());
    if !options.scenarios.patterns.is_empty() {
        print!("{}", run.counted());
    }
    let failures = run.failures();
    if !failures.is_empty() {
        println!("{failures}");
    }
    if accepted > 0 {
        println!("took over {accepted} snapshots");
    }
    if options.checks {
        println!("{}\n", run.checks.full());
    }
    print!("{}{}", run.checks.summary(), run.gone());
    println!("\n{}\n", run.stages.table());
    println!("report: {}\n{}", page.display(), run.next());
    println!("{}", run.summary());
    Ok(exit_code(&run.outcomes))
}

/// What a run says to whoever called it: a failure is one only of something that was looked at.
fn exit_code(outcomes: &[Outcome]) -> ExitCode {
    let failed = |outcome: &&Outcome| outcome.verdict == Verdict::Fail;
    match outcomes.iter().filter(failed).map(|outcome| outcome.booted).max() {
        None => ExitCode::SUCCESS,
        Some(true) => ExitCode::FAILURE,
        Some(false) => NO_VERDICT.into(),
    }
}
