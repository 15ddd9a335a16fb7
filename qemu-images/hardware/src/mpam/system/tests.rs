// SPDX-License-Identifier: GPL-2.0-only

mod channel;
mod flows;
mod pages;

use super::*;
use crate::control::{CounterId, Request, Status, label_id, read_answer};
use crate::flow::{Flow, TrafficError};
use crate::monitor::{Event, Fault};
use crate::mpam::registers::{Csu, CsuCtl, CsuFlt, Idr, Iidr, MbwuFlt, MbwuLong, MonCtl, MonSel, TYPE_CSU};

const ENABLED: u64 = 1 << 31 | 1 << 17 | 1 << 16;
const SECOND: u64 = 1_000_000_000;
const L3: usize = 0;
const MEMORY: usize = 1;

/// A program on CPU 0.
const CALLER: (usize, Level) = (0, Level::El0);

fn system(change: impl Fn(&str) -> String) -> System {
    let file = change(include_str!("../../../../machines/mpam.toml"));
    System::new(&Machine::parse(&file).unwrap_or_else(|problem| panic!("{problem}"))).expect("it has MPAM")
}

fn plain() -> System {
    let system = system(str::to_owned);
    let _ = system.power_on(0);
    system
}

fn word(msc: usize, offset: u32) -> Access {
    Access { msc, offset, size: 4 }
}

fn put(system: &System, msc: usize, offset: u32, value: u64) -> Effects {
    system.store(0, word(msc, offset), value, 0)
}

fn get(system: &System, msc: usize, offset: u32, now: u64) -> u64 {
    system.load(0, word(msc, offset), now).0
}

fn label(partid: u16, pmg: u8) -> Label {
    Label { partid, pmg }
}

/// Opens a PARTID's controls to everything.
fn open(system: &System, partid: u64) {
    for (msc, offset) in [(L3, Cpbm::OFFSET), (MEMORY, MbwMax::OFFSET)] {
        let _ = put(system, msc, PartSel::OFFSET, partid);
        let _ = put(system, msc, offset, 0xffff);
    }
}

/// Has monitor 0 of the L3 and of memory count a label.
fn watch(system: &System, partid: u64, pmg: u64) {
    for (msc, filter, control) in [(L3, CsuFlt::OFFSET, CsuCtl::OFFSET), (MEMORY, MbwuFlt::OFFSET, MonCtl::OFFSET)] {
        let _ = put(system, msc, MonSel::OFFSET, 0);
        let _ = put(system, msc, filter, pmg << 16 | partid);
        let _ = put(system, msc, control, ENABLED);
    }
}

fn moved(system: &System, now: u64) -> u64 {
    system.load(0, Access { msc: MEMORY, offset: MbwuLong::OFFSET, size: 8 }, now).0
}

#[test]
fn an_address_is_an_msc_and_an_offset_or_neither() {
    let system = plain();
    assert_eq!(system.at(0x1_0000_0000), Some((0, 0)));
    assert_eq!(system.at(0x1_0001_2004), Some((1, 0x2004)));
    assert_eq!((system.at(0x1_0002_0000), system.at(0xffff_fff8), system.at(0)), (None, None, None));
}

#[test]
fn the_pages_begin_with_what_registers_read_as_after_reset() {
    let system = system(str::to_owned);
    let memory = system.power_on(0).memory;
    let value = |address| memory.iter().find(|(at, _)| *at == address).map(|(_, value)| *value);
    assert_eq!(value(0x1_0000_0000), Some(get(&system, L3, Idr::OFFSET, 0) as u32));
    assert_eq!(value(0x1_0001_0000), Some(get(&system, MEMORY, Idr::OFFSET, 0) as u32));
    // PARTID 0 may use all of the cache.
    assert_eq!(value(0x1_0000_1000), Some(0xffff));
}

