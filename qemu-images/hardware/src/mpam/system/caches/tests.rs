// SPDX-License-Identifier: GPL-2.0-only

mod labels;

use super::*;
use crate::caches::{Access as CacheAccess, Flush};
use crate::mpam::registers::{Csu, CsuCtl, CsuFlt, MbwuFlt, MbwuLong, MonCtl, MonSel, PartSel};
use crate::mpam::{Access, SystemRegister};

const L3: usize = 0;
const MEMORY: usize = 1;
const RAM: u64 = 0x4000_0000;
const MIB: u64 = 1 << 20;
/// Enabled, by PARTID and by PMG.
const BY_BOTH: u64 = 1 << 31 | 1 << 17 | 1 << 16;
const BY_PARTID: u64 = 1 << 31 | 1 << 16;

/// Machine mpam, an L3 of 8 MiB in 16 ways and L2s of 512 KiB, changed; its caches follow.
fn system(change: impl Fn(&str) -> String) -> System {
    let file = change(include_str!("../../../../../machines/mpam.toml"));
    let file = file.replace("[cache.l3]", "[cache]\nmodel = true\n[cache.l3]");
    let system =
        System::new(&Machine::parse(&file).unwrap_or_else(|problem| panic!("{problem}"))).expect("it has MPAM");
    let _ = system.power_on(0);
    system
}

fn without_l2(file: &str) -> String {
    file.replace("[cache.l2]\nsize_kib = 512\nways = 8\n", "")
}

fn put(system: &System, msc: usize, offset: u32, value: u64) {
    let _ = system.store(0, Access { msc, offset, size: 4 }, value, 0);
}

fn control(system: &System, msc: usize, partid: u64, offset: u32, value: u64) {
    put(system, msc, PartSel::OFFSET, partid);
    put(system, msc, offset, value);
}

/// Makes a CPU's requests carry a label, and others at EL1.
fn label(system: &System, cpu: usize, user: (u64, u64), kernel: (u64, u64)) {
    for (register, (partid, pmg)) in [(SystemRegister::Mpam0, user), (SystemRegister::Mpam1, kernel)] {
        let value = partid | partid << 16 | pmg << 32 | pmg << 40;
        assert!(system.msr(cpu, Level::El1, register, value, 0).is_some());
    }
}

fn walk(system: &System, access: CacheAccess, mode: Mode, from: u64, bytes: u64) {
    let caches = system.caches().expect("it has caches");
    for address in (from..from + bytes).step_by(64) {
        caches.access(0, access, mode, RAM + address);
    }
}

/// What a usage monitor shows.
fn usage(system: &System, control: u64, partid: u64, pmg: u64) -> u64 {
    put(system, L3, MonSel::OFFSET, 0);
    put(system, L3, CsuFlt::OFFSET, pmg << 16 | partid);
    put(system, L3, CsuCtl::OFFSET, control);
    system.load(0, Access { msc: L3, offset: Csu::OFFSET, size: 4 }, 1_000_000).0
}

#[test]
fn portions_confine_and_usage_monitors_show_it_by_partid_and_pmg() {
    let system = system(without_l2);
    control(&system, L3, 3, Cpbm::OFFSET, 0x0f0f);
    control(&system, L3, 4, Cpbm::OFFSET, 0xf0f0);
    label(&system, 0, (3, 1), (4, 0));
    walk(&system, CacheAccess::Load, Mode::User, 0, 16 * MIB);
    walk(&system, CacheAccess::Store, Mode::Kernel, 32 * MIB, 2 * MIB);
    assert_eq!(usage(&system, BY_BOTH, 3, 1), 4 * MIB);
    assert_eq!(usage(&system, BY_BOTH, 4, 0), 2 * MIB);
    assert_eq!(usage(&system, BY_BOTH, 3, 0), 0);
    label(&system, 0, (3, 2), (4, 0));
    walk(&system, CacheAccess::Load, Mode::User, 64 * MIB, MIB);
    assert_eq!((usage(&system, BY_BOTH, 3, 1), usage(&system, BY_BOTH, 3, 2)), (3 * MIB, MIB));
    assert_eq!(usage(&system, BY_PARTID, 3, 0), 4 * MIB);
    assert_eq!(system.usage(0, Label { partid: 3, pmg: 2 }, 0).expect("there is one"), (MIB, MIB));
}

