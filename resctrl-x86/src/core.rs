// SPDX-License-Identifier: GPL-2.0-only
//! What the machine has, and CPUs and domains as they come.

use resctrl_types::context::HotplugCpu;
use resctrl_types::cpu::CpuLabels;
use resctrl_types::event::EventSet;
use resctrl_types::once::SetOnce;
use resctrl_types::platform::{CacheLevel, CpusReadGuard, LogLevel, Platform};
use resctrl_types::resource::{Control, Monitor};
use resctrl_types::{
    CpuId, CpuMask, CpusHeld, CpusStay, DomainId, Errno, Here, IrqOff, KVec, Pinned, ResourceId, Result,
};

use crate::amd::Amd;
use crate::cpuid::{MaxLeaf, VendorEbx, VendorEcx, VendorEdx};
use crate::fault::{FirstFault, Watched};
use crate::intel_aet::Telemetry;
use crate::monitor::{Correction, L3Monitoring, MonDomain, Unsaid};
use crate::options::Options;
use crate::pseudo_lock::PseudoLock;
use crate::quirks::Model;
use crate::rdtgroup::CdpSwitches;
use crate::{Gp, Registers, amd, intel};

/// Last CPUID leaf without which there is no monitoring.
const MONITORING_LEAF: u64 = 0xf;
/// Last CPUID leaf without which there is no allocation.
pub(crate) const ALLOCATION_LEAF: u64 = 0x10;

/// What can be controlled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Controls {
    pub(crate) l3: Option<Control>,
    pub(crate) l2: Option<Control>,
    pub(crate) mb: Option<Control>,
    pub(crate) smba: Option<Control>,
}

impl Controls {
    pub(crate) fn get(&self, resource: ResourceId) -> Option<Control> {
        match resource {
            ResourceId::L3 => self.l3,
            ResourceId::L2 => self.l2,
            ResourceId::Mb => self.mb,
            ResourceId::Smba => self.smba,
            ResourceId::PerfPkg => None,
        }
    }

    fn is_empty(&self) -> bool {
        ResourceId::ALL.into_iter().all(|resource| self.get(resource).is_none())
    }

    /// How many CLOSIDs a CPU can work for: as many as the resource that knows most.
    fn num_closid(&self) -> u32 {
        [self.l3, self.l2, self.mb, self.smba]
            .into_iter()
            .flatten()
            .map(|control| control.num_closid)
            .max()
            .unwrap_or(1)
    }
}

/// What was found out on the first CPU; the others are taken to be the same.
#[derive(Debug)]
struct Machine {
    controls: Controls,
    pseudo_lock: Option<PseudoLock>,
    monitoring: Option<L3Monitoring>,
    /// Of a processor of AMD.
    amd: Option<Amd>,
    /// What the kernel takes for the size of the last level cache, where that is not the cache's own.
    llc_bytes: Option<u32>,
}

/// Intel RDT or AMD QoS: the architecture over the registers `R`.
pub struct X86<R: Registers> {
    pub(crate) registers: R,
    /// What the user turned on or off.
    pub(crate) options: Options,
    /// Telemetry of packages, once it is found.
    pub(crate) telemetry: SetOnce<Telemetry<R::Telemetry>>,
    pub(crate) controls: Controls,
    pub(crate) monitoring: Option<L3Monitoring>,
    /// What only AMD has; whether it is there says whose processor this is.
    pub(crate) amd: Option<Amd>,
    /// Bytes of the last level cache.
    pub(crate) llc_bytes: u32,
    /// CLOSIDs from here on are refused by `IA32_PQR_ASSOC`.
    pub(crate) num_closid: u32,
    pub(crate) cdp: CdpSwitches,
    pub(crate) cpus: KVec<CpuLabels>,
    /// What pseudo-locking takes, where that is known.
    pub(crate) pseudo_lock: Option<PseudoLock>,
    pub(crate) fault: FirstFault,
}

/// What a control domain holds: the value last programmed at each control index of the hardware.
#[derive(Debug)]
pub struct CtrlDomain {
    pub(crate) values: KVec<u32>,
}

