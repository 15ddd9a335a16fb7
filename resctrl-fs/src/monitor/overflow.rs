// SPDX-License-Identifier: GPL-2.0-only
//! Reading bandwidth counters before they can wrap twice.
//!
//! The counters are 24 bits wide on the oldest hardware and count 64-byte units: at full traffic one wraps in a little
//! over a second. Each read adds what came since the last one modulo the width, so one read a second is enough.

use resctrl_types::locked::MutexHeld;
use resctrl_types::{Arch, Counter, DomainCpus, EventId, Pinned, Platform, ResourceId};

use super::mba_sc;
use super::worker::Next;
use crate::data::counters::Owner;
use crate::data::domain::MonState;
use crate::data::group::{Monitored, every_monitored};
use crate::data::state::{Resctrl, State};

/// Reads every bandwidth counter of every group in one domain, then lets the bandwidth controller act.
pub(crate) fn run<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    state: &mut State<A, P>,
    domain: &mut MonState<A::MonDomain>,
    held: MutexHeld<'_>,
    here: Pinned<'_>,
) -> Next {
    if state.mount.is_none() {
        return Next::Stop;
    }
    state.stats.overflow_runs += 1;
    let arch = &fs.arch;
    let mba_sc = state.mba_sc();
    let Some(monitor) = arch.monitor(ResourceId::L3) else { return Next::Stop };
    let assigned = arch.counters_assigned();
    let State { groups, online, .. } = &*state;
    for event in EventId::MBM.into_iter().filter(|&event| monitor.events.contains(event)) {
        let MonState { arch: arch_domain, cpus: mask, bandwidth, counters, .. } = domain;
        let cpus = DomainCpus::new(online.stay(held), mask).from_here(here);
        // A counter without a number keeps what was known of it, and so does everything when a CPU cannot be called: the
        // controller skips one update (hazard B8), the next period reads again.
        let _ = if assigned {
            // The bandwidth controller does not work with such counters.
            arch.read_counters(&fs.platform, cpus, &mut |read| {
                for Monitored { group, id } in every_monitored(groups) {
                    if let Some(number) = counters.find(Owner { group, event }) {
                        let _ = read(arch_domain, Counter { number, id, event });
                    }
                }
            })
        } else {
            let Ok(mut context) = arch.mon_context(ResourceId::L3, event) else { continue };
            arch.read(&fs.platform, cpus, event, &mut context, &mut |read| {
                for Monitored { id, .. } in every_monitored(groups) {
                    if let (Some(Ok(bytes)), true) = (read(arch_domain, id), mba_sc) {
                        mba_sc::note(arch, bandwidth, id, event, bytes);
                    }
                }
            })
        };
    }
    if mba_sc {
        mba_sc::run(fs, state, domain, held, here);
    }
    Next::Again
}
