// SPDX-License-Identifier: GPL-2.0-only
//! An emulated machine: MSCs, processors, firmware tables, and virtual time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::string::String;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::vec;
use std::vec::Vec;

use resctrl_hardware::mpam::firmware::{self, Cache, Cluster, Interrupt, Locator, Node, Processor, Resource};
use resctrl_hardware::mpam::{
    self as hw, BandwidthControls, BandwidthMonitors, CounterWidth, CpuConfig, MscConfig, NotReady, RisConfig,
    UsageMonitors,
};
use resctrl_types::arch::{self, Cpus, Resources};
use resctrl_types::cache::{CacheInfo, CacheLevel};
use resctrl_types::platform::{CpusReadGuard, LockClass, Mutex as _};
use resctrl_types::resource::Scope;
use resctrl_types::sim::{SimMutex, SimPlatform, Topology};
use resctrl_types::{CpuId, DomainId, Errno, Here, HotplugCpu, IrqOff, Pinned, Platform, ResourceId, Result};

use crate::devices::{Devices, t241};
use crate::resctrl::{CtrlDomain, MonDomain, Mpam, Options};
use crate::{Firmware, Msc, SystemRegister, SystemRegisters};

pub(super) const L3_SIZE: u32 = 8 << 20;
const L2_SIZE: u32 = 1 << 20;

/// Id of the first level 3 and level 2 cache.
pub(crate) const L3_ID: u32 = 0x300;
pub(crate) const L2_ID: u32 = 0x200;

/// One MSC of a machine.
#[derive(Clone)]
pub(crate) struct MscSpec {
    pub(super) config: MscConfig,
    /// What its resource instances are part of, as far as the firmware says.
    pub(super) resources: Vec<Resource>,
    /// The level 3 cache whose CPUs alone can reach it.
    pub(super) cluster: Option<u32>,
    /// One CPU that alone can reach it.
    pub(super) only: Option<u32>,
}

impl MscSpec {
    pub(crate) fn one(config: RisConfig, locator: Locator) -> Self {
        MscSpec {
            config: MscConfig::new(vec![config]),
            resources: vec![Resource { ris: 0, locator }],
            cluster: None,
            only: None,
        }
    }
}

impl MscSpec {
    /// The container of the processors that can reach it.
    fn container(&self) -> Option<u32> {
        self.only.map(|cpu| 200 + cpu).or(self.cluster.map(|cluster| 100 + cluster))
    }

    fn is_reached_from(&self, cpu: CpuId, cpus_each: u32) -> bool {
        self.only.is_none_or(|only| only == cpu.0) && self.cluster.is_none_or(|cluster| cpu.0 / cpus_each == cluster)
    }
}

/// A machine.
#[derive(Clone)]
pub(crate) struct Spec {
    /// Level 3 caches.
    pub(super) clusters: u32,
    pub(super) cpus_each: u32,
    pub(super) nodes: u32,
    pub(crate) mscs: Vec<MscSpec>,
    pub(super) cpu: CpuConfig,
    pub(super) not_ready_us: u32,
    pub(super) memory_side_cache: bool,
    /// CPUs that are to be left alone.
    pub(super) isolated: &'static [u32],
    /// The SoC id is that of a T241. MSCs are on its chip of their own number then.
    pub(super) t241: bool,
}

pub(super) const CPU: CpuConfig =
    CpuConfig { partid_max: 63, pmg_max: 3, streaming: false, el2: false, enabled_by_firmware: true };

/// A cache of 16 portions with usage monitors.
pub(crate) fn cache() -> RisConfig {
    let usage =
        UsageMonitors { count: 4, exclude_clean: false, capture: false, not_ready: NotReady::Nanoseconds(5_000) };
    RisConfig { cpor_bits: 16, usage: Some(usage), ..RisConfig::new(31, 3) }
}

/// Memory with a maximum bandwidth of so many bits.
pub(super) fn memory(bits: u32) -> RisConfig {
    let bandwidth = BandwidthControls { bits, max: true, ..BandwidthControls::default() };
    RisConfig { bandwidth: Some(bandwidth), ..RisConfig::new(31, 3) }
}

/// Bandwidth counters of this width.
pub(super) fn counters(width: CounterWidth) -> BandwidthMonitors {
    BandwidthMonitors {
        count: 4,
        width,
        direction: true,
        capture: false,
        not_ready: NotReady::Nanoseconds(0),
        bytes_per_count: 1,
    }
}

