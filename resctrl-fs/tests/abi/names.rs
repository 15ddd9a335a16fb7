// SPDX-License-Identifier: GPL-2.0-only
//! Names of groups, and where there can be none.

use resctrl_types::Errno;

use crate::arch::{ABMC, AMD, FIXED, MONITOR_ONLY, Parameters};
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

#[test]
fn directories_of_events_refuse_groups_as_a_group_would_and_the_rest_of_info_as_nobodys() {
    on(ABMC, PLAIN, |machine| {
        let said = "Missing ':'\n";
        for (path, errno, status) in [
            ("info/g", Errno::ENODEV, said),
            ("info/L3_MON/g", Errno::ENODEV, said),
            ("info/L3_MON/event_configs/g", Errno::ENODEV, said),
            ("info/L3_MON/event_configs/mbm_total_bytes/g", Errno::EPERM, "ok\n"),
            ("mon_data/g", Errno::EPERM, "ok\n"),
        ] {
            machine.refuses("schemata", "x\n", Errno::EINVAL, said);
            assert_eq!((machine.try_mkdir(path), machine.status().as_str()), (Err(errno), status), "mkdir {path}");
        }
        for (path, status) in [
            ("info", said),
            ("info/L3", said),
            ("info/L3_MON/event_configs", said),
            ("info/L3_MON/event_configs/mbm_total_bytes", "ok\n"),
            ("mon_groups", "ok\n"),
        ] {
            machine.refuses("schemata", "x\n", Errno::EINVAL, said);
            assert_eq!(
                (machine.try_rmdir(path), machine.status().as_str()),
                (Err(Errno::EPERM), status),
                "rmdir {path}"
            );
        }
    });
    on(MONITOR_ONLY, PLAIN, |machine| {
        assert_eq!(machine.try_mkdir("g"), Err(Errno::EPERM));
        assert_eq!(machine.try_mkdir("info/g"), Err(Errno::ENODEV));
    });
    on(Parameters { num_rmid: 0, ..AMD }, PLAIN, |machine| {
        machine.refuses("schemata", "x\n", Errno::EINVAL, "Missing ':'\n");
        assert_eq!(machine.try_mkdir("info/g"), Err(Errno::EPERM));
        assert_eq!(machine.status(), "Missing ':'\n");
    });
}

/// An architecture that knows no other way refuses the other mode, also where it has nothing to count with.
#[test]
fn where_counters_would_be_assigned_the_default_mode_is_refused_without_words() {
    on(Parameters { counters: None, always_assigned: true, ..FIXED }, PLAIN, |machine| {
        let mode = "info/L3_MON/mbm_assign_mode";
        assert_eq!(machine.read(mode), "[default]\n");
        machine.refuses(mode, "default\n", Errno::EINVAL, "ok\n");
        machine.refuses(mode, "mbm_event\n", Errno::EINVAL, "mbm_event mode is not supported\n");
    });
}
