// SPDX-License-Identifier: GPL-2.0-only
//! `mbm_L3_assignments`: who is counted where.

use resctrl_types::{Errno, Transactions};

use crate::arch::ABMC;
use crate::machine::{Machine, PLAIN, on};

const FILE: &str = "mbm_L3_assignments";

/// The assignments of the default group: total and local in the domains 0 and 1.
#[track_caller]
fn assert_assigned(machine: &Machine, states: [char; 4]) {
    let [a, b, c, d] = states;
    assert_eq!(machine.read(FILE), format!("mbm_total_bytes:0={a};1={b}\nmbm_local_bytes:0={c};1={d}\n"));
}

#[test]
fn events_are_assigned_and_unassigned_in_each_domain() {
    on(ABMC, PLAIN, |machine| {
        assert_assigned(machine, ['e', 'e', 'e', 'e']);
        machine.set(FILE, "mbm_total_bytes:0=_\n");
        assert_assigned(machine, ['_', 'e', 'e', 'e']);
        machine.set(FILE, "mbm_local_bytes:*=_\n");
        assert_assigned(machine, ['_', 'e', '_', '_']);
        machine.set(FILE, "mbm_total_bytes:0=e;1=_\nmbm_local_bytes: 1=e ;0=_\n");
        assert_assigned(machine, ['e', '_', '_', 'e']);
        machine.set(FILE, "mbm_local_bytes:*=e\nmbm_total_bytes:*=e\n");
        assert_assigned(machine, ['e', 'e', 'e', 'e']);
        machine.audit();
    });
}

#[test]
fn what_is_as_it_should_be_stays_and_goes_on_counting() {
    on(ABMC, PLAIN, |machine| {
        machine.arch().traffic(0, 0, Transactions::ALL, 9);
        machine.set(FILE, "mbm_total_bytes:0=e\n");
        assert_eq!(machine.read("mon_data/mon_L3_00/mbm_total_bytes"), "9\n");
        machine.set(FILE, "mbm_total_bytes:0=_;0=_\n");
        machine.set(FILE, "mbm_total_bytes:0=e\n");
        assert_eq!(machine.read("mon_data/mon_L3_00/mbm_total_bytes"), "0\n");
        assert_eq!(machine.read("info/L3_MON/available_mbm_cntrs"), "0=4;1=4\n");
    });
}

#[test]
fn an_event_without_domains_is_left_alone() {
    on(ABMC, PLAIN, |machine| {
        for text in ["mbm_total_bytes\n", "mbm_total_bytes:\n", "mbm_total_bytes:0=e;\n"] {
            machine.set(FILE, text);
        }
        assert_assigned(machine, ['e', 'e', 'e', 'e']);
    });
}

#[test]
fn all_domains_end_the_line() {
    on(ABMC, PLAIN, |machine| {
        machine.set(FILE, "mbm_total_bytes:*=e;0=_;bogus\n");
        assert_assigned(machine, ['e', 'e', 'e', 'e']);
        machine.set(FILE, "mbm_total_bytes:*9x=_;0=e\nmbm_local_bytes:0=_\n");
        assert_assigned(machine, ['_', '_', '_', 'e']);
    });
}

#[test]
fn every_mistake_has_its_words() {
    on(ABMC, PLAIN, |machine| {
        for (text, errno, words) in [
            ("", Errno::EINVAL, "mbm_L3_assignments: Invalid input\n"),
            ("mbm_total_bytes:0=e", Errno::EINVAL, "mbm_L3_assignments: Invalid input\n"),
            ("\n", Errno::ENOENT, "Invalid event \n"),
            ("bogus:0=e\n", Errno::ENOENT, "Invalid event bogus\n"),
            ("llc_occupancy:0=e\n", Errno::ENOENT, "Invalid event llc_occupancy\n"),
            (" mbm_total_bytes:0=e\n", Errno::ENOENT, "Invalid event  mbm_total_bytes\n"),
            ("mbm_total_bytes:0=e\n\n", Errno::ENOENT, "Invalid event \n"),
            ("mbm_total_bytes:x=e\n", Errno::EINVAL, "Missing domain id\n"),
            ("mbm_total_bytes:=e\n", Errno::EINVAL, "Missing domain id\n"),
            ("mbm_total_bytes:0 =e\n", Errno::EINVAL, "Missing domain id\n"),
            ("mbm_total_bytes:;0=e\n", Errno::EINVAL, "Missing domain id\n"),
            ("mbm_total_bytes:0x0=e\n", Errno::EINVAL, "Missing domain id\n"),
            ("mbm_total_bytes:99=e\n", Errno::EINVAL, "Invalid domain id 99\n"),
            ("mbm_total_bytes:18446744073709551615=e\n", Errno::EINVAL, "Invalid domain id -1\n"),
            ("mbm_total_bytes:0=q\n", Errno::EINVAL, "Assign operation 'mbm_total_bytes:0=q' failed\n"),
            ("mbm_total_bytes:0=\n", Errno::EINVAL, "Assign operation 'mbm_total_bytes:0=' failed\n"),
            ("mbm_local_bytes:+01=ee\n", Errno::EINVAL, "Assign operation 'mbm_local_bytes:1=ee' failed\n"),
            ("mbm_total_bytes:0\n", Errno::EINVAL, "Assign operation 'mbm_total_bytes:0' failed\n"),
            ("mbm_total_bytes:*=q\n", Errno::EINVAL, "Assign operation 'mbm_total_bytes:*=q' failed\n"),
            ("mbm_total_bytes:*\n", Errno::EINVAL, "Assign operation 'mbm_total_bytes:*' failed\n"),
        ] {
            machine.refuses(FILE, text, errno, words);
        }
        assert_assigned(machine, ['e', 'e', 'e', 'e']);
    });
}

#[test]
fn what_comes_before_a_mistake_is_done() {
    on(ABMC, PLAIN, |machine| {
        let text = "mbm_total_bytes:0=_;1=q;1=_\nmbm_local_bytes:0=_\n";
        machine.refuses(FILE, text, Errno::EINVAL, "Assign operation 'mbm_total_bytes:1=q' failed\n");
        assert_assigned(machine, ['_', 'e', 'e', 'e']);
        machine.refuses(FILE, "mbm_local_bytes:1=_\nx\n", Errno::ENOENT, "Invalid event x\n");
        assert_assigned(machine, ['_', 'e', 'e', '_']);
    });
}

#[test]
fn without_a_free_counter_it_says_where_and_goes_on_elsewhere() {
    on(ABMC, PLAIN, |machine| {
        machine.set(FILE, "mbm_total_bytes:1=_\n");
        ["a", "b"].into_iter().for_each(|group| machine.mkdir(group));
        machine.set(FILE, "mbm_total_bytes:0=_\n");
        machine.try_mkdir("mon_groups/m").unwrap();
        machine.set("mon_groups/m/mbm_L3_assignments", "mbm_total_bytes:1=_\n");
        let missing = "Failed to allocate counter for mbm_total_bytes in domain 0\n";
        let one = format!("{missing}Assign operation 'mbm_total_bytes:0=e' failed\n");
        machine.refuses(FILE, "mbm_total_bytes:0=e\n", Errno::ENOSPC, &one);
        let all = format!("{missing}Assign operation 'mbm_total_bytes:*=e' failed\n");
        machine.refuses(FILE, "mbm_total_bytes:*=e\n", Errno::ENOSPC, &all);
        assert_assigned(machine, ['_', 'e', 'e', 'e']);
        machine.audit();
    });
}
