// SPDX-License-Identifier: GPL-2.0-only
//! What is counted by package: domains without workers, which are there from the first mount on.

use resctrl_hardware::telemetry::TelemetryEvent;
use resctrl_types::Errno;
use resctrl_types::sim::{explore, run};

use crate::concurrent::{actor, away_and_back, storms};
use crate::invariants::check;
use crate::machine::{DEBUG, Machine, with_telemetry};
use crate::sequences::sequence;

fn rmid(machine: &Machine, group: &str) -> usize {
    machine.read(&format!("{group}/mon_hw_id")).unwrap().trim().parse().unwrap()
}

fn add(machine: &Machine, package: usize, region: usize, rmid: usize, event: TelemetryEvent, amount: u64) {
    machine.board.rdt.telemetry().unwrap().add(package, region, rmid, event, amount).unwrap();
}

/// What an event file of a group shows for a package.
fn shown(machine: &Machine, group: &str, package: u32, event: &str) -> resctrl_types::Result<String> {
    machine.read(&format!("{group}/mon_data/mon_PERF_PKG_{package:02}/{event}"))
}

#[test]
fn what_packages_count_is_there_from_the_first_mount_on() {
    run(|| {
        let machine = Machine::mounted_on(&with_telemetry());
        assert_eq!(machine.dirs("info").unwrap(), ["L3", "L3_MON", "MB", "PERF_PKG_MON"]);
        assert_eq!(machine.read("info/PERF_PKG_MON/num_rmids").unwrap(), "576\n");
        let features = "core_energy\nactivity\nstalls_llc_hit\nc1_res\nunhalted_core_cycles\nstalls_llc_miss\nc6_res\n\
                        unhalted_ref_cycles\nuops_retired\n";
        assert_eq!(machine.read("info/PERF_PKG_MON/mon_features").unwrap(), features);
        assert_eq!(machine.read("info/L3_MON/mon_features").unwrap().lines().count(), 3);
        assert_eq!(machine.read("info/PERF_PKG_MON/max_threshold_occupancy"), Err(Errno::ENOENT));
        check(&machine);
        machine.unmount();
        machine.mount().unwrap();
        check(&machine);
        machine.finish();
    });
}

#[test]
fn a_group_shows_its_own_count_and_those_of_its_monitor_groups() {
    run(|| {
        let machine = Machine::mounted_on(&with_telemetry());
        machine.mkdir("g").unwrap();
        machine.mkdir("g/mon_groups/m").unwrap();
        let (ctrl, mon) = (rmid(&machine, "g"), rmid(&machine, "g/mon_groups/m"));
        assert_eq!(shown(&machine, "g", 1, "core_energy").unwrap(), "Unavailable\n");
        add(&machine, 1, 0, mon, TelemetryEvent::CoreEnergy, 1 << 17);
        assert_eq!(shown(&machine, "g", 1, "core_energy").unwrap(), "0.500000\n");
        assert_eq!(shown(&machine, "g/mon_groups/m", 1, "core_energy").unwrap(), "0.500000\n");
        add(&machine, 1, 0, ctrl, TelemetryEvent::CoreEnergy, 3 << 18);
        add(&machine, 1, 1, ctrl, TelemetryEvent::CoreEnergy, 1);
        assert_eq!(shown(&machine, "g", 1, "core_energy").unwrap(), "3.500004\n");
        assert_eq!(shown(&machine, "g", 0, "core_energy").unwrap(), "Unavailable\n");
        add(&machine, 0, 0, ctrl, TelemetryEvent::UopsRetired, 12345);
        assert_eq!(shown(&machine, "g", 0, "uops_retired").unwrap(), "12345\n");
        assert_eq!(shown(&machine, "", 0, "uops_retired").unwrap(), "Unavailable\n");
        machine.finish();
    });
}

#[test]
fn an_id_that_is_used_again_goes_on_from_where_it_was() {
    run(|| {
        let machine = Machine::mounted_on(&with_telemetry());
        machine.mkdir("g").unwrap();
        let ctrl = rmid(&machine, "g");
        add(&machine, 0, 0, ctrl, TelemetryEvent::C1Res, 7);
        machine.rmdir("g").unwrap();
        machine.sim.advance(2500);
        while machine.mkdir("g").is_ok() && rmid(&machine, "g") != ctrl {
            machine.rmdir("g").unwrap();
        }
        assert_eq!(shown(&machine, "g", 0, "c1_res").unwrap(), "7\n");
        machine.finish();
    });
}

