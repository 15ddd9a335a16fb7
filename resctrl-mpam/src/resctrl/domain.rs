// SPDX-License-Identifier: GPL-2.0-only
//! Domains, as their first CPUs come. What a component is programmed with and what it has counted outlive them.

use resctrl_types::arch::{Domains, EachCounting};
use resctrl_types::{DomainId, Errno, Here, HotplugCpu, ResourceId, Result};

use super::Mpam;
use super::control::CtrlDomain;
use super::monitor::MonDomain;
use crate::{Msc, SystemRegisters};

impl<M: Msc, S: SystemRegisters> Domains for Mpam<M, S> {
    type CtrlDomain = CtrlDomain;
    type MonDomain = MonDomain;

    fn ctrl_domain_online(&self, cpu: HotplugCpu<'_>, resource: ResourceId, _id: DomainId) -> Result<CtrlDomain> {
        let class = self.resources.control(resource).ok_or(Errno::EINVAL)?;
        let component = self.component_of(class, cpu.cpu()).ok_or(Errno::EINVAL)?.clone();
        // Nothing to program: its MSCs hold what is remembered. Somebody could reach them all the time, or this CPU is the
        // first that can, and has programmed them.
        Ok(CtrlDomain { component })
    }

    /// A component is programmed once for all its CPUs.
    fn ctrl_domain_join(&self, _cpu: HotplugCpu<'_>, _resource: ResourceId, _domain: &mut CtrlDomain) {}

    fn mon_domain_online(&self, cpu: HotplugCpu<'_>, resource: ResourceId, _id: DomainId) -> Result<MonDomain> {
        let of_class = |class: Option<usize>| {
            class.filter(|_| resource == ResourceId::L3).and_then(|class| self.component_of(class, cpu.cpu())).cloned()
        };
        let occupancy = of_class(self.resources.occupancy().map(|(class, _)| class));
        let traffic = of_class(self.resources.traffic());
        if occupancy.is_none() && traffic.is_none() {
            return Err(Errno::EINVAL);
        }
        if let Some(component) = &traffic {
            self.devices.forget_traffic(component);
        }
        Ok(MonDomain { occupancy, traffic })
    }

    /// Whoever comes first programs the MSCs that it can reach, which are others than those of its domains.
    fn ctrl_domain_resume(&self, _here: Here<'_>, _resource: ResourceId, _domain: &mut CtrlDomain) {}

    /// The monitors are put aside with their MSCs.
    fn mon_domain_suspend(&self, _here: Here<'_>, _domain: &mut MonDomain, _counting: EachCounting<'_>) {}

    fn mon_domain_resume(&self, _here: Here<'_>, _domain: &mut MonDomain, _counting: EachCounting<'_>) {}
}
