// SPDX-License-Identifier: GPL-2.0-only
//! Counters: what there is to count, and how a counter of limited width becomes a running total.

mod l3;

pub(crate) use l3::{Correction, L3Monitoring, Unsaid};

use resctrl_types::arch::{Counters, MonId, Monitors, ReadError};
use resctrl_types::platform::Platform;
use resctrl_types::resource::Scope;
use resctrl_types::{DomainCpus, DomainId, EventId, Here, KVec, ResourceId, Result, Rmid};

use crate::Registers;
use crate::core::X86;
use crate::msr::{QmCtr, QmEvtsel, RmidSncConfig};
use crate::snc::Clusters;

/// A bandwidth counter's running total, in steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counter {
    total: u64,
    /// What the register showed last.
    previous: u64,
}

impl Counter {
    /// Takes in what the register shows now. It may have wrapped since, but no more than once.
    fn advance(&mut self, now: u64, width: u32) -> u64 {
        let bits = u64::MAX.checked_shr(u64::BITS.saturating_sub(width)).unwrap_or(0);
        let step = now.wrapping_sub(self.previous) & bits;
        self.total = self.total.wrapping_add(step);
        self.previous = now;
        self.total
    }

    /// The hardware stopped counting for this RMID; when it does again, it begins at 0.
    fn interrupted(&mut self) {
        self.previous = 0;
    }

    /// Starts the total at 0 from what the register shows now.
    fn rebase(&mut self, now: u64) {
        *self = Counter { total: 0, previous: now };
    }

    /// The hardware may have begun anew: the total goes on from what the register shows now.
    fn go_on(&mut self, now: u64) {
        self.previous = now;
    }
}

/// What a monitor domain holds: the running totals of each RMID.
#[derive(Debug)]
pub struct MonDomain {
    /// Added to an RMID, it is the one by which the hardware counts for this domain.
    first_rmid: Rmid,
    /// By [`EventId::mbm_index`]; empty for an event that is not counted.
    counters: [KVec<Counter>; EventId::MBM.len()],
    /// What the events count, in the order of [`EventId::MBM`], while the system sleeps: nobody else remembers it. `None` for
    /// an event for which it cannot be chosen.
    pub(crate) event_configs: [Option<u64>; EventId::MBM.len()],
}

impl MonDomain {
    pub(crate) fn new(monitoring: &L3Monitoring, id: DomainId) -> Result<MonDomain> {
        let monitor = &monitoring.monitor;
        let first_rmid = monitoring.clusters.first_rmid(id, monitor.num_rmid);
        let counters = |event: EventId| {
            let len = if monitor.events.contains(event) { monitor.num_rmid } else { 0 };
            KVec::from_fn(len as usize, |_| Counter::default())
        };
        let [total, local] = EventId::MBM;
        let event_configs = [None; EventId::MBM.len()];
        Ok(MonDomain { first_rmid, counters: [counters(total)?, counters(local)?], event_configs })
    }

    fn counter(&mut self, event: EventId, rmid: Rmid) -> Option<&mut Counter> {
        self.counters[event.mbm_index()?].get_mut(rmid.0 as usize)
    }

    /// The hardware may have begun anew, and shows `now`: the total goes on.
    pub(crate) fn go_on(&mut self, event: EventId, rmid: Rmid, now: u64) {
        if let Some(counter) = self.counter(event, rmid) {
            counter.go_on(now);
        }
    }

    /// The hardware's count of an event has begun anew.
    pub(crate) fn forget(&mut self, event: EventId, rmid: Rmid) {
        if let Some(counter) = self.counter(event, rmid) {
            *counter = Counter::default();
        }
    }

    /// All the hardware's counts of bandwidth have begun anew.
    pub(crate) fn forget_bandwidth(&mut self) {
        self.counters
            .iter_mut()
            .flat_map(|counters| counters.iter_mut())
            .for_each(|counter| *counter = Counter::default());
    }