#[test]
fn groups_are_as_many_as_the_resource_with_the_fewest_ids_allows() {
    run(|| {
        // The L3 knows 32; a region of which the counters are of the right number would refuse as much.
        let machine = Machine::mounted_on(&with_telemetry());
        let made = (0..40).take_while(|number| machine.mkdir(&format!("mon_groups/m{number}")).is_ok()).count();
        assert_eq!(made, 31);
        assert_eq!(machine.read("info/last_cmd_status").unwrap(), "Out of RMIDs\n");
        machine.finish();
    });
}

#[test]
fn a_package_goes_with_its_last_cpu_whatever_its_caches() {
    let divided = with_telemetry().replace("\ncores = 2\n", "\ncores = 2\nl3_cores = 1\n");
    run(move || {
        let machine = Machine::mounted_on(&divided);
        machine.mkdir("g").unwrap();
        assert_eq!(machine.l3s().len(), 4);
        check(&machine);
        let open = machine.open("g/mon_data/mon_PERF_PKG_01/activity").unwrap();
        machine.offline(3);
        check(&machine);
        assert_eq!(machine.read_open(open).unwrap(), "Unavailable\n");
        machine.offline(2);
        check(&machine);
        assert_eq!(machine.read_open(open), Err(Errno::ENODEV));
        assert_eq!(shown(&machine, "g", 0, "activity").unwrap(), "Unavailable\n", "the one that is left");
        machine.online(3);
        check(&machine);
        assert_eq!(shown(&machine, "g", 1, "activity").unwrap(), "Unavailable\n");
        machine.finish();
    });
}

#[test]
fn a_machine_that_monitors_no_cache_can_be_monitored_from_the_first_mount_on() {
    let (before, after) = (with_telemetry(), "[rdt.mon");
    let start = before.find(after).unwrap();
    let end = before.find("\n[telemetry").unwrap();
    let without_l3 = format!("{}{}", &before[..start], &before[end..]);
    run(move || {
        let machine = Machine::mounted_on(&without_l3);
        assert_eq!(machine.dirs("").unwrap(), ["info", "mon_data", "mon_groups"]);
        assert_eq!(machine.dirs("info").unwrap(), ["L3", "MB", "PERF_PKG_MON"]);
        assert_eq!(machine.dirs("mon_data").unwrap(), ["mon_PERF_PKG_00", "mon_PERF_PKG_01"]);
        machine.mkdir("mon_groups/m").unwrap();
        let mon = rmid(&machine, "mon_groups/m");
        assert_eq!(mon, 1);
        // Nothing has to be waited for: the next group but 574 has the same id.
        machine.rmdir("mon_groups/m").unwrap();
        machine.offline(3);
        machine.offline(2);
        assert_eq!(machine.dirs("mon_data").unwrap(), ["mon_PERF_PKG_00"]);
        assert_eq!(machine.audit(), "");
        machine.unmount();
        machine.mount().unwrap();
        assert_eq!(machine.audit(), "");
        machine.finish();
    });
}

#[test]
fn cpus_that_come_and_go_at_the_first_mount_are_in_their_packages_after_it() {
    let machine = with_telemetry();
    explore(300, move || {
        let machine = Machine::boot(&machine);
        let cpus = [2, 3].map(|cpu| away_and_back(&machine, 2, cpu));
        let mounters = [0, 1].map(|_| {
            actor(&machine, 1, |machine| {
                let mounted = machine.mount_with(&DEBUG);
                assert!(matches!(mounted, Ok(()) | Err(Errno::EBUSY)), "{mounted:?}");
                assert!(machine.dirs("info/PERF_PKG_MON").is_ok(), "the second mounter did not wait for the first");
            })
        });
        for actor in cpus.into_iter().chain(mounters) {
            actor.join().unwrap();
        }
        check(&machine);
        machine.finish();
    });
}

#[test]
fn counts_are_read_while_packages_come_and_go() {
    let machine = with_telemetry();
    explore(150, move || {
        let machine = Machine::mounted_on(&machine);
        machine.mkdir("g").unwrap();
        add(&machine, 1, 0, rmid(&machine, "g"), TelemetryEvent::C6Res, 5);
        let mut actors = Vec::from([2, 3].map(|cpu| away_and_back(&machine, 2, cpu)));
        actors.push(actor(&machine, 6, |machine| {
            let count = shown(machine, "g", 1, "c6_res");
            assert!(matches!(count.as_deref(), Ok("5\n") | Err(&Errno::ENOENT | &Errno::ENODEV)), "{count:?}");
        }));
        for actor in actors {
            actor.join().unwrap();
        }
        check(&machine);
        machine.finish();
    });
}

#[test]
fn after_every_command_of_a_random_sequence_the_invariants_hold() {
    let machine = with_telemetry();
    explore(60, move || sequence(&machine));
}

#[test]
fn a_storm_of_everything_leaves_a_sound_machine() {
    storms(&with_telemetry());
}
