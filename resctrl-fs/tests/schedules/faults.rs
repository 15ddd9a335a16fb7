// SPDX-License-Identifier: GPL-2.0-only
//! Every allocation of every operation fails once: an errno comes back, nothing has changed for the worse, nothing leaks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use resctrl_fs::MountOptions;
use resctrl_types::sim::{fail_allocation, run};
use resctrl_types::{Errno, Result};

use crate::invariants::check;
use crate::machine::{DEBUG, Machine, with_telemetry};

/// More allocations than any operation makes; a loop that reaches it does not end by itself.
const MANY: u64 = 10_000;

/// For every allocation of `operation`: prepares a machine, fails that one, and sees that the errno is one of
/// `documented`, that the invariants hold, that the operation works when repeated, and that the module unloads. Gives
/// what the status said of failures, each text once.
fn each_allocation(
    prepare: impl Fn(&Machine) + Send + Sync + 'static,
    operation: impl Fn(&Machine) -> Result<()> + Send + Sync + 'static,
    documented: &'static [Errno],
) -> BTreeSet<String> {
    let said = Arc::new(Mutex::new(BTreeSet::new()));
    let texts = Arc::clone(&said);
    run(move || {
        for n in 0..MANY {
            let machine = Machine::boot(&with_telemetry());
            prepare(&machine);
            let (result, failed) = fail_allocation(n, || operation(&machine));
            // Looking at other files clears it.
            let status = machine.read("info/last_cmd_status").ok();
            if machine.is_mounted() {
                check(&machine);
            }
            // Some failures are survived, as a directory that is missing until its domain comes back.
            if let Err(errno) = result {
                assert!(failed && documented.contains(&errno), "allocation {n}: {errno}");
                texts.lock().unwrap_or_else(PoisonError::into_inner).extend(status);
                assert_eq!(operation(&machine), Ok(()), "again after allocation {n} failed");
            }
            machine.finish();
            if !failed {
                assert!(n > 0, "the operation allocates nothing");
                return;
            }
        }
        panic!("{MANY} allocations and no end");
    });
    std::mem::take(&mut *said.lock().unwrap_or_else(PoisonError::into_inner))
}

/// As [`each_allocation`], for a command: the status says of each failure why.
#[track_caller]
fn each_refusal(
    prepare: impl Fn(&Machine) + Send + Sync + 'static,
    command: impl Fn(&Machine) -> Result<()> + Send + Sync + 'static,
    documented: &'static [Errno],
) -> BTreeSet<String> {
    let said = each_allocation(prepare, command, documented);
    assert!(!said.contains("ok\n"), "{said:?}");
    said
}

/// Texts of the status, as [`each_allocation`] gives them.
fn texts<const N: usize>(lines: [&str; N]) -> BTreeSet<String> {
    lines.map(|line| format!("{line}\n")).into()
}

const NO_MEMORY: &[Errno] = &[Errno::ENOMEM];
/// `mkdir` says `ENOSPC` when there is no memory for the group itself: ABI 3.3.
const NO_GROUP: &[Errno] = &[Errno::ENOMEM, Errno::ENOSPC];
const NO_GROUP_TEXTS: [&str; 4] =
    ["Kernel out of memory", "kernfs create error", "kernfs fill error", "kernfs subdir error"];

fn mounted(machine: &Machine) {
    machine.mount().unwrap();
}

fn with_groups(machine: &Machine) {
    mounted(machine);
    machine.mkdir("p0").unwrap();
    machine.mkdir("p0/mon_groups/m0").unwrap();
    machine.mkdir("mon_groups/m1").unwrap();
}

#[test]
fn a_mount_without_memory_leaves_nothing_mounted() {
    each_allocation(|_| (), |machine| machine.mount_with(&DEBUG), NO_MEMORY);
    let cdp = MountOptions { cdp: true, ..DEBUG };
    each_allocation(|_| (), move |machine| machine.mount_with(&cdp), NO_MEMORY);
    let mba_sc = MountOptions { mba_mbps: true, ..DEBUG };
    each_allocation(|_| (), move |machine| machine.mount_with(&mba_sc), NO_MEMORY);
}

#[test]
fn a_control_group_without_memory_is_not_made() {
    let said = each_refusal(mounted, |machine| machine.mkdir("p0"), NO_GROUP);
    assert_eq!(said, texts(NO_GROUP_TEXTS));
}

#[test]
fn a_monitor_group_without_memory_is_not_made() {
    let said = each_refusal(with_groups, |machine| machine.mkdir("p0/mon_groups/m2"), NO_GROUP);
    assert_eq!(said, texts(NO_GROUP_TEXTS));
}

#[test]
fn a_group_without_memory_is_not_removed() {
    each_refusal(with_groups, |machine| machine.rmdir("p0"), NO_MEMORY);
    each_refusal(with_groups, |machine| machine.rmdir("mon_groups/m1"), NO_MEMORY);
}

