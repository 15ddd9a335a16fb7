// SPDX-License-Identifier: GPL-2.0-only
//! Energy and performance that are counted by package: found at the first mount, read from anywhere.

use resctrl_hardware::Machine;
use resctrl_hardware::machine::TelemetryFeatures;
use resctrl_hardware::telemetry::TelemetryEvent;
use resctrl_types::arch::{Ids, MonId, ReadError, Resources, Telemetry};
use resctrl_types::event::{EventSet, FractionBits};
use resctrl_types::platform::LogLevel;
use resctrl_types::resource::{Monitor, Scope};
use resctrl_types::sim::{self, SimPlatform};
use resctrl_types::{Closid, DomainId, EventId, ResourceId, Result, Rmid};

use crate::machine::{Rig, amd, intel_aet, probe};
use resctrl_x86::X86;
use resctrl_x86_board::{Emulated, Processor};

const ENERGY: [EventId; 2] = [EventId::CoreEnergy, EventId::Activity];
const DETECTED: [&str; 2] =
    ["PERF_PKG energy:0x26696143 monitoring detected", "PERF_PKG perf:0x26557651 monitoring detected"];

fn monitor(x86: &X86<Emulated>) -> Option<Monitor> {
    Resources::monitor(x86, ResourceId::PerfPkg)
}

fn read(sim: &SimPlatform, x86: &X86<Emulated>, package: u32, rmid: u32, event: EventId) -> Result<u64, ReadError> {
    let id = MonId { closid: Closid::RESERVED, rmid: Rmid(rmid) };
    Telemetry::<SimPlatform>::read_package(x86, sim, DomainId(package), id, event)
}

/// What a machine says of its telemetry: the monitor, how many RMIDs there are of everything, and what the log has of it.
fn found(bend: fn(&mut TelemetryFeatures), options: &'static str, check: fn(Option<Monitor>, u32, &[String])) {
    sim::run(move || {
        let mut machine = intel_aet();
        bend(machine.telemetry.as_mut().unwrap());
        let (sim, _, x86) = probe(&machine, Processor::of(&machine), options);
        let x86 = x86.unwrap();
        assert_eq!(monitor(&x86), None, "nothing is looked for before the first mount");
        let before = sim.log_lines().len();
        Telemetry::<SimPlatform>::pre_mount(&x86, &sim).unwrap();
        let log: Vec<_> = sim.log_lines()[before..].iter().map(|line| line.replace("resctrl: ", "")).collect();
        check(monitor(&x86), Ids::num_rmid_index(&x86), &log);
    });
}

fn names(events: &[EventId]) -> EventSet {
    events.iter().copied().fold(EventSet::EMPTY, EventSet::with)
}

#[test]
fn everything_that_is_counted_by_package_is_found_before_the_first_mount() {
    found(
        |_| (),
        "",
        |monitor, num_rmid, log| {
            let events = EventId::ALL.into_iter().filter(|event| event.resource() == ResourceId::PerfPkg);
            let events = events.fold(EventSet::EMPTY, EventSet::with);
            assert_eq!(monitor, Some(Monitor { scope: Scope::Package, num_rmid: 576, events }));
            assert_eq!(num_rmid, 32, "the L3 has fewer");
            assert_eq!(log, DETECTED);
        },
    );
}

#[test]
fn a_count_is_the_sum_of_the_regions_of_the_package_that_are_valid() {
    sim::run(|| {
        let machine = intel_aet();
        let (sim, board, x86) = probe(&machine, Processor::of(&machine), "");
        let x86 = x86.unwrap();
        Telemetry::<SimPlatform>::pre_mount(&x86, &sim).unwrap();
        let telemetry = board.rdt.telemetry().unwrap();
        let event = EventId::CoreEnergy;
        assert_eq!(read(&sim, &x86, 0, 7, event), Err(ReadError::Unavailable));
        telemetry.add(0, 1, 7, TelemetryEvent::CoreEnergy, 5).unwrap();
        assert_eq!(read(&sim, &x86, 0, 7, event), Ok(5));
        telemetry.add(0, 0, 7, TelemetryEvent::CoreEnergy, 1 << 40).unwrap();
        assert_eq!(read(&sim, &x86, 0, 7, event), Ok((1 << 40) + 5));
        // Not the other package's, not the other RMID's, not the other event's.
        assert_eq!(read(&sim, &x86, 1, 7, event), Err(ReadError::Unavailable));
        assert_eq!(read(&sim, &x86, 0, 8, event), Err(ReadError::Unavailable));
        assert_eq!(read(&sim, &x86, 0, 7, EventId::Activity), Err(ReadError::Unavailable));
        // Every event has its own place.
        for (number, &known) in TelemetryEvent::ENERGY.iter().chain(TelemetryEvent::PERF).enumerate() {
            telemetry.add(1, 0, 31, known, number as u64).unwrap();
        }
        for (number, event) in EventId::ALL[3..].iter().enumerate() {
            assert_eq!(read(&sim, &x86, 1, 31, *event), Ok(number as u64), "{}", event.name());
        }
    });
}

#[test]
fn what_was_found_before_the_first_mount_is_not_looked_for_again() {
    found(|_| (), "", |_, _, log| assert_eq!(log, DETECTED));
    sim::run(|| {
        let machine = intel_aet();
        let (sim, _, x86) = probe(&machine, Processor::of(&machine), "");
        let x86 = x86.unwrap();
        for _ in 0..2 {
            Telemetry::<SimPlatform>::pre_mount(&x86, &sim).unwrap();
        }
        let said = sim.log_lines().iter().filter(|line| line.contains("PERF_PKG energy")).count();
        assert_eq!(said, 1, "said at the first mount alone");
    });
}

