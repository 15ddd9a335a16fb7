// SPDX-License-Identifier: GPL-2.0-only
//! Bugs of the same family that were published, each as the schedules in which the kernel had it.

use resctrl_types::Errno;
use resctrl_types::sim::explore;

use crate::invariants::check;
use crate::machine::{INTEL, Machine};

/// CVE-2026-72080: the file system went away under whoever was in one of its files.
#[test]
fn unmounting_while_files_are_in_use_ends_their_use_with_an_errno() {
    explore(300, || {
        let machine = Machine::mounted();
        machine.mkdir("g").unwrap();
        let files = ["schemata", "g/tasks", "g/mon_data/mon_L3_01/mbm_total_bytes", "info/last_cmd_status"];
        let open = files.map(|file| machine.open(file).unwrap());
        let users = open.map(|node| {
            let machine = machine.clone();
            shuttle::thread::spawn(move || {
                for _ in 0..3 {
                    if let Err(errno) = machine.read_open(node) {
                        assert!([Errno::ENODEV, Errno::ENOENT].contains(&errno), "{errno}");
                    }
                }
            })
        });
        machine.unmount();
        machine.mount().unwrap();
        for user in users {
            user.join().unwrap();
        }
        for node in open {
            assert_eq!(machine.read_open(node), Err(Errno::ENODEV), "a file of the mount before");
        }
        check(&machine);
        machine.finish();
    });
}

/// Limbo goes on over an unmount, with what it needs; and when the module goes, it ends by itself.
#[test]
fn limbo_work_that_runs_on_after_unmounting_has_all_it_needs_and_ends_with_the_module() {
    explore(300, || {
        let machine = Machine::mounted();
        machine.mkdir("g").unwrap();
        let rmid = machine.read("g/mon_hw_id").unwrap().trim().parse().unwrap();
        machine.set_occupancy(0, rmid, 16 << 20);
        machine.set_occupancy(1, rmid, 16 << 20);
        machine.rmdir("g").unwrap();
        let clock = machine.sim.start_clock(8);
        let hotplug = {
            let machine = machine.clone();
            shuttle::thread::spawn(move || {
                machine.offline(2);
                machine.offline(3);
                machine.online(3);
            })
        };
        machine.unmount();
        hotplug.join().unwrap();
        clock.stop();
        let before = machine.stat("limbo_runs");
        machine.sim.advance(2002);
        assert!(machine.stat("limbo_runs") > before, "the RMID is still in a cache, and nobody looks");
        machine.finish();
    });
}

/// A mount that fails half way gives back what it has made: here because the hardware cannot do what was asked for.
#[test]
fn a_mount_that_fails_half_way_can_be_tried_again_while_others_come_and_go() {
    explore(200, || {
        let machine = Machine::boot(INTEL);
        let other = {
            let machine = machine.clone();
            shuttle::thread::spawn(move || {
                machine.offline(3);
                machine.online(3);
            })
        };
        let impossible = resctrl_fs::MountOptions { cdp: true, cdpl2: true, ..crate::machine::DEBUG };
        assert_eq!(machine.mount_with(&impossible), Err(Errno::EINVAL));
        assert!(!machine.is_mounted());
        machine.mount().unwrap();
        other.join().unwrap();
        check(&machine);
        machine.finish();
    });
}

/// The RMID of a pseudo-locked group was freed when it gave the RMID up, and once more when the group went.
#[test]
fn the_rmid_of_a_pseudo_locked_group_is_freed_once_however_the_group_goes() {
    explore(300, || {
        let machine = Machine::mounted();
        machine.write("schemata", "L3:0=3f0;1=3f0\n").unwrap();
        for group in ["locked", "setup"] {
            machine.mkdir(group).unwrap();
            machine.write(&format!("{group}/mode"), "pseudo-locksetup\n").unwrap();
        }
        machine.write("locked/schemata", "L3:0=1\n").unwrap();
        let clock = machine.sim.start_clock(8);
        let others = {
            let machine = machine.clone();
            shuttle::thread::spawn(move || {
                // Takes what is free as soon as it is.
                for number in 0..3 {
                    let _ = machine.mkdir(&format!("mon_groups/m{number}"));
                }
                machine.rmdir("setup").unwrap();
            })
        };
        machine.rmdir("locked").unwrap();
        others.join().unwrap();
        check(&machine);
        machine.mkdir("setup").unwrap();
        machine.write("setup/mode", "pseudo-locksetup\n").unwrap();
        clock.stop();
        machine.unmount();
        machine.sim.advance(2002);
        machine.mount().unwrap();
        check(&machine);
        machine.finish();
    });
}
