// SPDX-License-Identifier: GPL-2.0-only
//! What the models have in common: domains whose freeing is noticed, a mutex, hotplug.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use resctrl_types::platform::{LockClass, Mutex, Platform, WorkKind, WorkTarget};
use resctrl_types::sim::trace::{Event, note};
use resctrl_types::sim::{SimMutex, SimPlatform, SimWork, Topology, current_cpu};
use resctrl_types::{CpuId, HotplugCpu, Ref, WorkerContext};

/// Milliseconds between two runs.
pub(crate) const PERIOD: u32 = 1000;
/// The longest time between two readings with which no counter of the narrowest kind wraps unseen: a period and a tick.
const LIMIT: u64 = 1001;
/// `nr_cpu_ids`: no CPU.
pub(crate) const NO_CPU: u32 = u32::MAX;

/// The protocol of one version. The mutex is held where `state` is passed.
pub(crate) trait Model: Sized + Send + Sync + 'static {
    /// The body of a worker.
    fn work(world: &Arc<World<Self>>, domain: &Ref<Domain<Self>>, kind: WorkKind, context: WorkerContext<'_>);
    /// A CPU leaves, before it is out of its domain's mask.
    fn leave(world: &Arc<World<Self>>, cpu: CpuId);
    /// A domain without CPUs goes. It is off the list.
    fn remove(world: &Arc<World<Self>>, domain: Ref<Domain<Self>>);
    /// Arms a worker: the file system was mounted, an RMID was freed.
    fn arm(world: &World<Self>, domain: &Ref<Domain<Self>>, kind: WorkKind, delay: u32, exclude: Option<CpuId>) {
        let cpu = domain.fields().any_cpu(exclude);
        *domain.fields().work_cpu(kind) = cpu;
        if cpu != NO_CPU {
            let _ = world.sim.schedule(domain.clone(), kind, CpuId(cpu), delay);
        }
    }
}

/// The two CPUs that a domain remembers, and its count: what C keeps as plain fields.
#[derive(Default)]
pub(crate) struct Fields {
    pub(crate) cpus: Vec<CpuId>,
    pub(crate) mbm_work_cpu: u32,
    pub(crate) cqm_work_cpu: u32,
    pub(crate) kref: u32,
    pub(crate) busy: bool,
}

impl Fields {
    pub(crate) fn work_cpu(&mut self, kind: WorkKind) -> &mut u32 {
        match kind {
            WorkKind::Overflow => &mut self.mbm_work_cpu,
            WorkKind::Limbo => &mut self.cqm_work_cpu,
        }
    }

    /// `cpumask_any_housekeeping`.
    pub(crate) fn any_cpu(&self, exclude: Option<CpuId>) -> u32 {
        self.cpus.iter().find(|&&cpu| Some(cpu) != exclude).map_or(NO_CPU, |cpu| cpu.0)
    }
}

/// A monitor domain. Its memory stays, so that touching it after `kfree` can be reported instead of crashing.
pub(crate) struct Domain<M: Model> {
    pub(crate) id: usize,
    world: Arc<World<M>>,
    overflow: SimWork,
    limbo: SimWork,
    fields: std::sync::Mutex<Fields>,
    freed: AtomicBool,
    arrays_freed: AtomicBool,
    last_read: AtomicU64,
}

impl<M: Model> Domain<M> {
    /// The fields, as long as the domain is not freed.
    pub(crate) fn fields(&self) -> std::sync::MutexGuard<'_, Fields> {
        assert!(!self.freed.load(Relaxed), "use of a freed domain");
        self.fields.lock().unwrap()
    }

    /// `kfree` of the domain.
    pub(crate) fn free(&self) {
        assert!(!self.freed.swap(true, Relaxed), "a domain was freed twice");
    }

    /// `kfree` of the limbo bitmap and the counter states.
    pub(crate) fn free_arrays(&self) {
        self.arrays_freed.store(true, Relaxed);
    }

    /// Reads the counters, on the CPU this runs on.
    pub(crate) fn read_counters(&self) {
        let cpus = self.fields().cpus.clone();
        assert!(!self.arrays_freed.load(Relaxed), "use of freed arrays");
        let here = current_cpu();
        assert!(here.is_some_and(|cpu| cpus.contains(&cpu)), "counters read on {here:?}, outside its domain");
        let now = self.world.sim.now_ms();
        let since = now - self.last_read.swap(now, Relaxed);
        assert!(since <= LIMIT, "too long between two readings: {since} ms");
    }

    /// Looks at what is in limbo.
    pub(crate) fn check_limbo(&self) -> bool {
        assert!(!self.arrays_freed.load(Relaxed), "use of freed arrays");
        self.fields().busy
    }

    pub(crate) fn work_of(&self, kind: WorkKind) -> &SimWork {
        match kind {
            WorkKind::Overflow => &self.overflow,
            WorkKind::Limbo => &self.limbo,
        }
    }
}

impl<M: Model> WorkTarget<SimPlatform> for Domain<M> {
    fn work(&self, kind: WorkKind) -> &SimWork {
        self.work_of(kind)
    }

