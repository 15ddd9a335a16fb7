// SPDX-License-Identifier: GPL-2.0-only
//! Accesses to the pages, and how they are written down.

use super::*;
use crate::mpam::registers::PAGE_SIZE;

fn of(file: &str) -> System {
    let system = System::new(&Machine::parse(file).expect("a machine")).expect("it has MPAM");
    let _ = system.power_on(0);
    system
}

#[test]
fn a_narrow_load_reads_its_part_of_the_register() {
    let system = plain();
    let iidr = get(&system, L3, Iidr::OFFSET, 0);
    for size in [1, 2] {
        for distance in (0..4).step_by(size as usize) {
            let read = system.load(0, Access { msc: L3, offset: Iidr::OFFSET + distance, size }, 0).0;
            assert_eq!(read, iidr >> (8 * distance) & [0, 0xff, 0xffff][size as usize], "{size} at {distance}");
        }
    }
}

#[test]
fn loads_of_the_shadow_registers_of_a_chip_are_watched_for_every_partid() {
    let watched = |system: &System, offset: u32| {
        system.words_to_watch()[offset as usize % 4096 / 256] >> (offset % 256 / 4) & 1 == 1
    };
    let with =
        system(|file| file.replace("pmg_max", "t241 = true\npmg_max").replace("partid_max = 31", "partid_max = 63"));
    // The shadow register of PARTID 0 is at 0x48 of its page: no register of an MSC is beyond 0x240 in its own.
    let shadow = |partid: u32| 0x48 + 8 * partid;
    for partid in 0..64 {
        assert!(watched(&with, shadow(partid)), "{partid}");
    }
    let beyond: Vec<u32> = (0x148..0x200).step_by(4).filter(|offset| !watched(&plain(), *offset)).collect();
    assert!(!beyond.is_empty());
    // One register for each PARTID, of 8 bytes: the upper half reads as zero.
    for offset in (0x48..0x400).step_by(4) {
        let partid = (offset - 0x48) / 8;
        let is_shadow = offset % 8 == 0 && partid < 64;
        assert_eq!(watched(&with, offset), is_shadow || watched(&plain(), offset), "{offset:#x}");
    }
}

#[test]
fn the_kernel_that_sees_mpam_is_that_of_the_highest_level_there_is() {
    let seen = |system: System| [Level::El0, Level::El1, Level::El2].map(|level| system.shows_mpam(level));
    assert_eq!(seen(plain()), [false, true, false]);
    assert_eq!(seen(system(|file| file.replace("pmg_max", "el2 = true\npmg_max"))), [false, false, true]);
}

#[test]
fn a_store_to_the_error_status_is_no_mistake_of_its_own() {
    let system = plain();
    for (offset, value) in [(Esr::OFFSET, 1 << 24), (Esr::OFFSET + 4, 5), (Esr::OFFSET, 0), (Esr::OFFSET + 4, 0)] {
        let _ = put(&system, L3, offset, value);
        assert_eq!((system.writes(Kind::Refused), get(&system, L3, offset, 0)), (0, value));
    }
}

#[test]
fn registers_belong_to_the_resource_that_they_control() {
    let system = of(include_str!("../../../../../machines/mpam-l2.toml"));
    let groups: [(Kind, Kind, &[u32]); 5] = [
        (Kind::Mba, Kind::Mba, &[MbwMin::OFFSET, MbwMax::OFFSET, MbwProp::OFFSET, MbwWinwd::OFFSET]),
        (Kind::Mba, Kind::Mba, &[MbwPbm::OFFSET, PAGE_SIZE - 4]),
        (Kind::Config, Kind::Config, &[Intpartid::OFFSET, Ecr::OFFSET, CaptEvnt::OFFSET]),
        (
            Kind::L3Mask,
            Kind::L2Mask,
            &[Cmax::OFFSET, Cmin::OFFSET, Cassoc::OFFSET, Pri::OFFSET, Cpbm::OFFSET, MbwPbm::OFFSET - 4],
        ),
        (Kind::Select, Kind::Select, &[0, Esr::OFFSET, PartSel::OFFSET, MonSel::OFFSET, MonCtl::OFFSET, PAGE_SIZE]),
    ];
    for (of_l3, of_l2, offsets) in groups {
        for &offset in offsets {
            assert_eq!([0, 1, 4].map(|msc| system.kind(msc, 0, offset)), [of_l3, of_l2, of_l2], "{offset:#x}");
            // An instance that there is not.
            assert_eq!(system.kind(1, 1, offset), of_l3, "{offset:#x}");
        }
    }
}

#[test]
fn a_write_is_told_with_its_cpu_its_register_and_what_was_selected() {
    let system = of(include_str!("../../../../../machines/mpam-2l3.toml"));
    let _ = put(&system, 1, PartSel::OFFSET, 7);
    let write = |value| drop(system.store(3, word(1, Cpbm::OFFSET), value, 0));
    write(0xf0);
    write(0xf0);
    let told = |sequence| {
        let (answer, _) = system.control(Request::WriteAt(sequence).encode(), CALLER, 0);
        read_answer(answer).expect("an answer").expect("there was one")
    };
    let place = 1 << 16 | u64::from(Cpbm::OFFSET) | 3 << 32;
    let first = told(0);
    assert_eq!((first[0], first[2]), (7 << 32 | 0xf0, place | 1 << 63));
    let second = told(first[1] + 1);
    assert_eq!((second[0], second[2]), (7 << 32 | 0xf0, place), "it has changed nothing");
    // The last of several instances of one MSC.
    let system = of(include_str!("../../../../../machines/mpam-ris.toml"));
    let _ = put(&system, 0, PartSel::OFFSET, 3 << 24 | 9);
    let _ = put(&system, 0, Cpbm::OFFSET, 0x3);
    let (answer, _) = system.control(Request::WriteAt(0).encode(), CALLER, 0);
    let [value, _, place] = read_answer(answer).expect("an answer").expect("there was one");
    assert_eq!((value, place), (3 << 48 | 9 << 32 | 3, u64::from(Cpbm::OFFSET) | 1 << 63));
}
