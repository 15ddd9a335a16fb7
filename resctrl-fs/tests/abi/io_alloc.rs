// SPDX-License-Identifier: GPL-2.0-only
//! `io_alloc` and `io_alloc_cbm`: cache for devices.

use resctrl_fs::MountOptions;
use resctrl_types::resource::CacheControl;
use resctrl_types::sim::fail_allocation;
use resctrl_types::{ConfType, CpuId, Errno, ResourceId};

use crate::arch::{INTEL, Parameters, SDCIAE};
use crate::machine::{CDP, DEBUG, Fs, Machine, PLAIN, on};

const SWITCH: &str = "info/L3/io_alloc";
const MASKS: &str = "info/L3/io_alloc_cbm";
const EINVAL: Errno = Errno::EINVAL;

/// What a mask of the L3 says which is programmed, for each change.
fn masks(machine: &Machine) -> Vec<(u32, u32, ConfType, u32)> {
    let applied = machine.arch().take_applied();
    let of_l3 = applied.iter().filter(|applied| applied.resource == ResourceId::L3);
    of_l3
        .map(|applied| (applied.domain, applied.change.closid.0, applied.change.conf_type, applied.change.value))
        .collect()
}

#[test]
fn every_cache_has_the_files_where_the_l3_can() {
    on(SDCIAE, PLAIN, |machine| {
        for dir in ["info/L3", "info/L2"] {
            let entries = machine.list(dir);
            assert!(["io_alloc", "io_alloc_cbm"].iter().all(|&name| entries.contains(&(name.into(), 0o644))), "{dir}");
        }
        assert!(machine.list("info/MB").iter().all(|(name, _)| !name.starts_with("io_alloc")));
        assert_eq!(machine.read(SWITCH), "disabled\n");
        assert_eq!(machine.read("info/L2/io_alloc"), "not supported\n");
    });
    on(INTEL, PLAIN, |machine| assert_eq!(machine.try_read(SWITCH), Err(Errno::ENOENT)));
}

#[test]
fn a_cache_without_it_refuses_both_files() {
    on(SDCIAE, PLAIN, |machine| {
        let words = "io_alloc is not supported on L2\n";
        for text in ["1", "0\n", "yes\n"] {
            machine.refuses("info/L2/io_alloc", text, Errno::ENODEV, words);
        }
        machine.refuses("info/L2/io_alloc", "x\n", EINVAL, "io_alloc: Invalid input\n");
        machine.refuses("info/L2/io_alloc_cbm", "0=3\n", Errno::ENODEV, words);
        machine.refuses("info/L2/io_alloc_cbm", "0=3", EINVAL, "io_alloc_cbm: Invalid input\n");
        machine.cannot_read("info/L2/io_alloc_cbm", Errno::ENODEV, words);
    });
}

#[test]
fn words_for_yes_turn_it_on_and_words_for_no_turn_it_off() {
    on(SDCIAE, PLAIN, |machine| {
        for text in ["x\n", "", "\n", " 1", "2", "\u{0}1"] {
            machine.refuses(SWITCH, text, EINVAL, "io_alloc: Invalid input\n");
        }
        for (text, state) in
            [("enable", true), ("1", true), ("off", false), ("0\n", false), ("y\n", true), ("on", true)]
        {
            machine.set(SWITCH, text);
            assert_eq!(machine.read(SWITCH), if state { "enabled\n" } else { "disabled\n" }, "{text}");
            assert_eq!(machine.arch().amd.told(), [(0, state), (1, state)]);
            machine.audit();
        }
    });
}

#[test]
fn while_it_is_off_there_are_no_masks() {
    on(SDCIAE, PLAIN, |machine| {
        let words = "io_alloc is not enabled on L3\n";
        machine.cannot_read(MASKS, EINVAL, words);
        machine.refuses(MASKS, "0=3\n", EINVAL, words);
        machine.refuses(MASKS, "", EINVAL, "io_alloc_cbm: Invalid input\n");
    });
}

#[test]
fn devices_begin_with_what_a_new_group_would() {
    on(SDCIAE, PLAIN, |machine| {
        machine.mkdir("x");
        machine.set("schemata", "L3:0=f;1=3c\nL2:0=f;1=f;2=f;3=f\n");
        machine.set("x/schemata", "L3:0=c0;1=3\nL2:0=f0;1=f0;2=f0;3=f0\n");
        machine.set("x/mode", "exclusive\n");
        machine.arch().take_applied();
        machine.set(SWITCH, "1");
        let both = ConfType::Both;
        assert_eq!(masks(machine), [(0, 7, both, 0x3f), (1, 7, both, 0xfc)]);
        assert_eq!(machine.read(MASKS), "0=3f;1=fc\n");
        machine.set(SWITCH, "0");
        assert_eq!(masks(machine), [], "masks are left as they are");
    });
}

