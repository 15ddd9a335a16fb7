// SPDX-License-Identifier: GPL-2.0-only
//! The traffic source: what tests pretend the machine's programs do to caches and memory.
//!
//! There are three ways to make traffic. The plain one addresses a counter: bytes at once, or a rate, for one RMID of one
//! domain; where counters are assigned, the one that counts this event for this RMID, if there is one. One addresses what
//! was done: transactions of some kinds, for whatever counts them. The faithful one addresses a CPU: a [`Flow`] belongs to whatever the CPU's `IA32_PQR_ASSOC` holds at each
//! moment, is slowed by the bandwidth delay of that CLOSID and fills no more cache than its mask allows. A program that
//! is moved to another group takes its flow along with no help from the test.

use crate::machine::{Mba, RdtFeatures};
use crate::monitor::{Counter, Event, Fault};
use crate::rdt::{Rdt, State};
use crate::registers::{L3QosCfg, MbaThrottle, PqrAssoc, RmidSncConfig, TransactionKinds};
use std::fmt;

/// Traffic of one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Bytes a second to any memory, before throttling.
    pub total: u64,
    /// Bytes a second to memory of the own package, before throttling.
    pub local: u64,
    /// Bytes the program works on: the cache fills at the rate of `total` up to these, or to the share of the cache that
    /// the CLOSID may fill. CPUs that work for one RMID fill it together, up to the largest of their limits.
    pub footprint: u64,
}

/// What the CPUs of a domain that work for one RMID fill together.
struct Fill {
    rmid: usize,
    rate: u64,
    limit: u64,
}

/// Why the traffic source cannot do as told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficError {
    /// The machine has no such L3 domain.
    NoSuchDomain,
    /// The machine has no such RMID.
    NoSuchRmid,
    /// The machine has no such CPU.
    NoSuchCpu,
    /// The machine has no such telemetry region.
    NoSuchRegion,
    /// Occupancy does not come at a rate of its own; it fills with a flow and drains.
    NoRateForOccupancy,
}

impl fmt::Display for TrafficError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchDomain => "no such L3 domain",
            Self::NoSuchRmid => "no such RMID",
            Self::NoSuchCpu => "no such CPU",
            Self::NoSuchRegion => "no such telemetry region",
            Self::NoRateForOccupancy => "occupancy has no rate: use a flow to fill it, drain to empty it",
        })
    }
}

impl std::error::Error for TrafficError {}

impl Rdt {
    /// Adds bytes to a counter, or to what an RMID occupies.
    ///
    /// # Errors
    ///
    /// No such domain or RMID.
    pub fn add(&self, domain: usize, rmid: usize, event: Event, bytes: u64, now: u64) -> Result<(), TrafficError> {
        self.with_counter(domain, rmid, event, now, |counter| counter.add(bytes))
    }

    /// Makes bytes of transactions for an RMID; `kinds` is a mask of [`TransactionKinds`]. Each counter that counts one of
    /// them counts the bytes.
    ///
    /// # Errors
    ///
    /// No such domain or RMID.
    pub fn transact(&self, domain: usize, rmid: usize, kinds: u64, bytes: u64, now: u64) -> Result<(), TrafficError> {
        // Brings the counters of the RMID up to date, and says whether there are any.
        self.with_counter(domain, rmid, Event::MbmTotal, now, |_| ())?;
        let assoc = PqrAssoc::default().with(&PqrAssoc::RMID, rmid as u64);
        self.state().l3[domain].each_counting(assoc, kinds, |counter| counter.add(bytes));
        Ok(())
    }

    /// Sets a counter, or what an RMID occupies, to a number of bytes.
    ///
    /// # Errors
    ///
    /// No such domain or RMID.
    pub fn set(&self, domain: usize, rmid: usize, event: Event, bytes: u64, now: u64) -> Result<(), TrafficError> {
        self.with_counter(domain, rmid, event, now, |counter| counter.set(bytes))
    }

    /// Reads a counter in bytes, not wrapped and whatever its fault state, which comes with it.
    ///
    /// # Errors
    ///
    /// No such domain or RMID.
    pub fn get(
        &self,
        domain: usize,
        rmid: usize,
        event: Event,
        now: u64,
    ) -> Result<(u64, Option<Fault>), TrafficError> {
        self.with_counter(domain, rmid, event, now, |counter| (counter.bytes(), counter.fault()))
    }

    /// Makes a counter answer with a fault, or (`None`) with its value again.
    ///
    /// # Errors
    ///
    /// No such domain or RMID.
    pub fn set_fault(
        &self,
        domain: usize,
        rmid: usize,
        event: Event,
        fault: Option<Fault>,
        now: u64,
    ) -> Result<(), TrafficError> {
        let restarts = event != Event::LlcOccupancy;
        self.with_counter(domain, rmid, event, now, |counter| counter.set_fault(fault, restarts))
    }

