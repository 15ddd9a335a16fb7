// SPDX-License-Identifier: GPL-2.0-only
//! The PCI device of a package's management unit (out-of-band management services module), as software of the package sees it:
//! configuration space, and one memory with tables, the mailbox of TPMI, and counters.

use super::Telemetry;
use super::tables::{
    CONTROL, DISCOVERY, DISCOVERY_ENTRY, END, REGION_ENTRY, REGIONS, TPMI, TPMI_CONTROL, TPMI_ENTRY, TPMI_INFO, Tables,
};
use crate::numbers::{read_registers, word};
use crate::registers::{TpmiCommand, TpmiMailbox};
use std::sync::Arc;

const IN_BAND: u64 = 1;
const GET_STATE: u64 = 0x10;
const SUCCESS: u64 = 0x40;
const NO_SUCH_COMMAND: u64 = 0x41;

/// Bytes of a device's configuration space.
const CONFIG_SIZE: usize = 4096;
/// Where the capability of PCI Express and the extended capabilities lie in it.
const EXPRESS: u8 = 0x40;
const EXTENDED: usize = 0x100;
/// Bytes of each extended capability, and its id: "Designated Vendor-Specific".
const VENDOR_SPECIFIC_SIZE: usize = 0x10;
const VENDOR_SPECIFIC: u32 = 0x23;

const INTEL: u16 = 0x8086;
/// Out-of-band management services module of Xeons since Sapphire Rapids.
const OOBMSM: u16 = 0x09a7;

/// What an extended capability of Intel's leads to.
const TELEMETRY_ID: u16 = 2;
const DISCOVERY_ID: u16 = 12;
const TPMI_ID: u16 = 66;

/// The device of one package.
#[derive(Debug)]
pub struct Oobmsm {
    telemetry: Arc<Telemetry>,
    config: Vec<u8>,
    tables: Vec<u8>,
    regions: Vec<(usize, usize)>,
    size: usize,
    mailbox: TpmiMailbox,
    /// Command, or answer.
    mail: u64,
}

impl Oobmsm {
    /// The device of a socket, after reset.
    pub fn new(telemetry: &Arc<Telemetry>, socket: usize) -> Self {
        let Tables { bytes, features, regions, size } = Tables::new(telemetry, socket);
        let mut config = vec![0; CONFIG_SIZE];
        fill_config(&mut config);
        let tables = [
            (DISCOVERY_ID, features, DISCOVERY_ENTRY, DISCOVERY),
            (TPMI_ID, 2, TPMI_ENTRY, TPMI),
            (TELEMETRY_ID, regions.len(), REGION_ENTRY, REGIONS),
        ];
        for (place, (id, entries, entry_size, offset)) in tables.into_iter().enumerate() {
            let begin = EXTENDED + place * VENDOR_SPECIFIC_SIZE;
            let next = if place + 1 < tables.len() { begin + VENDOR_SPECIFIC_SIZE } else { 0 };
            let words = [
                VENDOR_SPECIFIC | 1 << 16 | word(next) << 20,
                u32::from(INTEL) | 1 << 16 | word(VENDOR_SPECIFIC_SIZE) << 20,
                u32::from(id) | word(entries) << 16 | word(entry_size / 4) << 24,
                word(offset),
            ];
            for (word, value) in words.into_iter().enumerate() {
                put(&mut config, begin + word * 4, &value.to_le_bytes());
            }
        }
        Self {
            telemetry: Arc::clone(telemetry),
            config,
            tables: bytes,
            regions,
            size,
            mailbox: TpmiMailbox(0),
            mail: 0,
        }
    }

    /// Bytes of the device's memory, which is its first (BAR 0).
    pub fn memory_size(&self) -> usize {
        self.size
    }

    /// Bytes of its configuration space.
    pub fn config_size(&self) -> usize {
        CONFIG_SIZE
    }

