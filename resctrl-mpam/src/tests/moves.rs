// SPDX-License-Identifier: GPL-2.0-only
//! Monitor groups that move below another control group: RMIDs belong to a CLOSID, so they get others.

use std::format;
use std::string::String;
use std::vec::Vec;

use resctrl_fs::MountOptions;
use resctrl_hardware::mpam::{CounterWidth, Label, Level, Occupancy};
use resctrl_types::sim::{TaskSpec, fail_allocation};
use resctrl_types::{CpuId, Errno, sim};

use super::board::{Spec, counters};
use super::file_system::{Machine, PLAIN};

const DEBUG: MountOptions = MountOptions { debug: true, ..PLAIN };
const FROM: &str = "p0/mon_groups/m";
const TO: &str = "p1/mon_groups/m";

/// Two level 3 caches with four counters each; their ids are 768 and 769.
fn spec() -> Spec {
    let mut spec = Spec::new(2);
    for msc in &mut spec.mscs[..2] {
        msc.config.ris[0].traffic = Some(counters(CounterWidth::Bits44));
    }
    spec
}

/// PARTID 1 is p0's, PARTID 2 p1's; p0 has a monitor group.
fn with_groups() -> Machine {
    let machine = Machine::mounted(&spec(), &DEBUG);
    machine.mkdir("", "p0").unwrap();
    machine.mkdir("", "p1").unwrap();
    machine.mkdir("p0/mon_groups", "m").unwrap();
    machine
}

impl Machine {
    /// The labels of a group, as files show them.
    fn labels(&self, parent: &str, group: &str) -> Label {
        let number = |path: &str| self.read(path).unwrap().trim().parse::<u16>().unwrap();
        Label {
            partid: number(&format!("{parent}/ctrl_hw_id")),
            pmg: number(&format!("{group}/mon_hw_id")).try_into().unwrap(),
        }
    }

    fn bytes(&self, group: &str) -> String {
        self.read(&format!("{group}/mon_data/mon_L3_768/mbm_total_bytes")).unwrap()
    }

    fn occupied(&self, group: &str) -> String {
        self.read(&format!("{group}/mon_data/mon_L3_768/llc_occupancy")).unwrap()
    }

    fn fill(&self, label: Label, total: u64) {
        self.board.msc(0).set_occupancy(0, label.partid, label.pmg, Occupancy { total, dirty: 0 });
    }

    fn status(&self) -> String {
        self.read("info/last_cmd_status").unwrap()
    }
}

#[test]
fn b3_a_monitor_group_that_moves_gets_ids_of_its_new_parent_and_so_do_its_tasks() {
    sim::run(|| {
        let machine = with_groups();
        let [running, waiting] = [(); 2].map(|()| machine.sim.spawn_task(TaskSpec::default()));
        for task in [&running, &waiting] {
            machine.write("p0/tasks", &format!("{}\n", task.pid())).unwrap();
            machine.write("p0/mon_groups/m/tasks", &format!("{}\n", task.pid())).unwrap();
        }
        machine.sim.switch_to(CpuId(1), Some(&running)).unwrap();
        let old = machine.labels("p0", FROM);
        assert_eq!((old.partid, machine.board.cpu(1).label(Level::El0, false)), (1, old));

        machine.rename(FROM, TO).unwrap();
        assert_eq!(machine.status(), "ok\n");
        machine.audit();
        let new = machine.labels("p1", TO);
        assert_eq!(new.partid, 2);
        assert_ne!(new, machine.labels("p1", "p1"), "p1's own id");
        assert_eq!(machine.board.cpu(1).label(Level::El0, false), new, "who runs is told");
        machine.sim.switch_to(CpuId(2), Some(&waiting)).unwrap();
        assert_eq!(machine.board.cpu(2).label(Level::El0, false), new, "who does not run finds out");
        let members = format!("{}\n{}\n", running.pid(), waiting.pid());
        assert_eq!(machine.read(&format!("{TO}/tasks")).unwrap(), members);
        assert_eq!(machine.read("p1/tasks").unwrap(), members);
        assert_eq!(machine.read("p0/tasks").unwrap(), "");

        // It goes as any other does.
        machine.rmdir(TO).unwrap();
        assert_eq!(machine.board.cpu(1).label(Level::El0, false), machine.labels("p1", "p1"));
        machine.audit();
        machine.finish();
    });
}

