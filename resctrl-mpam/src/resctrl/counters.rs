// SPDX-License-Identifier: GPL-2.0-only
//! Traffic: what leaves the level 3 cache for a group, counted by the bandwidth monitors that were given to it.
//!
//! There are a few monitors and many groups, and a monitor that nobody told whom to count for counts for nobody: so all
//! monitors of the class are counters that the file system assigns, each for itself in each domain (the kernel has one
//! map for all domains). Under CDP a counter is a pair of monitors, for the two PARTIDs of a CLOSID. What a monitor counts
//! can not be chosen, only for whom.

use resctrl_types::arch::ReadError;
use resctrl_types::{Counter, CounterAssignment, CpuMask, CpusHeld, Here, Platform, Result, Transactions};

use super::Mpam;
use super::monitor::MonDomain;
use crate::devices::{Class, Component, Direction, Filter, NotReady};
use crate::{Msc, SystemRegisters};

impl<M: Msc, S: SystemRegisters> Mpam<M, S> {
    fn traffic_class(&self) -> Option<&Class> {
        self.resources.traffic().and_then(|class| self.devices.classes.get(class))
    }

    pub(crate) fn counters(&self) -> Option<CounterAssignment> {
        let monitors = u32::from(self.traffic_class()?.props.num_mbwu_mon);
        let count = monitors / self.monitors_each();
        Some(CounterAssignment { count, configurable: false, switchable: false, supported: Transactions::ALL })
    }

    /// Monitors of one counter.
    fn monitors_each(&self) -> u32 {
        if self.cdp.any() { 2 } else { 1 }
    }

    /// The monitors that a counter is, with what each of them counts.
    fn monitors_of(&self, counter: Counter) -> Result<impl Iterator<Item = (u16, Filter)>> {
        let pmg = self.pmg(counter.id.rmid)?;
        let partids = self.partids(counter.id.closid)?;
        let first = counter.number.saturating_mul(self.monitors_each());
        let monitors = (first..).map(|monitor| u16::try_from(monitor).unwrap_or(u16::MAX));
        let filter = move |partid| Filter { partid, pmg, direction: Direction::Both };
        Ok(monitors.zip(partids.iter().map(filter)))
    }

    /// Starts the monitors of a counter at 0, or stops them.
    pub(crate) fn configure_counter<P: Platform>(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        domain: &MonDomain,
        mask: &CpuMask,
        counter: Counter,
        start: bool,
    ) {
        let (Some(component), false) = (&domain.traffic, self.has_failed()) else { return };
        let Ok(monitors) = self.monitors_of(counter) else { return };
        for (monitor, filter) in monitors {
            if start {
                self.devices.reset_traffic(component, monitor);
            }
            for vmsc in &component.vmscs {
                // One that cannot be reached now starts with its first reading, or goes on counting for nobody: whoever gets
                // it starts it anew.
                let _ = self.near(platform, cpus, vmsc, mask, &mut |here| {
                    if start {
                        // Reading starts it.
                        self.devices.traffic(here, vmsc, monitor, filter).map(|_| ())
                    } else {
                        self.devices.stop_traffic(here, vmsc, monitor)
                    }
                });
            }
        }
    }

    pub(crate) fn read_counter(&self, here: Here<'_>, domain: &MonDomain, counter: Counter) -> Result<u64, ReadError> {
        let (Here::Thread(thread), false) = (here, self.has_failed()) else { return Err(ReadError::Error) };
        let component = domain.traffic.as_ref().ok_or(ReadError::Unavailable)?;
        let mut sum = 0_u64;
        for (monitor, filter) in self.monitors_of(counter).map_err(|_| ReadError::Error)? {
            let mut count = self.traffic(here, component, monitor, filter)?;
            if count.is_err() {
                let time_out = self.traffic_class().map_or(0, |class| class.not_ready_us);
                self.system.wait_us(thread, time_out);
                count = self.traffic(here, component, monitor, filter)?;
            }
            sum = sum.wrapping_add(count.map_err(|NotReady| ReadError::Unavailable)?);
        }
        Ok(sum)
    }

    /// What one monitor of every part of a component has counted.
    fn traffic(
        &self,
        here: Here<'_>,
        component: &Component,
        monitor: u16,
        filter: Filter,
    ) -> Result<Result<u64, NotReady>, ReadError> {
        let mut sum = Ok(0_u64);
        for vmsc in &component.vmscs {
            let count = self.devices.traffic(here, vmsc, monitor, filter).map_err(|_| ReadError::Error)?;
            sum = sum.and_then(|sum: u64| Ok(sum.wrapping_add(count?)));
        }
        Ok(sum)
    }
}
