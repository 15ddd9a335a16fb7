// SPDX-License-Identifier: GPL-2.0-only
//! What the L3's monitors count, how wide their counters are, and what the counts of some processors have to be put right by.

use resctrl_types::event::EventSet;
use resctrl_types::platform::{LogLevel, Platform};
use resctrl_types::resource::Monitor;
use resctrl_types::{EventId, Rmid};

use crate::Registers;
use crate::cpuid::{
    Features, MonitoringEvents, MonitoringResources, MonitoringRmids, MonitoringScale, MonitoringWidth,
};
use crate::options::{Feature, Options};
use crate::quirks::Model;
use crate::snc::Clusters;

/// Width of a bandwidth counter to which CPUID gives an offset.
pub(super) const BASE_WIDTH: u32 = 24;
/// Bits of data that the counter register has.
pub(super) const MAX_WIDTH: u32 = 62;
/// RMIDs that the selecting register has room for.
const MAX_RMIDS: u64 = 1 << 12;

/// The L3's monitors.
#[derive(Debug)]
pub(crate) struct L3Monitoring {
    pub(crate) monitor: Monitor,
    /// Nodes that share an L3.
    pub(crate) clusters: Clusters,
    /// Bytes that one step of any counter stands for, at least 1.
    pub(super) scale: u32,
    /// Thresholds of occupancy are multiples of this: what CPUID says, for a whole L3.
    pub(crate) unit: u32,
    /// Bits of a bandwidth counter, `24..=62`.
    pub(super) width: u32,
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

    pub(super) fn correct(self, rmid: Rmid, steps: u64) -> u64 {
        if rmid.0 <= self.threshold {
            return steps;
        }
        let corrected = (u128::from(steps) * u128::from(self.factor)) >> 20;
        // A total wraps at 64 bits like the sums it is made of.
        u64::try_from(corrected & u128::from(u64::MAX)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    proptest! {
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
