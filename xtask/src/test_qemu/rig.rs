// SPDX-License-Identifier: GPL-2.0-only
//! Everything that is built before the first guest, and guests made from it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::estimate::Estimate;
use super::history::History;
use super::live::{self, Live};
use super::outcome::{GuestSpent, Outcome};
use super::pool::{Pool, Report};
use crate::console::Scanner;
use crate::guest::debugging::Debugging;
use crate::guest::platform::{Kind, PlatformOptions};
use crate::guest::visit::Visit;
use crate::guest::visit::root::Root;
use crate::guest::{Pace, Plan, Provisions, Spec, System, clients, policy, programs};
use crate::kernel_build::selftests;
use crate::kernels::{Arch, Kernel};
use crate::machine::{self, Chosen};
use crate::report::origin::Origin;
use crate::scenario::known::KnownDifferences;
use crate::scenario::{Boot, Case, Implementation};
use crate::stages::Stages;
use crate::toolroot::{ToolOptions, ToolRoot};
use crate::{differential, package, workspace};

/// What guests are made from, as the command line has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demands<'a> {
    /// Where tools and kernels come from.
    pub(crate) tools: &'a ToolOptions,
    /// What runs guests.
    pub(crate) platform: &'a PlatformOptions,
    /// More arguments for the kernel's command line.
    pub(crate) append: &'a str,
    /// Time limit of a boot.
    pub(crate) boot_limit: Duration,
    /// Help for who looks into a failure.
    pub(crate) debugging: Debugging,
    /// Guests at once.
    pub(crate) jobs: u16,
    /// Random sequences.
    pub(crate) sequences: differential::Asked,
    /// What the kernel counts of its own code is taken home, into each guest's folder.
    pub(crate) counts_lines: bool,
}

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Work {
    /// Cases that have guests to themselves or share them.
    pub(crate) cases: Vec<Case>,
    /// Pairs that run in lockstep: the first says what is right.
    pub(crate) pairs: Vec<[Case; 2]>,
}

/// Everything that is built before the first guest.
pub(crate) struct Rig<'a> {
    demands: Demands<'a>,
    /// As their files are now: they may change while guests run.
    machines: Vec<Chosen>,
    provisions: BTreeMap<Arch, Provisions>,
    /// By kernel and implementation.
    systems: BTreeMap<(String, Arch, Implementation), System>,
    /// Root file systems, by the kernel and the packages in them.
    roots: BTreeMap<(String, Arch, Vec<String>), Root>,
}

impl<'a> Rig<'a> {
    /// One without guests.
    pub(crate) fn new(demands: Demands<'a>) -> Self {
        Self {
            demands,
            machines: Vec::new(),
            provisions: BTreeMap::new(),
            systems: BTreeMap::new(),
            roots: BTreeMap::new(),
        }
    }

