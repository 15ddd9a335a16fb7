// SPDX-License-Identifier: GPL-2.0-only
//! The core of the matter, and every schedule of it with few preemptions: one worker of one domain, and what may happen to
//! that domain in the moment in which the worker is due.
//!
//! Domain 1 of the machine, CPUs 2 and 3, has come 500 ms after domain 0, so that its worker is alone when it is due.
//! What leads there and what checks the outcome is done in one order; in between a timer fires and something else happens,
//! and the search takes them apart at every place where a thread can be preempted.

use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};

use resctrl_hardware::Event;
use resctrl_types::Errno;
use resctrl_types::sim::{explore_preemptions, in_one_order, is_replay};

use crate::invariants::check;
use crate::machine::{INTEL, Machine};
use crate::model::watched;
use crate::timing::{once_in, sent, total};

/// Preemptions of a usual run where one thread and a worker meet, and of a long one, which takes one more than that.
const TWO: [usize; 2] = [2, 3];
/// Where the worker does much.
const LIMBO: [usize; 2] = [2, 2];
/// Where one more thread meets them.
const THREE: [usize; 2] = [1, 1];

/// A rate with which a counter comes around in the longest time that may be between two readings: a period, the tick of a
/// displaced worker, and a tick more in which the CPU that it then goes to has left too.
const RATE: u64 = once_in(1002);

/// The machine, mounted, one tick before the overflow worker of domain 1 is due on CPU 2; and when its traffic began.
fn worker_about_to_run() -> (Machine, u64) {
    let machine = Machine::mounted();
    machine.sim.advance(500);
    for cpu in [2, 3] {
        machine.offline(cpu);
    }
    for cpu in [2, 3] {
        machine.online(cpu);
    }
    let began = machine.sim.now_ms();
    machine.set_rate(1, 0, Event::MbmTotal, RATE);
    machine.sim.advance(999);
    (machine, began)
}

/// The same with a limbo worker: an RMID has been in limbo for a second, less a tick; no overflow worker is near.
fn limbo_about_to_run() -> (Machine, usize) {
    let machine = Machine::mounted();
    machine.mkdir("g").unwrap();
    let rmid = machine.read("g/mon_hw_id").unwrap().trim().parse().unwrap();
    machine.set_occupancy(1, rmid, 16 << 20);
    machine.sim.advance(500);
    machine.rmdir("g").unwrap();
    machine.sim.advance(999);
    // Domain 0 is clean, and its worker would only be in the way.
    machine.offline(0);
    machine.offline(1);
    machine.online(0);
    (machine, rmid)
}

/// Lets time go by for some ticks, one by one, while `other` happens.
fn meanwhile(machine: &Machine, ticks: u32, other: impl FnOnce(&Machine)) {
    let sim = machine.sim.clone();
    let timer = shuttle::thread::spawn(move || (0..ticks).for_each(|_| sim.elapse(1)));
    other(machine);
    timer.join().unwrap();
}

/// Nothing is lost: the invariants hold, every worker is where it should be, a period later too, and the module goes.
fn all_is_well(machine: Machine) {
    check(&machine);
    let before = machine.stat("overflow_runs");
    machine.sim.advance(1002);
    if machine.is_mounted() {
        let (runs, domains) = (machine.stat("overflow_runs") - before, machine.l3s().len() as u64);
        assert!(runs >= domains, "{runs} runs of overflow workers in {domains} domains");
    }
    check(&machine);
    machine.finish();
}

/// Searches, and sees that there was something to search: `least` is about half of what there is. The model must allow each run.
fn search([usual, long]: [usize; 2], least: usize, body: impl Fn() + Send + Sync + 'static) {
    let bound = if env::var_os("SIM_PREEMPTIONS").is_some() { long } else { usual };
    let schedules = watched(|| explore_preemptions(bound, body));
    assert!(is_replay() || schedules >= least, "only {schedules} schedules");
}

