// SPDX-License-Identifier: GPL-2.0-only
//! The protocol here, in every state.

use resctrl_fs_model::bounds::Bounds;
use resctrl_fs_model::rules::{Hotplug, Time, Version};

use crate::life::{Life, PLAIN, Seen, explore, one_cache};

/// Whether `cargo xtask test --long` runs.
fn is_long() -> bool {
    std::env::var_os("MODEL_LONG").is_some()
}

fn all(name: &str, time: Time, cpus: usize, bounds: Bounds) -> Seen {
    let rules = one_cache(Version::Counted, time, Hotplug::Slow, cpus);
    let seen = explore(Life { rules, bounds });
    println!("{name}: {} states, the farthest after {} steps", seen.states, seen.steps);
    seen
}

const GONE: &str = "a worker runs in a domain that has gone";
const DISPLACED: &str = "a worker runs displaced";
const TWO: &str = "a domain has come while another is remembered";
const ASLEEP: &str = "CPUs are asleep while a worker is due";
const UNLOADED: &str = "the module has gone";

#[test]
fn both_workers_of_one_domain_and_the_exit_in_every_order() {
    let seen = all("both workers, exit", Time::Any, 2, Bounds { domains: 1, limbo: true, exit: true, ..PLAIN });
    assert_eq!(seen.met, [DISPLACED, GONE, UNLOADED]);
}

#[test]
fn a_domain_that_comes_before_the_last_one_is_forgotten_in_every_order() {
    let seen = all("two domains, exit", Time::Any, 2, Bounds { exit: true, ..PLAIN });
    assert_eq!(seen.met, [DISPLACED, GONE, TWO, UNLOADED]);
}

#[test]
fn the_sleep_of_the_system_in_every_order() {
    let seen = all("both workers, sleep", Time::Any, 2, Bounds { domains: 1, limbo: true, sleep: true, ..PLAIN });
    assert_eq!(seen.met, [DISPLACED, GONE, ASLEEP]);
}

#[test]
fn counters_are_read_in_a_period_and_a_tick_for_each_cpu_that_leaves() {
    let bounds = Bounds { domains: 1, sleep: true, exit: true, ..PLAIN };
    let seen = all("periods of three ticks, sleep, exit", Time::Prompt(3), 2, bounds);
    assert_eq!(seen.met, [DISPLACED, GONE, ASLEEP, UNLOADED]);
}

#[test]
fn a_longer_run_goes_through_more() {
    if !is_long() {
        return;
    }
    let both = Bounds { domains: 1, limbo: true, sleep: true, exit: true, ..PLAIN };
    all("three CPUs, both workers, sleep, exit", Time::Any, 3, both);
    all("two domains, sleep, exit", Time::Any, 2, Bounds { sleep: true, exit: true, ..PLAIN });
    all("periods of three ticks, two domains, exit", Time::Prompt(3), 2, Bounds { exit: true, ..PLAIN });
    all("periods of two ticks, both workers", Time::Prompt(2), 2, Bounds { domains: 1, limbo: true, ..PLAIN });
}