impl Spec {
    /// Level 3 caches of two CPUs each, every one with an MSC, and the memory's.
    pub(crate) fn new(clusters: u32) -> Self {
        let caches = (0..clusters).map(|l3| MscSpec::one(cache(), Locator::Cache(L3_ID + l3)));
        let memory = MscSpec::one(memory(8), Locator::Memory(0));
        Spec {
            clusters,
            cpus_each: 2,
            nodes: 1,
            mscs: caches.chain([memory]).collect(),
            cpu: CPU,
            not_ready_us: 10,
            memory_side_cache: false,
            isolated: &[],
            t241: false,
        }
    }

    /// One level 3 cache of two CPUs, made up by two MSCs of which each can be reached from one of them. Both count
    /// occupancy and bandwidth.
    pub(super) fn split() -> Self {
        let half = RisConfig { traffic: Some(counters(CounterWidth::Bits31)), ..cache() };
        let msc = |cpu| MscSpec { only: Some(cpu), ..MscSpec::one(half.clone(), Locator::Cache(L3_ID)) };
        Spec { mscs: vec![msc(0), msc(1)], ..Spec::new(1) }
    }

    pub(super) fn cpus(&self) -> u32 {
        self.clusters * self.cpus_each
    }

    fn topology(&self) -> Topology {
        let mut topology = Topology::packages(self.clusters, self.cpus_each);
        for (cpu, shape) in (0_u32..).zip(&mut topology.cpus) {
            shape.l3 = Some(CacheInfo { id: L3_ID + cpu / self.cpus_each, size: L3_SIZE });
            shape.l2 = Some(CacheInfo { id: L2_ID + cpu, size: L2_SIZE });
            shape.node = Some(cpu * self.nodes / self.cpus());
            shape.isolated = self.isolated.contains(&cpu);
        }
        topology
    }

    fn pptt(&self) -> Vec<u8> {
        let clusters: Vec<_> = (0..self.clusters)
            .map(|l3| {
                let cpus = l3 * self.cpus_each..(l3 + 1) * self.cpus_each;
                Cluster {
                    uid: 100 + l3,
                    l3: Some(Cache { id: L3_ID + l3, size: L3_SIZE, ways: 16 }),
                    l2: cpus.clone().map(|cpu| Cache { id: L2_ID + cpu, size: L2_SIZE, ways: 8 }).collect(),
                    // Each in a container of its own.
                    parts: cpus.clone().map(|cpu| 200 + cpu).collect(),
                    processors: cpus
                        .clone()
                        .zip(0_usize..)
                        .map(|(uid, place)| Processor { uid, l2: Some(place), part: Some(place) })
                        .collect(),
                }
            })
            .collect();
        firmware::pptt(&clusters)
    }

    fn mpam(&self) -> Vec<u8> {
        let nodes: Vec<_> = (0_u32..)
            .zip(&self.mscs)
            .map(|(id, msc)| Node {
                id,
                address: 0x1_0000_0000 + u64::from(id) * 0x1_0000 + if self.t241 { u64::from(id % 4) << 43 } else { 0 },
                size: 0x1_0000,
                overflow: Interrupt::default(),
                // A private one where not every CPU could ask why it came.
                error: Interrupt { number: 20 + id, flags: if msc.container().is_some() { 0x10 } else { 0 } },
                not_ready_us: self.not_ready_us,
                container: msc.container(),
                resources: msc.resources.clone(),
            })
            .collect();
        firmware::mpam(&nodes)
    }
}

/// The hardware of a running machine.
pub(crate) struct Board {
    spec: Spec,
    mscs: Vec<Mutex<hw::Msc>>,
    cpus: Vec<Mutex<hw::Cpu>>,
    chips: Vec<Mutex<hw::t241::Chip>>,
    level: hw::Level,
    now: AtomicU64,
    /// How often MSCs were read.
    reads: AtomicU64,
    /// Called with the offset of each read of an MSC, before it.
    before_read: Mutex<Option<BeforeRead>>,
    /// Called with the offset of each access to an MSC, before it, where its thread may be preempted.
    preemption: Mutex<Option<Preemption>>,
}

type BeforeRead = fn(&mut hw::Msc, u32);
type Preemption = Arc<dyn Fn(u32) + Send + Sync>;

