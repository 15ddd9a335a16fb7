// SPDX-License-Identifier: GPL-2.0-only
//! A machine to test on: emulated RDT below, the simulated kernel above, the architecture in between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use resctrl_hardware::write_log::Kind;
use resctrl_hardware::{Machine, Rdt};
use resctrl_types::platform::{CacheInfo, CacheLevel, CpusReadGuard};
use resctrl_types::resource::Scope;
use resctrl_types::sim::{CpuTopology, SimPlatform, Topology, current_cpu};
use resctrl_types::{
    Arch, CpuId, CpuMask, CpusHeld, DomainId, Here, HotplugCpu, IrqOff, Pinned, Platform, ResourceId, Result,
};
use resctrl_x86::{Cpuid, CtrlDomain, Gp, MonDomain, Options, Registers, TelemetryFeature, X86};

use crate::regions::EmulatedRegions;

/// CPUID leaf 1 of a processor without quirks: Ice Lake server.
pub(crate) const ICELAKE_X: u32 = 0x606a6;

pub(crate) fn intel() -> Machine {
    Machine::parse(include_str!("../../../qemu-images/machines/intel.toml")).unwrap()
}

pub(crate) fn intel_l2() -> Machine {
    Machine::parse(include_str!("../../../qemu-images/machines/intel-l2.toml")).unwrap()
}

pub(crate) fn intel_mon_only() -> Machine {
    Machine::parse(include_str!("../../../qemu-images/machines/intel-mon-only.toml")).unwrap()
}

pub(crate) fn intel_big() -> Machine {
    Machine::parse(include_str!("../../../qemu-images/machines/intel-big.toml")).unwrap()
}

pub(crate) fn intel_aet() -> Machine {
    Machine::parse(include_str!("../../../qemu-images/machines/intel-aet.toml")).unwrap()
}

pub(crate) fn amd() -> Machine {
    Machine::parse(include_str!("../../../qemu-images/machines/amd.toml")).unwrap()
}

pub(crate) fn amd_abmc() -> Machine {
    Machine::parse(include_str!("../../../qemu-images/machines/amd-abmc.toml")).unwrap()
}

pub(crate) fn amd_sdciae() -> Machine {
    Machine::parse(include_str!("../../../qemu-images/machines/amd-sdciae.toml")).unwrap()
}

pub(crate) fn intel_snc() -> Machine {
    Machine::parse(include_str!("../../../qemu-images/machines/intel-snc.toml")).unwrap()
}

/// What the emulated hardware leaves to the processor, and what a test may break.
#[derive(Clone, Copy)]
pub(crate) struct Processor {
    pub(crate) vendor: &'static [u8; 12],
    pub(crate) version: u32,
    pub(crate) last_leaf: u32,
    /// Changes an answer of CPUID: leaf, subleaf, EAX to EDX.
    pub(crate) bend: fn(u32, u32, [u32; 4]) -> [u32; 4],
}

impl Default for Processor {
    fn default() -> Self {
        Processor { vendor: b"GenuineIntel", version: ICELAKE_X, last_leaf: 0x10, bend: |_, _, answer| answer }
    }
}

impl Processor {
    /// A processor of the vendor whose hardware the machine has.
    pub(crate) fn of(machine: &Machine) -> Processor {
        let intel = Processor::default();
        if machine.qos.is_some() { Processor { vendor: b"AuthenticAMD", ..intel } } else { intel }
    }
}

/// On which side of a write something happens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

type Interposed = (Side, Box<dyn FnOnce() + Send>);

/// Something that a CPU does while it fills a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Flush,
    Write { msr: u32, value: u64 },
}

/// `MSR_MISC_FEATURE_CONTROL`.
pub(crate) const MISC: u32 = 0x1a4;

