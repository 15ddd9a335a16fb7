// SPDX-License-Identifier: GPL-2.0-only
//! What a program inside a guest is answered on x86, and why it is refused.

use resctrl_hardware::control::{CounterId, Request, Status, read_answer};
use resctrl_hardware::registers::{L3Mask, MbaThrottle, PqrAssoc};
use resctrl_hardware::telemetry::TelemetryEvent;
use resctrl_hardware::{Event, Flow, Gp, Machine, Rdt, TrafficError};

const SECOND: u64 = 1_000_000_000;

fn rdt(file: &str) -> Rdt {
    Rdt::new(&Machine::parse(file).expect("a machine")).expect("it can be")
}

fn intel() -> Rdt {
    rdt(include_str!("../../machines/intel.toml"))
}

fn ask(rdt: &Rdt, request: Request, now: u64) -> Result<[u64; 3], Status> {
    read_answer(rdt.control(request.encode(), now)).expect("somebody answers")
}

#[test]
fn every_reason_to_refuse_has_words_of_its_own() {
    let of = |texts: Vec<String>| {
        for (place, text) in texts.iter().enumerate() {
            assert!(text.len() > 3 && !texts[..place].contains(text), "{text:?}");
        }
    };
    of((0..).map_while(Status::from_id).map(|status| status.to_string()).collect());
    let traffic = [
        TrafficError::NoSuchDomain,
        TrafficError::NoSuchRmid,
        TrafficError::NoSuchCpu,
        TrafficError::NoSuchRegion,
        TrafficError::NoRateForOccupancy,
    ];
    of(traffic.iter().map(ToString::to_string).collect());
    // The channel says the same.
    assert!(traffic.iter().all(|error| Status::from(*error).to_string() == error.to_string()));
    let faults = [
        Gp::NoSuchRegister,
        Gp::ReadOnly,
        Gp::ReservedBits,
        Gp::MaskEmpty,
        Gp::MaskTooNarrow,
        Gp::MaskNotContiguous,
        Gp::DelayTooLarge,
        Gp::RmidTooLarge,
        Gp::ClosidTooLarge,
        Gp::LimitTooLarge,
    ];
    of(faults.iter().map(ToString::to_string).collect());
}

#[test]
fn a_flow_of_nothing_is_none() {
    let rdt = intel();
    let flow = Flow { total: 1000, local: 0, footprint: 0 };
    let moved = |now| rdt.get(1, 0, Event::MbmTotal, now).expect("there is one").0;
    assert_eq!(ask(&rdt, Request::SetFlow(2, flow), 0), Ok([0; 3]));
    assert_eq!(moved(2 * SECOND), 2000);
    assert_eq!(ask(&rdt, Request::SetFlow(2, Flow { total: 0, ..flow }), 2 * SECOND), Ok([0; 3]));
    assert_eq!(moved(9 * SECOND), 2000);
    assert_eq!(ask(&rdt, Request::SetFlow(4, flow), 0), Err(Status::NoSuchCpu));
}

#[test]
fn writes_to_controls_are_told_one_after_the_other_with_cpu_address_and_whether_they_changed_anything() {
    let rdt = intel();
    for (cpu, address, value) in [
        (3, L3Mask::ADDRESS + 5, 0xf0),
        (2, L3Mask::ADDRESS + 5, 0xf0),
        (1, PqrAssoc::ADDRESS, 1),
        (0, MbaThrottle::ADDRESS, 90),
    ] {
        rdt.wrmsr(cpu, address, value, 0).expect("there is one");
    }
    let place = |address: u32, cpu: u64, changed: u64| u64::from(address) | cpu << 32 | changed << 63;
    let told = |from| ask(&rdt, Request::WriteAt(from), 0);
    assert_eq!(told(0), Ok([0xf0, 0, place(L3Mask::ADDRESS + 5, 3, 1)]));
    assert_eq!(told(1), Ok([0xf0, 1, place(L3Mask::ADDRESS + 5, 2, 0)]));
    assert_eq!(told(3), Ok([90, 3, place(MbaThrottle::ADDRESS, 0, 1)]));
    assert_eq!(told(4), Err(Status::NoSuchWrite));
    assert_eq!(ask(&rdt, Request::NextWrite, 0), Ok([4, 0, 0]));
}

#[test]
fn a_register_is_told_of_any_cpu_that_there_is() {
    let rdt = intel();
    rdt.wrmsr(3, PqrAssoc::ADDRESS, 5, 0).expect("there is one");
    let register = |cpu, address| ask(&rdt, Request::Register(cpu, address), 0);
    let assoc = PqrAssoc::ADDRESS.into();
    assert_eq!([0, 3].map(|cpu| register(cpu, assoc)), [Ok([0; 3]), Ok([5, 0, 0])]);
    assert_eq!([4, u64::MAX].map(|cpu| register(cpu, assoc)), [Err(Status::NoSuchCpu); 2]);
    assert_eq!(register(0, 0x10), Err(Status::NoSuchRegister));
    assert_eq!(register(0, 1 << 32 | assoc), Err(Status::NoSuchRegister));
}

#[test]
fn telemetry_is_counted_in_the_region_and_socket_that_are_named() {
    let rdt = rdt(include_str!("../../machines/intel-aet.toml"));
    let add = |socket: u64, place: u64, amount| {
        ask(&rdt, Request::Telemetry(place << 32 | socket, 7, TelemetryEvent::Activity, amount), 0)
    };
    for (socket, place, amount) in [(0, 0, 1), (0, 1, 2), (1, 0, 3), (1, 1, 4)] {
        assert_eq!(add(socket, place, amount), Ok([0; 3]));
    }
    assert_eq!([add(2, 0, 9), add(0, 2, 9)], [Err(Status::NoSuchRegion); 2]);
    let telemetry = rdt.telemetry().expect("it has some");
    let counted: Vec<u64> = [0, 1]
        .into_iter()
        .flat_map(|socket| telemetry.of_socket(socket))
        .map(|(index, _)| telemetry.read(index, (7 * 2 + 1) * 8) & !(1 << 63))
        .collect();
    // Two regions of energy and one of performance on each socket.
    assert_eq!(counted, [1, 2, 0, 3, 4, 0]);
    let none = ask(&intel(), Request::Telemetry(0, 7, TelemetryEvent::Activity, 1), 0);
    assert_eq!(none, Err(Status::NoSuchRegion));
}

#[test]
fn memory_has_a_speed_where_there_are_caches_that_can_follow() {
    let with = intel();
    assert_eq!(ask(&with, Request::MemorySpeed(64_000), 0), Ok([0; 3]));
    assert_eq!(with.caches().expect("it has caches").speed(), Some(64_000));
    let many = include_str!("../../machines/intel.toml").replace("ways = 12", "ways = 96");
    let without = rdt(&many);
    assert!(without.caches().is_none(), "a cache of the model has fewer ways");
    assert_eq!(ask(&without, Request::MemorySpeed(64_000), 0), Err(Status::NoCaches));
}

#[test]
fn a_counter_is_answered_with_its_fault() {
    use resctrl_hardware::Fault;
    let rdt = intel();
    let id = CounterId { domain: 1, rmid: 7, event: Event::MbmLocal };
    for (fault, number) in [(Some(Fault::Error), 1), (Some(Fault::Unavailable), 2), (None, 0)] {
        assert_eq!(ask(&rdt, Request::SetFault(id, fault), 0), Ok([0; 3]));
        assert_eq!(ask(&rdt, Request::Get(id), 0), Ok([0, number, 0]));
    }
    assert_eq!(rdt.get(1, 7, Event::MbmLocal, 0), Ok((0, None)));
}
