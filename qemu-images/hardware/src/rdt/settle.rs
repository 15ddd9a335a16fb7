// SPDX-License-Identifier: GPL-2.0-only
//! What has happened to counters by itself up to a moment: flows of programs, and what their controls leave of them.

use super::state::{Rdt, State};
use crate::machine::{Mba, RdtFeatures};
use crate::monitor::{Counter, Event};
use crate::numbers::place;
use crate::qos::LIMIT_STEP;
use crate::registers::{L3QosCfg, MbaThrottle, PqrAssoc, QmCtr, RmidSncConfig, TransactionKinds};

/// What the CPUs of a domain that work for one RMID fill together.
struct Fill {
    rmid: usize,
    rate: u64,
    limit: u64,
}

impl Rdt {
    pub(crate) fn counter_register(&self, state: &mut State, domain: usize, event: u64, rmid: u64, now: u64) -> QmCtr {
        let error = QmCtr(QmCtr::ERROR.mask());
        let Some(monitoring) = &self.features.monitoring else { return error };
        let event = Event::from_id(event).filter(|event| monitoring.events.contains(event));
        let rmid = place(rmid);
        let (Some(event), true) = (event, rmid < monitoring.rmids) else { return error };
        self.settle(state, domain, rmid, now);
        // Occupancy is bounded by the cache, only traffic counters wrap.
        let width = if event == Event::LlcOccupancy { 62 } else { monitoring.counter_bits };
        state.l3[domain].rmids[rmid].counter(event).register(self.machine.topology.share(monitoring.unit), width)
    }

