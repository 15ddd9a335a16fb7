// SPDX-License-Identifier: GPL-2.0-only
//! How often x86 goes to another CPU: once for all that is read in a domain, and never from where it has to be already.

use resctrl_fs::MountOptions;
use resctrl_types::sim::run;

use crate::machine::{AMD_ABMC, DEBUG, INTEL, Machine, clustered};

/// How often a thread was sent to a CPU, and an interrupt, because of `f`.
fn crossings(machine: &Machine, f: impl FnOnce()) -> (usize, usize) {
    let before = machine.sim.stats();
    f();
    let after = machine.sim.stats();
    (after.calls - before.calls, after.interrupts - before.interrupts)
}

fn read(machine: &Machine, path: &str) -> (usize, usize) {
    crossings(machine, || {
        machine.read(path).unwrap();
    })
}

/// A control group with three monitor groups.
fn family(machine: &Machine) {
    machine.mkdir("g").unwrap();
    ["a", "b", "c"].iter().for_each(|name| machine.mkdir(&format!("g/mon_groups/{name}")).unwrap());
}

#[test]
fn a_group_with_its_monitor_groups_is_read_in_one_crossing() {
    run(|| {
        let machine = Machine::mounted();
        family(&machine);
        for event in ["llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"] {
            assert_eq!(read(&machine, &format!("g/mon_data/mon_L3_01/{event}")), (0, 1), "{event}");
            assert_eq!(read(&machine, &format!("g/mon_groups/a/mon_data/mon_L3_01/{event}")), (0, 1), "{event}");
        }
        machine.finish();
    });
}

#[test]
fn the_nodes_of_an_l3_are_read_in_one_crossing() {
    run(|| {
        let machine = Machine::mounted_on(&clustered());
        family(&machine);
        for event in ["llc_occupancy", "mbm_total_bytes"] {
            assert_eq!(read(&machine, &format!("g/mon_data/mon_L3_00/{event}")), (0, 1), "{event}");
            assert_eq!(read(&machine, &format!("g/mon_data/mon_L3_00/mon_sub_L3_01/{event}")), (0, 1), "{event}");
        }
        machine.finish();
    });
}

#[test]
fn assigned_counters_are_read_in_one_crossing_and_begin_with_one_each() {
    run(|| {
        let machine = Machine::mounted_on(AMD_ABMC);
        // Two events in each of two domains; nothing is rebased, as each counter begins at 0.
        assert_eq!(crossings(&machine, || machine.mkdir("g").unwrap()), (0, 4));
        ["a", "b"].iter().for_each(|name| machine.mkdir(&format!("g/mon_groups/{name}")).unwrap());
        assert_eq!(read(&machine, "g/mon_data/mon_L3_01/mbm_total_bytes"), (0, 1));
        machine.finish();
    });
}

/// An interrupt lasts as long as it reads.
#[test]
fn many_counters_are_read_in_a_thread() {
    run(|| {
        let machine = Machine::mounted();
        machine.mkdir("g").unwrap();
        // With the group itself there are as many as are read in an interrupt, then one more.
        for number in 1..16 {
            machine.mkdir(&format!("g/mon_groups/{number}")).unwrap();
        }
        assert_eq!(read(&machine, "g/mon_data/mon_L3_01/mbm_total_bytes"), (0, 1));
        machine.mkdir("g/mon_groups/16").unwrap();
        assert_eq!(read(&machine, "g/mon_data/mon_L3_01/mbm_total_bytes"), (1, 0));
        machine.finish();
    });
}

#[test]
fn a_new_group_is_rebased_in_one_crossing_for_each_domain() {
    run(|| {
        let machine = Machine::mounted();
        machine.mkdir("g").unwrap();
        assert_eq!(crossings(&machine, || machine.mkdir("g/mon_groups/a").unwrap()), (0, 2));
        machine.finish();
    });
}

#[test]
fn workers_and_domains_that_come_cross_to_nobody() {
    for description in [INTEL, AMD_ABMC] {
        run(move || {
            let machine = Machine::mounted_on(description);
            family(&machine);
            machine.rmdir("g/mon_groups/a").unwrap();
            let before = machine.sim.stats();
            // Overflow, and limbo for as long as there is something in it.
            assert_eq!(crossings(&machine, || machine.sim.advance(5000)), (0, 0));
            assert!(machine.sim.stats().bound_runs >= before.bound_runs + 10, "workers ran");
            [2, 3].iter().for_each(|&cpu| machine.offline(cpu));
            assert_eq!(crossings(&machine, || [3, 2].iter().for_each(|&cpu| machine.online(cpu))), (0, 0));
            machine.finish();
        });
    }
}

#[test]
fn the_bandwidth_controller_crosses_to_nobody() {
    run(|| {
        let machine = Machine::boot(INTEL);
        machine.mount_with(&MountOptions { mba_mbps: true, ..DEBUG }).unwrap();
        machine.mkdir("g").unwrap();
        machine.write("g/schemata", "MB:0=100;1=100\n").unwrap();
        let rmid: usize = machine.read("g/mon_hw_id").unwrap().trim().parse().unwrap();
        let writes = machine.board.rdt.writes(resctrl_hardware::write_log::Kind::Mba);
        let crossed = crossings(&machine, || {
            for _ in 0..5 {
                let now = machine.sim.now_ms() * 1_000_000;
                machine.board.rdt.add(1, rmid, resctrl_hardware::Event::MbmLocal, 500 << 20, now).unwrap();
                machine.sim.advance(1000);
            }
        });
        assert!(
            machine.board.rdt.writes(resctrl_hardware::write_log::Kind::Mba) > writes,
            "it has turned something down"
        );
        assert_eq!(crossed, (0, 0));
        machine.finish();
    });
}
