// SPDX-License-Identifier: GPL-2.0-only
//! The table `[telemetry]`: what Intel's Application Energy Telemetry counts of each RMID, by package.

use super::validate::{Checked, ensure};
use super::{Machine, MachineError};
use crate::telemetry::TelemetryEvent;
use serde::Deserialize;

/// What the management unit of each package shows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TelemetryFeatures {
    /// Energy.
    pub energy: Option<TelemetryGroup>,
    /// Performance.
    pub perf: Option<TelemetryGroup>,
    /// Number of the first package, as the unit says it; another than 0 is wrong.
    #[serde(default)]
    pub first_package: u8,
}

/// Events that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TelemetryGroup {
    /// Says what is in a region.
    pub guid: u32,
    /// RMIDs that can be counted for, as the unit says it.
    pub rmids: u16,
    /// RMIDs that a region has counters for.
    #[serde(default = "known_counters")]
    pub counters: usize,
    /// Regions of each package; what is counted is their sum.
    #[serde(default = "super::one")]
    pub regions: usize,
}

/// RMIDs that every region whose layout is published has counters for.
pub const KNOWN_COUNTERS: usize = 576;

fn known_counters() -> usize {
    KNOWN_COUNTERS
}

impl TelemetryGroup {
    /// Bytes of a region: the counters, and three registers that say how the unit does.
    pub fn size(&self, events: usize) -> usize {
        (self.counters * events + 3) * 8
    }
}

impl TelemetryFeatures {
    /// What there is of the groups, each with its events in the order of their counters.
    pub fn groups(&self) -> impl Iterator<Item = (&TelemetryGroup, &'static [TelemetryEvent])> {
        let groups = [(&self.energy, TelemetryEvent::ENERGY), (&self.perf, TelemetryEvent::PERF)];
        groups.into_iter().filter_map(|(group, events)| group.as_ref().map(|group| (group, events)))
    }
}

impl Machine {
    pub(super) fn validate_telemetry(&self, features: &TelemetryFeatures) -> Checked {
        ensure!(self.rdt.is_some(), "telemetry: only a machine with [rdt] has RMIDs that telemetry counts for");
        let last = usize::from(features.first_package) + self.topology.sockets - 1;
        ensure!(last <= 0xff, "telemetry.first_package: the last package would be {last}, more than 255");
        ensure!(features.groups().next().is_some(), "telemetry: has neither energy nor perf");
        for (group, events) in features.groups() {
            let name = events[0].group();
            ensure!(
                (1..=4096).contains(&group.counters),
                "telemetry.{name}.counters: {} is not 1 to 4096",
                group.counters
            );
            ensure!((1..=8).contains(&group.regions), "telemetry.{name}.regions: {} is not 1 to 8", group.regions);
        }
        Ok(())
    }
}
