// SPDX-License-Identifier: GPL-2.0-only
//! Linux 7.3: a CPU that leaves cancels the worker, waits for it with the mutex dropped, and queues it on another CPU.
//! The leaving CPU is still in the domain's mask then, and the worker may choose it again (hazard B10).

use std::sync::Arc;

use resctrl_types::platform::{Mutex, Platform, WorkKind};
use resctrl_types::{CpuId, Ref, WorkerContext};

use crate::world::{Domain, Model, PERIOD, World};

pub(crate) struct Upstream;

impl Model for Upstream {
    fn work(world: &Arc<World<Self>>, domain: &Ref<Domain<Self>>, kind: WorkKind, context: WorkerContext<'_>) {
        let state = world.state.lock();
        if kind == WorkKind::Overflow && !state.mounted {
            return;
        }
        if matches!(context, WorkerContext::Displaced) || domain.fields().cpus.is_empty() {
            return;
        }
        let again = match kind {
            WorkKind::Overflow => {
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
        let mut state = world.state.lock();
        let Some(domain) = World::domain_of(&state, cpu) else { return };
        for kind in [WorkKind::Overflow, WorkKind::Limbo] {
            if *domain.fields().work_cpu(kind) != cpu.0 {
                continue;
            }
            drop(state);
            world.sim.cancel_sync(domain.work_of(kind));
            state = world.state.lock();
            let wanted = match kind {
                WorkKind::Overflow => state.mounted,
                WorkKind::Limbo => domain.fields().busy,
            };
            if wanted {
                Self::arm(world, &domain, kind, 0, Some(cpu));
            }
        }
    }

    fn remove(world: &Arc<World<Self>>, domain: Ref<Domain<Self>>) {
        world.sim.cancel_sync(domain.work_of(WorkKind::Overflow));
        world.sim.cancel_sync(domain.work_of(WorkKind::Limbo));
        {
            let _state = world.state.lock();
            domain.free_arrays();
        }
        domain.free();
    }
}
