// SPDX-License-Identifier: GPL-2.0-only
//! What only AMD's Platform Quality of Service has: bandwidth limits, counters that choose what they count, and switches
//! that each thread has for itself.

use crate::domain::L3Domain;
use crate::machine::{BandwidthLimit, QosFeatures};
use crate::monitor::{Counter, Event};
use crate::rdt::{Gp, Rdt, State};
use crate::registers::{
    EvtCfg, L2QosCfg, L3QosAbmcCfg, L3QosAbmcDsc, L3QosCfg, L3QosExtCfg, MbaBandwidth, Msr, PqrAssoc, QmCtr,
    QmEvtselAmd, SmbaBandwidth, TransactionKinds,
};

/// Bytes a second that one step of a limit stands for.
const LIMIT_STEP: u64 = 1_000_000_000 / 8;

/// What the events count after reset: total bandwidth everything, local bandwidth what stays in the own NUMA domain.
const EVENT_KINDS: [u64; 2] = [TransactionKinds::DEFINED, LOCAL];
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
    extended: L3QosExtCfg,
}

/// Registers and counters of one L3 domain.
#[derive(Clone, Debug)]
pub(crate) struct QosDomain {
    limits: Vec<MbaBandwidth>,
    slow_limits: Vec<SmbaBandwidth>,
    /// What the events count, total bandwidth first.
    event_kinds: [EvtCfg; 2],
    /// RMIDs whose next reading finds nothing, because what the events count has changed; by event.
    untracked: Vec<[bool; 2]>,
    counters: Vec<Assignable>,
    /// The counter that the register for looking at them shows.
    shown: usize,
    /// Whether bandwidth is counted by the assignable counters.
    assigned: bool,
}

/// A counter that can be assigned.
#[derive(Clone, Debug, Default)]
struct Assignable {
    config: L3QosAbmcCfg,
    counter: Counter,
}

