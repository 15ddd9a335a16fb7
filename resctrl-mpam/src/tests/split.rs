// SPDX-License-Identifier: GPL-2.0-only
//! A level 3 cache that two MSCs make up, each reached from one of its CPUs alone: whoever reads has to be in both places.

use std::format;
use std::string::String;

use resctrl_hardware::mpam::{Occupancy, Request};
use resctrl_types::{CpuId, sim};

use super::board::Spec;
use super::file_system::{CDP, Fs, Machine, PLAIN};

impl Machine {
    /// Lines of a label in one half.
    fn hold(&self, half: usize, label: (u16, u8), total: u64) {
        self.board.msc(half).set_occupancy(0, label.0, label.1, Occupancy { total, dirty: 0 });
    }

    /// Traffic of a label through one half.
    fn pass(&self, half: usize, label: (u16, u8), bytes: u64) {
        let (partid, pmg) = label;
        self.board.msc(half).request(0, Request { partid, pmg, bytes, write: false });
    }

    #[track_caller]
    fn shown(&self, group: &str, event: &str) -> String {
        self.read(&format!("{group}/mon_data/mon_L3_768/{event}")).unwrap().trim_end().into()
    }

    fn occupancy(&self, group: &str) -> String {
        self.shown(group, "llc_occupancy")
    }

    fn traffic_of(&self, group: &str) -> String {
        self.shown(group, "mbm_total_bytes")
    }

    /// How often a thread was sent to a CPU, and an interrupt, because of `f`.
    fn crossings(&self, f: impl FnOnce()) -> (usize, usize) {
        let before = self.sim.stats();
        f();
        let after = self.sim.stats();
        (after.calls - before.calls, after.interrupts - before.interrupts)
    }

    /// Takes a CPU away, and the power of its half of the cache.
    fn lose(&self, cpu: u32) {
        self.sim.offline(CpuId(cpu)).unwrap();
        self.board.msc(CpuId(cpu).index()).power_off();
    }

    fn regain(&self, cpu: u32) {
        self.board.msc(CpuId(cpu).index()).power_on();
        self.sim.online(CpuId(cpu)).unwrap();
    }

    /// Sees that nothing was touched without power, and ends.
    fn finish_split(self) {
        for half in 0..2 {
            assert_eq!(self.board.msc(half).accesses_unpowered(), 0);
            assert_eq!(self.board.msc(half).error_status(), 0);
        }
        self.finish();
    }
}

#[test]
fn occupancy_is_that_of_both_halves_and_a_whole_group_is_read_in_one_crossing_each() {
    sim::run(|| {
        let machine = Machine::mounted(&Spec::split(), &PLAIN);
        machine.mkdir("", "p0").unwrap();
        ["m0", "m1", "m2"].iter().for_each(|name| machine.mkdir("p0/mon_groups", name).unwrap());
        for (half, pmg, bytes) in [(0, 0, 4096), (1, 0, 100), (0, 2, 7000), (1, 3, 50_000)] {
            machine.hold(half, (1, pmg), bytes);
        }
        let crossings = machine.crossings(|| assert_eq!(machine.occupancy("p0"), "61196"));
        assert_eq!(crossings, (2, 0), "one for each half, whatever the number of groups");
        assert_eq!(machine.occupancy("p0/mon_groups/m2"), "50000");
        assert_eq!(machine.occupancy(""), "0");
        machine.finish_split();
    });
}

#[test]
fn msc_that_are_reached_from_the_same_cpus_need_one_crossing_for_all() {
    sim::run(|| {
        let mut spec = Spec::new(1);
        spec.mscs.insert(1, spec.mscs[0].clone());
        let machine = Machine::mounted(&spec, &PLAIN);
        machine.hold(0, (0, 0), 5);
        machine.hold(1, (0, 0), 6);
        assert_eq!(machine.crossings(|| assert_eq!(machine.occupancy(""), "11")), (1, 0));
        assert_eq!(machine.crossings(|| machine.sim.advance(5000)), (0, 0), "a worker is there already");
        machine.finish();
    });
}

#[test]
fn bandwidth_is_that_of_both_halves_from_the_assignment_on() {
    for options in [PLAIN, CDP] {
        sim::run(move || {
            let machine = Machine::mounted(&Spec::split(), &options);
            let crossings = machine.crossings(|| machine.mkdir("", "p0").unwrap());
            assert_eq!(crossings, (2, 0), "both halves begin to count");
            let partid = if options.cdp { 2 } else { 1 };
            machine.pass(0, (partid, 0), 1000);
            machine.pass(1, (partid, 0), 30);
            machine.pass(1, (partid + 2, 0), 90_000);
            let crossings = machine.crossings(|| assert_eq!(machine.traffic_of("p0"), "1030"));
            assert_eq!(crossings, (2, 0));
            machine.write("p0/mbm_L3_assignments", "mbm_total_bytes:768=_\n").unwrap();
            machine.pass(1, (partid, 0), 5);
            machine.write("p0/mbm_L3_assignments", "mbm_total_bytes:768=e\n").unwrap();
            machine.pass(0, (partid, 0), 7);
            assert_eq!(machine.traffic_of("p0"), "7");
            machine.finish_split();
        });
    }
}

