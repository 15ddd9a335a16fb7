// SPDX-License-Identifier: GPL-2.0-only
//! Groups that set up a pseudo-locked region, and those that have one. The machine has an L3 of twelve portions for two CPUs
//! each, 2730 KiB a portion, and an L2 of eight for each CPU, 256 KiB a portion.

use resctrl_types::resource::CacheControl;
use resctrl_types::sim::{Refusal, RegionCounts};
use resctrl_types::{Closid, CpuId, Errno};

use crate::arch::{INTEL, LOCKING, MONITOR_ONLY, Parameters};
use crate::machine::{CDP, DEBUG, Machine, PLAIN, on};

/// A group `g` that sets a region up, with nobody in the low four portions of the L2s and of the L3s.
fn in_locksetup(machine: &Machine) {
    machine.mkdir("g");
    machine.set("schemata", "L2:0=f0;1=f0;2=f0;3=f0\nL3:0=3f0;1=3f0\n");
    machine.set("g/mode", "pseudo-locksetup\n");
}

/// The same, with the low portion of the first L2 locked.
fn locked(machine: &Machine) {
    in_locksetup(machine);
    machine.set("g/schemata", "L2:0=1\n");
}

fn mode_of(machine: &Machine, file: &str) -> u16 {
    machine.list("g").into_iter().find(|(name, _)| name == file).unwrap().1
}

#[test]
fn not_every_machine_and_every_group_can_lock() {
    let refuses = |machine: &Machine, path: &str, words| {
        machine.refuses(path, "pseudo-locksetup\n", Errno::EINVAL, words);
    };
    on(LOCKING, PLAIN, move |machine| refuses(machine, "mode", "Cannot pseudo-lock default group\n"));
    on(LOCKING, CDP, move |machine| {
        machine.mkdir("g");
        refuses(machine, "g/mode", "CDP enabled\n");
    });
    on(INTEL, PLAIN, move |machine| {
        machine.mkdir("g");
        refuses(machine, "g/mode", "Pseudo-locking not supported\n");
    });
    on(Parameters { pseudo_lock: true, ..MONITOR_ONLY }, PLAIN, move |machine| {
        refuses(machine, "mode", "Cannot pseudo-lock default group\n");
    });
}

#[test]
fn a_group_that_is_used_cannot_lock() {
    on(LOCKING, PLAIN, |machine| {
        machine.mkdir("g");
        let refuses = |words| machine.refuses("g/mode", "pseudo-locksetup\n", Errno::EINVAL, words);
        machine.set("g/cpus_list", "1\n");
        let task = machine.spawn_on(0);
        machine.set("g/tasks", format!("{task}\n"));
        machine.mkdir("g/mon_groups/m");
        refuses("Monitoring in progress\n");
        machine.rmdir("g/mon_groups/m");
        refuses("Tasks assigned to resource group\n");
        machine.set("tasks", format!("{task}\n"));
        refuses("CPUs assigned to resource group\n");
        machine.set("g/cpus_list", "\n");
        machine.set("g/mode", "pseudo-locksetup\n");
        machine.audit();
    });
}

#[test]
fn a_group_in_locksetup_cannot_be_used() {
    on(LOCKING, PLAIN, |machine| {
        in_locksetup(machine);
        assert_eq!(machine.read("g/mode"), "pseudo-locksetup\n");
        assert_eq!(machine.read("g/schemata"), "MB:uninitialized\nL2:uninitialized\nL3:uninitialized\n");
        assert_eq!(machine.read("g/size"), "    MB:0=0;1=0\n    L2:0=0;1=0;2=0;3=0\n    L3:0=0;1=0\n");
        for file in ["tasks", "cpus", "cpus_list", "mon_groups"] {
            assert_eq!(mode_of(machine, file), 0, "{file}");
        }
        for file in ["tasks", "cpus", "cpus_list"] {
            assert_eq!(machine.try_read(&format!("g/{file}")), Err(Errno::EACCES), "{file}");
            machine.chmod(&format!("g/{file}"), 0o644);
            let task = machine.spawn_on(0);
            machine.refuses(&format!("g/{file}"), format!("{task}\n"), Errno::EINVAL, "Pseudo-locking in progress\n");
        }
        assert_eq!((machine.read("g/tasks").as_str(), machine.read("g/cpus_list").as_str()), ("", "\n"));
        assert_eq!(machine.try_mkdir("g/mon_groups/m"), Err(Errno::EINVAL));
        assert_eq!(machine.status(), "Pseudo-locking in progress\n");
        machine.mkdir("mon_groups/m");
        assert_eq!(machine.rename("mon_groups/m", "g/mon_groups/m"), Err(Errno::EINVAL));
        assert_eq!(machine.read("g/mon_data/mon_L3_00/llc_occupancy"), "Unavailable\n");
        machine.set("g/mode", "pseudo-locksetup\n");
        machine.refuses("g/mode", "pseudo-locked\n", Errno::EINVAL, "Unknown or unsupported mode\n");
        machine.audit();
    });
}

