// SPDX-License-Identifier: GPL-2.0-only
//! The registers that only AMD has, as CPUs read and write them.

use super::state::{Gp, Rdt, State};
use crate::domain::L3Domain;
use crate::machine::BandwidthLimit;
use crate::monitor::{Counter, Event};
use crate::numbers::{self, place};
use crate::qos::{Assignable, QosDomain, index};
use crate::registers::{
    EvtCfg, L3QosAbmcCfg, L3QosAbmcDsc, L3QosExtCfg, MbaBandwidth, Msr, QmCtr, QmEvtselAmd, SmbaBandwidth,
    TransactionKinds,
};

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
                qos.shown = place(config.get(L3QosAbmcCfg::COUNTER));
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
        let untracked = qos_of(&mut state.l3[domain]).untracked.get_mut(numbers::place(id));
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
        match qos_of(&mut state.l3[domain]).counters.get(place(number)) {
            Some(Assignable { config, counter }) if config.get(L3QosAbmcCfg::COUNTER_ENABLE) == 1 => {
                counter.register(monitoring.unit, monitoring.counter_bits)
            }
            _ => error,
        }
    }
}