    fn run(this: Ref<Self>, kind: WorkKind, context: WorkerContext<'_>) {
        let world = Arc::clone(&this.world);
        M::work(&world, &this, kind, context);
    }
}

/// What the rdtgroup mutex protects.
#[derive(Default)]
pub(crate) struct State<M: Model> {
    pub(crate) mounted: bool,
    pub(crate) domains: Vec<Ref<Domain<M>>>,
}

/// A machine with two domains of two CPUs each.
pub(crate) struct World<M: Model> {
    pub(crate) sim: SimPlatform,
    pub(crate) state: SimMutex<State<M>>,
    model: PhantomData<M>,
}

impl<M: Model> World<M> {
    pub(crate) fn boot() -> Arc<Self> {
        let sim = SimPlatform::new(Topology::packages(2, 2));
        sim.tolerate_gone_cpus();
        let state = State { mounted: false, domains: Vec::new() };
        let state = sim.mutex(LockClass::Rdtgroup, state).unwrap();
        let world = Arc::new(World { sim: sim.clone(), state, model: PhantomData });
        let (coming, going) = (Arc::clone(&world), Arc::clone(&world));
        sim.register_hotplug(
            move |cpu| {
                coming.online(cpu.cpu());
                Ok(())
            },
            move |cpu: HotplugCpu<'_>| World::offline(&going, cpu.cpu()),
        )
        .unwrap();
        world
    }

    fn id(cpu: CpuId) -> usize {
        cpu.index() / 2
    }

    fn online(self: &Arc<Self>, cpu: CpuId) {
        let mut state = self.state.lock();
        let id = Self::id(cpu);
        if let Some(domain) = state.domains.iter().find(|domain| domain.id == id) {
            let mut fields = domain.fields();
            fields.cpus.push(cpu);
            fields.cpus.sort();
            return;
        }
        let fields =
            Fields { cpus: vec![cpu], mbm_work_cpu: NO_CPU, cqm_work_cpu: NO_CPU, kref: 1, ..Fields::default() };
        let domain = Ref::new(Domain {
            id,
            world: Arc::clone(self),
            overflow: self.sim.work().unwrap(),
            limbo: self.sim.work().unwrap(),
            fields: std::sync::Mutex::new(fields),
            freed: AtomicBool::new(false),
            arrays_freed: AtomicBool::new(false),
            last_read: AtomicU64::new(self.sim.now_ms()),
        })
        .unwrap();
        if state.mounted {
            M::arm(self, &domain, WorkKind::Overflow, PERIOD, None);
        }
        state.domains.push(domain);
    }

    fn offline(self: &Arc<Self>, cpu: CpuId) {
        M::leave(self, cpu);
        // The architecture's part, under a mutex of its own.
        let gone = {
            let mut state = self.state.lock();
            let at = state.domains.iter().position(|domain| domain.id == Self::id(cpu)).unwrap();
            let mut fields = state.domains[at].fields();
            fields.cpus.retain(|&other| other != cpu);
            let empty = fields.cpus.is_empty();
            drop(fields);
            empty.then(|| state.domains.remove(at))
        };
        if let Some(domain) = gone {
            M::remove(self, domain);
        }
    }

    /// The domain that a CPU is in.
    pub(crate) fn domain_of(state: &State<M>, cpu: CpuId) -> Option<Ref<Domain<M>>> {
        state.domains.iter().find(|domain| domain.id == Self::id(cpu)).cloned()
    }

    pub(crate) fn mount(&self) {
        let _cpus = self.sim.cpus_read_lock();
        let mut state = self.state.lock();
        state.mounted = true;
        note(Event::Mounted);
        for domain in &state.domains {
            domain.last_read.store(self.sim.now_ms(), Relaxed);
            M::arm(self, domain, WorkKind::Overflow, PERIOD, None);
        }
    }

    pub(crate) fn unmount(&self) {
        let _cpus = self.sim.cpus_read_lock();
        self.state.lock().mounted = false;
        note(Event::Unmounted);
    }

    /// Frees an RMID: limbo begins in a domain.
    pub(crate) fn make_busy(&self, id: usize) {
        let _cpus = self.sim.cpus_read_lock();
        let state = self.state.lock();
        let domain = state.domains.iter().find(|domain| domain.id == id).unwrap();
        domain.fields().busy = true;
        M::arm(self, domain, WorkKind::Limbo, PERIOD, None);
    }

    /// Every domain of a mounted file system has its overflow worker.
    pub(crate) fn check_workers(&self) {
        let state = self.state.lock();
        for domain in &state.domains {
            let scheduled = self.sim.is_scheduled(&domain.overflow);
            assert!(scheduled, "the overflow worker of domain {} is lost for good", domain.id);
        }
    }

    /// Ends the test: nothing scheduled may be left behind.
    pub(crate) fn shutdown(&self) {
        let state = std::mem::take(&mut self.state.lock().domains);
        for domain in &state {
            self.sim.cancel_sync(&domain.overflow);
            self.sim.cancel_sync(&domain.limbo);
        }
        self.sim.forget_hotplug();
    }
}
