// SPDX-License-Identifier: GPL-2.0-only
//! The life of a monitor domain's workers.
//!
//! Two delayed works belong to each L3 monitor domain: one reads counters before they can wrap twice (overflow), one
//! waits for freed RMIDs to become clean (limbo). What CPU hotplug may do to them:
//!
//! 1. Scheduling consumes a reference to the domain, the handler receives it back, so the domain outlives every worker.
//! 2. A CPU that goes offline never cancels a worker and never waits for one. Under the mutex, and in the same step in
//!    which it leaves the domain's mask, it turns the worker's target into [`Target::Nowhere`].
//! 3. A worker that starts with its target elsewhere, or not bound to a CPU of its domain, measures nothing. It picks a
//!    CPU of the domain, which cannot be the leaving one, as that is no longer in the mask, and goes there with the next
//!    tick: its period has passed already. (Not with delay 0: a running work that queues itself at once is queued to the
//!    pool that runs it, whatever CPU it asks for, and would come back displaced for as long as that CPU is gone.)
//! 4. A domain without CPUs is dead: the worker only drops its reference.
//!
//! The target says exactly whether a worker is under way, so arming an armed worker changes nothing, and in particular
//! does not forget where it really is queued. What a worker does when it runs is in [`super::run`].

use resctrl_types::locked::Key;
use resctrl_types::platform::WorkKind;
use resctrl_types::{Arch, BoundTo, Platform, Ref, WorkerContext};

use crate::data::domain::{MonState, Target};
use crate::data::state::MonDomain;
use crate::data::state::State;

/// Milliseconds between two runs of a worker.
pub(crate) const PERIOD_MS: u32 = 1000;

/// Milliseconds until a displaced worker runs again: rounded up to the next tick, by when its handler has returned.
pub(crate) const REPICK_MS: u32 = 1;

/// What a worker wants when its work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// To run again after a period.
    Again,
    /// To end. Whoever needs it arms it anew.
    Stop,
}

/// Schedules the worker `delay_ms` from now on a CPU of the domain, unless it is under way already.
pub(crate) fn arm<A: Arch<P>, P: Platform>(
    key: &mut Key,
    domain: &Ref<MonDomain<A, P>>,
    kind: WorkKind,
    delay_ms: u32,
) {
    if *domain.open(key).target(kind) == Target::Idle {
        dispatch(key, domain.clone(), kind, delay_ms);
    }
}

/// Sends the worker to a housekeeping CPU of its domain; without one, ends it by dropping the reference.
pub(crate) fn dispatch<A: Arch<P>, P: Platform>(
    key: &mut Key,
    domain: Ref<MonDomain<A, P>>,
    kind: WorkKind,
    delay_ms: u32,
) {
    let fs = domain.fs.clone();
    let state = domain.open(key);
    let Some(cpu) = fs.platform.any_housekeeping(&state.cpus) else {
        *state.target(kind) = Target::Idle;
        return;
    };
    *state.target(kind) = Target::On(cpu);
    if fs.platform.schedule(domain, kind, cpu, delay_ms).is_err() {
        // Pending, though the target said otherwise: its earlier schedule stands and will come by this way.
        debug_assert!(false, "a worker was pending with an idle target");
    }
}

/// Where the worker is, if that is the CPU it was meant for, which is in the domain; `None` when displaced.
pub(crate) fn on_target<'a, D>(
    state: &mut MonState<D>,
    kind: WorkKind,
    context: WorkerContext<'a>,
) -> Option<BoundTo<'a>> {
    match (context, *state.target(kind)) {
        (WorkerContext::Bound(bound), Target::On(cpu)) if bound.cpu() == cpu => Some(bound),
        _ => None,
    }
}

/// Under the mutex, in the step in which `cpu` leaves the domain's mask: a worker bound for it is bound for nowhere.
pub(crate) fn forget_cpu<D>(state: &mut MonState<D>, cpu: resctrl_types::CpuId) {
    for kind in [WorkKind::Overflow, WorkKind::Limbo] {
        let target = state.target(kind);
        if *target == Target::On(cpu) {
            *target = Target::Nowhere;
        }
    }
}

/// Starts the overflow worker of each domain: the file system has been mounted.
pub(crate) fn arm_overflow<A: Arch<P>, P: Platform>(key: &mut Key, state: &State<A, P>) {
    for domain in &state.mon_domains {
        arm(key, domain, WorkKind::Overflow, PERIOD_MS);
    }
}
