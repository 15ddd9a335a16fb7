// SPDX-License-Identifier: GPL-2.0-only
//! Waiting for the cache lines of freed RMIDs to go.

use resctrl_types::arch::{MonId, OccupancyThreshold};
use resctrl_types::locked::{Key, MutexHeld};
use resctrl_types::platform::WorkKind;
use resctrl_types::{Arch, DomainCpus, DomainId, EventId, Pinned, Platform, Ref, ResourceId, RmidIndex};

use super::worker::{self, Next};
use crate::data::domain::MonState;
use crate::data::state::MonDomain;
use crate::data::state::State;
use crate::data::state::{Op, Resctrl};

/// What `max_threshold_occupancy` starts with: an RMID's even share of the cache, rounded as the hardware counts.
pub(crate) fn default_threshold<A: Arch<P>, P: Platform>(arch: &A) -> u32 {
    let Some(_) = arch.monitor(ResourceId::L3) else { return 0 };
    let OccupancyThreshold { limit, unit } = arch.occupancy_threshold();
    let share = limit / arch.num_rmid_index().max(1);
    share - share % unit.max(1)
}

/// Looks at every RMID that is in limbo in this domain; those whose occupancy has fallen below the threshold are done.
pub(crate) fn run<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    state: &mut State<A, P>,
    id: DomainId,
    domain: &mut MonState<A::MonDomain>,
    held: MutexHeld<'_>,
    here: Pinned<'_>,
) -> Next {
    let arch = &fs.arch;
    state.stats.limbo_runs += 1;
    let threshold = u64::from(state.threshold);
    let State { online, rmids, stats, .. } = state;
    // Without a monitor to read with, everything stays as it is until the next period.
    if let (Some(rmids), Ok(mut context)) = (rmids, arch.mon_context(ResourceId::L3, EventId::LlcOccupancy)) {
        let MonState { arch: arch_domain, cpus: mask, busy, .. } = domain;
        let cpus = DomainCpus::new(online.stay(held), mask).from_here(here);
        // Those that cannot be read wait for the next period.
        let _ = arch.read(&fs.platform, cpus, EventId::LlcOccupancy, &mut context, &mut |read| {
            let mut next = busy.first_from(RmidIndex(0));
            while let Some(index) = next {
                let freed = arch.rmid_decode(index);
                if let Some(Ok(bytes)) = read(arch_domain, freed) {
                    let ctrl = if A::RMID_DEPENDS_ON_CLOSID { freed.closid.0 } else { u32::MAX };
                    fs.platform.trace_limbo(ctrl, freed.rmid.0, id, bytes);
                    if bytes < threshold {
                        busy.remove(index);
                        let last = rmids.cleaned(freed.closid, index);
                        stats.rmids_cleaned = stats.rmids_cleaned.wrapping_add(last.into());
                    }
                }
                next = busy.next_after(index);
            }
        });
    }
    if domain.busy.is_empty() { Next::Stop } else { Next::Again }
}

/// A domain goes away: nothing of what is in limbo there can be in its cache any more.
pub(crate) fn force_clean<A: Arch<P>, P: Platform>(
    arch: &A,
    state: &mut State<A, P>,
    domain: &mut MonState<A::MonDomain>,
) {
    let Some(rmids) = &mut state.rmids else { return };
    while let Some(index) = domain.busy.first_from(RmidIndex(0)) {
        domain.busy.remove(index);
        let last = rmids.cleaned(arch.rmid_decode(index).closid, index);
        state.stats.rmids_cleaned = state.stats.rmids_cleaned.wrapping_add(last.into());
    }
}

/// Ends a group's use of its RMID. With occupancy monitoring it goes into limbo in every domain there is.
pub(crate) fn free_rmid<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, id: MonId) {
    let arch = op.arch();
    let index = arch.rmid_index(id);
    let occupancy = op.fs.has_event(EventId::LlcOccupancy);
    let (key, state) = (&mut op.locked.key, &mut *op.locked.state);
    let Some(rmids) = &mut state.rmids else { return };
    if index == RmidIndex(0) {
        return;
    }
    let mut busy_in = 0_u32;
    if occupancy {
        for domain in &state.mon_domains {
            mark_busy(key, domain, index);
            busy_in = busy_in.saturating_add(1);
        }
    }
    if busy_in > 0 {
        state.stats.rmids_limbo += 1;
    }
    rmids.release(id.closid, index, busy_in);
}

/// Gives an RMID that a group has left, and that waits for its lines to go, back to it: the lines are the group's own.
pub(crate) fn take_back<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, id: MonId) {
    let index = op.arch().rmid_index(id);
    let (key, state) = (&mut op.locked.key, &mut op.locked.state);
    let Some(rmids) = &mut state.rmids else { return };
    rmids.take_back(id.closid, index);
    for domain in &state.mon_domains {
        // The worker finds less to do, perhaps nothing, and ends.
        let busy = &mut domain.open(key).busy;
        if busy.contains(index) {
            busy.remove(index);
        }
    }
}

fn mark_busy<A: Arch<P>, P: Platform>(key: &mut Key, domain: &Ref<MonDomain<A, P>>, index: RmidIndex) {
    domain.open(key).busy.insert(index);
    worker::arm(key, domain, WorkKind::Limbo, worker::PERIOD_MS);
}