impl Assignable {
    /// The kinds it counts of what is done for an RMID and a CLOSID; none while it is off.
    fn kinds(&self, assoc: PqrAssoc) -> u64 {
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
fn index(event: Event) -> Option<usize> {
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
    fn assigned_to(&mut self, event: Event, rmid: usize) -> Option<Option<&mut Counter>> {
        if !self.assigned || event == Event::LlcOccupancy {
            return None;
        }
        let counter = self.counters.iter_mut().find(|assignable| assignable.stands_for(event, rmid));
        Some(counter.map(|assignable| &mut assignable.counter))
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
        let Some(rmid) = self.rmids.get_mut(assoc.get(PqrAssoc::RMID) as usize) else { return };
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

    fn clear_bandwidth(&mut self) {
        self.rmids.iter_mut().for_each(crate::monitor::Rmid::clear_bandwidth);
    }

    /// Makes 0 of all counters and takes every assignable one away.
    fn reset_counters(&mut self, assigned: bool) {
        self.clear_bandwidth();
        let Some(qos) = &mut self.qos else { return };
        qos.counters.fill(Assignable::default());
        qos.shown = 0;
        qos.assigned = assigned;
    }
}

/// Part of a machine's AMD registers that a read or write is about; [`Rdt`] has found that it exists.
fn qos_of(domain: &mut L3Domain) -> &mut QosDomain {
    domain.qos.as_mut().expect("a register of AMD belongs to a machine of AMD")
}

impl Rdt {
    pub(crate) fn read_qos(&self, state: &State, cpu: usize, msr: Msr) -> u64 {
        let domain = self.machine.topology.l3_domain(cpu);
        let Some(qos) = &state.l3[domain].qos else { return 0 };
        match msr {
            Msr::MbaBandwidth(n) => qos.limits[n].0,
            Msr::SmbaBandwidth(n) => qos.slow_limits[n].0,
            Msr::EvtCfg(n) => qos.event_kinds[n].0,
            Msr::L3QosAbmcCfg => L3QosAbmcCfg::default().with(&L3QosAbmcCfg::COUNTER, qos.shown as u64).0,
            Msr::L3QosAbmcDsc => qos.counters[qos.shown].config.0 & L3QosAbmcDsc::DEFINED,
            Msr::L3QosExtCfg => state.threads[cpu].qos.extended.0,
            _ => 0,
        }
    }

    pub(crate) fn check_qos(&self, msr: Msr, value: u64) -> Result<(), Gp> {
        let Some(qos) = &self.qos else { return Err(Gp::NoSuchRegister) };
        let reserved = |set: bool| if set { Err(Gp::ReservedBits) } else { Ok(()) };
        let within = |limit: &Option<BandwidthLimit>| {
            let most = limit.as_ref().map_or(0, BandwidthLimit::unlimited);
            if value > most { Err(Gp::LimitTooLarge) } else { Ok(()) }
        };
        match msr {
            Msr::MbaBandwidth(_) => within(&qos.mba),
            Msr::SmbaBandwidth(_) => within(&qos.smba),
            Msr::EvtCfg(_) => reserved(value & !qos.transactions != 0),
            Msr::QmEvtsel => {
                let extended = QmEvtselAmd(value).get(QmEvtselAmd::EXTENDED) == 1;
                reserved(QmEvtselAmd(value).has_reserved_bits() || extended && qos.abmc.is_none())
            }
            Msr::L3QosAbmcCfg => {
                let config = L3QosAbmcCfg(value);
                let counters = qos.abmc.as_ref().map_or(0, |abmc| abmc.counters as u64);
                reserved(
                    config.has_reserved_bits()
                        || config.get(L3QosAbmcCfg::COUNTER) >= counters
                        || config.get(L3QosAbmcCfg::KINDS) & !TransactionKinds::DEFINED != 0,
                )
            }
            Msr::L3QosExtCfg => {
                let config = L3QosExtCfg(value);
                reserved(
                    config.has_reserved_bits()
                        || config.get(L3QosExtCfg::ABMC) == 1 && qos.abmc.is_none()
                        || config.get(L3QosExtCfg::SDCIAE) == 1 && !qos.sdciae,
                )
            }
            _ => Err(Gp::NoSuchRegister),
        }
    }

    /// Stores a checked value and returns what was there. Traffic up to now is accounted for under the old one.
    pub(crate) fn store_qos(&self, state: &mut State, cpu: usize, msr: Msr, value: u64, now: u64) -> u64 {
        let domain = self.machine.topology.l3_domain(cpu);
        self.settle_flows(state, domain, now);
        let before = self.read_qos(state, cpu, msr);
        match msr {
            Msr::MbaBandwidth(n) => qos_of(&mut state.l3[domain]).limits[n] = MbaBandwidth(value),
            Msr::SmbaBandwidth(n) => qos_of(&mut state.l3[domain]).slow_limits[n] = SmbaBandwidth(value),
            Msr::EvtCfg(n) => {
                // Whatever is written: all RMIDs begin anew, and say so when they are read next.
                state.l3[domain].clear_bandwidth();
                let qos = qos_of(&mut state.l3[domain]);
                qos.event_kinds[n] = EvtCfg(value);
                qos.untracked.fill([true; 2]);
            }
            Msr::L3QosAbmcCfg => {
                let config = L3QosAbmcCfg(value);
                let qos = qos_of(&mut state.l3[domain]);
                qos.shown = config.get(L3QosAbmcCfg::COUNTER) as usize;
                if config.get(L3QosAbmcCfg::CONFIGURE) == 1 && qos.assigned {
                    qos.counters[qos.shown] = Assignable { config, counter: Counter::default() };
                }
            }
            Msr::L3QosExtCfg => {
                state.threads[cpu].qos.extended = L3QosExtCfg(value);
                let mut cpus = self.machine.topology.l3_domain_cpus(domain);
                let assigned = cpus.any(|cpu| state.threads[cpu].qos.extended.get(L3QosExtCfg::ABMC) == 1);
                if qos_of(&mut state.l3[domain]).assigned != assigned {
                    state.l3[domain].reset_counters(assigned);
                }
            }
            _ => {}
        }
        before
    }

    /// `QM_CTR` of a thread: a counter by its number, or an event of an RMID.
    pub(crate) fn qos_counter_register(&self, state: &mut State, cpu: usize, now: u64) -> QmCtr {
        let thread = &state.threads[cpu];
        let select = QmEvtselAmd(thread.select);
        let assigned = thread.qos.extended.get(L3QosExtCfg::ABMC) == 1;
        let (event, id) = (select.get(QmEvtselAmd::EVENT), select.get(QmEvtselAmd::RMID));
        let domain = self.machine.topology.l3_domain(cpu);
        let unavailable = QmCtr(QmCtr::UNAVAILABLE.mask());
        if select.get(QmEvtselAmd::EXTENDED) == 1 {
            return self.assignable_register(state, domain, event, id, assigned, now);
        }
        let Some(place) = Event::from_id(event).and_then(index) else {
            return self.counter_register(state, domain, event, id, now);
        };
        if assigned {
            return unavailable;
        }
        let untracked = qos_of(&mut state.l3[domain]).untracked.get_mut(id as usize);
        if untracked.is_some_and(|events| std::mem::take(&mut events[place])) {
            return unavailable;
        }
        self.counter_register(state, domain, event, id, now)
    }

    fn assignable_register(
        &self,
        state: &mut State,
        domain: usize,
        event: u64,
        number: u64,
        assigned: bool,
        now: u64,
    ) -> QmCtr {
        /// The extended event of assignable counters.
        const ASSIGNABLE: u64 = 1;
        let error = QmCtr(QmCtr::ERROR.mask());
        let Some(monitoring) = &self.features.monitoring else { return error };
        if !assigned || event != ASSIGNABLE {
            return error;
        }
        self.settle_flows(state, domain, now);
        state.l3[domain].advance_assignable(now);
        match qos_of(&mut state.l3[domain]).counters.get(number as usize) {
            Some(Assignable { config, counter }) if config.get(L3QosAbmcCfg::COUNTER_ENABLE) == 1 => {
                counter.register(monitoring.unit, monitoring.counter_bits)
            }
            _ => error,
        }
    }

    /// How much of its traffic a CPU gets through under AMD's limit of its class, as a fraction: the CPUs of a domain
    /// that work for one class share its limit in proportion.
    pub(crate) fn limited(&self, state: &State, cpu: usize) -> (u64, u64) {
        let domain = self.machine.topology.l3_domain(cpu);
        let closid = state.threads[cpu].assoc.get(PqrAssoc::CLOSID);
        let (Some(features), Some(qos)) = (&self.qos, &state.l3[domain].qos) else { return (1, 1) };
        let (Some(limit), Some(mba)) = (qos.limits.get(closid as usize), &features.mba) else { return (1, 1) };
        if limit.0 == mba.unlimited() {
            return (1, 1);
        }
        let wanted: u64 = self
            .machine
            .topology
            .l3_domain_cpus(domain)
            .map(|cpu| &state.threads[cpu])
            .filter(|thread| thread.assoc.get(PqrAssoc::CLOSID) == closid)
            .filter_map(|thread| thread.flow)
            .fold(0, |sum, flow| sum.saturating_add(flow.total));
        let granted = limit.0.saturating_mul(LIMIT_STEP);
        if wanted > granted { (granted, wanted) } else { (1, 1) }
    }
}
