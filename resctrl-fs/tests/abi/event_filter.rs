// SPDX-License-Identifier: GPL-2.0-only
//! `event_filter`: what an event counts.

use resctrl_types::{Errno, Transactions};

use crate::arch::{ABMC, FIXED};
use crate::machine::{Machine, PLAIN, on};

const TOTAL: &str = "info/L3_MON/event_configs/mbm_total_bytes/event_filter";
const LOCAL: &str = "info/L3_MON/event_configs/mbm_local_bytes/event_filter";
const ALL_SEVEN: &str = "local_reads,remote_reads,local_non_temporal_writes,remote_non_temporal_writes,\
                         local_reads_slow_memory,remote_reads_slow_memory,dirty_victim_writes_all\n";

#[test]
fn by_default_the_total_is_all_that_can_be_counted_and_the_local_part_of_it_is_local() {
    on(ABMC, PLAIN, |machine| {
        assert_eq!(machine.read(TOTAL), ALL_SEVEN.replace(",remote_reads_slow_memory", ""));
        assert_eq!(machine.read(LOCAL), "local_reads,local_non_temporal_writes,local_reads_slow_memory\n");
    });
    on(FIXED, PLAIN, |machine| assert_eq!(machine.read(TOTAL), ALL_SEVEN));
}

#[test]
fn names_come_in_any_order_and_read_back_in_one() {
    on(ABMC, PLAIN, |machine| {
        for (text, shown) in [
            ("remote_reads, local_reads\n", "local_reads,remote_reads\n"),
            (" local_reads ,local_reads,\n", "local_reads\n"),
            ("remote_reads_slow_memory\n", "remote_reads_slow_memory\n"),
            ("\n", "\n"),
            ("dirty_victim_writes_all,local_reads\n", "local_reads,dirty_victim_writes_all\n"),
        ] {
            machine.set(TOTAL, text);
            assert_eq!(machine.read(TOTAL), shown);
        }
        let local = "local_reads,local_non_temporal_writes,local_reads_slow_memory\n";
        assert_eq!(machine.read(LOCAL), local, "the other event's is its own");
    });
}

#[test]
fn a_list_with_a_mistake_changes_nothing() {
    on(ABMC, PLAIN, |machine| {
        machine.set(TOTAL, "local_reads\n");
        for (text, unknown) in [
            ("bogus\n", "bogus"),
            ("remote_reads, bogus ,local_reads\n", "bogus"),
            ("remote_reads,,local_reads\n", ""),
            (",\n", ""),
            (" \n", ""),
            ("remote_reads, \n", ""),
            ("Local_reads\n", "Local_reads"),
            ("local_reads remote_reads\n", "local_reads remote_reads"),
        ] {
            let words = format!("Invalid memory transaction type {unknown}\n");
            machine.refuses(TOTAL, text, Errno::EINVAL, &words);
        }
        for text in ["", "remote_reads"] {
            machine.refuses(TOTAL, text, Errno::EINVAL, "event_filter: Invalid input\n");
        }
        assert_eq!(machine.read(TOTAL), "local_reads\n");
    });
}

#[test]
fn a_fixed_filter_is_read_only_also_when_its_mode_is_changed() {
    on(FIXED, PLAIN, |machine| {
        assert_eq!(machine.write(TOTAL, "local_reads\n"), Err(Errno::EACCES));
        machine.chmod(TOTAL, 0o644);
        for text in ["local_reads\n", "bogus\n"] {
            machine.refuses(TOTAL, text, Errno::EPERM, "event_filter is not configurable\n");
        }
        machine.refuses(TOTAL, "local_reads", Errno::EINVAL, "event_filter: Invalid input\n");
        assert_eq!(machine.read(TOTAL), ALL_SEVEN);
    });
}

#[test]
fn a_change_makes_every_counter_of_the_event_begin_at_zero_and_no_other() {
    let shown = |machine: &Machine, group: &str| {
        let read = |event| machine.read(&format!("{group}mon_data/mon_L3_00/mbm_{event}_bytes"));
        (read("total"), read("local"))
    };
    let numbers = |total: &str, local: &str| (format!("{total}\n"), format!("{local}\n"));
    on(ABMC, PLAIN, move |machine| {
        machine.mkdir("a");
        machine.arch().traffic(0, 0, Transactions::ALL, 5);
        machine.arch().traffic(0, 1, Transactions::ALL, 40);
        assert_eq!((shown(machine, ""), shown(machine, "a/")), (numbers("5", "5"), numbers("40", "40")));
        machine.set(TOTAL, "remote_reads\n");
        assert_eq!((shown(machine, ""), shown(machine, "a/")), (numbers("0", "5"), numbers("0", "40")));
        let remote_reads = Transactions::from_name(b"remote_reads").unwrap();
        machine.arch().traffic(0, 1, remote_reads, 6);
        machine.arch().traffic(0, 1, Transactions::from_bits(1), 100);
        assert_eq!(shown(machine, "a/"), numbers("6", "140"));
        machine.set(TOTAL, "remote_reads,\n");
        assert_eq!(shown(machine, "a/"), numbers("6", "140"), "nothing changed");
        let counting = machine.arch().counting(1, 0).unwrap();
        assert_eq!(counting.filter, remote_reads);
        machine.mkdir("b");
        assert_eq!(machine.arch().counting(1, 4).unwrap().filter, remote_reads, "a later counter counts the same");
    });
}
