// SPDX-License-Identifier: GPL-2.0-only
//! Random commands one after the other, everything checked after each.

use std::cell::RefCell;

use resctrl_fs::{MountOptions, NodeId};
use resctrl_types::sim::{SimTask, explore};
use resctrl_types::{CpuId, Errno};
use shuttle::rand::{Rng, thread_rng};

use crate::invariants::check;
use crate::machine::{DEBUG, INTEL, Machine};

shuttle::thread_local! {
    /// The files that the calling thread has open.
    static OPEN: RefCell<Vec<NodeId>> = RefCell::new(Vec::new());
}

/// RMIDs by which an L3 of the machine counts; where it is divided, its nodes share them.
const HARDWARE_RMIDS: usize = 32;

/// One of some few names, so that commands meet.
pub(crate) fn name() -> &'static str {
    ["a", "b", "c"][thread_rng().gen_range(0..3)]
}

/// The path of a group that may exist.
fn any_group() -> String {
    match thread_rng().gen_range(0..4) {
        0 => String::new(),
        1 => format!("mon_groups/{}", name()),
        2 => name().into(),
        _ => format!("{}/mon_groups/{}", name(), name()),
    }
}

/// The path of a group, most often of one that exists at this moment.
pub(crate) fn group(machine: &Machine) -> String {
    if thread_rng().gen_range(0..5) == 0 {
        return any_group();
    }
    let dirs = |path: &str| machine.dirs(path).unwrap_or_default();
    let mut groups = vec![String::new()];
    groups.extend(dirs("").into_iter().filter(|name| name.len() == 1));
    let below = |group: &String| {
        let parent = format!("{group}/mon_groups");
        dirs(&parent).into_iter().map(move |name| format!("{parent}/{name}"))
    };
    let children: Vec<String> = groups.iter().flat_map(below).collect();
    groups.extend(children);
    groups.swap_remove(thread_rng().gen_range(0..groups.len()))
}

/// A capacity mask as Intel wants it: one run of bits.
fn mask() -> u32 {
    let (first, last) = (thread_rng().gen_range(0..12), thread_rng().gen_range(0..12_u32));
    (u32::min(first, last)..=u32::max(first, last)).map(|bit| 1 << bit).sum()
}

/// A command on a group that may exist or not, which may be refused.
pub(crate) fn command(machine: &Machine, tasks: &[SimTask]) {
    let mut random = thread_rng();
    let group = group(machine);
    let l3 = random.gen_range(0..2);
    let _ = match random.gen_range(0..13) {
        0 | 1 => machine.mkdir(&any_group()),
        2 => machine.rmdir(&group),
        3 => {
            let task = &tasks[random.gen_range(0..tasks.len())];
            machine.write(&format!("{group}/tasks"), &format!("{}\n", task.pid()))
        }
        4 => {
            let cpus = ["", "0", "1-2", "3", "2-3", "0-3"][random.gen_range(0..6)];
            machine.write(&format!("{group}/cpus_list"), &format!("{cpus}\n"))
        }
        5 => {
            let cache = ["L3", "L3", "L3CODE", "L3DATA"][random.gen_range(0..4)];
            let command = format!("{cache}:{l3}={:x}\nMB:{l3}={}\n", mask(), random.gen_range(5..=100));
            machine.write(&format!("{group}/schemata"), &command)
        }
        6 => machine.read(&format!("{group}/mon_data/mon_L3_{l3:02}/mbm_total_bytes")).map(drop),
        7 => machine.read(&format!("{group}/mon_data/mon_L3_{l3:02}/llc_occupancy")).map(drop),
        8 => machine.dirs(&group).map(drop),
        9 => machine.rename(&group, &format!("{}/mon_groups/{}", name(), name())),
        10 => {
            // Room for an exclusive group, which overlaps nobody.
            let _ = machine.write("schemata", "L3:0=00f;1=00f\n");
            let mode = ["exclusive", "shareable"][random.gen_range(0..2)];
            machine.write(&format!("{group}/mode"), &format!("{mode}\n"))
        }
        11 => {
            let file = ["tasks", "schemata", "cpus", "mon_data/mon_L3_01/mbm_total_bytes"][random.gen_range(0..4)];
            machine.open(&format!("{group}/{file}")).map(|node| OPEN.with(|open| open.borrow_mut().push(node)))
        }
        _ => read_open(machine),
    };
}

