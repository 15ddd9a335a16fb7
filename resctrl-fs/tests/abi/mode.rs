// SPDX-License-Identifier: GPL-2.0-only
//! `mode`, and what exclusive groups mean to others.

use resctrl_types::resource::CacheControl;
use resctrl_types::{CpuId, Errno};

use crate::arch::{INTEL, Parameters};
use crate::machine::{CDP, PLAIN, on};

#[test]
fn a_group_that_meets_nobody_may_be_exclusive_and_shareable_again() {
    on(INTEL, PLAIN, |machine| {
        machine.mkdir("g");
        assert_eq!(machine.read("g/mode"), "shareable\n");
        machine.set("g/schemata", "L3:0=f;1=f\n");
        machine.set("schemata", "L3:0=ff0;1=ff0\n");
        machine.set("g/mode", "exclusive\n");
        machine.set("g/mode", "exclusive\n");
        assert_eq!(machine.read("g/mode"), "exclusive\n");
        machine.refuses("schemata", "L3:0=ff8\n", Errno::EINVAL, "Overlaps with exclusive group\n");
        machine.set("g/mode", "shareable\n");
        machine.set("schemata", "L3:0=ff8\n");
    });
}

#[test]
fn a_group_that_is_exclusive_already_is_not_asked_again() {
    on(INTEL, PLAIN, |machine| {
        machine.mkdir("g");
        machine.set("schemata", "L3:0=ff0;1=ff0\n");
        machine.set("g/schemata", "L3:0=f;1=f\n");
        machine.set("g/mode", "exclusive\n");
        // A domain that comes back gives everybody everything.
        for cpu in [2, 3].map(CpuId) {
            machine.sim.offline(cpu).unwrap();
        }
        machine.sim.online(CpuId(2)).unwrap();
        assert_eq!(machine.read("g/schemata").lines().nth(1), Some("    L3:0=f;1=fff"));
        machine.set("g/mode", "exclusive\n");
        machine.set("g/mode", "shareable\n");
        machine.refuses("g/mode", "exclusive\n", Errno::EINVAL, "Schemata overlaps\n");
    });
}

#[test]
fn the_default_group_may_be_exclusive_too() {
    on(INTEL, PLAIN, |machine| {
        machine.set("mode", "exclusive\n");
        assert_eq!(machine.read("mode"), "exclusive\n");
    });
}

#[test]
fn bits_that_other_hardware_fills_are_never_exclusive() {
    let l3 = INTEL.l3.map(|l3| CacheControl { shareable_bits: 0xc00, ..l3 });
    on(Parameters { l3, ..INTEL }, PLAIN, |machine| {
        machine.refuses("mode", "exclusive\n", Errno::EINVAL, "Schemata overlaps\n");
        machine.set("schemata", "L3:0=3ff;1=3ff\n");
        machine.set("mode", "exclusive\n");
        machine.refuses("schemata", "L3:0=7ff\n", Errno::EINVAL, "Overlaps with other group\n");
    });
}

#[test]
fn code_is_protected_from_the_data_of_others_but_not_from_its_own() {
    on(INTEL, CDP, |machine| {
        machine.mkdir("g");
        machine.set("schemata", "L3DATA:0=f00;1=f00\nL3CODE:0=f00;1=f00\n");
        machine.set("g/schemata", "L3DATA:0=f;1=f\nL3CODE:0=1f;1=1f\n");
        machine.set("g/mode", "exclusive\n");
        machine.refuses("schemata", "L3DATA:0=10\n", Errno::EINVAL, "Overlaps with exclusive group\n");
        machine.refuses("schemata", "L3CODE:1=8\n", Errno::EINVAL, "Overlaps with exclusive group\n");
        machine.set("schemata", "L3DATA:0=e0\n");
        machine.set("g/schemata", "L3CODE:0=f\n");
    });
}
