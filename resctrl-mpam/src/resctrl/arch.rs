// SPDX-License-Identifier: GPL-2.0-only
//! The contract, met: each call goes to the file that is about it.

use resctrl_types::arch::{Arch, Change, Counters, EachCounting, MonId, OccupancyThreshold, ReadError, Trust};
use resctrl_types::context::HotplugCpu;
use resctrl_types::resource::{Control, Monitor};
use resctrl_types::{
    Closid, ConfType, Counter, CounterAssignment, CpuId, CpuMask, CpusHeld, DomainCpus, DomainId, EventId, Here,
    IrqOff, Platform, ResourceId, Result, RmidIndex, Switch, TaskWord, Transactions,
};

use super::control::CtrlDomain;
use super::monitor::{MonContext, MonDomain};
use super::{Mpam, ids};
use crate::{Msc, SystemRegisters};

impl<P: Platform, M: Msc, S: SystemRegisters> Arch<P> for Mpam<M, S> {
    type CtrlDomain = CtrlDomain;
    type MonDomain = MonDomain;
    type MonContext = MonContext;

    const RMID_DEPENDS_ON_CLOSID: bool = true;

    fn control(&self, resource: ResourceId) -> Option<Control> {
        self.control(resource)
    }

    fn monitor(&self, resource: ResourceId) -> Option<Monitor> {
        self.monitor(resource)
    }

    fn occupancy_threshold(&self) -> OccupancyThreshold {
        self.occupancy_threshold()
    }

    fn num_rmid_index(&self) -> u32 {
        self.num_rmid_index()
    }

    fn rmid_index(&self, id: MonId) -> RmidIndex {
        self.rmid_index(id)
    }

    fn rmid_decode(&self, index: RmidIndex) -> MonId {
        self.rmid_decode(index)
    }

    fn task_word(&self, id: MonId) -> TaskWord {
        ids::task_word(id)
    }

    fn task_ids(&self, word: TaskWord) -> MonId {
        ids::task_ids(word)
    }

    fn set_cpu_default(&self, cpu: CpuId, id: MonId) {
        self.set_cpu_default(cpu, id);
    }

    fn sched_in(&self, here: IrqOff<'_>, word: TaskWord) {
        self.sched_in(here, word);
    }

    fn cpu_online(&self, _platform: &P, cpu: HotplugCpu<'_>) -> Result<()> {
        self.cpu_online(cpu)
    }

    fn cpu_offline(&self, _platform: &P, cpu: HotplugCpu<'_>) {
        self.cpu_offline(cpu);
    }

    fn cpu_suspend(&self, here: Here<'_>) {
        self.cpu_suspend(here);
    }

    fn cpu_resume(&self, platform: &P, here: Here<'_>) {
        self.cpu_resume(platform, here);
    }

    /// Whoever comes first programs the MSCs that it can reach, which are others than those of its domains.
    fn ctrl_domain_resume(&self, _here: Here<'_>, _resource: ResourceId, _domain: &mut CtrlDomain) {}

    /// The monitors are put aside with their MSCs.
    fn mon_domain_suspend(&self, _here: Here<'_>, _domain: &mut MonDomain, _counting: EachCounting<'_>) {}

    fn mon_domain_resume(&self, _here: Here<'_>, _domain: &mut MonDomain, _counting: EachCounting<'_>) {}

    fn has_failed(&self) -> bool {
        self.has_failed()
    }

    fn shut_down(&self, platform: &P, cpus: CpusHeld<'_>) {
        self.shut_down(platform, cpus);
    }

    fn ctrl_domain_online(&self, cpu: HotplugCpu<'_>, resource: ResourceId, _id: DomainId) -> Result<CtrlDomain> {
        self.ctrl_domain_online(cpu, resource)
    }

    fn ctrl_domain_join(&self, _cpu: HotplugCpu<'_>, _resource: ResourceId, _domain: &mut CtrlDomain) {
        // A component is programmed once for all its CPUs.
    }

    fn mon_domain_online(&self, cpu: HotplugCpu<'_>, resource: ResourceId, _id: DomainId) -> Result<MonDomain> {
        self.mon_domain_online(cpu, resource)
    }

    fn control_value(&self, resource: ResourceId, domain: &CtrlDomain, closid: Closid, conf_type: ConfType) -> u32 {
        self.control_value(resource, domain, closid, conf_type)
    }

    fn apply(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        resource: ResourceId,
        domain: &mut CtrlDomain,
        changes: &[Change],
        trust: Trust,
    ) -> Result<()> {
        self.apply(platform, cpus, resource, domain, changes, trust)
    }

    fn reset(&self, platform: &P, cpus: CpusHeld<'_>, resource: ResourceId, domain: &mut CtrlDomain, mask: &CpuMask) {
        self.reset(platform, cpus, resource, domain, mask);
    }

    fn reset_away(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        online: &CpuMask,
        resource: ResourceId,
        closid: Option<Closid>,
    ) {
        self.reset_away(platform, cpus, online, resource, closid);
    }

    fn cdp_enabled(&self, resource: ResourceId) -> bool {
        self.cdp_enabled(resource)
    }

    fn set_cdp(&self, platform: &P, cpus: CpusHeld<'_>, resource: ResourceId, enable: Switch) -> Result<()> {
        self.set_cdp(platform, cpus, resource, enable)
    }

    fn program_cdp(
        &self,
        _platform: &P,
        _cpus: CpusHeld<'_>,
        _resource: ResourceId,
        _domain: &mut CtrlDomain,
        _mask: &CpuMask,
    ) {
        // CDP is a matter of labels, which processors make: no component knows of it.
    }

    fn mon_context(&self, resource: ResourceId, event: EventId) -> Result<MonContext, ReadError> {
        self.mon_context(resource, event)
    }

    /// Occupancy: what leaves the cache is counted by counters that are assigned.
    fn read(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        _event: EventId,
        context: &mut MonContext,
        counters: &mut Counters<'_, MonDomain, MonId>,
    ) -> Result<()> {
        self.read(platform, cpus, context, counters)
    }

    fn counters(&self) -> Option<CounterAssignment> {
        self.counters()
    }

    /// Always: monitors are the only way of counting.
    fn counters_assigned(&self) -> bool {
        true
    }

    /// What is counted cannot be chosen, only whether.
    fn configure_counter(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        domain: &mut MonDomain,
        counter: Counter,
        filter: Option<Transactions>,
    ) {
        self.configure_counter(platform, cpus, domain, counter, filter);
    }

    fn read_counters(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        counters: &mut Counters<'_, MonDomain, Counter>,
    ) -> Result<()> {
        self.read_counters(platform, cpus, counters)
    }
}
