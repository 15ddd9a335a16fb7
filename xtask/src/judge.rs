// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask judge`.

mod page;
mod report;
mod subject;
mod verdict;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use regex::Regex;

use crate::bench::pair::{self, Cost};
use crate::guest::debugging::Debugging;
use crate::guest::interrupt;
use crate::guest::platform::PlatformOptions;
use crate::kernel_build::UserTree;
use crate::kernels::{Arch, Kernel};
use crate::machine::{self, Chosen};
use crate::scenario::known::KnownDifferences;
use crate::scenario::{self, Case, Implementation, Scenario, Selection};
use crate::shell::word;
use crate::stages::Stages;
use crate::test_qemu::outcome::Outcome;
use crate::test_qemu::rig::{Demands, Rig, Work};
use crate::test_qemu::scenario_options::ScenarioOptions;
use crate::test_qemu::{NO_VERDICT, run_folder};
use crate::toolroot::{ToolOptions, ToolRoot};
use crate::{differential, workspace};
use report::Judgement;
use subject::{Commit, Series, Subject};
use verdict::Findings;

/// Scenarios that a run of everything leaves out because they provoke a race for a while: here they are what it is about.
const RACES: &str = "^(lifetime-race|offline-held)$";

/// Judges a series of patches to the kernel's own resctrl: what does it change?
///
/// Builds the tree without and with the series, and runs both on emulated hardware: every scenario that fits a machine,
/// hotplug stress, the races of monitor domains, random sequences of operations compared step by step, and what
/// operations cost in instructions. What fails with the series and not without is tried once more.
///
/// Prints what newly fails, with the kernel's reports; what is fixed; what answers have changed, random sequences as the
/// shortest script that shows it; and what costs more or less. The run's folder has it as verdict.json and as
/// verdict.html, one file to attach to a mail.
///
/// The exit code is 0 if nothing is worse, 1 if something is (also if the series does not build), and 125 if that cannot
/// be told: the series does not apply, the tree does not build or boot without it.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("base").required(true))]
pub(crate) struct Options {
    /// Work tree of git that the series is for; it is only read
    #[arg(long, value_name = "DIR", group = "base")]
    tree: Option<PathBuf>,
    /// Debian's source package that the series is for, for example linux-source-7.3
    #[arg(long, value_name = "PACKAGE", group = "base")]
    source: Option<String>,
    /// A mailbox or patch, a folder of patches, or REV..REV of the tree
    #[arg(long, value_name = "FILE|DIR|REV..REV")]
    series: String,
    /// Machine to judge on, `all` for every one of the project's, or a file of your own (docs/machines.md); may be repeated
    #[arg(long = "machine", value_name = "NAME|FILE", default_value = "intel")]
    machines: Vec<String>,
    #[command(flatten)]
    scenarios: ScenarioOptions,
    /// Build with KASAN, lockdep and more: finds uses of freed memory, takes longer; nothing is measured
    #[arg(long, conflicts_with = "config")]
    debug: bool,
    /// The kernel's configuration, in place of one with little more than guests need
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Do not measure what operations cost
    #[arg(long)]
    no_bench: bool,
    /// Write the verdict to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    tools: ToolOptions,
}

impl Options {
    /// The command without what narrows it.
    fn command(&self) -> String {
        let mut words = vec!["cargo xtask judge".to_owned()];
        let mut flag = |name: &str, value: &str| words.push(format!("{name} {}", word(value)));
        if let Some(tree) = &self.tree {
            flag("--tree", &tree.to_string_lossy());
        }
        if let Some(source) = &self.source {
            flag("--source", source);
        }
        flag("--series", &self.series);
        if let Some(config) = &self.config {
            flag("--config", &config.to_string_lossy());
        }
        for (name, value) in &self.scenarios.settings {
            flag("--set", &format!("{name}={value}"));
        }
        let differential::Asked { seed, operations } = self.scenarios.sequences();
        for (name, value, usual) in [("--seed", seed, 1), ("--ops", operations, 1000)] {
            if value != usual {
                flag(name, &value.to_string());
            }
        }
        words.extend(self.scenarios.boot_timeout_flag().into_iter().flatten());
        words.extend(self.debug.then(|| "--debug".to_owned()));
        words.extend(self.tools.arguments().iter().map(|argument| word(&argument.to_string_lossy())));
        words.join(" ")
    }

