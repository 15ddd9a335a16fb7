// SPDX-License-Identifier: GPL-2.0-only
//! Control values: what a value means to a component, programming changes, resetting.

use resctrl_types::arch::Change;
use resctrl_types::resource::{Control, ControlKind};
use resctrl_types::{
    Closid, ConfType, CpuMask, CpusHeld, Errno, Here, HotplugCpu, KVec, Pinned, Platform, Ref, ResourceId, Result,
};

use super::{Mpam, classes};
use crate::bandwidth::FractionBits;
use crate::devices::{Component, Config, Vmsc};
use crate::{Msc, SystemRegisters};

/// The control half of a domain.
pub struct CtrlDomain {
    pub(crate) component: Ref<Component>,
}

impl<M: Msc, S: SystemRegisters> Mpam<M, S> {
    pub(crate) fn control(&self, resource: ResourceId) -> Option<Control> {
        // Bandwidth of code and of data would add up to something nobody asked for.
        if resource == ResourceId::Mb && self.cdp.any() {
            return None;
        }
        self.real_control(resource)
    }

    /// The control half of a resource, whether or not it is shown at the moment.
    fn real_control(&self, resource: ResourceId) -> Option<Control> {
        let class = self.devices.classes.get(self.resources.control(resource)?)?;
        classes::describe(resource, &class.props, self.devices.ids.partid_max)
    }

    fn fraction(&self, resource: ResourceId) -> Option<FractionBits> {
        let class = self.devices.classes.get(self.resources.control(resource)?)?;
        FractionBits::new(class.props.bwa_wd.into())
    }

    pub(crate) fn ctrl_domain_online(&self, cpu: HotplugCpu<'_>, resource: ResourceId) -> Result<CtrlDomain> {
        let class = self.resources.control(resource).ok_or(Errno::EINVAL)?;
        let component = self.component_of(class, cpu.cpu()).ok_or(Errno::EINVAL)?.clone();
        let values = self.defaults(resource, &component)?;
        for vmsc in &component.vmscs {
            self.devices.program(cpu.here().into(), vmsc, values.iter().copied())?;
        }
        remember(&component, &values);
        Ok(CtrlDomain { component })
    }

    /// The default of one resource for every PARTID, with the values of others that share the component.
    fn defaults(&self, resource: ResourceId, component: &Component) -> Result<KVec<(u16, Config)>> {
        let control = self.real_control(resource).ok_or(Errno::EINVAL)?;
        let mut values = KVec::with_capacity(usize::from(self.devices.ids.partid_max) + 1)?;
        for partid in 0..=self.devices.ids.partid_max {
            let config = component.configs.get(partid).ok_or(Errno::EINVAL)?;
            values.push((partid, self.with_value(resource, config, control.default_value())?))?;
        }
        Ok(values)
    }

    /// `config` with another value of one resource.
    fn with_value(&self, resource: ResourceId, config: Config, value: u32) -> Result<Config> {
        let control = self.real_control(resource).ok_or(Errno::EINVAL)?;
        match control.kind {
            ControlKind::Cache(cache) if value != 0 && value & !cache.full_mask() == 0 => {
                Ok(Config { cpbm: value, ..config })
            }
            // Rounding up to the granularity may make more than everything of a value; the conversion takes it for that.
            ControlKind::Bandwidth(bandwidth) if value >= bandwidth.min_bw => {
                let fraction = self.fraction(resource).ok_or(Errno::EINVAL)?;
                Ok(Config { mbw_max: fraction.from_percent(value), ..config })
            }
            _ => Err(Errno::EINVAL),
        }
    }