#[test]
fn a_partid_nobody_has_opened_fills_nothing() {
    let system = system(without_l2);
    label(&system, 0, (5, 0), (0, 0));
    walk(&system, CacheAccess::Load, Mode::User, 0, MIB);
    walk(&system, CacheAccess::Load, Mode::User, 0, MIB);
    assert_eq!(system.usage(0, Label { partid: 5, pmg: 0 }, 0).expect("there is one"), (2 * MIB, 0));
}

#[test]
fn fetches_carry_labels_of_their_own() {
    let system = system(without_l2);
    control(&system, L3, 6, Cpbm::OFFSET, 0x00ff);
    control(&system, L3, 7, Cpbm::OFFSET, 0xff00);
    assert!(system.msr(0, Level::El1, SystemRegister::Mpam0, 7 | 6 << 16, 0).is_some());
    walk(&system, CacheAccess::Load, Mode::User, 0, 8 * MIB);
    walk(&system, CacheAccess::Fetch, Mode::User, 32 * MIB, 3 * MIB);
    assert_eq!((usage(&system, BY_BOTH, 6, 0), usage(&system, BY_BOTH, 7, 0)), (4 * MIB, 3 * MIB));
}

#[test]
fn a_maximum_capacity_is_kept_to_at_once() {
    let system = system(|file| {
        without_l2(file)
            .replace("cpor_bits = 16", "cpor_bits = 16\ncapacity = { bits = 16, max = true, soft_limit = true }")
    });
    for partid in [1, 2] {
        control(&system, L3, partid, Cpbm::OFFSET, 0xffff);
    }
    // A quarter; of PARTID 2 a soft one.
    control(&system, L3, 1, Cmax::OFFSET, 0x3fff);
    control(&system, L3, 2, Cmax::OFFSET, 0x8000_3fff);
    label(&system, 0, (1, 0), (2, 0));
    walk(&system, CacheAccess::Load, Mode::User, 0, 16 * MIB);
    assert_eq!(usage(&system, BY_BOTH, 1, 0), 2 * MIB);
    // What nobody uses is free for a soft limit.
    walk(&system, CacheAccess::Load, Mode::Kernel, 32 * MIB, 16 * MIB);
    assert_eq!((usage(&system, BY_BOTH, 1, 0), usage(&system, BY_BOTH, 2, 0)), (2 * MIB, 6 * MIB));
    control(&system, L3, 1, Cmax::OFFSET, 0xffff);
    walk(&system, CacheAccess::Load, Mode::User, 64 * MIB, 16 * MIB);
    assert_eq!((usage(&system, BY_BOTH, 1, 0), usage(&system, BY_BOTH, 2, 0)), (8 * MIB, 0));
}

#[test]
fn bandwidth_monitors_count_reads_and_what_is_written_back() {
    let system = system(|file| without_l2(file).replace("width = 44", "width = 44, direction = true"));
    control(&system, L3, 3, Cpbm::OFFSET, 0xffff);
    label(&system, 0, (3, 1), (0, 0));
    // Both directions, writes, reads.
    for (monitor, direction) in [(0, 0), (1, 1), (2, 2_u64)] {
        put(&system, MEMORY, MonSel::OFFSET, monitor);
        put(&system, MEMORY, MbwuFlt::OFFSET, direction << 30 | 1 << 16 | 3);
        put(&system, MEMORY, MonCtl::OFFSET, BY_BOTH);
    }
    walk(&system, CacheAccess::Store, Mode::User, 0, 3 * MIB);
    walk(&system, CacheAccess::Load, Mode::User, 32 * MIB, 2 * MIB);
    system.caches().expect("it has caches").flush_all(1, Flush::CleanAndInvalidate);
    let counted = |monitor| {
        put(&system, MEMORY, MonSel::OFFSET, monitor);
        system.load(0, Access { msc: MEMORY, offset: MbwuLong::OFFSET, size: 8 }, 0).0
    };
    assert_eq!([0, 1, 2].map(counted), [8 * MIB, 3 * MIB, 5 * MIB]);
    assert_eq!(system.usage(0, Label { partid: 3, pmg: 1 }, 0).expect("there is one"), (8 * MIB, 0));
}

