// SPDX-License-Identifier: GPL-2.0-only
//! RDT, or AMD's QoS, of one machine: CPUID, RDMSR and WRMSR as each CPU sees them.

mod caches;
mod qos;
mod settle;
pub(crate) mod shown;
mod state;

use state::State;
pub use state::{Gp, Rdt};

use crate::caches::Caches;
use crate::cpuid;
use crate::domain::CacheControl;
use crate::machine::{Cat, Machine, MachineError, QosFeatures, RdtFeatures, TelemetryFeatures};
use crate::qos::QosThread;
use crate::registers::{L3QosCfg, MbaThrottle, Msr, PqrAssoc, QmEvtsel, RmidSncConfig};
use crate::write_log::{Kind, MsrWrite};

impl Rdt {
    /// Powers a machine on. A machine without RDT is a machine whose every RDT register faults.
    ///
    /// # Errors
    ///
    /// If the description, made by hand, is not a valid one.
    pub fn new(machine: &Machine) -> Result<Self, MachineError> {
        let rdt = Self::at_reset(machine)?;
        if machine.cache.model {
            rdt.set_caches(Caches::Follow);
        }
        Ok(rdt)
    }

    /// Answers CPUID for a leaf that is RDT's alone (0xF, 0x10; of AMD also 0x80000020): EAX, EBX, ECX, EDX. `None` for
    /// any other leaf.
    pub fn cpuid(&self, _cpu: usize, leaf: u32, subleaf: u32) -> Option<[u32; 4]> {
        cpuid::own_leaf(&self.features, self.qos.as_ref(), leaf, subleaf)
    }

    /// Tells whether [`Rdt::patch_cpuid`] may change what the processor answers for a leaf.
    pub fn patches_cpuid(&self, leaf: u32) -> bool {
        cpuid::PATCHED.contains(&leaf) || self.qos.is_some() && cpuid::PATCHED_OF_AMD.contains(&leaf)
    }

    /// Completes what the processor itself answered to CPUID: feature bits in leaf 7, cache geometry in leaf 4 (of AMD in
    /// 0x80000006 and 0x8000001D). Other leaves come back as they are.
    pub fn patch_cpuid(&self, leaf: u32, subleaf: u32, native: [u32; 4]) -> [u32; 4] {
        cpuid::patch(&self.machine, leaf, subleaf, native)
    }

    /// Executes RDMSR on a CPU. `None` for an address that is not RDT's.
    ///
    /// # Errors
    ///
    /// #GP, for a register in RDT's ranges that this machine does not have.
    pub fn rdmsr(&self, cpu: usize, address: u32, now: u64) -> Result<Option<u64>, Gp> {
        let Some(msr) = self.decode(address)? else { return Ok(None) };
        let topology = &self.machine.topology;
        let mut state = self.state();
        let l3 = topology.l3_domain(cpu);
        let value = match msr {
            Msr::L3QosCfg if self.qos.is_some() => state.threads[cpu].qos.l3_config.0,
            Msr::L2QosCfg if self.qos.is_some() => state.threads[cpu].qos.l2_config.0,
            Msr::L3QosCfg => cache_of(&mut state.l3[l3].cache).config.0,
            Msr::L2QosCfg => cache_of(&mut state.l2[topology.l2_domain(cpu)]).config.0,
            Msr::L3Mask(n) => cache_of(&mut state.l3[l3].cache).masks[n],
            Msr::L2Mask(n) => cache_of(&mut state.l2[topology.l2_domain(cpu)]).masks[n],
            Msr::MbaThrottle(n) => state.l3[l3].mba[n].0,
            Msr::RmidSncConfig => state.snc[l3].0,
            Msr::PqrAssoc => state.threads[cpu].assoc.0,
            Msr::QmEvtsel => state.threads[cpu].select,
            Msr::QmCtr if self.qos.is_some() => self.qos_counter_register(&mut state, cpu, now).0,
            Msr::QmCtr => {
                let select = QmEvtsel(state.threads[cpu].select);
                let (event, rmid) = (select.get(QmEvtsel::EVENT), select.get(QmEvtsel::RMID));
                self.counter_register(&mut state, l3, event, rmid, now).0
            }
            Msr::MbaBandwidth(_)
            | Msr::SmbaBandwidth(_)
            | Msr::EvtCfg(_)
            | Msr::L3QosAbmcCfg
            | Msr::L3QosAbmcDsc
            | Msr::L3QosExtCfg => self.read_qos(&state, cpu, msr),
        };
        Ok(Some(value))
    }

    /// Executes WRMSR on a CPU. `false` for an address that is not RDT's.
    ///
    /// # Errors
    ///
    /// #GP, with nothing changed.
    pub fn wrmsr(&self, cpu: usize, address: u32, value: u64, now: u64) -> Result<bool, Gp> {
        let checked = self.decode(address).and_then(|msr| match msr {
            Some(msr) => self.check(msr, value).map(|()| Some(msr)),
            None => Ok(None),
        });
        let msr = match checked {
            Ok(Some(msr)) => msr,
            Ok(None) => return Ok(false),
            Err(fault) => {
                self.state().log.record_refused();
                return Err(fault);
            }
        };
        let mut state = self.state();
        let before = self.store(&mut state, cpu, msr, value, now);
        if before != value {
            self.show_caches(&state, cpu, msr);
        }
        state.log.record(msr, cpu, address, value, before != value);
        Ok(true)
    }

