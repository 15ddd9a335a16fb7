// SPDX-License-Identifier: GPL-2.0-only
//! Counters that are assigned: random commands about them among all others, hotplug, and changes of the mode.

use std::collections::BTreeMap;

use resctrl_hardware::registers::{L3QosAbmcCfg, L3QosAbmcDsc, L3QosExtCfg};
use resctrl_types::counter::Transactions;
use resctrl_types::sim::{SimTask, explore};
use shuttle::rand::{Rng, thread_rng};

use crate::invariants::check;
use crate::machine::{AMD_ABMC, Machine};
use crate::sequences::{command, group, hotplug, remount, traffic};

const COUNTERS: u64 = 8;
const INFO: &str = "info/L3_MON";

/// How many counters are the same in a domain: for an RMID, of these kinds of transactions.
type Assigned = BTreeMap<(u64, u64), usize>;

fn event() -> &'static str {
    ["mbm_total_bytes", "mbm_local_bytes"][thread_rng().gen_range(0..2)]
}

/// A command about counters, which may be refused.
fn counter_command(machine: &Machine) {
    let mut random = thread_rng();
    let _ = match random.gen_range(0..12) {
        0..=5 => {
            let (domain, state) = (["0", "1", "*"][random.gen_range(0..3)], ["e", "_"][random.gen_range(0..2)]);
            let path = format!("{}/mbm_L3_assignments", group(machine));
            machine.write(&path, &format!("{}:{domain}={state}\n", event()))
        }
        6 => machine.write(&format!("{INFO}/mbm_assign_on_mkdir"), ["0\n", "1\n"][random.gen_range(0..2)]),
        7 => {
            let kinds: Vec<&str> =
                Transactions::NAMES.into_iter().filter(|_| thread_rng().gen_range(0..2) == 0).collect();
            machine.write(&format!("{INFO}/event_configs/{}/event_filter", event()), &format!("{}\n", kinds.join(",")))
        }
        8 => {
            let config = format!("{}={:#x}\n", random.gen_range(0..2), random.gen_range(0..0x81));
            machine.write(&format!("{INFO}/{}_config", event()), &config)
        }
        9 => machine.write(&format!("{INFO}/mbm_assign_mode"), ["default\n", "mbm_event\n"][random.gen_range(0..2)]),
        // The mode of interest is on most of the time.
        _ => machine.write(&format!("{INFO}/mbm_assign_mode"), "mbm_event\n"),
    };
}

/// What the hardware of a domain counts.
fn in_hardware(machine: &Machine, l3: usize) -> Assigned {
    let cpu = machine.l3_cpus(l3)[0].index();
    let mut assigned = Assigned::new();
    for number in 0..COUNTERS {
        machine.board.rdt.wrmsr(cpu, L3QosAbmcCfg::ADDRESS, L3QosAbmcCfg::COUNTER.encode(number), 0).unwrap();
        let counter = L3QosAbmcDsc(machine.board.rdt.rdmsr(cpu, L3QosAbmcDsc::ADDRESS, 0).unwrap().unwrap());
        if counter.get(L3QosAbmcDsc::COUNTER_ENABLE) == 1 {
            let key = (counter.get(L3QosAbmcDsc::SOURCE), counter.get(L3QosAbmcDsc::KINDS));
            *assigned.entry(key).or_default() += 1;
        }
    }
    assigned
}

fn domains(line: &str) -> BTreeMap<usize, String> {
    let field = |field: &str| {
        let (l3, value) = field.split_once('=').unwrap();
        (l3.parse().unwrap(), value.to_owned())
    };
    line.trim().split(';').map(field).collect()
}

/// What an event counts in mode `mbm_event`.
fn filter(machine: &Machine, event: &str) -> u64 {
    let text = machine.read(&format!("{INFO}/event_configs/{event}/event_filter")).unwrap();
    let names = text.trim().split(',').filter(|name| !name.is_empty());
    let kinds = names.map(|name| Transactions::from_name(name.as_bytes()).unwrap());
    kinds.fold(Transactions::EMPTY, Transactions::union).bits().into()
}

