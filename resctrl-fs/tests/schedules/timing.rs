// SPDX-License-Identifier: GPL-2.0-only
//! Whether a counter is read often enough, in virtual time.
//!
//! A 24-bit counter that comes around once in a little more than a period and a tick must be read once in each such
//! time, whatever CPUs do: then, and only then, the running total is exact.

use resctrl_hardware::Event;
use resctrl_types::sim::{explore, run};

use crate::machine::Machine;

/// Bytes after which the counter of the emulated machine starts again.
const WRAP: u64 = (1 << 24) * 65536;

/// Bytes a second with which the counter comes around in `ms` and less than a microsecond.
pub(crate) const fn once_in(ms: u64) -> u64 {
    (WRAP - 2 * 65536) * 1000 / ms
}

/// What a worker with a period of 1000 ms and a displacement of one tick just keeps up with.
const RATE: u64 = once_in(1001);

/// The total that the default group's file shows for an L3.
pub(crate) fn total(machine: &Machine, l3: usize) -> u64 {
    machine.read(&format!("mon_data/mon_L3_{l3:02}/mbm_total_bytes")).unwrap().trim().parse().unwrap()
}

/// What has been sent at this rate since the traffic began, rounded down to what the counter counts.
pub(crate) fn sent(rate: u64, began: u64, machine: &Machine) -> u64 {
    let bytes = u128::from(machine.sim.now_ms() - began) * u128::from(rate) / 1000;
    let bytes = u64::try_from(bytes).unwrap();
    bytes - bytes % 65536
}

/// A machine with this traffic in L3 1, and when that began.
fn busy_machine(rate: u64) -> (Machine, u64) {
    let machine = Machine::mounted();
    let began = machine.sim.now_ms();
    machine.set_rate(1, 0, Event::MbmTotal, rate);
    (machine, began)
}

#[test]
fn a_machine_left_alone_loses_no_wrap() {
    run(|| {
        let (machine, began) = busy_machine(RATE);
        machine.sim.advance(60_000);
        assert!(sent(RATE, began, &machine) > 59 * WRAP);
        assert_eq!(total(&machine, 1), sent(RATE, began, &machine));
        machine.finish();
    });
}

#[test]
fn no_wrap_is_lost_when_the_workers_cpu_goes_at_any_moment() {
    run(|| {
        let (machine, began) = busy_machine(RATE);
        for pause in (0..1000).step_by(83) {
            machine.sim.advance(pause);
            machine.offline(2);
            machine.sim.advance(1700);
            machine.online(2);
            machine.sim.advance(2300);
            machine.offline(3);
            machine.sim.advance(999 - pause / 2);
            machine.online(3);
        }
        assert!(machine.stat("repicks") > 5, "{} re-picks", machine.stat("repicks"));
        assert_eq!(total(&machine, 1), sent(RATE, began, &machine));
        machine.finish();
    });
}

#[test]
fn no_wrap_is_lost_when_cpus_take_turns_at_every_tick_around_the_period() {
    run(|| {
        // In the tick between a displaced run and the next the CPU it moves to may go, which costs another tick.
        let rate = once_in(1002);
        let (machine, began) = busy_machine(rate);
        for _ in 0..20 {
            machine.sim.advance(994);
            for tick in 0..12 {
                let (goes, comes) = if tick % 2 == 0 { (2, 3) } else { (3, 2) };
                machine.online(comes);
                machine.offline(goes);
                machine.sim.advance(2);
            }
        }
        assert_eq!(total(&machine, 1), sent(rate, began, &machine));
        machine.finish();
    });
}

#[test]
fn no_wrap_is_lost_over_a_quick_remount() {
    run(|| {
        let machine = Machine::mounted();
        for pause in [1, 400, 998] {
            machine.sim.advance(700);
            machine.unmount();
            machine.sim.advance(pause);
            machine.mount().unwrap();
            let began = machine.sim.now_ms();
            machine.board.rdt.set(1, 0, Event::MbmTotal, 0, began * 1_000_000).unwrap();
            machine.unmount();
            machine.mount().unwrap();
            machine.set_rate(1, 0, Event::MbmTotal, RATE);
            machine.sim.advance(300);
            machine.offline(2);
            machine.sim.advance(8000);
            machine.online(2);
            assert_eq!(total(&machine, 1), sent(RATE, began, &machine));
            machine.set_rate(1, 0, Event::MbmTotal, 0);
        }
        machine.finish();
    });
}

/// Offline and the worker at the same moment, in many orders: the count may lag by what this moment takes, not more.
#[test]
fn no_wrap_is_lost_whichever_of_worker_and_hotplug_comes_first() {
    explore(150, || {
        let (machine, began) = busy_machine(RATE);
        let other = machine.clone();
        machine.sim.advance(999);
        let hotplug = shuttle::thread::spawn(move || {
            other.offline(2);
            other.online(2);
        });
        machine.sim.advance(1);
        hotplug.join().unwrap();
        machine.sim.advance(1);
        machine.sim.advance(2500);
        assert_eq!(total(&machine, 1), sent(RATE, began, &machine));
        machine.finish();
    });
}
