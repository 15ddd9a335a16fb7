// SPDX-License-Identifier: GPL-2.0-only
//! On which processors it is known how to turn the prefetchers off, and what counts hits and misses.

use resctrl_types::cache::CacheLevel;
use resctrl_types::pseudo_lock::EventPair;

use crate::msr::MiscFeatureControl;
use crate::quirks::Model;

/// What it takes on this processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PseudoLock {
    /// What turns the prefetchers off ([`MiscFeatureControl`]).
    pub(super) disable: u64,
    /// What counts hits and misses of the one cache for which that is known.
    pub(super) residency: (CacheLevel, Residency),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Residency {
    /// Hits and misses.
    Counted(EventPair),
    /// Everything that was asked for, and misses.
    Referenced(EventPair),
}

/// `MEM_LOAD_UOPS_RETIRED.L2_HIT` and `.L2_MISS` of Goldmont (SDM volume 3B, performance monitoring events).
const GOLDMONT_L2: EventPair = EventPair { hits: 0x02d1, misses: 0x10d1 };
/// `LONGEST_LAT_CACHE.REFERENCE` and `.MISS` of Broadwell, where what counts retired loads is unreliable (errata BDM35 and
/// BDM100).
const BROADWELL_L3: EventPair = EventPair { hits: 0x4f2e, misses: 0x412e };

impl PseudoLock {
    /// What it takes on this model, if that is known.
    pub(crate) fn of(model: Model) -> Option<PseudoLock> {
        if model.is_broadwell_x() {
            Some(PseudoLock {
                disable: MiscFeatureControl::PREFETCHERS_OFF.put(0xf),
                residency: (CacheLevel::L3, Residency::Referenced(BROADWELL_L3)),
            })
        } else if model.is_goldmont() {
            Some(PseudoLock {
                disable: MiscFeatureControl::PREFETCHERS_OFF.put(0x5),
                residency: (CacheLevel::L2, Residency::Counted(GOLDMONT_L2)),
            })
        } else {
            None
        }
    }
}
