// SPDX-License-Identifier: GPL-2.0-only
//! Traffic: what leaves the level 3 cache for a group, counted by the bandwidth monitors that were given to it.
//!
//! There are a few monitors and many groups, and a monitor that nobody told whom to count for counts for nobody: so all
//! monitors of the class are counters that the file system assigns, each for itself in each domain (the kernel has one
//! map for all domains). Under CDP a counter is a pair of monitors, for the two PARTIDs of a CLOSID. What a monitor counts
//! can not be chosen, only for whom.

use resctrl_types::arch::{Assignment, Counters, ReadError, Resources};
use resctrl_types::{Counter, CounterAssignment, DomainCpus, Pinned, Platform, Result, Transactions};

use super::Mpam;
use super::monitor::MonDomain;
use crate::devices::{Class, Direction, Filter, NotReady, Reach};
use crate::{Msc, SystemRegisters};

impl<P: Platform, M: Msc, S: SystemRegisters> Assignment<P> for Mpam<M, S> {
    fn counters(&self) -> Option<CounterAssignment> {
        let monitors = u32::from(self.traffic_class()?.props.num_mbwu_mon);
        let count = monitors / self.monitors_each();
        Some(CounterAssignment { count, configurable: false, switchable: false, supported: Transactions::ALL })
    }

    /// Always: monitors are the only way of counting.
    fn counters_assigned(&self) -> bool {
        true
    }

    /// Starts the monitors of a counter at 0. What they count cannot be chosen. A counter that is taken away (`None`) costs no
    /// access: its monitors go on for nobody, and whoever gets them starts them anew.
    fn configure_counter(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        domain: &mut MonDomain,
        counter: Counter,
        filter: Option<Transactions>,
    ) {
        let (Some(component), false) = (&domain.traffic, self.has_failed()) else { return };
        let Ok(monitors) = self.monitors_of(counter) else { return };
        for reach in &component.reaches {
            if filter.is_none() {
                monitors.clone().for_each(|(monitor, _)| self.devices.end_traffic(reach, monitor));
            } else if self.devices.is_reachable(reach) {
                // What is not started for want of memory starts with its first reading.
                monitors.clone().for_each(|(monitor, _)| self.devices.reset_traffic(reach, monitor));
                let _ = cpus.on_one_of(platform, &reach.cpus, &mut |here| {
                    for (monitor, filter) in monitors.clone() {
                        let _ = self.devices.begin_traffic(here.into(), reach, monitor, filter);
                    }
                });
            } else {
                for (monitor, filter) in monitors.clone() {
                    self.devices.start_traffic_away(reach, monitor, filter);
                }
            }
        }
    }

    fn read_counters(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        counters: &mut Counters<'_, MonDomain, Counter>,
    ) -> Result<()> {
        let aside = |reach: &Reach, counter| {
            let monitors = self.monitors_of(counter).map_err(|_| ReadError::Error)?;
            let counts = monitors.map(|(monitor, filter)| self.devices.traffic_aside(reach, monitor, filter));
            Ok(counts.fold(0, u64::wrapping_add))
        };
        let from = |domain: &MonDomain| domain.traffic.clone();
        let read = |here: Pinned<'_>, reach: &Reach, counter| self.read_counter(here, reach, counter);
        self.read_parts(platform, cpus, counters, &from, &read, &aside)
    }
}

impl<M: Msc, S: SystemRegisters> Mpam<M, S> {
    fn traffic_class(&self) -> Option<&Class> {
        self.resources.traffic().and_then(|class| self.devices.classes.get(class))
    }

    /// Monitors of one counter.
    fn monitors_each(&self) -> u32 {
        if self.cdp.any() { 2 } else { 1 }
    }

    /// The monitors that a counter is, with what each of them counts.
    fn monitors_of(&self, counter: Counter) -> Result<impl Iterator<Item = (u16, Filter)> + Clone + use<M, S>> {
        let pmg = self.pmg(counter.id.rmid)?;
        let partids = self.partids(counter.id.closid)?;
        let first = counter.number.saturating_mul(self.monitors_each());
        let monitors = (first..).map(|monitor| u16::try_from(monitor).unwrap_or(u16::MAX));
        let filter = move |partid| Filter { partid, pmg, direction: Direction::Both };
        Ok(monitors.zip(partids.iter().map(filter)))
    }

    fn read_counter(&self, here: Pinned<'_>, reach: &Reach, counter: Counter) -> Result<u64, ReadError> {
        let mut sum = 0_u64;
        for (monitor, filter) in self.monitors_of(counter).map_err(|_| ReadError::Error)? {
            let traffic = || self.devices.traffic(here.into(), reach, monitor, filter).map_err(|_| ReadError::Error);
            let mut count = traffic()?;
            if count.is_err() {
                let time_out = self.traffic_class().map_or(0, |class| class.not_ready_us);
                self.system.wait_us(here, time_out);
                count = traffic()?;
            }
            sum = sum.wrapping_add(count.map_err(|NotReady| ReadError::Unavailable)?);
        }
        Ok(sum)
    }
}
