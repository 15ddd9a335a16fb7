// SPDX-License-Identifier: GPL-2.0-only
//! Caches that follow what CPUs do, seen through the registers of a machine.

#[path = "../examples/by_hand.rs"]
mod by_hand;

use resctrl_hardware::caches::{Access, Flush, Mode};
use resctrl_hardware::registers::{
    L2Mask, L3Mask, L3QosAbmcCfg, L3QosCfg, L3QosExtCfg, MbaThrottle, Msr, PqrAssoc, QmCtr, QmEvtsel, TransactionKinds,
};
use resctrl_hardware::{Caches, Event, Machine, Rdt};

const LINE: u64 = 64;
const MIB: u64 = 1 << 20;
/// Where the memory of the second of two nodes begins.
const SECOND_HALF: u64 = 512 * MIB;

fn machine(name: &str) -> Machine {
    let path = format!("{}/../machines/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    Machine::load(path.as_ref()).expect("a machine")
}

/// A machine with caches that follow.
fn following(name: &str) -> Rdt {
    let mut machine = machine(name);
    machine.cache.model = true;
    Rdt::new(&machine).expect("it has RDT")
}

fn walk(rdt: &Rdt, cpu: usize, access: Access, from: u64, bytes: u64) {
    let caches = rdt.caches().expect("it has caches");
    for address in (from..from + bytes).step_by(LINE as usize) {
        caches.access(cpu, access, Mode::User, address);
    }
}

fn work_for(rdt: &Rdt, cpu: usize, rmid: u64, closid: u64) {
    rdt.wrmsr(cpu, PqrAssoc::ADDRESS, closid << 32 | rmid, 0).expect("it takes these ids");
}

fn get(rdt: &Rdt, domain: usize, rmid: usize, event: Event) -> u64 {
    rdt.get(domain, rmid, event, 0).expect("there is such a counter").0
}

/// A counter by way of the registers, in bytes.
fn read(rdt: &Rdt, cpu: usize, rmid: u64, event: Event) -> u64 {
    rdt.wrmsr(cpu, QmEvtsel::ADDRESS, rmid << 32 | event as u64, 0).expect("it can be selected");
    let chunks = rdt.rdmsr(cpu, QmCtr::ADDRESS, 0).expect("there is one").expect("there is one");
    assert_eq!(chunks >> 62, 0, "it can be read");
    chunks * 65536
}

#[test]
fn who_walks_over_more_than_its_mask_allows_occupies_just_that() {
    for mask in [0x001, 0x00f, 0xff0, 0xfff_u64] {
        let rdt = following("intel");
        rdt.wrmsr(0, L3Mask::ADDRESS + 3, mask, 0).expect("it takes this mask");
        work_for(&rdt, 0, 7, 3);
        walk(&rdt, 0, Access::Load, 0, 48 * MIB);
        let share = 24 * MIB * u64::from(mask.count_ones()) / 12;
        assert_eq!(read(&rdt, 0, 7, Event::LlcOccupancy), share, "{mask:#x}");
        assert_eq!(read(&rdt, 1, 7, Event::MbmTotal), 48 * MIB, "{mask:#x}");
        assert_eq!(read(&rdt, 2, 7, Event::LlcOccupancy), 0, "the other domain has none of it");
    }
}

#[test]
fn what_fits_is_read_from_memory_once() {
    let rdt = following("intel");
    work_for(&rdt, 1, 4, 0);
    for _ in 0..5 {
        walk(&rdt, 1, Access::Load, 0, 20 * MIB);
    }
    assert_eq!(get(&rdt, 0, 4, Event::MbmTotal), 20 * MIB);
    let counts = rdt.caches().expect("it has caches").counts(1);
    let lines = 20 * MIB / LINE;
    assert_eq!((counts.accesses, counts.l3_references, counts.l3_misses), ([5 * lines, 0], [5 * lines, 0], [lines, 0]));
}

#[test]
fn memory_of_the_other_socket_is_not_local() {
    let rdt = following("intel");
    work_for(&rdt, 0, 1, 0);
    work_for(&rdt, 2, 1, 0);
    walk(&rdt, 0, Access::Load, 0, 3 * MIB);
    walk(&rdt, 0, Access::Load, SECOND_HALF, 5 * MIB);
    walk(&rdt, 2, Access::Load, SECOND_HALF, 7 * MIB);
    assert_eq!([Event::MbmTotal, Event::MbmLocal].map(|event| get(&rdt, 0, 1, event)), [8 * MIB, 3 * MIB]);
    assert_eq!([Event::MbmTotal, Event::MbmLocal].map(|event| get(&rdt, 1, 1, event)), [7 * MIB, 7 * MIB]);
}

#[test]
fn what_was_written_is_written_back_for_its_owner_when_it_leaves() {
    let rdt = following("intel");
    work_for(&rdt, 0, 1, 0);
    walk(&rdt, 0, Access::Store, 0, 24 * MIB);
    assert_eq!(get(&rdt, 0, 1, Event::MbmTotal), 24 * MIB, "each line was read first");
    work_for(&rdt, 0, 2, 0);
    walk(&rdt, 0, Access::Load, 100 * MIB, 6 * MIB);
    assert_eq!(get(&rdt, 0, 2, Event::MbmTotal), 6 * MIB);
    assert_eq!(get(&rdt, 0, 1, Event::MbmTotal), 30 * MIB, "a quarter had to leave");
    assert_eq!(get(&rdt, 0, 1, Event::LlcOccupancy), 18 * MIB);
    rdt.caches().expect("it has caches").flush_all(1, Flush::CleanAndInvalidate);
    assert_eq!(get(&rdt, 0, 1, Event::MbmTotal), 48 * MIB);
    assert_eq!([1, 2].map(|rmid| get(&rdt, 0, rmid, Event::LlcOccupancy)), [0, 0]);
}

#[test]
fn a_flushed_line_is_written_back_once_and_gone() {
    let rdt = following("intel");
    let caches = rdt.caches().expect("it has caches");
    caches.access(0, Access::Store, Mode::User, 0x1234);
    caches.access(2, Access::Load, Mode::User, 0x1234);
    caches.flush(0x1200, Flush::Clean);
    caches.flush(0x123f, Flush::CleanAndInvalidate);
    assert_eq!([0, 1].map(|domain| get(&rdt, domain, 0, Event::MbmTotal)), [128, 64]);
    assert_eq!([0, 1].map(|domain| get(&rdt, domain, 0, Event::LlcOccupancy)), [0, 0]);
    caches.access(0, Access::Store, Mode::User, 0x1234);
    caches.flush(0x1234, Flush::Invalidate);
    assert_eq!(get(&rdt, 0, 0, Event::MbmTotal), 192, "it was dropped as it was");
}

#[test]
fn masks_take_effect_at_once_and_take_nothing_away() {
    let rdt = following("intel");
    work_for(&rdt, 0, 1, 1);
    walk(&rdt, 0, Access::Load, 0, 24 * MIB);
    rdt.wrmsr(1, L3Mask::ADDRESS + 1, 0x003, 0).expect("it takes this mask");
    assert_eq!(get(&rdt, 0, 1, Event::LlcOccupancy), 24 * MIB);
    walk(&rdt, 0, Access::Load, 0, 24 * MIB);
    assert_eq!(get(&rdt, 0, 1, Event::MbmTotal), 24 * MIB, "all of it is hit, whatever the mask");
    // Somebody else has the other ten ways, and loses nothing to who has two.
    rdt.wrmsr(0, L3Mask::ADDRESS + 2, 0xffc, 0).expect("it takes this mask");
    work_for(&rdt, 1, 2, 2);
    walk(&rdt, 1, Access::Load, 200 * MIB, 20 * MIB);
    walk(&rdt, 0, Access::Load, 300 * MIB, 100 * MIB);
    assert_eq!([1, 2].map(|rmid| get(&rdt, 0, rmid, Event::LlcOccupancy)), [4 * MIB, 20 * MIB]);
    // Back among all, the neighbour's lines are for the taking.
    rdt.wrmsr(1, L3Mask::ADDRESS + 1, 0xfff, 0).expect("it takes this mask");
    walk(&rdt, 0, Access::Load, 300 * MIB, 100 * MIB);
    assert_eq!([1, 2].map(|rmid| get(&rdt, 0, rmid, Event::LlcOccupancy)), [24 * MIB, 0]);
}

#[test]
fn masks_of_the_other_domain_do_not_matter() {
    let rdt = following("intel");
    rdt.wrmsr(2, L3Mask::ADDRESS, 0x001, 0).expect("it takes this mask");
    walk(&rdt, 0, Access::Load, 0, 24 * MIB);
    walk(&rdt, 2, Access::Load, 0, 24 * MIB);
    assert_eq!([0, 1].map(|domain| get(&rdt, domain, 0, Event::LlcOccupancy)), [24 * MIB, 2 * MIB]);
}

#[test]
fn with_cdp_fetches_fill_by_their_own_mask() {
    let rdt = following("intel");
    rdt.wrmsr(0, L3QosCfg::ADDRESS, 1, 0).expect("it has CDP");
    rdt.wrmsr(0, L3Mask::ADDRESS + 2, 0x00f, 0).expect("data of class 1");
    rdt.wrmsr(0, L3Mask::ADDRESS + 3, 0xff0, 0).expect("code of class 1");
    work_for(&rdt, 0, 5, 1);
    walk(&rdt, 0, Access::Load, 0, 48 * MIB);
    assert_eq!(get(&rdt, 0, 5, Event::LlcOccupancy), 8 * MIB);
    walk(&rdt, 0, Access::Fetch, 100 * MIB, 48 * MIB);
    assert_eq!(get(&rdt, 0, 5, Event::LlcOccupancy), 24 * MIB);
    rdt.wrmsr(0, L3QosCfg::ADDRESS, 0, 0).expect("it has CDP");
    // Class 1 has the second mask now, which nobody has written.
    walk(&rdt, 0, Access::Fetch, 200 * MIB, 24 * MIB);
    walk(&rdt, 0, Access::Load, 200 * MIB, 24 * MIB);
    assert_eq!(get(&rdt, 0, 5, Event::MbmTotal), 120 * MIB);
}

#[test]
fn lines_are_those_of_who_filled_them() {
    let rdt = following("intel");
    work_for(&rdt, 0, 1, 0);
    work_for(&rdt, 1, 2, 0);
    walk(&rdt, 0, Access::Load, 0, 2 * MIB);
    walk(&rdt, 1, Access::Store, 0, 2 * MIB);
    assert_eq!([1, 2].map(|rmid| get(&rdt, 0, rmid, Event::LlcOccupancy)), [2 * MIB, 0]);
    assert_eq!([1, 2].map(|rmid| get(&rdt, 0, rmid, Event::MbmTotal)), [2 * MIB, 0]);
    // Limbo: an RMID that nobody works for keeps its lines until others take their places.
    work_for(&rdt, 0, 2, 0);
    walk(&rdt, 0, Access::Load, 100 * MIB, 23 * MIB);
    assert_eq!(get(&rdt, 0, 1, Event::LlcOccupancy), MIB);
}

#[test]
fn an_l2_fills_by_its_own_mask() {
    // Machine intel-l2: 2 MiB of 16 ways for two CPUs, before 20 MiB.
    let rdt = following("intel-l2");
    rdt.wrmsr(0, L2Mask::ADDRESS + 1, 0x0003, 0).expect("it takes this mask");
    work_for(&rdt, 0, 0, 1);
    let misses = |from| {
        let caches = rdt.caches().expect("it has caches");
        let before = caches.counts(0);
        walk(&rdt, 0, Access::Load, from, MIB / 2);
        let after = caches.counts(0);
        (after.l3_references[0] - before.l3_references[0], after.l3_misses[0] - before.l3_misses[0])
    };
    let lines = MIB / 2 / LINE;
    assert_eq!(misses(0), (lines, lines));
    assert_eq!(misses(0), (lines, 0), "it is more than two ways hold");
    rdt.wrmsr(1, L2Mask::ADDRESS + 1, 0xffff, 0).expect("it takes this mask");
    assert_eq!(misses(0), (lines / 2, 0), "the second half is still there");
    assert_eq!(misses(0), (0, 0), "it fits into the whole");
}

#[test]
fn what_is_dirty_in_an_l2_is_written_back_at_the_end() {
    let mut machine = machine("amd");
    machine.cache.model = true;
    let rdt = Rdt::new(&machine).expect("it has QoS");
    assert!(machine.cache.l2.is_some(), "this machine has L2s");
    work_for(&rdt, 0, 3, 0);
    walk(&rdt, 0, Access::Store, 0, MIB / 4);
    assert_eq!(get(&rdt, 0, 3, Event::MbmTotal), MIB / 4);
    rdt.caches().expect("it has caches").flush_all(0, Flush::CleanAndInvalidate);
    assert_eq!(get(&rdt, 0, 3, Event::MbmTotal), MIB / 2);
    assert_eq!(get(&rdt, 0, 3, Event::MbmLocal), MIB / 4, "victims are no local reads");
    assert_eq!(get(&rdt, 0, 3, Event::LlcOccupancy), 0);
}

#[test]
fn a_line_is_dirty_where_it_was_written() {
    let rdt = following("amd");
    work_for(&rdt, 0, 3, 0);
    walk(&rdt, 0, Access::Store, 0, LINE);
    // Another CPU with an L2 of its own drives the line out of the L3, which had a clean copy.
    let l3 = rdt.machine().cache.l3.clone().expect("it has one");
    let sets = l3.size_kib * 1024 / LINE / l3.ways;
    for line in 1..=l3.ways {
        walk(&rdt, 1, Access::Load, line * sets * LINE, LINE);
    }
    assert_eq!((get(&rdt, 0, 3, Event::LlcOccupancy), get(&rdt, 0, 3, Event::MbmTotal)), (0, LINE));
    rdt.caches().expect("it has caches").flush_all(0, Flush::CleanAndInvalidate);
    assert_eq!(get(&rdt, 0, 3, Event::MbmTotal), 2 * LINE);
}

#[test]
fn an_empty_mask_fills_nothing() {
    let rdt = following("amd");
    rdt.wrmsr(0, L3Mask::ADDRESS + 1, 0, 0).expect("masks of AMD may be empty");
    work_for(&rdt, 0, 3, 1);
    // More than the L2 hides.
    walk(&rdt, 0, Access::Load, 0, 8 * MIB);
    walk(&rdt, 0, Access::Load, 0, 8 * MIB);
    assert_eq!(get(&rdt, 0, 3, Event::LlcOccupancy), 0);
    assert_eq!(get(&rdt, 0, 3, Event::MbmTotal), 16 * MIB);
}

#[test]
fn an_assigned_counter_counts_its_kinds_from_then_on() {
    let rdt = following("amd-abmc");
    work_for(&rdt, 0, 6, 2);
    rdt.wrmsr(0, L3QosExtCfg::ADDRESS, L3QosExtCfg::ABMC.mask(), 0).expect("it has ABMC");
    walk(&rdt, 0, Access::Load, 0, 3 * MIB);
    let assign = |counter, source, of_class, kinds| {
        let config = L3QosAbmcCfg::default()
            .with(&L3QosAbmcCfg::CONFIGURE, 1)
            .with(&L3QosAbmcCfg::COUNTER_ENABLE, 1)
            .with(&L3QosAbmcCfg::COUNTER, counter)
            .with(&L3QosAbmcCfg::SOURCE, source)
            .with(&L3QosAbmcCfg::SOURCE_IS_CLOSID, of_class)
            .with(&L3QosAbmcCfg::KINDS, kinds);
        rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, config.0, 0).expect("it can be assigned");
    };
    assign(1, 6, 0, TransactionKinds::LOCAL_READS.mask());
    assign(2, 2, 1, TransactionKinds::REMOTE_READS.mask());
    assign(3, 6, 0, TransactionKinds::DIRTY_VICTIMS.mask());
    walk(&rdt, 0, Access::Store, 100 * MIB, 5 * MIB);
    walk(&rdt, 0, Access::Load, SECOND_HALF, 7 * MIB);
    rdt.caches().expect("it has caches").flush_all(0, Flush::CleanAndInvalidate);
    let counter = |number: u64| {
        // The extended event of assignable counters.
        rdt.wrmsr(0, QmEvtsel::ADDRESS, number << 32 | 1 << 31 | 1, 0).expect("it can be selected");
        rdt.rdmsr(0, QmCtr::ADDRESS, 0).expect("there is one").expect("there is one") * LINE
    };
    assert_eq!([1, 2, 3].map(counter), [5 * MIB, 7 * MIB, 5 * MIB]);
}

