// SPDX-License-Identifier: GPL-2.0-only
//! An architecture made of parameters, which remembers what it was asked to do.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use resctrl_types::arch::{
    Assignment, Cdp, Change, Controls, Counters, Cpus, Domains, EachCounting, Ids, IoAlloc, MonId, Monitors,
    OccupancyThreshold, PseudoLock, ReadError, Resources, Telemetry, Trust,
};
use resctrl_types::cpu::CpuLabels;
use resctrl_types::event::EventSet;
use resctrl_types::pseudo_lock::{LockMemory, Measurement, PseudoLocking, Trace};
use resctrl_types::resource::{BandwidthControl, CacheControl, Control, ControlKind, Monitor, Scope, ThrottleMode};
use resctrl_types::sim::{SimLockMemory, SimPlatform};
use resctrl_types::{
    Closid, ConfType, Counter, CounterAssignment, CpuId, CpuMask, CpusHeld, DomainCpus, DomainId, Errno, EventId, Here,
    HotplugCpu, Pinned, ResourceId, Result, Rmid, RmidIndex, Switch, TaskWord, Transactions,
};

use crate::amd::Amd;

/// What a machine can do.
#[derive(Clone, Copy)]
pub(crate) struct Parameters {
    pub(crate) l3: Option<CacheControl>,
    pub(crate) l2: Option<CacheControl>,
    pub(crate) cdp_capable: bool,
    pub(crate) mb: Option<BandwidthControl>,
    pub(crate) smba: Option<BandwidthControl>,
    pub(crate) num_closid: u32,
    /// 0: nothing can be monitored.
    pub(crate) num_rmid: u32,
    pub(crate) threshold: OccupancyThreshold,
    /// Counters of bandwidth that can be assigned; `None` where every group is counted.
    pub(crate) counters: Option<CounterAssignment>,
    /// Whether there is no other way of counting bandwidth, even if there are no counters.
    pub(crate) always_assigned: bool,
    /// What events can be made to count, while counters are not assigned.
    pub(crate) configurable: Option<Transactions>,
    /// Whether devices can have a part of the L3.
    pub(crate) io_alloc: bool,
    /// Whether prefetchers can be turned off.
    pub(crate) pseudo_lock: bool,
}

/// 12 ways, gap-free masks, bandwidth in steps of ten percent.
pub(crate) const INTEL: Parameters = Parameters {
    l3: Some(CacheControl { cbm_len: 12, min_cbm_bits: 1, shareable_bits: 0, sparse_masks: false }),
    l2: None,
    cdp_capable: true,
    mb: Some(BandwidthControl {
        min_bw: 10,
        max_bw: 100,
        bw_gran: 10,
        delay_linear: true,
        needs_linear: true,
        throttle_mode: Some(ThrottleMode::Max),
    }),
    smba: None,
    num_closid: 8,
    num_rmid: 16,
    threshold: OccupancyThreshold { limit: 1 << 20, unit: 4096 },
    counters: None,
    always_assigned: false,
    configurable: None,
    io_alloc: false,
    pseudo_lock: false,
};

/// A processor that can lock memory into its caches. Two bits of the hardware's own in each L3.
pub(crate) const LOCKING: Parameters = Parameters {
    l3: Some(CacheControl { cbm_len: 12, min_cbm_bits: 1, shareable_bits: 0xc00, sparse_masks: false }),
    l2: Some(CacheControl { cbm_len: 8, min_cbm_bits: 1, shareable_bits: 0, sparse_masks: false }),
    pseudo_lock: true,
    ..INTEL
};

/// Masks of any shape, even empty; bandwidth in eighths of GB/s; slow memory.
pub(crate) const AMD: Parameters = Parameters {
    l3: Some(CacheControl { cbm_len: 16, min_cbm_bits: 0, shareable_bits: 0, sparse_masks: true }),
    mb: Some(EIGHTHS),
    smba: Some(EIGHTHS),
    ..INTEL
};

