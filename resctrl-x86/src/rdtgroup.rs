// SPDX-License-Identifier: GPL-2.0-only
//! Ids: the words stored in tasks, the register that is rewritten at context switches, and whether control ids are told
//! apart by code and data.

use core::sync::atomic::Ordering;

use resctrl_types::arch::{Cdp, Ids, MonId, Resources};
use resctrl_types::cpu::CpuLabels;
use resctrl_types::{
    Closid, CpuId, CpuMask, CpusHeld, Errno, Here, Platform, ResourceId, Result, Rmid, RmidIndex, Switch, TaskWord,
};

use crate::Registers;
use crate::core::{CtrlDomain, X86, on_each_cpu, on_some_cpu};
use crate::msr::{L2QosCfg, L3QosCfg, PqrAssoc};

impl<R: Registers> Ids for X86<R> {
    const RMID_DEPENDS_ON_CLOSID: bool = false;

    fn num_rmid_index(&self) -> u32 {
        let monitored = ResourceId::ALL.into_iter().filter_map(|resource| self.monitor(resource));
        monitored.map(|monitor| monitor.num_rmid).min().unwrap_or(0)
    }

    fn rmid_index(&self, id: MonId) -> RmidIndex {
        RmidIndex(id.rmid.0)
    }

    fn rmid_decode(&self, index: RmidIndex) -> MonId {
        MonId { closid: Closid::RESERVED, rmid: Rmid(index.0) }
    }

    const CLOSID_PLACES: u64 = PqrAssoc::CLOSID.places();
    const RMID_PLACES: u64 = PqrAssoc::RMID.places();

    /// Task words have the layout of the register: the CLOSID above the RMID.
    fn task_word(&self, id: MonId) -> TaskWord {
        TaskWord(PqrAssoc::CLOSID.put(id.closid.0.into()) | PqrAssoc::RMID.put(id.rmid.0.into()))
    }

    fn task_ids(&self, word: TaskWord) -> MonId {
        let half = |field: resctrl_types::register::Field| u32::try_from(field.get(word.0)).unwrap_or(0);
        MonId { closid: Closid(half(PqrAssoc::CLOSID)), rmid: Rmid(half(PqrAssoc::RMID)) }
    }

    #[inline]
    fn cpu_labels(&self, cpu: CpuId) -> Option<&CpuLabels> {
        self.cpus.get(cpu.index())
    }

    /// Each id by itself: the task's unless that is the reserved one, else the CPU's default.
    fn effective(&self, task: TaskWord, default: TaskWord) -> u64 {
        let choose = |field: resctrl_types::register::Field, limit: u32| {
            let own = field.get(task.0);
            let id = if own == 0 { field.get(default.0) } else { own };
            // An id the processor does not know would fault. None is ever stored; the reserved ids are always good.
            field.put(if id < u64::from(limit) { id } else { 0 })
        };
        choose(PqrAssoc::CLOSID, self.num_closid) | choose(PqrAssoc::RMID, self.num_rmid())
    }

    fn write_labels(&self, here: Here<'_>, labels: u64) {
        // A refusal is noted and not tried again at the next switch.
        let _ = self.write_msr(here, PqrAssoc::ADDRESS, labels);
    }

    fn cdp_enabled(&self, resource: ResourceId) -> bool {
        self.cdp.get(resource).is_some_and(|enabled| enabled.load(Ordering::Relaxed))
    }
}

impl<P: Platform, R: Registers> Cdp<P> for X86<R> {
    fn set_cdp(&self, _platform: &P, _cpus: CpusHeld<'_>, resource: ResourceId, cdp: Switch) -> Result<()> {
        let enable = cdp.is_on();
        let capable = self.control(resource).is_some_and(|control| control.cdp_capable);
        match self.cdp.get(resource) {
            Some(enabled) if capable || !enable => enabled.store(enable, Ordering::Relaxed),
            _ if enable => return Err(Errno::EINVAL),
            _ => {}
        }
        Ok(())
    }

    /// Brings the switch of one domain in line, on one of its CPUs: the register is the cache's. AMD's is the thread's.
    fn program_cdp(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        resource: ResourceId,
        _domain: &mut CtrlDomain,
        mask: &CpuMask,
    ) {
        if self.amd.is_some() {
            on_each_cpu(platform, cpus, mask, &mut |here| self.write_cdp(here.into(), resource));
        } else {
            // A domain has a CPU as long as hotplug is held off; without one there is no register to bring in line.
            let _ = on_some_cpu(platform, cpus, mask, &mut |here| self.write_cdp(here.into(), resource));
        }
        self.fault.tell(platform);
    }
}

impl<R: Registers> X86<R> {
    /// RMIDs from here on are refused by `IA32_PQR_ASSOC`, as far as is known.
    pub(crate) fn num_rmid(&self) -> u32 {
        let l3 = self.monitoring.as_ref().map(|monitoring| monitoring.monitor.num_rmid);
        // Where the L3 is not monitored, or that is turned off, whoever counts by package must know.
        l3.or_else(|| self.telemetry.get().map(|telemetry| telemetry.monitor.num_rmid)).unwrap_or(1)
    }

    /// Makes the reserved ids this CPU's, from a thread that context switches may interrupt.
    pub(crate) fn reset_cpu(&self, here: Here<'_>) {
        let Some(state) = self.cpus.get(here.cpu().index()) else { return };
        state.set_default_word(0);
        state.write_from_thread(0, |labels| self.write_labels(here, labels));
    }

    /// Brings a CPU in line that joins a domain.
    pub(crate) fn join_cdp(&self, here: Here<'_>, resource: ResourceId) {
        if self.amd.is_some() {
            self.write_cdp(here, resource);
        }
    }

    /// Writes the switch of the cache that this CPU uses, if it has one.
    pub(crate) fn write_cdp(&self, here: Here<'_>, resource: ResourceId) {
        if !self.control(resource).is_some_and(|control| control.cdp_capable) {
            return;
        }
        let enable = u64::from(self.cdp_enabled(resource));
        let (msr, value) = match resource {
            ResourceId::L3 => (L3QosCfg::ADDRESS, L3QosCfg::CDP_ENABLE.put(enable)),
            ResourceId::L2 => (L2QosCfg::ADDRESS, L2QosCfg::CDP_ENABLE.put(enable)),
            _ => return,
        };
        let _ = self.write_msr(here, msr, value);
    }
}