impl Board {
    pub(super) fn msc(&self, msc: usize) -> MutexGuard<'_, hw::Msc> {
        self.mscs[msc].lock().unwrap()
    }

    pub(super) fn cpu(&self, cpu: u32) -> MutexGuard<'_, hw::Cpu> {
        self.cpus[CpuId(cpu).index()].lock().unwrap()
    }

    pub(super) fn chip(&self, chip: usize) -> MutexGuard<'_, hw::t241::Chip> {
        self.chips[chip].lock().unwrap()
    }

    pub(super) fn before_read(&self, hook: BeforeRead) {
        *self.before_read.lock().unwrap() = Some(hook);
    }

    pub(super) fn preempt(&self, hook: impl Fn(u32) + Send + Sync + 'static) {
        *self.preemption.lock().unwrap() = Some(Arc::new(hook));
    }

    /// How often all MSCs were read, and written, since the start.
    pub(super) fn accesses(&self) -> (u64, u64) {
        let writes = self.mscs.iter().map(|msc| msc.lock().unwrap().writes());
        (self.reads.load(Ordering::Relaxed), writes.sum())
    }

    fn accessed(&self, offset: u32) {
        let hook = self.preemption.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook(offset);
        }
    }
}

/// The registers of an emulated MSC, and of the chip that it is on.
pub(crate) struct BoardMsc(Arc<Board>, usize, Option<BoardChip>);

/// The registers of an emulated chip.
struct BoardChip(Arc<Board>, usize);

impl BoardMsc {
    fn new(board: &Arc<Board>, msc: usize, address: u64) -> Self {
        let base = t241::registers_of(address);
        let chip = (base >> 44) as usize;
        assert_eq!(base & 0xfff_ffff_ffff, hw::t241::BASE);
        let chip = (!board.chips.is_empty()).then(|| BoardChip(Arc::clone(board), chip));
        BoardMsc(Arc::clone(board), msc, chip)
    }
}

/// A register of a chip is in what of it is mapped.
fn check_chip(offset: u32) {
    assert!(offset.is_multiple_of(8) && offset < t241::SIZE, "{offset:#x}");
}

impl t241::ChipRegisters for BoardChip {
    fn read64(&self, here: Here<'_>, offset: u32) -> u64 {
        check_cpu(here);
        check_chip(offset);
        self.0.chip(self.1).read64(offset.into())
    }

    fn write64(&self, here: Here<'_>, offset: u32, value: u64) {
        check_cpu(here);
        check_chip(offset);
        self.0.chip(self.1).write64(offset.into(), value);
    }
}

impl BoardMsc {
    /// An MSC is touched from where it can be reached, by whoever is there.
    fn check(&self, here: Here<'_>) {
        check_cpu(here);
        let Board { spec, .. } = &*self.0;
        assert!(
            spec.mscs[self.1].is_reached_from(here.cpu(), spec.cpus_each),
            "MSC {} from CPU {}",
            self.1,
            here.cpu()
        );
    }
}

impl Msc for BoardMsc {
    fn read32(&self, here: Here<'_>, offset: u32) -> u32 {
        self.check(here);
        self.0.accessed(offset);
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        let hook = *self.0.before_read.lock().unwrap();
        if let Some(hook) = hook {
            hook(&mut self.0.msc(self.1), offset);
        }
        self.0.msc(self.1).read32(offset, self.0.now.load(Ordering::Relaxed))
    }

    fn write32(&self, here: Here<'_>, offset: u32, value: u32) {
        self.check(here);
        self.0.accessed(offset);
        let now = self.0.now.load(Ordering::Relaxed);
        let mut msc = self.0.msc(self.1);
        msc.write32(offset, value, now);
        if let Some(chip) = &self.2 {
            self.0.chip(chip.1).follow(&msc, offset, now);
        }
    }

    fn chip(&self) -> Option<&dyn t241::ChipRegisters> {
        self.2.as_ref().map(|chip| chip as &dyn t241::ChipRegisters)
    }
}

/// A register is touched on the CPU that the proof is about.
fn check_cpu(here: Here<'_>) {
    assert_eq!(resctrl_types::sim::current_cpu(), Some(here.cpu()));
}

/// The system registers of the emulated processors.
pub(super) struct BoardCpus(Arc<Board>);

impl SystemRegisters for BoardCpus {
    fn mpamidr(&self, here: Here<'_>) -> u64 {
        check_cpu(here);
        self.0.cpu(here.cpu().0).read(hw::SystemRegister::Mpamidr, self.0.level).unwrap()
    }

    fn has_streaming(&self) -> bool {
        self.0.cpu(0).read(hw::SystemRegister::Mpamsm, self.0.level).is_some()
    }

    fn has_guests(&self) -> bool {
        self.0.level == hw::Level::El2
    }