#[test]
fn a_store_changes_the_register_and_the_memory_of_what_it_selects() {
    let system = plain();
    assert_eq!(put(&system, L3, PartSel::OFFSET, 3).memory, [(0x1_0000_1000, 0)]);
    assert_eq!(put(&system, L3, Cpbm::OFFSET, 0x0f).memory, []);
    assert_eq!(put(&system, L3, PartSel::OFFSET, 0).memory, [(0x1_0000_1000, 0xffff)]);
    // Read only, and back it goes.
    let iidr = get(&system, L3, Iidr::OFFSET, 0) as u32;
    assert_eq!(put(&system, L3, Iidr::OFFSET, 1).memory, [(0x1_0000_0018, iidr)]);
    let narrow = Access { msc: L3, offset: Iidr::OFFSET + 1, size: 1 };
    assert_eq!(system.store(0, narrow, 0xff, 0).memory, [(0x1_0000_0018, iidr)]);
    assert_eq!(system.load(0, narrow, 0).0, u64::from(iidr >> 8 & 0xff));
}

#[test]
fn loads_of_what_no_register_is_need_not_be_watched() {
    let words = plain().words_to_watch();
    let watched = |offset: u32| words[offset as usize % 4096 / 256] >> (offset % 256 / 4) & 1 == 1;
    assert!([Cpbm::OFFSET, Csu::OFFSET, MbwuLong::OFFSET + 4, Esr::OFFSET].into_iter().all(watched));
    assert!(![0x300, 0xffc, Cpbm::OFFSET + 8].into_iter().any(watched));
}

#[test]
fn an_access_of_eight_bytes_is_two_registers_or_one_that_long() {
    let system = plain();
    let long = |msc, offset| Access { msc, offset, size: 8 };
    assert_eq!(system.load(0, long(L3, Idr::OFFSET), 0).0 & 0xffff_ffff, get(&system, L3, Idr::OFFSET, 0));
    assert_eq!(Idr::HAS_ESR.get(system.load(0, long(L3, Idr::OFFSET), 0).0), 1);
    let _ = system.store(0, long(MEMORY, MbwuLong::OFFSET), 0x12_3456_789a, 0);
    assert_eq!(moved(&system, 0), 0x12_3456_789a);
}

#[test]
fn bytes_that_a_label_moves_are_counted_where_they_pass() {
    let system = plain();
    watch(&system, 3, 1);
    for (partid, pmg, bytes) in [(3, 1, 1000), (3, 2, 50), (4, 1, 7)] {
        let _ = system.add(0, label(partid, pmg), bytes, 0).unwrap();
    }
    let _ = system.set_occupancy(0, label(3, 1), 4096, 0).unwrap();
    assert_eq!(moved(&system, 0), 1000);
    assert_eq!(get(&system, L3, Csu::OFFSET, 1), 1 << 31);
    assert_eq!(get(&system, L3, Csu::OFFSET, 20_000), 4096);
    assert_eq!(system.usage(0, label(3, 1), 0), Ok((1000, 4096)));
    assert_eq!(system.add(1, label(3, 1), 1, 0), Err(TrafficError::NoSuchDomain));
    assert_eq!(system.add(0, label(32, 1), 1, 0), Err(TrafficError::NoSuchRmid));
    assert_eq!(system.add(0, label(3, 4), 1, 0), Err(TrafficError::NoSuchRmid));
}

#[test]
fn a_flow_goes_where_its_cpu_s_label_is() {
    let system = plain();
    open(&system, 5);
    open(&system, 6);
    watch(&system, 5, 0);
    let assign =
        |partid: u64, now| system.msr(2, Level::El1, SystemRegister::Mpam0, partid << 16, now).expect("it is there");
    let _ = assign(5, 0);
    let _ = system.set_flow(2, Some(Flow { total: 1000, local: 0, footprint: 300 }), 0).unwrap();
    assert_eq!(moved(&system, 2 * SECOND), 2000);
    let _ = assign(6, 3 * SECOND);
    assert_eq!(moved(&system, 9 * SECOND), 3000);
    assert_eq!(system.usage(0, label(6, 0), 9 * SECOND), Ok((6000, 300)));
    let _ = system.set_flow(2, None, 9 * SECOND).unwrap();
    assert_eq!(system.usage(0, label(6, 0), 20 * SECOND), Ok((6000, 300)));
    let _ = system.set_drain(0, 100, 20 * SECOND).unwrap();
    assert_eq!(system.usage(0, label(5, 0), 22 * SECOND), Ok((3000, 100)));
}