const EIGHTHS: BandwidthControl = BandwidthControl {
    min_bw: 0,
    max_bw: 2048,
    bw_gran: 1,
    delay_linear: false,
    needs_linear: false,
    throttle_mode: None,
};

/// Six counters to be assigned, in a mode that can be left; what they count can be chosen.
pub(crate) const ABMC: Parameters = Parameters {
    counters: Some(CounterAssignment {
        count: 6,
        configurable: true,
        switchable: true,
        supported: Transactions::from_bits(0b101_1111),
    }),
    ..AMD
};

/// What events count can be chosen, except for slow memory.
pub(crate) const BMEC: Parameters = Parameters { configurable: Some(Transactions::from_bits(0b100_1111)), ..AMD };

/// Devices can have a part of the L3; there are L2s, too.
pub(crate) const SDCIAE: Parameters =
    Parameters { l3: CHOOSY, l2: CHOOSY, io_alloc: true, smba: None, mb: INTEL.mb, ..INTEL };

/// 8 portions, of which a mask needs 2.
const CHOOSY: Option<CacheControl> =
    Some(CacheControl { cbm_len: 8, min_cbm_bits: 2, shareable_bits: 0, sparse_masks: true });

/// Six counters that are assigned and nothing to choose, as MPAM has them.
pub(crate) const FIXED: Parameters = Parameters {
    counters: Some(CounterAssignment {
        count: 6,
        configurable: false,
        switchable: false,
        supported: Transactions::ALL,
    }),
    ..AMD
};

/// Nothing but counters.
pub(crate) const MONITOR_ONLY: Parameters = Parameters { l3: None, mb: None, ..INTEL };

/// One value that was programmed, in the order of programming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) resource: ResourceId,
    pub(crate) domain: u32,
    pub(crate) change: Change,
}

/// The architecture.
pub(crate) struct Parametric {
    parameters: Parameters,
    cdp_l3: AtomicBool,
    cdp_l2: AtomicBool,
    labels: Vec<CpuLabels>,
    /// With what each CPU runs now.
    running: Mutex<Vec<MonId>>,
    /// How often each CPU was given other ids.
    switches: Mutex<Vec<u32>>,
    applied: Mutex<Vec<Applied>>,
    /// The error that programming a resource gives from now on.
    broken: Mutex<Option<(ResourceId, Errno)>>,
    /// What only AMD has.
    pub(crate) amd: Amd,
    /// Whether counters are assigned.
    assigned: AtomicBool,
    /// Whose memory was locked, in order.
    locked: Mutex<Vec<Closid>>,
    /// What each counter of each domain counts, and what it has counted.
    counting: Mutex<BTreeMap<(u32, u32), Counting>>,
}

/// A counter at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counting {
    pub(crate) rmid: u32,
    pub(crate) event: EventId,
    pub(crate) filter: Transactions,
    pub(crate) bytes: u64,
}

/// The ids of the default group.
pub(crate) const DEFAULT: MonId = MonId { closid: Closid::RESERVED, rmid: Rmid::RESERVED };

impl Parametric {
    pub(crate) fn new(parameters: Parameters, cpus: usize) -> Self {
        Parametric {
            parameters,
            cdp_l3: AtomicBool::new(false),
            locked: Mutex::default(),
            cdp_l2: AtomicBool::new(false),
            labels: (0..cpus).map(|_| CpuLabels::default()).collect(),
            running: Mutex::new(vec![DEFAULT; cpus]),
            switches: Mutex::new(vec![0; cpus]),
            applied: Mutex::default(),
            broken: Mutex::default(),
            amd: Amd::default(),
            assigned: AtomicBool::new(parameters.counters.is_some() || parameters.always_assigned),
            counting: Mutex::default(),
        }
    }

    /// What a counter of a domain does.
    pub(crate) fn counting(&self, domain: u32, number: u32) -> Option<Counting> {
        self.counting.lock().unwrap().get(&(domain, number)).copied()
    }

