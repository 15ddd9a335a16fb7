// SPDX-License-Identifier: GPL-2.0-only
//! The events that are counted by package.

/// An event that is counted by package. The number is the one by which tools ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TelemetryEvent {
    /// Joules, in 2^-18.
    CoreEnergy = 0,
    /// Farads, in 2^-18.
    Activity = 1,
    /// Cycles of waiting for data that the last level cache had.
    StallsLlcHit = 2,
    /// Time asleep, lightly.
    C1Res = 3,
    /// Cycles at work.
    UnhaltedCoreCycles = 4,
    /// Cycles of waiting for data that the last level cache had not.
    StallsLlcMiss = 5,
    /// Time asleep, deeply.
    C6Res = 6,
    /// Time at work.
    UnhaltedRefCycles = 7,
    /// Micro-operations done.
    UopsRetired = 8,
}

impl TelemetryEvent {
    /// The events that are counted with energy, in the order of their counters.
    pub const ENERGY: &[Self] = &[Self::CoreEnergy, Self::Activity];

    /// Those that are counted with performance.
    pub const PERF: &[Self] = &[
        Self::StallsLlcHit,
        Self::C1Res,
        Self::UnhaltedCoreCycles,
        Self::StallsLlcMiss,
        Self::C6Res,
        Self::UnhaltedRefCycles,
        Self::UopsRetired,
    ];

    /// Event of a number, if there is one.
    pub fn from_id(id: u64) -> Option<Self> {
        Self::ENERGY.iter().chain(Self::PERF).copied().find(|event| *event as u64 == id)
    }

    /// Event of a name as tools spell it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ENERGY.iter().chain(Self::PERF).copied().find(|event| event.name() == name)
    }

    /// Name as tools spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CoreEnergy => "core_energy",
            Self::Activity => "activity",
            Self::StallsLlcHit => "stalls_llc_hit",
            Self::C1Res => "c1_res",
            Self::UnhaltedCoreCycles => "unhalted_core_cycles",
            Self::StallsLlcMiss => "stalls_llc_miss",
            Self::C6Res => "c6_res",
            Self::UnhaltedRefCycles => "unhalted_ref_cycles",
            Self::UopsRetired => "uops_retired",
        }
    }

    /// Name of what it is counted with, as machine files spell it.
    pub fn group(self) -> &'static str {
        if Self::ENERGY.contains(&self) { "energy" } else { "perf" }
    }
}
