// SPDX-License-Identifier: GPL-2.0-only
//! What a worker does when it has the mutex: the rules of `monitor/worker.rs`, and those of the other versions.

use crate::kernel::{put, schedule, touch};
use crate::rules::{Alteration, Rules, Version};
use crate::state::{Cpu, Fault, Kind, Life, Phase, Run, State, Target, Worker};

/// What a look into limbo finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limbo {
    /// Nothing that is still there.
    Clean,
    /// Something.
    Dirty,
}

/// What a worker that has the mutex makes of what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The domain is gone, or nothing is mounted: it ends.
    End,
    /// It is not where it should be: it goes elsewhere.
    Repick,
    /// It reads the counters, or looks into limbo.
    Measure,
}

/// What the worker here decides.
pub(crate) fn decide(rules: &Rules, state: &State, worker: Worker, run: &Run) -> Decision {
    let Some(domain) = state.domain(worker.domain) else { return Decision::End };
    if !domain.alive {
        return Decision::End;
    }
    let asked = !rules.version.has(Alteration::PlaceNotAsked);
    let in_place =
        |cpu: Cpu| domain.targets[worker.kind as usize] == Target::On(cpu) && state.lives[cpu.index()] == Life::Online;
    if asked && !run.told.is_some_and(in_place) {
        return Decision::Repick;
    }
    if unmounted(state, worker) { Decision::End } else { Decision::Measure }
}

/// A housekeeping CPU of the domain, or any.
fn any_cpu(rules: &Rules, state: &State, worker: Worker, but: Option<Cpu>) -> Option<Cpu> {
    let mut cpus = state.domain(worker.domain)?.cpus;
    let all = cpus;
    for (cpu, _) in (0..).map(Cpu).zip(&rules.isolated).filter(|&(_, &isolated)| isolated) {
        cpus.remove(cpu);
    }
    cpus.any_but(but).or_else(|| all.any_but(but))
}

/// Reads the counters, or looks into limbo, where the worker is.
fn measure(state: &mut State, worker: Worker, run: &Run, limbo: Limbo) {
    let Some(domain) = state.domains[worker.domain.index()].as_mut() else { return };
    let outside = !run.here.is_some_and(|here| domain.cpus.contains(here));
    if domain.arrays_freed {
        state.fail(Fault::FreedArrays);
    } else if worker.kind == Kind::Limbo {
        domain.busy &= limbo == Limbo::Dirty;
    } else if outside {
        state.fail(Fault::Outside);
    } else {
        (domain.unread, domain.left) = (0, 0);
    }
}

/// The worker does what it does, in one step. Nothing when it is not its turn.
pub(crate) fn act(rules: &Rules, state: &mut State, worker: Worker, limbo: Limbo) -> Option<()> {
    let domain = state.domain(worker.domain)?;
    let mut run = domain.work(worker.kind).run.filter(|run| run.phase == Phase::Locked)?;
    // Only where it looks there is something to find.
    let looks = worker.kind == Kind::Limbo && domain.busy;
    if limbo == Limbo::Clean && !looks {
        return None;
    }
    run.phase = Phase::Acted;
    if touch(state, worker.domain) {
        match rules.version {
            Version::Counted | Version::Altered(_) => ours(rules, state, worker, &mut run, limbo),
            Version::Posted | Version::PostedUnlocked => posted(rules, state, worker, &run, limbo),
            Version::Before => before(rules, state, worker, &run, limbo),
            Version::Upstream => upstream(rules, state, worker, &run, limbo),
        }
    }
    if let Some(work) = crate::kernel::work(state, worker) {
        work.run = Some(run);
    }
    Some(())
}

fn domain_target(state: &mut State, worker: Worker) -> Option<&mut Target> {
    Some(state.domains[worker.domain.index()].as_mut()?.target(worker.kind))
}

fn set_target(state: &mut State, worker: Worker, to: Target) {
    if let Some(target) = domain_target(state, worker) {
        *target = to;
    }
}