#[test]
fn nodes_of_a_socket_are_counted_apart_and_have_their_parts_of_the_cache() {
    // Machine intel-snc: 30 MiB and two nodes of 256 MiB a socket.
    let rdt = following("intel-snc");
    // RMIDs are shared, each node has its own counters of them.
    rdt.wrmsr(0, 0xca0, 0, 0).expect("the sockets are divided");
    work_for(&rdt, 0, 1, 0);
    work_for(&rdt, 2, 1, 0);
    walk(&rdt, 0, Access::Load, 0, 60 * MIB);
    walk(&rdt, 2, Access::Load, 256 * MIB, 40 * MIB);
    walk(&rdt, 2, Access::Load, 200 * MIB, MIB);
    let of = |event| [1, 33].map(|rmid| get(&rdt, 0, rmid, event));
    assert_eq!(of(Event::MbmTotal), [60 * MIB, 41 * MIB]);
    assert_eq!(of(Event::MbmLocal), [60 * MIB, 40 * MIB]);
    assert_eq!(of(Event::LlcOccupancy), [14 * MIB, 16 * MIB], "half of the sets each, and 1 MiB of the neighbour's");
}

#[test]
fn still_caches_hold_nothing_and_leave_counters_to_the_traffic_source() {
    let rdt = Rdt::new(&machine("intel")).expect("it has RDT");
    walk(&rdt, 0, Access::Load, 0, MIB);
    assert_eq!(get(&rdt, 0, 0, Event::MbmTotal), 0);
    rdt.set(0, 0, Event::LlcOccupancy, 12345, 0).expect("there is such a counter");
    assert_eq!(get(&rdt, 0, 0, Event::LlcOccupancy), 12345);
    assert_eq!(rdt.set_caches(Caches::Follow), Some(Caches::Still));
    assert_eq!(get(&rdt, 0, 0, Event::LlcOccupancy), 0);
    walk(&rdt, 0, Access::Load, 0, MIB);
    assert_eq!(get(&rdt, 0, 0, Event::LlcOccupancy), MIB);
    // What was not read before they are stopped is counted all the same.
    assert_eq!(rdt.set_caches(Caches::Still), Some(Caches::Follow));
    assert_eq!(get(&rdt, 0, 0, Event::MbmTotal), MIB);
    assert_eq!(get(&rdt, 0, 0, Event::LlcOccupancy), 0);
}

