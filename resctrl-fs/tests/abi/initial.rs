// SPDX-License-Identifier: GPL-2.0-only
//! What new groups start with.

use resctrl_types::resource::CacheControl;
use resctrl_types::{Errno, ResourceId};

use crate::arch::{AMD, INTEL, Parameters};
use crate::machine::{CDP, DEBUG, MBPS, PLAIN, on};

#[test]
fn a_new_group_shares_with_those_who_share() {
    on(INTEL, PLAIN, |machine| {
        machine.set("schemata", "L3:0=f;1=f\nMB:0=10;1=20\n");
        machine.mkdir("g");
        assert_eq!(machine.read("g/schemata"), "    MB:0=100;1=100\n    L3:0=fff;1=fff\n");
        assert_eq!(machine.read("g/mode"), "shareable\n");
        assert_eq!((machine.read("g/cpus").as_str(), machine.read("g/tasks").as_str()), ("0\n", ""));
    });
}

#[test]
fn a_new_group_gets_the_lowest_run_of_what_is_left() {
    on(INTEL, PLAIN, |machine| {
        machine.mkdir("x");
        machine.set("schemata", "L3:0=f;1=f00\n");
        machine.set("x/schemata", "L3:0=f0;1=0f0\n");
        machine.set("x/mode", "exclusive\n");
        machine.mkdir("g");
        assert_eq!(machine.read("g/schemata").lines().nth(1), Some("    L3:0=f;1=f"));
    });
}

#[test]
fn with_sparse_masks_it_gets_all_that_is_left() {
    let sparse = INTEL.l3.map(|l3| CacheControl { sparse_masks: true, ..l3 });
    on(Parameters { l3: sparse, ..INTEL }, PLAIN, |machine| {
        machine.mkdir("x");
        machine.set("schemata", "L3:0=f;1=f\n");
        machine.set("x/schemata", "L3:0=f0;1=f0\n");
        machine.set("x/mode", "exclusive\n");
        machine.mkdir("g");
        assert_eq!(machine.read("g/schemata").lines().nth(1), Some("    L3:0=f0f;1=f0f"));
    });
}

#[test]
fn without_room_there_is_no_group_and_its_closid_is_free_again() {
    on(INTEL, DEBUG, |machine| {
        machine.mkdir("x");
        machine.set("schemata", "L3:0=1;1=1\n");
        machine.set("x/schemata", "L3:0=ffe;1=ffe\n");
        machine.set("x/mode", "exclusive\n");
        machine.set("mode", "exclusive\n");
        assert_eq!(machine.try_mkdir("g"), Err(Errno::ENOSPC));
        assert_eq!(machine.status(), "No space on L3:0\n");
        assert!(machine.list("").iter().all(|(name, _)| name != "g"));
        machine.set("mode", "shareable\n");
        machine.mkdir("g");
        assert_eq!(machine.read("g/ctrl_hw_id"), "2\n");
        assert_eq!(machine.read("g/schemata").lines().nth(1), Some("    L3:0=1;1=1"));
    });
}

#[test]
fn where_no_bit_is_needed_no_room_is_room_enough() {
    on(AMD, PLAIN, |machine| {
        machine.set("mode", "exclusive\n");
        machine.mkdir("g");
        assert_eq!(machine.read("g/schemata").lines().last(), Some("    L3:0=0;1=0"));
    });
}

#[test]
fn code_and_data_start_clear_of_both_of_others() {
    on(INTEL, CDP, |machine| {
        machine.set("schemata", "L3DATA:0=fe0;1=fe0\nL3CODE:0=c00;1=ff0\n");
        machine.set("mode", "exclusive\n");
        machine.mkdir("g");
        let schemata = machine.read("g/schemata");
        assert_eq!(schemata.lines().skip(1).collect::<Vec<_>>(), ["L3DATA:0=1f;1=f", "L3CODE:0=1f;1=f"]);
    });
}

#[test]
fn an_error_of_the_architecture_is_named() {
    on(INTEL, PLAIN, |machine| {
        machine.arch().break_control(ResourceId::Mb, Errno::EIO);
        assert_eq!(machine.try_mkdir("g"), Err(Errno::EIO));
        assert_eq!(machine.status(), "Failed to initialize allocations\n");
    });
}

#[test]
fn a_new_group_has_no_target_whoever_had_its_closid_before() {
    on(INTEL, MBPS, |machine| {
        machine.mkdir("g");
        machine.set("g/schemata", "MB:0=5;1=6\n");
        machine.rmdir("g");
        machine.mkdir("h");
        assert_eq!(machine.read("h/schemata").lines().next(), Some("    MB:0=4294967295;1=4294967295"));
    });
}
