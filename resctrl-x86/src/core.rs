// SPDX-License-Identifier: GPL-2.0-only
//! What there is of this machine, and going to a CPU of a domain.

use core::sync::atomic::AtomicBool;

use resctrl_types::arch::{OccupancyThreshold, Resources};
use resctrl_types::cpu::CpuLabels;
use resctrl_types::once::SetOnce;
use resctrl_types::platform::Platform;
use resctrl_types::resource::{Control, Monitor};
use resctrl_types::{CpuMask, CpusHeld, CpusStay, Errno, Here, IrqOff, KVec, ResourceId, Result};

use crate::amd::Amd;
use crate::controls::Controls;
use crate::fault::{Access, FirstFault};
use crate::intel_aet::Telemetry;
use crate::monitor::L3Monitoring;
use crate::options::Options;
use crate::pseudo_lock::PseudoLock;
use crate::{Gp, Registers};

/// Whether code and data are told apart, for each cache.
#[derive(Debug, Default)]
pub(crate) struct CdpSwitches {
    l3: AtomicBool,
    l2: AtomicBool,
}

impl CdpSwitches {
    pub(crate) fn get(&self, resource: ResourceId) -> Option<&AtomicBool> {
        match resource {
            ResourceId::L3 => Some(&self.l3),
            ResourceId::L2 => Some(&self.l2),
            _ => None,
        }
    }
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

impl<R: Registers> Resources for X86<R> {
    fn control(&self, resource: ResourceId) -> Option<Control> {
        self.controls.get(resource)
    }

    fn monitor(&self, resource: ResourceId) -> Option<Monitor> {
        match resource {
            ResourceId::L3 => self.monitoring.as_ref().map(|monitoring| monitoring.monitor),
            ResourceId::PerfPkg => self.telemetry.get().map(|telemetry| telemetry.monitor),
            _ => None,
        }
    }

    fn occupancy_threshold(&self) -> OccupancyThreshold {
        OccupancyThreshold {
            limit: self.llc_bytes,
            unit: self.monitoring.as_ref().map_or(1, |monitoring| monitoring.unit),
        }
    }
}

impl<R: Registers> X86<R> {
    pub(crate) fn read_msr(&self, here: Here<'_>, msr: u32) -> Result<u64, Gp> {
        self.registers.read_msr(here, msr).inspect_err(|Gp| self.fault.note(here.cpu(), msr, Access::Read))
    }

    pub(crate) fn write_msr(&self, here: Here<'_>, msr: u32, value: u64) -> Result<(), Gp> {
        self.registers.write_msr(here, msr, value).inspect_err(|Gp| self.fault.note(here.cpu(), msr, Access::Write))
    }
}

/// Runs `f` with interrupts off on one CPU of `mask`.
pub(crate) fn on_some_cpu<'a, P: Platform>(
    platform: &P,
    cpus: impl Into<CpusStay<'a>>,
    mask: &CpuMask,
    f: &mut (dyn FnMut(IrqOff<'_>) + Send),
) -> Result<()> {
    let cpus = cpus.into();
    // Nobody else is disturbed where the caller is.
    let here = platform.likely_here().filter(|&here| mask.contains(here));
    for cpu in here.into_iter().chain(mask.iter()) {
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