#[test]
fn caches_that_begin_late_know_what_registers_hold() {
    let rdt = Rdt::new(&machine("intel")).expect("it has RDT");
    rdt.wrmsr(0, L3Mask::ADDRESS + 1, 0x00f, 0).expect("it takes this mask");
    work_for(&rdt, 0, 9, 1);
    rdt.set_caches(Caches::Follow);
    walk(&rdt, 0, Access::Load, 0, 48 * MIB);
    assert_eq!(get(&rdt, 0, 9, Event::LlcOccupancy), 8 * MIB);
}

#[test]
fn caches_are_empty_and_open_after_a_loss_of_power() {
    let rdt = following("intel");
    rdt.wrmsr(0, L3Mask::ADDRESS + 1, 0x00f, 0).expect("it takes this mask");
    work_for(&rdt, 0, 9, 1);
    walk(&rdt, 0, Access::Load, 0, 4 * MIB);
    rdt.lose_power();
    assert_eq!(get(&rdt, 0, 9, Event::LlcOccupancy), 0);
    walk(&rdt, 0, Access::Load, 0, 48 * MIB);
    assert_eq!([0, 9].map(|rmid| get(&rdt, 0, rmid, Event::LlcOccupancy)), [24 * MIB, 0]);
}

#[test]
fn a_cpu_that_lost_its_power_works_for_nobody() {
    let rdt = following("intel");
    work_for(&rdt, 0, 9, 1);
    rdt.power_cycle(0, 0);
    walk(&rdt, 0, Access::Load, 0, MIB);
    assert_eq!([0, 9].map(|rmid| get(&rdt, 0, rmid, Event::MbmTotal)), [MIB, 0]);
}