    /// Builds what `cases` need of `kernels`. What was added before stays.
    ///
    /// # Errors
    ///
    /// Something cannot be fetched or does not build.
    pub(crate) fn add(&mut self, kernels: &[Kernel], cases: &[Case], stages: &mut Stages) -> Result<()> {
        let runs = |kernel: &Kernel, case: &Case| (&case.kernel, case.arch) == (&kernel.name, kernel.arch);
        let used: Vec<Kernel> =
            kernels.iter().filter(|kernel| cases.iter().any(|case| runs(kernel, case))).cloned().collect();
        let tools = stages.measure("tools, kernels", || ToolRoot::ensure(self.demands.tools, &used))?;
        for kernel in &used {
            if let Entry::Vacant(place) = self.provisions.entry(kernel.arch) {
                let built = stages.measure("guest programs, plugin", || programs::provisions(&tools, kernel.arch));
                place.insert(built?);
            }
            let mut extra = BTreeMap::new();
            for case in cases.iter().filter(|case| runs(kernel, case)) {
                if case.scenario.selftests && !extra.contains_key(selftests::PLACE) {
                    extra.insert(selftests::PLACE.to_owned(), tools.selftests(kernel)?);
                }
                if case.scenario.goresctrl && !extra.contains_key(clients::GORESCTRL) {
                    let build = || clients::goresctrl(&tools, case.arch);
                    extra.insert(clients::GORESCTRL.to_owned(), stages.measure("clients", build)?);
                }
                if case.scenario.package && !extra.contains_key(package::PLACES[0]) {
                    let pair = stages.measure("packages", || package::pair(&tools, kernel))?;
                    extra.extend(package::PLACES.map(str::to_owned).into_iter().zip(pair));
                }
                let packages = case.scenario.packages(case.arch);
                if let (false, Entry::Vacant(place)) =
                    (packages.is_empty(), self.roots.entry((kernel.name.clone(), case.arch, packages.clone())))
                {
                    let tree = tools.root_file_system(kernel, &packages).with_context(|| case.to_string())?;
                    place.insert(tools.root_for_guest(tree, self.demands.platform.kind() == Kind::Qemu)?);
                }
                if let Some(name) = &case.scenario.policy {
                    extra.insert(policy::place(name), policy::compile(&tools, name)?);
                }
            }
            for implementation in [Implementation::Kernel, Implementation::Rust] {
                if cases.iter().any(|case| runs(kernel, case) && case.implementation == implementation) {
                    let mut system = stages.measure("module", || System::prepare(&tools, kernel, implementation))?;
                    system.extra.clone_from(&extra);
                    self.systems.insert((kernel.name.clone(), kernel.arch, implementation), system);
                }
            }
        }
        for case in cases {
            if !self.machines.iter().any(|machine| machine.name == case.machine) {
                self.machines.push(machine::load(case.machine.argument(), self.demands.platform.kind())?);
            }
        }
        Ok(())
    }

    /// Where and on what all of it runs.
    pub(crate) fn origin(&self) -> Origin {
        let mut origin = Origin::of_this_run();
        for ((name, arch, _), system) in &self.systems {
            origin.kernels.insert(format!("{name} ({arch}): {}", system.installed.release));
        }
        self.provisions.values().for_each(|provisions| origin.add_emulator(&provisions.qemu));
        origin
    }

    /// The programs of guests of `arch`, if there is one.
    pub(crate) fn provisions(&self, arch: Arch) -> Option<&Provisions> {
        self.provisions.get(&arch)
    }

    /// The guest of a case.
    ///
    /// # Errors
    ///
    /// Its kernel was not added.
    pub(crate) fn spec(&self, settings: &BTreeMap<String, String>, case: &Case) -> Result<Spec> {
        self.spec_with(settings, case, case.arguments())
    }

    /// The guest of a case and of others like it, with the kernel arguments that all of them need.
    fn spec_with(&self, settings: &BTreeMap<String, String>, case: &Case, arguments: &str) -> Result<Spec> {
        let machine = self.machines.iter().find(|machine| machine.name == case.machine);
        let machine = machine.with_context(|| format!("{case}: its machine was not prepared"))?.clone();
        let platform = self.demands.platform.find(case.arch)?;
        let system = self
            .systems
            .get(&(case.kernel.clone(), case.arch, case.implementation))
            .with_context(|| format!("{case}: its kernel was not prepared"))?;
        let append = [self.demands.append, arguments].join(" ");
        let mut settings = settings.clone();
        settings.insert("MODULE_PARAMETERS".to_owned(), case.scenario.parameters.clone());
        settings.insert("MODULE_MAY_REFUSE".to_owned(), u8::from(case.scenario.refusal).to_string());
        let root = self.roots.get(&(case.kernel.clone(), case.arch, case.scenario.packages(case.arch)));
        let mut system = system.clone();
        if !case.scenario.suspends {
            system.installed.image = system.installed.image_of_one_start()?;
        }
        Ok(Spec {
            machine: machine.name.to_string(),
            hardware: machine.hardware,
            machine_text: machine.text,
            system,
            plan: Plan::Scenarios(Vec::new()),
            settings,
            append: append.trim().to_owned(),
            qemu_arguments: Vec::new(),
            platform,
            pace: Pace::Time,
            visit: Visit {
                root: root.cloned(),
                debugging: self.demands.debugging,
                takes_home: self.demands.counts_lines,
                ..Visit::default()
            },
        })
    }

