// SPDX-License-Identifier: GPL-2.0-only
//! `mon_data`, where directories come and go with domains.

use resctrl_types::CpuId;

use crate::arch::INTEL;
use crate::machine::{Machine, PLAIN, on};

/// Lets the second domain go and come.
fn come_again(machine: &Machine) {
    for cpu in [2, 3].map(CpuId) {
        machine.sim.offline(cpu).unwrap();
    }
    for cpu in [2, 3].map(CpuId) {
        machine.sim.online(cpu).unwrap();
    }
}

#[test]
fn the_directory_of_a_domain_that_comes_has_the_mode_of_mon_data() {
    on(INTEL, PLAIN, |machine| {
        machine.mkdir("g");
        for (dir, mode) in [("mon_data", 0o555), ("g/mon_data", 0o755)] {
            let before = machine.list(dir);
            assert_eq!(before, [("mon_L3_00".to_owned(), mode), ("mon_L3_01".to_owned(), mode)]);
            come_again(machine);
            assert_eq!(machine.list(dir), before);
        }
        machine.chmod("g/mon_data", 0o700);
        come_again(machine);
        assert_eq!(machine.list("g/mon_data"), [("mon_L3_00".to_owned(), 0o755), ("mon_L3_01".to_owned(), 0o700)]);
    });
}
