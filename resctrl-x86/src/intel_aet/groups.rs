// SPDX-License-Identifier: GPL-2.0-only
//! Which events are counted by package, and where they are in a region.

use core::fmt;

use resctrl_types::event::FractionBits;
use resctrl_types::{EventId, ResourceId};

use crate::TelemetryFeature;
use crate::register::registers;

registers! {
    usize;

    /// A counter: the one of an event for an RMID is at `RMID * events + event` in its region.
    Counter = 0; {
        /// The count, in units of the event.
        DATA: 62, 0;
        /// Something has been counted for the RMID.
        VALID: 63, 63;
    }
}

/// Bytes of a counter, and of each status register behind the counters.
pub(super) const COUNTER_SIZE: usize = 8;

/// An event in a region.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TelemetryEvent {
    pub(crate) id: EventId,
    /// Bits of fraction; `None` for a whole number.
    pub(super) fraction: Option<FractionBits>,
}

/// Events that are counted together, in regions of one GUID.
#[derive(Debug)]
pub(crate) struct EventGroup {
    pub(crate) feature: TelemetryFeature,
    pub(crate) guid: u32,
    /// RMIDs that a region has counters for.
    pub(crate) num_rmid: u32,
    /// Status registers behind the counters.
    pub(super) status_registers: usize,
    /// In the order of their counters.
    pub(crate) events: &'static [TelemetryEvent],
}

impl EventGroup {
    /// Bytes of a region.
    pub(crate) const fn size(&self) -> usize {
        let counters = (self.num_rmid as usize).saturating_mul(self.events.len());
        counters.saturating_add(self.status_registers).saturating_mul(COUNTER_SIZE)
    }

    pub(super) fn place(&self, event: EventId) -> Option<usize> {
        self.events.iter().position(|known| known.id == event)
    }
}

impl fmt::Display for EventGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{:#x}", ResourceId::PerfPkg.name(), self.feature.name(), self.guid)
    }
}

pub(super) const fn whole(id: EventId) -> TelemetryEvent {
    TelemetryEvent { id, fraction: None }
}

const fn fixed_point(id: EventId, bits: u8) -> TelemetryEvent {
    TelemetryEvent { id, fraction: FractionBits::new(bits) }
}

/// What is known. `xml/CWF/OOBMSM/RMID-ENERGY/cwf_aggregator.xml` and `xml/CWF/OOBMSM/RMID-PERF/cwf_aggregator.xml` (Clearwater
/// Forest).
pub(crate) static GROUPS: [EventGroup; 2] = [
    EventGroup {
        feature: TelemetryFeature::Energy,
        guid: 0x2669_6143,
        num_rmid: 576,
        status_registers: 3,
        events: &[fixed_point(EventId::CoreEnergy, 18), fixed_point(EventId::Activity, 18)],
    },
    EventGroup {
        feature: TelemetryFeature::Perf,
        guid: 0x2655_7651,
        num_rmid: 576,
        status_registers: 3,
        events: &[
            whole(EventId::StallsLlcHit),
            whole(EventId::C1Res),
            whole(EventId::UnhaltedCoreCycles),
            whole(EventId::StallsLlcMiss),
            whole(EventId::C6Res),
            whole(EventId::UnhaltedRefCycles),
            whole(EventId::UopsRetired),
        ],
    },
];
