// SPDX-License-Identifier: GPL-2.0-only
//! Counters that are assigned: the modes, what a group gets when it is made, what is shown of it, who keeps what.

use resctrl_fs::{MountOptions, OptionError};
use resctrl_types::resource::BandwidthControl;
use resctrl_types::{CpuId, Errno, Transactions};

use crate::arch::{ABMC, FIXED, INTEL, Parameters};
use crate::machine::{Fs, MBPS, Machine, PLAIN, on};

const MODE: &str = "info/L3_MON/mbm_assign_mode";
const ON_MKDIR: &str = "info/L3_MON/mbm_assign_on_mkdir";
const AVAILABLE: &str = "info/L3_MON/available_mbm_cntrs";
const TOTAL_FILTER: &str = "info/L3_MON/event_configs/mbm_total_bytes/event_filter";
const NOT_ENABLED: &str = "mbm_event counter assignment mode is not enabled\n";

fn total(machine: &Machine, group: &str, domain: u32) -> String {
    machine.read(&format!("{group}/mon_data/mon_L3_0{domain}/mbm_total_bytes"))
}

#[test]
fn the_files_are_there_where_counters_can_be_assigned() {
    let names = |machine: &Machine, dir: &str| -> String {
        machine.list(dir).iter().map(|(name, mode)| format!("{name} {mode:o}\n")).collect()
    };
    let l3_mon = "available_mbm_cntrs 444\nevent_configs 555\nmax_threshold_occupancy 644\nmbm_assign_mode 644\n\
                  mbm_assign_on_mkdir 644\nmon_features 444\nnum_mbm_cntrs 444\nnum_rmids 444\n";
    let check = move |machine: &Machine, filter: &str| {
        machine.mkdir("mon_groups/m");
        assert_eq!(names(machine, "info/L3_MON"), l3_mon);
        assert_eq!(names(machine, "info/L3_MON/event_configs"), "mbm_local_bytes 555\nmbm_total_bytes 555\n");
        assert_eq!(names(machine, "info/L3_MON/event_configs/mbm_local_bytes"), filter);
        for group in ["", "mon_groups/m"] {
            assert!(names(machine, group).contains("mbm_L3_assignments 644\n"));
        }
    };
    on(ABMC, PLAIN, move |machine| check(machine, "event_filter 644\n"));
    on(FIXED, PLAIN, move |machine| check(machine, "event_filter 444\n"));
    on(INTEL, PLAIN, move |machine| assert!(!names(machine, "").contains("mbm_L3_assignments")));
}

#[test]
fn the_mode_that_is_on_comes_first() {
    on(ABMC, PLAIN, |machine| {
        assert_eq!(machine.read(MODE), "[mbm_event]\ndefault\n");
        machine.set(MODE, "default\n");
        assert_eq!(machine.read(MODE), "[default]\nmbm_event\n");
        machine.set(MODE, "default\n");
        machine.set(MODE, "mbm_event\n");
        assert_eq!(machine.read(MODE), "[mbm_event]\ndefault\n");
    });
    on(FIXED, PLAIN, |machine| assert_eq!(machine.read(MODE), "[mbm_event]\n"));
    on(INTEL, PLAIN, |machine| assert_eq!(machine.read(MODE), "[default]\n"));
}

#[test]
fn a_mode_that_there_is_not_is_refused() {
    let unsupported = "Unsupported assign mode\n";
    on(ABMC, PLAIN, move |machine| {
        for text in ["bogus\n", "\n", " default\n", "mbm_event \n", "[default]\n", "default\n\n"] {
            machine.refuses(MODE, text, Errno::EINVAL, unsupported);
        }
        for text in ["", "default"] {
            machine.refuses(MODE, text, Errno::EINVAL, "mbm_assign_mode: Invalid input\n");
        }
        assert_eq!(machine.read(MODE), "[mbm_event]\ndefault\n");
    });
    on(FIXED, PLAIN, move |machine| {
        machine.set(MODE, "mbm_event\n");
        machine.refuses(MODE, "default\n", Errno::EINVAL, "Counter assignment mode is not configurable\n");
        machine.refuses(MODE, "bogus\n", Errno::EINVAL, unsupported);
    });
    on(INTEL, PLAIN, |machine| {
        machine.set(MODE, "default\n");
        machine.refuses(MODE, "mbm_event\n", Errno::EINVAL, "mbm_event mode is not supported\n");
    });
}

