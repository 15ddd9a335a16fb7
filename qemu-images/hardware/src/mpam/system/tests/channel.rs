// SPDX-License-Identifier: GPL-2.0-only
//! The commands of guest programs, see [`crate::control`].

use super::*;

fn ask(system: &System, request: Request, now: u64) -> Result<[u64; 3], Status> {
    read_answer(system.control(request.encode(), CALLER, now).0).expect("somebody answers")
}

fn of(file: &str) -> System {
    let system = System::new(&Machine::parse(file).expect("a machine")).expect("it has MPAM");
    let _ = system.power_on(0);
    system
}

#[test]
fn an_instance_is_given_a_control_of_a_partid_and_no_other() {
    let system = of(include_str!("../../../../../machines/mpam-ris.toml"));
    let at = |ris: u64, partid: u64| partid << 32 | ris;
    let cpbm = u64::from(Cpbm::OFFSET);
    assert_eq!(ask(&system, Request::SetMscControl(0, at(1, 5), cpbm, 0xff), 0), Ok([0; 3]));
    let held = |ris, partid| ask(&system, Request::MscControl(0, ris, partid, cpbm), 0).map(|values| values[0]);
    assert_eq!((held(1, 5), held(0, 5), held(1, 4)), (Ok(0xff), Ok(0), Ok(0)));
    let memory = Request::SetMscControl(0, at(2, 31), MbwMax::OFFSET.into(), 0x7f00);
    assert_eq!(ask(&system, memory, 0), Ok([0; 3]));
    for missing in [
        Request::SetMscControl(1, at(0, 5), cpbm, 1),
        Request::SetMscControl(0, at(4, 5), cpbm, 1),
        Request::SetMscControl(0, at(0, 32), cpbm, 1),
        Request::SetMscControl(0, at(0, 0x1_0005), cpbm, 1),
        Request::SetMscControl(0, at(0, 5), cpbm + 1, 1),
        Request::SetMscControl(0, at(0, 5), MbwMax::OFFSET.into(), 1),
        Request::MscRequest(0, 4, 0, 64),
        Request::MscMonitor(0, 4, 0, 1),
        Request::MscMonitor(0, 2, 0, 2),
    ] {
        assert_eq!(ask(&system, missing, 0), Err(Status::NoSuchMsc), "{missing:?}");
    }
}

#[test]
fn a_request_has_a_partid_and_a_pmg_and_is_counted_by_who_waits_for_both() {
    let system = plain();
    watch(&system, 3, 2);
    for (label, counted) in [(2 << 16 | 3, 64), (3, 64), (2 << 16 | 4, 64), (2 << 16 | 3, 128)] {
        assert_eq!(ask(&system, Request::MscRequest(1, 0, label, 64), 0), Ok([0; 3]));
        let shown = ask(&system, Request::MscMonitor(1, 0, 0, 1), 0);
        let control = ENABLED | 0x42;
        assert_eq!(shown, Ok([2 << 16 | 3, control, counted]), "{label:#x}");
    }
    assert_eq!(ask(&system, Request::MscMonitor(1, 0, 160, 1), 0), Err(Status::NoSuchMsc));
}

#[test]
fn a_flow_of_nothing_is_none() {
    let system = plain();
    open(&system, 0);
    let flow = Flow { total: 1000, local: 0, footprint: 0 };
    assert_eq!(ask(&system, Request::SetFlow(2, flow), 0), Ok([0; 3]));
    assert_eq!(system.usage(0, label(0, 0), 2 * SECOND), Ok((2000, 0)));
    let none = Flow { total: 0, local: 0, footprint: 0 };
    assert_eq!(ask(&system, Request::SetFlow(2, none), 2 * SECOND), Ok([0; 3]));
    assert_eq!(system.usage(0, label(0, 0), 4 * SECOND), Ok((2000, 0)));
    assert_eq!(ask(&system, Request::SetFlow(4, flow), 0), Err(Status::NoSuchCpu));
}

#[test]
fn memory_has_a_speed_where_there_are_caches_that_can_follow() {
    let with = plain();
    assert_eq!(ask(&with, Request::MemorySpeed(64_000), 0), Ok([0; 3]));
    assert_eq!(with.caches().expect("it has caches").speed(), Some(64_000));
    let without = system(|file| file.replace("ways = 16", "ways = 128"));
    assert!(without.caches().is_none(), "a cache of the model has fewer ways");
    assert_eq!(ask(&without, Request::MemorySpeed(64_000), 0), Err(Status::NoCaches));
}

#[test]
fn a_minimum_of_a_t241_is_in_effect_when_its_chip_has_been_told() {
    let system = of(&include_str!("../../../../../machines/mpam.toml")
        .replace("pmg_max", "t241 = true\npmg_max")
        .replace("max = true", "max = true, min = true"));
    let limit = || ask(&system, Request::MscControl(1, 0, 5, MbwMin::OFFSET.into()), 0).map(|values| values[0]);
    assert_eq!(limit(), Ok(0));
    for (offset, value) in [(PartSel::OFFSET, 5), (MbwMin::OFFSET, 0x7300), (MbwMax::OFFSET, 0x7f00)] {
        let _ = put(&system, MEMORY, offset, value);
    }
    assert_eq!(limit(), Ok(0), "it is not in effect");
    let spares = || [0x1b_0000, 0x1c_0000].map(|spare| drop(system.chip_store(spare, 0, 0)));
    spares();
    assert_eq!(limit(), Ok(u64::from(u32::MAX)), "slices differ");
    for slice in (0..12).cycle().take(36) {
        let _ = system.chip_load(0x36_0048 + slice * 0x1_0000 + 5 * 8);
    }
    spares();
    assert_eq!(limit(), Ok(0x7300));
}
