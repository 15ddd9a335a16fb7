// SPDX-License-Identifier: GPL-2.0-only
//! What is counted, region by region.

use super::TelemetryEvent;
use crate::flow::TrafficError;
use crate::machine::{Machine, TelemetryFeatures};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