    /// Traffic of an RMID in a domain: whichever of its counters count one of these kinds, count it.
    pub(crate) fn traffic(&self, domain: u32, rmid: u32, kinds: Transactions, bytes: u64) {
        for (&(of, _), counting) in self.counting.lock().unwrap().iter_mut() {
            if of == domain && counting.rmid == rmid && counting.filter.intersection(kinds) != Transactions::EMPTY {
                counting.bytes += bytes;
            }
        }
    }

    /// The CLOSID and RMID which a CPU runs with.
    pub(crate) fn running(&self, cpu: u32) -> (u32, u32) {
        let id = self.running.lock().unwrap()[CpuId(cpu).index()];
        (id.closid.0, id.rmid.0)
    }

    /// With which CLOSIDs memory was locked since this was asked last.
    pub(crate) fn take_locked(&self) -> Vec<Closid> {
        std::mem::take(&mut *self.locked.lock().unwrap())
    }

    /// How often each CPU has been given other ids since this was asked last.
    pub(crate) fn take_switches(&self) -> Vec<u32> {
        let mut switches = self.switches.lock().unwrap();
        let none = vec![0; switches.len()];
        std::mem::replace(&mut *switches, none)
    }

    /// What has been programmed since this was asked last.
    pub(crate) fn take_applied(&self) -> Vec<Applied> {
        std::mem::take(&mut *self.applied.lock().unwrap())
    }

    /// Lets programming a resource fail from now on.
    pub(crate) fn break_control(&self, resource: ResourceId, errno: Errno) {
        *self.broken.lock().unwrap() = Some((resource, errno));
    }

    fn cdp(&self, resource: ResourceId) -> Option<&AtomicBool> {
        match resource {
            ResourceId::L3 => self.parameters.l3.map(|_| &self.cdp_l3),
            ResourceId::L2 => self.parameters.l2.map(|_| &self.cdp_l2),
            _ => None,
        }
    }
}

/// The values of one domain, by hardware index.
pub(crate) struct Values {
    id: u32,
    values: Vec<u32>,
}

fn place(closid: Closid, conf_type: ConfType) -> usize {
    match conf_type {
        ConfType::Both => closid.index(),
        ConfType::Data => 2 * closid.index(),
        ConfType::Code => 2 * closid.index() + 1,
    }
}

impl Resources for Parametric {
    fn control(&self, resource: ResourceId) -> Option<Control> {
        let Parameters { l3, l2, mb, smba, cdp_capable, num_closid, .. } = self.parameters;
        let (scope, kind) = match resource {
            ResourceId::L3 => (Scope::L3Cache, ControlKind::Cache(l3?)),
            ResourceId::L2 => (Scope::L2Cache, ControlKind::Cache(l2?)),
            ResourceId::Mb => (Scope::L3Cache, ControlKind::Bandwidth(mb?)),
            ResourceId::Smba => (Scope::L3Cache, ControlKind::Bandwidth(smba?)),
            ResourceId::PerfPkg => return None,
        };
        let cdp_capable = cdp_capable && matches!(kind, ControlKind::Cache(_));
        Some(Control { scope, num_closid, cdp_capable, kind })
    }

    fn monitor(&self, resource: ResourceId) -> Option<Monitor> {
        let num_rmid = self.parameters.num_rmid;
        let events = EventId::L3.into_iter().fold(EventSet::EMPTY, EventSet::with);
        (resource == ResourceId::L3 && num_rmid > 0).then_some(Monitor { scope: Scope::L3Cache, num_rmid, events })
    }

    fn occupancy_threshold(&self) -> OccupancyThreshold {
        self.parameters.threshold
    }
}

impl Ids for Parametric {
    const RMID_DEPENDS_ON_CLOSID: bool = false;

    fn num_rmid_index(&self) -> u32 {
        self.parameters.num_rmid.max(1)
    }

