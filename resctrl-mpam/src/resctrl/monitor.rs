// SPDX-License-Identifier: GPL-2.0-only
//! What is monitored; and occupancy: what a group holds of a cache.

use resctrl_types::arch::{Counters, MonId, Monitors, ReadError};
use resctrl_types::{DomainCpus, EventId, Pinned, Platform, Ref, ResourceId, Result};

use super::Mpam;
use crate::devices::{Component, MonitorPool, NotReady, Reach, TakenMonitor, Waited};
use crate::{Msc, SystemRegisters};

/// The monitor half of a domain.
pub struct MonDomain {
    /// The cache whose occupancy is counted.
    pub(super) occupancy: Option<Ref<Component>>,
    /// Where traffic is counted: the cache, or the memory behind it.
    pub(super) traffic: Option<Ref<Component>>,
}

/// The usage monitor that a reading needs.
pub struct MonContext(TakenMonitor);

impl<P: Platform, M: Msc, S: SystemRegisters> Monitors<P> for Mpam<M, S> {
    type MonContext = MonContext;

    /// Takes a usage monitor. Every reading takes one, and gives it back, under the rdtgroup mutex, so waiting for one that
    /// is taken would be waiting for oneself.
    fn mon_context(&self, resource: ResourceId, event: EventId) -> Result<MonContext, ReadError> {
        let class = match (resource, event, self.resources.occupancy()) {
            (ResourceId::L3, EventId::LlcOccupancy, Some((class, _))) => self.devices.classes.get(class),
            _ => None,
        };
        let monitor = class.and_then(|class| MonitorPool::take(&class.csu));
        monitor.map(MonContext).ok_or(ReadError::Unavailable)
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
}

impl<M: Msc, S: SystemRegisters> Mpam<M, S> {
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