#[test]
fn the_overflow_worker_reads_the_half_that_it_does_not_reach_too() {
    sim::run(|| {
        let machine = Machine::mounted(&Spec::split(), &PLAIN);
        machine.mkdir("", "p0").unwrap();
        let mut sum = 0;
        for _ in 0..5 {
            for half in 0..2 {
                machine.pass(half, (1, 0), (1 << 31) - 1);
                sum += (1_u64 << 31) - 1;
            }
            assert_eq!(machine.crossings(|| machine.sim.advance(1000)), (1, 0), "one half is right there");
        }
        assert_eq!(machine.traffic_of("p0"), format!("{sum}"));
        machine.finish_split();
    });
}

#[test]
fn a_freed_rmid_stays_in_limbo_for_lines_of_either_half_and_leaves_it_when_they_have_gone() {
    for half in 0..2 {
        sim::run(move || {
            let machine = Machine::mounted(&Spec::split(), &PLAIN);
            machine.mkdir("", "p0").unwrap();
            ["m0", "m1", "m2"].iter().for_each(|name| machine.mkdir("p0/mon_groups", name).unwrap());
            machine.hold(half, (1, 2), 1 << 20);
            machine.rmdir("p0/mon_groups/m1").unwrap();
            machine.sim.advance(3000);
            assert!(machine.sim.take_limbo_events().iter().all(|event| event.bytes == 1 << 20));
            assert!(machine.mkdir("p0/mon_groups", "m1").is_err(), "its lines are still there");
            machine.hold(half, (1, 2), 0);
            machine.sim.advance(1000);
            machine.mkdir("p0/mon_groups", "m1").unwrap();
            machine.finish_split();
        });
    }
}

#[test]
fn a_half_whose_cpus_are_away_holds_nothing_and_keeps_what_it_had_counted() {
    for (goes, stays) in [(0, 1), (1, 0)] {
        sim::run(move || {
            let machine = Machine::mounted(&Spec::split(), &PLAIN);
            machine.mkdir("", "p0").unwrap();
            ["m0", "m1", "m2"].iter().for_each(|name| machine.mkdir("p0/mon_groups", name).unwrap());
            let (goes_half, stays_half) = (CpuId(goes).index(), CpuId(stays).index());
            machine.hold(goes_half, (1, 0), 1000);
            machine.hold(stays_half, (1, 0), 30);
            machine.pass(goes_half, (1, 0), 500);
            machine.pass(stays_half, (1, 0), 6);
            machine.hold(goes_half, (1, 1), 1 << 20);
            machine.rmdir("p0/mon_groups/m0").unwrap();
            machine.write("p0/schemata", "L3:768=f0\n").unwrap();
            machine.sim.advance(2000);
            assert!(machine.mkdir("p0/mon_groups", "m0").is_err());

            machine.lose(goes);
            assert_eq!((machine.occupancy("p0"), machine.traffic_of("p0")), ("30".into(), "506".into()));
            machine.pass(stays_half, (1, 0), 4);
            assert_eq!(machine.traffic_of("p0"), "510");
            machine.sim.advance(2000);
            machine.mkdir("p0/mon_groups", "m0").unwrap();
            machine.write("p0/schemata", "L3:768=ff\n").unwrap();
            // Its counter goes to somebody else, who gets it in the half that is away, too.
            machine.write("p0/mbm_L3_assignments", "mbm_total_bytes:768=_\n").unwrap();
            machine.mkdir("", "p1").unwrap();
            assert_eq!(machine.traffic_of("p1"), "0");

            machine.regain(goes);
            machine.hold(goes_half, (1, 1), 0);
            machine.hold(goes_half, (1, 0), 2000);
            machine.pass(goes_half, (1, 0), 80_000);
            machine.pass(goes_half, (2, 0), 9);
            machine.pass(stays_half, (2, 0), 2);
            assert_eq!(machine.occupancy("p0"), "2030");
            assert_eq!((machine.traffic_of("p0"), machine.traffic_of("p1")), ("0".into(), "11".into()));
            let held = |half| machine.board.msc(half).control(0, 1, resctrl_hardware::mpam::registers::Cpbm::OFFSET);
            assert_eq!((held(0), held(1)), (Some(0xff), Some(0xff)));
            machine.finish_split();
        });
    }
}

#[test]
fn a_domain_that_begins_with_one_half_counts_the_other_from_when_it_comes() {
    sim::run(|| {
        let machine = Machine::boot(&Spec::split());
        machine.lose(1);
        Fs::mount(&machine.fs, &PLAIN).unwrap();
        machine.mkdir("", "p0").unwrap();
        machine.pass(0, (1, 0), 40);
        assert_eq!(machine.traffic_of("p0"), "40");
        machine.regain(1);
        machine.pass(1, (1, 0), 5);
        assert_eq!(machine.traffic_of("p0"), "45", "counted without having been read before");
        machine.finish_split();
    });
}

/// The proof that workers cross with: with every order of events, no worker calls a CPU that has gone.
#[test]
fn workers_cross_while_cpus_come_and_go_and_find_each_where_it_was_said_to_be() {
    let schedules = sim::explore(150, || {
        let machine = Machine::mounted(&Spec::split(), &PLAIN);
        let clock = machine.sim.start_clock(8);
        let plug = {
            let machine = machine.clone();
            shuttle::thread::spawn(move || {
                for cpu in [0, 1, 0] {
                    machine.lose(cpu);
                    machine.regain(cpu);
                }
            })
        };
        for _ in 0..3 {
            machine.mkdir("", "p0").unwrap();
            assert_eq!(machine.traffic_of("p0"), "0");
            assert_eq!(machine.occupancy("p0"), "0");
            machine.rmdir("p0").unwrap();
        }
        plug.join().unwrap();
        clock.stop();
        machine.sim.advance(5000);
        machine.finish_split();
    });
    assert!(schedules >= 150);
}
