// SPDX-License-Identifier: GPL-2.0-only
//! A machine to test on: a board with emulated RDT below, the simulated kernel above, the architecture in between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use resctrl_hardware::Machine;
use resctrl_hardware::write_log::Kind;
use resctrl_types::arch::{Cpus, Domains as _, Resources};
use resctrl_types::cache::CacheLevel;
use resctrl_types::platform::CpusReadGuard;
use resctrl_types::resource::Scope;
use resctrl_types::sim::SimPlatform;
use resctrl_types::{
    Arch, CpuId, CpuMask, CpusHeld, DomainId, HotplugCpu, IrqOff, Pinned, Platform, ResourceId, Result,
};
use resctrl_x86::{CtrlDomain, MonDomain, Options, X86};
use resctrl_x86_board::{Board, Emulated, Processor, topology};

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
    let sim = SimPlatform::new(topology(machine));
    let board = Arc::new(Board::new(machine, processor, &sim).unwrap());
    let x86 = X86::new(Emulated(Arc::clone(&board)), &sim, Options::parse(options));
    (sim, board, x86)
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