    pub(crate) fn control_value(
        &self,
        resource: ResourceId,
        domain: &CtrlDomain,
        closid: Closid,
        conf_type: ConfType,
    ) -> u32 {
        let partid = self.controlled(resource, closid, conf_type).map(super::ids::Partids::first);
        let config = partid.ok().and_then(|partid| domain.component.configs.get(partid));
        match (config, resource) {
            (Some(config), ResourceId::Mb) => {
                self.fraction(resource).map_or(0, |fraction| fraction.to_percent(config.mbw_max))
            }
            (Some(config), _) => config.cpbm,
            (None, _) => self.real_control(resource).map_or(0, |control| control.default_value()),
        }
    }

    /// What has to be programmed for these changes; empty when everything is as it should be.
    fn changed(&self, resource: ResourceId, domain: &CtrlDomain, changes: &[Change]) -> Result<KVec<(u16, Config)>> {
        if self.has_failed() {
            return Err(Errno::EIO);
        }
        let mut values: KVec<(u16, Config)> = KVec::new();
        for change in changes {
            for partid in self.controlled(resource, change.closid, change.conf_type)?.iter() {
                let known = values.iter().position(|&(other, _)| other == partid);
                let before = domain.component.configs.get(partid).ok_or(Errno::EINVAL)?;
                let config = self.with_value(resource, before, change.value)?;
                match known {
                    Some(place) => values[place].1 = config,
                    None => values.push((partid, config))?,
                }
            }
        }
        values.retain(|&(partid, config)| domain.component.configs.get(partid) != Some(config));
        Ok(values)
    }

    pub(crate) fn apply<P: Platform>(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        resource: ResourceId,
        domain: &CtrlDomain,
        mask: &CpuMask,
        changes: &[Change],
    ) -> Result<()> {
        let values = self.changed(resource, domain, changes)?;
        self.program_from(platform, cpus, domain, mask, &values)
    }

    pub(crate) fn apply_here(
        &self,
        here: Pinned<'_>,
        resource: ResourceId,
        domain: &CtrlDomain,
        change: Change,
    ) -> Result<()> {
        let values = self.changed(resource, domain, &[change])?;
        if !values.is_empty() {
            for vmsc in &domain.component.vmscs {
                self.devices.program(here.into(), vmsc, values.iter().copied())?;
            }
            remember(&domain.component, &values);
        }
        Ok(())
    }

    pub(crate) fn reset<P: Platform>(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        resource: ResourceId,
        domain: &CtrlDomain,
        mask: &CpuMask,
    ) {
        // Without memory for the list the values stay and are seen to stay: nothing is remembered that is not programmed.
        if let Ok(values) = self.defaults(resource, &domain.component) {
            let _ = self.program_from(platform, cpus, domain, mask, &values);
        }
    }

    /// Programs values into every MSC of the domain, each from a CPU that can reach it, and remembers them.
    fn program_from<P: Platform>(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        domain: &CtrlDomain,
        mask: &CpuMask,
        values: &[(u16, Config)],
    ) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        for vmsc in &domain.component.vmscs {
            self.near(platform, cpus, vmsc, mask, &mut |here| {
                self.devices.program(here, vmsc, values.iter().copied())
            })?;
        }
        remember(&domain.component, values);
        Ok(())
    }

    /// Runs `f` on a CPU that can reach an MSC, one of `mask` if possible.
    pub(super) fn near<P: Platform>(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        vmsc: &Vmsc,
        mask: &CpuMask,
        f: &mut (dyn FnMut(Here<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        let msc = self.devices.mscs.get(vmsc.msc).ok_or(Errno::EINVAL)?;
        let inside = mask.iter().filter(|&cpu| msc.cpus.contains(cpu));
        let outside = msc.cpus.iter().filter(|&cpu| !mask.contains(cpu));
        for cpu in inside.chain(outside) {
            let mut result = Ok(());
            match platform.call_on(cpus, cpu, &mut |here| result = f(here.into())) {
                Err(Errno::ENODEV) => {}
                called => return called.and(result),
            }
        }
        Err(Errno::ENODEV)
    }
}

fn remember(component: &Component, values: &[(u16, Config)]) {
    for &(partid, config) in values {
        component.configs.set(partid, config);
    }
}
