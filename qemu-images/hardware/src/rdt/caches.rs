// SPDX-License-Identifier: GPL-2.0-only
//! What registers say to the caches, and caches to the counters, while caches follow what the guest does.
//!
//! The lock of the registers is taken first, then that of a domain's caches; accesses of CPUs take the second alone.

use super::state::{Rdt, State};
use crate::caches::{Bytes, Caches, Model, Port, Ports, ways_of};
use crate::domain::{CacheControl, Side};
use crate::machine::Cat;
use crate::monitor::Event;
use crate::numbers::place;
use crate::registers::{L3QosCfg, Msr, PqrAssoc, TransactionKinds};

impl Rdt {
    /// The caches, if the machine file has a geometry that can be modelled. They may be still.
    pub fn caches(&self) -> Option<&Model> {
        self.caches.as_ref()
    }

    /// Lets caches follow what the guest does from now on, beginning empty, or ends that. Answers what they did; `None` if
    /// the machine has none that can.
    pub fn set_caches(&self, caches: Caches) -> Option<Caches> {
        let model = self.caches.as_ref()?;
        let mut state = self.state();
        let before = model.caches();
        for domain in 0..state.l3.len() {
            self.settle_caches(&mut state, domain);
            for rmid in &mut state.l3[domain].rmids {
                rmid.counter(Event::LlcOccupancy).set(0);
            }
        }
        self.show_paces(&state, model);
        match caches {
            Caches::Follow => model.start(|cpu| self.ports(&state, model, cpu)),
            Caches::Still => model.stop(),
        }
        Some(before)
    }

    fn running(&self) -> Option<&Model> {
        self.caches.as_ref().filter(|model| model.is_running())
    }

    /// A register of a CPU has changed: tells the caches what follows.
    pub(super) fn show_caches(&self, state: &State, cpu: usize, msr: Msr) {
        let Some(model) = self.running() else { return };
        let topology = &self.machine.topology;
        if !matches!(msr, Msr::QmEvtsel) {
            self.show_paces(state, model);
        }
        let cpus = match msr {
            Msr::PqrAssoc => cpu..cpu + 1,
            Msr::L3QosCfg | Msr::L3Mask(_) | Msr::L2QosCfg | Msr::L2Mask(_) | Msr::RmidSncConfig => {
                topology.l3_domain_cpus(topology.l3_domain(cpu))
            }
            _ => return,
        };
        for cpu in cpus {
            model.set_ports(cpu, self.ports(state, model, cpu));
        }
    }

    /// Gives memory a speed: bytes a second that each CPU can move, where its limits leave it all; 0 for any number.
    /// Whether the machine has caches that can follow.
    pub fn set_memory_speed(&self, bytes: u64) -> bool {
        let Some(model) = &self.caches else { return false };
        let state = self.state();
        model.set_speed(bytes);
        self.show_paces(&state, model);
        true
    }

    /// Tells how fast each CPU may move lines: what its delay leaves of memory's speed; on AMD no more than its part of the
    /// limit of its class, which the CPUs of a domain share.
    fn show_paces(&self, state: &State, model: &Model) {
        model.set_rates(|cpu, speed| match self.limit(state, cpu) {
            Some(limit) => speed.min(limit),
            None => speed / 100 * (100 - self.delay(state, cpu)),
        });
    }

    /// The machine has lost its power.
    pub(super) fn empty_caches(&self, state: &State) {
        if let Some(model) = self.running() {
            self.show_paces(state, model);
            model.start(|cpu| self.ports(state, model, cpu));
        }
    }

    /// What requests of a CPU carry, and where they may fill.
    fn ports(&self, state: &State, model: &Model, cpu: usize) -> Ports {
        let topology = &self.machine.topology;
        let thread = &state.threads[cpu];
        let closid = place(thread.assoc.get(PqrAssoc::CLOSID));
        // Where the L3 is not monitored, all RMIDs are one to it.
        let monitored = self.features.monitoring.is_some();
        let rmid = if monitored { self.counted_rmid(state, cpu, thread.assoc) } else { 0 };
        let label = crate::caches::Label {
            class: (thread.assoc.get(PqrAssoc::CLOSID) & 0xffff) as u16,
            monitor: u32::try_from(rmid).unwrap_or(0),
        };
        let (l2_ways, l3_ways) = model.ways();
        let ways = |control: Option<&CacheControl>, cat: Option<&Cat>, own: L3QosCfg, side, ways| {
            let (Some(control), Some(cat)) = (control, cat) else { return u64::MAX };
            let switch = if self.qos.is_some() { own } else { control.config };
            // What a class beyond the last one may fill is undefined.
            let Some(mask) = control.mask(closid, switch, side) else { return u64::MAX };
            if ways == 0 { 0 } else { ways_of(|bit| mask >> bit & 1 == 1, cat.cbm_len as usize, ways) }
        };
        let l3 = state.l3[topology.l3_domain(cpu)].cache.as_ref();
        let l2 = state.l2[topology.l2_domain(cpu)].as_ref();
        let port = |side| Port {
            label,
            l2_ways: ways(l2, self.features.l2.as_ref(), L3QosCfg(thread.qos.l2_config.0), side, l2_ways),
            l3_ways: ways(l3, self.features.l3.as_ref(), thread.qos.l3_config, side, l3_ways),
        };
        Ports { data: [port(Side::Data); 2], code: [port(Side::Code); 2] }
    }

    /// Counts what the caches of a domain have moved up to now.
    pub(super) fn settle_caches(&self, state: &mut State, domain: usize) {
        let Some(model) = self.running() else { return };
        for moved in model.take_moved(domain) {
            let (label, bytes) = (moved.label, moved.bytes);
            if self.qos.is_some() {
                let assoc = PqrAssoc::default()
                    .with(&PqrAssoc::RMID, label.monitor.into())
                    .with(&PqrAssoc::CLOSID, label.class.into());
                for (kind, bytes) in kinds(&bytes) {
                    state.l3[domain].each_counting(assoc, kind, |counter| counter.add(bytes));
                }
            } else if let Some(rmid) = state.l3[domain].rmids.get_mut(label.monitor as usize) {
                rmid.counter(Event::MbmTotal).add(bytes.total());
                rmid.counter(Event::MbmLocal).add(bytes.local());
            }
        }
    }

    /// Says what an RMID occupies now.
    pub(super) fn settle_occupancy(&self, state: &mut State, domain: usize, rmid: usize) {
        let Some(model) = self.running() else { return };
        let lines = model.held(domain, u32::try_from(rmid).unwrap_or(u32::MAX)).lines;
        state.l3[domain].rmids[rmid].counter(Event::LlcOccupancy).set(lines * crate::machine::LINE_SIZE);
    }
}

/// Bytes by what AMD calls them.
fn kinds(bytes: &Bytes) -> [(u64, u64); 5] {
    [
        (TransactionKinds::LOCAL_READS.mask(), bytes.local_reads),
        (TransactionKinds::REMOTE_READS.mask(), bytes.remote_reads),
        (TransactionKinds::LOCAL_WRITES.mask(), bytes.local_writes),
        (TransactionKinds::REMOTE_WRITES.mask(), bytes.remote_writes),
        (TransactionKinds::DIRTY_VICTIMS.mask(), bytes.local_victims + bytes.remote_victims),
    ]
}