#[test]
fn a_worker_comes_due_while_its_cpu_leaves() {
    search(TWO, 70, || {
        let (machine, began) = in_one_order(worker_about_to_run);
        meanwhile(&machine, 1, |machine| machine.offline(2));
        in_one_order(|| {
            machine.sim.advance(1);
            assert_eq!(total(&machine, 1), sent(RATE, began, &machine), "a wrap is lost");
            machine.set_rate(1, 0, Event::MbmTotal, 0);
            all_is_well(machine);
        });
    });
}

#[test]
fn a_worker_comes_due_while_the_last_cpu_of_its_domain_leaves() {
    search(TWO, 100, || {
        let (machine, _) = in_one_order(|| {
            let prepared = worker_about_to_run();
            prepared.0.offline(3);
            prepared
        });
        meanwhile(&machine, 1, |machine| machine.offline(2));
        in_one_order(|| all_is_well(machine));
    });
}

#[test]
fn a_worker_comes_due_while_its_domain_leaves_and_another_comes_in_its_place() {
    search(TWO, 300, || {
        let (machine, _) = in_one_order(|| {
            let prepared = worker_about_to_run();
            prepared.0.offline(3);
            prepared
        });
        meanwhile(&machine, 1, |machine| {
            machine.offline(2);
            machine.online(2);
        });
        in_one_order(|| all_is_well(machine));
    });
}

#[test]
fn a_displaced_worker_picks_a_cpu_while_that_one_leaves_and_another_comes() {
    search(TWO, 200, || {
        let (machine, began) = in_one_order(|| {
            let prepared = worker_about_to_run();
            prepared.0.offline(2);
            prepared
        });
        meanwhile(&machine, 2, |machine| {
            machine.online(2);
            machine.offline(3);
        });
        in_one_order(|| {
            machine.sim.advance(1);
            assert_eq!(total(&machine, 1), sent(RATE, began, &machine), "a wrap is lost");
            machine.set_rate(1, 0, Event::MbmTotal, 0);
            all_is_well(machine);
        });
    });
}

#[test]
fn a_worker_comes_due_while_the_file_system_is_unmounted() {
    search(TWO, 200, || {
        let (machine, _) = in_one_order(worker_about_to_run);
        meanwhile(&machine, 1, Machine::unmount);
        in_one_order(|| all_is_well(machine));
    });
}

#[test]
fn a_worker_comes_due_in_a_quick_remount_while_its_cpu_leaves() {
    search(THREE, 200, || {
        let (machine, _) = in_one_order(worker_about_to_run);
        let hotplug = {
            let machine = machine.clone();
            shuttle::thread::spawn(move || machine.offline(2))
        };
        meanwhile(&machine, 1, |machine| {
            machine.unmount();
            machine.mount().unwrap();
        });
        hotplug.join().unwrap();
        in_one_order(|| all_is_well(machine));
    });
}

#[test]
fn a_worker_comes_due_while_the_module_is_unloaded() {
    search(TWO, 250, || {
        let (machine, _) = in_one_order(worker_about_to_run);
        meanwhile(&machine, 1, |machine| machine.sim.unregister_hotplug());
        in_one_order(|| machine.finish());
    });
}

#[test]
fn a_worker_comes_due_while_the_counters_of_its_domain_are_read_and_its_cpu_leaves() {
    search(THREE, 200, || {
        let (machine, _) = in_one_order(worker_about_to_run);
        let file = in_one_order(|| machine.open("mon_data/mon_L3_01/mbm_total_bytes").unwrap());
        let reader = {
            let machine = machine.clone();
            shuttle::thread::spawn(move || machine.read_open(file).map(drop))
        };
        meanwhile(&machine, 1, |machine| machine.offline(2));
        assert_eq!(reader.join().unwrap(), Ok(()));
        in_one_order(|| all_is_well(machine));
    });
}

