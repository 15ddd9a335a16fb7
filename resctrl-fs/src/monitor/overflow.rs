// SPDX-License-Identifier: GPL-2.0-only
//! Reading bandwidth counters before they can wrap twice.
//!
//! The counters are 24 bits wide on the oldest hardware and count 64-byte units: at full traffic one wraps in a little
//! over a second. Each read adds what came since the last one modulo the width, so one read a second is enough.

use resctrl_types::{Arch, Counter, EventId, Pinned, Platform, ResourceId};

use super::mba_sc;
use super::worker::Next;
use crate::data::counters::Owner;
use crate::data::domain::MonState;
use crate::data::group::Monitored;
use crate::data::state::State;

/// Reads every bandwidth counter of every group in one domain, then lets the bandwidth controller act.
pub(crate) fn run<A: Arch<P>, P: Platform>(
    arch: &A,
    state: &mut State<A, P>,
    domain: &mut MonState<A::MonDomain>,
    here: Pinned<'_>,
) -> Next {
    if state.mount.is_none() {
        return Next::Stop;
    }
    state.stats.overflow_runs += 1;
    let mba_sc = state.mba_sc();
    let Some(monitor) = arch.monitor(ResourceId::L3) else { return Next::Stop };
    let assigned = arch.counters_assigned();
    for event in EventId::MBM.into_iter().filter(|&event| monitor.events.contains(event)) {
        if assigned {
            read_assigned(arch, state, domain, here, event);
            continue;
        }
        let Ok(mut context) = arch.mon_context(ResourceId::L3, event) else { continue };
        for Monitored { id, .. } in state.every_monitored() {
            let read = arch.read(here.into(), ResourceId::L3, &mut domain.arch, id, event, &mut context);
            // A counter without a number keeps what was known of it; the controller skips one update (hazard B8).
            if let (true, Ok(bytes)) = (mba_sc, read) {
                mba_sc::note(arch, domain, id, event, bytes);
            }
        }
    }
    if mba_sc {
        mba_sc::run(arch, state, domain, here);
    }
    Next::Again
}

/// Reads the counters of those that have one. The bandwidth controller does not work with such counters.
fn read_assigned<A: Arch<P>, P: Platform>(
    arch: &A,
    state: &State<A, P>,
    domain: &mut MonState<A::MonDomain>,
    here: Pinned<'_>,
    event: EventId,
) {
    for Monitored { group, id } in state.every_monitored() {
        if let Some(number) = domain.counters.find(Owner { group, event }) {
            // Without a number nothing is lost yet: the next period reads again.
            let _ = arch.read_counter(here.into(), &mut domain.arch, Counter { number, id, event });
        }
    }
}
