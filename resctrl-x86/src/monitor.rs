// SPDX-License-Identifier: GPL-2.0-only
//! Counters: what there is to count, and how a counter of limited width becomes a running total.

use resctrl_types::arch::{Counters, MonId, OccupancyThreshold, ReadError};
use resctrl_types::event::EventSet;
use resctrl_types::platform::{LogLevel, Platform};
use resctrl_types::resource::Monitor;
use resctrl_types::{Closid, DomainCpus, DomainId, EventId, Here, KVec, ResourceId, Result, Rmid, RmidIndex};

use crate::Registers;
use crate::core::X86;
use crate::cpuid::{
    Features, MonitoringEvents, MonitoringResources, MonitoringRmids, MonitoringScale, MonitoringWidth,
};
use crate::msr::{QmCtr, QmEvtsel};
use crate::options::{Feature, Options};
use crate::quirks::Model;
use crate::snc::Clusters;

/// Width of a bandwidth counter to which CPUID gives an offset.
const BASE_WIDTH: u32 = 24;
/// Bits of data that the counter register has.
const MAX_WIDTH: u32 = 62;
/// RMIDs that the selecting register has room for.
const MAX_RMIDS: u64 = 1 << 12;

/// The L3's monitors.
#[derive(Debug)]
pub(crate) struct L3Monitoring {
    pub(crate) monitor: Monitor,
    /// Nodes that share an L3.
    pub(crate) clusters: Clusters,
    /// Bytes that one step of any counter stands for, at least 1.
    scale: u32,
    /// Thresholds of occupancy are multiples of this: what CPUID says, for a whole L3.
    unit: u32,
    /// Bits of a bandwidth counter, `24..=62`.
    width: u32,
    /// What to do about processors that miscount.
    pub(crate) correction: Option<Correction>,
}

/// What a processor does not say of its monitoring in leaf 0xF.
#[derive(Clone, Copy)]
pub(crate) struct Unsaid {
    /// The model of an Intel processor, whose L3s may be divided.
    pub(crate) model: Option<Model>,
    /// The offset of the counters' width where CPUID says 0.
    pub(crate) width_offset: u64,
    /// Whether there are counters to assign, which are something to monitor with even where no event is counted.
    pub(crate) assignable: bool,
}

impl L3Monitoring {
    /// Finds out what can be counted. The caller has made sure that leaf 0xF exists. `unsaid` is what that leaf does not say.
    pub(crate) fn probe<P: Platform>(
        registers: &impl Registers,
        options: Options,
        platform: &P,
        unsaid: Unsaid,
    ) -> Option<L3Monitoring> {
        let Unsaid { model, width_offset, assignable } = unsaid;
        if !Features::RDT_M.is_set(Features::ADDRESS.read(registers))
            || !MonitoringResources::L3.is_set(MonitoringResources::ADDRESS.read(registers))
        {
            return None;
        }
        let bits = MonitoringEvents::ADDRESS.read(registers);
        let events = [
            (MonitoringEvents::OCCUPANCY, Feature::Cmt, EventId::LlcOccupancy),
            (MonitoringEvents::TOTAL, Feature::MbmTotal, EventId::MbmTotal),
            (MonitoringEvents::LOCAL, Feature::MbmLocal, EventId::MbmLocal),
        ]
        .into_iter()
        .filter(|(field, feature, _)| field.is_set(bits) && options.allows(*feature))
        .fold(EventSet::EMPTY, |events, (_, _, event)| events.with(event));
        if events.is_empty() && !assignable {
            return None;
        }
        let rmids = (MonitoringRmids::MAX.get(MonitoringRmids::ADDRESS.read(registers)) + 1).min(MAX_RMIDS);
        let rmids = u32::try_from(rmids).unwrap_or(1);
        let unit = MonitoringScale::BYTES.get(MonitoringScale::ADDRESS.read(registers)).max(1);
        let unit = u32::try_from(unit).unwrap_or(u32::MAX);
        let clusters = model.map_or(Clusters::ONE, |model| Clusters::find(model, platform));
        let offset = match MonitoringWidth::OFFSET.get(MonitoringWidth::ADDRESS.read(registers)) {
            0 => width_offset,
            said => said,
        };
        Some(L3Monitoring {
            monitor: Monitor { scope: clusters.scope(), num_rmid: clusters.share(rmids), events },
            clusters,
            scale: clusters.share(unit),
            unit,
            width: width(offset).unwrap_or_else(|| {
                platform.log(LogLevel::Warn, format_args!("Ignoring impossible MBM counter offset"));
                BASE_WIDTH
            }),
            correction: None,
        })
    }
}