#[test]
fn a_device_is_not_cached() {
    let rdt = following("intel");
    walk(&rdt, 0, Access::Load, 0xfee0_0000, 4096);
    assert_eq!(get(&rdt, 0, 0, Event::MbmTotal), 0);
}

#[test]
fn a_change_of_ids_or_masks_empties_the_filters_of_the_cpus_it_is_about() {
    use resctrl_hardware::caches::Write;
    let rdt = following("intel");
    let caches = rdt.caches().expect("it has caches");
    let hides = |cpu: usize| caches.filters(cpu)[0].hides(5, Write::No);
    let seen = |what: &str, expected: [bool; 4]| {
        assert_eq!([0, 1, 2, 3].map(hides), expected, "{what}");
        assert_eq!([0, 1, 2, 3].map(hides), [true; 4], "{what}");
    };
    seen("at first", [false; 4]);
    work_for(&rdt, 1, 1, 0);
    seen("another RMID", [true, false, true, true]);
    work_for(&rdt, 1, 1, 0);
    seen("the same RMID", [true; 4]);
    rdt.wrmsr(2, L3Mask::ADDRESS, 0x7, 0).expect("it takes this mask");
    seen("another mask", [true, true, false, false]);
    rdt.wrmsr(2, L3Mask::ADDRESS + 5, 0x7, 0).expect("it takes this mask");
    seen("a mask nobody works under", [true; 4]);
    rdt.wrmsr(0, MbaThrottle::ADDRESS, 50, 0).expect("it takes this delay");
    seen("a delay", [true; 4]);
    assert!(Msr::at(MbaThrottle::ADDRESS).is_some());
}