#[test]
fn devices_take_the_highest_closid_and_no_group_gets_it() {
    let count = |machine: &Machine| (0..20).take_while(|n| machine.try_mkdir(&format!("g{n}")).is_ok()).count();
    on(SDCIAE, DEBUG, move |machine| {
        machine.set(SWITCH, "1");
        assert_eq!(count(machine), 6);
        assert_eq!(machine.status(), "Out of CLOSIDs\n");
        machine.audit();
        machine.set(SWITCH, "0");
        machine.mkdir("last");
        assert_eq!(machine.read("last/ctrl_hw_id"), "7\n");
        let words = "CLOSID (ctrl_hw_id) 7 for io_alloc is used by last group\n";
        machine.refuses(SWITCH, "1", Errno::ENOSPC, words);
        machine.set(SWITCH, "0");
        machine.rmdir("last");
        machine.set(SWITCH, "1");
        machine.audit();
    });
    on(SDCIAE, CDP, move |machine| {
        machine.set("info/L3CODE/io_alloc", "1");
        assert_eq!(count(machine), 2);
    });
}

#[test]
fn a_closid_that_another_resource_lacks_cannot_be_devices() {
    let cdpl2 = MountOptions { cdpl2: true, ..PLAIN };
    on(SDCIAE, cdpl2, |machine| {
        machine.refuses(SWITCH, "1", EINVAL, "io_alloc CLOSID (ctrl_hw_id) 7 is not available\n");
        machine.set(SWITCH, "0");
        machine.audit();
    });
}

#[test]
fn without_room_devices_get_nothing() {
    on(SDCIAE, DEBUG, |machine| {
        machine.mkdir("x");
        machine.set("schemata", "L3:0=c0;1=c0\nL2:0=3;1=3;2=3;3=3\n");
        machine.set("x/schemata", "L3:0=3f;1=3f\nL2:0=fc;1=fc;2=fc;3=fc\n");
        machine.set("x/mode", "exclusive\n");
        machine.set("mode", "exclusive\n");
        let words = "No space on L3:0\nFailed to initialize io_alloc allocations\n";
        machine.refuses(SWITCH, "1", Errno::ENOSPC, words);
        assert_eq!((machine.read(SWITCH).as_str(), machine.arch().amd.told()), ("disabled\n", vec![]));
        machine.audit();
        machine.set("mode", "shareable\n");
        machine.set(SWITCH, "1");
        assert_eq!(machine.read(MASKS), "0=c0;1=c0\n");
    });
}

#[test]
fn an_error_of_the_architecture_gives_the_closid_back() {
    on(SDCIAE, PLAIN, |machine| {
        machine.arch().amd.break_devices(Errno::EIO);
        machine.refuses(SWITCH, "1", Errno::EIO, "Failed to enable io_alloc feature\n");
        machine.audit();
    });
    on(SDCIAE, PLAIN, |machine| {
        machine.arch().break_control(ResourceId::L3, Errno::EIO);
        machine.refuses(SWITCH, "1", Errno::EIO, "Failed to initialize io_alloc allocations\n");
        assert_eq!(machine.read(SWITCH), "disabled\n");
        machine.audit();
    });
}

#[test]
fn masks_are_set_for_one_domain_or_all() {
    on(SDCIAE, PLAIN, |machine| {
        machine.set(SWITCH, "1");
        for (text, shown) in [
            ("0=f\n", "0=f;1=ff\n"),
            ("1= 0x3c ;0=3\n", "0=3;1=3c\n"),
            ("*=f0\n", "0=f0;1=f0\n"),
            ("1=c3;*=3\n", ""),
            ("*=c\n", "0=c;1=c\n"),
            ("*=3;\n", "0=3;1=3\n"),
            ("\n", "0=3;1=3\n"),
            ("+1=3f;\n", "0=3;1=3f\n"),
        ] {
            if shown.is_empty() {
                machine.refuses(MASKS, text, EINVAL, "Duplicate domain 1\n");
                continue;
            }
            machine.set(MASKS, text);
            assert_eq!(machine.read(MASKS), shown, "{text:?}");
        }
    });
}

