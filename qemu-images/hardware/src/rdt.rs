// SPDX-License-Identifier: GPL-2.0-only
//! RDT, or AMD's QoS, of one machine: CPUID, RDMSR and WRMSR as each CPU sees them.

use crate::cpuid;
use crate::domain::{CacheControl, L3Domain, l2_at_reset};
use crate::machine::{Cat, Machine, MachineError, QosFeatures, RdtFeatures, TelemetryFeatures};
use crate::monitor::Event;
use crate::qos::{QosDomain, QosThread};
use crate::registers::{L3QosCfg, MbaThrottle, Msr, PqrAssoc, QmCtr, QmEvtsel, RmidSncConfig};
use crate::telemetry::Telemetry;
use crate::traffic::Flow;
use crate::write_log::{Kind, MsrWrite, WriteLog};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A general protection fault, with the rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gp {
    /// This machine has no such register.
    NoSuchRegister,
    /// The register can only be read.
    ReadOnly,
    /// A reserved bit is set; bits of a mask beyond its length are reserved.
    ReservedBits,
    /// A mask with no bit.
    MaskEmpty,
    /// A mask with fewer bits than it takes.
    MaskTooNarrow,
    /// A mask with a hole, on a machine that supports none.
    MaskNotContiguous,
    /// A delay beyond the largest.
    DelayTooLarge,
    /// An RMID beyond the highest.
    RmidTooLarge,
    /// A CLOSID beyond the highest of all resources.
    ClosidTooLarge,
    /// A bandwidth limit beyond the value that is none.
    LimitTooLarge,
}

impl fmt::Display for Gp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchRegister => "no such register on this machine",
            Self::ReadOnly => "read-only register",
            Self::ReservedBits => "reserved bit set",
            Self::MaskEmpty => "mask without a bit",
            Self::MaskTooNarrow => "mask with too few bits",
            Self::MaskNotContiguous => "mask with a hole",
            Self::DelayTooLarge => "delay above the maximum",
            Self::RmidTooLarge => "RMID above the maximum",
            Self::ClosidTooLarge => "CLOSID above the maximum",
            Self::LimitTooLarge => "limit above the maximum",
        })
    }
}

impl std::error::Error for Gp {}

/// Resource Director Technology, or AMD Platform Quality of Service, of one machine.
///
/// All methods take `&self` and may be called from any thread; one lock is held for the length of a call. `cpu` counts
/// CPUs from 0 in the order of [`Topology`](crate::machine::Topology); `now` is monotonic time in nanoseconds from any
/// beginning, virtual or real. Time a little behind an earlier call's is taken as no time passed.
///
/// # Panics
///
/// Every method panics for a `cpu` the machine does not have: whoever drives the machine knows how many there are.
#[derive(Debug)]
pub struct Rdt {
    pub(crate) machine: Machine,
    /// Of a machine of AMD, what it shares with Intel's.
    pub(crate) features: RdtFeatures,
    /// What only AMD's have.
    pub(crate) qos: Option<QosFeatures>,
    telemetry: Option<Arc<Telemetry>>,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) threads: Vec<Thread>,
    pub(crate) l3: Vec<L3Domain>,
    /// By L3 domain: a package divided into nodes has but one.
    pub(crate) snc: Vec<RmidSncConfig>,
    pub(crate) l2: Vec<Option<CacheControl>>,
    pub(crate) log: WriteLog,
}

/// Registers of one hardware thread, and the traffic it makes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Thread {
    pub(crate) assoc: PqrAssoc,
    /// `IA32_QM_EVTSEL`; fields are read as the vendor lays them out.
    pub(crate) select: u64,
    pub(crate) flow: Option<Flow>,
    pub(crate) qos: QosThread,
}

impl Rdt {
    /// Powers a machine on. A machine without RDT is a machine whose every RDT register faults.
    ///
    /// # Errors
    ///
    /// If the description, made by hand, is not a valid one.
    pub fn new(machine: &Machine) -> Result<Self, MachineError> {
        machine.validate()?;
        let qos = machine.qos.clone();
        let shared = qos.as_ref().map(QosFeatures::as_rdt);
        let features = shared.or_else(|| machine.rdt.clone()).unwrap_or_default();
        let l3 = L3Domain::at_reset(&features, qos.as_ref().map(QosDomain::at_reset));
        let state = State {
            threads: vec![Thread::default(); machine.topology.cpus()],
            l3: vec![l3; machine.topology.l3_domains()],
            snc: vec![RmidSncConfig(RmidSncConfig::DISTRIBUTED.mask()); machine.topology.l3_domains()],
            l2: vec![l2_at_reset(&features); machine.topology.l2_domains()],
            log: WriteLog::default(),
        };
        let telemetry = Telemetry::new(machine).map(Arc::new);
        Ok(Self { machine: machine.clone(), features, qos, telemetry, state: Mutex::new(state) })
    }

    /// The machine this is the hardware of.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What is counted by package, if anything is.
    pub fn telemetry(&self) -> Option<&Arc<Telemetry>> {
        self.telemetry.as_ref()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic in a test's thread leaves valid, if half-changed, registers behind; other threads may look at them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        state.log.record(msr, cpu, address, value, before != value);
        Ok(true)
    }

    /// Takes power from a CPU and gives it back: registers of the thread are as after reset, those of its caches stay.
    pub fn power_cycle(&self, cpu: usize, now: u64) {
        let mut state = self.state();
        self.store(&mut state, cpu, Msr::PqrAssoc, 0, now);
        state.threads[cpu].select = 0;
        state.threads[cpu].qos = QosThread::default();
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

    pub(crate) fn counter_register(&self, state: &mut State, domain: usize, event: u64, rmid: u64, now: u64) -> QmCtr {
        let error = QmCtr(QmCtr::ERROR.mask());
        let Some(monitoring) = &self.features.monitoring else { return error };
        let event = Event::from_id(event).filter(|event| monitoring.events.contains(event));
        let rmid = rmid as usize;
        let (Some(event), true) = (event, rmid < monitoring.rmids) else { return error };
        self.settle(state, domain, rmid, now);
        // Occupancy is bounded by the cache, only traffic counters wrap.
        let width = if event == Event::LlcOccupancy { 62 } else { monitoring.counter_bits };
        state.l3[domain].rmids[rmid].counter(event).register(self.machine.topology.share(monitoring.unit), width)
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
