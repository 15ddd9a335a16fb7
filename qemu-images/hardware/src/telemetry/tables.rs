// SPDX-License-Identifier: GPL-2.0-only
//! What the device shows before the counters: which features there are, where the regions lie, of which package it is.
//!
//! Each is an array of entries in the device's memory, to which an extended capability of its configuration space leads.

use super::{Region, Telemetry};
use crate::numbers;
use crate::registers::{FeatureEntry, FeatureHeader, RegionEntry, TpmiBus, TpmiEntry, TpmiVersion};

/// A table that lies directly behind its entry.
const ACCESS_LOCAL: u64 = 3;
/// A region that lies in a memory of the device, given by the low bits of its offset.
const ACCESS_BAR: u64 = 2;

/// Features, as entries number them.
const PER_RMID_PERF: u64 = 3;
const PER_RMID_ENERGY: u64 = 0xb;
/// Telemetry is there, in band.
const CAPABLE: u64 = 1 | 1 << 8;

pub(super) const TPMI_INFO: u64 = 0x81;
pub(super) const TPMI_CONTROL: u64 = 0x80;

/// Where tables lie in the device's memory.
pub(super) const DISCOVERY: usize = 0;
pub(super) const REGIONS: usize = 0x800;
pub(super) const TPMI: usize = 0x1000;
pub(super) const INFO: usize = 0x1400;
pub(super) const CONTROL: usize = 0x1800;
/// Counters begin here.
pub(super) const END: usize = 0x2000;

/// Bytes of an entry of each.
pub(super) const DISCOVERY_ENTRY: usize = 16;
pub(super) const REGION_ENTRY: usize = 12;
pub(super) const TPMI_ENTRY: usize = 8;

/// The words of attributes of a feature that counts by RMID: capabilities, RMIDs, two of a watcher.
const ATTRIBUTES: u64 = 4;

/// The tables of one device.
pub(super) struct Tables {
    pub(super) bytes: Vec<u8>,
    pub(super) features: usize,
    /// Where each region of the package begins, and its index in [`Telemetry::regions`].
    pub(super) regions: Vec<(usize, usize)>,
    /// Bytes of the device's memory.
    pub(super) size: usize,
}

impl Tables {
    pub(super) fn new(telemetry: &Telemetry, socket: usize) -> Self {
        let mut tables = Self { bytes: vec![0; END], features: 0, regions: Vec::new(), size: 0 };
        let mut end = END;
        for (index, region) in telemetry.of_socket(socket) {
            tables.region_entry(region, end);
            tables.regions.push((end, index));
            end += region.size.next_multiple_of(0x1000);
        }
        tables.size = end.next_power_of_two();
        tables.feature_tables(telemetry, socket);
        let package = telemetry.of_socket(socket).next().map_or(0, |(_, region)| region.package);
        tables.tpmi(u64::from(package));
        tables
    }

    fn put(&mut self, offset: usize, value: u64) {
        self.bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn put_word(&mut self, offset: usize, value: u32) {
        self.bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn region_entry(&mut self, region: &Region, begin: usize) {
        let offset = REGIONS + self.regions.len() * REGION_ENTRY;
        let entry = RegionEntry::default()
            .with(&RegionEntry::ACCESS, ACCESS_BAR)
            .with(&RegionEntry::WORDS, (region.size / 4) as u64)
            .with(&RegionEntry::GUID, region.guid.into());
        self.put(offset, entry.0);
        self.put_word(offset + 8, u32::try_from(begin).expect("a device's memory is below 4 GiB"));
    }

    /// One feature for each GUID, with its table behind all the entries.
    fn feature_tables(&mut self, telemetry: &Telemetry, socket: usize) {
        let mut features: Vec<&Region> = telemetry.of_socket(socket).map(|(_, region)| region).collect();
        features.dedup_by_key(|region| region.guid);
        self.features = features.len();
        let mut table = DISCOVERY + features.len() * DISCOVERY_ENTRY;
        for (place, region) in features.into_iter().enumerate() {
            let entry = DISCOVERY + place * DISCOVERY_ENTRY;
            let id = if region.events[0].group() == "energy" { PER_RMID_ENERGY } else { PER_RMID_PERF };
            let words = 1 + ATTRIBUTES + 1;
            let first = FeatureEntry::default()
                .with(&FeatureEntry::ACCESS, ACCESS_LOCAL)
                .with(&FeatureEntry::WORDS, words)
                .with(&FeatureEntry::ID, id);
            self.put(entry, first.0);
            self.put_word(entry + 8, u32::try_from(table - (entry + DISCOVERY_ENTRY)).unwrap_or(0));
            let header = FeatureHeader::default()
                .with(&FeatureHeader::ATTRIBUTES, ATTRIBUTES)
                .with(&FeatureHeader::GUIDS, 1)
                .with(&FeatureHeader::CAPABILITIES, CAPABLE);
            self.put(table, header.0);
            self.put_word(table + 8, region.rmids.into());
            self.put_word(table + 20, region.guid);
            // An offset has no room for anything but a multiple of eight.
            table += numbers::place(words) * 4;
        }
    }

    fn tpmi(&mut self, package: u64) {
        for (place, (id, begin)) in [(TPMI_INFO, INFO), (TPMI_CONTROL, CONTROL)].into_iter().enumerate() {
            let entry = TpmiEntry::default()
                .with(&TpmiEntry::ID, id)
                .with(&TpmiEntry::INSTANCES, 1)
                .with(&TpmiEntry::WORDS, 4)
                .with(&TpmiEntry::OFFSET, ((begin - TPMI) / 1024) as u64)
                .with(&TpmiEntry::OWNER, 1);
            self.put(TPMI + place * TPMI_ENTRY, entry.0);
        }
        self.put(INFO, TpmiVersion::default().with(&TpmiVersion::MINOR, 2).0);
        self.put(INFO + 8, TpmiBus::default().with(&TpmiBus::PACKAGE, package).with(&TpmiBus::DIES, 1).0);
    }
}