    fn write(&self, here: Here<'_>, register: SystemRegister, value: u64) {
        check_cpu(here);
        let register = match register {
            SystemRegister::Mpam0 => hw::SystemRegister::Mpam0,
            SystemRegister::Mpam1 => hw::SystemRegister::Mpam1,
            SystemRegister::Mpam1Guest => hw::SystemRegister::Mpam12,
            SystemRegister::Mpamsm => hw::SystemRegister::Mpamsm,
        };
        assert!(self.0.cpu(here.cpu().0).write(register, value, self.0.level), "{register:?} is not implemented");
    }

    fn synchronize(&self, here: Here<'_>) {
        check_cpu(here);
    }

    fn wait_us(&self, here: Pinned<'_>, us: u32) {
        check_cpu(here.into());
        self.0.now.fetch_add(u64::from(us) * 1000, Ordering::Relaxed);
    }
}

pub(super) type Driver = Mpam<BoardMsc, BoardCpus>;

/// A machine with the driver on it, and the domains that its hotplug callbacks make.
pub(super) struct Rig {
    pub(super) sim: SimPlatform,
    pub(super) board: Arc<Board>,
    pub(super) driver: Arc<Driver>,
    /// Behind the rdtgroup mutex, as the file system has them.
    pub(super) domains: Arc<SimMutex<Domains>>,
}

#[derive(Default)]
pub(super) struct Domains {
    pub(super) ctrl: BTreeMap<(ResourceId, u32), CtrlDomain>,
    pub(super) mon: BTreeMap<u32, MonDomain>,
}

/// The hardware and the simulated kernel of a machine.
pub(super) fn build(spec: &Spec) -> (SimPlatform, Arc<Board>) {
    let board = Board {
        spec: spec.clone(),
        mscs: spec.mscs.iter().map(|msc| Mutex::new(hw::Msc::new(msc.config.clone()))).collect(),
        cpus: (0..spec.cpus()).map(|_| Mutex::new(hw::Cpu::new(spec.cpu))).collect(),
        chips: (0..if spec.t241 { 4 } else { 0 }).map(|_| Mutex::default()).collect(),
        level: if spec.cpu.el2 { hw::Level::El2 } else { hw::Level::El1 },
        now: AtomicU64::new(0),
        reads: AtomicU64::new(0),
        before_read: Mutex::new(None),
        preemption: Mutex::new(None),
    };
    (SimPlatform::new(spec.topology()), Arc::new(board))
}

/// Calls `f` with what the firmware of a machine says.
fn with_firmware<R>(spec: &Spec, f: impl FnOnce(&Firmware<'_>) -> R) -> R {
    let cpus = spec.cpus();
    f(&Firmware {
        mpam: &spec.mpam(),
        pptt: &spec.pptt(),
        processor: &|uid| (uid < cpus).then_some(CpuId(uid)),
        proximity: &|domain| u32::try_from(domain).ok(),
        memory_side_cache: spec.memory_side_cache,
    })
}

/// Discovers the MSCs of a machine without making anything of them.
pub(crate) fn discover(spec: &Spec) -> Result<(SimPlatform, Arc<Board>, Devices<BoardMsc>)> {
    let (sim, board) = build(spec);
    let devices = discover_on(spec, &sim, &board)?;
    Ok((sim, board, devices))
}

/// Why the MSCs of a machine cannot be used, and what the log says of it.
pub(super) fn refusal(spec: &Spec) -> (Option<Errno>, Vec<String>) {
    let (sim, board) = build(spec);
    let errno = discover_on(spec, &sim, &board).err();
    (errno, sim.log_lines().iter().map(|line| line.replace("resctrl: ", "")).collect())
}

pub(super) fn discover_on(spec: &Spec, sim: &SimPlatform, board: &Arc<Board>) -> Result<Devices<BoardMsc>> {
    let ids = crate::devices::Ids { partid_max: spec.cpu.partid_max, pmg_max: spec.cpu.pmg_max };
    let guard = sim.cpus_read_lock();
    let devices = with_firmware(spec, |firmware| {
        let mut next = 0..;
        let mut map = |node: &crate::acpi::MscNode<'_>| {
            next.next().map(|place| BoardMsc::new(board, place, node.address)).ok_or(Errno::EINVAL)
        };
        Devices::discover(sim, guard.held(), firmware, ids, &mut map)
    });
    drop(guard);
    devices
}

/// A machine with the driver on it, which knows of no CPU yet.
pub(super) fn start(spec: &Spec, options: Options) -> Result<(SimPlatform, Arc<Board>, Driver)> {
    let (sim, board) = build(spec);
    let driver = start_on(spec, &sim, &board, options)?;
    Ok((sim, board, driver))
}