/// C12, and what the hardware makes of it: what files show as assigned is counted, for that group and with the event's
/// filter; the other counters are free; and each CPU knows the mode.
fn check_counters(machine: &Machine) {
    if !machine.is_mounted() {
        return;
    }
    let assigned = machine.read(&format!("{INFO}/mbm_assign_mode")).unwrap().starts_with("[mbm_event]");
    for cpu in machine.sim.online_cpus() {
        assert_eq!(machine.msr(cpu, L3QosExtCfg::ADDRESS), u64::from(assigned), "mode of CPU {cpu}");
    }
    if !assigned {
        return;
    }
    let mut expected: BTreeMap<usize, Assigned> = machine.l3s().into_iter().map(|l3| (l3, Assigned::new())).collect();
    for path in groups(machine) {
        let rmid = machine.read(&format!("{path}/mon_hw_id")).unwrap().trim().parse().unwrap();
        for line in machine.read(&format!("{path}/mbm_L3_assignments")).unwrap().lines() {
            let (event, states) = line.split_once(':').unwrap();
            let states = domains(states);
            assert!(states.keys().copied().eq(machine.l3s()), "domains of {path:?} {line}");
            for (l3, state) in states {
                let shown = machine.read(&format!("{path}/mon_data/mon_L3_{l3:02}/{event}")).unwrap();
                if state == "e" {
                    let key = (rmid, filter(machine, event));
                    *expected.get_mut(&l3).unwrap().entry(key).or_default() += 1;
                    shown.trim().parse::<u64>().unwrap_or_else(|_| panic!("{path:?} {event} of L3 {l3} is {shown}"));
                } else if path.contains("mon_groups/") {
                    assert_eq!(shown, "Unassigned\n", "{path:?} {event} of L3 {l3}");
                }
            }
        }
    }
    let free = domains(&machine.read(&format!("{INFO}/available_mbm_cntrs")).unwrap());
    for (l3, expected) in expected {
        let used: usize = expected.values().sum();
        assert_eq!(free[&l3], (COUNTERS as usize - used).to_string(), "free counters of L3 {l3}");
        let there = in_hardware(machine, l3);
        for (key, count) in &expected {
            assert!(there.get(key) >= Some(count), "L3 {l3}: {expected:x?} are assigned, {there:x?} count");
        }
    }
}

/// The paths of all groups.
fn groups(machine: &Machine) -> Vec<String> {
    let dirs = |path: &str| machine.dirs(path).unwrap();
    let mut paths = vec![String::new()];
    paths.extend(dirs("").into_iter().filter(|name| name.len() == 1));
    let below: Vec<String> = paths
        .iter()
        .flat_map(|path| {
            dirs(&format!("{path}/mon_groups")).into_iter().map(move |name| format!("{path}/mon_groups/{name}"))
        })
        .collect();
    paths.extend(below);
    paths
}

#[test]
fn after_every_command_of_a_random_sequence_what_is_assigned_counts_and_nothing_else_is_taken() {
    explore(60, || {
        let machine = Machine::boot(AMD_ABMC);
        machine.mount().unwrap();
        let tasks: Vec<SimTask> = (0..2).map(|_| machine.task()).collect();
        for _ in 0..40 {
            match thread_rng().gen_range(0..32) {
                0..=9 => command(&machine, &tasks),
                10..=22 => counter_command(&machine),
                23..=26 => hotplug(&machine),
                27 => traffic(&machine),
                28 => machine.sim.advance(thread_rng().gen_range(1..1500)),
                29 => machine.sim.elapse(thread_rng().gen_range(1..1500)),
                _ => remount(&machine),
            }
            check(&machine);
            check_counters(&machine);
        }
        machine.finish();
    });
}
