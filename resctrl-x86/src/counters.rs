// SPDX-License-Identifier: GPL-2.0-only
//! Bandwidth counters of AMD that choose what they count: events that can be configured (BMEC), and counters that are
//! assigned (ABMC).
//!
//! An assigned counter shows one event of one RMID, so that its running total is kept where that of the RMID is kept while
//! counters are not assigned: a domain holds one total an RMID and event, in either mode.

use resctrl_types::arch::{Assignment, Counters, ReadError};
use resctrl_types::counter::{Counter, CounterAssignment, Transactions};
use resctrl_types::{CpuMask, CpusHeld, DomainCpus, Errno, EventId, Here, Platform, Result, Switch};

use crate::amd::Amd;
use crate::core::{X86, on_some_cpu};
use crate::monitor::{MonDomain, on_one};
use crate::msr::{EvtCfg, L3QosAbmcCfg, QmEvtsel};
use crate::{Gp, Registers};

/// The extended event that stands for "the counter with this number".
const ASSIGNED_COUNTER: u64 = 1;

/// The register that configures an event.
pub(crate) fn config_register(event: EventId) -> Option<u32> {
    let index = u32::try_from(event.mbm_index()?).ok()?;
    Some(EvtCfg::ADDRESS + index)
}

/// What makes a counter count `filter`; or (`None`) nothing. `None` where the register has no room for the counter or its RMID.
pub(crate) fn configuration(counter: Counter, filter: Option<Transactions>) -> Option<u64> {
    let rmid = L3QosAbmcCfg::RMID.try_put(counter.id.rmid.0.into())?;
    let number = L3QosAbmcCfg::COUNTER.try_put(counter.number.into())?;
    let kinds = L3QosAbmcCfg::KINDS.put(filter.unwrap_or(Transactions::EMPTY).bits().into());
    let enable = L3QosAbmcCfg::COUNTER_ENABLE.put(filter.is_some().into());
    Some(kinds | rmid | number | enable | L3QosAbmcCfg::CONFIGURE.put(1))
}

/// What selects an assigned counter.
pub(crate) fn selection(counter: Counter) -> Result<u64, ReadError> {
    let number = QmEvtsel::RMID.try_put(counter.number.into()).ok_or(ReadError::Error)?;
    Ok(QmEvtsel::EVENT.put(ASSIGNED_COUNTER) | QmEvtsel::EXTENDED.put(1) | number)
}

impl<P: Platform, R: Registers> Assignment<P> for X86<R> {
    fn counters(&self) -> Option<CounterAssignment> {
        let amd = self.amd.as_ref().filter(|amd| amd.counters > 0)?;
        Some(CounterAssignment {
            count: amd.counters,
            configurable: true,
            switchable: true,
            supported: amd.transactions,
        })
    }

    fn counters_assigned(&self) -> bool {
        self.amd.as_ref().is_some_and(Amd::counters_assigned)
    }

    fn set_counters_assigned(&self, assigned: Switch) -> Result<()> {
        self.amd.as_ref().ok_or(Errno::EINVAL)?.set_counters_assigned(assigned)
    }

    /// Switches every CPU of a domain. Hardware begins all counts anew with that.
    fn program_counters_assigned(&self, platform: &P, cpus: CpusHeld<'_>, domain: &mut MonDomain, mask: &CpuMask) {
        self.program_switches(platform, cpus, mask);
        domain.forget_bandwidth();
        self.fault.tell(platform);
    }

    /// Lets a counter begin anew, to count `filter`; or (`None`) to count nothing.
    fn configure_counter(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        domain: &mut MonDomain,
        counter: Counter,
        filter: Option<Transactions>,
    ) {
        if counter.number >= self.amd.as_ref().map_or(0, |amd| amd.counters) {
            return;
        }
        // The register has room for every counter and RMID that this crate says there are.
        let Some(config) = configuration(counter, filter) else { return };
        // A domain has a CPU as long as hotplug is held off; without one there is no counter to configure. A refusal goes to
        // the log.
        let _ = on_some_cpu(platform, cpus.stay(), cpus.mask(), &mut |here| {
            let _ = self.write_msr(here.into(), L3QosAbmcCfg::ADDRESS, config);
        });
        domain.forget(counter.event, counter.id.rmid);
        self.fault.tell(platform);
    }

    /// Reads assigned counters, all from one CPU of the domain.
    fn read_counters(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        counters: &mut Counters<'_, MonDomain, Counter>,
    ) -> Result<()> {
        let read = on_one(platform, cpus, counters, &mut |here, domain, counter| {
            self.read_assigned_here(here, domain, counter)
        });
        self.fault.tell(platform);
        read
    }

    fn configurable_transactions(&self, event: EventId) -> Option<Transactions> {
        self.configurable(event)
    }

    fn event_config(&self, platform: &P, cpus: CpusHeld<'_>, mask: &CpuMask, event: EventId) -> Result<u32> {
        self.configurable(event).ok_or(Errno::EINVAL)?;
        let register = config_register(event).ok_or(Errno::EINVAL)?;
        let mut value = Err(Gp);
        let crossed = on_some_cpu(platform, cpus, mask, &mut |here| value = self.read_msr(here.into(), register));
        self.fault.tell(platform);
        crossed?;
        let value = EvtCfg::KINDS.get(value.map_err(|Gp| Errno::EIO)?);
        Ok(u32::try_from(value).unwrap_or_default())
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
        let possible = self.configurable(event).ok_or(Errno::EINVAL)?;
        let register = config_register(event).ok_or(Errno::EINVAL)?;
        if config & !possible.bits() != 0 {
            return Err(Errno::EINVAL);
        }
        let value = EvtCfg::KINDS.try_put(config.into()).ok_or(Errno::EINVAL)?;
        let mut result = Err(Gp);
        let crossed = on_some_cpu(platform, cpus, mask, &mut |here| {
            result = self.write_msr(here.into(), register, value);
        });
        self.fault.tell(platform);
        crossed?;
        result.map_err(|Gp| Errno::EIO)?;
        // The hardware begins every count of the domain anew.
        domain.forget_bandwidth();
        Ok(())
    }
}

impl<R: Registers> X86<R> {
    /// Which transactions an event can be made to count.
    pub(crate) fn configurable(&self, event: EventId) -> Option<Transactions> {
        self.amd.as_ref()?.configurable(event)
    }

    pub(crate) fn read_assigned_here(
        &self,
        here: Here<'_>,
        domain: &mut MonDomain,
        counter: Counter,
    ) -> Result<u64, ReadError> {
        let monitoring = self.monitoring.as_ref().ok_or(ReadError::Error)?;
        let now = self.read_selected(here, selection(counter)?)?;
        domain.total(counter.event, counter.id.rmid, now, monitoring).ok_or(ReadError::Error)
    }
}