#[test]
fn leaving_locksetup_gives_modes_and_an_rmid_back() {
    on(Parameters { num_rmid: 3, ..LOCKING }, PLAIN, |machine| {
        in_locksetup(machine);
        // It goes through limbo.
        machine.sim.advance(3000);
        machine.mkdir("mon_groups/one");
        machine.mkdir("mon_groups/two");
        machine.refuses("g/mode", "shareable\n", Errno::ENOSPC, "Out of RMIDs\n");
        assert_eq!(machine.read("g/mode"), "pseudo-locksetup\n");
        machine.rmdir("mon_groups/two");
        machine.refuses("g/mode", "shareable\n", Errno::EBUSY, "Out of RMIDs\n");
        machine.sim.advance(3000);
        machine.set("g/mode", "shareable\n");
        for (file, mode) in [("tasks", 0o644), ("cpus", 0o644), ("cpus_list", 0o644), ("mon_groups", 0o755)] {
            assert_eq!(mode_of(machine, file), mode, "{file}");
        }
        machine.audit();
        machine.set("g/mode", "pseudo-locksetup\n");
        machine.refuses("g/mode", "exclusive\n", Errno::EINVAL, "Schemata overlaps\n");
        assert_eq!(machine.read("g/mode"), "pseudo-locksetup\n");
        machine.audit();
    });
}

#[test]
fn only_a_part_of_a_cache_that_is_nobodys_can_be_locked() {
    on(LOCKING, PLAIN, |machine| {
        in_locksetup(machine);
        let refuses = |line: &str, words| machine.refuses("g/schemata", line, Errno::EINVAL, words);
        refuses("MB:0=50\n", "Cannot pseudo-lock MBA resource\n");
        refuses("MB:nonsense\n", "Cannot pseudo-lock MBA resource\n");
        refuses("L2:0=10\n", "Overlaps with other group\n");
        refuses("L3:0=400\n", "Overlaps with other group\n");
        refuses("L3:0=0\n", "Mask out of range\n");
        refuses("L2:0=1\nL3:0=1\n", "Pseudo-locked region in hierarchy\n");
        machine.mkdir("e");
        machine.set("e/schemata", "L2:0=e;1=e;2=e;3=e\nL3:0=e;1=e\n");
        machine.set("e/mode", "exclusive\n");
        refuses("L2:0=2\n", "Overlaps with exclusive group\n");
        // What failed has left nothing behind (hazard B6).
        machine.set("g/schemata", "L2:0=1\n");
        assert_eq!(machine.read("g/mode"), "pseudo-locked\n");
        machine.audit();
    });
}

#[test]
fn the_first_entry_of_a_line_is_the_region_and_the_rest_is_not_read() {
    on(LOCKING, PLAIN, |machine| {
        in_locksetup(machine);
        machine.set("g/schemata", "L2:1=3;0=1;nonsense\n");
        assert_eq!(machine.read("g/schemata"), "L2:1=3\n");
    });
}

#[test]
fn of_caches_that_share_no_cpu_the_last_written_is_the_region() {
    on(LOCKING, PLAIN, |machine| {
        in_locksetup(machine);
        machine.set("g/schemata", "L2:0=1\nL2:3=2\n");
        assert_eq!((machine.read("g/schemata").as_str(), machine.read("g/cpus_list").as_str()), ("L2:3=2\n", "3\n"));
        machine.audit();
    });
}