/// Bits of a counter with this offset; `None` where the register has no room for them.
fn width(offset: u64) -> Option<u32> {
    let width = BASE_WIDTH.checked_add(u32::try_from(offset).ok()?)?;
    (width <= MAX_WIDTH).then_some(width)
}

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
}

/// What a monitor domain holds: the running totals of each RMID.
#[derive(Debug)]
pub struct MonDomain {
    /// Added to an RMID, it is the one by which the hardware counts for this domain.
    first_rmid: Rmid,
    /// By [`EventId::mbm_index`]; empty for an event that is not counted.
    counters: [KVec<Counter>; EventId::MBM.len()],
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
        Ok(MonDomain { first_rmid, counters: [counters(total)?, counters(local)?] })
    }

    fn counter(&mut self, event: EventId, rmid: Rmid) -> Option<&mut Counter> {
        self.counters[event.mbm_index()?].get_mut(rmid.0 as usize)
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

/// How a processor that counts too much or too little for its upper RMIDs is put right (errata SKX99, BDF102).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Correction {
    /// RMIDs up to this one count right.
    threshold: u32,
    /// What the counts of the others are multiplied with, in 2^-20.
    factor: u32,
}

/// Threshold, and factor in millionths, for 8, 16, 24, ... RMIDs.
const CORRECTIONS: [(u32, u64); 28] = [
    (7, 1_000_000),
    (15, 1_000_000),
    (15, 969_650),
    (31, 1_000_000),
    (31, 1_066_667),
    (31, 969_650),
    (47, 1_142_857),
    (63, 1_000_000),
    (63, 1_185_115),
    (63, 1_066_553),
    (79, 1_454_545),
    (95, 1_000_000),
    (95, 1_230_769),
    (95, 1_142_857),
    (95, 1_066_667),
    (127, 1_000_000),
    (127, 1_254_863),
    (127, 1_185_255),
    (151, 1_000_000),
    (127, 1_066_667),
    (167, 1_000_000),
    (159, 1_454_334),
    (183, 1_000_000),
    (127, 969_744),
    (191, 1_280_246),
    (191, 1_230_921),
    (215, 1_000_000),
    (191, 1_143_118),
];

impl Correction {
    /// The correction of a processor with so many RMIDs; `None` where none is known.
    pub(crate) fn for_rmids(rmids: u32) -> Option<Correction> {
        let row = usize::try_from((rmids / 8).checked_sub(1)?).ok()?;
        let &(threshold, millionths) = CORRECTIONS.get(row)?;
        let factor = u32::try_from(((millionths << 20) + 500_000) / 1_000_000).ok()?;
        Some(Correction { threshold, factor })
    }

    fn correct(self, rmid: Rmid, steps: u64) -> u64 {
        if rmid.0 <= self.threshold {
            return steps;
        }
        let corrected = (u128::from(steps) * u128::from(self.factor)) >> 20;
        // A total wraps at 64 bits like the sums it is made of.
        u64::try_from(corrected & u128::from(u64::MAX)).unwrap_or(u64::MAX)
    }
}

impl<R: Registers> X86<R> {
    pub(crate) fn occupancy_threshold(&self) -> OccupancyThreshold {
        OccupancyThreshold {
            limit: self.llc_bytes,
            unit: self.monitoring.as_ref().map_or(1, |monitoring| monitoring.unit),
        }
    }

