// SPDX-License-Identifier: GPL-2.0-only
//! The traffic source: what programs are made out to do to caches and memory, by PARTID and PMG.
//!
//! As on a machine with RDT there is a plain way, which addresses a PARTID and PMG of an L3 domain, and a faithful one,
//! a [`Flow`] of a CPU, which carries whatever label the CPU has at each moment. Every byte passes the instances of the
//! domain's L3 and of memory, and is counted by those monitors there that match it. A limit to the bandwidth always
//! limits a flow, as if somebody else wanted the rest.

use super::{Effects, State, System};
use crate::flow::{Flow, TrafficError};
use crate::machine::{Instance, Machine, Place};
use crate::monitor::Counter;
use crate::mpam::registers::{Cmax, Cpbm, MbwMax};
use crate::mpam::{Label, Level, Occupancy, Request};
use std::collections::BTreeMap;

/// What a label does in an L3 domain.
#[derive(Debug, Default)]
pub(super) struct Use {
    pub(super) total: Counter,
    pub(super) occupancy: Counter,
    /// Bytes of `total` that have passed the components.
    pub(super) passed: u64,
    /// Bytes of `occupancy` that would have to be written back: only caches that follow the guest know any.
    pub(super) dirty: u64,
}

#[derive(Debug)]
pub(super) struct Traffic {
    /// By L3 domain.
    pub(super) domains: Vec<Domain>,
    /// By CPU.
    flows: Vec<Option<Flow>>,
    /// Nothing changes by itself: time need not be looked at.
    pub(super) still: bool,
    since: u64,
}

#[derive(Debug, Default)]
pub(super) struct Domain {
    pub(super) labels: BTreeMap<(u16, u8), Use>,
    drain: u64,
}

/// One of several equal parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slice {
    number: u64,
    of: u64,
}

impl Slice {
    /// The part of so many bytes; the parts add up.
    pub(super) fn take(self, bytes: u64) -> u64 {
        let up_to = |number: u64| u128::from(bytes) * u128::from(number) / u128::from(self.of);
        u64::try_from(up_to(self.number + 1) - up_to(self.number)).unwrap_or(bytes)
    }
}

impl Traffic {
    pub(super) fn new(machine: &Machine) -> Self {
        Traffic {
            domains: (0..machine.topology.l3_domains()).map(|_| Domain::default()).collect(),
            flows: vec![None; machine.topology.cpus()],
            still: true,
            since: 0,
        }
    }
}

impl System {
    /// Moves so many bytes between a domain's CPUs and memory.
    ///
    /// # Errors
    ///
    /// No such domain, PARTID or PMG.
    pub fn add(&self, domain: usize, label: Label, bytes: u64, now: u64) -> Result<Effects, TrafficError> {
        self.with_use(domain, label, now, |usage| usage.total.add(bytes))
    }

    /// Sets what a label holds of a domain's L3.
    ///
    /// # Errors
    ///
    /// No such domain, PARTID or PMG.
    pub fn set_occupancy(&self, domain: usize, label: Label, bytes: u64, now: u64) -> Result<Effects, TrafficError> {
        self.with_use(domain, label, now, |usage| usage.occupancy.set(bytes))
    }

    /// Moves so many bytes a second from now on.
    ///
    /// # Errors
    ///
    /// No such domain, PARTID or PMG.
    pub fn set_rate(&self, domain: usize, label: Label, rate: u64, now: u64) -> Result<Effects, TrafficError> {
        self.with_use(domain, label, now, |usage| usage.total.set_rate(rate))
    }

    /// What a label has moved, and what it holds of the L3, in bytes.
    ///
    /// # Errors
    ///
    /// No such domain, PARTID or PMG.
    pub fn usage(&self, domain: usize, label: Label, now: u64) -> Result<(u64, u64), TrafficError> {
        let mut seen = (0, 0);
        // What this brings about, the next access to a page brings about as well.
        let _ = self.with_use(domain, label, now, |usage| {
            seen = (usage.total.bytes(), usage.occupancy.bytes());
        })?;
        Ok(seen)
    }