#[test]
fn controls_limit_a_flow_and_what_it_fills() {
    let system = plain();
    open(&system, 5);
    let _ = put(&system, L3, PartSel::OFFSET, 5);
    let _ = put(&system, L3, Cpbm::OFFSET, 0x0003);
    let _ = put(&system, MEMORY, PartSel::OFFSET, 5);
    let _ = put(&system, MEMORY, MbwMax::OFFSET, 0x3f00);
    let _ = system.msr(1, Level::El1, SystemRegister::Mpam0, 5 << 16, 0);
    let _ = system.set_flow(1, Some(Flow { total: 4 << 30, local: 0, footprint: 8 << 20 }), 0).unwrap();
    // A quarter of the bandwidth, two of sixteen portions.
    assert_eq!(system.usage(0, label(5, 0), SECOND), Ok((1 << 30, 1 << 20)));
}

#[test]
fn a_rate_begins_when_it_is_set() {
    let system = plain();
    let _ = system.set_rate(0, label(1, 0), 10, 5 * SECOND).unwrap();
    assert_eq!(system.usage(0, label(1, 0), 7 * SECOND), Ok((20, 0)));
    let _ = system.set_rate(0, label(1, 0), 0, 7 * SECOND).unwrap();
    assert_eq!(system.usage(0, label(1, 0), 9 * SECOND), Ok((20, 0)));
}

#[test]
fn slices_of_one_cache_share_what_is_in_it() {
    let file = include_str!("../../../../machines/mpam-ris.toml");
    let system = System::new(&Machine::parse(file).unwrap()).unwrap();
    let _ = system.set_occupancy(0, label(0, 0), 1001, 0).unwrap();
    let held = |ris: u64| {
        let _ = put(&system, 0, MonSel::OFFSET, ris << 24);
        let _ = put(&system, 0, CsuFlt::OFFSET, 0);
        let _ = put(&system, 0, CsuCtl::OFFSET, ENABLED);
        get(&system, 0, Csu::OFFSET, SECOND)
    };
    assert_eq!((held(0), held(1)), (500, 501));
    let _ = system.add(0, label(0, 0), 77, 0).unwrap();
    assert_eq!(system.usage(0, label(0, 0), 0), Ok((77, 1001)));
}

#[test]
fn an_error_raises_the_interrupt_once_and_again_after_it_was_cleared() {
    let system = plain();
    let _ = put(&system, L3, PartSel::OFFSET, 99);
    assert_eq!(put(&system, L3, Cpbm::OFFSET, 1).interrupts, [0_u32; 0]);
    let _ = put(&system, L3, Esr::OFFSET, 0);
    assert_eq!(put(&system, L3, Ecr::OFFSET, 1).interrupts, [0_u32; 0]);
    let raised = put(&system, L3, Cpbm::OFFSET, 1);
    assert_eq!(raised.interrupts, [112]);
    assert!(raised.memory.iter().any(|(address, _)| *address == 0x1_0000_00f8), "{raised:x?}");
    assert_eq!(put(&system, L3, Cpbm::OFFSET, 1).interrupts, [0_u32; 0]);
    let _ = put(&system, L3, Esr::OFFSET, 0);
    // A load can be a mistake as well.
    assert_eq!(system.load(0, word(L3, Cpbm::OFFSET), 0).1.interrupts, [112]);
    assert_eq!(system.writes(Kind::Refused), 4);
}

#[test]
fn a_request_of_a_partid_that_nobody_has_is_an_error() {
    let system = plain();
    let _ = put(&system, MEMORY, Ecr::OFFSET, 1);
    let call = Request::MscRequest(1, 0, 0x4000, 64).encode();
    let (answer, effects) = system.control(call, CALLER, 0);
    assert_eq!(read_answer(answer), Some(Ok([0; 3])));
    assert_eq!(effects.interrupts, [113]);
    let (answer, _) = system.control(Request::MscError(1).encode(), CALLER, 0);
    let Some(Ok([status, control, _])) = read_answer(answer) else { panic!("{answer:x?}") };
    assert_eq!((Esr::ERRCODE.get(status), Esr::PARTID_MON.get(status), control), (2, 0x4000, 1));
}

