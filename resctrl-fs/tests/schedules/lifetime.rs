// SPDX-License-Identifier: GPL-2.0-only
//! Who keeps a monitor domain alive, and until when; RMIDs in limbo when their domain goes.

use resctrl_types::sim::{explore, run};

use crate::invariants::check;
use crate::machine::{Fs, INTEL, Machine};

/// The works of one domain.
const WORKS: usize = 2;

/// With one domain gone: how many works there were and are.
fn live_domains(machine: &Machine) -> usize {
    machine.sim.live_works() / WORKS
}

#[test]
fn a_domain_outlives_its_last_cpu_until_its_worker_has_run() {
    run(|| {
        let machine = Machine::mounted();
        machine.sim.advance(500);
        machine.offline(2);
        machine.offline(3);
        assert_eq!(machine.l3s(), [0]);
        assert_eq!(live_domains(&machine), 2, "the worker that is scheduled keeps the domain");
        machine.sim.advance(600);
        assert_eq!(live_domains(&machine), 1);
        assert_eq!(machine.stat("dead_domain_runs"), 1);
        machine.finish();
    });
}

#[test]
fn a_domain_without_a_worker_goes_with_its_last_cpu() {
    run(|| {
        let machine = Machine::boot(INTEL);
        machine.offline(2);
        machine.offline(3);
        assert_eq!(live_domains(&machine), 1);
        machine.finish();
    });
}

#[test]
fn a_domain_that_comes_back_is_another_than_the_one_whose_worker_is_late() {
    run(|| {
        let machine = Machine::mounted();
        machine.sim.advance(500);
        machine.offline(2);
        machine.offline(3);
        machine.online(3);
        machine.online(2);
        assert_eq!(live_domains(&machine), 3);
        check(&machine);
        // The old domain's worker runs displaced or bound, as its CPU is back; it must not take the new domain for its.
        machine.sim.advance(700);
        assert_eq!((live_domains(&machine), machine.stat("dead_domain_runs")), (2, 1));
        check(&machine);
        machine.sim.advance(5000);
        check(&machine);
        machine.finish();
    });
}

#[test]
fn unmount_and_remount_leave_one_overflow_worker_to_each_domain() {
    run(|| {
        let machine = Machine::mounted();
        for pause in [0, 1, 300, 999, 1000, 1001, 2500] {
            machine.unmount();
            machine.sim.advance(pause);
            machine.mount().unwrap();
            assert_eq!(machine.sim.scheduled_works(), 2, "after {pause} ms");
            let before = machine.stat("overflow_runs");
            machine.sim.advance(3000);
            assert_eq!(machine.stat("overflow_runs") - before, 6, "after {pause} ms");
        }
        machine.unmount();
        machine.sim.advance(1000);
        machine.sim.assert_idle();
        machine.finish();
    });
}

/// The remembered CPU stays true over a remount that finds the worker pending: its going is seen.
#[test]
fn the_cpu_a_worker_really_waits_on_is_remembered_over_a_remount() {
    run(|| {
        let machine = Machine::boot(INTEL);
        machine.offline(2);
        machine.mount().unwrap();
        // The worker of L3 1 waits on CPU 3. A lower CPU comes, which a new schedule would choose.
        machine.online(2);
        machine.unmount();
        machine.mount().unwrap();
        machine.offline(3);
        machine.sim.advance(1001);
        assert_eq!(machine.stat("repicks"), 1);
        assert_eq!(machine.stat("overflow_runs"), 2);
        check(&machine);
        machine.finish();
    });
}

/// Makes a group and leaves it with lines in both caches: its RMID stays in limbo until they are gone.
fn dirty_group(machine: &Machine, name: &str, domains: &[usize]) -> usize {
    machine.mkdir(name).unwrap();
    let rmid = machine.read(&format!("{name}/mon_hw_id")).unwrap().trim().parse().unwrap();
    domains.iter().for_each(|&l3| machine.set_occupancy(l3, rmid, 16 << 20));
    machine.rmdir(name).unwrap();
    rmid
}

/// How many monitor groups can be made: the RMIDs that are free. Removes them again.
fn free_rmids(machine: &Machine) -> usize {
    let mut made = 0;
    while machine.mkdir(&format!("mon_groups/probe{made}")).is_ok() {
        made += 1;
    }
    (0..made).for_each(|probe| machine.rmdir(&format!("mon_groups/probe{probe}")).unwrap());
    // Clean as they are, they come back with the next run of the limbo workers.
    machine.sim.advance(1100);
    made
}

const RMIDS: usize = 32;

#[test]
fn an_rmid_waits_in_limbo_until_its_lines_are_gone_everywhere() {
    run(|| {
        let machine = Machine::mounted();
        let rmid = dirty_group(&machine, "g", &[0, 1]);
        machine.sim.advance(3000);
        assert_eq!(free_rmids(&machine), RMIDS - 2);
        machine.set_occupancy(0, rmid, 0);
        machine.sim.advance(1100);
        assert_eq!(free_rmids(&machine), RMIDS - 2);
        machine.set_occupancy(1, rmid, 0);
        machine.sim.advance(1100);
        assert_eq!(free_rmids(&machine), RMIDS - 1);
        assert_eq!(machine.sim.scheduled_works(), 2, "the limbo workers have ended");
        check(&machine);
        machine.finish();
    });
}