    /// The subject, in the rig's own work tree.
    fn subject(&self) -> Result<Subject> {
        let series = Series::parse(&self.series)?;
        match (&self.tree, &self.source) {
            (Some(tree), _) => {
                let tree = tree.canonicalize().with_context(|| format!("--tree {}: no such folder", tree.display()))?;
                Subject::of_tree(&tree, &series, &ToolRoot::work_tree(&self.tools, &tree)?)
            }
            (None, source) => {
                let name = source.as_deref().unwrap_or_default();
                let (version, folder) = ToolRoot::kernel_source(&self.tools, name)?;
                Subject::of_source(&version, &series, &folder).with_context(|| format!("--source {name}"))
            }
        }
    }

    /// The kernels of one side, which is checked out.
    fn kernels(&self, subject: &Subject, commit: &Commit, arches: &[Arch]) -> Result<Vec<Kernel>> {
        subject.check_out(commit)?;
        let tree = UserTree::open(&subject.folder, self.config.as_deref(), self.debug)?.called(&commit.name);
        arches.iter().map(|&arch| Kernel::of_tree(&tree, arch)).collect()
    }

    /// Every case on the kernels of one side.
    fn cases(&self, scenarios: &[Scenario], machines: &[Chosen], kernels: &[Kernel]) -> Result<Vec<Case>> {
        let select = |patterns: &[Regex]| {
            let implementations = &[Implementation::Kernel];
            Selection { machines, kernels, implementations, patterns, shard: None }.cases(scenarios)
        };
        let mut cases = select(&self.scenarios.patterns)?;
        if self.scenarios.patterns.is_empty() {
            // Not every machine has one.
            let races = select(&[Regex::new(RACES)?]).unwrap_or_default();
            cases.extend(races.into_iter().filter(|race| !cases.contains(race)).collect::<Vec<_>>());
        }
        Ok(cases)
    }
}

/// What is run on both sides, side by side.
struct Sides {
    before: Vec<Case>,
    after: Vec<Case>,
}

impl Sides {
    /// The other side's case of the same scenario and machine.
    fn pairs(&self) -> impl Iterator<Item = [&Case; 2]> {
        self.before.iter().filter_map(|before| {
            let same = |after: &&Case| (&after.scenario, &after.machine) == (&before.scenario, &before.machine);
            Some([before, self.after.iter().find(same)?])
        })
    }

    /// All of them, or only some.
    fn work(&self, wanted: &dyn Fn(&Case) -> bool) -> Work {
        let (mut cases, mut pairs) = (Vec::new(), Vec::new());
        for both in self.pairs().filter(|[before, _]| wanted(before)) {
            let both = both.map(Case::clone);
            if both[0].scenario.lockstep { pairs.push(both) } else { cases.extend(both) }
        }
        Work { cases, pairs }
    }

    /// The outcomes of each pair that has some.
    fn outcomes<'a>(&'a self, outcomes: &'a [Outcome]) -> impl Iterator<Item = [&'a Outcome; 2]> {
        let of = |case: &Case| outcomes.iter().find(|outcome| outcome.case == *case);
        self.pairs().filter_map(move |[before, after]| Some([of(before)?, of(after)?]))
    }

    /// Compares them.
    fn compare(&self, outcomes: &[Outcome]) -> Findings {
        let mut findings = Findings::default();
        self.outcomes(outcomes).for_each(|[before, after]| findings.add(Findings::of(before, after)));
        findings
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    interrupt::install()?;
    let result = judge(options);
    if interrupt::requested() {
        eprintln!("interrupted; every guest is gone");
        return Ok(interrupt::EXIT_CODE.into());
    }
    let (judgement, folder) = result?;
    conclude(options, &judgement, &folder)
}

