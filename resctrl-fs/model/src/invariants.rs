// SPDX-License-Identifier: GPL-2.0-only
//! What must hold in every state.

use crate::rules::{Rules, Time};
use crate::state::{Domain, Exit, Fault, Kind, Phase, Sleep, Slot, State, Target};

/// Something that must hold, and its name.
#[derive(Clone, Copy)]
pub struct Invariant {
    /// What must hold.
    pub name: &'static str,
    /// Whether it does.
    pub holds: fn(&Rules, &State) -> bool,
}

/// All of them.
pub const INVARIANTS: [Invariant; 12] = [
    Invariant {
        name: "no domain is touched after it was freed",
        holds: |_, state| state.fault != Some(Fault::FreedDomain),
    },
    Invariant {
        name: "no array is touched after it was freed",
        holds: |_, state| state.fault != Some(Fault::FreedArrays),
    },
    Invariant { name: "memory is freed once", holds: |_, state| state.fault != Some(Fault::FreedTwice) },
    Invariant { name: "counters are read in their domain", holds: |_, state| state.fault != Some(Fault::Outside) },
    Invariant {
        name: "nothing is scheduled on a CPU that has gone",
        holds: |_, state| state.fault != Some(Fault::GoneCpu),
    },
    Invariant { name: "what is armed was idle", holds: |_, state| state.fault != Some(Fault::WasPending) },
    Invariant { name: "each reference has a holder", holds: references },
    Invariant { name: "the target says where the worker is", holds: targets },
    Invariant { name: "no worker is lost", holds: workers },
    Invariant { name: "no worker is left after the end", holds: ends },
    Invariant { name: "counters are read again in time", holds: in_time },
    Invariant { name: "the end comes in time", holds: ends_in_time },
];

fn domains(state: &State) -> impl Iterator<Item = (Slot, &Domain)> {
    (0..).map(Slot).zip(&state.domains).filter_map(|(slot, domain)| Some((slot, domain.as_ref()?)))
}

/// The list, whoever took the domain off it, each run to come and each that has not given it up hold one, and nobody else.
fn references(rules: &Rules, state: &State) -> bool {
    let held = |(slot, domain): (Slot, &Domain)| {
        let gone = state.callback.is_some_and(|callback| callback.gone == Some(slot));
        let works = || domain.works.iter();
        let held = usize::from(domain.alive || gone)
            + works().filter(|work| work.pending.is_some()).count()
            + works().filter(|work| work.run.is_some_and(|run| run.holds)).count();
        usize::from(domain.refs) == held && domain.freed == (held == 0)
    };
    !rules.version.is_ours() || domains(state).all(held)
}

/// While nobody is about to change it: `Idle` exactly when the worker is neither scheduled nor about to take the mutex, and a
/// CPU only if that is in the domain.
fn targets(rules: &Rules, state: &State) -> bool {
    let right = |domain: &Domain| {
        Kind::BOTH.into_iter().all(|kind| {
            let work = domain.work(kind);
            let under_way = work.pending.is_some() || work.run.is_some_and(|run| run.phase == Phase::Begun);
            match domain.targets[kind as usize] {
                Target::Idle => !under_way,
                Target::On(cpu) => under_way && domain.cpus.contains(cpu),
                Target::Nowhere => under_way,
            }
        })
    };
    !rules.version.is_ours() || state.mutex.is_some() || domains(state).all(|(_, domain)| domain.freed || right(domain))
}

/// A mounted domain has its overflow worker, and one with something in limbo its limbo worker: always, or, in versions in which
/// offline arms it anew, once that is over.
fn workers(rules: &Rules, state: &State) -> bool {
    if state.mutex.is_some() || !rules.version.is_ours() && (state.hotplug.is_some() || state.exit != Exit::No) {
        return true;
    }
    domains(state).filter(|(_, domain)| domain.alive).all(|(_, domain)| {
        let there = |kind| {
            let work = domain.work(kind);
            work.pending.is_some() || work.run.is_some_and(|run| run.phase != Phase::Returning)
        };
        (!state.mounted || there(Kind::Overflow)) && (!domain.busy || there(Kind::Limbo))
    })
}

/// When the module's code goes, nobody runs it or will, and nothing is left in memory.
fn ends(_: &Rules, state: &State) -> bool {
    state.exit != Exit::Gone || domains(state).next().is_none()
}

/// A period, and a tick for each CPU that has left.
fn in_time(rules: &Rules, state: &State) -> bool {
    let timed = matches!(rules.time, Time::Prompt(_)) && state.mounted && state.sleep == Sleep::No;
    !timed || domains(state).all(|(_, domain)| !domain.alive || domain.unread <= rules.limit(domain.left))
}

/// The exit waits for a period at most: workers of domains that have gone pick no other CPU.
fn ends_in_time(rules: &Rules, state: &State) -> bool {
    state.exit_waited <= rules.limit(0)
}
