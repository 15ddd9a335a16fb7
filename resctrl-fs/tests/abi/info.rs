// SPDX-License-Identifier: GPL-2.0-only
//! The directory `info`.

use resctrl_types::resource::{BandwidthControl, CacheControl, ThrottleMode};

use crate::arch::{AMD, INTEL, MONITOR_ONLY, Parameters};
use crate::machine::{CDP, Machine, PLAIN, on};

/// What `ls` says of a directory below `info`.
fn listing(machine: &Machine, dir: &str) -> String {
    let entries = machine.list(&format!("info/{dir}"));
    entries.iter().map(|(name, mode)| format!("{name} {mode:o}\n")).collect()
}

#[test]
fn every_schema_has_a_directory_and_so_has_monitoring() {
    on(INTEL, PLAIN, |machine| {
        assert_eq!(listing(machine, ""), "L3 555\nL3_MON 555\nMB 555\nlast_cmd_status 444\n");
        assert_eq!(
            listing(machine, "L3"),
            "bit_usage 444\ncbm_mask 444\nmin_cbm_bits 444\nnum_closids 444\nshareable_bits 444\nsparse_masks 444\n"
        );
        assert_eq!(
            listing(machine, "MB"),
            "bandwidth_gran 444\ndelay_linear 444\nmin_bandwidth 444\nnum_closids 444\nthread_throttle_mode 444\n"
        );
        assert_eq!(
            listing(machine, "L3_MON"),
            "max_threshold_occupancy 644\nmbm_assign_mode 644\nmon_features 444\nnum_rmids 444\n"
        );
    });
    on(INTEL, CDP, |machine| {
        assert_eq!(listing(machine, ""), "L3CODE 555\nL3DATA 555\nL3_MON 555\nMB 555\nlast_cmd_status 444\n");
    });
    on(MONITOR_ONLY, PLAIN, |machine| {
        assert_eq!(listing(machine, ""), "L3_MON 555\nlast_cmd_status 444\n");
    });
    on(Parameters { num_rmid: 0, ..AMD }, PLAIN, |machine| {
        assert_eq!(listing(machine, ""), "L3 555\nMB 555\nSMBA 555\nlast_cmd_status 444\n");
        assert_eq!(
            listing(machine, "MB"),
            "bandwidth_gran 444\ndelay_linear 444\nmin_bandwidth 444\nnum_closids 444\n"
        );
    });
}

#[test]
fn the_files_say_what_the_machine_can_do() {
    on(INTEL, PLAIN, |machine| {
        let table = [
            ("L3/num_closids", "8\n"),
            ("L3/cbm_mask", "fff\n"),
            ("L3/min_cbm_bits", "1\n"),
            ("L3/shareable_bits", "0\n"),
            ("L3/sparse_masks", "0\n"),
            ("MB/num_closids", "8\n"),
            ("MB/min_bandwidth", "10\n"),
            ("MB/bandwidth_gran", "10\n"),
            ("MB/delay_linear", "1\n"),
            ("MB/thread_throttle_mode", "max\n"),
            ("L3_MON/num_rmids", "16\n"),
            ("L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n"),
            ("L3_MON/mbm_assign_mode", "[default]\n"),
            ("last_cmd_status", "ok\n"),
        ];
        for (file, text) in table {
            assert_eq!(machine.read(&format!("info/{file}")), text, "{file}");
        }
    });
    on(AMD, CDP, |machine| {
        let table = [
            ("L3CODE/num_closids", "4\n"),
            ("L3DATA/cbm_mask", "ffff\n"),
            ("L3CODE/min_cbm_bits", "0\n"),
            ("L3CODE/sparse_masks", "1\n"),
            ("SMBA/num_closids", "8\n"),
            ("SMBA/min_bandwidth", "0\n"),
            ("MB/bandwidth_gran", "1\n"),
            ("MB/delay_linear", "0\n"),
        ];
        for (file, text) in table {
            assert_eq!(machine.read(&format!("info/{file}")), text, "{file}");
        }
    });
}

#[test]
fn a_throttle_mode_known_of_one_bandwidth_is_undefined_for_the_other() {
    let mb = INTEL.mb.map(|mb| BandwidthControl { throttle_mode: Some(ThrottleMode::PerThread), ..mb });
    on(Parameters { mb, ..AMD }, PLAIN, |machine| {
        assert_eq!(machine.read("info/MB/thread_throttle_mode"), "per-thread\n");
        assert_eq!(machine.read("info/SMBA/thread_throttle_mode"), "undefined\n");
    });
}

#[test]
fn each_bit_says_who_uses_it() {
    let l3 = Some(CacheControl { cbm_len: 8, min_cbm_bits: 1, shareable_bits: 0xc0, sparse_masks: false });
    on(Parameters { l3, ..INTEL }, PLAIN, |machine| {
        assert_eq!(machine.read("info/L3/bit_usage"), "0=XXSSSSSS;1=XXSSSSSS\n");
        machine.mkdir("x");
        machine.set("schemata", "L3:0=60;1=60\n");
        machine.set("x/schemata", "L3:0=6;1=1\n");
        machine.set("x/mode", "exclusive\n");
        assert_eq!(machine.read("info/L3/bit_usage"), "0=HXS00EE0;1=HXS0000E\n");
        machine.rmdir("x");
        assert_eq!(machine.read("info/L3/bit_usage"), "0=HXS00000;1=HXS00000\n");
    });
    on(INTEL, CDP, |machine| {
        machine.set("schemata", "L3CODE:0=f\n");
        assert_eq!(machine.read("info/L3DATA/bit_usage"), "0=SSSSSSSSSSSS;1=SSSSSSSSSSSS\n");
        assert_eq!(machine.read("info/L3CODE/bit_usage"), "0=00000000SSSS;1=SSSSSSSSSSSS\n");
    });
}

#[test]
fn the_threshold_is_rounded_down_to_what_the_hardware_counts() {
    on(INTEL, PLAIN, |machine| {
        let file = "info/L3_MON/max_threshold_occupancy";
        assert_eq!(machine.read(file), "65536\n", "the limit divided by the RMIDs");
        machine.set(file, "0x1fff");
        assert_eq!(machine.read(file), "4096\n");
        machine.set(file, "1048576\n");
        assert_eq!(machine.read(file), "1048576\n");
        machine.set(file, "0\n");
        assert_eq!(machine.read(file), "0\n");
    });
    // 69905 bytes for each.
    on(Parameters { num_rmid: 15, ..INTEL }, PLAIN, |machine| {
        assert_eq!(machine.read("info/L3_MON/max_threshold_occupancy"), "69632\n");
    });
}

#[test]
fn the_one_assign_mode_may_be_written() {
    on(INTEL, PLAIN, |machine| machine.set("info/L3_MON/mbm_assign_mode", "default\n"));
}