#[test]
fn only_energy_has_a_fraction() {
    sim::run(|| {
        let machine = intel_aet();
        let (sim, _, x86) = probe(&machine, Processor::of(&machine), "");
        let x86 = x86.unwrap();
        Telemetry::<SimPlatform>::pre_mount(&x86, &sim).unwrap();
        for event in EventId::ALL {
            let expected = if ENERGY.contains(&event) { FractionBits::new(18) } else { None };
            assert_eq!(Telemetry::<SimPlatform>::fraction_bits(&x86, event), expected);
        }
    });
}

#[test]
fn a_counter_beyond_the_region_is_an_error_that_is_told_once() {
    sim::run(|| {
        let machine = intel_aet();
        let (sim, _, x86) = probe(&machine, Processor::of(&machine), "");
        let x86 = x86.unwrap();
        Telemetry::<SimPlatform>::pre_mount(&x86, &sim).unwrap();
        assert_eq!(read(&sim, &x86, 0, 575, EventId::Activity), Err(ReadError::Unavailable));
        // Three status registers behind the counters, which have no flag of being valid.
        for rmid in [578, 4095, 1 << 20] {
            assert_eq!(read(&sim, &x86, 0, rmid, EventId::Activity), Err(ReadError::Error));
        }
        let warnings = sim.log_lines_at(LogLevel::Warn);
        assert_eq!(warnings, ["resctrl: MMIO index 1157 out of range"]);
    });
}

#[test]
fn what_counts_for_too_few_rmids_is_refused_unless_it_is_asked_for() {
    let few: fn(&mut TelemetryFeatures) = |telemetry| telemetry.perf.as_mut().unwrap().rmids = 20;
    found(few, "", |monitor, num_rmid, log| {
        assert_eq!(monitor.unwrap().events, names(&ENERGY));
        assert_eq!((monitor.unwrap().num_rmid, num_rmid), (576, 32));
        let refused = "PERF_PKG perf:0x26557651 monitoring not enabled due to insufficient RMIDs";
        assert_eq!(log, [DETECTED[0], refused]);
    });
    found(few, "perf:26557651", |monitor, num_rmid, log| {
        assert_eq!((monitor.unwrap().num_rmid, num_rmid), (20, 20));
        assert_eq!(log, DETECTED);
    });
    // One that would count for nobody is of no use.
    found(
        |telemetry| telemetry.perf.as_mut().unwrap().rmids = 0,
        "perf",
        |monitor, _, _| {
            assert_eq!(monitor.unwrap().events, names(&ENERGY));
        },
    );
}

#[test]
fn what_is_turned_off_is_off_even_if_it_is_turned_on() {
    found(
        |_| (),
        "energy,!energy",
        |monitor, _, log| {
            assert_eq!(monitor.unwrap().events.iter().next(), Some(EventId::StallsLlcHit));
            assert_eq!(log, [DETECTED[1]]);
        },
    );
    found(
        |_| (),
        "!energy,!perf:0x26557651",
        |monitor, num_rmid, log| {
            assert_eq!((monitor, num_rmid, log.len()), (None, 32, 0));
        },
    );
}

#[test]
fn regions_that_are_not_what_they_should_be_are_left_out() {
    found(
        |telemetry| telemetry.energy.as_mut().unwrap().counters = 575,
        "!perf",
        |monitor, _, log| {
            assert_eq!(monitor, None);
            let wrong = "MMIO space wrong size (9224 bytes) for guid 0x26696143. Expected 9240 bytes.";
            assert_eq!(log, [wrong; 4]);
        },
    );
    // The second package would be the third.
    found(
        |telemetry| telemetry.first_package = 1,
        "!energy",
        |monitor, _, log| {
            assert!(monitor.is_some());
            assert_eq!(log, ["Bad package 2 in guid 0x26557651", DETECTED[1]]);
        },
    );
    found(
        |telemetry| telemetry.energy.as_mut().unwrap().guid = 0x1234,
        "",
        |_, _, log| {
            assert_eq!(log, [DETECTED[1]]);
        },
    );
}

#[test]
fn without_monitoring_of_the_l3_rmids_are_those_of_telemetry() {
    sim::run(|| {
        let mut machine: Machine = intel_aet();
        machine.rdt.as_mut().unwrap().monitoring = None;
        let rig = Rig::boot(&machine);
        let run_as = |rmid| {
            let id = MonId { closid: Closid::RESERVED, rmid: Rmid(rmid) };
            let word = rig.arch().task_word(id);
            rig.irq(1, |here| rig.arch().sched_in(here, word));
            rig.msr(1, 0xc8f)
        };
        assert_eq!(rig.arch().num_rmid_index(), 0);
        assert_eq!(run_as(575), 0, "nobody knows of this RMID yet");
        rig.arch().pre_mount(&rig.sim).unwrap();
        assert_eq!(rig.arch().num_rmid_index(), 576);
        assert_eq!(run_as(574), 574);
        assert_eq!(rig.refused(), 0);
        rig.halt();
    });
}

#[test]
fn processors_of_amd_have_none() {
    sim::run(|| {
        let mut machine = amd();
        machine.telemetry = None;
        let (sim, _, x86) = probe(&machine, Processor::of(&machine), "");
        let x86 = x86.unwrap();
        Telemetry::<SimPlatform>::pre_mount(&x86, &sim).unwrap();
        assert_eq!(monitor(&x86), None);
        assert_eq!(read(&sim, &x86, 0, 0, EventId::CoreEnergy), Err(ReadError::Error));
    });
}