    pub(crate) fn num_rmid_index(&self) -> u32 {
        let monitored = ResourceId::ALL.into_iter().filter_map(|resource| self.monitor(resource));
        monitored.map(|monitor| monitor.num_rmid).min().unwrap_or(0)
    }

    /// RMIDs from here on are refused by `IA32_PQR_ASSOC`, as far as is known.
    pub(crate) fn num_rmid(&self) -> u32 {
        let l3 = self.monitoring.as_ref().map(|monitoring| monitoring.monitor.num_rmid);
        // Where the L3 is not monitored, or that is turned off, whoever counts by package must know.
        l3.or_else(|| self.telemetry.get().map(|telemetry| telemetry.monitor.num_rmid)).unwrap_or(1)
    }

    pub(crate) fn rmid_index(id: MonId) -> RmidIndex {
        RmidIndex(id.rmid.0)
    }

    pub(crate) fn rmid_decode(index: RmidIndex) -> MonId {
        MonId { closid: Closid::RESERVED, rmid: Rmid(index.0) }
    }

    /// Reads counters of an event, all from one CPU of the domain.
    pub(crate) fn read<P: Platform>(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        event: EventId,
        counters: &mut Counters<'_, MonDomain, MonId>,
    ) -> Result<()> {
        cpus.on_one(platform, &mut |here| {
            counters(&mut |domain, id| Some(self.read_here(here, domain, id.rmid, event)));
        })
    }

    fn read_here(&self, here: Here<'_>, domain: &mut MonDomain, rmid: Rmid, event: EventId) -> Result<u64, ReadError> {
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

    /// Makes 0 of every bandwidth count of these RMIDs, all from one CPU of the domain.
    pub(crate) fn rebase<P: Platform>(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        domain: &mut MonDomain,
        ids: &mut (dyn Iterator<Item = MonId> + Send),
    ) -> Result<()> {
        cpus.on_one(platform, &mut |here| {
            for id in &mut *ids {
                EventId::MBM.into_iter().for_each(|event| self.rebase_here(here, domain, id.rmid, event));
            }
        })
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
    fn read_counter(&self, here: Here<'_>, domain: &MonDomain, rmid: Rmid, event: EventId) -> Result<u64, ReadError> {
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

        #[test]
        fn a_correction_multiplies_only_above_its_threshold(row in 1..=28_u32, rmid in 0..256_u32, steps in 0..1_u64 << 40) {
            let correction = Correction::for_rmids(row * 8).unwrap();
            let (threshold, millionths) = CORRECTIONS[row as usize - 1];
            let corrected = correction.correct(Rmid(rmid), steps);
            if rmid <= threshold {
                prop_assert_eq!(corrected, steps);
            } else {
                let exact = steps as f64 * millionths as f64 / 1e6;
                // The factor is kept to half of 2^-20, the result rounded down.
                prop_assert!((corrected as f64 - exact).abs() <= steps as f64 / f64::from(1 << 21) + 1.0);
            }
        }
    }

    #[test]
    fn a_factor_is_rounded_to_the_nearest_of_its_unit() {
        let factor = |rmids| Correction::for_rmids(rmids).unwrap().factor;
        assert_eq!(factor(8), 1 << 20);
        assert_eq!(factor(24), 1_016_752);
        assert_eq!(factor(88), 1_525_201);
        assert_eq!(factor(224), 1_198_646);
    }

    #[test]
    fn the_row_is_found_by_whole_eights_of_rmids() {
        assert_eq!(Correction::for_rmids(7), None);
        assert_eq!(Correction::for_rmids(15), Correction::for_rmids(8));
        assert_eq!(Correction::for_rmids(144).unwrap().threshold, 127);
        assert_eq!(Correction::for_rmids(231), Correction::for_rmids(224));
        assert_eq!(Correction::for_rmids(232), None);
        assert_eq!(Correction::for_rmids(u32::MAX), None);
    }

    #[test]
    fn a_width_beyond_the_register_is_refused() {
        assert_eq!(width(0), Some(24));
        assert_eq!(width(38), Some(62));
        assert_eq!(width(39), None);
        assert_eq!(width(255), None);
    }
}
