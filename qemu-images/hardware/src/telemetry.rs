// SPDX-License-Identifier: GPL-2.0-only
//! Telemetry of packages: what a processor's management unit counts for each RMID, and the device that shows it.
//!
//! Sources: Intel Platform Monitoring Technology External Specification (tables of a region, of a feature, discovery); Intel's
//! published descriptions of regions, <https://github.com/intel/Intel-PMT>.

mod device;
mod tables;

use crate::machine::{Machine, TelemetryFeatures};
use crate::traffic::TrafficError;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use device::Oobmsm;

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

/// A counter is not valid before something has been counted.
const VALID: u64 = 1 << 63;

/// What is known of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its package, as the unit says it.
    pub package: u8,
    /// What is in it.
    pub guid: u32,
    /// RMIDs that can be counted for, as the unit says it.
    pub rmids: u16,
    /// Bytes.
    pub size: usize,
    /// Which events, in the order of their counters.
    pub events: &'static [TelemetryEvent],
}

/// The telemetry of one machine. All methods may be called from any thread.
#[derive(Debug)]
pub struct Telemetry {
    /// Package by package; in each, group by group.
    regions: Vec<Region>,
    /// The registers of each region.
    registers: Mutex<Vec<Vec<u64>>>,
    sockets: usize,
    first_package: u8,
}

impl Telemetry {
    pub(crate) fn new(machine: &Machine) -> Option<Self> {
        let features: &TelemetryFeatures = machine.telemetry.as_ref()?;
        let sockets = machine.topology.sockets;
        let first_package = features.first_package;
        let of_package = |socket: usize| {
            let package = u8::try_from(usize::from(first_package) + socket).unwrap_or(u8::MAX);
            features.groups().flat_map(move |(group, events)| {
                let region =
                    Region { package, guid: group.guid, rmids: group.rmids, size: group.size(events.len()), events };
                std::iter::repeat_n(region, group.regions)
            })
        };
        let regions: Vec<Region> = (0..sockets).flat_map(of_package).collect();
        let registers = regions.iter().map(|region| vec![0; region.size / 8]).collect();
        Some(Self { regions, registers: Mutex::new(registers), sockets, first_package })
    }

    /// Packages of the machine.
    pub fn sockets(&self) -> usize {
        self.sockets
    }

    /// Every region, package by package.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The regions of a socket, with their indexes in [`Telemetry::regions`].
    pub fn of_socket(&self, socket: usize) -> impl Iterator<Item = (usize, &Region)> {
        let package = usize::from(self.first_package) + socket;
        self.regions.iter().enumerate().filter(move |(_, region)| usize::from(region.package) == package)
    }

    fn registers(&self) -> MutexGuard<'_, Vec<Vec<u64>>> {
        self.registers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads eight bytes of a region; 0 where there is nothing.
    pub fn read(&self, region: usize, offset: usize) -> u64 {
        self.registers().get(region).and_then(|registers| registers.get(offset / 8)).copied().unwrap_or(0)
    }

    /// Lets the unit of a socket count for an RMID, in the region at this place among those of the event.
    ///
    /// # Errors
    ///
    /// No such package, region or RMID.
    pub fn add(
        &self,
        socket: usize,
        place: usize,
        rmid: usize,
        event: TelemetryEvent,
        amount: u64,
    ) -> Result<(), TrafficError> {
        let of_event = self.of_socket(socket).filter(|(_, region)| region.events.contains(&event)).nth(place);
        let (index, region) = of_event.ok_or(TrafficError::NoSuchRegion)?;
        let position = region.events.iter().position(|known| *known == event).unwrap_or_default();
        let counters = region.size / 8 - 3;
        let counter = rmid.saturating_mul(region.events.len()).saturating_add(position);
        if counter >= counters {
            return Err(TrafficError::NoSuchRmid);
        }
        let register = &mut self.registers()[index][counter];
        *register = register.wrapping_add(amount) | VALID;
        Ok(())
    }
}
