// SPDX-License-Identifier: GPL-2.0-only
//! Everything at once: hotplug, mounting, groups, tasks, readers, both workers and a clock that runs by itself.

use resctrl_types::sim::{SimTask, explore, explore_pct};
use shuttle::rand::{Rng, thread_rng};

use crate::invariants::check;
use crate::machine::{INTEL, Machine, assert_covered};
use crate::sequences::{assert_no_rmid_is_lost, command, hotplug, remount, sleep, switch, traffic};

/// Starts a thread that does something `times` times.
pub(crate) fn actor(
    machine: &Machine,
    times: usize,
    step: impl Fn(&Machine) + Send + 'static,
) -> shuttle::thread::JoinHandle<()> {
    let machine = machine.clone();
    shuttle::thread::spawn(move || (0..times).for_each(|_| machine.sim.as_user(|| step(&machine))))
}

/// Starts a thread that lets the system sleep `times` times; now and then a CPU does not come back.
fn sleeper(machine: &Machine, times: usize) -> shuttle::thread::JoinHandle<()> {
    let machine = machine.clone();
    shuttle::thread::spawn(move || (0..times).for_each(|_| sleep(&machine)))
}

/// Starts a thread that takes a CPU away and back `times` times.
pub(crate) fn away_and_back(machine: &Machine, times: usize, cpu: u32) -> shuttle::thread::JoinHandle<()> {
    actor(machine, times, move |machine| {
        machine.offline(cpu);
        machine.online(cpu);
    })
}

/// Lets everything happen at once on a machine.
pub(crate) fn storm(description: &str) {
    let machine = Machine::mounted_on(description);
    let tasks: Vec<SimTask> = (0..2).map(|_| machine.task()).collect();
    let theirs = tasks.clone();
    for dirty in 1..8 {
        machine.set_occupancy(dirty % 2, dirty, 16 << 20);
    }
    let clock = machine.sim.start_clock(24);
    let actors = [
        actor(&machine, 10, hotplug),
        actor(&machine, 4, remount),
        actor(&machine, 10, {
            let tasks = tasks.clone();
            move |machine| command(machine, &tasks)
        }),
        actor(&machine, 10, move |machine| command(machine, &theirs)),
        actor(&machine, 8, move |machine| match thread_rng().gen_range(0..2) {
            0 => switch(machine, &tasks),
            _ => traffic(machine),
        }),
    ];
    // In some schedules nobody sleeps: tasks that are frozen leave less to race.
    let sleeper = sleeper(&machine, thread_rng().gen_range(0..3));
    for actor in actors {
        actor.join().unwrap();
    }
    sleeper.join().unwrap();
    clock.stop();
    check(&machine);
    machine.sim.advance(2500);
    check(&machine);
    assert_no_rmid_is_lost(&machine);
    machine.finish();
}

#[test]
fn a_storm_of_everything_leaves_a_sound_machine() {
    explore(250, || storm(INTEL));
    assert_covered();
}

/// Storms on a machine that is unusual, under schedules of both kinds.
pub(crate) fn storms(description: &str) {
    let (random, few) = (description.to_owned(), description.to_owned());
    explore(120, move || storm(&random));
    explore_pct(120, 4, move || storm(&few));
}

#[test]
fn a_storm_with_few_switches_at_unlikely_places_leaves_a_sound_machine() {
    explore_pct(250, 4, || storm(INTEL));
    assert_covered();
}

/// The core of the matter alone: one domain's CPUs go and come in changing order while both its workers run.
pub(crate) fn tug_of_war() {
    let machine = Machine::mounted();
    machine.mkdir("g").unwrap();
    let rmid = machine.read("g/mon_hw_id").unwrap().trim().parse().unwrap();
    machine.set_occupancy(1, rmid, 16 << 20);
    machine.rmdir("g").unwrap();
    let clock = machine.sim.start_clock(20);
    let actors = [2, 3].map(|cpu| away_and_back(&machine, 3, cpu));
    for actor in actors {
        actor.join().unwrap();
    }
    clock.stop();
    check(&machine);
    let before = machine.stat("overflow_runs");
    machine.sim.advance(3002);
    assert!(machine.stat("overflow_runs") - before >= 6, "an overflow worker is lost");
    machine.finish();
}

#[test]
fn no_worker_is_lost_or_late_in_a_tug_of_war_over_one_domain() {
    explore(500, tug_of_war);
    explore_pct(500, 3, tug_of_war);
    assert_covered();
}