    /// Takes power from a CPU and gives it back: registers of the thread are as after reset, those of its caches stay.
    pub fn power_cycle(&self, cpu: usize, now: u64) {
        let mut state = self.state();
        self.store(&mut state, cpu, Msr::PqrAssoc, 0, now);
        state.threads[cpu].select = 0;
        state.threads[cpu].qos = QosThread::default();
        self.show_caches(&state, cpu, Msr::PqrAssoc);
    }

    /// Takes power from the whole machine and gives it back, as a system does that sleeps: every register is as after reset,
    /// caches are empty, counters begin at 0, and no traffic is made.
    pub fn lose_power(&self) {
        let mut state = self.state();
        let mut fresh = State::at_reset(&self.machine, &self.features, self.qos.as_ref());
        fresh.log = std::mem::take(&mut state.log);
        for (new, old) in fresh.l3.iter_mut().zip(&state.l3) {
            new.flows_since = old.flows_since;
        }
        *state = fresh;
        self.empty_caches(&state);
    }

    /// How often registers of a group were written since power-on.
    pub fn writes(&self, kind: Kind) -> u64 {
        self.state().log.total(kind)
    }

    /// Position the next remembered write will get, for [`Rdt::writes_since`].
    pub fn next_write(&self) -> u64 {
        self.state().log.next()
    }

    /// Remembered writes from a position on, oldest first, without those to `IA32_QM_EVTSEL`.
    pub fn writes_since(&self, sequence: u64) -> Vec<MsrWrite> {
        self.state().log.since(sequence)
    }

    /// The first remembered write to a control register (see [`Kind::CONTROL`]) at or after a position.
    pub fn control_write_at_or_after(&self, sequence: u64) -> Option<MsrWrite> {
        self.state().log.control_at_or_after(sequence)
    }

    /// Decodes an address to a register of this machine.
    fn decode(&self, address: u32) -> Result<Option<Msr>, Gp> {
        if address == RmidSncConfig::ADDRESS && self.machine.topology.nodes > 1 {
            return Ok(Some(Msr::RmidSncConfig));
        }
        let Some(msr) = Msr::at(address) else { return Ok(None) };
        let RdtFeatures { l3, l2, mba, monitoring } = &self.features;
        let has_cdp = |cat: &Option<Cat>| cat.as_ref().is_some_and(|cat| cat.cdp);
        let has_mask = |cat: &Option<Cat>, n| cat.as_ref().is_some_and(|cat| n < cat.closids);
        let exists = match msr {
            Msr::L3QosCfg => has_cdp(l3),
            Msr::L2QosCfg => has_cdp(l2),
            Msr::L3Mask(n) => has_mask(l3, n),
            Msr::L2Mask(n) => has_mask(l2, n),
            Msr::MbaThrottle(n) => mba.as_ref().is_some_and(|mba| n < mba.closids),
            Msr::QmEvtsel | Msr::QmCtr => monitoring.is_some(),
            Msr::RmidSncConfig => false,
            Msr::PqrAssoc => {
                let limits = self.qos.as_ref().is_some_and(|qos| qos.mba.is_some() || qos.smba.is_some());
                monitoring.is_some() || l3.is_some() || l2.is_some() || mba.is_some() || limits
            }
            Msr::MbaBandwidth(_)
            | Msr::SmbaBandwidth(_)
            | Msr::EvtCfg(_)
            | Msr::L3QosAbmcCfg
            | Msr::L3QosAbmcDsc
            | Msr::L3QosExtCfg => self.qos.as_ref().is_some_and(|qos| qos.has(msr)),
        };
        if exists { Ok(Some(msr)) } else { Err(Gp::NoSuchRegister) }
    }

    /// The rules a value has to keep to.
    fn check(&self, msr: Msr, value: u64) -> Result<(), Gp> {
        let reserved = |set: bool| if set { Err(Gp::ReservedBits) } else { Ok(()) };
        match msr {
            Msr::L3QosCfg | Msr::L2QosCfg => reserved(L3QosCfg(value).has_reserved_bits()),
            Msr::RmidSncConfig => reserved(RmidSncConfig(value).has_reserved_bits()),
            Msr::QmEvtsel if self.qos.is_some() => self.check_qos(msr, value),
            Msr::QmEvtsel => reserved(QmEvtsel(value).has_reserved_bits()),
            Msr::QmCtr | Msr::L3QosAbmcDsc => Err(Gp::ReadOnly),
            Msr::MbaBandwidth(_) | Msr::SmbaBandwidth(_) | Msr::EvtCfg(_) | Msr::L3QosAbmcCfg | Msr::L3QosExtCfg => {
                self.check_qos(msr, value)
            }
            Msr::PqrAssoc => self.check_assoc(PqrAssoc(value)),
            Msr::L3Mask(_) => check_mask(self.features.l3.as_ref(), value, self.qos.is_some()),
            Msr::L2Mask(_) => check_mask(self.features.l2.as_ref(), value, self.qos.is_some()),
            Msr::MbaThrottle(_) => {
                reserved(MbaThrottle(value).has_reserved_bits())?;
                let max = self.features.mba.as_ref().map_or(0, |mba| mba.max_delay);
                if value > max { Err(Gp::DelayTooLarge) } else { Ok(()) }
            }
        }
    }

