// SPDX-License-Identifier: GPL-2.0-only
//! `cpus` and `cpus_list`: who owns which CPU, and what each CPU then runs with.

use proptest::prelude::*;
use resctrl_types::sim::fail_allocation;
use resctrl_types::{CpuId, Errno};

use crate::arch::INTEL;
use crate::machine::{DEBUG, Machine, PLAIN, on};

/// The CPUs of groups, in the form of `cpus_list`.
#[track_caller]
fn owners(machine: &Machine, expected: &[(&str, &str)]) {
    let lists = expected.iter().map(|(group, _)| machine.read(&format!("{group}/cpus_list")));
    assert_eq!(
        lists.collect::<Vec<_>>(),
        expected.iter().map(|(_, list)| format!("{list}\n")).collect::<Vec<_>>(),
        "{expected:?}"
    );
}

/// The ids that a group's CPUs must run with.
fn ids(machine: &Machine, group: &str) -> (u32, u32) {
    let control = group.split("mon_groups").next().unwrap_or(group);
    let number = |path: String| machine.read(&path).trim().parse().unwrap();
    (number(format!("{control}/ctrl_hw_id")), number(format!("{group}/mon_hw_id")))
}

#[track_caller]
fn runs_with(machine: &Machine, cpu: u32, group: &str) {
    assert_eq!(machine.arch().running(cpu), ids(machine, group), "CPU {cpu} is {group}'s");
}

#[test]
fn at_first_the_default_group_owns_every_online_cpu() {
    on(INTEL, PLAIN, |machine| {
        assert_eq!((machine.read("cpus").as_str(), machine.read("cpus_list").as_str()), ("f\n", "0-3\n"));
        machine.sim.offline(CpuId(2)).unwrap();
        assert_eq!(machine.read("cpus"), "b\n");
        machine.mkdir("g");
        machine.refuses("g/cpus", "4\n", Errno::EINVAL, "Can only assign online CPUs\n");
    });
}

#[test]
fn a_cpu_has_one_control_group() {
    on(INTEL, DEBUG, |machine| {
        machine.mkdir("g");
        machine.mkdir("h");
        machine.set("g/cpus", "6\n");
        owners(machine, &[("", "0,3"), ("g", "1-2"), ("h", "")]);
        machine.set("h/cpus_list", "2-3");
        owners(machine, &[("", "0"), ("g", "1"), ("h", "2-3")]);
        runs_with(machine, 0, "");
        runs_with(machine, 1, "g");
        runs_with(machine, 2, "h");
        runs_with(machine, 3, "h");
    });
}

#[test]
fn what_a_group_lets_go_the_default_group_gets() {
    on(INTEL, DEBUG, |machine| {
        machine.mkdir("g");
        machine.set("g/cpus_list", "1-3");
        machine.set("g/cpus_list", "3\n");
        owners(machine, &[("", "0-2"), ("g", "3")]);
        runs_with(machine, 1, "");
        runs_with(machine, 3, "g");
        machine.set("g/cpus", "\n");
        owners(machine, &[("", "0-3"), ("g", "")]);
    });
}

#[test]
fn only_the_cpus_that_change_hands_are_interrupted() {
    on(INTEL, PLAIN, |machine| {
        machine.mkdir("g");
        machine.set("g/cpus_list", "1-2");
        machine.arch().take_switches();
        machine.set("g/cpus_list", "2-3");
        assert_eq!(machine.arch().take_switches(), [0, 1, 0, 1]);
        machine.set("g/cpus_list", "2-3");
        machine.set("cpus_list", "0-1");
        assert_eq!(machine.arch().take_switches(), [0, 0, 0, 0]);
    });
}

#[test]
fn a_monitor_group_borrows_cpus_of_its_parent() {
    on(INTEL, DEBUG, |machine| {
        machine.mkdir("g");
        machine.mkdir("g/mon_groups/m");
        machine.mkdir("g/mon_groups/n");
        let refusal = "Can only add CPUs to mongroup that belong to parent\n";
        machine.refuses("g/mon_groups/m/cpus", "1\n", Errno::EINVAL, refusal);
        machine.set("g/cpus_list", "0-2");
        machine.set("g/mon_groups/m/cpus_list", "0-1");
        machine.set("g/mon_groups/n/cpus_list", "1");
        owners(machine, &[("g", "0-2"), ("g/mon_groups/m", "0"), ("g/mon_groups/n", "1")]);
        runs_with(machine, 0, "g/mon_groups/m");
        runs_with(machine, 1, "g/mon_groups/n");
        runs_with(machine, 2, "g");
        machine.set("g/mon_groups/m/cpus_list", "");
        owners(machine, &[("g", "0-2"), ("g/mon_groups/m", "")]);
        runs_with(machine, 0, "g");
    });
}

#[test]
fn any_write_to_a_control_group_takes_its_cpus_back_from_its_monitor_groups() {
    on(INTEL, DEBUG, |machine| {
        machine.mkdir("mon_groups/m");
        machine.set("mon_groups/m/cpus_list", "0-1");
        runs_with(machine, 1, "mon_groups/m");
        machine.set("cpus", "f\n");
        owners(machine, &[("", "0-3"), ("mon_groups/m", "")]);
        runs_with(machine, 1, "");
    });
}