/// The hardware of a machine.
pub(crate) struct Board {
    pub(crate) rdt: Rdt,
    processor: Processor,
    /// An MSR whose every access is refused; 0 is none.
    pub(crate) refusing: AtomicU32,
    /// Reads of any MSR.
    pub(crate) reads: AtomicU64,
    /// `MSR_MISC_FEATURE_CONTROL` of each CPU, which is not RDT's.
    pub(crate) misc: Mutex<Vec<u64>>,
    /// Every access that pseudo-locking depends on, in order.
    pub(crate) steps: Mutex<Vec<Step>>,
    /// What happens just before or after the next write.
    pub(crate) beside_write: Mutex<Option<Interposed>>,
}

impl Board {
    fn interpose(&self, side: Side) {
        let interposed = self.beside_write.lock().unwrap().take_if(|(when, _)| *when == side);
        if let Some((_, happen)) = interposed {
            happen();
        }
    }
}

/// The registers of whatever CPU the calling thread is on.
#[derive(Clone)]
pub(crate) struct Emulated(pub(crate) Arc<Board>);

impl Emulated {
    fn cpu(here: Here<'_>) -> usize {
        assert_eq!(current_cpu(), Some(here.cpu()), "registers of another CPU");
        here.cpu().index()
    }
}

impl Registers for Emulated {
    type Telemetry = EmulatedRegions;

    fn telemetry(&self, feature: TelemetryFeature) -> Option<EmulatedRegions> {
        Some(EmulatedRegions::new(self.0.rdt.telemetry()?, feature))
    }

    fn cpuid(&self, leaf: u32, subleaf: u32) -> Cpuid {
        let cpu = current_cpu().expect("CPUID is asked on a CPU");
        let board = &self.0;
        let Processor { vendor, version, last_leaf, bend } = board.processor;
        let part = |at| u32::from_le_bytes(vendor[at..at + 4].try_into().unwrap());
        let answer = board.rdt.cpuid(cpu.index(), leaf, subleaf).unwrap_or_else(|| {
            let native = match leaf {
                0 => [last_leaf, part(0), part(8), part(4)],
                1 => [version, 0, 0, 0],
                0x8000_0000 => [0x8000_0022, 0, 0, 0],
                _ => [0; 4],
            };
            board.rdt.patch_cpuid(leaf, subleaf, native)
        });
        let [eax, ebx, ecx, edx] = bend(leaf, subleaf, answer);
        Cpuid { eax, ebx, ecx, edx }
    }

    fn read_msr(&self, here: Here<'_>, msr: u32) -> Result<u64, Gp> {
        let cpu = Self::cpu(here);
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        if self.0.refusing.load(Ordering::Relaxed) == msr {
            return Err(Gp);
        }
        if msr == MISC {
            return Ok(self.0.misc.lock().unwrap()[cpu]);
        }
        self.0.rdt.rdmsr(cpu, msr, 0).map_err(|_| Gp)?.ok_or(Gp)
    }

    fn write_msr(&self, here: Here<'_>, msr: u32, value: u64) -> Result<(), Gp> {
        let cpu = Self::cpu(here);
        self.0.interpose(Side::Before);
        if self.0.refusing.load(Ordering::Relaxed) == msr {
            return Err(Gp);
        }
        self.0.steps.lock().unwrap().push(Step::Write { msr, value });
        if msr == MISC {
            self.0.misc.lock().unwrap()[cpu] = value;
            return Ok(());
        }
        match self.0.rdt.wrmsr(cpu, msr, value, 0) {
            Ok(true) => {
                self.0.interpose(Side::After);
                Ok(())
            }
            Ok(false) | Err(_) => Err(Gp),
        }
    }

    fn flush_caches(&self, here: Here<'_>) {
        let _ = Self::cpu(here);
        self.0.steps.lock().unwrap().push(Step::Flush);
    }
}

pub(crate) struct Ctrl {
    pub(crate) domain: CtrlDomain,
    pub(crate) mask: CpuMask,
}

/// The domains, as the file system keeps them.
#[derive(Default)]
pub(crate) struct Domains {
    pub(crate) ctrl: BTreeMap<(ResourceId, u32), Ctrl>,
    pub(crate) mon: BTreeMap<u32, (MonDomain, CpuMask)>,
}