#[test]
fn a_machine_file_can_ask_for_caches_that_follow_and_is_told_what_they_need() {
    let text = include_str!("../../machines/intel.toml");
    let with = |old: &str, new: &str| Machine::parse(&text.replace(old, new));
    let asked = with("[cache.l3]", "[cache]\nmodel = true\n[cache.l3]").expect("the machine can have it");
    assert!(asked.cache.model);
    let rdt = Rdt::new(&asked).expect("it has RDT");
    assert!(rdt.caches().expect("it has caches").is_running());
    let many = "[cache]\nmodel = true\n[cache.l3]\nsize_kib = 24576\nways = 96";
    let problem = with("[cache.l3]\nsize_kib = 24576\nways = 12", many).expect_err("too many ways").to_string();
    assert!(problem.contains("cache.l3.ways: 96 are more than the 64"), "{problem}");
}

#[test]
fn a_guest_can_turn_it_on_and_off_and_ask_what_was_seen() {
    use resctrl_hardware::control::{Request, Status, read_answer};
    let ask = |rdt: &Rdt, request: Request| read_answer(rdt.control(request.encode(), 0)).expect("somebody answers");
    let rdt = Rdt::new(&machine("intel")).expect("it has RDT");
    assert_eq!(ask(&rdt, Request::Caches(Caches::Follow)), Ok([0, 0, 0]));
    walk(&rdt, 3, Access::Load, 0, 4096);
    assert_eq!(ask(&rdt, Request::CacheCounts(3)), Ok([64, 64, 64]));
    assert_eq!(ask(&rdt, Request::CacheCounts(4)), Err(Status::NoSuchCpu));
    assert_eq!(ask(&rdt, Request::Caches(Caches::Still)), Ok([1, 0, 0]));
    let none = Rdt::new(&machine("none")).expect("it has nothing");
    assert_eq!(ask(&none, Request::Caches(Caches::Follow)), Err(Status::NoCaches));
    assert_eq!(ask(&none, Request::CacheCounts(0)), Err(Status::NoCaches));
}