#[test]
fn a_domain_that_goes_frees_what_was_in_limbo_only_there() {
    run(|| {
        let machine = Machine::mounted();
        dirty_group(&machine, "here", &[0]);
        dirty_group(&machine, "there", &[1]);
        dirty_group(&machine, "both", &[0, 1]);
        machine.sim.advance(1100);
        assert_eq!(free_rmids(&machine), RMIDS - 4);
        machine.offline(3);
        machine.offline(2);
        check(&machine);
        assert_eq!(free_rmids(&machine), RMIDS - 3);
        // Nothing is in limbo in a domain that comes, though the hardware's counters still show lines.
        machine.online(2);
        machine.sim.advance(2000);
        assert_eq!(free_rmids(&machine), RMIDS - 3);
        check(&machine);
        machine.finish();
    });
}

#[test]
fn a_limbo_worker_whose_cpu_goes_cleans_on_another() {
    run(|| {
        let machine = Machine::mounted();
        let rmid = dirty_group(&machine, "g", &[1]);
        machine.offline(2);
        machine.set_occupancy(1, rmid, 0);
        // Both workers waited on CPU 2; at their time they run displaced, and a tick later on CPU 3.
        machine.sim.advance(1001);
        assert_eq!((machine.stat("displaced"), machine.stat("repicks")), (2, 2));
        assert_eq!(machine.stat("rmids_cleaned"), 1);
        check(&machine);
        machine.finish();
    });
}

#[test]
fn limbo_goes_on_over_an_unmount_and_over_the_next_mount() {
    run(|| {
        let machine = Machine::mounted();
        let rmid = dirty_group(&machine, "g", &[0]);
        machine.unmount();
        machine.sim.advance(2500);
        machine.set_occupancy(0, rmid, 0);
        machine.sim.advance(1100);
        machine.sim.assert_idle();
        machine.mount().unwrap();
        assert_eq!(free_rmids(&machine), RMIDS - 1);
        machine.finish();
    });
}

/// The race of the patch that this project started from, in every order: the worker waits for the mutex while its
/// domain's last CPU goes.
#[test]
fn a_worker_that_waits_for_the_mutex_while_its_domain_goes_touches_nothing() {
    explore(300, || {
        let machine = Machine::mounted();
        dirty_group(&machine, "g", &[1]);
        machine.offline(2);
        machine.sim.elapse(1001);
        machine.offline(3);
        machine.sim.settle();
        check(&machine);
        machine.finish();
    });
}

#[test]
fn the_module_unloads_whenever_it_is_told_to() {
    explore(200, || {
        let machine = Machine::mounted();
        dirty_group(&machine, "g", &[0, 1]);
        machine.sim.elapse(1000);
        machine.offline(2);
        machine.sim.elapse(1);
        machine.finish();
    });
}

#[test]
fn the_limbo_of_each_domain_is_traced_once_a_second_until_it_is_empty() {
    run(|| {
        let machine = Machine::mounted();
        let rmid = dirty_group(&machine, "g", &[1]);
        let events = |ms| {
            machine.sim.advance(ms);
            let events = machine.sim.take_limbo_events().into_iter();
            let mut events: Vec<_> = events.map(|event| (event.ctrl_hw_id, event.domain.0, event.bytes)).collect();
            events.sort_unstable();
            events
        };
        // Domain 0 has no line of it; x86 knows no CLOSID of a freed RMID.
        assert_eq!(events(1001), [(u32::MAX, 0, 0), (u32::MAX, 1, 16 << 20)]);
        assert_eq!(events(3000), [(u32::MAX, 1, 16 << 20); 3]);
        machine.set_occupancy(1, rmid, 0);
        assert_eq!(events(3000), [(u32::MAX, 1, 0)]);
        machine.finish();
    });
}

#[test]
fn an_rmid_is_clean_when_less_than_the_threshold_is_left_of_it() {
    run(|| {
        let machine = Machine::mounted();
        machine.write("info/L3_MON/max_threshold_occupancy", "131072\n").unwrap();
        let rmid = dirty_group(&machine, "g", &[0]);
        machine.set_occupancy(0, rmid, 131_072);
        machine.sim.advance(1100);
        assert_eq!(free_rmids(&machine), RMIDS - 2);
        machine.set_occupancy(0, rmid, 65_536);
        machine.sim.advance(1100);
        assert_eq!(free_rmids(&machine), RMIDS - 1);
        machine.finish();
    });
}

#[test]
fn where_nobody_can_tell_what_is_left_of_an_rmid_it_does_not_wait() {
    run(|| {
        let machine = Machine::mounted_on(&INTEL.replace("\"llc_occupancy\", ", ""));
        machine.mkdir("g").unwrap();
        machine.rmdir("g").unwrap();
        assert_eq!((machine.stat("rmids_limbo"), machine.stat("rmids_cleaned")), (0, 0));
        assert_eq!(free_rmids(&machine), RMIDS - 1);
        check(&machine);
        machine.finish();
    });
}

#[test]
fn the_file_system_is_idle_when_the_last_worker_has_found_its_domain_gone() {
    run(|| {
        let machine = Machine::mounted();
        machine.unmount();
        machine.sim.unregister_hotplug();
        machine.sim.clear_sched_in();
        assert!(!Fs::is_idle(&machine.fs));
        machine.sim.advance(1002);
        assert!(Fs::is_idle(&machine.fs));
        machine.finish();
    });
}