#[test]
fn a_region_may_be_as_large_as_one_allocation() {
    // 4 MiB a portion.
    let l3 = LOCKING.l3.map(|l3| CacheControl { cbm_len: 8, shareable_bits: 0, ..l3 });
    on(Parameters { l3, ..LOCKING }, PLAIN, |machine| {
        machine.mkdir("g");
        machine.set("schemata", "L2:0=f0;1=f0;2=f0;3=f0\nL3:0=f0;1=f0\n");
        machine.set("g/mode", "pseudo-locksetup\n");
        machine.set("g/schemata", "L3:0=1\n");
        assert_eq!(machine.read("g/size"), "    L3:0=4194304\n");
    });
}

#[test]
fn a_locked_group_shows_its_region_and_takes_no_commands() {
    on(LOCKING, DEBUG, |machine| {
        locked(machine);
        assert_eq!(machine.arch().take_locked(), [Closid(1)], "not with the group's CLOSID (hazard B5)");
        assert_eq!(machine.sim.take_readings(), [(CpuId(0), 64)]);
        assert_eq!(machine.read("g/mode"), "pseudo-locked\n");
        assert_eq!(machine.read("g/schemata"), "L2:0=1\n");
        assert_eq!(machine.read("g/size"), "    L2:0=262144\n");
        assert_eq!((machine.read("g/cpus").as_str(), machine.read("g/cpus_list").as_str()), ("1\n", "0\n"));
        for (file, mode) in [("tasks", 0), ("cpus", 0o444), ("cpus_list", 0o444), ("mon_groups", 0)] {
            assert_eq!(mode_of(machine, file), mode, "{file}");
        }
        assert_eq!(machine.read("info/L2/bit_usage").split(';').next(), Some("0=SSSS000P"));
        machine.refuses("g/schemata", "L2:0=3\n", Errno::EINVAL, "Resource group is pseudo-locked\n");
        for mode in ["shareable", "exclusive", "pseudo-locksetup", "nonsense"] {
            machine.refuses("g/mode", format!("{mode}\n"), Errno::EINVAL, "Cannot change pseudo-locked group\n");
        }
        machine.set("g/mode", "pseudo-locked\n");
        machine.chmod("g/tasks", 0o644);
        machine.refuses("g/tasks", "0\n", Errno::EINVAL, "Pseudo-locking in progress\n");
        assert_eq!(machine.try_mkdir("g/mon_groups/m"), Err(Errno::EINVAL));
        machine.audit();
        // The CLOSID is free for the next one, whose tasks are not this one's.
        machine.mkdir("next");
        assert_eq!(machine.read("next/ctrl_hw_id"), "1\n");
        let task = machine.spawn_on(0);
        machine.set("next/tasks", format!("{task}\n"));
        assert_eq!(machine.read("g/tasks"), "");
        machine.audit();
    });
}

#[test]
fn nobody_gets_what_is_locked() {
    on(LOCKING, PLAIN, |machine| {
        locked(machine);
        machine.refuses("schemata", "L2:0=ff\n", Errno::EINVAL, "CBM overlaps with pseudo-locked region\n");
        machine.set("schemata", "L2:1=ff\n");
        machine.mkdir("next");
        assert!(machine.read("next/schemata").contains("L2:0=fe;1=ff"), "{}", machine.read("next/schemata"));
        machine.set("next/mode", "pseudo-locksetup\n");
        // The same CPU as in the region of `g`: its L3 as well as its L2.
        for line in ["L3:0=1\n", "L2:0=2\n"] {
            machine.refuses("next/schemata", line, Errno::EINVAL, "Pseudo-locked region in hierarchy\n");
        }
        machine.set("schemata", "L2:2=f0\n");
        machine.set("next/schemata", "L2:2=1\n");
        machine.audit();
        machine.rmdir("g");
        machine.set("schemata", "L2:0=ff\n");
        machine.audit();
    });
}

/// The kernel lets it begin, and with it the region is pushed out by and by.
#[test]
fn a_group_does_not_leave_locksetup_with_what_another_has_locked() {
    on(LOCKING, PLAIN, |machine| {
        in_locksetup(machine);
        machine.mkdir("other");
        machine.set("other/mode", "pseudo-locksetup\n");
        machine.set("g/schemata", "L2:0=1\n");
        machine.refuses("other/mode", "shareable\n", Errno::EINVAL, "CBM overlaps with pseudo-locked region\n");
        machine.audit();
        machine.rmdir("g");
        machine.set("other/mode", "shareable\n");
        machine.audit();
    });
}