#[test]
fn without_assignment_the_files_about_it_say_so() {
    on(ABMC, PLAIN, |machine| {
        machine.set(MODE, "default\n");
        for file in [AVAILABLE, ON_MKDIR, TOTAL_FILTER, "mbm_L3_assignments"] {
            machine.cannot_read(file, Errno::EINVAL, NOT_ENABLED);
        }
        assert_eq!(machine.read("info/L3_MON/num_mbm_cntrs"), "0=6;1=6\n");
        machine.refuses(ON_MKDIR, "1\n", Errno::EINVAL, NOT_ENABLED);
        machine.refuses(ON_MKDIR, "2\n", Errno::EINVAL, "mbm_assign_on_mkdir: Invalid input\n");
        machine.refuses(TOTAL_FILTER, "local_reads\n", Errno::EINVAL, NOT_ENABLED);
        let assignments = "mbm_L3_assignments";
        machine.refuses(assignments, "mbm_total_bytes:*=e\n", Errno::EINVAL, "mbm_event mode is not enabled\n");
        assert_eq!(total(machine, "", 0), "0\n", "every group is counted");
        machine.mkdir("a");
        assert_eq!(machine.status(), "ok\n");
        machine.sim.advance(1500);
    });
}

#[test]
fn changing_the_mode_takes_every_counter_and_forgets_what_was_chosen() {
    on(ABMC, PLAIN, |machine| {
        machine.mkdir("a");
        machine.set(TOTAL_FILTER, "remote_reads\n");
        machine.set(ON_MKDIR, "0\n");
        machine.set(MODE, "default\n");
        machine.audit();
        machine.set(MODE, "mbm_event\n");
        assert_eq!(machine.read(ON_MKDIR), "1\n");
        for group in ["", "a/"] {
            let assignments = machine.read(&format!("{group}mbm_L3_assignments"));
            assert_eq!(assignments, "mbm_total_bytes:0=_;1=_\nmbm_local_bytes:0=_;1=_\n");
        }
        assert_eq!(machine.read(AVAILABLE), "0=6;1=6\n");
        assert_eq!(total(machine, "a", 0), "Unassigned\n");
        assert_eq!(
            machine.read(TOTAL_FILTER),
            "local_reads,remote_reads,local_non_temporal_writes,remote_non_temporal_writes,local_reads_slow_memory,\
             dirty_victim_writes_all\n",
            "all that the machine can count"
        );
        machine.mkdir("b");
        assert_eq!(machine.read(AVAILABLE), "0=4;1=4\n");
    });
}

#[test]
fn a_group_gets_two_counters_of_each_domain_and_gives_them_back() {
    on(ABMC, PLAIN, |machine| {
        assert_eq!(machine.read("info/L3_MON/num_mbm_cntrs"), "0=6;1=6\n");
        assert_eq!(machine.read(AVAILABLE), "0=4;1=4\n");
        machine.mkdir("a");
        assert_eq!(machine.read(AVAILABLE), "0=2;1=2\n");
        machine.mkdir("a/mon_groups/m");
        assert_eq!(machine.read(AVAILABLE), "0=0;1=0\n");
        machine.audit();
        machine.rmdir("a/mon_groups/m");
        assert_eq!(machine.read(AVAILABLE), "0=2;1=2\n");
        machine.mkdir("a/mon_groups/m");
        machine.rmdir("a");
        assert_eq!(machine.read(AVAILABLE), "0=4;1=4\n");
        machine.audit();
    });
}

#[test]
fn a_group_for_which_there_are_too_few_counters_is_made_and_says_what_is_missing() {
    on(ABMC, PLAIN, |machine| {
        machine.mkdir("a");
        machine.set("a/mbm_L3_assignments", "mbm_local_bytes:1=_\n");
        machine.mkdir("b");
        assert_eq!(machine.read(AVAILABLE), "0=0;1=1\n");
        machine.try_mkdir("c").unwrap();
        let missing = "Failed to allocate counter for mbm_total_bytes in domain 0\n\
                       Failed to allocate counter for mbm_local_bytes in domain 0\n\
                       Failed to allocate counter for mbm_local_bytes in domain 1\n";
        assert_eq!(machine.status(), missing);
        let assignments = machine.read("c/mbm_L3_assignments");
        assert_eq!(assignments, "mbm_total_bytes:0=_;1=e\nmbm_local_bytes:0=_;1=_\n");
        assert_eq!((total(machine, "c", 0).as_str(), total(machine, "c", 1).as_str()), ("Unassigned\n", "0\n"));
        machine.audit();
    });
}

