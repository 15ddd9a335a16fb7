// SPDX-License-Identifier: GPL-2.0-only
//! The table `[qos]`: AMD Platform Quality of Service.
//!
//! Caches and their monitors are described as in `[rdt]`, whose registers AMD shares. Bandwidth limits, and which
//! transactions a counter counts, are AMD's own.

use super::validate::{Checked, cat, closid_count, ensure, monitoring};
use super::{Arch, Cat, Machine, MachineError, Monitoring, RdtFeatures};
use crate::monitor::Event;
use crate::registers::{L2Mask, L3Mask, L3QosAbmcCfg, MbaBandwidth, SmbaBandwidth, TransactionKinds};
use serde::Deserialize;

/// The parts of Platform Quality of Service a machine has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct QosFeatures {
    /// L3 cache allocation.
    pub l3: Option<Cat>,
    /// L2 cache allocation.
    pub l2: Option<Cat>,
    /// Limits of the bandwidth to memory.
    pub mba: Option<BandwidthLimit>,
    /// Limits of the bandwidth to slow memory (SMBA).
    pub smba: Option<BandwidthLimit>,
    /// L3 monitoring.
    pub monitoring: Option<Monitoring>,
    /// Kinds of transactions that can be told apart, where `bmec` or `abmc` chooses among them: a mask of 7 bits.
    #[serde(default = "all_kinds")]
    pub transactions: u64,
    /// Whether what the bandwidth events count can be configured (BMEC).
    #[serde(default)]
    pub bmec: bool,
    /// Bandwidth counters that can be assigned (ABMC).
    pub abmc: Option<Abmc>,
    /// Whether what devices inject into the L3 can be confined to a class of service (SDCIAE).
    #[serde(default)]
    pub sdciae: bool,
}

fn all_kinds() -> u64 {
    TransactionKinds::DEFINED
}

/// Limits of one kind of bandwidth.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BandwidthLimit {
    /// A limit is a number of this many bits, in eighths of 10^9 bytes a second; two to the power of it is no limit.
    pub bits: u32,
    /// Classes of service.
    pub closids: usize,
}

impl BandwidthLimit {
    /// The value that is no limit.
    pub fn unlimited(&self) -> u64 {
        1 << self.bits
    }
}

/// Bandwidth counters that can be assigned.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Abmc {
    /// Counters of each L3, 1 to 32.
    pub counters: usize,
}

impl QosFeatures {
    /// What AMD shares with Intel: caches, with masks of any shape, and monitors.
    pub(crate) fn as_rdt(&self) -> RdtFeatures {
        let any_shape = |cat: &Option<Cat>| cat.clone().map(|cat| Cat { noncontiguous: true, ..cat });
        RdtFeatures { l3: any_shape(&self.l3), l2: any_shape(&self.l2), mba: None, monitoring: self.monitoring.clone() }
    }
}

impl Machine {
    pub(super) fn validate_qos(&self, qos: &QosFeatures) -> Checked {
        ensure!(self.arch == Arch::X86_64, "qos: only a machine of arch \"x86_64\" can have it");
        for (name, cache, addresses) in [("qos.l3", &qos.l3, L3Mask::COUNT), ("qos.l2", &qos.l2, L2Mask::COUNT)] {
            let Some(cache) = cache else { continue };
            cat(name, cache, addresses)?;
            ensure!(!cache.noncontiguous, "{name}.noncontiguous: is not said of AMD, whose masks may have any shape");
        }
        for (name, limit, addresses) in
            [("qos.mba", &qos.mba, MbaBandwidth::COUNT), ("qos.smba", &qos.smba, SmbaBandwidth::COUNT)]
        {
            let Some(BandwidthLimit { bits, closids }) = limit else { continue };
            ensure!((1..=31).contains(bits), "{name}.bits: {bits} is not within 1 to 31");
            closid_count(name, *closids, addresses)?;
        }
        if let Some(m) = &qos.monitoring {
            monitoring("qos.monitoring", m)?;
        }
        let counts = |event| qos.monitoring.as_ref().is_some_and(|m| m.events.contains(&event));
        let both = counts(Event::MbmTotal) && counts(Event::MbmLocal);
        ensure!(!qos.bmec || both, "qos.bmec: needs both bandwidth events in qos.monitoring.events");
        ensure!(
            qos.transactions != 0 && qos.transactions & !TransactionKinds::DEFINED == 0,
            "qos.transactions: {:#x} is not a mask of some of the 7 kinds",
            qos.transactions
        );
        if let Some(Abmc { counters }) = qos.abmc {
            let most = L3QosAbmcCfg::COUNTER.max() + 1;
            ensure!(qos.monitoring.is_some(), "qos.abmc: needs qos.monitoring");
            ensure!(
                counters >= 1 && counters as u64 <= most,
                "qos.abmc.counters: {counters} is not within 1 to {most}"
            );
        }
        ensure!(!qos.sdciae || qos.l3.is_some(), "qos.sdciae: needs qos.l3");
        Ok(())
    }
}