#[test]
fn a_cpu_without_power_forgets_its_labels() {
    let system = plain();
    let _ = system.msr(2, Level::El1, SystemRegister::Mpam0, 3 << 16 | 3, 0);
    assert_eq!(system.label(2).partid, 3);
    let (answer, _) = system.control(Request::PowerCycle(2).encode(), CALLER, 0);
    assert_eq!(read_answer(answer), Some(Ok([0; 3])));
    assert_eq!(system.label(2), Label { partid: 31, pmg: 3 });
    let (answer, _) = system.control(Request::PowerCycle(4).encode(), CALLER, 0);
    assert_eq!(read_answer(answer), Some(Err(Status::NoSuchCpu)));
}

#[test]
fn a_machine_without_power_forgets_everything() {
    let system = plain();
    let _ = system.msr(2, Level::El1, SystemRegister::Mpam0, 3 << 16 | 3, 0);
    let _ = put(&system, L3, PartSel::OFFSET, 5);
    let _ = put(&system, L3, Cpbm::OFFSET, 0x3);
    let held = |system: &System| {
        let call = Request::MscControl(0, 0, 5, Cpbm::OFFSET.into()).encode();
        read_answer(system.control(call, CALLER, 0).0).unwrap().unwrap()[0]
    };
    assert_eq!(held(&system), 0x3);
    let (answer, _) = system.control(Request::LosePower.encode(), CALLER, 0);
    assert_eq!(read_answer(answer), Some(Ok([0; 3])));
    assert_eq!(system.label(2), Label { partid: 31, pmg: 3 });
    assert_eq!(held(&system), 0, "nothing promises a value after reset");
}

#[test]
fn a_component_of_one_domain_answers_only_its_cpus() {
    let machine = include_str!("../../../../machines/mpam-2l3.toml");
    let file = machine.replacen("[[mpam.msc]]\n", "[[mpam.msc]]\nreached_from_l3 = 0\n", 1);
    let system = System::new(&Machine::parse(&file).unwrap()).unwrap();
    let _ = system.power_on(0);
    let at = word(0, Iidr::OFFSET);
    assert_ne!(system.load(1, at, 0).0, 0);
    assert_eq!(system.load(2, at, 0).0, 0);
    let effects = system.store(3, word(0, PartSel::OFFSET), 7, 0);
    assert_eq!(effects.memory, [(0x1_0000_0100, 0)]);
    let (answer, _) = system.control(Request::Msc(0).encode(), CALLER, 0);
    assert_eq!(read_answer(answer), Some(Ok([0x1_0000_0000, 1, 2])));
}

#[test]
fn a_component_of_half_a_cache_answers_only_that_halfs_cpus() {
    let machine = Machine::parse(include_str!("../../../../machines/mpam-split.toml")).unwrap();
    let system = System::new(&machine).unwrap();
    let _ = system.power_on(0);
    for (msc, mine) in [(0, [0, 1]), (1, [2, 3])] {
        for cpu in 0..4 {
            assert_eq!(system.load(cpu, word(msc, Iidr::OFFSET), 0).0 != 0, mine.contains(&cpu), "{msc} from {cpu}");
        }
        let (answer, _) = system.control(Request::Msc(msc as u64).encode(), CALLER, 0);
        assert_eq!(read_answer(answer).unwrap().unwrap()[2], 2, "strays are counted");
    }
    // Firmware puts the CPUs of each into a container of its own, below that of the cache.
    let [(_, pptt), (_, mpam)] = &machine.acpi_tables()[..] else { panic!("two tables") };
    let containers = [0, 1].map(|msc| {
        let node = 36 + msc * (72 + 24);
        assert_eq!(&mpam[node + 56..node + 64], b"ACPI0010");
        u32::from_le_bytes(mpam[node + 64..node + 68].try_into().unwrap())
    });
    assert_ne!(containers[0], containers[1]);
    for id in containers {
        // A processor node, valid and no leaf, without resources.
        let there = pptt.windows(20).any(|node| {
            node[..2] == [0, 20]
                && node[4] & 0b1010 == 0b10
                && node[12..16] == id.to_le_bytes()
                && node[16..20] == [0; 4]
        });
        assert!(there, "container {id:#x}");
    }
}