/// Bytes a second that a CPU gets if it does nothing but miss, 50 ns each: in a quarter of a second of virtual time, from a second
/// on, after what may be used at once is used up.
fn throughput(rdt: &Rdt, cpu: usize, from: u64, second: u64) -> u64 {
    const PARTS: u64 = 4;
    let caches = rdt.caches().expect("it has caches");
    let (mut now, mut bytes) = (second * 1_000_000_000, 0);
    let start = now + 50_000_000;
    let end = start + 1_000_000_000 / PARTS;
    for address in (from..).step_by(LINE as usize) {
        if now >= end {
            break;
        }
        now += 50;
        let lines = caches.access(cpu, Access::Load, Mode::User, address);
        if now > start {
            bytes += lines * LINE;
        }
        if let Some(wait) = caches.pace(cpu).wait(lines, now) {
            now += u64::try_from(wait.as_nanos()).expect("a short time");
        }
    }
    bytes * PARTS
}

#[test]
fn a_delay_leaves_its_part_of_the_speed_of_memory() {
    const SPEED: u64 = 200_000_000;
    for delay in (0..=90).step_by(30) {
        let rdt = following("intel");
        assert!(rdt.set_memory_speed(SPEED));
        rdt.wrmsr(0, MbaThrottle::ADDRESS + 3, delay, 0).expect("it takes this delay");
        work_for(&rdt, 0, 1, 3);
        let expected = SPEED / 100 * (100 - delay);
        let got = throughput(&rdt, 0, 0, 5);
        assert!(got.abs_diff(expected) <= SPEED / 20, "{got} of {expected}");
        assert!(throughput(&rdt, 1, 700 * MIB, 5).abs_diff(SPEED) <= SPEED / 20, "class 0 has no delay");
        rdt.wrmsr(0, MbaThrottle::ADDRESS + 3, 0, 0).expect("it takes this delay");
        assert!(throughput(&rdt, 0, 400 * MIB, 9).abs_diff(SPEED) <= SPEED / 20, "it takes effect at once");
    }
}

