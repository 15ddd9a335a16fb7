// SPDX-License-Identifier: GPL-2.0-only
//! What the machine has: asked on one CPU, before there is anything else.

use resctrl_types::arch::Resources;
use resctrl_types::cache::CacheLevel;
use resctrl_types::cpu::CpuLabels;
use resctrl_types::event::EventSet;
use resctrl_types::once::SetOnce;
use resctrl_types::platform::{CpusReadGuard, LogLevel, Platform};
use resctrl_types::{CpuId, CpusHeld, Errno, KVec, Pinned, ResourceId, Result};

use crate::amd::{self, Amd};
use crate::controls::Controls;
use crate::core::{CdpSwitches, X86};
use crate::cpuid::{ALLOCATION_LEAF, MONITORING_LEAF, MaxLeaf};
use crate::fault::FirstFault;
use crate::monitor::{Correction, L3Monitoring, Unsaid};
use crate::options::Options;
use crate::pseudo_lock::PseudoLock;
use crate::quirks::Model;
use crate::vendor::{Vendor, vendor_name};
use crate::{Registers, intel};

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

impl<R: Registers> X86<R> {
    /// Finds out, on one CPU of the machine, what there is to control and to monitor, and tells the log.
    ///
    /// Takes the CPU hotplug lock: the caller holds neither it nor a mutex.
    ///
    /// # Errors
    /// `ENODEV` when there is nothing, or the processor is of no vendor that has it; `ENOMEM`.
    // Its locals are off the stack again when it returns: a thread of the kernel has 16 kB of it.
    #[inline(never)]
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
