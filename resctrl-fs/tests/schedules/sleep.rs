// SPDX-License-Identifier: GPL-2.0-only
//! The system sleeps and its power goes: everything is as it was. And the end after a failure, as one piece.

use std::collections::BTreeSet;

use resctrl_fs::MountOptions;
use resctrl_hardware::Event;
use resctrl_hardware::registers::{
    EvtCfg, L2QosCfg, L3Mask, L3QosAbmcCfg, L3QosCfg, L3QosExtCfg, MbaBandwidth, MbaThrottle, PqrAssoc, RmidSncConfig,
    SmbaBandwidth,
};
use resctrl_types::sim::{explore, run};
use resctrl_types::{CpuId, Errno};

use crate::concurrent::actor;
use crate::invariants::check;
use crate::machine::{AMD_ABMC, DEBUG, INTEL, Machine, clustered, possible};
use crate::sequences::command;

const AMD: &str = include_str!("../../../qemu-images/machines/amd.toml");

/// Every register of every CPU that keeps something, behind the software's back.
fn registers(machine: &Machine) -> Vec<(u32, u32, u64)> {
    let ranges = [
        (L3QosCfg::ADDRESS, 1),
        (L2QosCfg::ADDRESS, 1),
        (L3Mask::ADDRESS, 128),
        (MbaThrottle::ADDRESS, 128),
        (MbaBandwidth::ADDRESS, 128),
        (SmbaBandwidth::ADDRESS, 128),
        (PqrAssoc::ADDRESS, 1),
        (RmidSncConfig::ADDRESS, 1),
        (L3QosExtCfg::ADDRESS, 1),
        (EvtCfg::ADDRESS, 2),
    ];
    let mut registers = Vec::new();
    for cpu in possible(machine) {
        for address in ranges.into_iter().flat_map(|(first, count)| first..first + count) {
            if let Ok(Some(value)) = machine.board.rdt.rdmsr(cpu.index(), address, 0) {
                registers.push((cpu.0, address, value));
            }
        }
    }
    registers
}

/// Groups, CPUs, tasks and values that differ from the default wherever they can.
fn set_up(machine: &Machine) {
    machine.mkdir("g").unwrap();
    machine.mkdir("g/mon_groups/m").unwrap();
    let cdp = machine.options().contains("cdp");
    let amd = machine.board.rdt.machine().qos.is_some();
    let masks = if cdp { "L3CODE:0=3;1=c\nL3DATA:0=30;1=c0\n" } else { "L3:0=f;1=f0\n" };
    let limits = if amd { "MB:0=16;1=24\n" } else { "MB:0=20;1=50\n" };
    machine.write("g/schemata", &format!("{masks}{limits}")).unwrap();
    machine.write("g/cpus_list", "1,3\n").unwrap();
    machine.write("g/mon_groups/m/cpus_list", "3\n").unwrap();
    let task = machine.task();
    machine.write("g/tasks", &format!("{}\n", task.pid())).unwrap();
    machine.write("g/mon_groups/m/tasks", &format!("{}\n", task.pid())).unwrap();
    machine.switch(CpuId(0), Some(&task)).unwrap();
}

/// What all files of groups show that are not counts.
fn shown(machine: &Machine) -> Vec<String> {
    let files = ["schemata", "cpus", "mode", "tasks", "g/schemata", "g/cpus", "g/tasks", "g/mon_groups/m/cpus"];
    files.into_iter().map(|file| machine.read(file).unwrap()).collect()
}

#[test]
fn registers_and_groups_are_as_they_were_after_a_sleep_in_which_the_power_went() {
    let cdp = MountOptions { cdp: true, ..DEBUG };
    for (description, options) in
        [(INTEL.into(), DEBUG), (INTEL.into(), cdp), (clustered(), DEBUG), (AMD.into(), cdp), (AMD_ABMC.into(), DEBUG)]
    {
        run(move || {
            let machine = Machine::boot(&description);
            machine.mount_with(&options).unwrap();
            set_up(&machine);
            let before = (registers(&machine), shown(&machine));
            machine.sleep(&[]);
            machine.sleep(&[]);
            assert_eq!((registers(&machine), shown(&machine)), before);
            check(&machine);
            machine.finish();
        });
    }
}

#[test]
fn what_an_event_counts_and_which_counter_counts_for_whom_outlives_a_sleep() {
    for description in [AMD, AMD_ABMC] {
        run(move || {
            let machine = Machine::mounted_on(description);
            set_up(&machine);
            if description == AMD {
                machine.write("info/L3_MON/mbm_total_bytes_config", "0=0x3;1=0x5\n").unwrap();
            }
            let assignments = || machine.read("g/mon_groups/m/mbm_L3_assignments");
            let before = (registers(&machine), assignments());
            machine.sleep(&[]);
            assert_eq!((registers(&machine), assignments()), before);
            check(&machine);
            machine.finish();
        });
    }
}