    /// Lets a bandwidth counter grow by so many bytes a second from now on; 0 stops it.
    ///
    /// # Errors
    ///
    /// No such domain or RMID, or the event is occupancy.
    pub fn set_rate(
        &self,
        domain: usize,
        rmid: usize,
        event: Event,
        bytes_per_second: u64,
        now: u64,
    ) -> Result<(), TrafficError> {
        if event == Event::LlcOccupancy {
            return Err(TrafficError::NoRateForOccupancy);
        }
        self.with_counter(domain, rmid, event, now, |counter| counter.set_rate(bytes_per_second))
    }

    /// Lets every RMID that no CPU of the domain works for lose so many bytes of cache a second; 0, as after power-on,
    /// keeps its lines in the cache for ever.
    ///
    /// # Errors
    ///
    /// No such domain.
    pub fn set_drain(&self, domain: usize, bytes_per_second: u64, now: u64) -> Result<(), TrafficError> {
        let mut state = self.state();
        let rmids = state.l3.get(domain).ok_or(TrafficError::NoSuchDomain)?.rmids.len();
        for rmid in 0..rmids {
            self.settle(&mut state, domain, rmid, now);
        }
        state.l3[domain].drain_rate = bytes_per_second;
        Ok(())
    }

    /// Gives a CPU a flow, or (`None`) takes it away.
    ///
    /// # Errors
    ///
    /// No such CPU.
    pub fn set_flow(&self, cpu: usize, flow: Option<Flow>, now: u64) -> Result<(), TrafficError> {
        let mut state = self.state();
        if cpu >= state.threads.len() {
            return Err(TrafficError::NoSuchCpu);
        }
        self.settle_flows(&mut state, self.machine.topology.l3_domain(cpu), now);
        state.threads[cpu].flow = flow;
        Ok(())
    }

    /// RMID and CLOSID a CPU works for.
    ///
    /// # Errors
    ///
    /// No such CPU.
    pub fn association(&self, cpu: usize) -> Result<PqrAssoc, TrafficError> {
        let state = self.state();
        state.threads.get(cpu).map(|thread| thread.assoc).ok_or(TrafficError::NoSuchCpu)
    }

    fn with_counter<T>(
        &self,
        domain: usize,
        rmid: usize,
        event: Event,
        now: u64,
        act: impl FnOnce(&mut Counter) -> T,
    ) -> Result<T, TrafficError> {
        let mut state = self.state();
        let rmids = state.l3.get(domain).ok_or(TrafficError::NoSuchDomain)?.rmids.len();
        if rmid >= rmids {
            return Err(TrafficError::NoSuchRmid);
        }
        self.settle(&mut state, domain, rmid, now);
        Ok(state.l3[domain].with_counter(event, rmid, act))
    }

    /// Brings the counters of an RMID up to date.
    pub(crate) fn settle(&self, state: &mut State, domain: usize, rmid: usize, now: u64) {
        self.settle_flows(state, domain, now);
        let in_use = self.in_use(state, domain, rmid);
        state.l3[domain].settle(rmid, in_use, now);
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
    fn counted_rmid(&self, state: &State, cpu: usize, assoc: PqrAssoc) -> usize {
        let rmid = assoc.get(PqrAssoc::RMID) as usize;
        let topology = &self.machine.topology;
        let apart = state.snc[topology.l3_domain(cpu)].get(RmidSncConfig::DISTRIBUTED) == 1;
        let share = self.features.monitoring.as_ref().map_or(1, |monitoring| monitoring.rmids / topology.nodes);
        if apart { rmid } else { topology.node_of_socket(cpu) * share + rmid % share }
    }

    /// Accounts for the flows of a domain's CPUs.
    pub(crate) fn settle_flows(&self, state: &mut State, domain: usize, now: u64) {
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
    fn delay(&self, state: &State, cpu: usize) -> u64 {
        let Some(mba) = &self.features.mba else { return 0 };
        let topology = &self.machine.topology;
        let core = topology.core(cpu);
        let threads = core * topology.threads..(core + 1) * topology.threads;
        // Without per-thread control the throttle sits in the core and follows the slower thread.
        let affecting = if mba.per_thread { cpu..cpu + 1 } else { threads };
        let registers = &state.l3[topology.l3_domain(cpu)].mba;
        affecting
            .map(|thread| {
                let closid = state.threads[thread].assoc.get(PqrAssoc::CLOSID) as usize;
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
        let closid = thread.assoc.get(PqrAssoc::CLOSID) as usize;
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

impl crate::domain::L3Domain {
    /// Accounts for what happens to an RMID's counters by itself.
    fn settle(&mut self, rmid: usize, in_use: bool, now: u64) {
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
