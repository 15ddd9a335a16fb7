// SPDX-License-Identifier: GPL-2.0-only
//! What no known processor has: two groups of the same events.

extern crate std;
use super::super::groups::{GROUPS, TelemetryEvent, whole};
use super::*;
use resctrl_types::sim::{self, SimPlatform, Topology};
use std::vec::Vec;

/// One region, all of whose counters hold the same.
struct OneRegion(&'static EventGroup, u64);

impl TelemetryRegions for OneRegion {
    fn count(&self) -> usize {
        1
    }

    fn region(&self, _index: usize) -> TelemetryRegion {
        TelemetryRegion { guid: self.0.guid, package: 0, num_rmids: self.0.num_rmid, size: self.0.size() }
    }

    fn read(&self, _index: usize, _offset: usize) -> u64 {
        self.1
    }
}

const fn group(feature: TelemetryFeature, guid: u32, events: &'static [TelemetryEvent]) -> EventGroup {
    EventGroup { feature, guid, num_rmid: 8, status_registers: 0, events }
}

static TWICE: [EventGroup; 3] = [
    group(TelemetryFeature::Energy, 1, &[whole(EventId::CoreEnergy)]),
    group(TelemetryFeature::Perf, 2, &[whole(EventId::UopsRetired), whole(EventId::CoreEnergy)]),
    group(TelemetryFeature::Perf, 3, &[whole(EventId::UopsRetired)]),
];

#[test]
fn an_event_belongs_to_the_first_group_that_has_it() {
    sim::run(|| {
        let sim = SimPlatform::new(Topology::packages(1, 2));
        let mut left = TWICE.iter().zip([VALID | 10, VALID | 20, VALID | 30]);
        let regions_of = |_| left.next().map(|(group, value)| OneRegion(group, value));
        let telemetry = Telemetry::find(&TWICE, Options::default(), &sim, regions_of).unwrap().unwrap();
        let read = |event| telemetry.read(&sim, DomainId(0), Rmid(7), event);
        assert_eq!(read(EventId::CoreEnergy), Ok(10));
        assert_eq!(read(EventId::UopsRetired), Ok(20));
        assert_eq!(read(EventId::C1Res), Err(ReadError::Error));
        let lines: Vec<_> = sim.log_lines();
        assert_eq!(
            lines,
            [
                "resctrl: PERF_PKG energy:0x1 monitoring detected",
                "resctrl: Duplicate enable for event 4",
                "resctrl: PERF_PKG perf:0x2 monitoring detected (skipped 1 events)",
                "resctrl: Duplicate enable for event 12",
                "resctrl: No events enabled in PERF_PKG perf:0x3",
            ]
        );
    });
}

const VALID: u64 = 1 << 63;

#[test]
fn a_region_is_as_long_as_the_kernel_knows_it() {
    assert_eq!(GROUPS.iter().map(EventGroup::size).collect::<Vec<_>>(), [9240, 32280]);
}