#[test]
fn the_registers_of_a_domain_are_written_by_the_first_of_its_cpus_that_is_back() {
    let counters = [(INTEL, None), (AMD, Some((EvtCfg::ADDRESS, 2))), (AMD_ABMC, Some((L3QosAbmcCfg::ADDRESS, 1)))];
    for (description, counters) in counters {
        run(move || {
            let machine = Machine::mounted_on(description);
            set_up(&machine);
            let before = machine.board.rdt.next_write();
            machine.sleep(&[]);
            let writes = machine.board.rdt.writes_since(before);
            for (first, count) in [(L3Mask::ADDRESS, 128)].into_iter().chain(counters) {
                let theirs = writes.iter().filter(|write| (first..first + count).contains(&write.address));
                let cpus: BTreeSet<usize> = theirs.map(|write| write.cpu).collect();
                assert_eq!(cpus, BTreeSet::from([0, 2]), "{first:#x}");
            }
            machine.finish();
        });
    }
}

#[test]
fn counts_go_on_from_where_they_were() {
    for description in [INTEL.to_owned(), clustered(), AMD.into(), AMD_ABMC.into()] {
        run(move || {
            let machine = Machine::mounted_on(&description);
            set_up(&machine);
            let rmid = machine.read("g/mon_groups/m/mon_hw_id").unwrap().trim().parse().unwrap();
            let count = || machine.read("g/mon_groups/m/mon_data/mon_L3_01/mbm_total_bytes").unwrap();
            let count = || count().trim().parse::<u64>().unwrap();
            let moves = || {
                machine.set_rate(1, rmid, Event::MbmTotal, 8 << 20);
                machine.sim.advance(3000);
            };
            let mut total = 0;
            for round in 0..3 {
                moves();
                let before = count();
                // As much as there was traffic for, within what one unit of a counter stands for.
                assert!(before.abs_diff(total + (24 << 20)) < 1 << 17, "{before} after {total}, round {round}");
                machine.sleep(&[]);
                total = count();
                assert_eq!(total, before, "nothing was counted while it slept, and nothing is forgotten");
            }
            machine.finish();
        });
    }
}

#[test]
fn a_cpu_that_does_not_come_back_is_offline_and_its_domain_goes() {
    run(|| {
        let machine = Machine::mounted();
        set_up(&machine);
        machine.sleep(&[CpuId(3)]);
        check(&machine);
        assert_eq!(machine.read("g/cpus_list").unwrap(), "1\n");
        machine.sleep(&[CpuId(2)]);
        check(&machine);
        assert!(machine.read("g/mon_data/mon_L3_01/mbm_total_bytes").is_err());
        machine.online(2);
        machine.online(3);
        check(&machine);
        assert_eq!(machine.read("g/cpus_list").unwrap(), "1\n", "as after any other absence");
        machine.finish();
    });
}

#[test]
fn writing_the_same_values_again_repairs_registers_that_were_lost_unnoticed() {
    run(|| {
        let machine = Machine::mounted();
        set_up(&machine);
        let before = machine.read("g/schemata").unwrap();
        machine.board.rdt.lose_power();
        assert_ne!(machine.msr(CpuId(0), L3Mask::ADDRESS + 1), 0xf);
        machine.write("g/schemata", &before).unwrap();
        assert_eq!(machine.msr(CpuId(0), L3Mask::ADDRESS + 1), 0xf);
        assert_eq!(machine.msr(CpuId(2), L3Mask::ADDRESS + 1), 0xf0);
        assert_eq!(machine.msr(CpuId(2), MbaThrottle::ADDRESS + 1), 50);
        machine.finish();
    });
}

#[test]
fn no_command_interleaves_with_the_end_after_a_failure_and_nothing_can_be_mounted_afterwards() {
    explore(150, || {
        let machine = Machine::mounted();
        set_up(&machine);
        let tasks = [machine.task()];
        let clock = machine.sim.start_clock(8);
        let actors = [
            actor(&machine, 8, move |machine| command(machine, &tasks)),
            actor(&machine, 3, |machine| {
                let _ = machine.mount();
            }),
            actor(&machine, 2, |machine| {
                machine.offline(3);
                machine.online(3);
            }),
        ];
        resctrl_fs::Resctrl::shut_down(&machine.fs);
        let writes = machine.board.rdt.next_write();
        assert_eq!(machine.mount(), Err(Errno::ENODEV));
        assert!(!machine.is_mounted());
        for actor in actors {
            actor.join().unwrap();
        }
        clock.stop();
        // Context switches find nothing to write, and nothing else is there to write.
        assert_eq!(machine.board.rdt.writes_since(writes).len(), 0, "something was programmed afterwards");
        assert_eq!(machine.audit(), "");
        machine.sim.tasks().iter().for_each(|task| assert_eq!(task.word().0, 0));
        for cpu in possible(&machine) {
            assert_eq!(machine.msr(cpu, PqrAssoc::ADDRESS), 0, "CPU {cpu}");
            assert_eq!(machine.msr(cpu, L3Mask::ADDRESS + 1), 0xfff, "CPU {cpu}");
        }
        machine.finish();
    });
}
