// SPDX-License-Identifier: GPL-2.0-only
//! What only AMD's Platform Quality of Service has: bandwidth limits, counters that choose what they count, and switches
//! that each thread has for itself.

use crate::machine::{BandwidthLimit, QosFeatures};
use crate::monitor::{Counter, Event};
use crate::registers::{
    EvtCfg, L2QosCfg, L3QosAbmcCfg, L3QosCfg, L3QosExtCfg, MbaBandwidth, Msr, PqrAssoc, SmbaBandwidth, TransactionKinds,
};

/// Bytes a second that one step of a limit stands for.
pub(crate) const LIMIT_STEP: u64 = 1_000_000_000 / 8;

/// What the events count after reset: total bandwidth everything, local bandwidth what stays in the own NUMA domain.
pub(crate) const EVENT_KINDS: [u64; 2] = [TransactionKinds::DEFINED, LOCAL];
const LOCAL: u64 = TransactionKinds::LOCAL_READS.mask()
    | TransactionKinds::LOCAL_WRITES.mask()
    | TransactionKinds::LOCAL_SLOW_READS.mask();
const REMOTE: u64 = TransactionKinds::REMOTE_READS.mask()
    | TransactionKinds::REMOTE_WRITES.mask()
    | TransactionKinds::REMOTE_SLOW_READS.mask();

/// Registers of one thread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QosThread {
    pub(crate) l3_config: L3QosCfg,
    pub(crate) l2_config: L2QosCfg,
    pub(crate) extended: L3QosExtCfg,
}

/// Registers and counters of one L3 domain.
#[derive(Clone, Debug)]
pub(crate) struct QosDomain {
    pub(crate) limits: Vec<MbaBandwidth>,
    pub(crate) slow_limits: Vec<SmbaBandwidth>,
    /// What the events count, total bandwidth first.
    pub(crate) event_kinds: [EvtCfg; 2],
    /// RMIDs whose next reading finds nothing, because what the events count has changed; by event.
    pub(crate) untracked: Vec<[bool; 2]>,
    pub(crate) counters: Vec<Assignable>,
    /// The counter that the register for looking at them shows.
    pub(crate) shown: usize,
    /// Whether bandwidth is counted by the assignable counters.
    pub(crate) assigned: bool,
}

/// A counter that can be assigned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assignable {
    pub(crate) config: L3QosAbmcCfg,
    pub(crate) counter: Counter,
}

impl Assignable {
    /// The kinds it counts of what is done for an RMID and a CLOSID; none while it is off.
    pub(crate) fn kinds(&self, assoc: PqrAssoc) -> u64 {
        let field = |field| self.config.get(field);
        let id = if field(L3QosAbmcCfg::SOURCE_IS_CLOSID) == 1 { PqrAssoc::CLOSID } else { PqrAssoc::RMID };
        let counts = field(L3QosAbmcCfg::COUNTER_ENABLE) == 1 && field(L3QosAbmcCfg::SOURCE) == assoc.get(id);
        if counts { field(L3QosAbmcCfg::KINDS) } else { 0 }
    }

    /// Whether it stands for an event: only for local bandwidth does it leave out all that is remote.
    fn stands_for(&self, event: Event, rmid: usize) -> bool {
        let kinds = self.kinds(PqrAssoc::default().with(&PqrAssoc::RMID, rmid as u64));
        kinds != 0 && (kinds & REMOTE == 0) == (event == Event::MbmLocal)
    }
}

/// The place of a bandwidth event among the registers that configure them.
pub(crate) fn index(event: Event) -> Option<usize> {
    match event {
        Event::LlcOccupancy => None,
        Event::MbmTotal => Some(0),
        Event::MbmLocal => Some(1),
    }
}

impl QosFeatures {
    /// Whether a register that only AMD has exists.
    pub(crate) fn has(&self, msr: Msr) -> bool {
        let limited = |limit: &Option<BandwidthLimit>, n| limit.as_ref().is_some_and(|limit| n < limit.closids);
        match msr {
            Msr::MbaBandwidth(n) => limited(&self.mba, n),
            Msr::SmbaBandwidth(n) => limited(&self.smba, n),
            Msr::EvtCfg(_) => self.bmec,
            Msr::L3QosAbmcCfg | Msr::L3QosAbmcDsc => self.abmc.is_some(),
            Msr::L3QosExtCfg => self.abmc.is_some() || self.sdciae,
            _ => false,
        }
    }

    /// Classes of service that bandwidth limits know, at least 1.
    pub(crate) fn limited_closids(&self) -> usize {
        [&self.mba, &self.smba].into_iter().flatten().map(|limit| limit.closids).max().unwrap_or(1)
    }
}

impl QosDomain {
    pub(crate) fn at_reset(qos: &QosFeatures) -> Self {
        let limits = |limit: &Option<BandwidthLimit>| {
            limit.as_ref().map_or(Vec::new(), |limit| vec![limit.unlimited(); limit.closids])
        };
        Self {
            limits: limits(&qos.mba).into_iter().map(MbaBandwidth).collect(),
            slow_limits: limits(&qos.smba).into_iter().map(SmbaBandwidth).collect(),
            event_kinds: EVENT_KINDS.map(|kinds| EvtCfg(kinds & qos.transactions)),
            untracked: vec![[false; 2]; qos.monitoring.as_ref().map_or(0, |m| m.rmids)],
            counters: vec![Assignable::default(); qos.abmc.as_ref().map_or(0, |abmc| abmc.counters)],
            shown: 0,
            assigned: false,
        }
    }

    /// The assignable counter that shows an event of an RMID now; `None` where each RMID has a counter of its own.
    pub(crate) fn assigned_to(&mut self, event: Event, rmid: usize) -> Option<Option<&mut Counter>> {
        if !self.assigned || event == Event::LlcOccupancy {
            return None;
        }
        let counter = self.counters.iter_mut().find(|assignable| assignable.stands_for(event, rmid));
        Some(counter.map(|assignable| &mut assignable.counter))
    }
}
