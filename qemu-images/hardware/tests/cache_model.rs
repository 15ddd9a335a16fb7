// SPDX-License-Identifier: GPL-2.0-only
//! The caches of a whole machine: which there are, and what moves because of an access.

use resctrl_hardware::caches::{Access, Flush, Lines, Mode, Model, Write};
use resctrl_hardware::mpam::System;
use resctrl_hardware::registers::{L3Mask, L3QosAbmcCfg, L3QosExtCfg, PqrAssoc, QmCtr, QmEvtsel, TransactionKinds};
use resctrl_hardware::{Machine, Rdt};

const LINE: u64 = 64;
/// Where the memory of the second of two nodes begins.
const SECOND_HALF: u64 = 512 << 20;

fn following(name: &str) -> Rdt {
    let path = format!("{}/../machines/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let mut machine = Machine::load(path.as_ref()).expect("a machine");
    machine.cache.model = true;
    Rdt::new(&machine).expect("a parsed machine is valid")
}

fn caches(rdt: &Rdt) -> &Model {
    rdt.caches().expect("it has caches")
}

/// Lines of memory that lie in one set of a cache of so many sets.
fn of_one_set(sets: u64) -> impl Iterator<Item = u64> {
    (0..).map(move |number| number * sets * LINE)
}

#[test]
fn an_access_tells_how_many_lines_it_moved() {
    // No L2, and an L3 of 24 MiB in 12 ways.
    let rdt = following("intel");
    let access = |access, address| caches(&rdt).access(0, access, Mode::User, address);
    let mut addresses = of_one_set(32768);
    let first: Vec<u64> = addresses.by_ref().take(12).collect();
    for address in &first {
        assert_eq!([access(Access::Store, *address), access(Access::Load, *address)], [1, 0]);
    }
    // A line that was written has to go, then one that was read.
    let next = addresses.next().expect("there are more");
    assert_eq!(access(Access::Load, next), 2);
    for address in &first {
        caches(&rdt).flush(*address, Flush::Clean);
    }
    assert_eq!(access(Access::Load, addresses.next().expect("there are more")), 1);
}

#[test]
fn a_dirty_line_that_leaves_an_l2_moves_to_the_l3_or_where_that_has_it_not_to_memory() {
    // L2s of 1 MiB in 8 ways before an L3 of 32 MiB: lines of one set of the L2 are in several of the L3.
    for l3_has_it in [true, false] {
        let rdt = following("amd");
        if !l3_has_it {
            rdt.wrmsr(0, L3Mask::ADDRESS, 0, 0).expect("masks of AMD may be empty");
        }
        let access = |access, address| caches(&rdt).access(0, access, Mode::User, address);
        let mut addresses = of_one_set(2048);
        assert_eq!(access(Access::Store, addresses.next().expect("there are more")), 1);
        for address in addresses.by_ref().take(7) {
            assert_eq!(access(Access::Load, address), 1);
        }
        let last = access(Access::Load, addresses.next().expect("there are more"));
        assert_eq!(last, if l3_has_it { 1 } else { 2 }, "the first line left");
        let written = if l3_has_it { 0 } else { 1 };
        assert_eq!(caches(&rdt).lines(), Lines { read: 9, written });
        caches(&rdt).flush_all(0, Flush::CleanAndInvalidate);
        assert_eq!(caches(&rdt).lines(), Lines { read: 9, written: 1 }, "it is written once");
    }
}

#[test]
fn lines_of_all_domains_are_counted_together() {
    let rdt = following("intel");
    let walk = |cpu, access, from: u64, lines: u64| {
        for line in 0..lines {
            caches(&rdt).access(cpu, access, Mode::User, from + line * LINE);
        }
    };
    assert_eq!(caches(&rdt).lines(), Lines::default());
    walk(0, Access::Load, 0, 3);
    walk(0, Access::Store, 4096, 2);
    walk(2, Access::Store, 8192, 7);
    assert_eq!(caches(&rdt).lines(), Lines { read: 12, written: 0 });
    for cpu in [0, 2] {
        caches(&rdt).flush_all(cpu, Flush::CleanAndInvalidate);
    }
    assert_eq!(caches(&rdt).lines(), Lines { read: 12, written: 9 });
}

#[test]
fn each_cpu_has_the_l2_and_the_filters_that_are_its_own() {
    let rdt = following("amd");
    let caches = caches(&rdt);
    assert_eq!((caches.cpus(), caches.all_filters().len()), (4, 4));
    for cpu in 0..4 {
        let address = 4096 * cpu as u64;
        for _ in 0..2 {
            caches.access(cpu, Access::Load, Mode::User, address);
        }
        assert_eq!((caches.counts(cpu).accesses[0], caches.counts(cpu).l3_references[0]), (2, 1), "CPU {cpu}");
        let number = address / LINE;
        assert!(!caches.filters(cpu)[0].hides(number, Write::No));
        let hiding = caches.all_filters().iter().map(|[data, code]| [data, code].map(|f| f.holds(number, Write::No)));
        assert!(hiding.enumerate().all(|(of, hides)| hides == [of == cpu, false]), "CPU {cpu}");
    }
    // The neighbour in the L3 has to ask for it all the same.
    caches.access(1, Access::Load, Mode::User, 0);
    assert_eq!((caches.counts(1).l3_references[0], caches.counts(1).l3_misses[0]), (2, 1));
}

#[test]
fn whoever_flushes_has_every_later_access_seen() {
    let rdt = following("intel");
    for flush in [
        (|caches: &Model| caches.flush(4096, Flush::CleanAndInvalidate)) as fn(&Model),
        |caches| caches.flush_all(2, Flush::Clean),
        Model::empty_filters,
    ] {
        for cpu in 0..4 {
            let _ = caches(&rdt).filters(cpu)[1].hides(7, Write::No);
            assert!(caches(&rdt).filters(cpu)[1].holds(7, Write::No));
        }
        flush(caches(&rdt));
        assert!((0..4).all(|cpu| !caches(&rdt).filters(cpu)[1].holds(7, Write::No)));
    }
}

#[test]
fn a_machine_with_more_ways_or_labels_than_can_be_told_apart_has_no_caches_that_follow() {
    let mpam = include_str!("../../machines/mpam.toml");
    let has = |old: &str, new: &str| {
        let machine = Machine::parse(&mpam.replacen(old, new, 1)).unwrap_or_else(|problem| panic!("{problem}"));
        System::new(&machine).expect("it has MPAM").caches().is_some()
    };
    assert!(has("ways = 16", "ways = 64") && !has("ways = 16", "ways = 128"));
    assert!(has("partid_max = 31", "partid_max = 16383") && !has("partid_max = 31", "partid_max = 16384"));
    assert!(has("ways = 8", "ways = 64") && !has("ways = 8", "ways = 128"), "an L2 likewise");
}

#[test]
fn victims_are_one_kind_wherever_they_go() {
    let rdt = following("amd-abmc");
    let store = |from: u64, lines: u64| {
        for line in 0..lines {
            caches(&rdt).access(0, Access::Store, Mode::User, from + line * LINE);
        }
    };
    rdt.wrmsr(0, PqrAssoc::ADDRESS, 6, 0).expect("it takes this RMID");
    rdt.wrmsr(0, L3QosExtCfg::ADDRESS, L3QosExtCfg::ABMC.mask(), 0).expect("it has ABMC");
    let config = L3QosAbmcCfg::default()
        .with(&L3QosAbmcCfg::CONFIGURE, 1)
        .with(&L3QosAbmcCfg::COUNTER_ENABLE, 1)
        .with(&L3QosAbmcCfg::SOURCE, 6)
        .with(&L3QosAbmcCfg::KINDS, TransactionKinds::DIRTY_VICTIMS.mask());
    rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, config.0, 0).expect("it can be assigned");
    store(0, 3);
    store(SECOND_HALF, 5);
    caches(&rdt).flush_all(0, Flush::CleanAndInvalidate);
    rdt.wrmsr(0, QmEvtsel::ADDRESS, 1 << 31 | 1, 0).expect("it can be selected");
    assert_eq!(rdt.rdmsr(0, QmCtr::ADDRESS, 0), Ok(Some(8)), "in lines of 64 bytes");
}
