// SPDX-License-Identifier: GPL-2.0-only
//! State that the CPUs of one cache share: control registers and counters.

use crate::machine::{Cat, Mba, Monitoring, RdtFeatures};
use crate::monitor::Rmid;
use crate::qos::QosDomain;
use crate::registers::{L3QosCfg, MbaThrottle};

/// Masks and CDP switch of one cache.
#[derive(Clone, Debug)]
pub(crate) struct CacheControl {
    /// L3 and L2 registers are alike. Not used on AMD, where each thread has its own.
    pub(crate) config: L3QosCfg,
    /// Indexed by CLOSID, or in data and code pairs while CDP is on.
    pub(crate) masks: Vec<u64>,
}

impl CacheControl {
    fn at_reset(cat: &Cat) -> Self {
        Self { config: L3QosCfg(0), masks: vec![cat.full_mask(); cat.closids] }
    }

    /// Mask that data of a CLOSID fills by, under this switch; `None` beyond the last one.
    pub(crate) fn data_mask(&self, closid: usize, switch: L3QosCfg) -> Option<u64> {
        let cdp = switch.get(L3QosCfg::CDP_ENABLE) == 1;
        let index = if cdp { closid.checked_mul(2)? } else { closid };
        self.masks.get(index).copied()
    }
}

/// One L3 cache with its part of memory bandwidth control.
#[derive(Clone, Debug)]
pub(crate) struct L3Domain {
    pub(crate) cache: Option<CacheControl>,
    /// Delays, indexed by CLOSID.
    pub(crate) mba: Vec<MbaThrottle>,
    pub(crate) rmids: Vec<Rmid>,
    /// Bytes a second that leave the cache for each RMID no CPU of the domain works for.
    pub(crate) drain_rate: u64,
    /// Up to when the flows of the domain's CPUs have been accounted for.
    pub(crate) flows_since: u64,
    /// What only AMD's have.
    pub(crate) qos: Option<QosDomain>,
}

impl L3Domain {
    pub(crate) fn at_reset(rdt: &RdtFeatures, qos: Option<QosDomain>) -> Self {
        let rmids = rdt.monitoring.as_ref().map_or(0, |m: &Monitoring| m.rmids);
        let closids = rdt.mba.as_ref().map_or(0, |m: &Mba| m.closids);
        Self {
            cache: rdt.l3.as_ref().map(CacheControl::at_reset),
            mba: vec![MbaThrottle(0); closids],
            rmids: vec![Rmid::default(); rmids],
            drain_rate: 0,
            flows_since: 0,
            qos,
        }
    }
}

/// One L2 cache; `None` where it cannot be controlled.
pub(crate) fn l2_at_reset(rdt: &RdtFeatures) -> Option<CacheControl> {
    rdt.l2.as_ref().map(CacheControl::at_reset)
}