impl<R: Registers> X86<R> {
    /// Finds out, on one CPU of the machine, what there is to control and to monitor, and tells the log.
    ///
    /// Takes the CPU hotplug lock: the caller holds neither it nor a mutex.
    ///
    /// # Errors
    /// `ENODEV` when there is nothing, or the processor is of no vendor that has it; `ENOMEM`.
    pub fn new<P: Platform>(registers: R, platform: &P, options: Options) -> Result<X86<R>> {
        let (machine, llc_bytes) = {
            let guard = platform.cpus_read_lock();
            let mut found = Err(Errno::ENODEV);
            let cpu = on_first_cpu(platform, guard.held(), &mut |here| {
                found = Machine::probe(&registers, here, options, platform);
            })?;
            let cache = [CacheLevel::L3, CacheLevel::L2].into_iter().find_map(|level| platform.cache(cpu, level));
            (found?, cache.map_or(0, |cache| cache.size))
        };
        let Machine { controls, monitoring, pseudo_lock, amd, llc_bytes: of_vendor } = machine;
        let cpus = KVec::from_fn(CpuId(platform.nr_cpu_ids()).index(), |_| CpuLabels::default())?;
        let x86 = X86 {
            num_closid: controls.num_closid(),
            registers,
            options,
            telemetry: SetOnce::new(),
            controls,
            monitoring,
            amd,
            llc_bytes: of_vendor.unwrap_or(llc_bytes),
            cdp: CdpSwitches::default(),
            cpus,
            pseudo_lock,
            fault: FirstFault::default(),
        };
        x86.announce(platform);
        Ok(x86)
    }

    fn announce<P: Platform>(&self, platform: &P) {
        for resource in ResourceId::ALL {
            if self.control(resource).is_some() {
                platform.log(LogLevel::Info, format_args!("{} allocation detected", resource.name()));
            }
        }
        for resource in ResourceId::ALL {
            if self.monitor(resource).is_some() {
                platform.log(LogLevel::Info, format_args!("{} monitoring detected", resource.name()));
            }
        }
    }

    pub(crate) fn control(&self, resource: ResourceId) -> Option<Control> {
        self.controls.get(resource)
    }

    pub(crate) fn monitor(&self, resource: ResourceId) -> Option<Monitor> {
        match resource {
            ResourceId::L3 => self.monitoring.as_ref().map(|monitoring| monitoring.monitor),
            ResourceId::PerfPkg => self.telemetry.get().map(|telemetry| telemetry.monitor),
            _ => None,
        }
    }

    /// Makes a control domain around its first CPU: memory first, then CDP, then the default of every index.
    pub(crate) fn ctrl_domain_online(&self, cpu: HotplugCpu<'_>, resource: ResourceId) -> Result<CtrlDomain> {
        let control = self.control(resource).ok_or(Errno::EINVAL)?;
        let mut domain =
            CtrlDomain { values: KVec::from_fn(control.num_closid as usize, |_| control.default_value())? };
        self.write_cdp(cpu.here().into(), resource);
        self.write_defaults(cpu.here().into(), resource, &mut domain);
        Ok(domain)
    }

    /// Makes a monitor domain in which nothing has been counted.
    pub(crate) fn mon_domain_online(
        &self,
        cpu: HotplugCpu<'_>,
        resource: ResourceId,
        id: DomainId,
    ) -> Result<MonDomain> {
        let (ResourceId::L3, Some(monitoring)) = (resource, &self.monitoring) else {
            return Err(Errno::EINVAL);
        };
        let domain = MonDomain::new(monitoring, id)?;
        self.share_rmids(cpu.here().into(), monitoring.clusters);
        Ok(domain)
    }

    pub(crate) fn read_msr(&self, here: Here<'_>, msr: u32) -> Result<u64, Gp> {
        Watched { registers: &self.registers, fault: &self.fault }.read_msr(here, msr)
    }

    pub(crate) fn write_msr(&self, here: Here<'_>, msr: u32, value: u64) -> Result<(), Gp> {
        Watched { registers: &self.registers, fault: &self.fault }.write_msr(here, msr, value)
    }
}

impl Machine {
    fn probe<P: Platform>(
        registers: &impl Registers,
        here: Pinned<'_>,
        mut options: Options,
        platform: &P,
    ) -> Result<Machine> {
        let Some(vendor) = Vendor::read(registers) else {
            let name = vendor_name(registers);
            let name = str::from_utf8(&name).unwrap_or("unknown");
            platform.log(LogLevel::Warn, format_args!("no support for processors of vendor {name}"));
            return Err(Errno::ENODEV);
        };
        let last_leaf = MaxLeaf::LEAF.get(MaxLeaf::ADDRESS.read(registers));
        let machine = match vendor {
            Vendor::Intel => Machine::probe_intel(registers, here, &mut options, platform, last_leaf),
            Vendor::Amd | Vendor::Hygon => Machine::probe_amd(registers, options, platform, last_leaf, vendor),
        };
        if machine.controls.is_empty() && machine.monitoring.is_none() {
            platform.log(LogLevel::Info, format_args!("nothing to control or to monitor on this processor"));
            return Err(Errno::ENODEV);
        }
        Ok(machine)
    }