    /// Gives a CPU a flow, or (`None`) takes it away.
    ///
    /// # Errors
    ///
    /// No such CPU.
    pub fn set_flow(&self, cpu: usize, flow: Option<Flow>, now: u64) -> Result<Effects, TrafficError> {
        let mut state = self.state();
        let mut effects = Effects::default();
        if cpu >= state.traffic.flows.len() {
            return Err(TrafficError::NoSuchCpu);
        }
        self.settle(&mut state, now, &mut effects);
        state.traffic.flows[cpu] = flow;
        state.traffic.still = false;
        Ok(effects)
    }

    /// Lets every label that no CPU of the domain has lose so many bytes of the L3 a second; 0, as after power-on, keeps
    /// its lines for ever.
    ///
    /// # Errors
    ///
    /// No such domain.
    pub fn set_drain(&self, domain: usize, rate: u64, now: u64) -> Result<Effects, TrafficError> {
        let mut state = self.state();
        let mut effects = Effects::default();
        self.settle(&mut state, now, &mut effects);
        let Traffic { domains, still, since, .. } = &mut state.traffic;
        let domain = domains.get_mut(domain).ok_or(TrafficError::NoSuchDomain)?;
        // While nothing moved nobody took note of the time.
        domain.labels.values_mut().for_each(|usage| usage.occupancy.hold(*since));
        domain.drain = rate;
        *still = false;
        Ok(effects)
    }

    /// Makes the monitors that count a label not ready for as long as somebody wants, or ends that.
    ///
    /// # Errors
    ///
    /// No such domain, PARTID or PMG.
    pub fn set_not_ready(&self, domain: usize, label: Label, not_ready: bool) -> Result<(), TrafficError> {
        self.check(domain, label)?;
        let mut state = self.state();
        for (msc, ris) in self.passed_by(domain) {
            state.mscs[msc].msc.set_not_ready(ris, label.partid, label.pmg, not_ready);
        }
        Ok(())
    }

    fn check(&self, domain: usize, label: Label) -> Result<(), TrafficError> {
        if domain >= self.machine.topology.l3_domains() {
            return Err(TrafficError::NoSuchDomain);
        }
        if label.partid > self.features.partid_max || label.pmg > self.features.pmg_max {
            return Err(TrafficError::NoSuchRmid);
        }
        Ok(())
    }

    fn with_use(
        &self,
        domain: usize,
        label: Label,
        now: u64,
        act: impl FnOnce(&mut Use),
    ) -> Result<Effects, TrafficError> {
        self.check(domain, label)?;
        let mut state = self.state();
        let mut effects = Effects::default();
        self.settle(&mut state, now, &mut effects);
        let since = state.traffic.since;
        let usage = state.traffic.domains[domain].labels.entry((label.partid, label.pmg)).or_default();
        usage.total.hold(since);
        usage.occupancy.hold(since);
        act(usage);
        state.traffic.still = false;
        self.settle(&mut state, now, &mut effects);
        Ok(effects)
    }

    /// The instances that requests of a domain pass: MSC and instance.
    fn passed_by(&self, domain: usize) -> Vec<(usize, usize)> {
        let passes = |place: Place| place.l3_domain(&self.machine) == Some(domain) || place == Place::Memory(0);
        self.instances().filter(|(_, _, place)| passes(*place)).map(|(msc, ris, _)| (msc, ris)).collect()
    }

    /// What part of a domain's bytes an instance sees in its monitors of a kind. Instances with such monitors that are
    /// part of the same thing are slices of it, and share it out.
    fn slice(&self, (msc, ris): (usize, usize), monitors: impl Fn(&Instance) -> bool) -> Slice {
        let place = self.features.msc[msc].ris[ris].part_of;
        let alike: Vec<_> = self
            .instances()
            .filter(|&(msc, ris, of)| Some(of) == place && monitors(&self.features.msc[msc].ris[ris]))
            .map(|(msc, ris, _)| (msc, ris))
            .collect();
        let number = alike.iter().position(|instance| *instance == (msc, ris));
        number.map_or(Slice { number: 0, of: 1 }, |number| Slice { number: number as u64, of: alike.len() as u64 })
    }

    /// Lets everything happen that happens by itself up to `now`.
    pub(super) fn settle(&self, state: &mut State, now: u64, effects: &mut Effects) {
        let now = now.max(state.traffic.since);
        let elapsed = now - state.traffic.since;
        state.traffic.since = now;
        if state.traffic.still && !self.caches_follow() {
            return;
        }
        let mut still = true;
        for domain in 0..state.traffic.domains.len() {
            still &= self.settle_domain(state, domain, elapsed, now);
        }
        state.traffic.still = still;
        for msc in 0..state.mscs.len() {
            self.refresh(state, msc, 0, now, effects);
        }
    }

