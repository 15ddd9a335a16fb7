// SPDX-License-Identifier: GPL-2.0-only
//! What the traffic source is told, and why it cannot do as told.

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