    fn check_assoc(&self, assoc: PqrAssoc) -> Result<(), Gp> {
        if assoc.has_reserved_bits() {
            return Err(Gp::ReservedBits);
        }
        let RdtFeatures { l3, l2, mba, monitoring } = &self.features;
        // Where the L3 is not monitored, RMIDs may still be there for telemetry.
        let counted = self.machine.telemetry.iter().flat_map(TelemetryFeatures::groups);
        let counted = counted.map(|(group, _)| group.counters).max();
        let rmids = monitoring.as_ref().map(|m| m.rmids).or(counted).unwrap_or(1);
        // Where resources differ in their number of classes, the register takes any class some resource knows.
        let cat = |cat: &Option<Cat>| cat.as_ref().map_or(1, |cat| cat.closids);
        let limits = self.qos.as_ref().map_or(1, QosFeatures::limited_closids);
        let closids = cat(l3).max(cat(l2)).max(mba.as_ref().map_or(1, |mba| mba.closids)).max(limits);
        if assoc.get(PqrAssoc::RMID) >= rmids as u64 {
            return Err(Gp::RmidTooLarge);
        }
        // With CDP on, a class in the upper half has undefined effect but does not fault.
        if assoc.get(PqrAssoc::CLOSID) >= closids as u64 {
            return Err(Gp::ClosidTooLarge);
        }
        Ok(())
    }

    /// Stores a checked value and returns what was there. Traffic up to now is accounted for under the old one.
    fn store(&self, state: &mut State, cpu: usize, msr: Msr, value: u64, now: u64) -> u64 {
        let topology = &self.machine.topology;
        let (l3, l2) = (topology.l3_domain(cpu), topology.l2_domain(cpu));
        match msr {
            Msr::PqrAssoc if state.threads[cpu].assoc.0 != value => self.settle_assoc(state, cpu, PqrAssoc(value), now),
            Msr::L3QosCfg | Msr::L3Mask(_) | Msr::MbaThrottle(_) | Msr::RmidSncConfig => {
                self.settle_flows(state, l3, now);
            }
            _ => {}
        }
        let register = match msr {
            Msr::MbaBandwidth(_)
            | Msr::SmbaBandwidth(_)
            | Msr::EvtCfg(_)
            | Msr::L3QosAbmcCfg
            | Msr::L3QosAbmcDsc
            | Msr::L3QosExtCfg => return self.store_qos(state, cpu, msr, value, now),
            Msr::L3QosCfg if self.qos.is_some() => &mut state.threads[cpu].qos.l3_config.0,
            Msr::L2QosCfg if self.qos.is_some() => &mut state.threads[cpu].qos.l2_config.0,
            Msr::L3QosCfg => &mut cache_of(&mut state.l3[l3].cache).config.0,
            Msr::L2QosCfg => &mut cache_of(&mut state.l2[l2]).config.0,
            Msr::L3Mask(n) => &mut cache_of(&mut state.l3[l3].cache).masks[n],
            Msr::L2Mask(n) => &mut cache_of(&mut state.l2[l2]).masks[n],
            Msr::MbaThrottle(n) => &mut state.l3[l3].mba[n].0,
            Msr::RmidSncConfig => &mut state.snc[l3].0,
            Msr::PqrAssoc => &mut state.threads[cpu].assoc.0,
            Msr::QmEvtsel => &mut state.threads[cpu].select,
            Msr::QmCtr => unreachable!("a write to a read-only register does not pass the check"),
        };
        std::mem::replace(register, value)
    }
}

/// The control registers of a cache that [`Rdt::decode`] has found to have some.
fn cache_of(cache: &mut Option<CacheControl>) -> &mut CacheControl {
    cache.as_mut().expect("a register that exists belongs to a cache with control")
}

fn check_mask(cat: Option<&Cat>, mask: u64, may_be_empty: bool) -> Result<(), Gp> {
    let cat = cat.ok_or(Gp::NoSuchRegister)?;
    if mask & !cat.full_mask() != 0 {
        return Err(Gp::ReservedBits);
    }
    if mask == 0 {
        return if may_be_empty { Ok(()) } else { Err(Gp::MaskEmpty) };
    }
    if (mask.count_ones() as usize) < cat.min_bits {
        return Err(Gp::MaskTooNarrow);
    }
    let run = mask >> mask.trailing_zeros();
    if !cat.noncontiguous && run & (run + 1) != 0 {
        return Err(Gp::MaskNotContiguous);
    }
    Ok(())
}