#[test]
fn devices_get_nothing_of_a_locked_region() {
    // The kernel has no more memory in one piece than a small portion of the L3 holds.
    on(Parameters { l3: INTEL.l3, pseudo_lock: true, ..SDCIAE }, PLAIN, |machine| {
        machine.set(SWITCH, "1");
        machine.set(MASKS, "*=f0\n");
        machine.mkdir("g");
        machine.set("schemata", "L3:0=ffc;1=ffc\nL2:0=fc;1=fc;2=fc;3=fc\n");
        machine.set("g/mode", "pseudo-locksetup\n");
        machine.set("g/schemata", "L3:0=1\n");
        assert_eq!(machine.read("g/mode"), "pseudo-locked\n");
        machine.arch().take_applied();
        for text in ["0=1\n", "0=7\n", "1=1;0=fff\n", "*=3\n"] {
            machine.refuses(MASKS, text, EINVAL, "CBM overlaps with pseudo-locked region\n");
            assert_eq!(machine.read(MASKS), "0=f0;1=f0\n", "{text:?}");
        }
        assert!(masks(machine).is_empty());
        // In the other domain there is none.
        machine.set(MASKS, "1=1\n");
        machine.set(MASKS, "0=2\n");
        machine.rmdir("g");
        machine.set(MASKS, "0=1\n");
        assert_eq!(machine.read(MASKS), "0=1;1=1\n");
        machine.audit();
    });
}

#[test]
fn a_mistake_in_the_masks_changes_nothing() {
    on(SDCIAE, PLAIN, |machine| {
        machine.mkdir("x");
        machine.set("schemata", "L3:0=f;1=f\nL2:0=f;1=f;2=f;3=f\n");
        machine.set("x/schemata", "L3:0=f0;1=f0\nL2:0=f0;1=f0;2=f0;3=f0\n");
        machine.set("x/mode", "exclusive\n");
        machine.set(SWITCH, "1");
        machine.arch().take_applied();
        let bad_entry = "Missing '=' or non-numeric domain\n";
        for (text, words) in [
            ("", "io_alloc_cbm: Invalid input\n"),
            ("0=3", "io_alloc_cbm: Invalid input\n"),
            ("*=f;0=3\n", "Configurations after global '*'\n"),
            ("*=f;;\n", "Configurations after global '*'\n"),
            ("0=3;1\n", bad_entry),
            ("0=3;;1=3\n", bad_entry),
            ("x=3\n", bad_entry),
            (" *=3\n", bad_entry),
            ("**=3\n", bad_entry),
            (" 0=3\n", bad_entry),
            ("*\n", bad_entry),
            ("0=3;99=3\n", "Invalid domain 99\n"),
            ("0=3;0=c\n", "Duplicate domain 0\n"),
            ("0=3;*=3\n", "Duplicate domain 0\n"),
            ("0=3;1=zz\n", "Non-hex character in the mask zz\n"),
            ("0=3;1=0\n", "Mask out of range\n"),
            ("0=100\n", "Mask out of range\n"),
            ("0=1\n", "Need at least 2 bits in the mask\n"),
            ("0=3;1=ff\n", "Overlaps with exclusive group\n"),
            ("*=18\n", "Overlaps with exclusive group\n"),
        ] {
            machine.refuses(MASKS, text, EINVAL, words);
            assert_eq!((machine.read(MASKS).as_str(), masks(machine)), ("0=f;1=f\n", vec![]), "{text:?}");
        }
    });
}

#[test]
fn masks_without_gaps_where_there_may_be_none() {
    let l3 = SDCIAE.l3.map(|l3| CacheControl { sparse_masks: false, ..l3 });
    on(Parameters { l3, ..SDCIAE }, PLAIN, |machine| {
        machine.set(SWITCH, "1");
        machine.refuses(MASKS, "0=3;1=33\n", EINVAL, "The mask 33 has non-consecutive 1-bits\n");
    });
}

#[test]
fn what_devices_have_no_group_has_for_itself() {
    on(SDCIAE, PLAIN, |machine| {
        machine.mkdir("g");
        machine.set("schemata", "L3:0=3;1=3\nL2:0=3;1=3;2=3;3=3\n");
        machine.set("g/schemata", "L3:0=f0;1=f0\nL2:0=f0;1=f0;2=f0;3=f0\n");
        machine.set(SWITCH, "1");
        machine.set(MASKS, "*=30\n");
        machine.refuses("g/mode", "exclusive\n", EINVAL, "Schemata overlaps\n");
        machine.set(MASKS, "*=c\n");
        machine.set("g/mode", "exclusive\n");
        machine.refuses("g/schemata", "L3:0=fc\n", EINVAL, "Overlaps with other group\n");
        machine.set("schemata", "L3:0=f\n");
        machine.mkdir("h");
        assert_eq!(machine.read("h/schemata").lines().last(), Some("    L3:0=f;1=3"), "unasked nobody shares it");
    });
}

