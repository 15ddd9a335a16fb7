// SPDX-License-Identifier: GPL-2.0-only
//! CPUs and domains that come, go, and sleep.

use resctrl_types::arch::{Counting, Cpus, Domains, EachCounting, Ids, Resources};
use resctrl_types::context::HotplugCpu;
use resctrl_types::{DomainId, Errno, EventId, Here, KVec, Platform, ResourceId, Result, TaskWord};

use crate::Registers;
use crate::core::{CtrlDomain, X86};
use crate::counters::{config_register, configuration, selection};
use crate::monitor::MonDomain;
use crate::msr::L3QosAbmcCfg;

impl<P: Platform, R: Registers> Cpus<P> for X86<R> {
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

    /// The power may go: nothing is known of the register any more.
    fn cpu_suspend(&self, here: Here<'_>) {
        if let Some(state) = self.cpus.get(here.cpu().index()) {
            state.forget();
        }
    }

    /// Writes what is this CPU's own, whatever its registers hold: ids, and the switches of AMD.
    fn cpu_resume(&self, platform: &P, here: Here<'_>) {
        self.write_switches(here);
        for resource in [ResourceId::L3, ResourceId::L2] {
            self.join_cdp(here, resource);
        }
        if let Some(state) = self.cpus.get(here.cpu().index()) {
            state.forget();
            match here {
                Here::Irq(here) => self.sched_in(here, platform.current_word(here)),
                Here::Thread(_) => {
                    // Whatever this thread works for, the next switch writes again.
                    self.write_labels(here, self.effective(TaskWord(0), TaskWord(state.default_word())));
                    state.forget();
                }
            }
        }
        self.fault.tell(platform);
    }
}

impl<R: Registers> Domains for X86<R> {
    type CtrlDomain = CtrlDomain;
    type MonDomain = MonDomain;

    /// Makes a control domain around its first CPU: memory first, then CDP, then the default of every index.
    fn ctrl_domain_online(&self, cpu: HotplugCpu<'_>, resource: ResourceId, _id: DomainId) -> Result<CtrlDomain> {
        let control = self.control(resource).ok_or(Errno::EINVAL)?;
        let mut domain =
            CtrlDomain { values: KVec::from_fn(control.num_closid as usize, |_| control.default_value())? };
        self.write_cdp(cpu.here().into(), resource);
        self.write_defaults(cpu.here().into(), resource, &mut domain);
        Ok(domain)
    }

    /// Every control register belongs to the cache: the first CPU has set them all. Only AMD's switches are the thread's.
    fn ctrl_domain_join(&self, cpu: HotplugCpu<'_>, resource: ResourceId, _domain: &mut CtrlDomain) {
        self.join_cdp(cpu.here().into(), resource);
    }

    /// Makes a monitor domain in which nothing has been counted.
    fn mon_domain_online(&self, cpu: HotplugCpu<'_>, resource: ResourceId, id: DomainId) -> Result<MonDomain> {
        let (ResourceId::L3, Some(monitoring)) = (resource, &self.monitoring) else {
            return Err(Errno::EINVAL);
        };
        let domain = MonDomain::new(monitoring, id)?;
        self.share_rmids(cpu.here().into(), monitoring.clusters);
        Ok(domain)
    }

    /// Writes CDP and every value from memory, whatever is thought to be there.
    fn ctrl_domain_resume(&self, here: Here<'_>, resource: ResourceId, domain: &mut CtrlDomain) {
        self.write_cdp(here, resource);
        for index in 0..domain.values.len() {
            let Some(&value) = domain.values.get(index) else { return };
            // A refusal goes to the log, and the value is one of those that the processor took.
            let _ = self.write_control(here, resource, domain, index, value);
        }
    }

    /// Takes in what is counted, and what the events count.
    fn mon_domain_suspend(&self, here: Here<'_>, domain: &mut MonDomain, counting: EachCounting<'_>) {
        counting(&mut |counting| {
            // What cannot be read has no number that could be taken in.
            let _ = match counting {
                Counting::Always(id, event) => self.read_here(here, domain, id.rmid, event),
                Counting::Assigned(counter, _) => self.read_assigned_here(here, domain, counter),
            };
        });
        for (event, saved) in EventId::MBM.into_iter().zip(&mut domain.event_configs) {
            *saved = config_register(event)
                .filter(|_| self.configurable(event).is_some())
                .and_then(|register| self.read_msr(here, register).ok());
        }
    }

    /// Writes what the events count and what counters are assigned to, and lets each count go on from what the register
    /// shows now.
    fn mon_domain_resume(&self, here: Here<'_>, domain: &mut MonDomain, counting: EachCounting<'_>) {
        if let Some(monitoring) = &self.monitoring {
            self.share_rmids(here, monitoring.clusters);
        }
        for (event, saved) in EventId::MBM.into_iter().zip(domain.event_configs) {
            if let (Some(register), Some(config)) = (config_register(event), saved) {
                let _ = self.write_msr(here, register, config);
            }
        }
        counting(&mut |counting| {
            let (event, rmid, now) = match counting {
                Counting::Always(id, event) => (event, id.rmid, self.read_counter(here, domain, id.rmid, event)),
                Counting::Assigned(counter, filter) => {
                    if let Some(config) = configuration(counter, Some(filter)) {
                        let _ = self.write_msr(here, L3QosAbmcCfg::ADDRESS, config);
                    }
                    let now = selection(counter).and_then(|select| self.read_selected(here, select));
                    (counter.event, counter.id.rmid, now)
                }
            };
            // A counter that cannot be read begins at 0 when it can.
            domain.go_on(event, rmid, now.unwrap_or(0));
        });
    }
}