#[test]
fn without_a_speed_of_memory_nobody_waits() {
    let rdt = following("intel");
    rdt.wrmsr(0, MbaThrottle::ADDRESS, 90, 0).expect("it takes this delay");
    assert!(!rdt.caches().expect("it has caches").pace(0).is_limited());
    rdt.set_memory_speed(1 << 20);
    assert!(rdt.caches().expect("it has caches").pace(0).is_limited());
    rdt.set_memory_speed(0);
    assert!(!rdt.caches().expect("it has caches").pace(0).is_limited());
}

#[test]
fn cpus_of_a_class_share_the_limit_of_amd() {
    let rdt = following("amd");
    rdt.set_memory_speed(1_000_000_000);
    rdt.wrmsr(0, resctrl_hardware::registers::MbaBandwidth::ADDRESS + 2, 2, 0).expect("it takes this limit");
    work_for(&rdt, 0, 1, 2);
    // Two eighths of 10^9 bytes a second.
    let alone = throughput(&rdt, 0, 0, 5);
    assert!(alone.abs_diff(250_000_000) <= 10_000_000, "{alone}");
    work_for(&rdt, 1, 1, 2);
    let shared = throughput(&rdt, 1, 400 * MIB, 5);
    assert!(shared.abs_diff(125_000_000) <= 10_000_000, "{shared}");
}

#[test]
fn the_example_of_a_machine_driven_by_hand_gets_what_its_mask_allows() {
    by_hand::main();
}