    fn rmid_index(&self, id: MonId) -> RmidIndex {
        RmidIndex(id.rmid.0)
    }

    fn rmid_decode(&self, index: RmidIndex) -> MonId {
        MonId { closid: Closid::RESERVED, rmid: Rmid(index.0) }
    }

    const CLOSID_PLACES: u64 = 0xffff_ffff << 32;
    const RMID_PLACES: u64 = 0xffff_ffff;

    fn task_word(&self, id: MonId) -> TaskWord {
        TaskWord(u64::from(id.closid.0) << 32 | u64::from(id.rmid.0))
    }

    fn task_ids(&self, word: TaskWord) -> MonId {
        let half = |word: u64| u32::try_from(word & 0xffff_ffff).unwrap();
        MonId { closid: Closid(half(word.0 >> 32)), rmid: Rmid(half(word.0)) }
    }

    fn cpu_labels(&self, cpu: CpuId) -> Option<&CpuLabels> {
        self.labels.get(cpu.index())
    }

    fn effective(&self, task: TaskWord, default: TaskWord) -> u64 {
        let [task, default] = [task, default].map(|word| Ids::task_ids(self, word));
        let closid = if task.closid == Closid::RESERVED { default.closid } else { task.closid };
        let rmid = if task.rmid == Rmid::RESERVED { default.rmid } else { task.rmid };
        self.task_word(MonId { closid, rmid }).0
    }

    fn write_labels(&self, here: Here<'_>, labels: u64) {
        let cpu = here.cpu().index();
        self.running.lock().unwrap()[cpu] = self.task_ids(TaskWord(labels));
        self.switches.lock().unwrap()[cpu] += 1;
    }

    fn cdp_enabled(&self, resource: ResourceId) -> bool {
        self.cdp(resource).is_some_and(|enabled| enabled.load(Ordering::SeqCst))
    }
}

impl Cpus<SimPlatform> for Parametric {
    fn cpu_online(&self, _: &SimPlatform, cpu: HotplugCpu<'_>) -> Result<()> {
        self.running.lock().unwrap()[cpu.cpu().index()] = DEFAULT;
        self.labels[cpu.cpu().index()].set_default_word(0);
        self.labels[cpu.cpu().index()].forget();
        Ok(())
    }