fn ours(rules: &Rules, state: &mut State, worker: Worker, run: &mut Run, limbo: Limbo) {
    let delay = match decide(rules, state, worker, run) {
        Decision::End => {
            if worker.kind == Kind::Overflow
                && let Some(domain) = state.domains[worker.domain.index()].as_mut()
            {
                (domain.unread, domain.left) = (0, 0);
            }
            None
        }
        Decision::Repick => Some(if rules.version.has(Alteration::RepickLate) { rules.period() } else { 1 }),
        Decision::Measure => measures(state, worker, run, limbo).then(|| rules.period()),
    };
    let cpu = any_cpu(rules, state, worker, None);
    if let (Some(delay), Some(cpu)) = (delay, cpu) {
        set_target(state, worker, Target::On(cpu));
        // The reference goes along.
        if schedule(rules, state, worker, cpu, delay) {
            run.holds = false;
        } else {
            state.fail(Fault::WasPending);
        }
    } else if !rules.version.has(Alteration::TargetNotIdle) {
        set_target(state, worker, Target::Idle);
    }
}

/// Arms a worker: the file system was mounted, an RMID was freed, and in other versions a CPU leaves.
pub(crate) fn arm(rules: &Rules, state: &mut State, worker: Worker, delay: u16, but: Option<Cpu>) {
    let version = rules.version;
    let cpu = any_cpu(rules, state, worker, but);
    if version.is_ours() {
        let Some(cpu) = cpu else { return };
        set_target(state, worker, Target::On(cpu));
        if !version.has(Alteration::ArmedWithoutReference) {
            get(state, worker);
        }
        if !schedule(rules, state, worker, cpu, delay) {
            state.fail(Fault::WasPending);
            put(state, worker.domain);
        }
        return;
    }
    // Remembered although the work may be pending on another CPU.
    set_target(state, worker, cpu.map_or(Target::Nowhere, Target::On));
    let Some(cpu) = cpu else { return };
    let scheduled = schedule(rules, state, worker, cpu, delay);
    if version.counts() && scheduled {
        get(state, worker);
    }
}

fn get(state: &mut State, worker: Worker) {
    if let Some(domain) = state.domains[worker.domain.index()].as_mut() {
        domain.refs += 1;
    }
}

/// Measures, and says whether to run again.
fn measures(state: &mut State, worker: Worker, run: &Run, limbo: Limbo) -> bool {
    measure(state, worker, run, limbo);
    worker.kind == Kind::Overflow || state.domain(worker.domain).is_some_and(|domain| domain.busy)
}

fn unmounted(state: &State, worker: Worker) -> bool {
    worker.kind == Kind::Overflow && !state.mounted
}

fn again(rules: &Rules, state: &mut State, worker: Worker) -> bool {
    let cpu = any_cpu(rules, state, worker, None);
    set_target(state, worker, cpu.map_or(Target::Nowhere, Target::On));
    if let Some(cpu) = cpu {
        schedule(rules, state, worker, cpu, rules.period());
    }
    cpu.is_some()
}

fn before(rules: &Rules, state: &mut State, worker: Worker, run: &Run, limbo: Limbo) {
    if !unmounted(state, worker) && measures(state, worker, run, limbo) {
        again(rules, state, worker);
    }
}

fn posted(rules: &Rules, state: &mut State, worker: Worker, run: &Run, limbo: Limbo) {
    let displaced = domain_target(state, worker).is_some_and(|target| *target == Target::Nowhere);
    let goes_on = !unmounted(state, worker) && (displaced || measures(state, worker, run, limbo));
    if !(goes_on && again(rules, state, worker)) {
        put(state, worker.domain);
    }
}

fn upstream(rules: &Rules, state: &mut State, worker: Worker, run: &Run, limbo: Limbo) {
    let empty = state.domain(worker.domain).is_none_or(|domain| domain.cpus.is_empty());
    if unmounted(state, worker) || run.told.is_none() || empty {
        return;
    }
    if measures(state, worker, run, limbo) {
        again(rules, state, worker);
    }
}
