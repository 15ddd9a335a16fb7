// SPDX-License-Identifier: GPL-2.0-only
//! State that the CPUs of one cache share: control registers and counters.

use crate::machine::{Cat, Mba, Monitoring, RdtFeatures};
use crate::monitor::{Counter, Event, Rmid};
use crate::numbers::place;
use crate::qos::{Assignable, EVENT_KINDS, QosDomain};
use crate::registers::{EvtCfg, L3QosCfg, MbaThrottle, PqrAssoc};

/// What CDP tells apart; the number is the place of its mask in a pair (SDM Vol. 3, "Code and Data Prioritization").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Data = 0,
    Code = 1,
}

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
        self.mask(closid, switch, Side::Data)
    }

    /// Mask that data or instructions of a CLOSID fill by, under this switch; `None` beyond the last one.
    pub(crate) fn mask(&self, closid: usize, switch: L3QosCfg, side: Side) -> Option<u64> {
        let cdp = switch.get(L3QosCfg::CDP_ENABLE) == 1;
        let index = if cdp { closid.checked_mul(2)?.checked_add(side as usize)? } else { closid };
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

impl L3Domain {
    /// The counter that shows an event of an RMID. Where no counter is assigned to it, what is done to it is lost.
    pub(crate) fn with_counter<T>(&mut self, event: Event, rmid: usize, act: impl FnOnce(&mut Counter) -> T) -> T {
        match self.qos.as_mut().and_then(|qos| qos.assigned_to(event, rmid)) {
            None => act(self.rmids[rmid].counter(event)),
            Some(Some(counter)) => act(counter),
            Some(None) => act(&mut Counter::default()),
        }
    }

    /// Lets every bandwidth counter that counts one of these kinds for these ids change.
    pub(crate) fn each_counting(&mut self, assoc: PqrAssoc, kinds: u64, mut act: impl FnMut(&mut Counter)) {
        let mut event_kinds = EVENT_KINDS;
        if let Some(qos) = &mut self.qos {
            if qos.assigned {
                qos.counters.iter_mut().filter(|a| a.kinds(assoc) & kinds != 0).for_each(|a| act(&mut a.counter));
                return;
            }
            event_kinds = qos.event_kinds.map(|config| config.get(EvtCfg::KINDS));
        }
        let Some(rmid) = self.rmids.get_mut(place(assoc.get(PqrAssoc::RMID))) else { return };
        for (event, counted) in [Event::MbmTotal, Event::MbmLocal].into_iter().zip(event_kinds) {
            if counted & kinds != 0 {
                act(rmid.counter(event));
            }
        }
    }

    /// Brings the rates of assignable counters up to date.
    pub(crate) fn advance_assignable(&mut self, now: u64) {
        let counters = self.qos.iter_mut().flat_map(|qos| &mut qos.counters);
        counters.for_each(|assignable| assignable.counter.advance(now));
    }

    pub(crate) fn clear_bandwidth(&mut self) {
        self.rmids.iter_mut().for_each(Rmid::clear_bandwidth);
    }

    /// Makes 0 of all counters and takes every assignable one away.
    pub(crate) fn reset_counters(&mut self, assigned: bool) {
        self.clear_bandwidth();
        let Some(qos) = &mut self.qos else { return };
        qos.counters.fill(Assignable::default());
        qos.shown = 0;
        qos.assigned = assigned;
    }
}

impl L3Domain {
    /// Accounts for what happens to an RMID's counters by itself.
    pub(crate) fn settle(&mut self, rmid: usize, in_use: bool, now: u64) {
        let drain_rate = self.drain_rate;
        let rmid = &mut self.rmids[rmid];
        if in_use {
            rmid.counter(Event::LlcOccupancy).hold(now);
        } else {
            rmid.counter(Event::LlcOccupancy).drain(drain_rate, now);
        }
        rmid.counter(Event::MbmTotal).advance(now);
        rmid.counter(Event::MbmLocal).advance(now);
    }
}

/// One L2 cache; `None` where it cannot be controlled.
pub(crate) fn l2_at_reset(rdt: &RdtFeatures) -> Option<CacheControl> {
    rdt.l2.as_ref().map(CacheControl::at_reset)
}