#[test]
fn a_group_that_could_not_be_made_leaves_no_counter_assigned() {
    let one_rmid = Parameters { num_closid: 3, num_rmid: 2, ..ABMC };
    on(one_rmid, PLAIN, |machine| {
        machine.mkdir("a");
        assert_eq!(machine.try_mkdir("b"), Err(Errno::ENOSPC));
        assert_eq!(machine.read(AVAILABLE), "0=2;1=2\n");
        machine.audit();
    });
    // The whole cache is somebody's alone when the group's share is computed, after its counters were assigned.
    on(Parameters { l3: INTEL.l3, ..ABMC }, PLAIN, |machine| {
        machine.mkdir("a");
        machine.set("schemata", "L3:0=1;1=1\n");
        machine.set("a/schemata", "L3:0=ffe;1=ffe\n");
        machine.set("a/mode", "exclusive\n");
        machine.set("mode", "exclusive\n");
        assert_eq!(machine.try_mkdir("b"), Err(Errno::ENOSPC));
        assert_eq!(machine.read(AVAILABLE), "0=2;1=2\n");
        machine.audit();
    });
}

#[test]
fn with_auto_assignment_off_a_new_group_is_not_counted() {
    on(ABMC, PLAIN, |machine| {
        assert_eq!(machine.read(ON_MKDIR), "1\n");
        machine.set(ON_MKDIR, "n\n");
        assert_eq!(machine.read(ON_MKDIR), "0\n");
        machine.mkdir("a");
        let assignments = machine.read("a/mbm_L3_assignments");
        assert_eq!(assignments, "mbm_total_bytes:0=_;1=_\nmbm_local_bytes:0=_;1=_\n");
        assert_eq!(total(machine, "a", 1), "Unassigned\n");
        assert_eq!(machine.read("a/mon_data/mon_L3_00/llc_occupancy"), "0\n", "occupancy needs no counter");
        machine.set(ON_MKDIR, "on");
        assert_eq!(machine.read(ON_MKDIR), "1\n");
        for text in ["", "2\n", "x\n"] {
            machine.refuses(ON_MKDIR, text, Errno::EINVAL, "mbm_assign_on_mkdir: Invalid input\n");
        }
    });
}

#[test]
fn a_control_group_shows_what_its_counted_monitor_groups_move() {
    on(ABMC, PLAIN, |machine| {
        machine.mkdir("a");
        machine.mkdir("a/mon_groups/m");
        machine.arch().traffic(0, 1, Transactions::ALL, 100);
        machine.arch().traffic(0, 2, Transactions::ALL, 20);
        assert_eq!((total(machine, "a", 0).as_str(), total(machine, "a/mon_groups/m", 0).as_str()), ("120\n", "20\n"));
        machine.set("a/mbm_L3_assignments", "mbm_total_bytes:*=_\n");
        assert_eq!(total(machine, "a", 0), "20\n");
        machine.set("a/mon_groups/m/mbm_L3_assignments", "mbm_total_bytes:0=_\n");
        assert_eq!((total(machine, "a", 0).as_str(), total(machine, "a", 1).as_str()), ("Unassigned\n", "0\n"));
    });
}

#[test]
fn the_lowest_free_counter_is_assigned_in_each_domain_for_itself() {
    on(ABMC, PLAIN, |machine| {
        machine.mkdir("a");
        machine.set("mbm_L3_assignments", "mbm_local_bytes:0=_\n");
        machine.mkdir("b");
        let numbers = |domain| {
            let rmid = move |number| machine.arch().counting(domain, number).map(|counting| counting.rmid);
            (0..6).map(rmid)
        };
        assert!(numbers(0).eq([Some(0), Some(2), Some(1), Some(1), Some(2), None]));
        assert!(numbers(1).eq([Some(0), Some(0), Some(1), Some(1), Some(2), Some(2)]));
    });
}

#[test]
fn a_domain_that_comes_back_has_no_counter_assigned() {
    on(ABMC, PLAIN, |machine| {
        machine.mkdir("a");
        for cpu in [2, 3] {
            machine.sim.offline(CpuId(cpu)).unwrap();
        }
        assert_eq!(machine.read("a/mbm_L3_assignments"), "mbm_total_bytes:0=e\nmbm_local_bytes:0=e\n");
        assert_eq!(machine.read(AVAILABLE), "0=2\n");
        machine.sim.online(CpuId(3)).unwrap();
        assert_eq!(machine.read("a/mbm_L3_assignments"), "mbm_total_bytes:0=e;1=_\nmbm_local_bytes:0=e;1=_\n");
        assert_eq!(machine.read(AVAILABLE), "0=2;1=6\n");
        assert_eq!(machine.read("info/L3_MON/num_mbm_cntrs"), "0=6;1=6\n");
        machine.mkdir("b");
        assert_eq!(machine.read(AVAILABLE), "0=0;1=4\n");
        machine.audit();
    });
}