fn judge(options: &Options) -> Result<(Judgement, PathBuf)> {
    let start = Instant::now();
    let platform = PlatformOptions::default();
    let machines = machine::load_all(&options.machines, platform.kind())?;
    let mut arches: Vec<Arch> = machines.iter().map(Chosen::arch).collect();
    arches.sort();
    arches.dedup();
    let guest = workspace::root().join("qemu-images/guest");
    let scenarios = scenario::load(&guest.join("scenarios"))?;
    let differences = KnownDifferences::load(&guest.join("known-differences.toml"), &scenarios)?.between_kernels();
    let settings = options.scenarios.settings();

    let subject = options.subject()?;
    let folder = run_folder::create()?;
    let mut judgement = Judgement {
        command: options.command(),
        rig: workspace::commit(),
        before: subject.before.clone(),
        after: subject.after.clone(),
        subjects: subject.subjects.clone(),
        machines: machines.iter().map(|machine| machine.name.argument().to_owned()).collect(),
        debug: options.debug,
        ..Judgement::default()
    };
    eprintln!("{}", judgement.head());
    let mut stages = Stages::default();
    let demands = Demands {
        tools: &options.tools,
        platform: &platform,
        append: "",
        boot_limit: options.scenarios.boot_limit(),
        jobs: options.scenarios.jobs,
        debugging: Debugging::default(),
        sequences: options.scenarios.sequences(),
        counts_lines: false,
    };
    let mut rig = Rig::new(demands);
    // One after the other in the same place, so that what the series does not touch is compiled once.
    let mut side = |commit: &Commit| -> Result<Vec<Case>> {
        let kernels = options.kernels(&subject, commit, &arches)?;
        let mut cases = options.cases(&scenarios, &machines, &kernels)?;
        for case in &mut cases {
            case.known = differences.of(case);
            case.scenario.limit(&settings)?;
        }
        rig.add(&kernels, &cases, &mut stages)?;
        Ok(cases)
    };
    let before = side(&subject.before).context("without the series")?;
    let after = match side(&subject.after) {
        Ok(after) => after,
        Err(error) if interrupt::requested() => return Err(error),
        Err(error) => {
            judgement.broken = Some(format!("{error:#}"));
            return Ok((judgement, folder));
        }
    };
    let sides = Sides { before, after };
    let mut run = |folder: &Path, wanted: &dyn Fn(&Case) -> bool| {
        rig.test(&sides.work(wanted), folder, &settings, &differences, &mut stages)
    };
    let outcomes = run(&folder, &|_| true)?;
    judgement.table = sides.outcomes(&outcomes).map(report::Line::of).collect();
    let mut findings = sides.compare(&outcomes);
    let doubtful = findings.doubtful();
    if !doubtful.is_empty() {
        eprintln!("{} cases once more, to be sure of what is different", doubtful.len());
        let again = folder.join("again");
        fs::create_dir(&again)?;
        let is_doubtful = |case: &Case| {
            doubtful.contains(&(case.scenario.name.clone(), case.machine.argument().to_owned()))
                && !case.scenario.lockstep
        };
        findings = findings.confirmed_by(&sides.compare(&run(&again, &is_doubtful)?));
    }
    judgement.findings = findings;
    if !(options.debug || options.no_bench || !options.scenarios.patterns.is_empty()) {
        judgement.costs = costs(&rig, &sides, &machines, &folder)?;
    }
    judgement.seconds = start.elapsed().as_secs();
    Ok((judgement, folder))
}