#[test]
fn removing_a_group_gives_everything_back_once() {
    on(LOCKING, PLAIN, |machine| {
        locked(machine);
        assert_eq!(machine.sim.region_counts(), RegionCounts { memories: 1, limits: 1, nodes: 1 });
        machine.rmdir("g");
        assert_eq!(machine.sim.region_counts(), RegionCounts::default());
        machine.audit();
        machine.mkdir("g");
        machine.set("g/mode", "pseudo-locksetup\n");
        machine.rmdir("g");
        machine.audit();
        machine.sim.advance(3000);
        machine.audit();
    });
}

#[test]
fn what_the_kernel_refuses_leaves_the_group_in_locksetup_and_nothing_else() {
    let refusals = [
        (Refusal::CacheLine, Errno::EPERM, "Unable to determine cache line size\n".to_owned()),
        (Refusal::Latency, Errno::EINVAL, "Failed to add latency req CPU0\n".to_owned()),
        (Refusal::Thread(Errno::ENOSPC), Errno::ENOSPC, "Locking thread returned error -28\n".to_owned()),
        (Refusal::Wait, Errno::ERESTARTSYS, "Locking thread interrupted\n".to_owned()),
        (Refusal::Device(Errno::EEXIST), Errno::EEXIST, "Failed to create character device: -17\n".to_owned()),
    ];
    on(LOCKING, PLAIN, move |machine| {
        in_locksetup(machine);
        let nothing_left = || {
            assert_eq!(machine.sim.region_counts(), RegionCounts::default());
            assert_eq!(machine.read("g/mode"), "pseudo-locksetup\n");
            machine.audit();
        };
        // Two portions of the L3 are more than one allocation.
        machine.refuses("g/schemata", "L3:0=3\n", Errno::E2BIG, "Requested region exceeds maximum size\n");
        nothing_left();
        for (refusal, errno, words) in &refusals {
            machine.sim.refuse(*refusal);
            machine.refuses("g/schemata", "L2:0=1\n", *errno, words);
            nothing_left();
        }
        machine.set("g/schemata", "L2:0=1\n");
        machine.audit();
    });
}

#[test]
fn a_domain_that_goes_offline_takes_what_was_cached_along() {
    on(LOCKING, PLAIN, |machine| {
        in_locksetup(machine);
        machine.set("g/schemata", "L3:1=1\n");
        assert_eq!(
            (machine.read("g/cpus_list"), machine.read("info/L3/bit_usage")),
            ("2-3\n".to_owned(), "0=HHSSSSSS0000;1=HHSSSSSS000P\n".to_owned())
        );
        machine.sim.offline(CpuId(2)).unwrap();
        assert_eq!(machine.read("g/cpus_list"), "3\n");
        machine.sim.online(CpuId(2)).unwrap();
        assert_eq!(machine.read("g/cpus_list"), "2-3\n");
        machine.audit();
        for cpu in [2, 3].map(CpuId) {
            machine.sim.offline(cpu).unwrap();
        }
        for file in ["g/cpus", "g/cpus_list", "g/schemata", "g/size"] {
            machine.cannot_read(file, Errno::ENODEV, "Cache domain offline\n");
        }
        assert_eq!(machine.read("g/mode"), "pseudo-locked\n");
        machine.sim.online(CpuId(3)).unwrap();
        machine.cannot_read("g/schemata", Errno::ENODEV, "Cache domain offline\n");
        assert_eq!(machine.read("info/L3/bit_usage").split(';').nth(1), Some("1=XXSSSSSSSSSS\n"));
        machine.audit();
        machine.rmdir("g");
        assert_eq!(machine.sim.region_counts(), RegionCounts::default());
    });
}

#[test]
fn cpus_that_come_are_the_regions_if_they_use_its_cache() {
    // With a bandwidth that is controlled by the same numbers of caches, and without.
    for mb in [LOCKING.mb, None] {
        on(Parameters { mb, ..LOCKING }, PLAIN, |machine| {
            in_locksetup(machine);
            machine.set("g/schemata", "L3:1=1\n");
            // CPU 1 has another L3, and an L2 of this number.
            for cpu in [2, 3, 1].map(CpuId) {
                machine.sim.offline(cpu).unwrap();
                machine.sim.online(cpu).unwrap();
                assert_eq!(machine.read("g/cpus_list"), "2-3\n", "CPU {cpu}");
            }
            machine.audit();
        });
    }
}