    /// How much of its traffic a CPU gets through under AMD's limit of its class, as a fraction: the CPUs of a domain
    /// that work for one class share its limit in proportion.
    pub(crate) fn limited(&self, state: &State, cpu: usize) -> (u64, u64) {
        let domain = self.machine.topology.l3_domain(cpu);
        let closid = state.threads[cpu].assoc.get(PqrAssoc::CLOSID);
        let (Some(features), Some(qos)) = (&self.qos, &state.l3[domain].qos) else { return (1, 1) };
        let (Some(limit), Some(mba)) = (qos.limits.get(place(closid)), &features.mba) else { return (1, 1) };
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

    /// A CPU's part of AMD's limit of its class, in bytes a second: all of the domain that work for the class have equal ones.
    pub(super) fn limit(&self, state: &State, cpu: usize) -> Option<u64> {
        let domain = self.machine.topology.l3_domain(cpu);
        let closid = |cpu: usize| state.threads[cpu].assoc.get(PqrAssoc::CLOSID);
        let qos = state.l3[domain].qos.as_ref()?;
        let limit = qos.limits.get(place(closid(cpu)))?.0;
        if limit == self.qos.as_ref()?.mba.as_ref()?.unlimited() {
            return None;
        }
        let sharers =
            self.machine.topology.l3_domain_cpus(domain).filter(|other| closid(*other) == closid(cpu)).count();
        Some(limit.saturating_mul(LIMIT_STEP) / sharers.max(1) as u64)
    }

    /// Brings the counters of an RMID up to date.
    pub(crate) fn settle(&self, state: &mut State, domain: usize, rmid: usize, now: u64) {
        self.settle_flows(state, domain, now);
        let in_use = self.in_use(state, domain, rmid);
        state.l3[domain].settle(rmid, in_use, now);
        self.settle_occupancy(state, domain, rmid);
        state.l3[domain].advance_assignable(now);
    }

    /// Brings everything up to date that a change of a thread's RMID or CLOSID alters.
    pub(crate) fn settle_assoc(&self, state: &mut State, cpu: usize, next: PqrAssoc, now: u64) {
        let domain = self.machine.topology.l3_domain(cpu);
        self.settle_flows(state, domain, now);
        if self.features.monitoring.is_none() {
            return;
        }
        for assoc in [state.threads[cpu].assoc, next] {
            let rmid = self.counted_rmid(state, cpu, assoc);
            let in_use = self.in_use(state, domain, rmid);
            state.l3[domain].settle(rmid, in_use, now);
        }
    }

    fn in_use(&self, state: &State, domain: usize, rmid: usize) -> bool {
        let mut cpus = self.machine.topology.l3_domain_cpus(domain);
        cpus.any(|cpu| self.counted_rmid(state, cpu, state.threads[cpu].assoc) == rmid)
    }

    /// The RMID by which a CPU's traffic is counted. With nodes that share RMIDs, each has the next part of them.
    pub(super) fn counted_rmid(&self, state: &State, cpu: usize, assoc: PqrAssoc) -> usize {
        let rmid = place(assoc.get(PqrAssoc::RMID));
        let topology = &self.machine.topology;
        let apart = state.snc[topology.l3_domain(cpu)].get(RmidSncConfig::DISTRIBUTED) == 1;
        let share = self.features.monitoring.as_ref().map_or(1, |monitoring| monitoring.rmids / topology.nodes);
        if apart { rmid } else { topology.node_of_socket(cpu) * share + rmid % share }
    }

    /// Accounts for the flows of a domain's CPUs.
    pub(crate) fn settle_flows(&self, state: &mut State, domain: usize, now: u64) {
        self.settle_caches(state, domain);
        let since = &mut state.l3[domain].flows_since;
        let elapsed = now.saturating_sub(*since);
        *since = now.max(*since);
        if elapsed == 0 {
            return;
        }
        let mut fills: Vec<Fill> = Vec::new();
        for cpu in self.machine.topology.l3_domain_cpus(domain) {
            let Some(flow) = state.threads[cpu].flow else { continue };
            let (part, whole) =
                if self.qos.is_some() { self.limited(state, cpu) } else { (100 - self.delay(state, cpu), 100) };
            let slowed =
                |rate: u64| u64::try_from(u128::from(rate) * u128::from(part) / u128::from(whole)).unwrap_or(rate);
            let assoc = state.threads[cpu].assoc;
            let limit = flow.footprint.min(self.cache_share(state, cpu));
            let id = self.counted_rmid(state, cpu, assoc);
            if id >= state.l3[domain].rmids.len() {
                continue;
            }
            let rate = slowed(flow.total);
            if self.qos.is_some() {
                let local = flow.local.min(flow.total);
                let parts =
                    [(TransactionKinds::LOCAL_READS, local), (TransactionKinds::REMOTE_READS, flow.total - local)];
                for (kind, bytes) in parts {
                    let flowing = |counter: &mut Counter| counter.flow(slowed(bytes), elapsed);
                    state.l3[domain].each_counting(assoc, kind.mask(), flowing);
                }
            } else {
                let rmid = &mut state.l3[domain].rmids[id];
                rmid.counter(Event::MbmTotal).flow(rate, elapsed);
                rmid.counter(Event::MbmLocal).flow(slowed(flow.local), elapsed);
            }
            match fills.iter_mut().find(|fill| fill.rmid == id) {
                Some(fill) => {
                    fill.rate = fill.rate.saturating_add(rate);
                    fill.limit = fill.limit.max(limit);
                }
                None => fills.push(Fill { rmid: id, rate, limit }),
            }
        }
        for Fill { rmid, rate, limit } in fills {
            state.l3[domain].rmids[rmid].counter(Event::LlcOccupancy).fill(rate, elapsed, limit);
        }
    }

    /// Delay in percent that the hardware applies to a CPU.
    pub(super) fn delay(&self, state: &State, cpu: usize) -> u64 {
        let Some(mba) = &self.features.mba else { return 0 };
        let topology = &self.machine.topology;
        let core = topology.core(cpu);
        let threads = core * topology.threads..(core + 1) * topology.threads;
        // Without per-thread control the throttle sits in the core and follows the slower thread.
        let affecting = if mba.per_thread { cpu..cpu + 1 } else { threads };
        let registers = &state.l3[topology.l3_domain(cpu)].mba;
        affecting
            .map(|thread| {
                let closid = place(state.threads[thread].assoc.get(PqrAssoc::CLOSID));
                registers.get(closid).map_or(0, |register| applied_delay(mba, *register))
            })
            .max()
            .unwrap_or(0)
    }

    /// Bytes of the cache that a CPU may fill.
    fn cache_share(&self, state: &State, cpu: usize) -> u64 {
        let domain = self.machine.topology.l3_domain(cpu);
        let size = self.machine.cache.l3.as_ref().map_or(0, |l3| l3.size_kib * 1024);
        let RdtFeatures { l3: Some(cat), .. } = &self.features else { return size };
        let thread = &state.threads[cpu];
        let closid = place(thread.assoc.get(PqrAssoc::CLOSID));
        let cache = state.l3[domain].cache.as_ref();
        let switch = |own: L3QosCfg| if self.qos.is_some() { thread.qos.l3_config } else { own };
        let mask = cache.and_then(|cache| cache.data_mask(closid, switch(cache.config)));
        mask.map_or(size, |mask| size / u64::from(cat.cbm_len) * u64::from(mask.count_ones()))
    }
}

/// Rounds a delay down to one the hardware has: multiples of the precision where delays are linear, powers of two where
/// they are not ("Memory Bandwidth Allocation Configuration").
fn applied_delay(mba: &Mba, register: MbaThrottle) -> u64 {
    let delay = register.get(MbaThrottle::DELAY);
    if mba.linear {
        delay - delay % (100 - mba.max_delay)
    } else if delay == 0 {
        0
    } else {
        1 << delay.ilog2()
    }
}
