// SPDX-License-Identifier: GPL-2.0-only
//! The explicit model of a domain's life allows what the file system does, step by step: otherwise it would be the model of
//! something else. What it does not allow fails the run.

use std::cell::{Cell, RefCell};

use resctrl_fs_model::follow::{Refusal, follow, in_order};
use resctrl_fs_model::rules::{Hotplug, Rules, Time, Version};
use resctrl_types::CpuId;
use resctrl_types::sim::trace::{Event, Record, record, recorded};
use resctrl_types::sim::{explore, explore_pct, is_replay, run, tallied, tally};

use crate::concurrent::{storm, tug_of_war};
use crate::machine::{INTEL, Machine};

thread_local! {
    /// Whether the machines of the running test are compared with the model.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// The last run that the model has allowed.
    static ALLOWED: RefCell<Vec<Record>> = const { RefCell::new(Vec::new()) };
}

/// How many events the model has allowed.
const EVENTS: &str = "steps that the model has allowed";

/// Compares each machine of `f` with the model, from its boot to its end.
pub(crate) fn watched<R>(f: impl FnOnce() -> R) -> R {
    WATCHED.set(true);
    let result = f();
    WATCHED.set(false);
    result
}

/// A machine has booted.
pub(crate) fn begin() {
    if WATCHED.get() {
        record();
    }
}

/// The rules of a machine of so many CPUs, two to a cache.
fn rules(cpus: usize) -> Rules {
    let packages = (0..cpus).map(|cpu| u8::try_from(cpu / 2).unwrap()).collect();
    let isolated = vec![false; cpus];
    let (version, time) = (Version::Counted, Time::Recorded);
    Rules { version, time, hotplug: Hotplug::Slow, packages, isolated, anchored: false }
}

/// A machine has ended.
pub(crate) fn end(machine: &Machine) {
    let Some(records) = recorded() else { return };
    let topology = &machine.board.rdt.machine().topology;
    let rules = rules(topology.cpus());
    assert!((0..topology.cpus()).all(|cpu| topology.l3_domain(cpu) == usize::from(rules.packages[cpu])));
    let records = in_order(records);
    match follow(&rules, &records) {
        Ok(steps) => tally(EVENTS, steps as u64),
        Err(refusal) => panic!("the model does not allow what happened{}", context(&records, &refusal)),
    }
    ALLOWED.set(records);
}

/// What led there.
fn context(records: &[Record], refusal: &Refusal) -> String {
    let before = &records[refusal.at.saturating_sub(40)..=refusal.at];
    let lines = before.iter().map(|record| format!("\n  {:x}: {:?}", record.thread, record.event));
    format!(", event {}: {}{}", refusal.at, refusal.why, lines.collect::<String>())
}

#[test]
fn the_model_allows_a_tug_of_war_over_one_domain() {
    watched(|| {
        explore(100, tug_of_war);
        explore_pct(100, 3, tug_of_war);
    });
    assert!(is_replay() || tallied(EVENTS) > 10_000, "{}", tallied(EVENTS));
}

#[test]
fn the_model_allows_a_storm_of_everything() {
    watched(|| {
        explore(40, || storm(INTEL));
        explore_pct(40, 4, || storm(INTEL));
    });
    assert!(is_replay() || tallied(EVENTS) > 10_000, "{}", tallied(EVENTS));
}

/// A domain comes and goes while mounted, RMIDs are freed, the system sleeps and loses a CPU, the module goes.
fn story() {
    let machine = Machine::mounted();
    machine.mkdir("g").unwrap();
    machine.sim.advance(500);
    machine.rmdir("g").unwrap();
    machine.sim.advance(1700);
    machine.offline(2);
    machine.sim.advance(1700);
    machine.offline(3);
    machine.online(3);
    machine.sim.advance(300);
    machine.online(2);
    machine.sleep(&[CpuId(2)]);
    machine.sim.advance(2500);
    machine.sleep(&[CpuId(3)]);
    machine.unmount();
    machine.mount().unwrap();
    machine.sim.advance(2500);
    machine.finish();
}

/// A run that was allowed, changed: in which of its events, and how, `change` says for each.
fn refused(records: &[Record], what: &str, change: impl Fn(usize, Record) -> Option<Vec<Record>>) {
    let changed = (0..records.len()).filter_map(|at| {
        let instead = change(at, records[at])?;
        Some([&records[..at], &instead, &records[at + 1..]].concat())
    });
    let mut tried = 0;
    for run in changed {
        tried += 1;
        assert!(follow(&rules(4), &run).is_err(), "{what}: the model allows a run that never was");
    }
    assert!(tried > 0, "{what}: there is nothing to change");
}

#[test]
fn a_run_that_is_changed_in_one_event_is_refused() {
    watched(|| run(story));
    let records = ALLOWED.take();
    assert!(is_replay() || follow(&rules(4), &records).is_ok());
    if is_replay() {
        return;
    }
    let with = |record: Record, event: Event| Some(vec![Record { event, ..record }]);
    refused(&records, "later", |_, record| match record.event {
        Event::Scheduled(work, cpu, delay) => with(record, Event::Scheduled(work, cpu, delay + 1)),
        _ => None,
    });
    refused(&records, "elsewhere", |_, record| match record.event {
        Event::Scheduled(work, cpu, delay) => with(record, Event::Scheduled(work, CpuId(cpu.0 ^ 1), delay)),
        _ => None,
    });
    refused(&records, "not scheduled", |_, record| matches!(record.event, Event::Scheduled(..)).then(Vec::new));
    refused(&records, "never freed", |_, record| match record.event {
        // The second work of a domain goes with the first.
        Event::Freed(work) if work % 2 == 1 => Some(Vec::new()),
        _ => None,
    });
    refused(&records, "freed twice", |_, record| {
        matches!(record.event, Event::Freed(work) if work % 2 == 1).then(|| vec![record, record])
    });
    refused(&records, "displaced, or not", |_, record| match record.event {
        Event::Begun(work, Some(_)) => with(record, Event::Begun(work, None)),
        Event::Begun(work, None) => with(record, Event::Begun(work, Some(CpuId(2)))),
        _ => None,
    });
    refused(&records, "without the mutex", |_, record| (record.event == Event::Locked).then(Vec::new));
    refused(&records, "cancelled", |_, record| match record.event {
        Event::Fired(work) => Some(vec![Record { event: Event::Cancelled(work), ..record }, record]),
        _ => None,
    });
}