#[test]
fn a_move_without_memory_moves_nothing() {
    let said = each_refusal(with_groups, |machine| machine.rename("mon_groups/m1", "p0/mon_groups/m1"), NO_MEMORY);
    assert_eq!(said, texts(["Out of memory"]));
}

#[test]
fn a_command_without_memory_changes_nothing() {
    for (file, command) in [("p0/schemata", "L3:0=f;1=ff\nMB:0=50\n"), ("p0/cpus_list", "1-2\n"), ("p0/cpus", "6\n")] {
        each_refusal(with_groups, move |machine| machine.write(file, command), NO_MEMORY);
    }
}

fn in_locksetup(machine: &Machine) {
    with_groups(machine);
    machine.rmdir("p0/mon_groups/m0").unwrap();
    machine.write("schemata", "L3:0=3f0;1=3f0\n").unwrap();
    machine.write("p0/mode", "pseudo-locksetup\n").unwrap();
}

/// What cannot be had for the region's CPUs is `EINVAL`, as in the kernel: ABI 4.8.
const NO_REGION: &[Errno] = &[Errno::ENOMEM, Errno::EINVAL];

#[test]
fn a_region_without_memory_is_not_locked() {
    let said = each_refusal(in_locksetup, |machine| machine.write("p0/schemata", "L3:0=1\n"), NO_REGION);
    let wants = [
        "Out of memory",
        "Unable to allocate memory",
        "Failure to allocate memory for PM QoS",
        "Locking thread returned error -12",
        "Failed to create character device: -12",
    ];
    assert_eq!(said, texts(wants));
}

#[test]
fn a_group_changes_its_mode_without_memory() {
    run(|| {
        let machine = Machine::boot(&with_telemetry());
        with_groups(&machine);
        machine.rmdir("p0/mon_groups/m0").unwrap();
        machine.write("p0/schemata", "L3:0=1;1=1\n").unwrap();
        for mode in ["pseudo-locksetup\n", "shareable\n"] {
            let (written, failed) = fail_allocation(0, || machine.write("p0/mode", mode));
            assert_eq!((written, failed), (Ok(()), false), "{mode}");
        }
        machine.finish();
    });
}

#[test]
fn a_region_is_not_measured_without_memory() {
    let locked = |machine: &Machine| {
        in_locksetup(machine);
        machine.write("p0/schemata", "L3:0=1\n").unwrap();
    };
    each_allocation(locked, |machine| crate::machine::Fs::measure(&machine.fs, 0, b"1\n"), NO_MEMORY);
}

#[test]
fn a_pseudo_locked_group_goes_without_memory_but_for_its_removal() {
    let locked = |machine: &Machine| {
        in_locksetup(machine);
        machine.write("p0/schemata", "L3:0=1\n").unwrap();
    };
    each_allocation(locked, |machine| machine.rmdir("p0"), NO_MEMORY);
    run(move || {
        let machine = Machine::boot(&with_telemetry());
        locked(&machine);
        let ((), failed) = fail_allocation(0, || machine.unmount());
        assert!(!failed, "unmounting");
        machine.finish();
    });
}

#[test]
fn a_counter_is_not_read_without_memory() {
    let event = "mon_data/mon_L3_01/mbm_total_bytes";
    let many = |machine: &Machine| {
        mounted(machine);
        (0..17).for_each(|number| machine.mkdir(&format!("mon_groups/n{number}")).unwrap());
    };
    each_allocation(many, move |machine| machine.read(event).map(|_| ()), NO_MEMORY);
    run(move || {
        let machine = Machine::mounted_on(&with_telemetry());
        for event in [event, "mon_data/mon_PERF_PKG_01/core_energy"] {
            let (shown, failed) = fail_allocation(0, || machine.read_open(machine.open(event).unwrap()));
            assert!(shown.is_ok() && !failed, "reading few counters, or what is counted by package, takes no memory");
        }
        machine.finish();
    });
}

/// There is no memory for a domain: the CPU comes online without it, and its next coming makes up for it.
#[test]
fn a_cpu_comes_online_without_the_domain_there_is_no_memory_for() {
    run(|| {
        for n in 0..MANY {
            let machine = Machine::boot(&with_telemetry());
            with_groups(&machine);
            machine.offline(2);
            machine.offline(3);
            let (online, failed) = fail_allocation(n, || machine.try_online(resctrl_types::CpuId(3)));
            assert_eq!(online, Ok(()), "allocation {n}");
            machine.sim.advance(1500);
            machine.offline(3);
            machine.online(3);
            check(&machine);
            machine.online(2);
            check(&machine);
            machine.finish();
            if !failed {
                assert!(n > 0);
                return;
            }
        }
    });
}

#[test]
fn leaving_allocates_nothing() {
    run(|| {
        let machine = Machine::boot(&with_telemetry());
        with_groups(&machine);
        for cpu in [2, 3] {
            let ((), failed) = fail_allocation(0, || machine.offline(cpu));
            assert!(!failed, "CPU {cpu} going offline");
        }
        let ((), failed) = fail_allocation(0, || machine.unmount());
        assert!(!failed, "unmounting");
        machine.finish();
    });
}
