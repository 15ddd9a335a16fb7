// SPDX-License-Identifier: GPL-2.0-only
//! What a machine's registers hold.

use crate::caches::Model;
use crate::domain::{CacheControl, L3Domain, l2_at_reset};
use crate::flow::Flow;
use crate::machine::{Cat, Machine, MachineError, QosFeatures, RdtFeatures};
use crate::qos::{QosDomain, QosThread};
use crate::registers::{PqrAssoc, RmidSncConfig};
use crate::telemetry::Telemetry;
use crate::write_log::WriteLog;
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
    pub(super) caches: Option<Model>,
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

impl State {
    /// As after power-on.
    pub(super) fn at_reset(machine: &Machine, features: &RdtFeatures, qos: Option<&QosFeatures>) -> Self {
        let l3 = L3Domain::at_reset(features, qos.map(QosDomain::at_reset));
        State {
            threads: vec![Thread::default(); machine.topology.cpus()],
            l3: vec![l3; machine.topology.l3_domains()],
            snc: vec![RmidSncConfig(RmidSncConfig::DISTRIBUTED.mask()); machine.topology.l3_domains()],
            l2: vec![l2_at_reset(features); machine.topology.l2_domains()],
            log: WriteLog::default(),
        }
    }
}

/// Classes of service that a CPU can work for.
fn classes(features: &RdtFeatures, qos: Option<&QosFeatures>) -> usize {
    let cat = |cat: &Option<Cat>| cat.as_ref().map_or(1, |cat| cat.closids);
    let mba = features.mba.as_ref().map_or(1, |mba| mba.closids);
    cat(&features.l3).max(cat(&features.l2)).max(mba).max(qos.map_or(1, QosFeatures::limited_closids))
}

impl Rdt {
    /// A machine as after power-on, with its caches still.
    pub(super) fn at_reset(machine: &Machine) -> Result<Self, MachineError> {
        machine.validate()?;
        let qos = machine.qos.clone();
        let shared = qos.as_ref().map(QosFeatures::as_rdt);
        let features = shared.or_else(|| machine.rdt.clone()).unwrap_or_default();
        let state = State::at_reset(machine, &features, qos.as_ref());
        let telemetry = Telemetry::new(machine).map(Arc::new);
        let caches =
            Model::of(machine, classes(&features, qos.as_ref()), features.monitoring.as_ref().map_or(0, |m| m.rmids));
        Ok(Self { machine: machine.clone(), features, qos, telemetry, caches, state: Mutex::new(state) })
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
}
