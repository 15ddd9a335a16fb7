// SPDX-License-Identifier: GPL-2.0-only
//! The contract, met: each call goes to the file that is about it.

use resctrl_types::arch::{Arch, Change, Counters, EachCounting, MonId, OccupancyThreshold, ReadError, Trust};
use resctrl_types::context::HotplugCpu;
use resctrl_types::counter::{Counter, CounterAssignment, Transactions};
use resctrl_types::event::FractionBits;
use resctrl_types::pseudo_lock::{Measurement, MemoryOf};
use resctrl_types::resource::{Control, Monitor};
use resctrl_types::{
    Closid, ConfType, CpuId, CpuMask, CpusHeld, DomainCpus, DomainId, EventId, Here, IrqOff, Pinned, Platform,
    ResourceId, Result, RmidIndex, Switch, TaskWord,
};

use crate::core::{CtrlDomain, X86};
use crate::monitor::MonDomain;
use crate::{Registers, rdtgroup};

impl<P: Platform, R: Registers> Arch<P> for X86<R> {
    type CtrlDomain = CtrlDomain;
    type MonDomain = MonDomain;
    type MonContext = ();

    const RMID_DEPENDS_ON_CLOSID: bool = false;
    const PSEUDO_LOCKING: bool = true;

    fn control(&self, resource: ResourceId) -> Option<Control> {
        self.control(resource)
    }

    fn monitor(&self, resource: ResourceId) -> Option<Monitor> {
        self.monitor(resource)
    }

    fn pre_mount(&self, platform: &P) -> Result<()> {
        self.find_telemetry(platform)
    }

    fn occupancy_threshold(&self) -> OccupancyThreshold {
        self.occupancy_threshold()
    }

    fn num_rmid_index(&self) -> u32 {
        self.num_rmid_index()
    }

    fn rmid_index(&self, id: MonId) -> RmidIndex {
        Self::rmid_index(id)
    }

    fn rmid_decode(&self, index: RmidIndex) -> MonId {
        Self::rmid_decode(index)
    }

    fn task_word(&self, id: MonId) -> TaskWord {
        rdtgroup::task_word(id)
    }

    fn task_ids(&self, word: TaskWord) -> MonId {
        rdtgroup::task_ids(word)
    }

    fn set_cpu_default(&self, cpu: CpuId, id: MonId) {
        self.set_cpu_default(cpu, id);
    }

    fn sched_in(&self, here: IrqOff<'_>, word: TaskWord) {
        self.sched_in(here, word);
    }

    fn cpu_online(&self, platform: &P, cpu: HotplugCpu<'_>) -> Result<()> {
        self.reset_cpu(cpu.here().into());
        self.write_switches(cpu.here().into());
        self.fault.tell(platform);
        Ok(())
    }

    fn cpu_offline(&self, platform: &P, cpu: HotplugCpu<'_>) {
        self.reset_cpu(cpu.here().into());
        self.fault.tell(platform);
    }

    fn cpu_suspend(&self, here: Here<'_>) {
        self.cpu_suspend(here);
    }

    fn cpu_resume(&self, platform: &P, here: Here<'_>) {
        self.cpu_resume(platform, here);
        self.fault.tell(platform);
    }

    fn ctrl_domain_resume(&self, here: Here<'_>, resource: ResourceId, domain: &mut CtrlDomain) {
        self.ctrl_domain_resume(here, resource, domain);
    }

    fn mon_domain_suspend(&self, here: Here<'_>, domain: &mut MonDomain, counting: EachCounting<'_>) {
        self.mon_domain_suspend(here, domain, counting);
    }

    fn mon_domain_resume(&self, here: Here<'_>, domain: &mut MonDomain, counting: EachCounting<'_>) {
        self.mon_domain_resume(here, domain, counting);
    }

    fn ctrl_domain_online(&self, cpu: HotplugCpu<'_>, resource: ResourceId, _id: DomainId) -> Result<CtrlDomain> {
        self.ctrl_domain_online(cpu, resource)
    }

    fn ctrl_domain_join(&self, cpu: HotplugCpu<'_>, resource: ResourceId, _domain: &mut CtrlDomain) {
        // Every control register belongs to the cache: the first CPU has set them all. Only AMD's switches are the thread's.
        self.join_cdp(cpu.here().into(), resource);
    }

    fn mon_domain_online(&self, cpu: HotplugCpu<'_>, resource: ResourceId, id: DomainId) -> Result<MonDomain> {
        self.mon_domain_online(cpu, resource, id)
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
        let result = self.apply(platform, cpus, resource, domain, changes, trust);
        self.fault.tell(platform);
        result
    }