impl Domains {
    pub(crate) fn ctrl(&mut self, resource: ResourceId, id: u32) -> &mut Ctrl {
        self.ctrl.get_mut(&(resource, id)).unwrap()
    }

    pub(crate) fn mon(&mut self, id: u32) -> &mut MonDomain {
        &mut self.mon.get_mut(&id).unwrap().0
    }
}

/// A booted machine.
#[derive(Clone)]
pub(crate) struct Rig {
    pub(crate) sim: SimPlatform,
    pub(crate) board: Arc<Board>,
    pub(crate) x86: Arc<X86<Emulated>>,
    domains: Arc<Mutex<Domains>>,
}

/// Puts a machine together and probes it.
pub(crate) fn probe(
    machine: &Machine,
    processor: Processor,
    options: &str,
) -> (SimPlatform, Arc<Board>, Result<X86<Emulated>>) {
    let sim = SimPlatform::new(shape(machine));
    let board = Arc::new(Board {
        rdt: Rdt::new(machine).unwrap(),
        processor,
        refusing: AtomicU32::new(0),
        reads: AtomicU64::new(0),
        misc: Mutex::new(vec![0; machine.topology.cpus()]),
        steps: Mutex::default(),
        beside_write: Mutex::new(None),
    });
    let x86 = X86::new(Emulated(Arc::clone(&board)), &sim, Options::parse(options));
    (sim, board, x86)
}

fn shape(machine: &Machine) -> Topology {
    let cache = |id: usize, geometry: &Option<resctrl_hardware::machine::Cache>| CacheInfo {
        id: u32::try_from(id).unwrap(),
        size: geometry.as_ref().map_or(1 << 20, |cache| u32::try_from(cache.size_kib << 10).unwrap()),
    };
    let topology = &machine.topology;
    let cpu = |cpu: usize| {
        let package = u32::try_from(cpu / (topology.cpus() / topology.sockets)).unwrap();
        CpuTopology {
            l2: Some(cache(topology.l2_domain(cpu), &machine.cache.l2)),
            l3: Some(cache(topology.l3_domain(cpu), &machine.cache.l3)),
            node: Some(package),
            package: Some(package),
            isolated: false,
        }
    };
    Topology { cpus: (0..topology.cpus()).map(cpu).collect() }.clustered(u32::try_from(topology.nodes).unwrap())
}

impl Rig {
    /// Boots a machine: every CPU online, in its domains.
    pub(crate) fn boot(machine: &Machine) -> Rig {
        Self::boot_on(machine, Processor::of(machine))
    }

    pub(crate) fn boot_on(machine: &Machine, processor: Processor) -> Rig {
        let (sim, board, x86) = probe(machine, processor, "");
        let rig = Rig { sim, board, x86: Arc::new(x86.unwrap()), domains: Arc::default() };
        let (coming, going) = (rig.clone(), rig.clone());
        rig.sim.register_hotplug(move |cpu| coming.cpu_online(cpu), move |cpu| going.cpu_offline(cpu)).unwrap();
        rig
    }

    pub(crate) fn arch(
        &self,
    ) -> &impl Arch<SimPlatform, CtrlDomain = CtrlDomain, MonDomain = MonDomain, MonContext = ()> {
        &*self.x86
    }