/// Reads every file that this thread has open; a file that has gone says so.
fn read_open(machine: &Machine) -> resctrl_types::Result<()> {
    let open = OPEN.with(|open| open.borrow().clone());
    for node in open {
        if let Err(errno) = machine.read_open(node) {
            assert!(matches!(errno, Errno::ENODEV | Errno::ENOENT), "{errno}");
        }
    }
    Ok(())
}

/// Lines come into a cache and go, so that RMIDs stay in limbo and leave it.
pub(crate) fn traffic(machine: &Machine) {
    let mut random = thread_rng();
    let bytes = if random.gen_range(0..3) == 0 { 16 << 20 } else { 0 };
    machine.set_occupancy(random.gen_range(0..2), random.gen_range(1..HARDWARE_RMIDS), bytes);
}

/// A CPU comes or goes; the last one stays.
pub(crate) fn hotplug(machine: &Machine) {
    let cpu = CpuId(thread_rng().gen_range(0..4));
    let _ = if machine.sim.is_online(cpu) { machine.try_offline(cpu) } else { machine.try_online(cpu) };
}

/// The system sleeps, and now and then a CPU does not come back.
pub(crate) fn sleep(machine: &Machine) {
    let cpu = CpuId(thread_rng().gen_range(0..8));
    machine.sleep(&[cpu]);
}

/// A CPU switches to another task, or to none.
pub(crate) fn switch(machine: &Machine, tasks: &[SimTask]) {
    let mut random = thread_rng();
    let cpu = CpuId(random.gen_range(0..4));
    let task = tasks.get(random.gen_range(0..=tasks.len()));
    let _ = machine.switch(cpu, task);
}

/// Mounts what is not mounted, and the reverse.
pub(crate) fn remount(machine: &Machine) {
    if machine.is_mounted() {
        machine.unmount();
    } else {
        let options = match thread_rng().gen_range(0..4) {
            0 => MountOptions { cdp: true, ..DEBUG },
            1 => MountOptions { mba_mbps: true, ..DEBUG },
            _ => DEBUG,
        };
        let _ = machine.mount_with(&options);
    }
}

/// Empties the caches and counts the RMIDs that can be had: none may have been lost on the way.
pub(crate) fn assert_no_rmid_is_lost(machine: &Machine) {
    machine.unmount();
    for l3 in 0..2 {
        (1..HARDWARE_RMIDS).for_each(|rmid| machine.set_occupancy(l3, rmid, 0));
    }
    machine.sim.advance(1002);
    machine.mount().unwrap();
    let free = (0..40).take_while(|probe| machine.mkdir(&format!("mon_groups/{probe}")).is_ok()).count();
    assert_eq!(free, machine.rmids() - 1, "RMIDs are lost, or there twice");
    check(machine);
}

/// Carries out a random sequence of commands on a machine.
pub(crate) fn sequence(description: &str) {
    let machine = Machine::mounted_on(description);
    let tasks: Vec<SimTask> = (0..3).map(|_| machine.task()).collect();
    for _ in 0..40 {
        match thread_rng().gen_range(0..34) {
            0..=22 => command(&machine, &tasks),
            23..=25 => hotplug(&machine),
            26 | 27 => switch(&machine, &tasks),
            28 => traffic(&machine),
            29 => machine.sim.advance(thread_rng().gen_range(1..1500)),
            30 => machine.sim.elapse(thread_rng().gen_range(1..1500)),
            31 | 32 => sleep(&machine),
            _ => remount(&machine),
        }
        check(&machine);
    }
    assert_no_rmid_is_lost(&machine);
    machine.finish();
}

#[test]
fn after_every_command_of_a_random_sequence_the_invariants_hold() {
    explore(120, || sequence(INTEL));
}
