// SPDX-License-Identifier: GPL-2.0-only
//! Control values: what a value means to a component, programming changes, resetting.

use resctrl_types::arch::{Change, Controls, Resources, Trust};
use resctrl_types::resource::{Control, ControlKind};
use resctrl_types::{Closid, ConfType, CpuMask, CpusHeld, DomainCpus, Errno, KVec, Platform, Ref, ResourceId, Result};

use super::{Mpam, classes};
use crate::bandwidth::FractionBits;
use crate::devices::{Component, Config, Managed};
use crate::{Msc, SystemRegisters};

/// The control half of a domain.
pub struct CtrlDomain {
    pub(crate) component: Ref<Component>,
}

impl<P: Platform, M: Msc, S: SystemRegisters> Controls<P> for Mpam<M, S> {
    fn control_value(&self, resource: ResourceId, domain: &CtrlDomain, closid: Closid, conf_type: ConfType) -> u32 {
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

    fn apply(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        resource: ResourceId,
        domain: &mut CtrlDomain,
        changes: &[Change],
        trust: Trust,
    ) -> Result<()> {
        let values = self.changed(resource, domain, changes)?;
        self.program_from(platform, cpus, &domain.component, values.iter().copied(), (managed(resource), trust))
    }

    fn reset(&self, platform: &P, cpus: CpusHeld<'_>, resource: ResourceId, domain: &mut CtrlDomain, mask: &CpuMask) {
        let component = &domain.component;
        let values = self.defaults(resource, component, 0..=self.devices.ids.partid_max);
        let how = (managed(resource), Trust::Memory);
        // Values that could not be written are seen to stay.
        let _ = self.program_from(platform, DomainCpus::new(cpus, mask), component, values, how);
    }

    /// Lifts the restrictions of components whose CPUs are all offline: of one CLOSID, or of all. Others than their CPUs
    /// may reach the MSCs, and devices may use what is behind them.
    fn reset_away(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        online: &CpuMask,
        resource: ResourceId,
        closid: Option<Closid>,
    ) {
        let class = self.resources.control(resource).and_then(|class| self.devices.classes.get(class));
        let Some(class) = class else { return };
        let wanted = closid.and_then(|closid| self.partids(closid).ok());
        for component in class.components.iter().filter(|component| !component.cpus.intersects(online)) {
            let partids = (0..=self.devices.ids.partid_max)
                .filter(move |&partid| closid.is_none() || wanted.is_some_and(|wanted| wanted.contains(partid)));
            let values = self.defaults(resource, component, partids);
            let cpus = DomainCpus::new(cpus, &component.cpus);
            let _ = self.program_from(platform, cpus, component, values, (managed(resource), Trust::Memory));
        }
    }
}

impl<M: Msc, S: SystemRegisters> Mpam<M, S> {
    /// The control half of a resource, whether or not it is shown at the moment.
    pub(crate) fn real_control(&self, resource: ResourceId) -> Option<Control> {
        let class = self.devices.classes.get(self.resources.control(resource)?)?;
        classes::describe(resource, &class.props, self.devices.ids.partid_max)
    }

    fn fraction(&self, resource: ResourceId) -> Option<FractionBits> {
        let class = self.devices.classes.get(self.resources.control(resource)?)?;
        FractionBits::new(class.props.bwa_wd.into())
    }

    /// The default of one resource for some PARTIDs, with the values of others that share the component.
    fn defaults<'a>(
        &'a self,
        resource: ResourceId,
        component: &'a Component,
        partids: impl Iterator<Item = u16> + Clone + Sync + 'a,
    ) -> impl Iterator<Item = (u16, Config)> + Clone + Sync + 'a {
        let default =
            self.real_control(resource).and_then(|control| self.value(resource, control.default_value()).ok());
        partids.filter_map(move |partid| Some((partid, default?.in_place_of(component.configs.get(partid)?))))
    }

    /// What a value of one resource is to its components.
    fn value(&self, resource: ResourceId, value: u32) -> Result<Value> {
        let control = self.real_control(resource).ok_or(Errno::EINVAL)?;
        match control.kind {
            ControlKind::Cache(cache) if value != 0 && value & !cache.full_mask() == 0 => {
                Ok(Value::CachePortions(value))
            }
            // Rounding up to the granularity may make more than everything of a value; the conversion takes it for that.
            ControlKind::Bandwidth(bandwidth) if value >= bandwidth.min_bw => {
                let fraction = self.fraction(resource).ok_or(Errno::EINVAL)?;
                Ok(Value::Bandwidth(fraction.from_percent(value)))
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// What registers are to hold for these changes.
    fn changed(&self, resource: ResourceId, domain: &CtrlDomain, changes: &[Change]) -> Result<KVec<(u16, Config)>> {
        if self.has_failed() {
            return Err(Errno::EIO);
        }
        let mut values: KVec<(u16, Config)> = KVec::new();
        for change in changes {
            let value = self.value(resource, change.value)?;
            for partid in self.controlled(resource, change.closid, change.conf_type)?.iter() {
                let known = values.iter().position(|&(other, _)| other == partid);
                let before = domain.component.configs.get(partid).ok_or(Errno::EINVAL)?;
                let config = value.in_place_of(before);
                match known.and_then(|place| values.get_mut(place)) {
                    Some(value) => value.1 = config,
                    None => values.push((partid, config))?,
                }
            }
        }
        Ok(values)
    }

    /// Programs values into every MSC of a component, each from a CPU that can reach it, and remembers them: crosses once
    /// for all MSCs that are reached from the same CPUs, and not at all where this one does, or where they are known to hold
    /// everything. An MSC that no CPU can reach now is programmed from memory when one comes.
    fn program_from<P: Platform>(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        component: &Component,
        values: impl Iterator<Item = (u16, Config)> + Clone + Sync,
        how: (Managed, Trust),
    ) -> Result<()> {
        for reach in component.reaches.iter().filter(|reach| self.devices.is_reachable(reach)) {
            let mut of_all = values.clone();
            if how.1 == Trust::Memory && of_all.all(|(partid, config)| self.devices.holds(reach, partid, config)) {
                continue;
            }
            let mut result = Ok(());
            cpus.on_one_of(platform, &reach.cpus, &mut |here| {
                let mut vmscs = reach.vmscs.iter();
                result = vmscs.try_for_each(|vmsc| self.devices.program(here.into(), vmsc, values.clone(), how));
            })?;
            result?;
        }
        self.devices.tell_limits(platform);
        for (partid, config) in values {
            component.configs.set(partid, config);
        }
        Ok(())
    }
}

/// A value of `schemata` as components hold it.
#[derive(Clone, Copy)]
enum Value {
    CachePortions(u32),
    Bandwidth(u16),
}

impl Value {
    /// `config` with this value.
    const fn in_place_of(self, config: Config) -> Config {
        match self {
            Value::CachePortions(cpbm) => Config { cpbm, ..config },
            Value::Bandwidth(mbw_max) => Config { mbw_max, ..config },
        }
    }
}

/// Which of a component's values a resource is.
const fn managed(resource: ResourceId) -> Managed {
    match resource {
        ResourceId::Mb => Managed::Bandwidth,
        _ => Managed::CachePortions,
    }
}