/// What operations cost on the first machine of each instruction set. What is worse is measured once more.
fn costs(rig: &Rig<'_>, sides: &Sides, machines: &[Chosen], folder: &Path) -> Result<BTreeMap<String, Vec<Cost>>> {
    let mut costs = BTreeMap::new();
    for arch in Arch::ALL {
        let Some(machine) = machines.iter().find(|machine| machine.arch() == arch).map(|machine| &machine.name) else {
            continue;
        };
        let Some(pair) = sides.pairs().find(|[before, _]| before.machine == *machine) else { continue };
        let provisions = rig.provisions(arch).context("its programs were not built")?;
        let measure = |name: &str| -> Result<Vec<Cost>> {
            let spec = |case: &Case| -> Result<(String, crate::guest::Spec)> {
                let mut spec = rig.spec(&BTreeMap::new(), case)?;
                spec.append.clear();
                Ok((case.kernel.clone(), spec))
            };
            let measured = pair::costs([spec(pair[0])?, spec(pair[1])?], provisions, &folder.join(name))?;
            measured.context("interrupted")
        };
        let mut measured = measure(&format!("cost-{machine}"))?;
        if measured.iter().any(Cost::is_worse) {
            eprintln!("measuring again: what counts is what is worse both times");
            let again = measure(&format!("cost-{machine}-again"))?;
            for cost in measured.iter_mut().filter(|cost| cost.is_worse()) {
                if let Some(other) = again.iter().find(|other| other.operation == cost.operation && !other.is_worse()) {
                    *cost = other.clone();
                }
            }
        }
        costs.insert(machine.to_string(), measured);
    }
    Ok(costs)
}

/// Prints and writes the verdict.
fn conclude(options: &Options, judgement: &Judgement, folder: &Path) -> Result<ExitCode> {
    let json = serde_json::to_string_pretty(judgement)? + "\n";
    for place in [folder.join("verdict.json")].iter().chain(&options.json) {
        fs::write(place, &json).with_context(|| format!("cannot write {}", place.display()))?;
    }
    let page = folder.join("verdict.html");
    fs::write(&page, page::page(judgement)?).with_context(|| format!("cannot write {}", page.display()))?;
    println!("\n{}", judgement.text());
    println!("page: {}", page.display());
    println!("{}", judgement.summary());
    ensure!(judgement.broken.is_some() || judgement.findings.cases > 0, "nothing was compared");
    Ok(match (judgement.is_worse(), judgement.findings.unknown.is_empty()) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::SUCCESS,
        (false, false) => NO_VERDICT.into(),
    })
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

    fn options(words: &str) -> Result<Options, clap::Error> {
        Line::try_parse_from(["judge"].into_iter().chain(words.split(' '))).map(|line| line.options)
    }

    #[test]
    fn the_command_has_all_that_makes_a_difference() {
        let options =
            options("--source linux-source-7.3 --series a'b.mbox --machine amd --set A=1 --ops 50 --debug").unwrap();
        assert_eq!(
            options.command(),
            r"cargo xtask judge --source linux-source-7.3 --series 'a'\''b.mbox' --set A=1 --ops 50 --debug"
        );
    }

    #[test]
    fn it_wants_a_series_and_one_thing_that_it_is_for() {
        for wrong in
            ["--series x", "--tree x", "--tree x --source y --series z", "--tree x --series y --debug --config z"]
        {
            assert!(options(wrong).is_err(), "{wrong}");
        }
        assert!(options("--tree x --series y --config z").is_ok());
    }

    #[test]
    fn the_races_are_among_the_scenarios_and_run_only_if_asked() {
        let scenarios = scenario::load(&workspace::root().join("qemu-images/guest/scenarios")).unwrap();
        let races = Regex::new(RACES).unwrap();
        let named: Vec<&Scenario> = scenarios.iter().filter(|scenario| races.is_match(&scenario.name)).collect();
        assert_eq!(named.len(), 2);
        assert!(named.iter().all(|scenario| scenario.only_asked));
    }
}
