// SPDX-License-Identifier: GPL-2.0-only
//! The patch as it was posted (2026-05-21): a reference for each scheduled worker, and "no CPU" as a mark for the worker.
//!
//! It was posted for workers that take the hotplug lock. Those of Linux 7.3 no longer do; with `HOTPLUG_LOCK` false, the
//! model is the patch on them.

use std::sync::Arc;

use resctrl_types::platform::{Mutex, Platform, WorkKind};
use resctrl_types::{CpuId, Ref, WorkerContext};

use crate::world::{Domain, Model, NO_CPU, PERIOD, World};

pub(crate) struct Posted<const HOTPLUG_LOCK: bool>;

impl<const HOTPLUG_LOCK: bool> Posted<HOTPLUG_LOCK> {
    fn put(domain: &Domain<Self>) {
        let mut fields = domain.fields();
        fields.kref -= 1;
        let last = fields.kref == 0;
        drop(fields);
        if last {
            domain.free();
        }
    }
}

impl<const HOTPLUG_LOCK: bool> Model for Posted<HOTPLUG_LOCK> {
    fn work(world: &Arc<World<Self>>, domain: &Ref<Domain<Self>>, kind: WorkKind, _: WorkerContext<'_>) {
        let _cpus = HOTPLUG_LOCK.then(|| world.sim.cpus_read_lock());
        let state = world.state.lock();
        if kind == WorkKind::Overflow && !state.mounted {
            return Self::put(domain);
        }
        // The posted patch looks at the mark, and not at where it runs.
        let displaced = *domain.fields().work_cpu(kind) == NO_CPU;
        let again = displaced
            || match kind {
                WorkKind::Overflow => {
                    domain.read_counters();
                    true
                }
                WorkKind::Limbo => domain.check_limbo(),
            };
        if !again {
            return Self::put(domain);
        }
        let cpu = domain.fields().any_cpu(None);
        *domain.fields().work_cpu(kind) = cpu;
        if cpu == NO_CPU {
            return Self::put(domain);
        }
        let _ = world.sim.schedule(domain.clone(), kind, CpuId(cpu), PERIOD);
    }

    fn leave(world: &Arc<World<Self>>, cpu: CpuId) {
        let state = world.state.lock();
        let Some(domain) = World::domain_of(&state, cpu) else { return };
        for kind in [WorkKind::Overflow, WorkKind::Limbo] {
            let mut fields = domain.fields();
            if *fields.work_cpu(kind) == cpu.0 {
                *fields.work_cpu(kind) = NO_CPU;
            }
        }
    }

    fn remove(world: &Arc<World<Self>>, domain: Ref<Domain<Self>>) {
        {
            let _state = world.state.lock();
            domain.free_arrays();
        }
        Self::put(&domain);
    }

    fn arm(world: &World<Self>, domain: &Ref<Domain<Self>>, kind: WorkKind, delay: u32, exclude: Option<CpuId>) {
        let cpu = domain.fields().any_cpu(exclude);
        // Remembered although the work may be pending on another CPU.
        *domain.fields().work_cpu(kind) = cpu;
        if cpu != NO_CPU {
            domain.fields().kref += 1;
            if world.sim.schedule(domain.clone(), kind, CpuId(cpu), delay).is_err() {
                Self::put(domain);
            }
        }
    }
}