    /// Reads configuration space; all ones outside.
    pub fn read_config(&self, offset: usize, data: &mut [u8]) {
        for (at, byte) in (offset..).zip(data) {
            *byte = self.config.get(at).copied().unwrap_or(0xff);
        }
    }

    /// Writes configuration space. What nobody needs stays as it is: all but the command and the address of the memory.
    pub fn write_config(&mut self, offset: usize, data: &[u8]) {
        let address_mask = !(word(self.size) - 1);
        for (at, &byte) in (offset..).zip(data) {
            match at {
                4 | 5 | 0x3c => self.config[at] = byte,
                0x10..0x14 => self.config[at] = byte & address_mask.to_le_bytes()[at - 0x10],
                _ => {}
            }
        }
    }

    /// Reads the device's memory; each eight bytes at a multiple of eight are from one moment.
    pub fn read_memory(&self, offset: usize, data: &mut [u8]) {
        read_registers(offset, data, |offset| self.word(offset).to_le_bytes());
    }

    fn word(&self, offset: usize) -> u64 {
        match offset {
            CONTROL => self.mailbox.0,
            offset if offset == CONTROL + 8 => self.mail,
            ..END => u64::from_le_bytes(std::array::from_fn(|byte| self.tables[offset + byte])),
            _ => self.counter(offset),
        }
    }

    fn counter(&self, offset: usize) -> u64 {
        let region = self.regions.iter().rev().find(|(begin, _)| *begin <= offset);
        region.map_or(0, |&(begin, index)| self.telemetry.read(index, offset - begin))
    }

    /// Writes the device's memory, which has nothing to write but the mailbox.
    pub fn write_memory(&mut self, offset: usize, data: &[u8]) {
        for (at, &byte) in (offset..).zip(data) {
            let (register, shift) = match at.wrapping_sub(CONTROL) {
                byte @ 0..8 => (&mut self.mailbox.0, byte * 8),
                byte @ 8..16 => (&mut self.mail, (byte - 8) * 8),
                _ => continue,
            };
            *register = *register & !(0xff << shift) | u64::from(byte) << shift;
        }
        let end = offset + data.len();
        if offset < CONTROL + 16 && end > CONTROL + 8 {
            self.mailbox = TpmiMailbox::default().with(&TpmiMailbox::OWNER, IN_BAND);
        }
        self.run_mailbox();
    }

    /// Does what the mailbox says, if it says anything: what is asked and what is told never stays.
    fn run_mailbox(&mut self) {
        if self.mailbox.get(TpmiMailbox::COMPLETE) == 1 {
            self.mailbox = TpmiMailbox::default();
        } else if self.mailbox.get(TpmiMailbox::RUN_BUSY) == 1 {
            let command = TpmiCommand(self.mail);
            let feature = command.get(TpmiCommand::FEATURE);
            let known = command.get(TpmiCommand::COMMAND) == GET_STATE && [TPMI_INFO, TPMI_CONTROL].contains(&feature);
            // Enabled, and of this id.
            let state = if known { 1 | feature << 8 } else { 0 };
            self.mail = state << 32;
            let result = if known { SUCCESS } else { NO_SUCH_COMMAND };
            self.mailbox = TpmiMailbox::default().with(&TpmiMailbox::OWNER, IN_BAND).with(&TpmiMailbox::RESULT, result);
        }
    }
}

fn put(config: &mut [u8], offset: usize, bytes: &[u8]) {
    config[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn fill_config(config: &mut [u8]) {
    put(config, 0, &INTEL.to_le_bytes());
    put(config, 2, &OOBMSM.to_le_bytes());
    // There is a list of capabilities.
    put(config, 6, &[0x10]);
    // Class: signal processing controller, other.
    put(config, 9, &[0, 0x80, 0x11]);
    put(config, 0x2c, &INTEL.to_le_bytes());
    put(config, 0x34, &[EXPRESS]);
    // PCI Express, version 2: an endpoint that is integrated into the root complex.
    put(config, EXPRESS.into(), &[0x10, 0, 0x92, 0]);
}

#[cfg(test)]
mod tests;