#[test]
fn the_channel_shows_controls_monitors_and_labels() {
    let system = plain();
    let ask =
        |request: Request| read_answer(system.control(request.encode(), CALLER, SECOND).0).expect("somebody answers");
    assert_eq!(ask(Request::Probe), Ok([crate::control::VERSION, 4, 1]));
    let _ = put(&system, L3, PartSel::OFFSET, 9);
    let _ = put(&system, L3, Cpbm::OFFSET, 0xf0);
    assert_eq!(ask(Request::MscControl(0, 0, 9, Cpbm::OFFSET.into())), Ok([0xf0, 0, 0]));
    for missing in [
        Request::MscControl(0, 0, 32, Cpbm::OFFSET.into()),
        Request::MscControl(0, 1, 9, Cpbm::OFFSET.into()),
        Request::MscControl(0, 0, 9, 0x1001),
        Request::MscControl(0, 0, 9, MbwMax::OFFSET.into()),
        Request::MscMonitor(0, 0, 16, 0),
        Request::MscMonitor(0, 0, 0, 1),
        Request::Msc(2),
    ] {
        assert_eq!(ask(missing), Err(Status::NoSuchMsc), "{missing:?}");
    }
    let _ = system.msr(3, Level::El1, SystemRegister::Mpam0, 7 << 16 | 2 << 40, 0);
    assert_eq!(ask(Request::Association(3)), Ok([2, 7, 0]));
    assert_eq!(ask(Request::Association(4)), Err(Status::NoSuchCpu));
    watch(&system, 7, 2);
    let id = CounterId { domain: 0, rmid: label_id(7, 2), event: Event::LlcOccupancy };
    assert_eq!(ask(Request::Set(id, 640)), Ok([0; 3]));
    let filter = 2 << 16 | 7;
    assert_eq!(ask(Request::MscMonitor(0, 0, 0, 0)), Ok([filter, ENABLED | u64::from(TYPE_CSU), 640]));
    assert_eq!(ask(Request::SetFault(id, Some(Fault::Unavailable))), Ok([0; 3]));
    assert_eq!(get(&system, L3, Csu::OFFSET, SECOND), 1 << 31);
    assert_eq!(ask(Request::SetFault(id, None)), Ok([0; 3]));
    assert_eq!(get(&system, L3, Csu::OFFSET, SECOND), 640);
    assert_eq!(ask(Request::SetFault(id, Some(Fault::Error))), Err(Status::NoSuchFault));
    assert_eq!(ask(Request::Get(CounterId { event: Event::MbmLocal, ..id })), Err(Status::NoSuchEvent));
}

#[test]
fn writes_are_told_apart_by_what_they_control() {
    let system = plain();
    for offset in [PartSel::OFFSET, MonSel::OFFSET, CsuFlt::OFFSET] {
        let _ = put(&system, L3, offset, 2);
    }
    let _ = put(&system, L3, Cpbm::OFFSET, 0xff);
    let _ = put(&system, MEMORY, MbwMax::OFFSET, 0xff00);
    let _ = system.msr(0, Level::El1, SystemRegister::Mpam1, 1, 0);
    let counts = [Kind::Select, Kind::L3Mask, Kind::Mba, Kind::Assoc, Kind::Config].map(|kind| system.writes(kind));
    assert_eq!(counts, [3, 1, 1, 1, 0]);
    let (answer, _) = system.control(Request::WriteAt(0).encode(), CALLER, 0);
    let place = u64::from(Cpbm::OFFSET) | 1 << 63;
    assert_eq!(read_answer(answer), Some(Ok([2 << 32 | 0xff, 0, place])));
}

#[test]
fn the_streaming_register_is_there_on_processors_that_have_the_unit() {
    let with = system(|file| file.replace("\"cortex-a57\"", "\"max\"").replace("pmg_max", "streaming = true\npmg_max"));
    assert_eq!(plain().mrs(0, Level::El1, SystemRegister::Mpamsm), None);
    assert_eq!(plain().msr(0, Level::El1, SystemRegister::Mpamsm, 1, 0), None);
    assert!(with.msr(0, Level::El1, SystemRegister::Mpamsm, 3 << 16, 0).is_some());
    assert_eq!(with.mrs(0, Level::El1, SystemRegister::Mpamsm), Some(3 << 16));
}