    /// Tells whether the domain will not change by itself.
    fn settle_domain(&self, state: &mut State, domain: usize, elapsed: u64, now: u64) -> bool {
        let mut still = true;
        let cpus = self.machine.topology.l3_domain_cpus(domain);
        let in_use: Vec<Label> = cpus.clone().map(|cpu| state.cpus[cpu].label(Level::El0, false)).collect();
        for (cpu, &label) in cpus.zip(&in_use) {
            let Some(flow) = state.traffic.flows[cpu] else { continue };
            still = false;
            let limit = flow.footprint.min(self.cache_share(state, domain, label));
            let rate = self.limited(state, domain, label, flow.total);
            let usage = state.traffic.domains[domain].labels.entry((label.partid, label.pmg)).or_default();
            usage.total.flow(rate, elapsed);
            usage.occupancy.fill(rate, elapsed, limit);
        }
        let slices = self.passed_by(domain).into_iter().map(|at| {
            let requests = self.slice(at, |instance| instance.traffic.is_some());
            (at, requests, self.slice(at, |instance| instance.usage.is_some()))
        });
        let slices: Vec<_> = slices.collect();
        self.settle_caches(state, domain, &slices);
        let State { mscs, traffic, .. } = state;
        let Domain { labels, drain } = &mut traffic.domains[domain];
        for (&(partid, pmg), usage) in labels {
            usage.total.advance(now);
            if in_use.contains(&Label { partid, pmg }) {
                usage.occupancy.hold(now);
            } else {
                usage.occupancy.drain(*drain, now);
            }
            still &= usage.total.rate() == 0 && (*drain == 0 || usage.occupancy.bytes() == 0);
            let bytes = usage.total.bytes() - usage.passed;
            usage.passed += bytes;
            for &((msc, ris), requests, lines) in &slices {
                let bytes = requests.take(bytes);
                if bytes > 0 {
                    mscs[msc].msc.request(ris, Request { partid, pmg, bytes, write: false });
                }
                let total = lines.take(usage.occupancy.bytes());
                let dirty = lines.take(usage.dirty);
                mscs[msc].msc.set_occupancy(ris, partid, pmg, Occupancy { total, dirty });
            }
        }
        still
    }

    /// Bytes of a domain's L3 that a label may fill.
    fn cache_share(&self, state: &State, domain: usize, label: Label) -> u64 {
        let size = self.machine.cache.l3.as_ref().map_or(0, |l3| l3.size_kib * 1024);
        let mut share = size;
        for (msc, ris, place) in self.instances() {
            if place.l3_domain(&self.machine) != Some(domain) {
                continue;
            }
            let config = &self.features.msc[msc].ris[ris];
            let control = |offset| state.mscs[msc].msc.control(ris, label.partid, offset);
            let words = config.cpor_bits.div_ceil(32);
            if words > 0 {
                let bits: u32 =
                    (0..words).filter_map(|word| control(Cpbm::OFFSET + 4 * word)).map(u32::count_ones).sum();
                share = share.min(size * u64::from(bits) / u64::from(config.cpor_bits));
            }
            if let Some(fraction) = control(Cmax::OFFSET) {
                share = share.min((size * (Cmax::CMAX.get(fraction.into()) + 1)) >> 16);
            }
        }
        share
    }

    /// A rate as far as the limits to a label's bandwidth let it.
    pub(super) fn limited(&self, state: &State, domain: usize, label: Label, rate: u64) -> u64 {
        let limits = self.passed_by(domain).into_iter().filter_map(|(msc, ris)| {
            if let Some(chip) = &state.chip {
                return Some(chip.share(label.partid, self.features.msc[msc].ris[ris].bandwidth?.bits));
            }
            let granule = 1_u64 << (16 - self.features.msc[msc].ris[ris].bandwidth?.bits.min(16));
            let fraction = state.mscs[msc].msc.control(ris, label.partid, MbwMax::OFFSET)?;
            Some(MbwMax::MAX.get(fraction.into()) + granule)
        });
        let share = limits.min().map_or(1 << 16, |share| share.min(1 << 16));
        u64::try_from((u128::from(rate) * u128::from(share)) >> 16).unwrap_or(rate)
    }
}