#[test]
fn the_mode_and_what_was_chosen_outlive_the_mount_and_counters_do_not() {
    on(ABMC, PLAIN, |machine| {
        machine.mkdir("a");
        machine.set(TOTAL_FILTER, "local_reads\n");
        machine.set(ON_MKDIR, "0\n");
        Fs::unmount(&machine.fs);
        for (domain, number) in [(0, 0), (0, 1), (1, 0), (1, 2)] {
            assert_eq!(machine.arch().counting(domain, number), None);
        }
        machine.audit();
        Fs::mount(&machine.fs, &PLAIN).unwrap();
        assert_eq!(machine.read("mbm_L3_assignments"), "mbm_total_bytes:0=_;1=_\nmbm_local_bytes:0=_;1=_\n");
        assert_eq!((machine.read(TOTAL_FILTER).as_str(), machine.read(ON_MKDIR).as_str()), ("local_reads\n", "0\n"));
        machine.set(MODE, "default\n");
        Fs::unmount(&machine.fs);
        Fs::mount(&machine.fs, &PLAIN).unwrap();
        assert_eq!(machine.read(MODE), "[default]\nmbm_event\n");
        machine.set(MODE, "mbm_event\n");
        Fs::unmount(&machine.fs);
        Fs::mount(&machine.fs, &PLAIN).unwrap();
        assert_eq!(machine.read("mbm_L3_assignments"), "mbm_total_bytes:0=e;1=e\nmbm_local_bytes:0=e;1=e\n");
    });
}

#[test]
fn the_bandwidth_controller_needs_every_group_counted() {
    for parameters in [ABMC, FIXED] {
        on(Parameters { mb: INTEL.mb, ..parameters }, PLAIN, |machine| {
            let mut options = PLAIN;
            assert!(machine.fs.parse_option(&mut options, "mba_MBps").is_err());
            Fs::unmount(&machine.fs);
            assert_eq!(Fs::mount(&machine.fs, &MBPS), Err(Errno::EINVAL));
            machine.audit();
            Fs::mount(&machine.fs, &PLAIN).unwrap();
        });
    }
}

#[test]
fn a_monitor_group_that_moves_keeps_its_counters() {
    on(ABMC, PLAIN, |machine| {
        machine.mkdir("a");
        machine.mkdir("a/mon_groups/m");
        machine.arch().traffic(0, 2, Transactions::ALL, 7);
        machine.rename("a/mon_groups/m", "mon_groups/m").unwrap();
        assert_eq!(total(machine, "mon_groups/m", 0), "7\n");
        assert_eq!(total(machine, "a", 0), "0\n");
        machine.audit();
        machine.rmdir("mon_groups/m");
        assert_eq!(machine.read(AVAILABLE), "0=2;1=2\n");
    });
}

#[test]
fn nothing_can_be_made_or_written_below_event_configs_but_filters() {
    on(ABMC, PLAIN, |machine| {
        let made =
            ["x", "mbm_total_bytes/x"].map(|path| machine.try_mkdir(&format!("info/L3_MON/event_configs/{path}")));
        assert_eq!(made, [Err(Errno::ENODEV), Err(Errno::EPERM)]);
        for file in ["info/L3_MON/num_mbm_cntrs", AVAILABLE] {
            assert_eq!(machine.write(file, "1\n"), Err(Errno::EACCES));
            machine.chmod(file, 0o644);
            assert_eq!(machine.write(file, "1\n"), Err(Errno::EINVAL));
        }
    });
}

#[test]
fn the_bandwidth_controller_needs_a_linear_control_of_what_is_counted() {
    let nonlinear = INTEL.mb.map(|mb| BandwidthControl { delay_linear: false, ..mb });
    for parameters in
        [Parameters { mb: None, ..INTEL }, Parameters { mb: nonlinear, ..INTEL }, Parameters { num_rmid: 0, ..INTEL }]
    {
        on(parameters, PLAIN, |machine| {
            let refused = machine.fs.parse_option(&mut MountOptions { ..PLAIN }, "mba_MBps");
            assert!(matches!(refused, Err(OptionError::Refused(why)) if why.starts_with("mba_MBps requires")));
            Fs::unmount(&machine.fs);
            assert_eq!(Fs::mount(&machine.fs, &MBPS), Err(Errno::EINVAL));
            Fs::mount(&machine.fs, &PLAIN).unwrap();
        });
    }
}

#[test]
fn each_option_of_the_mount_is_one_switch_and_there_are_no_others() {
    on(INTEL, PLAIN, |machine| {
        let mut options = MountOptions { ..PLAIN };
        let mut seen = Vec::new();
        for name in ["cdp", "cdpl2", "mba_MBps", "debug"] {
            assert_eq!(machine.fs.parse_option(&mut options, name), Ok(()));
            seen.push([options.cdp, options.cdpl2, options.mba_mbps, options.debug]);
        }
        let on = |count: usize| [0, 1, 2, 3].map(|at| at < count);
        assert_eq!(seen, [on(1), on(2), on(3), on(4)]);
        assert_eq!(machine.fs.parse_option(&mut options, "mba_mbps"), Err(OptionError::Unknown));
    });
}