#[test]
fn a_limbo_worker_comes_due_while_its_cpu_leaves() {
    search(LIMBO, 400, || {
        let (machine, rmid) = in_one_order(limbo_about_to_run);
        meanwhile(&machine, 1, |machine| machine.offline(2));
        in_one_order(|| {
            let before = machine.stat("limbo_runs");
            machine.sim.advance(1002);
            assert!(machine.stat("limbo_runs") > before, "an RMID is in limbo and nobody looks");
            machine.set_occupancy(1, rmid, 0);
            all_is_well(machine);
        });
    });
}

#[test]
fn a_limbo_worker_comes_due_while_the_last_cpu_of_its_domain_leaves() {
    search(LIMBO, 400, || {
        let (machine, _) = in_one_order(|| {
            let prepared = limbo_about_to_run();
            prepared.0.offline(3);
            prepared
        });
        meanwhile(&machine, 1, |machine| machine.offline(2));
        in_one_order(|| {
            assert_eq!(machine.stat("rmids_cleaned"), machine.stat("rmids_limbo"), "the domain of the lines has gone");
            all_is_well(machine);
        });
    });
}

#[test]
fn a_limbo_worker_comes_due_while_another_rmid_is_freed_and_its_cpu_leaves() {
    search(THREE, 200, || {
        let (machine, rmid) = in_one_order(|| {
            let prepared = limbo_about_to_run();
            prepared.0.mkdir("mon_groups/m").unwrap();
            prepared
        });
        let group = {
            let machine = machine.clone();
            shuttle::thread::spawn(move || machine.rmdir("mon_groups/m"))
        };
        meanwhile(&machine, 1, |machine| machine.offline(2));
        assert_eq!(group.join().unwrap(), Ok(()));
        in_one_order(|| {
            machine.set_occupancy(1, rmid, 0);
            machine.sim.advance(2003);
            assert_eq!(machine.stat("rmids_cleaned"), machine.stat("rmids_limbo"), "an RMID stays in limbo");
            all_is_well(machine);
        });
    });
}

/// No worker is due here: the one that the mount or the new domain arms is the only one, or there is none.
#[test]
fn a_domain_comes_and_goes_while_the_file_system_is_mounted() {
    search(TWO, 50, || {
        let machine = in_one_order(|| {
            let machine = Machine::boot(INTEL);
            machine.offline(2);
            machine.offline(3);
            machine
        });
        let hotplug = {
            let machine = machine.clone();
            shuttle::thread::spawn(move || {
                machine.online(3);
                machine.offline(3);
            })
        };
        machine.mount().unwrap();
        hotplug.join().unwrap();
        in_one_order(|| all_is_well(machine));
    });
}

/// Who waits for the mutex while a group goes is told so, by the group's name; who comes later finds no file.
#[test]
fn a_command_that_waits_while_its_group_goes_is_told_that_it_was_deleted() {
    static ENDS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
    search(TWO, 50, || {
        let (machine, node) = in_one_order(|| {
            let machine = Machine::mounted();
            machine.mkdir("g").unwrap();
            let node = machine.open("g/schemata").unwrap();
            (machine, node)
        });
        let writer = {
            let machine = machine.clone();
            shuttle::thread::spawn(move || machine.write_open(node, "L3:0=f\n"))
        };
        machine.rmdir("g").unwrap();
        let result = writer.join().unwrap();
        in_one_order(|| {
            let end = match result {
                Ok(()) => 0,
                Err(Errno::ENOENT) => {
                    let status = machine.read("info/last_cmd_status").unwrap();
                    assert_eq!(status, "Resource group g deleted. No commands possible.\n");
                    1
                }
                Err(errno) => {
                    assert_eq!(errno, Errno::ENODEV);
                    2
                }
            };
            ENDS[end].fetch_add(1, Ordering::Relaxed);
            all_is_well(machine);
        });
    });
    let ends = ENDS.each_ref().map(|end| end.load(Ordering::Relaxed));
    assert!(is_replay() || ends.iter().all(|&end| end > 0), "before, while and after it went: {ends:?}");
}