#[test]
fn a_usage_monitor_can_leave_clean_lines_out() {
    let system =
        system(|file| without_l2(file).replace("usage = { count = 16,", "usage = { count = 16, exclude_clean = true,"));
    walk(&system, CacheAccess::Load, Mode::User, 0, 3 * MIB);
    walk(&system, CacheAccess::Store, Mode::User, 0, MIB);
    put(&system, L3, MonSel::OFFSET, 0);
    put(&system, L3, CsuFlt::OFFSET, 1 << 31);
    put(&system, L3, CsuCtl::OFFSET, BY_BOTH);
    let shown = || system.load(0, Access { msc: L3, offset: Csu::OFFSET, size: 4 }, 1_000_000).0;
    assert_eq!(shown(), MIB);
    system.caches().expect("it has caches").flush_all(0, Flush::Clean);
    assert_eq!(shown(), 0);
    assert_eq!(usage(&system, BY_BOTH, 0, 0), 3 * MIB);
}

#[test]
fn a_portion_has_to_be_allowed_by_every_instance_of_a_cache() {
    let usage_line = "usage = { count = 16, not_ready_us = 20 }";
    let second = format!("{usage_line}\n\n[[mpam.msc.ris]]\npart_of = {{ l3 = 0 }}\ncpor_bits = 8");
    let system = system(|file| without_l2(file).replace(usage_line, &second));
    // RIS 1 has half as many portions, of twice the ways.
    for (ris, portions) in [(0, 0x00ff), (1, 0x3c)] {
        control(&system, L3, ris << 24 | 3, Cpbm::OFFSET, portions);
    }
    label(&system, 0, (3, 0), (0, 0));
    walk(&system, CacheAccess::Load, Mode::User, 0, 16 * MIB);
    assert_eq!(usage(&system, BY_BOTH, 3, 0), 2 * MIB);
}

#[test]
fn an_l2_hides_what_it_holds() {
    let system = system(str::to_owned);
    walk(&system, CacheAccess::Load, Mode::User, 0, MIB / 2);
    walk(&system, CacheAccess::Load, Mode::User, 0, MIB / 2);
    let counts = system.caches().expect("it has caches").counts(0);
    let lines = MIB / 2 / 64;
    assert_eq!((counts.accesses, counts.l3_references, counts.l3_misses), ([2 * lines, 0], [lines, 0], [lines, 0]));
}

#[test]
fn a_maximum_bandwidth_leaves_its_part_of_the_speed_of_memory() {
    const SPEED: u64 = 64_000_000;
    let system = system(without_l2);
    assert!(system.set_memory_speed(SPEED));
    label(&system, 0, (3, 0), (0, 0));
    let caches = system.caches().expect("it has caches");
    // The time that a hundred thousand lines take, long after all before: 20 ms of it have not been used.
    let time = |now| caches.pace(0).wait(100_000, now).map_or(0, |wait| wait.as_millis() + 20);
    // Of PARTID 3 nobody has set the limit yet: the least there is. Then a half, and all.
    for (now, value, milliseconds) in [(1, None, 25_600), (2, Some(0x7fff), 200), (3, Some(0xffff), 100)] {
        if let Some(value) = value {
            control(&system, MEMORY, 3, MbwMax::OFFSET, value);
        }
        let took = time(now * 1_000_000_000_000);
        assert!(took.abs_diff(milliseconds) <= 1, "{value:?}: {took} ms");
    }
}

#[test]
fn caches_that_are_stopped_hold_nothing() {
    let system = system(without_l2);
    walk(&system, CacheAccess::Load, Mode::User, 0, MIB);
    assert_eq!(usage(&system, BY_BOTH, 0, 0), MIB);
    assert_eq!(system.set_caches(Caches::Still, 0).map(|(before, _)| before), Some(Caches::Follow));
    assert_eq!(usage(&system, BY_BOTH, 0, 0), 0);
    assert_eq!(system.set_caches(Caches::Follow, 0).map(|(before, _)| before), Some(Caches::Still));
    walk(&system, CacheAccess::Load, Mode::User, 0, MIB / 2);
    assert_eq!(usage(&system, BY_BOTH, 0, 0), MIB / 2);
    let _ = system.lose_power(0);
    assert_eq!(system.caches().expect("it has caches").counts(0).accesses, [0, 0]);
}
