// SPDX-License-Identifier: GPL-2.0-only
//! One run of a monitor domain's worker, from its start to where it goes next. The rules are those of [`super::worker`].

use resctrl_types::platform::{Mutex, WorkKind, WorkTarget};
use resctrl_types::{Arch, Platform, Ref, WorkerContext};

use super::worker::{Next, PERIOD_MS, REPICK_MS, dispatch, on_target};
use super::{limbo, overflow};
use crate::data::domain::Target;
use crate::data::state::MonDomain;

impl<A: Arch<P>, P: Platform> WorkTarget<P> for MonDomain<A, P> {
    fn work(&self, kind: WorkKind) -> &P::Work {
        match kind {
            WorkKind::Overflow => &self.overflow,
            WorkKind::Limbo => &self.limbo,
        }
    }

    fn run(this: Ref<Self>, kind: WorkKind, context: WorkerContext<'_>) {
        // Kept beyond `this`, so that the guard does not outlive the mutex when this was the last reference.
        let fs = this.fs.clone();
        let mut locked = fs.locked.lock();
        let locked = &mut *locked;
        let (key, state) = (&mut locked.key, &mut locked.state);

        let (inner, held) = this.open_held(key);
        if !inner.alive {
            state.stats.dead_domain_runs += 1;
            *inner.target(kind) = Target::Idle;
            return;
        }
        let Some(here) = on_target(inner, kind, context).and_then(|bound| bound.pin(&state.online, held)) else {
            state.stats.displaced += u64::from(matches!(context, WorkerContext::Displaced));
            state.stats.repicks += 1;
            dispatch(key, this, kind, REPICK_MS);
            return;
        };
        let next = match kind {
            WorkKind::Overflow => overflow::run(&fs, state, inner, held, here),
            WorkKind::Limbo => limbo::run(&fs, state, this.id, inner, held, here),
        };
        match next {
            Next::Again => dispatch(key, this, kind, PERIOD_MS),
            Next::Stop => *inner.target(kind) = Target::Idle,
        }
    }
}