#[test]
fn bits_that_devices_use_are_the_hardwares() {
    on(SDCIAE, PLAIN, |machine| {
        machine.set("schemata", "L3:0=3;1=f\n");
        machine.set(SWITCH, "1");
        machine.set(MASKS, "*=c\n");
        assert_eq!(machine.read("info/L3/bit_usage"), "0=0000HHSS;1=0000XXSS\n");
        assert_eq!(machine.read("info/L2/bit_usage").split(';').next(), Some("0=SSSSSSSS"));
        machine.set(SWITCH, "0");
        assert_eq!(machine.read("info/L3/bit_usage"), "0=000000SS;1=0000SSSS\n");
    });
}

#[test]
fn code_and_data_have_the_same_masks() {
    on(SDCIAE, CDP, |machine| {
        let [code, data] = ["info/L3CODE/io_alloc_cbm", "info/L3DATA/io_alloc_cbm"];
        machine.set("info/L3DATA/io_alloc", "1");
        assert_eq!(machine.read("info/L3CODE/io_alloc"), "enabled\n");
        assert_eq!((machine.read(code), machine.read(data)), ("0=ff;1=ff\n".into(), "0=ff;1=ff\n".into()));
        machine.arch().take_applied();
        machine.set(code, "1=f\n");
        let mut applied = masks(machine);
        applied.sort_by_key(|&(.., conf_type, _)| conf_type == ConfType::Code);
        assert_eq!(applied, [(1, 3, ConfType::Data, 0xf), (1, 3, ConfType::Code, 0xf)]);
        assert_eq!((machine.read(code), machine.read(data)), ("0=ff;1=f\n".into(), "0=ff;1=f\n".into()));
        machine.refuses(data, "9=3\n", EINVAL, "Invalid domain 9\n");
        machine.set("info/L3CODE/io_alloc", "0");
        machine.cannot_read(data, EINVAL, "io_alloc is not enabled on L3DATA\n");
    });
}

/// The kernel leaves it on, and gives its CLOSID to a group of the next mount.
#[test]
fn unmounting_turns_it_off() {
    on(SDCIAE, PLAIN, |machine| {
        machine.set(SWITCH, "1");
        Fs::unmount(&machine.fs);
        machine.audit();
        assert_eq!(machine.arch().amd.told(), [(0, false), (1, false)]);
        Fs::mount(&machine.fs, &CDP).unwrap();
        assert_eq!(machine.read("info/L3CODE/io_alloc"), "disabled\n");
        machine.set("info/L3CODE/io_alloc", "1");
        machine.audit();
    });
}

#[test]
fn a_domain_that_comes_back_lets_devices_fill_all_of_it() {
    on(SDCIAE, PLAIN, |machine| {
        machine.set(SWITCH, "1");
        machine.set(MASKS, "*=3\n");
        for cpu in [2, 3] {
            machine.sim.offline(CpuId(cpu)).unwrap();
        }
        assert_eq!(machine.read(MASKS), "0=3\n");
        machine.refuses(MASKS, "1=3\n", EINVAL, "Invalid domain 1\n");
        machine.sim.online(CpuId(3)).unwrap();
        assert_eq!(machine.read(MASKS), "0=3;1=ff\n");
        machine.audit();
    });
}

#[test]
fn a_command_without_memory_changes_nothing() {
    on(SDCIAE, CDP, |machine| {
        let [switch, masks] = ["info/L3CODE/io_alloc", "info/L3CODE/io_alloc_cbm"];
        for (file, text, shown) in
            [(switch, "1", "enabled\n"), (masks, "0=3;1=c\n", "0=3;1=c\n"), (masks, "*=3\n", "0=3;1=3\n")]
        {
            let before = machine.try_read(file);
            for n in 0.. {
                let (written, failed) = fail_allocation(n, || machine.write(file, text));
                machine.audit();
                if !failed {
                    assert_eq!((written, machine.read(file).as_str()), (Ok(()), shown));
                    break;
                }
                assert_eq!((written, machine.try_read(file)), (Err(Errno::ENOMEM), before.clone()), "allocation {n}");
            }
        }
    });
}

#[test]
fn what_devices_and_other_hardware_may_both_fill_is_hardwares() {
    let l3 = SDCIAE.l3.map(|l3| CacheControl { shareable_bits: 0xc0, ..l3 });
    on(Parameters { l3, ..SDCIAE }, PLAIN, |machine| {
        machine.set("schemata", "L3:0=3;1=3\n");
        machine.set(SWITCH, "1");
        machine.set(MASKS, "0=60;1=c\n");
        assert_eq!(machine.read("info/L3/bit_usage"), "0=HHH000SS;1=HH00HHSS\n");
    });
}
