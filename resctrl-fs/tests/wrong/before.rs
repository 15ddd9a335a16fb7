// SPDX-License-Identifier: GPL-2.0-only
//! Before the patch (Linux 6.12): the worker takes the hotplug lock, so it sleeps through the hotplug operation that
//! cancels it without waiting, and wakes up with a domain that has been freed.

use std::sync::Arc;

use resctrl_types::platform::{Mutex, Platform, WorkKind};
use resctrl_types::{CpuId, Ref, WorkerContext};

use crate::world::{Domain, Model, PERIOD, World};

pub(crate) struct Before;

impl Model for Before {
    fn work(world: &Arc<World<Self>>, domain: &Ref<Domain<Self>>, kind: WorkKind, _: WorkerContext<'_>) {
        let _cpus = world.sim.cpus_read_lock();
        let state = world.state.lock();
        let again = match kind {
            WorkKind::Overflow => {
                if !state.mounted {
                    return;
                }
                domain.read_counters();
                true
            }
            WorkKind::Limbo => domain.check_limbo(),
        };
        if again {
            let cpu = domain.fields().any_cpu(None);
            *domain.fields().work_cpu(kind) = cpu;
            let _ = world.sim.schedule(domain.clone(), kind, CpuId(cpu), PERIOD);
        }
    }

    fn leave(world: &Arc<World<Self>>, cpu: CpuId) {
        let state = world.state.lock();
        let Some(domain) = World::domain_of(&state, cpu) else { return };
        for kind in [WorkKind::Overflow, WorkKind::Limbo] {
            let concerned = *domain.fields().work_cpu(kind) == cpu.0;
            let wanted = kind == WorkKind::Overflow || domain.fields().busy;
            if concerned && wanted {
                world.sim.cancel(domain.work_of(kind));
                Self::arm(world, &domain, kind, 0, Some(cpu));
            }
        }
    }

    fn remove(world: &Arc<World<Self>>, domain: Ref<Domain<Self>>) {
        {
            let _state = world.state.lock();
            world.sim.cancel(domain.work_of(WorkKind::Overflow));
            world.sim.cancel(domain.work_of(WorkKind::Limbo));
            domain.free_arrays();
        }
        domain.free();
    }
}
