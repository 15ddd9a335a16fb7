// SPDX-License-Identifier: GPL-2.0-only
//! What can be counted.

use crate::ids::ResourceId;

/// A monitoring event. The numbers are the kernel's (`enum resctrl_event_id`) and, for the L3, the hardware's
/// (SDM vol. 3B, table 19-19, "Monitoring Supported Event IDs"). From [`EventId::CoreEnergy`] on they are counted by package
/// ([`ResourceId::PerfPkg`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EventId {
    /// Bytes of the L3 that lines of the group occupy.
    LlcOccupancy = 1,
    /// Bytes that crossed the L3's boundary.
    MbmTotal = 2,
    /// Bytes that crossed the L3's boundary to or from local memory.
    MbmLocal = 3,
    /// Energy that cores have used while they worked for the group, in joules.
    CoreEnergy = 4,
    /// What the group's work would have made of switching capacitance, in farads: energy without the influence of voltage.
    Activity = 5,
    /// Cycles in which cores waited for data that the last level cache had.
    StallsLlcHit = 6,
    /// Time that cores were in the sleep state C1, in cycles of the time stamp counter.
    C1Res = 7,
    /// Cycles in which cores were not halted.
    UnhaltedCoreCycles = 8,
    /// Cycles in which cores waited for data that the last level cache did not have.
    StallsLlcMiss = 9,
    /// Time that cores were in the sleep state C6, in cycles of the time stamp counter.
    C6Res = 10,
    /// Cycles of the time stamp counter in which cores were not halted.
    UnhaltedRefCycles = 11,
    /// Micro-operations that have retired.
    UopsRetired = 12,
}

impl EventId {
    /// Every event, in the order of the numbers, which is the order of every listing.
    pub const ALL: [EventId; 12] = [
        EventId::LlcOccupancy,
        EventId::MbmTotal,
        EventId::MbmLocal,
        EventId::CoreEnergy,
        EventId::Activity,
        EventId::StallsLlcHit,
        EventId::C1Res,
        EventId::UnhaltedCoreCycles,
        EventId::StallsLlcMiss,
        EventId::C6Res,
        EventId::UnhaltedRefCycles,
        EventId::UopsRetired,
    ];

    /// The events of the L3.
    pub const L3: [EventId; 3] = [EventId::LlcOccupancy, EventId::MbmTotal, EventId::MbmLocal];

    /// The memory bandwidth events, whose counters wrap and must be read in time.
    pub const MBM: [EventId; 2] = [EventId::MbmTotal, EventId::MbmLocal];

    /// The name of the event's file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            EventId::LlcOccupancy => "llc_occupancy",
            EventId::MbmTotal => "mbm_total_bytes",
            EventId::MbmLocal => "mbm_local_bytes",
            EventId::CoreEnergy => "core_energy",
            EventId::Activity => "activity",
            EventId::StallsLlcHit => "stalls_llc_hit",
            EventId::C1Res => "c1_res",
            EventId::UnhaltedCoreCycles => "unhalted_core_cycles",
            EventId::StallsLlcMiss => "stalls_llc_miss",
            EventId::C6Res => "c6_res",
            EventId::UnhaltedRefCycles => "unhalted_ref_cycles",
            EventId::UopsRetired => "uops_retired",
        }
    }

    /// What counts it.
    #[must_use]
    pub const fn resource(self) -> ResourceId {
        match self {
            EventId::LlcOccupancy | EventId::MbmTotal | EventId::MbmLocal => ResourceId::L3,
            _ => ResourceId::PerfPkg,
        }
    }

    /// Whether this is a memory bandwidth event.
    #[must_use]
    pub const fn is_mbm(self) -> bool {
        matches!(self, EventId::MbmTotal | EventId::MbmLocal)
    }

    /// The place of a memory bandwidth event in [`EventId::MBM`].
    #[must_use]
    pub const fn mbm_index(self) -> Option<usize> {
        match self {
            EventId::MbmTotal => Some(0),
            EventId::MbmLocal => Some(1),
            _ => None,
        }
    }
}

/// How many of the low bits of a fixed-point number are its fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FractionBits(u8);

impl FractionBits {
    /// The most that are shown exactly enough: with more, the steps of the fraction need more than nine decimal places.
    pub const MAX: u8 = 27;

    /// So many bits, `0..=`[`FractionBits::MAX`].
    #[must_use]
    pub const fn new(bits: u8) -> Option<FractionBits> {
        if bits <= Self::MAX { Some(FractionBits(bits)) } else { None }
    }

    /// The number of bits.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A set of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventSet(u16);

impl EventSet {
    /// The empty set.
    pub const EMPTY: EventSet = EventSet(0);

    /// The set with `event` added.
    #[must_use]
    pub const fn with(self, event: EventId) -> EventSet {
        EventSet(self.0 | 1 << event as u8)
    }

    /// Whether `event` is in the set.
    #[must_use]
    pub const fn contains(self, event: EventId) -> bool {
        self.0 >> event as u8 & 1 == 1
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether some memory bandwidth event is in the set.
    #[must_use]
    pub const fn any_mbm(self) -> bool {
        self.contains(EventId::MbmTotal) || self.contains(EventId::MbmLocal)
    }

    /// The events in the order of the numbers.
    pub fn iter(self) -> impl Iterator<Item = EventId> {
        EventId::ALL.into_iter().filter(move |&event| self.contains(event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_lists_its_events_in_order_of_number() {
        let set = EventSet::EMPTY.with(EventId::MbmLocal).with(EventId::LlcOccupancy);
        assert!(set.iter().eq([EventId::LlcOccupancy, EventId::MbmLocal]));
        assert!(set.any_mbm());
        assert!(!set.contains(EventId::MbmTotal));
    }

    #[test]
    fn events_are_numbered_in_order_and_have_names_of_their_own() {
        let mut names = alloc::collections::BTreeSet::new();
        for (number, event) in (1..).zip(EventId::ALL) {
            assert!(names.insert(event.name()), "{event:?}");
            assert_eq!(event as u8, number);
            assert_eq!(event.resource() == ResourceId::L3, EventId::L3.contains(&event));
        }
    }

    #[test]
    fn an_event_that_is_added_twice_is_there_once() {
        let set = EventSet::EMPTY.with(EventId::MbmTotal).with(EventId::MbmTotal);
        assert!(set.iter().eq([EventId::MbmTotal]));
        assert!(set.any_mbm() && !set.is_empty());
        let others = EventSet::EMPTY.with(EventId::LlcOccupancy).with(EventId::UopsRetired);
        assert!(others.contains(EventId::UopsRetired) && !others.any_mbm());
        assert!(EventSet::EMPTY.is_empty() && EventSet::EMPTY.iter().next().is_none());
    }

    #[test]
    fn the_bandwidth_events_have_the_places_of_their_list() {
        for event in EventId::ALL {
            let place = EventId::MBM.iter().position(|&mbm| mbm == event);
            assert_eq!((event.mbm_index(), event.is_mbm()), (place, place.is_some()), "{event:?}");
        }
    }

    #[test]
    fn files_of_events_are_called_as_the_kernels_are() {
        assert_eq!(EventId::L3.map(EventId::name), ["llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"]);
    }

    #[test]
    fn a_fraction_has_at_most_27_bits() {
        let bits = |bits| FractionBits::new(bits).map(FractionBits::get);
        assert_eq!([0, 18, 27, 28].map(bits), [Some(0), Some(18), Some(27), None]);
    }
}