#[test]
fn a_lent_cpu_that_its_group_lets_go_is_the_default_groups() {
    on(INTEL, DEBUG, |machine| {
        machine.mkdir("g");
        machine.mkdir("g/mon_groups/m");
        machine.set("g/cpus_list", "1-2");
        machine.set("g/mon_groups/m/cpus_list", "1");
        machine.set("g/cpus_list", "2");
        owners(machine, &[("", "0-1,3"), ("g", "2"), ("g/mon_groups/m", "")]);
        runs_with(machine, 1, "");
    });
}

#[test]
fn a_cpu_that_leaves_a_control_group_leaves_its_monitor_group_too() {
    on(INTEL, DEBUG, |machine| {
        machine.mkdir("mon_groups/m");
        machine.mkdir("g");
        machine.set("mon_groups/m/cpus_list", "0-1");
        machine.set("g/cpus_list", "1");
        owners(machine, &[("", "0,2-3"), ("mon_groups/m", "0"), ("g", "1")]);
        runs_with(machine, 1, "g");
        machine.sim.offline(CpuId(1)).unwrap();
        owners(machine, &[("", "0,2-3"), ("g", "")]);
        machine.sim.online(CpuId(1)).unwrap();
        owners(machine, &[("", "0-3"), ("mon_groups/m", "0"), ("g", "")]);
    });
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    /// CPUs, as bits, for the group at this place of [`GROUPS`].
    Write(usize, u32),
    Hotplug(u32),
}

const GROUPS: [&str; 5] = ["", "mon_groups/m", "g", "g/mon_groups/m", "h"];

/// The CPUs of a group, as bits.
fn bits(machine: &Machine, group: &str) -> u32 {
    u32::from_str_radix(machine.read(&format!("{group}/cpus")).trim(), 16).unwrap()
}

/// Every online CPU has one control group, at most one monitor group of it, and runs with the ids of the closest.
fn everyone_has_one_owner(machine: &Machine) {
    let [default, default_m, g, g_m, h] = GROUPS.map(|group| bits(machine, group));
    let online = machine.sim.online_cpus().into_iter().fold(0, |all, cpu| all | 1 << cpu.0);
    assert_eq!((default | g | h, default & g, default & h, g & h), (online, 0, 0, 0));
    assert_eq!((default_m & !default, g_m & !g), (0, 0));
    for cpu in machine.sim.online_cpus() {
        let mut closest = GROUPS.into_iter().filter(|group| bits(machine, group) >> cpu.0 & 1 == 1);
        runs_with(machine, cpu.0, closest.next_back().unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_written_every_cpu_has_one_owner(
        steps in prop::collection::vec(
            prop_oneof![
                8 => (0..GROUPS.len(), 0..16_u32).prop_map(|(group, cpus)| Step::Write(group, cpus)),
                1 => (1..4_u32).prop_map(Step::Hotplug),
            ],
            1..20,
        )
    ) {
        on(INTEL, DEBUG, move |machine| {
            for dir in ["mon_groups/m", "g", "g/mon_groups/m", "h"] {
                machine.mkdir(dir);
            }
            for step in steps.clone() {
                let before = GROUPS.map(|group| bits(machine, group));
                match step {
                    Step::Write(group, cpus) => match machine.write(&format!("{}/cpus", GROUPS[group]), format!("{cpus:x}")) {
                        Ok(()) => assert_eq!(bits(machine, GROUPS[group]), cpus),
                        Err(_) => assert_eq!(GROUPS.map(|group| bits(machine, group)), before),
                    },
                    Step::Hotplug(cpu) if machine.sim.is_online(CpuId(cpu)) => machine.sim.offline(CpuId(cpu)).unwrap(),
                    Step::Hotplug(cpu) => machine.sim.online(CpuId(cpu)).unwrap(),
                }
                everyone_has_one_owner(machine);
            }
        });
    }
}

#[test]
fn without_memory_for_a_mask_nothing_changes_and_the_status_says_so() {
    on(INTEL, PLAIN, |machine| {
        machine.mkdir("g");
        for (file, command) in [("cpus", "6\n"), ("cpus_list", "1-2\n")] {
            let path = format!("g/{file}");
            machine.set(&path, "\n");
            let words = format!("{file}: Kernel allocation failure\n");
            let mut said = 0;
            for n in 0.. {
                let (written, failed) = fail_allocation(n, || machine.write(&path, command));
                if !failed {
                    assert_eq!(written, Ok(()));
                    break;
                }
                assert_eq!(written, Err(Errno::ENOMEM), "allocation {n}");
                said += u32::from(machine.status() == words);
                owners(machine, &[("", "0-3"), ("g", "")]);
            }
            // What the group gets, what it takes from others, what others get.
            assert_eq!(said, 3, "of {path}");
            machine.set(&path, "\n");
        }
    });
}
