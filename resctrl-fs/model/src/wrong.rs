// SPDX-License-Identifier: GPL-2.0-only
//! How a CPU leaves in the versions that were wrong. Where they hold the mutex for a while and nothing of what others may do
//! meanwhile depends on it, that is one step.

use crate::kernel::{cancel, free, put};
use crate::mask::mask;
use crate::rules::{Rules, Version};
use crate::state::{Callback, Cpu, Edge, Kind, Life, Slot, State, Step, Target, Worker};
use crate::worker::arm;

/// The next kind that is looked at, and after the last the mask.
fn after(kind: Kind) -> Step {
    match kind {
        Kind::Overflow => Step::Looks(Kind::Limbo),
        Kind::Limbo => Step::Masks,
    }
}

fn wanted(state: &State, worker: Worker) -> bool {
    match worker.kind {
        Kind::Overflow => state.mounted,
        Kind::Limbo => state.domain(worker.domain).is_some_and(|domain| domain.busy),
    }
}

/// One step of a CPU's leaving, other than taking the mutex.
pub(crate) fn step(rules: &Rules, state: &mut State) -> Option<()> {
    let callback = state.callback?;
    let Edge::Go(cpu) = callback.edge else { return None };
    match callback.step {
        Step::Looks(kind) => looks(rules, state, cpu, kind),
        Step::Waits(kind) => {
            let worker = Worker { domain: state.live(rules.packages[cpu.index()])?, kind };
            ended(state, worker)?;
            goes_on(state, Step::Rearms(kind))
        }
        Step::Masks => {
            if state.mutex.is_some() {
                return None;
            }
            state.lives[cpu.index()] = Life::Offline;
            let gone = mask(rules, state, cpu);
            state.callback = gone.map(|gone| Callback { step: Step::Removes, gone: Some(gone), ..callback });
            Some(())
        }
        Step::Removes => removes(rules, state, callback.gone?),
        Step::Drains(kind) => {
            ended(state, Worker { domain: callback.gone?, kind })?;
            match kind {
                Kind::Overflow => goes_on(state, Step::Drains(Kind::Limbo)),
                Kind::Limbo => {
                    if state.mutex.is_some() {
                        return None;
                    }
                    arrays(state, callback.gone?);
                    goes_on(state, Step::Frees)
                }
            }
        }
        Step::Frees => {
            state.callback = None;
            if rules.version.counts() {
                put(state, callback.gone?);
            } else {
                free(state, callback.gone?);
            }
            Some(())
        }
        Step::Entered | Step::Locked | Step::Acted | Step::Unlocked | Step::Rearms(_) => None,
    }
}

fn goes_on(state: &mut State, to: Step) -> Option<()> {
    state.callback.as_mut()?.step = to;
    Some(())
}

/// Looks at one worker, with the mutex held.
fn looks(rules: &Rules, state: &mut State, cpu: Cpu, kind: Kind) -> Option<()> {
    let slot = state.live(rules.packages[cpu.index()])?;
    let worker = Worker { domain: slot, kind };
    let concerned = *state.domains[slot.index()].as_mut()?.target(kind) == Target::On(cpu);
    let next = match rules.version {
        Version::Before => {
            // It looks whether something is busy, and does not look whether anything is mounted.
            if concerned && (kind == Kind::Overflow || wanted(state, worker)) {
                cancel(state, worker);
                arm(rules, state, worker, 0, Some(cpu));
            }
            after(kind)
        }
        Version::Upstream if concerned => {
            state.mutex = None;
            cancel(state, worker);
            Step::Waits(kind)
        }
        Version::Posted | Version::PostedUnlocked if concerned => {
            *state.domains[slot.index()].as_mut()?.target(kind) = Target::Nowhere;
            after(kind)
        }
        _ => after(kind),
    };
    if next == Step::Masks {
        state.mutex = None;
    }
    goes_on(state, next)
}

/// `cancel_delayed_work_sync`: until it neither waits nor runs.
fn ended(state: &mut State, worker: Worker) -> Option<()> {
    let running = state.domain(worker.domain)?.work(worker.kind).run.is_some();
    if running {
        return None;
    }
    cancel(state, worker);
    Some(())
}

/// With the mutex back: arms the worker anew, on another CPU.
pub(crate) fn rearm(rules: &Rules, state: &mut State, kind: Kind) -> Option<()> {
    let Edge::Go(cpu) = state.callback?.edge else { return None };
    let worker = Worker { domain: state.live(rules.packages[cpu.index()])?, kind };
    if wanted(state, worker) {
        arm(rules, state, worker, 0, Some(cpu));
    }
    let next = after(kind);
    if next == Step::Masks {
        state.mutex = None;
    }
    goes_on(state, next)
}

fn arrays(state: &mut State, slot: Slot) {
    if let Some(domain) = state.domains[slot.index()].as_mut() {
        domain.arrays_freed = true;
    }
}

fn removes(rules: &Rules, state: &mut State, gone: Slot) -> Option<()> {
    if rules.version == Version::Upstream {
        for kind in Kind::BOTH {
            cancel(state, Worker { domain: gone, kind });
        }
        return goes_on(state, Step::Drains(Kind::Overflow));
    }
    if state.mutex.is_some() {
        return None;
    }
    if rules.version == Version::Before {
        for kind in Kind::BOTH {
            cancel(state, Worker { domain: gone, kind });
        }
    }
    arrays(state, gone);
    goes_on(state, Step::Frees)
}
