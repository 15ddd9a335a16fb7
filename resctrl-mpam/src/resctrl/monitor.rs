// SPDX-License-Identifier: GPL-2.0-only
//! What is monitored; and occupancy: what a group holds of a cache.

use resctrl_types::arch::{Counters, MonId, OccupancyThreshold, ReadError};
use resctrl_types::event::EventSet;
use resctrl_types::resource::{Monitor, Scope};
use resctrl_types::{DomainCpus, Errno, EventId, HotplugCpu, Pinned, Platform, Ref, ResourceId, Result};

use super::Mpam;
use crate::devices::{Component, MonitorPool, NotReady, Reach, TakenMonitor, Waited};
use crate::{Msc, SystemRegisters};

/// The monitor half of a domain.
pub struct MonDomain {
    /// The cache whose occupancy is counted.
    occupancy: Option<Ref<Component>>,
    /// Where traffic is counted: the cache, or the memory behind it.
    pub(super) traffic: Option<Ref<Component>>,
}

/// The usage monitor that a reading needs.
pub struct MonContext(TakenMonitor);

impl<M: Msc, S: SystemRegisters> Mpam<M, S> {
    pub(crate) fn monitor(&self, resource: ResourceId) -> Option<Monitor> {
        let counted = [
            (EventId::LlcOccupancy, self.resources.occupancy().is_some()),
            (EventId::MbmTotal, self.resources.traffic().is_some()),
        ];
        let counted = counted.into_iter().filter(|&(_, counted)| counted);
        let events = counted.fold(EventSet::EMPTY, |events, (event, _)| events.with(event));
        if resource != ResourceId::L3 || events.is_empty() {
            return None;
        }
        // A pair of PARTIDs has the RMIDs of one.
        let num_rmid = if self.cdp.any() { self.num_rmid_index() / 2 } else { self.num_rmid_index() };
        Some(Monitor { scope: Scope::L3Cache, num_rmid, events })
    }

    pub(crate) fn occupancy_threshold(&self) -> OccupancyThreshold {
        OccupancyThreshold { limit: self.resources.occupancy().map_or(0, |(_, size)| size), unit: 1 }
    }

    pub(crate) fn mon_domain_online(&self, cpu: HotplugCpu<'_>, resource: ResourceId) -> Result<MonDomain> {
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

    /// Takes a usage monitor. Every reading takes one, and gives it back, under the rdtgroup mutex, so waiting for one that
    /// is taken would be waiting for oneself.
    pub(crate) fn mon_context(&self, resource: ResourceId, event: EventId) -> Result<MonContext, ReadError> {
        let class = match (resource, event, self.resources.occupancy()) {
            (ResourceId::L3, EventId::LlcOccupancy, Some((class, _))) => self.devices.classes.get(class),
            _ => None,
        };
        let monitor = class.and_then(|class| MonitorPool::take(&class.csu));
        monitor.map(MonContext).ok_or(ReadError::Unavailable)
    }

    pub(crate) fn read<P: Platform>(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        context: &MonContext,
        counters: &mut Counters<'_, MonDomain, MonId>,
    ) -> Result<()> {
        let from = |domain: &MonDomain| domain.occupancy.clone();
        let monitor = context.0.number();
        let read = |here: Pinned<'_>, reach: &Reach, id: MonId| {
            let partids = self.partids(id.closid).map_err(|_| ReadError::Error)?;
            let pmg = self.pmg(id.rmid).map_err(|_| ReadError::Error)?;
            let mut usages = partids.iter().map(|partid| self.usage(here, reach, monitor, (partid, pmg)));
            usages.try_fold(0_u64, |sum, usage| Ok(sum.saturating_add(usage?)))
        };
        // What has lost its power holds nothing.
        self.read_parts(platform, cpus, counters, &from, &read, &|_, _| Ok(0))
    }

    /// Reads a usage monitor, once more after the time-out when it was not ready.
    fn usage(&self, here: Pinned<'_>, reach: &Reach, monitor: u16, label: (u16, u8)) -> Result<u64, ReadError> {
        let read =
            |waited| self.devices.usage(here.into(), reach, monitor, label, waited).map_err(|_| ReadError::Error);
        if let Ok(value) = read(Waited::NotYet)? {
            return Ok(value);
        }
        let time_out = self.resources.occupancy().and_then(|(class, _)| self.devices.classes.get(class));
        self.system.wait_us(here, time_out.map_or(0, |class| class.not_ready_us));
        read(Waited::TimeOut)?.map_err(|NotReady| ReadError::Unavailable)
    }
}
