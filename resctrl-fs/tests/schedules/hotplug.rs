// SPDX-License-Identifier: GPL-2.0-only
//! CPUs and domains that come and go, one step after the other.

use resctrl_types::sim::run;

use crate::invariants::check;
use crate::machine::Machine;

/// The lines of the schemata of the group `g`, which are padded to the right.
fn schemata(machine: &Machine) -> Vec<String> {
    machine.read("g/schemata").unwrap().lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn a_machine_mounts_unmounts_and_unloads() {
    run(|| {
        let machine = Machine::mounted();
        check(&machine);
        assert_eq!(machine.mkdir("g"), Ok(()));
        check(&machine);
        machine.finish();
    });
}

#[test]
fn a_domain_that_goes_takes_its_files_and_brings_back_default_values() {
    run(|| {
        let machine = Machine::mounted();
        machine.mkdir("g").unwrap();
        machine.mkdir("g/mon_groups/m").unwrap();
        machine.write("g/schemata", "L3:0=f;1=ff0\nMB:0=20;1=50\n").unwrap();
        machine.offline(3);
        check(&machine);
        assert_eq!(schemata(&machine), ["MB:0=20;1=50", "L3:0=f;1=ff0"]);
        machine.offline(2);
        check(&machine);
        assert_eq!(schemata(&machine), ["MB:0=20", "L3:0=f"]);
        assert!(machine.read("g/mon_data/mon_L3_01/mbm_total_bytes").is_err());
        machine.online(3);
        check(&machine);
        assert_eq!(schemata(&machine), ["MB:0=20;1=100", "L3:0=f;1=fff"]);
        assert_eq!(machine.read("g/mon_groups/m/mon_data/mon_L3_01/mbm_total_bytes").unwrap(), "0\n");
        assert_eq!((machine.stat("domains_created"), machine.stat("domains_destroyed")), (3, 1));
        machine.finish();
    });
}

#[test]
fn a_cpu_that_comes_back_belongs_to_the_default_group() {
    run(|| {
        let machine = Machine::mounted();
        machine.mkdir("g").unwrap();
        machine.write("g/cpus_list", "2-3\n").unwrap();
        machine.mkdir("g/mon_groups/m").unwrap();
        machine.write("g/mon_groups/m/cpus_list", "3\n").unwrap();
        check(&machine);
        machine.offline(3);
        check(&machine);
        machine.online(3);
        check(&machine);
        assert_eq!(machine.read("cpus_list").unwrap(), "0-1,3\n");
        assert_eq!(machine.read("g/cpus_list").unwrap(), "2\n");
        assert_eq!(machine.read("g/mon_groups/m/cpus_list").unwrap(), "\n");
        machine.finish();
    });
}

#[test]
fn a_domain_comes_in_the_first_cpu_of_any_and_goes_with_the_last() {
    for order in [[2, 3], [3, 2]] {
        run(move || {
            let machine = Machine::mounted();
            machine.mkdir("g").unwrap();
            for _ in 0..3 {
                order.iter().for_each(|&cpu| machine.offline(cpu));
                check(&machine);
                machine.sim.advance(1500);
                order.iter().for_each(|&cpu| machine.online(cpu));
                check(&machine);
            }
            machine.finish();
        });
    }
}

#[test]
fn both_domains_can_go_one_after_the_other() {
    run(|| {
        let machine = Machine::mounted();
        machine.offline(0);
        machine.offline(1);
        check(&machine);
        machine.online(0);
        machine.offline(2);
        machine.offline(3);
        check(&machine);
        machine.sim.advance(3000);
        machine.finish();
    });
}

#[test]
fn cpus_come_and_go_while_nothing_is_mounted() {
    run(|| {
        let machine = Machine::mounted();
        machine.mkdir("g").unwrap();
        machine.write("g/cpus_list", "3\n").unwrap();
        machine.unmount();
        machine.offline(2);
        machine.offline(3);
        check(&machine);
        machine.online(2);
        machine.mount().unwrap();
        check(&machine);
        assert_eq!(machine.read("cpus_list").unwrap(), "0-2\n");
        machine.finish();
    });
}

#[test]
fn a_task_that_runs_gets_its_groups_ids_at_once_and_its_cpu_keeps_them() {
    run(|| {
        let machine = Machine::mounted();
        machine.mkdir("g").unwrap();
        let task = machine.task();
        machine.switch(resctrl_types::CpuId(2), Some(&task)).unwrap();
        machine.write("g/tasks", &format!("{}\n", task.pid())).unwrap();
        assert_eq!(machine.read("g/tasks").unwrap(), format!("{}\n", task.pid()));
        check(&machine);
        machine.offline(2);
        check(&machine);
        machine.switch(resctrl_types::CpuId(3), Some(&task)).unwrap();
        check(&machine);
        machine.rmdir("g").unwrap();
        check(&machine);
        assert_eq!(machine.read("tasks").unwrap().lines().count(), 2);
        machine.finish();
    });
}
