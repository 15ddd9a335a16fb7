// SPDX-License-Identifier: GPL-2.0-only
//! `tasks`: who is listed, who may be moved by whom, and what moves.

use resctrl_types::sim::{SimTask, TaskSpec, fail_allocation};
use resctrl_types::{CpuId, Errno, Platform, TaskWord};

use crate::arch::{INTEL, MONITOR_ONLY};
use crate::machine::{DEBUG, Fs, Machine, PLAIN, on};

/// The ids in a `tasks` file.
fn members(machine: &Machine, group: &str) -> Vec<i32> {
    machine.read(&format!("{group}/tasks")).lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn every_task_begins_in_the_default_group() {
    on(INTEL, PLAIN, |machine| {
        let pid = machine.spawn_on(0);
        assert_eq!(members(machine, ""), [1, pid]);
    });
}

#[test]
fn a_list_of_tasks_moves_one_by_one_until_the_first_mistake() {
    on(INTEL, PLAIN, |machine| {
        let [a, b, c] = [0, 1, 2].map(|cpu| machine.spawn_on(cpu));
        machine.mkdir("g");
        machine.set("g/tasks", format!("{a}, 0x{b:x} ,\n"));
        assert_eq!(members(machine, "g"), [a, b]);
        let words = "No task 77\nError while processing task 77\n";
        machine.refuses("g/tasks", format!("{c},77,1"), Errno::ESRCH, words);
        assert_eq!(members(machine, "g"), [a, b, c]);
        assert_eq!(members(machine, ""), [1]);
    });
}

#[test]
fn an_empty_list_moves_nobody() {
    on(INTEL, PLAIN, |machine| {
        machine.mkdir("g");
        for nothing in ["", "\n"] {
            machine.set("g/tasks", nothing);
        }
        assert_eq!(members(machine, "g"), []);
    });
}

#[test]
fn nought_is_the_writer() {
    on(INTEL, PLAIN, |machine| {
        machine.mkdir("g");
        let me = machine.sim.spawn_task(TaskSpec::default());
        machine.sim.as_task(&me, || machine.set("g/tasks", "0\n"));
        assert_eq!(members(machine, "g"), [me.pid()]);
    });
}

/// Who switches what nobody can notice need not be watched: see `State::switches`.
#[test]
fn context_switches_are_watched_from_the_first_member_of_a_group_until_the_last_group_has_gone() {
    on(INTEL, PLAIN, |machine| {
        let watched = || machine.sim.watches_switches();
        let (pid, other) = (machine.spawn_on(0).to_string(), machine.spawn_on(1).to_string());
        let gifts: [(&str, &str, &str); 3] =
            [("g", "tasks", &pid), ("mon_groups/m", "cpus", "2"), ("g/mon_groups/m", "cpus_list", "")];
        for (group, file, gift) in gifts {
            machine.mkdir("g");
            if group != "g" {
                machine.mkdir(group);
            }
            machine.set("tasks", &pid);
            machine.set("cpus", "f");
            machine.set("g/schemata", "L3:0=1\n");
            assert!(!watched(), "nobody is in {group}");
            machine.set(&format!("{group}/{file}"), gift);
            assert!(watched(), "{group}/{file}");
            machine.mkdir("another");
            machine.set("another/tasks", &other);
            for gone in ["another", "mon_groups/m", "g"].into_iter().filter(|&gone| machine.has(gone)) {
                assert!(watched(), "{gone} is there");
                machine.rmdir(gone);
            }
            assert!(!watched(), "after {group}");
        }
        machine.mkdir("g");
        machine.set("g/tasks", &pid);
        Fs::unmount(&machine.fs);
        assert!(!watched());
    });
}

#[test]
fn when_context_switches_cannot_be_watched_nobody_is_moved() {
    on(INTEL, PLAIN, |machine| {
        let pid = machine.spawn_on(0);
        machine.mkdir("g");
        let (moved, failed) = fail_allocation(0, || machine.write("g/tasks", pid.to_string()));
        assert_eq!((moved, failed), (Err(Errno::ENOMEM), true));
        assert_eq!(machine.status(), "Failed to watch context switches: error -12\n");
        assert!(!machine.sim.watches_switches());
        assert_eq!(members(machine, "g"), []);
        machine.set("g/tasks", pid.to_string());
        assert_eq!(members(machine, "g"), [pid]);
    });
}

/// How often all tasks are walked through because of `f`.
fn walks(machine: &Machine, f: impl FnOnce()) -> usize {
    let before = machine.sim.stats().walks;
    f();
    machine.sim.stats().walks - before
}

#[test]
fn nobody_looks_for_tasks_where_none_can_be() {
    for kind in ["", "mon_groups/"] {
        on(INTEL, PLAIN, move |machine| {
            let [g, h] = ["g", "h"].map(|name| format!("{kind}{name}"));
            machine.mkdir(&g);
            machine.mkdir(&h);
            assert_eq!(walks(machine, || assert_eq!(members(machine, &g), [])), 0);
            let a = machine.spawn_on(0);
            machine.set(&format!("{g}/tasks"), format!("{a}\n"));
            assert_eq!(walks(machine, || assert_eq!(members(machine, &g), [a])), 1);
            assert_eq!(walks(machine, || assert_eq!(members(machine, &h), [])), 0);
            assert_eq!(walks(machine, || machine.rmdir(&h)), 0);

            // A child has what its parent had.
            let parent = machine.sim.tasks().into_iter().find(|task| task.pid() == a).unwrap();
            let child = machine.sim.fork(&parent);
            machine.set("tasks", format!("{a}\n"));
            assert_eq!(members(machine, &g), [child.pid()]);
            machine.sim.exit_task(&child);
            assert_eq!(members(machine, &g), [], "whoever has had tasks is looked through");
            assert_eq!(walks(machine, || machine.rmdir(&g)), 1);
            machine.mkdir(&g);
            assert_eq!(walks(machine, || assert_eq!(members(machine, &g), [])), 0, "all have got other ids");
            assert_eq!(walks(machine, || machine.rmdir(&g)), 0);
        });
    }
}

/// A task of a new group `g`, and the word that its children begin with.
fn member_of_g(machine: &Machine) -> (i32, TaskWord) {
    let pid = machine.spawn_on(0);
    machine.mkdir("g");
    machine.set("g/tasks", format!("{pid}\n"));
    let task = machine.sim.tasks().into_iter().find(|task| task.pid() == pid).unwrap();
    (pid, machine.sim.task_word(&task))
}

/// A task whose word was copied before, and who is in the list of all only now.
fn created_late(machine: &Machine, word: TaskWord) -> SimTask {
    let late = machine.sim.spawn_task(TaskSpec::default());
    machine.sim.set_task_word(&late, word);
    late
}

#[test]
fn who_was_being_created_while_his_group_went_is_found_when_he_has_run() {
    on(INTEL, PLAIN, |machine| {
        machine.mkdir("another");
        let (a, word) = member_of_g(machine);
        machine.rmdir("g");
        let late = created_late(machine, word);
        machine.mkdir("g");
        machine.sim.switch_to(CpuId(1), Some(&late)).unwrap();
        assert_eq!(members(machine, "g"), [late.pid()]);
        machine.rmdir("g");
        assert_eq!(members(machine, ""), [1, a, late.pid()]);
    });
}

#[test]
fn who_was_being_created_while_the_last_group_went_is_taken_in_before_anybody_is_moved() {
    on(INTEL, DEBUG, |machine| {
        let (a, word) = member_of_g(machine);
        machine.rmdir("g");
        let late = created_late(machine, word);
        machine.mkdir("g");
        machine.sim.switch_to(CpuId(1), Some(&late)).unwrap();
        assert_eq!(machine.arch().running(1).0, 0, "whoever has that id now");
        machine.set("g/tasks", a.to_string());
        assert_eq!((members(machine, "g"), members(machine, "")), (vec![a], vec![1, late.pid()]));
        assert_eq!(machine.arch().running(1).0, 0);
    });
}

/// Where a CPU finds nothing new in a switch it takes no note; what was forgotten is new.
#[test]
fn who_was_being_created_is_found_on_a_cpu_that_ran_a_member_before_the_group_went() {
    on(INTEL, PLAIN, |machine| {
        machine.mkdir("another");
        let (_, word) = member_of_g(machine);
        let late = created_late(machine, word);
        machine.sim.switch_to(CpuId(1), Some(&late)).unwrap();
        // The walk comes by before he is in the list.
        machine.sim.set_task_word(&late, TaskWord(0));
        machine.rmdir("g");
        machine.sim.set_task_word(&late, word);
        machine.mkdir("g");
        machine.sim.switch_to(CpuId(1), Some(&late)).unwrap();
        assert_eq!(members(machine, "g"), [late.pid()]);
    });
}

#[test]
fn who_was_being_created_while_the_file_system_went_is_found_by_the_next_mount() {
    on(INTEL, PLAIN, |machine| {
        let (a, word) = member_of_g(machine);
        Fs::unmount(&machine.fs);
        let late = created_late(machine, word);
        assert_eq!(walks(machine, || Fs::mount(&machine.fs, &PLAIN).unwrap()), 1);
        machine.mkdir("g");
        assert_eq!(members(machine, "g"), []);
        assert_eq!(members(machine, ""), [1, a, late.pid()]);
        let again = || {
            Fs::unmount(&machine.fs);
            Fs::mount(&machine.fs, &PLAIN).unwrap();
        };
        assert_eq!(walks(machine, again), 0, "nobody was in a group");
    });
}

#[test]
fn a_running_task_is_known_to_its_cpu_at_once_and_nobody_else_is_asked() {
    on(INTEL, DEBUG, |machine| {
        let pid = machine.spawn_on(2);
        machine.mkdir("g");
        machine.set("g/tasks", "");
        machine.arch().take_switches();
        machine.set("g/tasks", pid.to_string());
        assert_eq!(machine.arch().running(2).0.to_string() + "\n", machine.read("g/ctrl_hw_id"));
        assert_eq!(machine.arch().take_switches(), [0, 0, 1, 0]);
        machine.set("g/tasks", pid.to_string());
        assert_eq!(machine.arch().take_switches(), [0, 0, 0, 0], "it is a member already");
    });
}

#[test]
fn a_sleeping_task_disturbs_no_cpu() {
    on(INTEL, PLAIN, |machine| {
        let task = machine.sim.spawn_task(TaskSpec::default());
        machine.mkdir("g");
        machine.set("g/tasks", "");
        machine.arch().take_switches();
        machine.set("g/tasks", task.pid().to_string());
        assert_eq!(machine.arch().take_switches(), [0, 0, 0, 0]);
        machine.sim.switch_to(CpuId(3), Some(&task)).unwrap();
        assert_ne!(machine.arch().running(3).0, 0);
    });
}

#[test]
fn a_control_group_lists_the_tasks_of_its_monitor_groups() {
    on(INTEL, PLAIN, |machine| {
        let pid = machine.spawn_on(0);
        machine.mkdir("g");
        machine.mkdir("g/mon_groups/m");
        machine.set("g/tasks", pid.to_string());
        machine.set("g/mon_groups/m/tasks", pid.to_string());
        assert_eq!((members(machine, "g"), members(machine, "g/mon_groups/m")), (vec![pid], vec![pid]));
        machine.set("g/tasks", pid.to_string());
        assert_eq!((members(machine, "g"), members(machine, "g/mon_groups/m")), (vec![pid], vec![]));
    });
}

#[test]
fn a_monitor_group_takes_tasks_of_its_parent_only() {
    on(INTEL, PLAIN, |machine| {
        let pid = machine.spawn_on(0);
        machine.mkdir("g");
        machine.mkdir("g/mon_groups/m");
        let words = format!("Can't move task to different control group\nError while processing task {pid}\n");
        machine.refuses("g/mon_groups/m/tasks", pid.to_string(), Errno::EINVAL, &words);
        assert_eq!(members(machine, ""), [1, pid]);
    });
}

#[test]
fn only_root_and_its_owner_may_move_a_task() {
    on(INTEL, PLAIN, |machine| {
        machine.mkdir("g");
        let [alice, bob] = [1000, 1001].map(|uid| machine.sim.spawn_task(TaskSpec::user(uid)));
        let (hers, his) = (alice.pid().to_string(), bob.pid().to_string());
        machine.sim.as_task(&alice, || {
            let words = format!("No permission to move task {his}\nError while processing task {his}\n");
            machine.refuses("g/tasks", &his, Errno::EPERM, &words);
            machine.set("g/tasks", &hers);
        });
        assert_eq!(members(machine, "g"), [alice.pid()]);
        machine.set("g/tasks", &his);
        assert_eq!(members(machine, "g"), [alice.pid(), bob.pid()]);
    });
}

#[test]
fn ids_are_those_of_the_readers_namespace() {
    on(INTEL, PLAIN, |machine| {
        machine.mkdir("g");
        let inside = machine.sim.spawn_task(TaskSpec { namespace: 1, ..TaskSpec::default() });
        machine.set("g/tasks", inside.pid().to_string());
        machine.set("g/tasks", "1");
        assert_eq!(members(machine, "g"), [1, inside.pid()]);
        machine.sim.as_task(&inside, || {
            assert_eq!(members(machine, "g"), [1], "init is not in the namespace, the reader is its first");
            let words = "No task 2\nError while processing task 2\n";
            machine.refuses("g/tasks", "2", Errno::ESRCH, words);
        });
    });
}

#[test]
fn tasks_of_a_removed_group_go_back_where_they_run() {
    on(INTEL, DEBUG, |machine| {
        let [a, b] = [0, 1].map(|cpu| machine.spawn_on(cpu));
        machine.mkdir("g");
        machine.mkdir("g/mon_groups/m");
        machine.set("g/tasks", format!("{a},{b}"));
        machine.set("g/mon_groups/m/tasks", b.to_string());
        machine.rmdir("g/mon_groups/m");
        assert_eq!(machine.arch().running(1), machine.arch().running(0));
        machine.rmdir("g");
        assert_eq!(members(machine, ""), [1, a, b]);
        assert_eq!([0, 1].map(|cpu| machine.arch().running(cpu)), [(0, 0); 2]);
    });
}

#[test]
fn where_nothing_can_be_controlled_the_default_group_lists_nobody() {
    on(MONITOR_ONLY, PLAIN, |machine| {
        machine.mkdir("mon_groups/m");
        machine.set("mon_groups/m/tasks", "1");
        assert_eq!((members(machine, ""), members(machine, "mon_groups/m")), (vec![], vec![1]));
    });
}

/// RMIDs are the whole machine's here: who has one is its group's, whatever his CLOSID.
#[test]
fn who_was_being_created_while_his_monitor_group_moved_is_still_in_it() {
    on(INTEL, PLAIN, |machine| {
        let (pid, _) = member_of_g(machine);
        machine.mkdir("h");
        machine.mkdir("g/mon_groups/m");
        machine.set("g/mon_groups/m/tasks", pid.to_string());
        let task = machine.sim.tasks().into_iter().find(|task| task.pid() == pid).unwrap();
        let word = machine.sim.task_word(&task);
        machine.rename("g/mon_groups/m", "h/mon_groups/m").unwrap();
        let late = created_late(machine, word);
        assert_eq!(members(machine, "h/mon_groups/m"), [pid, late.pid()]);
        machine.rmdir("h/mon_groups/m");
    });
}
