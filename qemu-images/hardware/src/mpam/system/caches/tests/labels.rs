// SPDX-License-Identifier: GPL-2.0-only
//! Which labels and controls bear on which cache.

use super::*;

/// Machine mpam-l2: an L3 of 8 MiB in 16 ways, with 20 portions, and an L2 of 1 MiB in 8 ways for each CPU, with 8.
fn with_l2s() -> System {
    let file = include_str!("../../../../../../machines/mpam-l2.toml");
    let file = file.replace("[cache.l3]", "[cache]\nmodel = true\n[cache.l3]");
    let system = System::new(&Machine::parse(&file).expect("a machine")).expect("it has MPAM");
    let _ = system.power_on(0);
    system
}

#[test]
fn portions_are_those_of_the_cache_whose_instance_they_are_of() {
    let system = with_l2s();
    let caches = system.caches().expect("it has caches");
    label(&system, 0, (3, 0), (0, 0));
    label(&system, 1, (3, 0), (0, 0));
    control(&system, 0, 3, Cpbm::OFFSET, 0xf_ffff);
    // A quarter of the L2 of CPU 0, all of that of CPU 1.
    control(&system, 1, 3, Cpbm::OFFSET, 0x03);
    control(&system, 2, 3, Cpbm::OFFSET, 0xff);
    let hits = |cpu: usize, from: u64| {
        for round in 0..2 {
            let before = caches.counts(cpu).l3_references[0];
            for address in (from..from + MIB).step_by(64) {
                caches.access(cpu, CacheAccess::Load, Mode::User, RAM + address);
            }
            if round == 1 {
                return MIB / 64 - (caches.counts(cpu).l3_references[0] - before);
            }
        }
        unreachable!("there are two rounds")
    };
    assert_eq!((hits(0, 0), hits(1, 0)), (0, MIB / 64), "1 MiB does not fit into two of eight ways");
    // A portion of the L3 says nothing of the L2.
    control(&system, 0, 3, Cpbm::OFFSET, 0);
    assert_eq!(hits(1, 64 * MIB), MIB / 64);
    control(&system, 1, 3, Cpbm::OFFSET, 0xff);
    assert_eq!(hits(0, 64 * MIB), MIB / 64);
}

#[test]
fn portions_of_an_l2_that_no_file_gives_a_size_confine_nobody() {
    let file = include_str!("../../../../../../machines/mpam-l2.toml");
    let file = file.replace("[cache.l3]", "[cache]\nmodel = true\n[cache.l3]");
    let file = file.replace("[cache.l2]\nsize_kib = 1024\nways = 8\nfirst_id = 0\n", "");
    let system = System::new(&Machine::parse(&file).expect("a machine")).expect("it has MPAM");
    assert_eq!(system.caches().expect("it has caches").ways(), (0, 16));
    label(&system, 0, (3, 0), (0, 0));
    control(&system, 0, 3, Cpbm::OFFSET, 0xf_ffff);
    walk(&system, CacheAccess::Load, Mode::User, 0, MIB);
    assert_eq!(system.usage(0, Label { partid: 3, pmg: 0 }, 0).expect("there is one"), (MIB, MIB));
}

#[test]
fn a_map_of_more_than_32_portions_goes_on_in_the_next_word() {
    let system = system(|file| without_l2(file).replace("cpor_bits = 16", "cpor_bits = 64"));
    label(&system, 0, (3, 0), (0, 0));
    for (words, bytes) in [([0x0000_00ff, 0], MIB), ([0, 0x00ff_ffff], 3 * MIB), ([0xf000_0000, 0xf], MIB)] {
        assert!(system.set_caches(Caches::Follow, 0).is_some());
        control(&system, L3, 3, Cpbm::OFFSET, words[0]);
        control(&system, L3, 3, Cpbm::OFFSET + 4, words[1]);
        walk(&system, CacheAccess::Load, Mode::User, 0, 16 * MIB);
        assert_eq!(system.usage(0, Label { partid: 3, pmg: 0 }, 0).expect("there is one").1, bytes, "{words:x?}");
    }
}

#[test]
fn the_largest_label_has_lines_of_its_own_and_one_beyond_it_those_of_partid_0() {
    let system = system(without_l2);
    let held = |partid, pmg| system.usage(0, Label { partid, pmg }, 0).expect("there is one").1;
    control(&system, L3, 31, Cpbm::OFFSET, 0xffff);
    label(&system, 0, (31, 3), (32, 0));
    walk(&system, CacheAccess::Load, Mode::User, 0, MIB);
    assert_eq!((held(31, 3), held(0, 0)), (MIB, 0));
    walk(&system, CacheAccess::Load, Mode::Kernel, 32 * MIB, MIB);
    assert_eq!((held(31, 3), held(0, 0)), (MIB, MIB));
    label(&system, 0, (0, 4), (0, 0));
    walk(&system, CacheAccess::Load, Mode::User, 64 * MIB, MIB);
    assert_eq!((held(1, 0), held(0, 0)), (0, 2 * MIB));
}