    fn probe_intel<P: Platform>(
        registers: &impl Registers,
        here: Pinned<'_>,
        options: &mut Options,
        platform: &P,
        last_leaf: u64,
    ) -> Machine {
        let model = Model::read(registers);
        let haswell = model.haswell_l3(registers, here, *options);
        model.restrict(options);

        let controls = match haswell {
            Some(l3) => Controls { l3: Some(l3), ..Controls::default() },
            None if last_leaf >= ALLOCATION_LEAF => intel::controls(registers, model, *options, platform),
            None => Controls::default(),
        };
        let mut monitoring = None;
        if last_leaf >= MONITORING_LEAF {
            let unsaid = Unsaid { model: Some(model), width_offset: 0, assignable: false };
            monitoring = L3Monitoring::probe(registers, *options, platform, unsaid);
        }
        if let Some(monitoring) = &mut monitoring
            && model.miscounts_bandwidth()
        {
            monitoring.correction = Correction::for_rmids(monitoring.monitor.num_rmid);
            if monitoring.correction.is_none() {
                platform.log(LogLevel::Warn, format_args!("No MBM correction factor available"));
            }
        }
        Machine { controls, monitoring, pseudo_lock: PseudoLock::of(model), amd: None, llc_bytes: None }
    }

    fn probe_amd<P: Platform>(
        registers: &impl Registers,
        options: Options,
        platform: &P,
        last_leaf: u64,
        vendor: Vendor,
    ) -> Machine {
        let controls = amd::controls(registers, options, platform, last_leaf, vendor);
        let monitoring = (last_leaf >= MONITORING_LEAF)
            .then(|| {
                let width_offset = match vendor {
                    Vendor::Hygon => amd::WIDTH_OFFSET_HYGON,
                    _ => amd::WIDTH_OFFSET,
                };
                let assignable = amd::has_assignable_counters(registers, options);
                L3Monitoring::probe(registers, options, platform, Unsaid { model: None, width_offset, assignable })
            })
            .flatten();
        let events = monitoring.as_ref().map_or(EventSet::EMPTY, |monitoring| monitoring.monitor.events);
        let amd = Amd::probe(registers, options, events, &controls);
        Machine { controls, monitoring, pseudo_lock: None, amd: Some(amd), llc_bytes: amd::cache_bytes(registers) }
    }
}

/// Whose processor this is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vendor {
    Intel,
    Amd,
    /// AMD's design of old, but for slow memory and the width of counters.
    Hygon,
}

impl Vendor {
    fn read(registers: &impl Registers) -> Option<Vendor> {
        match vendor_name(registers) {
            intel::VENDOR => Some(Vendor::Intel),
            amd::VENDOR => Some(Vendor::Amd),
            amd::VENDOR_HYGON => Some(Vendor::Hygon),
            _ => None,
        }
    }
}

fn vendor_name(registers: &impl Registers) -> [u8; 12] {
    let mut name = [0; 12];
    let parts = [VendorEbx::ADDRESS, VendorEdx::ADDRESS, VendorEcx::ADDRESS];
    for (bytes, part) in name.chunks_exact_mut(4).zip(parts) {
        bytes.copy_from_slice(&part.read(registers).to_le_bytes()[..4]);
    }
    name
}

/// Runs `f` on the online CPU with the lowest number, which is the boot CPU unless that is off.
fn on_first_cpu<P: Platform>(
    platform: &P,
    cpus: CpusHeld<'_>,
    f: &mut (dyn FnMut(Pinned<'_>) + Send),
) -> Result<CpuId> {
    for cpu in (0..platform.nr_cpu_ids()).map(CpuId) {
        match platform.call_on(cpus, cpu, f) {
            Err(Errno::ENODEV) => {}
            result => return result.map(|()| cpu),
        }
    }
    Err(Errno::ENODEV)
}

/// Runs `f` with interrupts off on one CPU of `mask`.
pub(crate) fn on_some_cpu<'a, P: Platform>(
    platform: &P,
    cpus: impl Into<CpusStay<'a>>,
    mask: &CpuMask,
    f: &mut (dyn FnMut(IrqOff<'_>) + Send),
) -> Result<()> {
    let cpus = cpus.into();
    for cpu in mask.iter() {
        match platform.interrupt(cpus, cpu, f) {
            Err(Errno::ENODEV) => {}
            result => return result,
        }
    }
    Err(Errno::ENODEV)
}

/// Runs `f` with interrupts off on every CPU of `mask` that is online.
pub(crate) fn on_each_cpu<P: Platform>(
    platform: &P,
    cpus: CpusHeld<'_>,
    mask: &CpuMask,
    f: &mut (dyn FnMut(IrqOff<'_>) + Send),
) {
    for cpu in mask.iter() {
        // A CPU that is offline gets its registers set when it comes.
        let _ = platform.interrupt(cpus, cpu, f);
    }
}