#[test]
fn a_machine_without_mpam_has_no_such_system() {
    let machine = Machine::parse(include_str!("../../../../machines/intel.toml")).unwrap();
    assert_eq!(System::new(&machine).unwrap_err().to_string(), "mpam: this machine has none");
    assert_eq!(machine.acpi_tables(), []);
}

#[test]
fn what_a_guest_s_kernel_moves_has_the_label_of_el1() {
    let system = system(|file| file.replace("pmg_max", "el2 = true\npmg_max"));
    let _ = system.power_on(0);
    open(&system, 5);
    watch(&system, 5, 1);
    let value = 5 << 16 | 1 << 40;
    assert!(system.msr(3, Level::El2, SystemRegister::Mpam12, value, 0).is_some());
    let ask = |request: Request, caller| read_answer(system.control(request.encode(), caller, 0).0).expect("an answer");
    assert_eq!(ask(Request::MoveAtEl1(3, 100), CALLER), Ok([0; 3]));
    assert_eq!(moved(&system, 0), 100);
    assert_eq!(ask(Request::Move(20), (3, Level::El1)), Ok([1, 5, 1]));
    assert_eq!(ask(Request::Move(3), (3, Level::El2)), Ok([0, 0, 2]));
    assert_eq!(moved(&system, 0), 120);
    assert_eq!(ask(Request::Labels(3), CALLER), Ok([0, label_id(5, 1), 0]));
    assert_eq!(ask(Request::Labels(4), CALLER), Err(Status::NoSuchCpu));
    assert_eq!(ask(Request::MoveAtEl1(4, 1), CALLER), Err(Status::NoSuchCpu));
}

#[test]
fn a_limit_of_a_t241_is_in_effect_when_its_chip_has_been_told() {
    let system =
        system(|file| file.replace("pmg_max", "t241 = true\npmg_max").replace("max = true", "max = true, min = true"));
    let _ = system.power_on(0);
    assert_eq!(get(&system, MEMORY, Iidr::OFFSET, 0), u64::from(t241::IIDR));
    let limit = || {
        let (answer, _) = system.control(Request::MscControl(1, 0, 5, MbwMax::OFFSET.into()).encode(), CALLER, 0);
        read_answer(answer).expect("an answer").expect("it is there")[0]
    };
    assert_eq!(limit(), 0xff00);
    for (offset, value) in [(PartSel::OFFSET, 5), (MbwMin::OFFSET, 0x7300), (MbwMax::OFFSET, 0x7f00)] {
        let _ = put(&system, MEMORY, offset, value);
    }
    assert_eq!((limit(), get(&system, MEMORY, MbwMax::OFFSET, 0)), (0xff00, 0x7f00));
    let chip = |offset: u64| system.at_chip(0x1900_0000 + offset).expect("it is the chip's");
    let spares = || {
        for spare in [0x1b_0000, 0x1c_0000] {
            let _ = system.chip_store(chip(spare), 0, 0);
        }
    };
    spares();
    assert_eq!(limit(), u64::from(u32::MAX), "most slices were left behind");
    for slice in (0..12).cycle().take(36) {
        let _ = system.chip_load(chip(0x36_0048 + slice * 0x1_0000 + 5 * 8));
    }
    spares();
    assert_eq!(limit(), 0x7f00);
    assert_eq!((plain().at_chip(0x1900_0000), plain().soc_id()), (None, None));
    assert_eq!((system.at_chip(0x1980_0000), system.soc_id()), (None, Some(0x036b_0241)));
}

#[test]
fn what_is_shown_has_labels_controls_and_the_last_writes() {
    let system = plain();
    let _ = put(&system, 0, PartSel::OFFSET, 3);
    let _ = put(&system, 0, Cpbm::OFFSET, 0x5);
    let _ = system.msr(1, Level::El1, SystemRegister::Mpam0, 3 << 16 | 3, 0);
    let shown = system.shown();
    let has = |part: &str| assert!(shown.contains(part), "{part} is not in\n{shown}");
    has("CPU 1: programs are PARTID 3, PMG 0; Mpamidr");
    has("  0.0 MPAMCFG_CPBM: 0x5 (PARTIDs 3-3)\n");
    has(" CPU 1 0x2 = 0x30003");
    has(" = 0x300000005");
    assert_eq!(system.shown(), shown);
}
