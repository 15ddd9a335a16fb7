// SPDX-License-Identifier: GPL-2.0-only
//! `schemata` and `size`.

use resctrl_types::arch::Change;
use resctrl_types::resource::CacheControl;
use resctrl_types::{Closid, ConfType, CpuId, Errno, ResourceId};

use crate::arch::{AMD, Applied, INTEL, MONITOR_ONLY, Parameters};
use crate::machine::{CDP, MBPS, PLAIN, on};
use resctrl_fs::MountOptions;

fn applied(resource: ResourceId, domain: u32, conf_type: ConfType, value: u32) -> Applied {
    Applied { resource, domain, change: Change { closid: Closid(0), conf_type, value } }
}

#[test]
fn a_cache_that_could_split_keeps_room_for_its_longer_names() {
    on(INTEL, PLAIN, |machine| {
        assert_eq!(machine.read("schemata"), "    MB:0=100;1=100\n    L3:0=fff;1=fff\n");
        // 32 MiB / 12, rounded down, times 12.
        assert_eq!(machine.read("size"), "    MB:0=100;1=100\n    L3:0=33554424;1=33554424\n");
    });
}

#[test]
fn a_cache_that_cannot_split_needs_no_room() {
    on(Parameters { cdp_capable: false, ..AMD }, PLAIN, |machine| {
        assert_eq!(machine.read("schemata"), "SMBA:0=2048;1=2048\n  MB:0=2048;1=2048\n  L3:0=ffff;1=ffff\n");
        machine.set("schemata", "L3:0=0\n");
        assert_eq!(machine.read("size"), "SMBA:0=2048;1=2048\n  MB:0=2048;1=2048\n  L3:0=0;1=33554432\n");
    });
}

#[test]
fn code_and_data_have_lines_of_their_own() {
    let l2 = Some(CacheControl { cbm_len: 8, min_cbm_bits: 1, shareable_bits: 0, sparse_masks: false });
    on(Parameters { l2, ..INTEL }, MountOptions { cdpl2: true, ..CDP }, |machine| {
        machine.set("schemata", "L3CODE:0=f\nL2DATA:3=1\nL3DATA:0=f0\n");
        assert_eq!(
            machine.read("schemata"),
            "    MB:0=100;1=100\n\
             L2DATA:0=ff;1=ff;2=ff;3=1\n\
             L2CODE:0=ff;1=ff;2=ff;3=ff\n\
             L3DATA:0=f0;1=fff\n\
             L3CODE:0=f;1=fff\n"
        );
        assert_eq!(machine.read("size").lines().nth(1), Some("L2DATA:0=2097152;1=2097152;2=2097152;3=262144"));
    });
}

#[test]
fn values_are_programmed_schema_by_schema_domain_by_domain() {
    on(Parameters { cdp_capable: true, ..AMD }, CDP, |machine| {
        machine.set("schemata", "L3CODE:1=1;0=2\nL3DATA:0=3\nMB:1=5;0=6\nSMBA:0=7\n");
        let all = machine.arch().take_applied();
        assert_eq!(
            all[..3],
            [
                applied(ResourceId::Smba, 0, ConfType::Both, 7),
                applied(ResourceId::Mb, 0, ConfType::Both, 6),
                applied(ResourceId::Mb, 1, ConfType::Both, 5),
            ]
        );
        let caches = &all[3..];
        assert_eq!(caches.iter().map(|applied| applied.domain).collect::<Vec<_>>(), [0, 0, 1]);
        assert!(caches.contains(&applied(ResourceId::L3, 0, ConfType::Data, 3)));
        assert!(caches.contains(&applied(ResourceId::L3, 0, ConfType::Code, 2)));
        assert!(caches.contains(&applied(ResourceId::L3, 1, ConfType::Code, 1)));
    });
}

#[test]
fn a_mistake_in_the_last_line_leaves_the_first_unprogrammed() {
    on(INTEL, PLAIN, |machine| {
        machine.refuses("schemata", "L3:0=1\nMB:0=10\nL3:1=0\n", Errno::EINVAL, "Mask out of range\n");
        assert_eq!(machine.arch().take_applied(), []);
        assert_eq!(machine.read("schemata"), "    MB:0=100;1=100\n    L3:0=fff;1=fff\n");
    });
}

#[test]
fn an_error_of_the_architecture_is_passed_on() {
    on(INTEL, PLAIN, |machine| {
        machine.arch().break_control(ResourceId::Mb, Errno::EIO);
        machine.refuses("schemata", "MB:0=10\n", Errno::EIO, "Failed to program MB:0: error -5\n");
    });
}

#[test]
fn what_is_shown_can_be_written_back() {
    for (parameters, options) in [(INTEL, PLAIN), (INTEL, CDP), (AMD, PLAIN), (AMD, CDP)] {
        on(parameters, options, |machine| {
            machine.mkdir("g");
            let shown = machine.read("g/schemata");
            machine.set("g/schemata", &shown);
            assert_eq!(machine.read("g/schemata"), shown);
        });
    }
}

#[test]
fn bandwidth_is_rounded_up() {
    on(INTEL, PLAIN, |machine| {
        machine.set("schemata", "MB:0=11;1=90\n");
        assert_eq!(machine.read("schemata").lines().next(), Some("    MB:0=20;1=90"));
    });
}

#[test]
fn a_domain_without_cpus_is_unknown() {
    on(INTEL, PLAIN, |machine| {
        machine.sim.offline(CpuId(2)).unwrap();
        machine.sim.offline(CpuId(3)).unwrap();
        assert_eq!(machine.read("schemata"), "    MB:0=100\n    L3:0=fff\n");
        machine.refuses("schemata", "L3:1=1\n", Errno::EINVAL, "Invalid domain 1\n");
        machine.sim.online(CpuId(2)).unwrap();
        machine.set("schemata", "L3:1=1\n");
    });
}

#[test]
fn targets_survive_a_later_mistake_and_may_be_given_twice() {
    on(INTEL, MBPS, |machine| {
        assert_eq!(machine.read("schemata").lines().next(), Some("    MB:0=4294967295;1=4294967295"));
        machine.refuses("schemata", "MB:0=100;1=7;0=200\nL3:0=0\n", Errno::EINVAL, "Mask out of range\n");
        assert_eq!(machine.read("schemata"), "    MB:0=200;1=7\n    L3:0=fff;1=fff\n");
        assert_eq!(machine.read("size").lines().next(), Some("    MB:0=200;1=7"));
        assert_eq!(machine.arch().take_applied(), [], "the hardware is for the controller");
        machine.refuses("schemata", "MB:0=4294967296\n", Errno::EINVAL, "Invalid MB value 4294967296\n");
    });
}

#[test]
fn a_file_of_nothing_is_empty() {
    on(MONITOR_ONLY, PLAIN, |machine| {
        assert_eq!(machine.read("schemata"), "");
        assert_eq!(machine.read("size"), "");
    });
}

#[test]
fn the_text_ends_at_a_nul_but_the_newline_is_the_last_byte_written() {
    on(INTEL, PLAIN, |machine| {
        machine.refuses("schemata", b"L3:0=1\n\0", Errno::EINVAL, "schemata: Invalid input\n");
        machine.set("schemata", b"L3:0=1\0;1=2\n");
        assert_eq!(machine.read("schemata"), "    MB:0=100;1=100\n    L3:0=1;1=fff\n");
    });
}
