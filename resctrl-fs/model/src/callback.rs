// SPDX-License-Identifier: GPL-2.0-only
//! What the callbacks of CPU hotplug and of the system's sleep do: `life.rs` and `hotplug.rs` of the file system. The ways of
//! other versions are in [`crate::wrong`].

use crate::kernel::put;
use crate::mask::mask;
use crate::rules::{Alteration, Rules, Time};
use crate::state::{Actor, Callback, Cpu, Domain, Edge, Kind, Life, Slot, State, Step, Worker};
use crate::wrong;

/// Calls a callback, if there are any.
pub(crate) fn enter(state: &mut State, edge: Edge) {
    state.callback = Some(Callback { edge, step: Step::Entered, gone: None });
}

/// The callback takes the mutex.
pub(crate) fn lock(rules: &Rules, state: &mut State) -> Option<()> {
    let callback = state.callback.as_mut()?;
    if state.mutex.is_some() {
        return None;
    }
    let ours = rules.version.is_ours() || !matches!(callback.edge, Edge::Go(_));
    callback.step = match callback.step {
        Step::Entered if ours => Step::Locked,
        Step::Entered => Step::Looks(Kind::Overflow),
        Step::Rearms(kind) => {
            state.mutex = Some(Actor::Callback);
            return wrong::rearm(rules, state, kind);
        }
        _ => return None,
    };
    state.mutex = Some(Actor::Callback);
    Some(())
}

/// The callback, which holds the mutex, does what it does, in one step.
pub(crate) fn act(rules: &Rules, state: &mut State) -> Option<()> {
    let callback = state.callback.filter(|callback| callback.step == Step::Locked)?;
    let gone = match callback.edge {
        Edge::Come(cpu) => {
            come(rules, state, cpu)?;
            None
        }
        Edge::Go(cpu) => leave(rules, state, cpu, Life::Online),
        Edge::Suspend(cpu) => {
            if state.lives[cpu.index()] == Life::Online {
                state.lives[cpu.index()] = Life::Suspended;
            }
            None
        }
        Edge::Lose => {
            for cpu in (0..).map(Cpu).take(state.lives.len()) {
                if rules.version.has(Alteration::LostKept) {
                    continue;
                }
                if let Some(gone) = leave(rules, state, cpu, Life::Suspended) {
                    put(state, gone);
                }
            }
            None
        }
    };
    state.callback = Some(Callback { step: Step::Acted, gone, ..callback });
    Some(())
}

/// A CPU joins its domain, the first of one makes it. Nothing where there is no place in memory for that.
fn come(rules: &Rules, state: &mut State, cpu: Cpu) -> Option<()> {
    match state.lives[cpu.index()] {
        Life::Online => return Some(()),
        Life::Suspended => {
            state.lives[cpu.index()] = Life::Online;
            return Some(());
        }
        Life::Offline => {}
    }
    let package = rules.packages[cpu.index()];
    if let Some(slot) = state.live(package) {
        if let Some(domain) = state.domains[slot.index()].as_mut() {
            domain.cpus.insert(cpu);
        }
    } else {
        let at = match state.domains.iter().position(Option::is_none) {
            Some(at) => at,
            None if rules.time == Time::Recorded => {
                state.domains.push(None);
                state.domains.len() - 1
            }
            None => return None,
        };
        state.domains[at] = Some(Domain::new(package, cpu));
        if state.mounted {
            state.todo = vec![Worker { domain: Slot(at as u8), kind: Kind::Overflow }];
        }
    }
    state.lives[cpu.index()] = Life::Online;
    Some(())
}

/// A CPU leaves its domain: out of the mask, and no worker's target any more, in one step. Gives the domain that goes with it.
fn leave(rules: &Rules, state: &mut State, cpu: Cpu, from: Life) -> Option<Slot> {
    if state.lives[cpu.index()] != from {
        return None;
    }
    state.lives[cpu.index()] = Life::Offline;
    mask(rules, state, cpu)
}

/// The callback lets the mutex go.
pub(crate) fn unlock(state: &mut State) -> Option<()> {
    let callback = state.callback.as_mut()?;
    if callback.step != Step::Acted || !state.todo.is_empty() || state.mutex != Some(Actor::Callback) {
        return None;
    }
    callback.step = Step::Unlocked;
    state.mutex = None;
    if callback.gone.is_none() {
        state.callback = None;
    }
    Some(())
}

/// The callback gives up the list's reference to the domain that went.
pub(crate) fn drop_gone(state: &mut State) -> Option<()> {
    let callback = state.callback.filter(|callback| callback.step == Step::Unlocked)?;
    state.callback = None;
    put(state, callback.gone?);
    Some(())
}
