// SPDX-License-Identifier: GPL-2.0-only
//! The step in which a CPU leaves its domain.

use crate::rules::{Alteration, Rules, Time};
use crate::state::{Cpu, Kind, Slot, State, Target};

/// Takes a CPU out of the mask of its domain. With the last one the domain goes off the list.
pub(crate) fn mask(rules: &Rules, state: &mut State, cpu: Cpu) -> Option<Slot> {
    let slot = state.live(rules.packages[cpu.index()])?;
    let domain = state.domains[slot.index()].as_mut()?;
    domain.cpus.remove(cpu);
    // With nothing scheduled there is nobody to be late.
    let counted = matches!(rules.time, Time::Prompt(_)) && !domain.work(Kind::Overflow).is_idle();
    domain.left += u8::from(counted);
    if rules.version.is_ours() && !rules.version.has(Alteration::TargetsKept) {
        for kind in Kind::BOTH {
            let target = domain.target(kind);
            if *target == Target::On(cpu) {
                *target = Target::Nowhere;
            }
        }
    }
    if !domain.cpus.is_empty() {
        return None;
    }
    domain.alive = false;
    domain.busy = false;
    Some(slot)
}
