// SPDX-License-Identifier: GPL-2.0-only
//! The target on inputs that nobody chose, and what each format means on values that nobody chose.

use proptest::prelude::*;
use proptest::sample::Index;
use resctrl_types::Transactions;

use crate::arch::{ABMC, BMEC, INTEL, SDCIAE};
use crate::machine::{PLAIN, on};
use crate::{Look, Target, kept, seeds};

/// All files are compared, for every input.
fn carry_out(target: Target, data: &[u8]) -> usize {
    crate::carry_out(target, data, Look::Always)
}

#[test]
fn most_of_the_good_commands_are_accepted() {
    let accepted: Vec<_> = seeds(Target::Commands).iter().map(|seed| carry_out(Target::Commands, seed)).collect();
    assert!(accepted.chunks(2).all(|both| both.iter().sum::<usize>() >= 8), "{accepted:?}");
}

#[test]
fn each_target_begins_with_commands_that_are_accepted() {
    for target in Target::ALL {
        // Some are for one of the two mounts alone.
        let accepted: Vec<_> = seeds(target).iter().map(|input| carry_out(target, input)).collect();
        let both = |both: &[usize]| both.iter().sum::<usize>() > 0;
        assert!(!accepted.is_empty() && accepted.chunks(2).all(both), "{target:?}: {accepted:?}");
    }
}

/// Runs what is kept of a target.
fn run_kept(target: Target) {
    for input in kept(target) {
        carry_out(target, &input);
    }
}

#[test]
fn no_commands_that_are_kept_do_harm() {
    run_kept(Target::Commands);
}

#[test]
fn no_schemata_that_are_kept_do_harm() {
    run_kept(Target::Schemata);
}

#[test]
fn no_tasks_that_are_kept_do_harm() {
    run_kept(Target::Tasks);
}

#[test]
fn no_cpus_that_are_kept_do_harm() {
    run_kept(Target::Cpus);
}

#[test]
fn no_filters_that_are_kept_do_harm() {
    run_kept(Target::EventFilter);
}

#[test]
fn no_assignments_that_are_kept_do_harm() {
    run_kept(Target::Assignments);
}

#[test]
fn more_than_one_input_of_each_target_is_kept() {
    for target in Target::ALL {
        assert!(kept(target).len() > 10, "{target:?}");
    }
}

fn mutated(seeds: &[Vec<u8>], which: &Index, changes: &[(Index, u8)]) -> Vec<u8> {
    let mut bytes = which.get(seeds).clone();
    for (place, value) in changes {
        let place = place.index(bytes.len());
        bytes[place] = *value;
    }
    bytes
}

/// Bytes that mean something to one parser or another.
fn telling() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), prop::sample::select(b"0123456789abcdefx=;:,*-+_e \n\0L3MB".to_vec())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_bytes_as_commands_do_harm(data in prop::collection::vec(telling(), 0..200)) {
        for target in Target::ALL {
            carry_out(target, &data);
        }
    }

    #[test]
    fn no_change_of_good_commands_does_harm(
        which: Index,
        changes in prop::collection::vec((any::<Index>(), telling()), 0..10),
    ) {
        for target in Target::ALL {
            carry_out(target, &mutated(&seeds(target), &which, &changes));
        }
    }

    #[test]
    fn schemata_show_what_was_written(first in 1..=12_u32, width in 1..=12_u32, mb in 1..=10_u32, domain in 0..2_u32) {
        let mask = ((1_u32 << width) - 1) << (first - 1) & 0xfff;
        on(INTEL, PLAIN, move |machine| {
            machine.set("schemata", format!("L3:{domain}={mask:x}\nMB:{domain}={}\n", mb * 10));
            let shown = machine.read("schemata");
            let of_domain = |name: &str| {
                let line = shown.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
                line.split(';').find_map(|entry| entry.strip_prefix(&format!("{domain}="))).unwrap().to_owned()
            };
            assert_eq!((of_domain("L3:"), of_domain("MB:")), (format!("{mask:x}"), (mb * 10).to_string()));
        });
    }

    #[test]
    fn cpus_show_what_was_written_in_either_form(mask in 0..16_u32) {
        on(INTEL, PLAIN, move |machine| {
            machine.mkdir("g");
            machine.set("g/cpus", format!("{mask:x}\n"));
            assert_eq!(machine.read("g/cpus"), format!("{mask:x}\n"));
            let list = machine.read("g/cpus_list");
            machine.set("g/cpus_list", "\n");
            machine.set("g/cpus_list", &list);
            assert_eq!(machine.read("g/cpus"), format!("{mask:x}\n"), "{list:?}");
        });
    }

    #[test]
    fn filters_show_what_was_written(bits in 0..128_u32) {
        on(ABMC, PLAIN, move |machine| {
            let file = "info/L3_MON/event_configs/mbm_local_bytes/event_filter";
            let names: Vec<_> = Transactions::from_bits(bits).names().collect();
            let backwards: Vec<_> = names.iter().rev().copied().collect();
            machine.set(file, format!("{}\n", backwards.join(" , ")));
            assert_eq!(machine.read(file), format!("{}\n", names.join(",")));
        });
    }

    #[test]
    fn what_events_count_shows_as_it_was_written(bits in 0..128_u32, domain in 0..2_u32) {
        let bits = bits & 0x4f;
        on(BMEC, PLAIN, move |machine| {
            let file = "info/L3_MON/mbm_local_bytes_config";
            machine.set(file, format!("{domain}={bits:x}\n"));
            let shown = machine.read(file);
            let entry = shown.trim_end().split(';').find(|entry| entry.starts_with(&format!("{domain}=")));
            assert_eq!(entry, Some(format!("{domain}=0x{bits:02x}").as_str()));
        });
    }

    #[test]
    fn assignments_show_what_was_written(given in prop::array::uniform4(any::<bool>())) {
        on(ABMC, PLAIN, move |machine| {
            let [a, b, c, d] = given.map(|given| if given { 'e' } else { '_' });
            let text = format!("mbm_total_bytes:0={a};1={b}\nmbm_local_bytes:0={c};1={d}\n");
            machine.set("mbm_L3_assignments", &text);
            assert_eq!(machine.read("mbm_L3_assignments"), text);
        });
    }

    #[test]
    fn masks_of_devices_show_what_was_written(masks in prop::array::uniform2(0..=5_u32), width in 2..=3_u32) {
        let [first, second] = masks.map(|first| ((1_u32 << width) - 1) << first);
        on(SDCIAE, PLAIN, move |machine| {
            machine.set("info/L3/io_alloc", "1");
            let text = format!("0={first:x};1={second:x}\n");
            machine.set("info/L3/io_alloc_cbm", &text);
            assert_eq!(machine.read("info/L3/io_alloc_cbm"), text);
        });
    }

    #[test]
    fn tasks_show_who_was_written(count in 1..5_usize, base in 0..3_usize) {
        on(INTEL, PLAIN, move |machine| {
            machine.mkdir("g");
            let pids: Vec<_> = (0..count).map(|_| machine.spawn_on(0)).collect();
            let written: Vec<_> = pids.iter().map(|pid| match base {
                0 => format!("{pid}"),
                1 => format!("0x{pid:x}"),
                _ => format!(" 0{pid:o} "),
            }).collect();
            machine.set("g/tasks", written.join(","));
            let shown: Vec<i32> = machine.read("g/tasks").lines().map(|line| line.parse().unwrap()).collect();
            assert_eq!(shown, pids);
        });
    }
}
