// SPDX-License-Identifier: GPL-2.0-only
//! Ids: the words stored in tasks, the register that is rewritten at context switches, and whether control ids are told
//! apart by code and data.

use core::sync::atomic::Ordering;

use resctrl_types::arch::MonId;
use resctrl_types::{
    Closid, CpuId, CpuMask, CpusHeld, Errno, Here, IrqOff, Platform, ResourceId, Result, Rmid, Switch, TaskWord,
};

use crate::Registers;
use crate::core::{X86, on_each_cpu, on_some_cpu};
use crate::msr::{L2QosCfg, L3QosCfg, PqrAssoc};

/// Task words have the layout of the register: the CLOSID above the RMID.
pub(crate) const fn task_word(id: MonId) -> TaskWord {
    TaskWord(PqrAssoc::CLOSID.put(id.closid.0 as u64) | PqrAssoc::RMID.put(id.rmid.0 as u64))
}

/// The inverse of [`task_word`].
pub(crate) fn task_ids(word: TaskWord) -> MonId {
    let half = |field: resctrl_types::register::Field| u32::try_from(field.get(word.0)).unwrap_or(0);
    MonId { closid: Closid(half(PqrAssoc::CLOSID)), rmid: Rmid(half(PqrAssoc::RMID)) }
}

impl<R: Registers> X86<R> {
    pub(crate) fn set_cpu_default(&self, cpu: CpuId, id: MonId) {
        if let Some(state) = self.cpus.get(cpu.index()) {
            state.set_default_word(task_word(id).0);
        }
    }

    /// Each id by itself: the task's unless that is the reserved one, else the CPU's default.
    fn effective(&self, task: TaskWord, default: u64) -> u64 {
        let choose = |field: resctrl_types::register::Field, limit: u32| {
            let own = field.get(task.0);
            let id = if own == 0 { field.get(default) } else { own };
            // An id the processor does not know would fault. None is ever stored; the reserved ids are always good.
            field.put(if id < u64::from(limit) { id } else { 0 })
        };
        choose(PqrAssoc::CLOSID, self.num_closid) | choose(PqrAssoc::RMID, self.num_rmid())
    }

    pub(crate) fn sched_in(&self, here: IrqOff<'_>, word: TaskWord) {
        let Some(state) = self.cpus.get(here.cpu().index()) else { return };
        let wanted = self.effective(word, state.default_word());
        state.switch(wanted, |labels| self.write_labels(here.into(), labels));
    }

    fn write_labels(&self, here: Here<'_>, labels: u64) {
        // A refusal is noted and not tried again at the next switch.
        let _ = self.write_msr(here, PqrAssoc::ADDRESS, labels);
    }

    /// Makes the reserved ids this CPU's, from a thread that context switches may interrupt.
    pub(crate) fn reset_cpu(&self, here: Here<'_>) {
        let Some(state) = self.cpus.get(here.cpu().index()) else { return };
        state.set_default_word(0);
        state.write_from_thread(0, |labels| self.write_labels(here, labels));
    }

    /// The power may go: nothing is known of the register any more.
    pub(crate) fn cpu_suspend(&self, here: Here<'_>) {
        if let Some(state) = self.cpus.get(here.cpu().index()) {
            state.forget();
        }
    }

    /// Writes what is this CPU's own, whatever its registers hold: ids, and the switches of AMD.
    pub(crate) fn cpu_resume<P: Platform>(&self, platform: &P, here: Here<'_>) {
        self.write_switches(here);
        for resource in [ResourceId::L3, ResourceId::L2] {
            self.join_cdp(here, resource);
        }
        let Some(state) = self.cpus.get(here.cpu().index()) else { return };
        state.forget();
        match here {
            Here::Irq(here) => self.sched_in(here, platform.current_word(here)),
            Here::Thread(_) => {
                // Whatever this thread works for, the next switch writes again.
                self.write_labels(here, self.effective(TaskWord(0), state.default_word()));
                state.forget();
            }
        }
    }

    pub(crate) fn cdp_enabled(&self, resource: ResourceId) -> bool {
        self.cdp.get(resource).is_some_and(|enabled| enabled.load(Ordering::Relaxed))
    }

    pub(crate) fn set_cdp(&self, resource: ResourceId, cdp: Switch) -> Result<()> {
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
    pub(crate) fn program_cdp<P: Platform>(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        resource: ResourceId,
        mask: &CpuMask,
    ) {
        if self.amd.is_some() {
            on_each_cpu(platform, cpus, mask, &mut |here| self.write_cdp(here.into(), resource));
            return;
        }
        // A domain has a CPU as long as hotplug is held off; without one there is no register to bring in line.
        let _ = on_some_cpu(platform, cpus, mask, &mut |here| self.write_cdp(here.into(), resource));
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