    /// Runs all of it and shows what happens; each case has one outcome.
    ///
    /// # Errors
    ///
    /// What is no guest's fault.
    pub(crate) fn test(
        &self,
        work: &Work,
        folder: &Path,
        settings: &BTreeMap<String, String>,
        differences: &KnownDifferences,
        stages: &mut Stages,
    ) -> Result<Vec<Outcome>> {
        let mut outcomes = match work.cases.is_empty() {
            true => Vec::new(),
            false => self.test_in_pool(&work.cases, folder, settings, stages)?,
        };
        for [oracle, other] in &work.pairs {
            let both = self.in_lockstep(oracle, other, folder, settings, differences)?;
            both.iter().for_each(live::say_verdict);
            outcomes.extend(both);
        }
        Ok(outcomes)
    }

    /// Runs a scenario that is about two guests at once, of which the first says what is right.
    fn in_lockstep(
        &self,
        oracle: &Case,
        ours: &Case,
        folder: &Path,
        settings: &BTreeMap<String, String>,
        differences: &KnownDifferences,
    ) -> Result<Vec<Outcome>> {
        let script = workspace::root().join(format!("qemu-images/guest/scenarios/{}.sh", ours.scenario.name));
        let side = |case: &Case| -> Result<(Case, Spec)> {
            let mut spec = self.spec(settings, case)?;
            spec.plan = Plan::Replay(script.clone());
            Ok((case.clone(), spec))
        };
        let stage = differential::Stage {
            pair: differential::Pair { oracle: side(oracle)?, ours: side(ours)? },
            provisions: &self.provisions[&ours.arch],
            folder,
            boot_limit: self.demands.boot_limit,
            known: differences.random(&ours.machine, &ours.like),
        };
        match ours.scenario.guided {
            true => differential::guided::run(&stage, self.demands.sequences),
            false => differential::run(&stage, self.demands.sequences),
        }
    }

    /// Runs cases that have guests for themselves.
    fn test_in_pool(
        &self,
        cases: &[Case],
        folder: &Path,
        settings: &BTreeMap<String, String>,
        stages: &mut Stages,
    ) -> Result<Vec<Outcome>> {
        let boots = Boot::group(cases.to_vec());
        let jobs = usize::from(self.demands.jobs).min(boots.len());
        let mut history = History::load();
        let estimate = Estimate::new(&boots, jobs, &history, settings);
        let labels: BTreeMap<String, Case> = boots.iter().map(|boot| (boot.label(), boot.first().clone())).collect();
        let live = Live::new(cases.len(), jobs, estimate);
        let pool = Pool {
            provisions: &self.provisions,
            folder: folder.to_owned(),
            scanner: Scanner::new()?,
            settings: settings.clone(),
            boot_limit: self.demands.boot_limit,
        };
        let (sender, reports) = mpsc::channel();
        let mut outcomes = Vec::new();
        let result = std::thread::scope(|scope| {
            let guests = scope.spawn(move || {
                pool.run(boots, jobs, &|boot| self.spec_with(settings, boot.first(), &boot.arguments()), &sender)
            });
            for report in reports {
                live.report(&report);
                match report {
                    Report::Verdict(outcome) => {
                        history.learn_case(&outcome, settings);
                        outcomes.push(*outcome);
                    }
                    Report::Spent { label, up, spent: GuestSpent { boot, scenarios, rest } } => {
                        if let (Some(case), true) = (labels.get(&label), up) {
                            history.learn_boot(case, boot.passed);
                        }
                        stages.add("boots, of all guests", boot);
                        stages.add("scenarios", scenarios);
                        stages.add("between and after them", rest);
                    }
                    Report::Guest { .. } | Report::Retry { .. } => {}
                }
            }
            guests.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the pool panicked")))
        });
        live.finish();
        history.save();
        result.map(|()| outcomes)
    }
}