    pub(crate) fn domains(&self) -> MutexGuard<'_, Domains> {
        self.domains.lock().unwrap()
    }

    /// Resources that can be controlled.
    pub(crate) fn controlled(&self) -> Vec<ResourceId> {
        ResourceId::ALL.into_iter().filter(|&resource| self.arch().control(resource).is_some()).collect()
    }

    fn domain_id(&self, cpu: CpuId, scope: Scope) -> u32 {
        match scope {
            Scope::L2Cache => self.sim.cache(cpu, CacheLevel::L2).unwrap().id,
            Scope::Node => self.sim.node(cpu).unwrap(),
            _ => self.sim.cache(cpu, CacheLevel::L3).unwrap().id,
        }
    }

    fn cpu_online(&self, cpu: HotplugCpu<'_>) -> Result<()> {
        self.arch().cpu_online(&self.sim, cpu)?;
        let only = |cpu: CpuId| {
            let mut mask = CpuMask::new(self.sim.nr_cpu_ids()).unwrap();
            mask.set(cpu).unwrap();
            mask
        };
        let domains = &mut *self.domains();
        for resource in ResourceId::ALL {
            if let Some(control) = self.arch().control(resource) {
                let id = self.domain_id(cpu.cpu(), control.scope);
                if let Some(Ctrl { domain, mask }) = domains.ctrl.get_mut(&(resource, id)) {
                    self.arch().ctrl_domain_join(cpu, resource, domain);
                    mask.set(cpu.cpu()).unwrap();
                } else {
                    let domain = self.arch().ctrl_domain_online(cpu, resource, DomainId(id))?;
                    domains.ctrl.insert((resource, id), Ctrl { domain, mask: only(cpu.cpu()) });
                }
            }
            if let Some(monitor) = self.arch().monitor(resource).filter(|_| resource == ResourceId::L3) {
                let id = self.domain_id(cpu.cpu(), monitor.scope);
                if let Some((_, mask)) = domains.mon.get_mut(&id) {
                    mask.set(cpu.cpu()).unwrap();
                } else {
                    let domain = self.arch().mon_domain_online(cpu, resource, DomainId(id))?;
                    domains.mon.insert(id, (domain, only(cpu.cpu())));
                }
            }
        }
        Ok(())
    }

    fn cpu_offline(&self, cpu: HotplugCpu<'_>) {
        let domains = &mut *self.domains();
        domains.ctrl.values_mut().for_each(|ctrl| ctrl.mask.clear(cpu.cpu()));
        domains.mon.values_mut().for_each(|(_, mask)| mask.clear(cpu.cpu()));
        domains.ctrl.retain(|_, ctrl| !ctrl.mask.is_empty());
        domains.mon.retain(|_, (_, mask)| !mask.is_empty());
        self.arch().cpu_offline(&self.sim, cpu);
    }

    /// Breaks the circle of references by which the simulated kernel calls this.
    pub(crate) fn halt(&self) {
        self.sim.unregister_hotplug();
        self.sim.clear_sched_in();
    }

    /// Holds hotplug off.
    pub(crate) fn with_cpus<T>(&self, f: impl FnOnce(CpusHeld<'_>) -> T) -> T {
        let guard = self.sim.cpus_read_lock();
        f(guard.held())
    }

    /// Runs `f` in a thread on `cpu`.
    pub(crate) fn on<T: Send>(&self, cpu: u32, mut f: impl FnMut(Pinned<'_>) -> T + Send) -> T {
        let mut result = None;
        self.with_cpus(|cpus| self.sim.call_on(cpus, CpuId(cpu), &mut |here| result = Some(f(here)))).unwrap();
        result.unwrap()
    }

    /// Runs `f` on `cpu` with interrupts off.
    pub(crate) fn irq<T: Send>(&self, cpu: u32, mut f: impl FnMut(IrqOff<'_>) -> T + Send) -> T {
        let mut result = None;
        self.with_cpus(|cpus| self.sim.interrupt(cpus, CpuId(cpu), &mut |here| result = Some(f(here)))).unwrap();
        result.unwrap()
    }

    /// What an MSR of `cpu` holds.
    pub(crate) fn msr(&self, cpu: u32, msr: u32) -> u64 {
        self.board.rdt.rdmsr(CpuId(cpu).index(), msr, 0).unwrap().unwrap()
    }

    /// Writes that the hardware refused.
    pub(crate) fn refused(&self) -> u64 {
        self.board.rdt.writes(Kind::Refused)
    }
}