#[test]
fn what_nobody_keeps_is_written_to_memory_and_not_read_first() {
    let system = system(|file| without_l2(file).replace("width = 44", "width = 44, direction = true"));
    // PARTID 5 has no portion.
    label(&system, 0, (5, 0), (0, 0));
    for (monitor, direction) in [(0, 1), (1, 2_u64)] {
        put(&system, MEMORY, MonSel::OFFSET, monitor);
        put(&system, MEMORY, MbwuFlt::OFFSET, direction << 30 | 5);
        put(&system, MEMORY, MonCtl::OFFSET, BY_BOTH);
    }
    let counted = |monitor| {
        put(&system, MEMORY, MonSel::OFFSET, monitor);
        system.load(0, Access { msc: MEMORY, offset: MbwuLong::OFFSET, size: 8 }, 0).0
    };
    walk(&system, CacheAccess::Store, Mode::User, 0, MIB);
    assert_eq!([0, 1].map(counted), [MIB, 0]);
    walk(&system, CacheAccess::Load, Mode::User, 0, 2 * MIB);
    assert_eq!([0, 1].map(counted), [MIB, 2 * MIB]);
}

#[test]
fn a_portion_that_is_taken_away_is_filled_no_more() {
    let system = system(without_l2);
    label(&system, 0, (3, 0), (0, 0));
    control(&system, L3, 3, Cpbm::OFFSET, 0xffff);
    put(&system, L3, Cpbm::OFFSET, 0x0001);
    walk(&system, CacheAccess::Load, Mode::User, 0, 8 * MIB);
    assert_eq!(usage(&system, BY_BOTH, 3, 0), MIB / 2);
}

#[test]
fn one_line_of_a_partid_that_memory_does_not_have_is_one_error() {
    let system = system(|file| {
        without_l2(file)
            .replace("partid_max = 31", "partid_max = 63")
            .replace("part_of = { mem", "partid_max = 31\npart_of = { mem")
    });
    label(&system, 0, (40, 0), (0, 0));
    walk(&system, CacheAccess::Load, Mode::User, 0, 64);
    let error = system.load(0, Access { msc: MEMORY, offset: 0x0f8, size: 4 }, 0).0;
    assert_eq!(error, 0x0200_0028, "the request's PARTID, and no other error before");
}

#[test]
fn a_portion_of_an_instance_that_does_not_know_the_partid_confines_nobody() {
    let system = system(|file| {
        without_l2(file)
            .replace("partid_max = 31", "partid_max = 63")
            .replace("part_of = { l3", "partid_max = 31\npart_of = { l3")
    });
    label(&system, 0, (40, 0), (0, 0));
    walk(&system, CacheAccess::Load, Mode::User, 0, 8 * MIB);
    assert_eq!(system.usage(0, Label { partid: 40, pmg: 0 }, 0).expect("there is one"), (8 * MIB, 8 * MIB));
}

#[test]
fn a_limit_of_a_t241_slows_its_partid_down_from_when_its_chip_is_told() {
    const SPEED: u64 = 64_000_000;
    let system = system(|file| {
        without_l2(file).replace("pmg_max", "t241 = true\npmg_max").replace("max = true", "max = true, min = true")
    });
    assert!(system.set_memory_speed(SPEED));
    label(&system, 0, (3, 0), (0, 0));
    let caches = system.caches().expect("it has caches");
    let time = |now| caches.pace(0).wait(100_000, now).map_or(0, |wait| wait.as_millis() + 20);
    for offset in [MbwMin::OFFSET, MbwMax::OFFSET] {
        control(&system, MEMORY, 3, offset, 0x7f00);
    }
    assert!(time(1_000_000_000_000).abs_diff(100) <= 1);
    let spares = || [0x1b_0000, 0x1c_0000].map(|spare| drop(system.chip_store(spare, 0, 0)));
    for slice in (0..12).cycle().take(36) {
        let _ = system.chip_load(0x36_0048 + slice * 0x1_0000 + 3 * 8);
    }
    spares();
    assert!(time(2_000_000_000_000).abs_diff(200) <= 1);
}
