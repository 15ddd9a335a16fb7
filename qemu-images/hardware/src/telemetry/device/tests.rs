// SPDX-License-Identifier: GPL-2.0-only
//! The device as the kernel's drivers look at it.

use super::*;
use crate::flow::TrafficError;
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
    for (number, (id, guid)) in [(0xb, 0x2669_6143), (3, 0x2655_7651)].into_iter().enumerate() {
        let entry = begin + number * 16;
        assert_eq!((memory(&device, entry) & 0xf, memory(&device, entry + 4)), (3, id));
        let table = entry + 16 + memory(&device, entry + 8) as usize;
        assert_eq!(
            table,
            begin + 2 * 16 + number * 6 * 4,
            "six words each, behind the entries and one behind the other"
        );
        assert_eq!(memory(&device, table) & 0xffff, 4 | 1 << 8);
        assert_eq!((memory(&device, table + 8), memory(&device, table + 20)), (576, guid));
    }
}

#[test]
fn every_region_of_the_package_has_an_entry_and_a_place_of_its_own() {
    let (telemetry, device) = device(1);
    let (entries, _, begin) = table(&device, 2);
    let listed: Vec<(u32, usize)> = (0..entries)
        .map(|entry| begin + entry * 12)
        .map(|entry| (memory(&device, entry + 4), memory(&device, entry + 8) as usize))
        .collect();
    assert_eq!(listed.iter().map(|(guid, _)| *guid).collect::<Vec<_>>(), [0x2669_6143, 0x2669_6143, 0x2655_7651]);
    for (place, amount) in [(0, 5), (1, 7)] {
        telemetry.add(1, place, 0, TelemetryEvent::CoreEnergy, amount).unwrap();
        // What is added up stays valid.
        telemetry.add(1, place, 0, TelemetryEvent::CoreEnergy, amount).unwrap();
    }
    let counter = |begin: usize| memory(&device, begin);
    assert_eq!(listed.iter().map(|(_, begin)| counter(*begin)).collect::<Vec<_>>(), [10, 14, 0]);
    assert_eq!(listed.iter().map(|(_, begin)| memory(&device, begin + 4) >> 31).collect::<Vec<_>>(), [1, 1, 0]);
    for (place, region) in listed.windows(2).zip(telemetry.of_socket(1)) {
        assert!(place[0].1 + region.1.size <= place[1].1, "regions lie apart");
    }
}

#[test]
fn the_last_rmid_that_a_region_has_counters_for_is_counted_and_none_after_it() {
    let (telemetry, _) = device(0);
    for event in TelemetryEvent::ENERGY.iter().chain(TelemetryEvent::PERF) {
        assert_eq!(telemetry.add(0, 0, 575, *event, 1), Ok(()), "{event:?}");
        assert_eq!(telemetry.add(0, 0, 576, *event, 1), Err(TrafficError::NoSuchRmid), "{event:?}");
    }
    assert_eq!(telemetry.add(0, 1, 0, TelemetryEvent::C6Res, 1), Err(TrafficError::NoSuchRegion));
    assert_eq!(telemetry.add(2, 0, 0, TelemetryEvent::C6Res, 1), Err(TrafficError::NoSuchRegion));
    assert_eq!(telemetry.sockets(), 2);
}

#[test]
fn an_event_has_the_name_by_which_it_is_found() {
    let all: Vec<_> = TelemetryEvent::ENERGY.iter().chain(TelemetryEvent::PERF).copied().collect();
    let found: Vec<_> = all.iter().map(|event| TelemetryEvent::from_name(event.name())).collect();
    assert_eq!(found, all.iter().copied().map(Some).collect::<Vec<_>>());
    assert_eq!((all[0].name(), TelemetryEvent::from_name("")), ("core_energy", None));
}

#[test]
fn the_mailbox_answers_only_what_it_knows_and_only_who_writes_to_it() {
    let (_, mut device) = device(0);
    let state = |device: &Oobmsm| [0, 4, 8, 12].map(|offset| memory(device, CONTROL + offset));
    for (command, feature, known) in [
        (GET_STATE, TPMI_INFO, true),
        (GET_STATE, TPMI_CONTROL, true),
        (GET_STATE, 0x82, false),
        (GET_STATE + 1, TPMI_INFO, false),
    ] {
        device.write_memory(CONTROL + 8, &(command | feature << 40).to_le_bytes());
        device.write_memory(CONTROL, &1_u64.to_le_bytes());
        let (result, mail) = if known { (0x40, 1 | word(feature as usize) << 8) } else { (0x41, 0) };
        assert_eq!(state(&device), [result << 8 | 1 << 4, 0, 0, mail], "{command:#x} {feature:#x}");
        device.write_memory(CONTROL, &(1_u64 << 6).to_le_bytes());
        assert_eq!(state(&device)[0], 0, "given back");
    }
    // Beside it there is nothing.
    for (offset, length) in [(CONTROL - 8, 8), (CONTROL + 16, 8), (CONTROL + 17, 1), (END, 64)] {
        device.write_memory(offset, &vec![0xff; length]);
        assert_eq!(state(&device)[0], 0, "{length} at {offset:#x}");
    }
    // One byte of the mail is enough to own it.
    for offset in [CONTROL + 8, CONTROL + 15] {
        device.write_memory(offset, &[0]);
        assert_eq!(state(&device)[0], 1 << 4);
        device.write_memory(CONTROL, &(1_u64 << 6).to_le_bytes());
    }
}

#[test]
fn software_turns_the_device_on_and_finds_nothing_behind_4_kib_of_configuration() {
    let (_, mut device) = device(0);
    device.write_config(4, &[0x06, 0x04, 0xff, 0xff]);
    device.write_config(0x3c, &[0x0b, 0xff]);
    assert_eq!((config(&device, 4), config(&device, 0x3c)), (0x0010_0406, 0x0b));
    assert_eq!(device.config_size(), 4096);
    assert_eq!((config(&device, 4092), config(&device, 4094), config(&device, 4096)), (0, 0xffff_0000, u32::MAX));
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
