// SPDX-License-Identifier: GPL-2.0-only
//! The switches that each thread of an AMD processor has for itself, and that all threads of a domain have to agree in.

use resctrl_types::arch::IoAlloc;
use resctrl_types::platform::Platform;
use resctrl_types::{CpuMask, CpusHeld, Errno, Here, ResourceId, Result, Switch};

use crate::Registers;
use crate::amd::Amd;
use crate::core::{CtrlDomain, X86, on_each_cpu};
use crate::msr::L3QosExtCfg;

impl<P: Platform, R: Registers> IoAlloc<P> for X86<R> {
    fn io_alloc(&self, resource: ResourceId) -> Option<bool> {
        self.amd.as_ref().filter(|_| resource == ResourceId::L3)?.io_alloc()
    }

    fn set_io_alloc(&self, resource: ResourceId, enable: Switch) -> Result<()> {
        let amd = self.amd.as_ref().filter(|_| resource == ResourceId::L3);
        amd.ok_or(Errno::EINVAL)?.set_io_alloc(enable)
    }

    fn program_io_alloc(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        _resource: ResourceId,
        _domain: &mut CtrlDomain,
        mask: &CpuMask,
    ) {
        self.program_switches(platform, cpus, mask);
        self.fault.tell(platform);
    }
}

impl<R: Registers> X86<R> {
    /// Brings the switches of this CPU in line with what was decided. Each thread has its own, and all of a domain have to
    /// agree; other bits stay.
    pub(crate) fn write_switches(&self, here: Here<'_>) {
        let Some((ours, wanted)) = self.amd.as_ref().map(Amd::switches).filter(|(ours, _)| *ours != 0) else { return };
        let Ok(before) = self.read_msr(here, L3QosExtCfg::ADDRESS) else { return };
        let after = before & !ours | wanted;
        if after != before {
            let _ = self.write_msr(here, L3QosExtCfg::ADDRESS, after);
        }
    }

    /// As [`X86::write_switches`] on every CPU of a domain.
    pub(crate) fn program_switches<P: Platform>(&self, platform: &P, cpus: CpusHeld<'_>, mask: &CpuMask) {
        on_each_cpu(platform, cpus, mask, &mut |here| self.write_switches(here.into()));
    }
}