/// The driver for a machine that has been built.
pub(super) fn start_on(spec: &Spec, sim: &SimPlatform, board: &Arc<Board>, options: Options) -> Result<Driver> {
    let guard = sim.cpus_read_lock();
    let driver = with_firmware(spec, |firmware| {
        let mut next = 0..;
        let mut map = |node: &crate::acpi::MscNode<'_>| {
            next.next().map(|place| BoardMsc::new(board, place, node.address)).ok_or(Errno::EINVAL)
        };
        Mpam::new(sim, guard.held(), firmware, BoardCpus(Arc::clone(board)), options, &mut map)
    });
    drop(guard);
    driver
}

impl Rig {
    /// The machine with every CPU online.
    pub(super) fn new(spec: &Spec) -> Self {
        Self::with(spec, Options { expert: true }).unwrap()
    }

    pub(super) fn with(spec: &Spec, options: Options) -> Result<Self> {
        let (sim, board, driver) = start(spec, options)?;
        let domains = Arc::new(sim.mutex(LockClass::Rdtgroup, Domains::default())?);
        let rig = Rig { sim, board, driver: Arc::new(driver), domains };
        rig.register();
        Ok(rig)
    }

    fn register(&self) {
        let (sim, driver, domains) = (self.sim.clone(), Arc::clone(&self.driver), Arc::clone(&self.domains));
        let online = move |cpu: HotplugCpu<'_>| {
            let mut domains = domains.lock();
            Cpus::cpu_online(&*driver, &sim, cpu)?;
            for resource in [ResourceId::L3, ResourceId::L2, ResourceId::Mb] {
                let Some(id) = domain_of(&sim, &driver, resource, cpu.cpu()) else { continue };
                if let Entry::Vacant(place) = domains.ctrl.entry((resource, id.0)) {
                    place.insert(arch::Domains::ctrl_domain_online(&*driver, cpu, resource, id)?);
                }
            }
            if let Some(cache) = sim.cache(cpu.cpu(), CacheLevel::L3)
                && driver.monitor(ResourceId::L3).is_some()
                && let Entry::Vacant(place) = domains.mon.entry(cache.id)
            {
                let id = DomainId(cache.id);
                place.insert(arch::Domains::mon_domain_online(&*driver, cpu, ResourceId::L3, id)?);
            }
            Ok(())
        };
        let (sim, driver, domains) = (self.sim.clone(), Arc::clone(&self.driver), Arc::clone(&self.domains));
        let offline = move |cpu: HotplugCpu<'_>| {
            let staying: Vec<_> = sim.online_cpus().into_iter().filter(|&other| other != cpu.cpu()).collect();
            let stays = |id, level| staying.iter().any(|&cpu| sim.cache(cpu, level).is_some_and(|it| it.id == id));
            let mut domains = domains.lock();
            domains.ctrl.retain(|&(resource, id), _| {
                let l2 = resource == ResourceId::L2;
                stays(id, if l2 { CacheLevel::L2 } else { CacheLevel::L3 })
            });
            domains.mon.retain(|&id, _| stays(id, CacheLevel::L3));
            Cpus::cpu_offline(&*driver, &sim, cpu);
        };
        self.sim.register_hotplug(online, offline).unwrap();
    }

    /// Runs `f` on a CPU in a thread.
    pub(super) fn on<R: Send>(&self, cpu: u32, f: impl FnMut(Pinned<'_>) -> R + Send) -> R {
        on(&self.sim, cpu, f)
    }

    /// Runs `f` on a CPU with interrupts off.
    pub(super) fn irq<R: Send>(&self, cpu: u32, mut f: impl FnMut(IrqOff<'_>) -> R + Send) -> R {
        let guard = self.sim.cpus_read_lock();
        let mut result = None;
        self.sim.interrupt(guard.held(), CpuId(cpu), &mut |here| result = Some(f(here))).unwrap();
        result.unwrap()
    }
}

/// Runs `f` on a CPU in a thread.
pub(super) fn on<R: Send>(sim: &SimPlatform, cpu: u32, mut f: impl FnMut(Pinned<'_>) -> R + Send) -> R {
    let guard = sim.cpus_read_lock();
    let mut result = None;
    sim.call_on(guard.held(), CpuId(cpu), &mut |here| result = Some(f(here))).unwrap();
    result.unwrap()
}

/// The domain of a CPU for a resource that can be controlled.
fn domain_of(sim: &SimPlatform, driver: &Driver, resource: ResourceId, cpu: CpuId) -> Option<DomainId> {
    let level = match driver.control(resource)?.scope {
        Scope::L2Cache => CacheLevel::L2,
        _ => CacheLevel::L3,
    };
    sim.cache(cpu, level).map(|cache| DomainId(cache.id))
}
