// SPDX-License-Identifier: GPL-2.0-only
//! Domains, as their first CPUs come.

use resctrl_types::context::HotplugCpu;
use resctrl_types::{DomainId, Errno, KVec, ResourceId, Result};

use crate::Registers;
use crate::core::{CtrlDomain, X86};
use crate::monitor::MonDomain;

impl<R: Registers> X86<R> {
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
}
