// SPDX-License-Identifier: GPL-2.0-only
//! Names of groups, and where there can be none.

use resctrl_types::Errno;

use crate::arch::{ABMC, AMD, FIXED, INTEL, MONITOR_ONLY, Parameters};
use crate::machine::{Fs, PLAIN, on};

#[test]
fn a_name_may_be_as_long_as_a_path_and_need_not_be_utf8() {
    on(AMD, PLAIN, |machine| {
        for name in [vec![b'n'; 256], vec![0xff; 4095], b"a b:c;d=e".to_vec()] {
            assert_eq!(machine.try_mkdir_named(&name), Ok(()));
            assert_eq!(machine.try_mkdir_named(&name), Err(Errno::EEXIST));
            let shown = String::from_utf8_lossy(&name).into_owned();
            assert!(machine.list("").iter().any(|(listed, _)| *listed == shown));
            machine.rmdir_named(&name);
        }
        assert_eq!(machine.try_mkdir_named(&[b'n'; 4096]), Err(Errno::ENAMETOOLONG));
    });
}

/// The kernel's text for a group that is gone names it, as far as the status has room.
#[test]
fn a_long_name_of_a_group_that_is_gone_is_cut_in_the_status() {
    on(AMD, PLAIN, |machine| {
        let name = [b'n'; 2000];
        machine.try_mkdir_named(&name).unwrap();
        let tasks = machine.open(&format!("{}/tasks", "n".repeat(2000))).unwrap();
        machine.rmdir_named(&name);
        assert_eq!(Fs::write(&machine.fs, tasks, b"1"), Err(Errno::ENODEV));
    });
}

const NO_PLACE: &str = "Groups can only be created in the root and in mon_groups directories\n";

#[test]
fn where_no_group_can_be_mkdir_and_rmdir_say_so() {
    on(ABMC, PLAIN, |machine| {
        for (path, errno) in [
            ("info/g", Errno::ENODEV),
            ("info/L3_MON/g", Errno::ENODEV),
            ("info/L3_MON/event_configs/g", Errno::ENODEV),
            ("info/L3_MON/event_configs/mbm_total_bytes/g", Errno::EPERM),
            ("mon_data/g", Errno::EPERM),
        ] {
            machine.refuses("schemata", "x\n", Errno::EINVAL, "Missing ':'\n");
            assert_eq!((machine.try_mkdir(path), machine.status().as_str()), (Err(errno), NO_PLACE), "mkdir {path}");
        }
        for path in [
            "info",
            "info/L3",
            "info/L3_MON/event_configs",
            "info/L3_MON/event_configs/mbm_total_bytes",
            "mon_groups",
            "mon_data",
        ] {
            machine.refuses("schemata", "x\n", Errno::EINVAL, "Missing ':'\n");
            assert_eq!(machine.try_rmdir(path), Err(Errno::EPERM), "rmdir {path}");
            assert_eq!(machine.status(), "Only groups can be removed\n", "rmdir {path}");
        }
    });
    on(MONITOR_ONLY, PLAIN, |machine| {
        assert_eq!((machine.try_mkdir("g"), machine.status().as_str()), (Err(Errno::EPERM), NO_PLACE));
        assert_eq!((machine.try_mkdir("info/g"), machine.status().as_str()), (Err(Errno::ENODEV), NO_PLACE));
    });
    on(Parameters { num_rmid: 0, ..AMD }, PLAIN, |machine| {
        assert_eq!((machine.try_mkdir("info/g"), machine.status().as_str()), (Err(Errno::EPERM), NO_PLACE));
    });
}

#[test]
fn no_group_has_a_newline_in_its_name() {
    on(AMD, PLAIN, |machine| {
        let said = "Group name must not contain a newline\n";
        machine.mkdir("g");
        machine.mkdir("mon_groups/m");
        for made in [machine.try_mkdir_named(b"a\nb"), machine.try_mkdir("mon_groups/a\nb")] {
            assert_eq!((made, machine.status().as_str()), (Err(Errno::EINVAL), said));
        }
        for to in ["mon_groups/a\nb", "g/mon_groups/\n"] {
            assert_eq!((machine.rename("mon_groups/m", to), machine.status().as_str()), (Err(Errno::EINVAL), said));
        }
        assert_eq!(machine.list("mon_groups").len(), 1);
        machine.read("mon_groups/m/tasks");
    });
}