    fn cpu_offline(&self, _: &SimPlatform, _: HotplugCpu<'_>) {}

    fn cpu_suspend(&self, _: Here<'_>) {}

    fn cpu_resume(&self, _: &SimPlatform, _: Here<'_>) {}
}

impl Domains for Parametric {
    type CtrlDomain = Values;
    type MonDomain = u32;

    fn ctrl_domain_resume(&self, _: Here<'_>, _: ResourceId, _: &mut Values) {}

    fn mon_domain_suspend(&self, _: Here<'_>, _: &mut u32, _: EachCounting<'_>) {}

    fn mon_domain_resume(&self, _: Here<'_>, _: &mut u32, _: EachCounting<'_>) {}

    fn ctrl_domain_online(&self, _: HotplugCpu<'_>, resource: ResourceId, id: DomainId) -> Result<Values> {
        let control = Resources::control(self, resource).unwrap();
        let values = vec![control.default_value(); CpuId(control.num_closid).index()];
        Ok(Values { id: id.0, values })
    }

    fn ctrl_domain_join(&self, _: HotplugCpu<'_>, _: ResourceId, _: &mut Values) {}

    fn mon_domain_online(&self, _: HotplugCpu<'_>, _: ResourceId, id: DomainId) -> Result<u32> {
        self.counting.lock().unwrap().retain(|&(domain, _), _| domain != id.0);
        Ok(id.0)
    }
}

impl Controls<SimPlatform> for Parametric {
    fn control_value(&self, _: ResourceId, domain: &Values, closid: Closid, conf_type: ConfType) -> u32 {
        domain.values[place(closid, conf_type)]
    }

    fn apply(
        &self,
        _: &SimPlatform,
        cpus: DomainCpus<'_>,
        resource: ResourceId,
        domain: &mut Values,
        changes: &[Change],
        _: Trust,
    ) -> Result<()> {
        assert!(!cpus.mask().is_empty(), "a domain has CPUs");
        if let Some((_, errno)) = self.broken.lock().unwrap().filter(|&(broken, _)| broken == resource) {
            return Err(errno);
        }
        for &change in changes {
            domain.values[place(change.closid, change.conf_type)] = change.value;
            self.applied.lock().unwrap().push(Applied { resource, domain: domain.id, change });
        }
        Ok(())
    }

    fn reset(&self, _: &SimPlatform, _: CpusHeld<'_>, resource: ResourceId, domain: &mut Values, _: &CpuMask) {
        domain.values.fill(Resources::control(self, resource).unwrap().default_value());
    }
}

impl Cdp<SimPlatform> for Parametric {
    fn set_cdp(&self, _: &SimPlatform, _: CpusHeld<'_>, resource: ResourceId, enable: Switch) -> Result<()> {
        let enable = enable.is_on();
        let enabled = self.cdp(resource).filter(|_| self.parameters.cdp_capable).ok_or(Errno::EINVAL)?;
        enabled.store(enable, Ordering::SeqCst);
        Ok(())
    }

    fn program_cdp(&self, _: &SimPlatform, _: CpusHeld<'_>, _: ResourceId, _: &mut Values, _: &CpuMask) {}
}

impl Monitors<SimPlatform> for Parametric {
    type MonContext = ();

    fn mon_context(&self, _: ResourceId, _: EventId) -> Result<(), ReadError> {
        Ok(())
    }

    fn read(
        &self,
        sim: &SimPlatform,
        cpus: DomainCpus<'_>,
        event: EventId,
        (): &mut (),
        counters: &mut Counters<'_, u32, MonId>,
    ) -> Result<()> {
        cpus.on_one(sim, &mut |_| counters(&mut |domain, id| Some(Ok(self.amd.counted(*domain, id.rmid.0, event)))))
    }

    fn rebase(
        &self,
        sim: &SimPlatform,
        cpus: DomainCpus<'_>,
        domain: &mut u32,
        ids: &mut (dyn Iterator<Item = MonId> + Send),
    ) -> Result<()> {
        assert!(!self.assigned.load(Ordering::SeqCst), "nothing to rebase but counters");
        cpus.on_one(sim, &mut |_| {
            for id in &mut *ids {
                EventId::MBM.into_iter().for_each(|event| self.amd.rebase(*domain, id.rmid.0, event));
            }
        })
    }
}

impl Telemetry<SimPlatform> for Parametric {}

impl Assignment<SimPlatform> for Parametric {
    fn counters(&self) -> Option<CounterAssignment> {
        self.parameters.counters
    }

    fn counters_assigned(&self) -> bool {
        self.assigned.load(Ordering::SeqCst)
    }

    fn set_counters_assigned(&self, assigned: Switch) -> Result<()> {
        let assigned = assigned.is_on();
        assert!(self.parameters.counters.is_some_and(|counters| counters.switchable), "asked in vain");
        let before = self.assigned.swap(assigned, Ordering::SeqCst);
        assert_ne!(before, assigned, "nothing to change");
        Ok(())
    }

    fn program_counters_assigned(&self, _: &SimPlatform, _: CpusHeld<'_>, domain: &mut u32, mask: &CpuMask) {
        assert!(!mask.is_empty(), "a domain has CPUs");
        self.counting.lock().unwrap().retain(|&(of, _), _| of != *domain);
    }

    fn configure_counter(
        &self,
        _: &SimPlatform,
        cpus: DomainCpus<'_>,
        domain: &mut u32,
        Counter { number, id, event }: Counter,
        filter: Option<Transactions>,
    ) {
        assert!(!cpus.mask().is_empty(), "a domain has CPUs");
        let mut counting = self.counting.lock().unwrap();
        if let Some(filter) = filter {
            counting.insert((*domain, number), Counting { rmid: id.rmid.0, event, filter, bytes: 0 });
        } else {
            let was = counting.remove(&(*domain, number)).unwrap();
            assert_eq!((was.rmid, was.event), (id.rmid.0, event), "somebody else's counter");
        }
    }

    fn read_counters(
        &self,
        sim: &SimPlatform,
        cpus: DomainCpus<'_>,
        counters: &mut Counters<'_, u32, Counter>,
    ) -> Result<()> {
        cpus.on_one(sim, &mut |_| {
            counters(&mut |domain, Counter { number, id, event }| {
                let counting = self.counting(*domain, number).ok_or(ReadError::Error);
                Some(counting.map(|counting| {
                    assert_eq!((counting.rmid, counting.event), (id.rmid.0, event), "somebody else's counter");
                    counting.bytes
                }))
            });
        })
    }

    fn configurable_transactions(&self, event: EventId) -> Option<Transactions> {
        self.parameters.configurable.filter(|_| event.is_mbm())
    }

    fn event_config(&self, _: &SimPlatform, _: CpusHeld<'_>, mask: &CpuMask, event: EventId) -> Result<u32> {
        let cpu = mask.first().expect("a domain has CPUs");
        Ok(self.amd.config(cpu.0 / 2, event))
    }

    fn set_event_config(
        &self,
        _: &SimPlatform,
        _: CpusHeld<'_>,
        domain: &mut u32,
        mask: &CpuMask,
        event: EventId,
        config: u32,
    ) -> Result<()> {
        assert!(!mask.is_empty(), "a domain has CPUs");
        assert!(!self.assigned.load(Ordering::SeqCst), "not while counters are assigned");
        self.amd.choose(*domain, event, config);
        Ok(())
    }
}

impl IoAlloc<SimPlatform> for Parametric {
    fn io_alloc(&self, resource: ResourceId) -> Option<bool> {
        (self.parameters.io_alloc && resource == ResourceId::L3).then(|| self.amd.devices())
    }

    fn set_io_alloc(&self, resource: ResourceId, enable: Switch) -> Result<()> {
        let enable = enable.is_on();
        assert!(self.parameters.io_alloc && resource == ResourceId::L3, "asked in vain");
        self.amd.set_devices(enable)
    }

    fn program_io_alloc(&self, _: &SimPlatform, _: CpusHeld<'_>, _: ResourceId, domain: &mut Values, mask: &CpuMask) {
        assert!(!mask.is_empty(), "a domain has CPUs");
        self.amd.tell(domain.id);
    }
}

impl PseudoLock<SimPlatform> for Parametric {
    const PSEUDO_LOCKING: bool = true;

    fn can_pseudo_lock(&self) -> bool {
        self.parameters.pseudo_lock
    }

    fn pseudo_lock(
        &self,
        _: &SimPlatform,
        kernel: &SimPlatform,
        here: Pinned<'_>,
        memory: &SimLockMemory,
        line_size: u32,
        closid: Closid,
    ) {
        assert!(self.parameters.pseudo_lock, "asked in vain");
        self.locked.lock().unwrap().push(closid);
        kernel.irqs_off(here, &mut |here| memory.read(here, line_size));
    }

    fn measure(
        &self,
        _: &SimPlatform,
        kernel: &SimPlatform,
        here: Pinned<'_>,
        memory: &SimLockMemory,
        _: u32,
        what: Measurement,
    ) {
        match what {
            Measurement::Latency => kernel.irqs_off(here, &mut |here| {
                kernel.trace(Trace::Latency(memory.time_read(here, 0)));
            }),
            Measurement::Residency(level) => kernel.trace(Trace::Residency { level, hits: 1, misses: 0 }),
        }
    }
}
