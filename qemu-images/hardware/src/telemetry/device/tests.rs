// SPDX-License-Identifier: GPL-2.0-only
//! The device as the kernel's drivers look at it.

use super::*;
use crate::machine::Machine;
use crate::rdt::Rdt;
use crate::telemetry::TelemetryEvent;

const MACHINE: &str = include_str!("../../../../machines/intel-aet.toml");

fn device(socket: usize) -> (Arc<Telemetry>, Oobmsm) {
    let rdt = Rdt::new(&Machine::parse(MACHINE).unwrap()).unwrap();
    let telemetry = Arc::clone(rdt.telemetry().unwrap());
    let device = Oobmsm::new(&telemetry, socket);
    (telemetry, device)
}

fn config(device: &Oobmsm, offset: usize) -> u32 {
    let mut word = [0; 4];
    device.read_config(offset, &mut word);
    u32::from_le_bytes(word)
}

fn memory(device: &Oobmsm, offset: usize) -> u32 {
    let mut word = [0; 4];
    device.read_memory(offset, &mut word);
    u32::from_le_bytes(word)
}

/// Entries, words of each, and where they begin, of the capability that leads to a table.
fn table(device: &Oobmsm, id: u32) -> (usize, usize, usize) {
    let mut at = EXTENDED;
    while at != 0 {
        let third = config(device, at + 8);
        if third & 0xffff == id {
            return ((third >> 16 & 0xff) as usize, (third >> 24) as usize, config(device, at + 12) as usize);
        }
        at = (config(device, at) >> 20) as usize;
    }
    panic!("no capability {id}");
}

#[test]
fn regions_are_found_by_the_tables_and_hold_what_is_counted() {
    let (telemetry, device) = device(1);
    telemetry.add(1, 0, 5, TelemetryEvent::UopsRetired, 77).unwrap();
    let (entries, words, begin) = table(&device, 2);
    assert_eq!((entries, words), (telemetry.of_socket(1).count(), 3));
    let entry = (0..entries)
        .map(|entry| begin + entry * words * 4)
        .find(|entry| memory(&device, entry + 4) == 0x2655_7651)
        .unwrap();
    assert_eq!(memory(&device, entry) & 0xf, 2);
    assert_eq!(memory(&device, entry) >> 12, (576 * 7 + 3) * 2);
    let counter = memory(&device, entry + 8) as usize + (5 * 7 + 6) * 8;
    let mut bytes = [0; 8];
    device.read_memory(counter, &mut bytes);
    assert_eq!(u64::from_le_bytes(bytes), 1 << 63 | 77);
    assert!(counter < device.memory_size());
}

#[test]
fn each_feature_has_its_guid_and_its_rmids() {
    let (_, device) = device(0);
    let (entries, words, begin) = table(&device, 12);
    assert_eq!((entries, words), (2, 4));
    for (entry, (id, guid)) in [(0xb, 0x2669_6143), (3, 0x2655_7651)].into_iter().enumerate() {
        let entry = begin + entry * 16;
        assert_eq!((memory(&device, entry) & 0xf, memory(&device, entry + 4)), (3, id));
        let table = entry + 16 + memory(&device, entry + 8) as usize;
        assert_eq!(memory(&device, table) & 0xffff, 4 | 1 << 8);
        assert_eq!((memory(&device, table + 8), memory(&device, table + 20)), (576, guid));
    }
}

#[test]
fn the_mailbox_says_that_features_are_enabled_and_of_which_package_the_device_is() {
    let (_, mut device) = device(1);
    let (entries, _, begin) = table(&device, 66);
    for entry in 0..entries {
        let id = memory(&device, begin + entry * 8) & 0xff;
        let instance = begin + (memory(&device, begin + entry * 8 + 4) & 0xffff) as usize * 1024;
        if u64::from(id) == TPMI_INFO {
            assert_eq!(memory(&device, instance + 8) >> 16 & 0xff, 1);
        }
        assert_eq!(memory(&device, CONTROL) >> 4 & 3, 0);
        device.write_memory(CONTROL + 8, &(GET_STATE | u64::from(id) << 40).to_le_bytes());
        assert_eq!(memory(&device, CONTROL) >> 4 & 3, 1);
        device.write_memory(CONTROL, &(1_u64 | 2 << 16).to_le_bytes());
        assert_eq!(memory(&device, CONTROL) & 0xff01, 0x4000);
        assert_eq!(memory(&device, CONTROL + 12), 1 | id << 8);
        device.write_memory(CONTROL, &(1_u64 << 6).to_le_bytes());
    }
}

#[test]
fn the_memory_can_be_placed_at_multiples_of_its_size_only() {
    let (_, mut device) = device(0);
    device.write_config(0x10, &u32::MAX.to_le_bytes());
    assert_eq!(config(&device, 0x10), !(device.memory_size() as u32 - 1));
    device.write_config(0, &[0; 4]);
    assert_eq!(config(&device, 0), 0x09a7_8086);
}