#[test]
fn what_cannot_be_renamed_is_told_why() {
    on(AMD, PLAIN, |machine| {
        machine.mkdir("g");
        machine.mkdir("g/mon_groups/m");
        machine.mkdir("g/mon_groups/n");
        machine.set("g/cpus_list", "1-2\n");
        machine.set("g/mon_groups/n/cpus_list", "2\n");
        const SOURCE: &str = "Source must be a MON group\n";
        const TARGET: &str = "Destination must be a mon_groups subdirectory\n";
        for (from, to, errno, said) in [
            ("g/tasks", "g/mon_groups/x", Errno::EPERM, "Source and destination must be directories\n"),
            (
                "mon_data/mon_L3_00/llc_occupancy",
                "mon_groups/x",
                Errno::EPERM,
                "Source and destination must be directories\n",
            ),
            ("g", "mon_groups/x", Errno::EPERM, SOURCE),
            ("g/mon_groups", "mon_groups/x", Errno::EPERM, SOURCE),
            ("info/L3", "mon_groups/x", Errno::ENOENT, SOURCE),
            ("info/last_cmd_status", "mon_groups/x", Errno::ENOENT, SOURCE),
            ("g/mon_groups/m", "info/x", Errno::ENOENT, TARGET),
            ("g/mon_groups/m", "x", Errno::EPERM, TARGET),
            ("g/mon_groups/m", "mon_groups/mon_groups", Errno::EPERM, TARGET),
            ("g/mon_groups/m", "g/mon_groups/n", Errno::EEXIST, "Destination exists\n"),
            ("g/mon_groups/n", "mon_groups/n", Errno::EPERM, "Cannot move a MON group that monitors CPUs\n"),
        ] {
            assert_eq!((machine.rename(from, to), machine.status().as_str()), (Err(errno), said), "{from} to {to}");
        }
        assert_eq!(machine.rename_with("g/mon_groups/m", "g/mon_groups/x", 1), Err(Errno::EINVAL));
        assert_eq!(machine.status(), "Rename flags are not supported\n");
        assert_eq!(machine.try_mkdir("mon_groups/mon_groups"), Err(Errno::EPERM));
        assert_eq!(machine.status(), "Name is reserved for the folder of MON groups\n");
    });
}

/// An architecture that knows no other way refuses the other mode, also where it has nothing to count with.
#[test]
fn where_counters_would_be_assigned_the_default_mode_is_refused() {
    on(Parameters { counters: None, always_assigned: true, ..FIXED }, PLAIN, |machine| {
        let mode = "info/L3_MON/mbm_assign_mode";
        assert_eq!(machine.read(mode), "[default]\n");
        machine.refuses(mode, "default\n", Errno::EINVAL, "Counter assignment mode is not configurable\n");
        machine.refuses(mode, "mbm_event\n", Errno::EINVAL, "mbm_event mode is not supported\n");
    });
}

#[test]
fn a_name_that_is_there_is_refused_before_ids_are_looked_for() {
    on(Parameters { num_closid: 2, ..INTEL }, PLAIN, |machine| {
        machine.mkdir("g");
        assert_eq!((machine.try_mkdir("h"), machine.status().as_str()), (Err(Errno::ENOSPC), "Out of CLOSIDs\n"));
        assert_eq!((machine.try_mkdir("g"), machine.status().as_str()), (Err(Errno::EEXIST), "kernfs create error\n"));
    });
}

#[test]
fn a_group_that_monitors_cpus_may_be_called_something_else_where_it_is() {
    on(AMD, PLAIN, |machine| {
        machine.mkdir("g");
        machine.mkdir("g/mon_groups/m");
        machine.set("g/cpus_list", "1-2\n");
        machine.set("g/mon_groups/m/cpus_list", "2\n");
        assert_eq!(machine.rename("g/mon_groups/m", "g/mon_groups/n"), Ok(()));
        assert_eq!(machine.read("g/mon_groups/n/cpus_list"), "2\n");
        machine.audit();
    });
}
