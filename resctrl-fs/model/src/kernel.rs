// SPDX-License-Identifier: GPL-2.0-only
//! Delayed works, as far as the life of a domain hangs on them: `kernel/workqueue.c`. The rules are those of
//! `resctrl_types::sim`, which has a test of each.

use crate::rules::{Hotplug, Rules, Time};
use crate::state::{Cpu, CpuState, Fault, Pending, Phase, Run, Slot, State, Worker};

/// Whose memory is touched: a domain that was freed must not be.
pub(crate) fn touch(state: &mut State, slot: Slot) -> bool {
    let freed = state.domain(slot).is_none_or(|domain| domain.freed);
    if freed {
        state.fail(Fault::FreedDomain);
    }
    !freed
}

pub(crate) fn work(state: &mut State, worker: Worker) -> Option<&mut crate::state::Work> {
    let domain = state.domains.get_mut(worker.domain.index())?.as_mut()?;
    Some(&mut domain.works[worker.kind as usize])
}

/// Makes a work pending. False when it was already.
pub(crate) fn schedule(rules: &Rules, state: &mut State, worker: Worker, cpu: Cpu, ticks: u16) -> bool {
    if rules.version.is_ours() && !matches!(state.cpus[cpu.index()], CpuState::Starting | CpuState::Online) {
        state.fail(Fault::GoneCpu);
    }
    let timed = rules.timed();
    let Some(work) = work(state, worker) else { return false };
    if work.pending.is_some() {
        return false;
    }
    work.pending = Some(if ticks > 0 {
        Pending::Timer(cpu, if timed { ticks } else { 0 })
    } else {
        Pending::Queued(work.run.map_or(cpu, |run| run.pool))
    });
    true
}

/// A timer fires: the work goes to the pool of its CPU, or to that which runs it.
pub(crate) fn fire(state: &mut State, worker: Worker) -> Option<()> {
    let work = work(state, worker)?;
    let Some(Pending::Timer(cpu, 0)) = work.pending else { return None };
    work.pending = Some(Pending::Queued(work.run.map_or(cpu, |run| run.pool)));
    touch(state, worker.domain);
    Some(())
}

/// A pool starts a run: bound, or displaced when its workers are loose.
pub(crate) fn begin(rules: &Rules, state: &mut State, worker: Worker) -> Option<()> {
    let (loose, frozen) = (state.loose, state.frozen());
    let work = work(state, worker)?;
    let Some(Pending::Queued(pool)) = work.pending else { return None };
    if work.run.is_some() || frozen {
        return None;
    }
    let here = (!loose.contains(pool)).then_some(pool);
    let holds = rules.version.is_ours();
    work.pending = None;
    work.run = Some(Run { pool, told: here, here, phase: Phase::Begun, holds });
    touch(state, worker.domain);
    Some(())
}

/// A run has returned.
pub(crate) fn finish(state: &mut State, worker: Worker) -> Option<()> {
    let work = work(state, worker)?;
    work.run.take_if(|run| run.phase == Phase::Returning && !run.holds)?;
    forget(state, worker.domain);
    Some(())
}

/// Takes back a run that is to come.
pub(crate) fn cancel(state: &mut State, worker: Worker) -> bool {
    work(state, worker).is_some_and(|work| work.pending.take().is_some())
}

/// Turns the workers of a CPU loose, or binds them again.
pub(crate) fn bind(state: &mut State, cpu: Cpu, to: Option<Cpu>) {
    match to {
        Some(_) => state.loose.remove(cpu),
        None => state.loose.insert(cpu),
    }
    let runs =
        state.domains.iter_mut().flatten().flat_map(|domain| &mut domain.works).filter_map(|work| work.run.as_mut());
    runs.filter(|run| run.pool == cpu).for_each(|run| run.here = to);
}

/// Gives memory back.
pub(crate) fn free(state: &mut State, slot: Slot) {
    let Some(domain) = state.domains[slot.index()].as_mut() else { return };
    let twice = std::mem::replace(&mut domain.freed, true);
    if twice {
        state.fail(Fault::FreedTwice);
    }
    forget(state, slot);
}

/// A freed domain is forgotten when nobody can touch it any more.
fn forget(state: &mut State, slot: Slot) {
    let named = state.callback.is_some_and(|callback| callback.gone == Some(slot));
    let cell = &mut state.domains[slot.index()];
    if !named
        && cell.as_ref().is_some_and(|domain| domain.freed && domain.works.iter().all(crate::state::Work::is_idle))
    {
        *cell = None;
    }
}

/// Gives a reference up; with the last one goes the domain. True when that was it.
pub(crate) fn put(state: &mut State, slot: Slot) -> bool {
    let Some(domain) = state.domains[slot.index()].as_mut() else { return false };
    let Some(refs) = domain.refs.checked_sub(1) else {
        state.fail(Fault::FreedTwice);
        return false;
    };
    domain.refs = refs;
    if refs == 0 {
        free(state, slot);
    }
    refs == 0
}

/// Whether time may go on.
pub(crate) fn may_pass(rules: &Rules, state: &State) -> bool {
    match rules.time {
        Time::Any => return false,
        Time::Recorded => return true,
        Time::Prompt(_) => {}
    }
    // What is behind the hotplug lock waits for whoever holds that.
    let blocked = |run: &Run| run.phase == Phase::Begun && rules.version.worker_holds_cpus() && state.hotplug.is_some();
    let still = |work: &crate::state::Work| {
        !matches!(work.pending, Some(Pending::Timer(_, 0)))
            && (work.run.is_some() || !matches!(work.pending, Some(Pending::Queued(_))))
            && work.run.as_ref().is_none_or(blocked)
    };
    let quick = rules.hotplug == Hotplug::Quick && state.hotplug.is_some();
    state.mutex.is_none() && !quick && !state.frozen() && state.workers().all(|(_, work)| still(work))
}

/// Time goes on.
pub(crate) fn pass(rules: &Rules, state: &mut State, ticks: u16) {
    let (mounted, timed) = (state.mounted, matches!(rules.time, Time::Prompt(_)));
    for domain in state.domains.iter_mut().flatten() {
        for work in &mut domain.works {
            if let Some(Pending::Timer(_, left)) = &mut work.pending {
                *left = left.saturating_sub(ticks);
            }
        }
        if mounted && timed && domain.alive && !domain.cpus.is_empty() {
            // Beyond the limit it is late, however much.
            domain.unread = (domain.unread + ticks).min(rules.limit(domain.left) + 1);
        }
    }
    let left = state.domains.iter().flatten().any(|domain| !domain.freed);
    if timed && left && state.exit == crate::state::Exit::Counting {
        state.exit_waited = (state.exit_waited + ticks).min(rules.limit(0) + 1);
    }
}