    /// Takes in what a counter that was assigned shows, and gives the total in bytes.
    pub(crate) fn total(&mut self, event: EventId, rmid: Rmid, now: u64, monitoring: &L3Monitoring) -> Option<u64> {
        let steps = self.counter(event, rmid)?.advance(now, monitoring.width);
        Some(steps.wrapping_mul(monitoring.scale.into()))
    }
}

/// As many counters are read in an interrupt: each takes a write and a read of a register.
const BRIEF: usize = 16;

/// Reads counters, all from one CPU of the domain: in an interrupt if they are few, so that nobody waits for a thread there.
pub(crate) fn on_one<P: Platform, C>(
    platform: &P,
    cpus: DomainCpus<'_>,
    counters: &mut Counters<'_, MonDomain, C>,
    read: &mut (dyn FnMut(Here<'_>, &mut MonDomain, C) -> Result<u64, ReadError> + Send),
) -> Result<()> {
    let mut count = 0_usize;
    if cpus.inside().is_none() {
        counters(&mut |_, _| {
            count = count.saturating_add(1);
            None
        });
    }
    let mut all = |here: Here<'_>| counters(&mut |domain, counter| Some(read(here, domain, counter)));
    if count <= BRIEF { cpus.on_one_briefly(platform, &mut all) } else { cpus.on_one(platform, &mut all) }
}

impl<P: Platform, R: Registers> Monitors<P> for X86<R> {
    type MonContext = ();

    fn mon_context(&self, _resource: ResourceId, _event: EventId) -> Result<(), ReadError> {
        Ok(())
    }

    /// Reads counters of an event, all from one CPU of the domain.
    fn read(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        event: EventId,
        (): &mut (),
        counters: &mut Counters<'_, MonDomain, MonId>,
    ) -> Result<()> {
        let read = on_one(platform, cpus, counters, &mut |here, domain, id: MonId| {
            self.read_here(here, domain, id.rmid, event)
        });
        self.fault.tell(platform);
        read
    }

    /// Makes 0 of every bandwidth count of these RMIDs, all from one CPU of the domain.
    fn rebase(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        domain: &mut MonDomain,
        ids: &mut (dyn Iterator<Item = MonId> + Send),
    ) -> Result<()> {
        let few = ids.size_hint().1.is_some_and(|most| most <= BRIEF);
        let mut rebase = |here: Here<'_>| {
            for id in &mut *ids {
                EventId::MBM.into_iter().for_each(|event| self.rebase_here(here, domain, id.rmid, event));
            }
        };
        let rebased = if few { cpus.on_one_briefly(platform, &mut rebase) } else { cpus.on_one(platform, &mut rebase) };
        self.fault.tell(platform);
        rebased
    }
}

impl<R: Registers> X86<R> {
    /// Lets the package of this CPU count logical RMIDs, node by node.
    pub(crate) fn share_rmids(&self, here: Here<'_>, clusters: Clusters) {
        if clusters.scope() != Scope::Node {
            return;
        }
        // A register that cannot be read is not written: the first refusal is told.
        if let Ok(config) = self.read_msr(here, RmidSncConfig::ADDRESS)
            && RmidSncConfig::DISTRIBUTED.is_set(config)
        {
            let _ = self.write_msr(here, RmidSncConfig::ADDRESS, config & !RmidSncConfig::DISTRIBUTED.put(1));
        }
    }

    pub(crate) fn read_here(
        &self,
        here: Here<'_>,
        domain: &mut MonDomain,
        rmid: Rmid,
        event: EventId,
    ) -> Result<u64, ReadError> {
        let monitoring = self.monitoring_of(rmid, event)?;
        let counted = self.read_counter(here, domain, rmid, event);
        let steps = match (domain.counter(event, rmid), counted) {
            (Some(counter), Ok(now)) => {
                let total = counter.advance(now, monitoring.width);
                monitoring.correction.map_or(total, |correction| correction.correct(rmid, total))
            }
            (Some(counter), Err(ReadError::Unavailable)) => {
                counter.interrupted();
                return Err(ReadError::Unavailable);
            }
            (_, counted) => counted?,
        };
        Ok(steps.wrapping_mul(monitoring.scale.into()))
    }

    fn rebase_here(&self, here: Here<'_>, domain: &mut MonDomain, rmid: Rmid, event: EventId) {
        if self.monitoring_of(rmid, event).is_err() {
            return;
        }
        let now = self.read_counter(here, domain, rmid, event).unwrap_or(0);
        if let Some(counter) = domain.counter(event, rmid) {
            counter.rebase(now);
        }
    }

    /// The monitors, if they know this RMID and this event.
    fn monitoring_of(&self, rmid: Rmid, event: EventId) -> Result<&L3Monitoring, ReadError> {
        self.monitoring
            .as_ref()
            .filter(|monitoring| rmid.0 < monitoring.monitor.num_rmid && monitoring.monitor.events.contains(event))
            .ok_or(ReadError::Error)
    }

    /// Selects a counter and reads it. What is selected is this CPU's, and only a holder of its domain gets here.
    pub(crate) fn read_counter(
        &self,
        here: Here<'_>,
        domain: &MonDomain,
        rmid: Rmid,
        event: EventId,
    ) -> Result<u64, ReadError> {
        let physical = domain.first_rmid.0.checked_add(rmid.0).ok_or(ReadError::Error)?;
        let rmid = QmEvtsel::RMID.try_put(physical.into()).ok_or(ReadError::Error)?;
        self.read_selected(here, QmEvtsel::EVENT.put(event as u64) | rmid)
    }

    /// As [`X86::read_counter`], for whatever the selecting register is to hold.
    pub(crate) fn read_selected(&self, here: Here<'_>, select: u64) -> Result<u64, ReadError> {
        self.write_msr(here, QmEvtsel::ADDRESS, select).map_err(|crate::Gp| ReadError::Error)?;
        let counter = self.read_msr(here, QmCtr::ADDRESS).map_err(|crate::Gp| ReadError::Error)?;
        if QmCtr::ERROR.is_set(counter) {
            Err(ReadError::Error)
        } else if QmCtr::UNAVAILABLE.is_set(counter) {
            Err(ReadError::Unavailable)
        } else {
            Ok(QmCtr::DATA.get(counter))
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::l3::{BASE_WIDTH, MAX_WIDTH};
    use super::*;
    use proptest::prelude::*;

    /// A counter of `width` bits below the driver, as hardware builds it.
    fn shown(count: u64, width: u32) -> u64 {
        count % (1 << width)
    }

    proptest! {
        #[test]
        fn a_total_counts_every_step_of_a_counter_of_any_width(
            width in BASE_WIDTH..=MAX_WIDTH,
            start in any::<u64>(),
            steps in prop::collection::vec(any::<u64>(), 1..20),
        ) {
            let mut counter = Counter::default();
            let mut count = u128::from(shown(start, width));
            counter.rebase(shown(start, width));
            let mut expected = 0_u64;
            for step in steps {
                // Less than one round between two reads.
                let step = shown(step, width);
                count += u128::from(step);
                expected = expected.wrapping_add(step);
                prop_assert_eq!(counter.advance((count % (1 << width)) as u64, width), expected);
            }
        }

        #[test]
        fn a_counter_that_was_interrupted_goes_on_from_zero(
            width in BASE_WIDTH..=MAX_WIDTH, before in any::<u64>(), after in any::<u64>(),
        ) {
            let (before, after) = (shown(before, width), shown(after, width));
            let mut counter = Counter::default();
            counter.advance(before, width);
            counter.interrupted();
            prop_assert_eq!(counter.advance(after, width), before.wrapping_add(after));
        }

    }
}