    fn reset(&self, platform: &P, cpus: CpusHeld<'_>, resource: ResourceId, domain: &mut CtrlDomain, mask: &CpuMask) {
        self.reset(platform, cpus, resource, domain, mask);
        self.fault.tell(platform);
    }

    fn cdp_enabled(&self, resource: ResourceId) -> bool {
        self.cdp_enabled(resource)
    }

    fn set_cdp(&self, _platform: &P, _cpus: CpusHeld<'_>, resource: ResourceId, enable: Switch) -> Result<()> {
        self.set_cdp(resource, enable)
    }

    fn program_cdp(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        resource: ResourceId,
        _domain: &mut CtrlDomain,
        mask: &CpuMask,
    ) {
        self.program_cdp(platform, cpus, resource, mask);
        self.fault.tell(platform);
    }

    fn mon_context(&self, _resource: ResourceId, _event: EventId) -> Result<(), ReadError> {
        Ok(())
    }

    fn read(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        event: EventId,
        (): &mut (),
        counters: &mut Counters<'_, MonDomain, MonId>,
    ) -> Result<()> {
        let result = self.read(platform, cpus, event, counters);
        self.fault.tell(platform);
        result
    }

    fn rebase(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        domain: &mut MonDomain,
        ids: &mut (dyn Iterator<Item = MonId> + Send),
    ) -> Result<()> {
        let result = self.rebase(platform, cpus, domain, ids);
        self.fault.tell(platform);
        result
    }

    fn read_package(&self, platform: &P, package: DomainId, id: MonId, event: EventId) -> Result<u64, ReadError> {
        self.read_package(platform, package, id.rmid, event)
    }

    fn fraction_bits(&self, event: EventId) -> Option<FractionBits> {
        self.fraction_bits(event)
    }

    fn counters(&self) -> Option<CounterAssignment> {
        self.counters()
    }

    fn counters_assigned(&self) -> bool {
        self.counters_assigned()
    }

    fn set_counters_assigned(&self, assigned: Switch) -> Result<()> {
        self.set_counters_assigned(assigned)
    }

    fn program_counters_assigned(&self, platform: &P, cpus: CpusHeld<'_>, domain: &mut MonDomain, mask: &CpuMask) {
        self.program_counters_assigned(platform, cpus, domain, mask);
        self.fault.tell(platform);
    }

    fn configure_counter(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        domain: &mut MonDomain,
        counter: Counter,
        filter: Option<Transactions>,
    ) {
        self.configure_counter(platform, cpus, domain, counter, filter);
        self.fault.tell(platform);
    }

    fn read_counters(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        counters: &mut Counters<'_, MonDomain, Counter>,
    ) -> Result<()> {
        let result = self.read_assigned(platform, cpus, counters);
        self.fault.tell(platform);
        result
    }

    fn configurable_transactions(&self, event: EventId) -> Option<Transactions> {
        self.configurable_transactions(event)
    }

    fn event_config(&self, platform: &P, cpus: CpusHeld<'_>, mask: &CpuMask, event: EventId) -> Result<u32> {
        let result = self.event_config(platform, cpus, mask, event);
        self.fault.tell(platform);
        result
    }

    fn set_event_config(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        domain: &mut MonDomain,
        mask: &CpuMask,
        event: EventId,
        config: u32,
    ) -> Result<()> {
        let result = self.set_event_config(platform, cpus, domain, mask, event, config);
        self.fault.tell(platform);
        result
    }

    fn io_alloc(&self, resource: ResourceId) -> Option<bool> {
        self.io_alloc(resource)
    }

    fn set_io_alloc(&self, resource: ResourceId, enable: Switch) -> Result<()> {
        self.set_io_alloc(resource, enable)
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

    fn can_pseudo_lock(&self) -> bool {
        self.pseudo_lock.is_some()
    }

    fn pseudo_lock(
        &self,
        platform: &P,
        kernel: &P::PseudoLocking,
        here: Pinned<'_>,
        memory: &MemoryOf<P>,
        line_size: u32,
        closid: Closid,
    ) {
        self.pseudo_lock(kernel, here, memory, line_size, closid);
        self.fault.tell(platform);
    }

    fn measure(
        &self,
        platform: &P,
        kernel: &P::PseudoLocking,
        here: Pinned<'_>,
        memory: &MemoryOf<P>,
        line_size: u32,
        what: Measurement,
    ) {
        self.measure(kernel, here, memory, line_size, what);
        self.fault.tell(platform);
    }
}
