// SPDX-License-Identifier: GPL-2.0-only
//! Runs boots in several guests at once and tells what happens over a channel.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::Result;

use super::outcome::{Collector, GuestSpent, Outcome, not_booted};
use crate::console::Scanner;
use crate::guest::event::Event;
use crate::guest::qemu::Folder;
use crate::guest::run::{self, Limits};
use crate::guest::visit::home;
use crate::guest::{Plan, Provisions, Spec, Turn, interrupt};
use crate::kernels::Arch;
use crate::scenario::{Boot, Case};

/// What a worker has to tell.
#[derive(Debug)]
pub(crate) enum Report {
    /// Something happened in the guest of this worker.
    Guest {
        /// Number of the worker.
        worker: usize,
        /// The guest's name.
        label: String,
        /// What happened.
        event: Event,
    },
    /// A case has its verdict.
    Verdict(Box<Outcome>),
    /// A guest did not come up and is tried once more.
    Retry {
        /// The guest's name.
        label: String,
        /// Why.
        reason: String,
    },
    /// What a guest that is gone has taken.
    Spent {
        /// The guest's name.
        label: String,
        /// It came up.
        up: bool,
        /// How much.
        spent: GuestSpent,
    },
}

/// What all boots have in common.
#[derive(Debug)]
pub(crate) struct Pool<'a> {
    /// Programs, for each instruction set.
    pub(crate) provisions: &'a BTreeMap<Arch, Provisions>,
    /// Folder of the run.
    pub(crate) folder: PathBuf,
    /// Recognises splats.
    pub(crate) scanner: Scanner,
    /// Parameters of scenarios.
    pub(crate) settings: BTreeMap<String, String>,
    /// Time limit of a boot.
    pub(crate) boot_limit: Duration,
}

impl Pool<'_> {
    /// Runs all `boots` in up to `jobs` guests at once; `spec` makes the guest for a boot.
    ///
    /// # Errors
    ///
    /// The first thing that went wrong outside of guests, after the others have come to an end.
    pub(crate) fn run(
        &self,
        boots: Vec<Boot>,
        jobs: usize,
        spec: &(dyn Fn(&Boot) -> Result<Spec> + Sync),
        reports: &Sender<Report>,
    ) -> Result<()> {
        let queue = Mutex::new(VecDeque::from(boots));
        let next = || queue.lock().ok().and_then(|mut queue| queue.pop_front());
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs)
                .map(|worker| {
                    let reports = reports.clone();
                    scope.spawn(move || {
                        let worker = Worker { pool: self, number: worker, reports };
                        while let Some(boot) = next() {
                            if interrupt::requested() {
                                break;
                            }
                            worker.boot(boot, spec)?;
                        }
                        Ok(())
                    })
                })
                .collect();
            let mut result = Ok(());
            for worker in workers {
                let ended = worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a worker panicked")));
                result = result.and(ended);
            }
            result
        })
    }
}

fn turn(case: &Case) -> Turn {
    Turn { scenario: case.scenario.name.clone(), parameters: case.scenario.parameters.clone() }
}

struct Worker<'a> {
    pool: &'a Pool<'a>,
    number: usize,
    reports: Sender<Report>,
}

impl Worker<'_> {
    /// Boots guests until every case of `boot` has its verdict. Each guest gives at least one case its
    /// verdict, and only the first may be tried twice, so this comes to an end.
    fn boot(&self, boot: Boot, spec: &(dyn Fn(&Boot) -> Result<Spec> + Sync)) -> Result<()> {
        let label = boot.label();
        let mut spec = spec(&boot)?;
        let provisions = &self.pool.provisions[&spec.arch()];
        let mut cases = boot.cases;
        let mut retried = false;
        for number in 1.. {
            let folder = Folder(self.pool.folder.join(format!("{label}.{number}")));
            spec.plan = Plan::Scenarios(cases.iter().map(turn).collect());
            let limits = self.limits(&cases)?.stretched(spec.slowness());
            let mut collector = Collector::new(&cases, folder.console(), retried);
            run::run(&spec, provisions, &folder, &self.pool.scanner, &limits, &mut |event| {
                if let Some(outcome) = collector.event(&event) {
                    self.tell(Report::Verdict(Box::new(outcome)));
                }
                self.tell(Report::Guest { worker: self.number, label: label.clone(), event });
            })?;
            if spec.visit.takes_home {
                home::open(&folder.out())?;
                home::take(&folder, &folder.out())?;
            }
            let collected = collector.finish();
            let up = collected.no_boot.is_none();
            self.tell(Report::Spent { label: label.clone(), up, spent: collected.spent });
            cases = collected.remaining;
            if let Some(no_boot) = collected.no_boot {
                if no_boot.retry && !retried {
                    retried = true;
                    let reason = no_boot.reasons.join("; ");
                    self.tell(Report::Retry { label: label.clone(), reason });
                    continue;
                }
                for case in cases {
                    let outcome = not_booted(case, &no_boot.reasons, retried, folder.console());
                    self.tell(Report::Verdict(Box::new(outcome)));
                }
                return Ok(());
            }
            if cases.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn limits(&self, cases: &[Case]) -> Result<Limits> {
        let mut scenarios = BTreeMap::new();
        for case in cases {
            let limit = case.scenario.limit(&self.pool.settings)?;
            scenarios.insert(case.scenario.name.clone(), limit);
        }
        Ok(Limits { boot: self.pool.boot_limit, scenarios, script: None })
    }

    fn tell(&self, report: Report) {
        // Nobody listens any more only if the run is being given up.
        let _ = self.reports.send(report);
    }
}