#[test]
fn b3_the_counters_of_a_group_that_moves_count_its_new_ids_from_0() {
    sim::run(|| {
        let machine = with_groups();
        machine.write("p0/mon_groups/m/mbm_L3_assignments", "mbm_total_bytes:769=_\n").unwrap();
        let assigned = machine.read("p0/mon_groups/m/mbm_L3_assignments").unwrap();
        let available = machine.read("info/L3_MON/available_mbm_cntrs").unwrap();
        let old = machine.labels("p0", FROM);
        machine.traffic(0, old.partid, old.pmg, 700);
        assert_eq!((machine.bytes(FROM), machine.bytes("p0")), ("700\n".into(), "700\n".into()));

        machine.rename(FROM, TO).unwrap();
        let new = machine.labels("p1", TO);
        assert_eq!(machine.read("p1/mon_groups/m/mbm_L3_assignments").unwrap(), assigned);
        assert_eq!(machine.read("info/L3_MON/available_mbm_cntrs").unwrap(), available);
        // From the move on, not from the first reading.
        machine.traffic(0, new.partid, new.pmg, 30);
        machine.traffic(0, old.partid, old.pmg, 5);
        assert_eq!((machine.bytes(TO), machine.bytes("p1")), ("30\n".into(), "30\n".into()));
        assert_eq!(machine.bytes("p0"), "0\n", "what the group had counted went with it");
        machine.finish();
    });
}

#[test]
fn b3_the_old_ids_are_in_limbo_for_as_long_as_there_are_lines_of_theirs() {
    sim::run(|| {
        let machine = with_groups();
        let old = machine.labels("p0", FROM);
        machine.fill(old, 1 << 20);
        assert_eq!(machine.occupied(FROM), format!("{}\n", 1 << 20));

        machine.rename(FROM, TO).unwrap();
        let new = machine.labels("p1", TO);
        assert_eq!((machine.occupied(TO), machine.occupied("p0")), ("0\n".into(), "0\n".into()));
        machine.fill(new, 4096);
        assert_eq!(machine.occupied(TO), "4096\n");

        // Three PMGs beside p0's own, one of them in limbo.
        machine.mkdir("p0/mon_groups", "a").unwrap();
        machine.mkdir("p0/mon_groups", "b").unwrap();
        machine.sim.advance(5000);
        assert_eq!(machine.mkdir("p0/mon_groups", "c"), Err(Errno::ENOSPC));
        machine.fill(old, 0);
        machine.sim.advance(2000);
        machine.mkdir("p0/mon_groups", "c").unwrap();
        assert_eq!(machine.labels("p0", "p0/mon_groups/c"), old);
        machine.audit();
        machine.finish();
    });
}

/// Everything of the groups that a move that fails must not change.
fn picture(machine: &Machine) -> Vec<String> {
    let files = ["mon_hw_id", "tasks", "mbm_L3_assignments", "mon_data/mon_L3_768/mbm_total_bytes"];
    let read = |group: &str| files.map(|file| machine.read(&format!("{group}/{file}")).unwrap());
    let mut picture: Vec<String> = [FROM, "p0", "p1"].into_iter().flat_map(read).collect();
    picture.push(format!("{:?}", machine.board.cpu(1).label(Level::El0, false)));
    picture.push(machine.read("info/L3_MON/available_mbm_cntrs").unwrap());
    picture
}

/// A group with a task that runs on CPU 1, and something counted.
fn at_work() -> Machine {
    let machine = with_groups();
    let task = machine.sim.spawn_task(TaskSpec::default());
    for group in ["p0", FROM] {
        machine.write(&format!("{group}/tasks"), &format!("{}\n", task.pid())).unwrap();
    }
    machine.sim.switch_to(CpuId(1), Some(&task)).unwrap();
    let Label { partid, pmg, .. } = machine.labels("p0", FROM);
    machine.traffic(0, partid, pmg, 700);
    machine
}

#[test]
fn b3_without_an_id_of_the_new_parent_nothing_moves() {
    sim::run(|| {
        let machine = at_work();
        ["a", "b", "c"].into_iter().for_each(|name| machine.mkdir("p1/mon_groups", name).unwrap());
        let before = picture(&machine);
        assert_eq!(machine.rename(FROM, TO), Err(Errno::ENOSPC));
        assert_eq!(machine.status(), "Out of RMIDs\n");
        assert_eq!(picture(&machine), before);
        assert!(!machine.has(TO));
        machine.audit();
        // An id in limbo is none yet.
        machine.rmdir("p1/mon_groups/b").unwrap();
        assert_eq!(machine.rename(FROM, TO), Err(Errno::ENOSPC));
        machine.sim.advance(2000);
        machine.rename(FROM, TO).unwrap();
        machine.audit();
        machine.finish();
    });
}

#[test]
fn b3_a_group_that_comes_back_gets_the_ids_that_it_has_left_if_there_are_no_others() {
    sim::run(|| {
        let machine = with_groups();
        let old = machine.labels("p0", FROM);
        machine.fill(old, 1 << 20);
        // p0 has no other id left than the group's old one, of which there are lines.
        ["a", "b"].into_iter().for_each(|name| machine.mkdir("p0/mon_groups", name).unwrap());
        machine.rename(FROM, TO).unwrap();
        machine.sim.advance(5000);
        assert_eq!(machine.mkdir("p0/mon_groups", "c"), Err(Errno::ENOSPC), "nobody else gets it");
        machine.rename(TO, FROM).unwrap();
        machine.audit();
        assert_eq!((machine.labels("p0", FROM), machine.occupied(FROM)), (old, format!("{}\n", 1 << 20)));
        machine.traffic(0, old.partid, old.pmg, 30);
        assert_eq!(machine.bytes(FROM), "30\n", "its counter began with the move");
        machine.sim.advance(5000);
        assert_eq!(machine.labels("p0", FROM), old, "it is not in limbo any more");

        // Once somebody else has had it, it is not the group's own.
        machine.rename(FROM, TO).unwrap();
        machine.fill(old, 0);
        machine.sim.advance(2000);
        machine.mkdir("p0/mon_groups", "c").unwrap();
        assert_eq!(machine.labels("p0", "p0/mon_groups/c"), old);
        machine.fill(old, 1 << 20);
        machine.rmdir("p0/mon_groups/c").unwrap();
        assert_eq!(machine.rename(TO, FROM), Err(Errno::ENOSPC));
        machine.audit();
        machine.sim.advance(5000);
        machine.fill(old, 0);
        machine.sim.advance(2000);
        machine.rename(TO, FROM).unwrap();
        machine.audit();
        machine.finish();
    });
}

#[test]
fn b3_without_memory_nothing_moves() {
    sim::run(|| {
        for n in 0.. {
            let machine = at_work();
            let before = picture(&machine);
            let (moved, failed) = fail_allocation(n, || machine.rename(FROM, TO));
            if moved.is_err() {
                assert_eq!((moved, failed), (Err(Errno::ENOMEM), true), "allocation {n}");
                assert_eq!(picture(&machine), before, "allocation {n}");
                machine.audit();
                machine.rename(FROM, TO).unwrap();
            }
            machine.audit();
            machine.finish();
            if !failed {
                assert!(n > 0, "a move allocates nothing");
                return;
            }
        }
    });
}

/// Groups move while a cache goes away and comes back, and others are made and removed: with every order of events each
/// group has ids of its own and nothing is left in the end.
#[test]
fn b3_moves_limbo_and_hotplug_in_any_order_leave_nothing_behind() {
    let schedules = sim::explore(150, || {
        let machine = at_work();
        let clock = machine.sim.start_clock(6);
        let plug = {
            let machine = machine.clone();
            shuttle::thread::spawn(move || {
                for cpu in [2, 3] {
                    machine.sim.offline(CpuId(cpu)).unwrap();
                }
                for cpu in [2, 3] {
                    machine.sim.online(CpuId(cpu)).unwrap();
                }
            })
        };
        let others = {
            let machine = machine.clone();
            shuttle::thread::spawn(move || {
                for _ in 0..2 {
                    machine.mkdir("p1/mon_groups", "other").unwrap();
                    machine.rmdir("p1/mon_groups/other").unwrap();
                }
            })
        };
        for (from, to) in [(FROM, TO), (TO, "mon_groups/m"), ("mon_groups/m", FROM)] {
            let moved = machine.rename(from, to);
            // The ids that others have freed may all be in limbo.
            if moved == Err(Errno::ENOSPC) {
                break;
            }
            moved.unwrap();
            machine.audit();
        }
        plug.join().unwrap();
        others.join().unwrap();
        clock.stop();
        machine.audit();
        machine.sim.advance(5000);
        machine.finish();
    });
    assert!(schedules >= 150);
}

#[test]
fn b3_a_group_gets_back_no_ids_but_those_of_the_parent_that_it_moves_to() {
    sim::run(|| {
        let machine = with_groups();
        let old = machine.labels("p0", FROM);
        machine.fill(old, 1 << 20);
        machine.rename(FROM, TO).unwrap();
        let new = machine.labels("p1", TO);
        machine.mkdir("", "p2").unwrap();
        ["a", "b", "c"].into_iter().for_each(|name| machine.mkdir("p2/mon_groups", name).unwrap());
        // What waits in limbo for it is p0's.
        assert_eq!(machine.rename(TO, "p2/mon_groups/m"), Err(Errno::ENOSPC));
        assert_eq!(machine.status(), "Out of RMIDs\n");
        assert_eq!(machine.labels("p1", TO), new);
        machine.audit();
        machine.finish();
    });
}

#[test]
fn monitor_groups_of_two_parents_may_have_the_same_rmid_and_each_has_tasks_of_its_own() {
    sim::run(|| {
        let machine = with_groups();
        machine.mkdir("p1/mon_groups", "m").unwrap();
        let [one, other] = [machine.labels("p0", FROM), machine.labels("p1", TO)];
        assert_eq!((one.pmg, one.partid == other.partid), (other.pmg, false));
        let members = [("p0", FROM), ("p1", TO)].map(|(parent, group)| {
            let pid = format!("{}\n", machine.sim.spawn_task(TaskSpec::default()).pid());
            machine.write(&format!("{parent}/tasks"), &pid).unwrap();
            machine.write(&format!("{group}/tasks"), &pid).unwrap();
            pid
        });
        assert_eq!([FROM, TO].map(|group| machine.read(&format!("{group}/tasks")).unwrap()), members);
        machine.rmdir(TO).unwrap();
        assert_eq!(machine.read(&format!("{FROM}/tasks")).unwrap(), members[0], "whoever else goes");
        machine.finish();
    });
}
