// SPDX-License-Identifier: GPL-2.0-only
//! `mbm_total_bytes_config` and `mbm_local_bytes_config`: what an event counts in each domain.

use resctrl_types::{Errno, EventId, Transactions};

use crate::arch::{ABMC, AMD, BMEC, Parameters};
use crate::machine::{Fs, Machine, PLAIN, on};

const TOTAL: &str = "info/L3_MON/mbm_total_bytes_config";
const LOCAL: &str = "info/L3_MON/mbm_local_bytes_config";
const MODE: &str = "info/L3_MON/mbm_assign_mode";

/// Counters that can be assigned, and the choice while they are not.
const BOTH: Parameters = Parameters { configurable: Some(Transactions::ALL), ..ABMC };

fn features(machine: &Machine) -> String {
    machine.read("info/L3_MON/mon_features").replace('\n', " ")
}

fn counted(machine: &Machine) -> [u64; 4] {
    [(0, "total"), (0, "local"), (1, "total"), (1, "local")].map(|(domain, event)| {
        let shown = machine.read(&format!("mon_data/mon_L3_{domain:02}/mbm_{event}_bytes"));
        shown.trim_end().parse().unwrap()
    })
}

#[test]
fn each_domain_shows_its_bits() {
    on(BMEC, PLAIN, |machine| {
        assert_eq!(machine.read(TOTAL), "0=0x7f;1=0x7f\n");
        assert_eq!(machine.read(LOCAL), "0=0x15;1=0x15\n");
        machine.set(TOTAL, "1=0x3\n");
        assert_eq!(machine.read(TOTAL), "0=0x7f;1=0x03\n");
        assert_eq!(machine.read(LOCAL), "0=0x15;1=0x15\n", "the other event's are its own");
        machine.set(LOCAL, "0=0; 1=F \n");
        assert_eq!(machine.read(LOCAL), "0=0x00;1=0x0f\n");
        let chosen = [(1, EventId::MbmTotal, 3), (0, EventId::MbmLocal, 0), (1, EventId::MbmLocal, 0xf)];
        assert_eq!(machine.arch().amd.take_chosen(), chosen);
    });
}

#[test]
fn features_name_the_files_behind_the_events() {
    on(BMEC, PLAIN, |machine| {
        assert_eq!(
            features(machine),
            "llc_occupancy mbm_total_bytes mbm_total_bytes_config mbm_local_bytes mbm_local_bytes_config "
        );
        assert!(machine.list("info/L3_MON").contains(&("mbm_total_bytes_config".into(), 0o644)));
    });
    on(AMD, PLAIN, |machine| {
        assert_eq!(features(machine), "llc_occupancy mbm_total_bytes mbm_local_bytes ");
        assert_eq!(machine.try_read(TOTAL), Err(Errno::ENOENT));
    });
}

#[test]
fn while_counters_are_assigned_the_files_are_hidden() {
    on(BOTH, PLAIN, |machine| {
        let hidden = |machine: &Machine| {
            assert_eq!(machine.try_read(TOTAL), Err(Errno::ENOENT));
            assert_eq!(machine.write(LOCAL, "0=1\n"), Err(Errno::ENOENT));
            assert!(machine.list("info/L3_MON").iter().all(|(name, _)| !name.ends_with("_config")));
            assert_eq!(features(machine), "llc_occupancy mbm_total_bytes mbm_local_bytes ");
        };
        hidden(machine);
        machine.set(MODE, "default\n");
        machine.set(LOCAL, "0=0x1;1=0x2\n");
        assert_eq!(machine.read(LOCAL), "0=0x01;1=0x02\n");
        assert!(features(machine).contains("mbm_local_bytes_config"));
        let open = machine.open(LOCAL).unwrap();
        machine.set(MODE, "mbm_event\n");
        hidden(machine);
        assert_eq!(Fs::write(&machine.fs, open, b"0=4\n"), Err(Errno::ENODEV), "opened before");
        machine.set(MODE, "default\n");
        assert_eq!(machine.read(LOCAL), "0=0x01;1=0x02\n", "the hardware keeps it");
        assert_eq!(Fs::write(&machine.fs, open, b"0=4\n"), Ok(()));
    });
}

#[test]
fn a_choice_loses_what_was_counted_in_its_domain_and_a_repeated_one_nothing() {
    on(Parameters { configurable: Some(Transactions::ALL), ..BMEC }, PLAIN, |machine| {
        let traffic =
            |bytes| (0..2).for_each(|domain| machine.arch().amd.traffic(domain, 0, Transactions::LOCAL, bytes));
        traffic(70);
        assert_eq!(counted(machine), [70; 4]);
        machine.set(TOTAL, "0=0x7f;1=7f\n");
        machine.set(LOCAL, "1=0x15\n");
        assert_eq!((counted(machine), machine.arch().amd.take_chosen()), ([70; 4], vec![]));
        machine.set(TOTAL, "0=2\n");
        assert_eq!(counted(machine), [0, 0, 70, 70]);
        traffic(5);
        assert_eq!(counted(machine), [0, 5, 75, 75], "what is local is no remote read");
    });
}

#[test]
fn fields_before_a_mistake_are_carried_out() {
    on(BMEC, PLAIN, |machine| {
        let (einval, no_domain) = (Errno::EINVAL, "Missing '=' or non-numeric domain id\n");
        let no_number = "Non-numeric event configuration value\n";
        let unsupported = "Invalid event configuration: max valid mask is 0x4f\n";
        for (text, words, after) in [
            ("0=1;99=1\n", "Invalid domain 99\n", "0=0x01;1=0x7f\n"),
            ("0=2;x=1\n", no_domain, "0=0x02;1=0x7f\n"),
            ("0=3;;1=3\n", no_domain, "0=0x03;1=0x7f\n"),
            ("0=4;1=zz\n", no_number, "0=0x04;1=0x7f\n"),
            ("0=5;1\n", no_number, "0=0x05;1=0x7f\n"),
            ("0=6;1=10\n", unsupported, "0=0x06;1=0x7f\n"),
            ("99=100\n", unsupported, "0=0x06;1=0x7f\n"),
            ("x=1;0=7\n", no_domain, "0=0x06;1=0x7f\n"),
        ] {
            machine.refuses(TOTAL, text, einval, words);
            assert_eq!(machine.read(TOTAL), after, "{text:?}");
        }
        for text in ["", "0=1"] {
            machine.refuses(TOTAL, text, einval, "mbm_total_bytes_config: Invalid input\n");
            machine.refuses(LOCAL, text, einval, "mbm_local_bytes_config: Invalid input\n");
        }
        for nothing in ["\n", "0=6;\n"] {
            machine.set(TOTAL, nothing);
            assert_eq!(machine.read(TOTAL), "0=0x06;1=0x7f\n");
        }
    });
}

#[test]
fn a_choice_outlives_the_mount() {
    on(BMEC, PLAIN, |machine| {
        machine.set(TOTAL, "0=2\n");
        Fs::unmount(&machine.fs);
        Fs::mount(&machine.fs, &PLAIN).unwrap();
        assert_eq!(machine.read(TOTAL), "0=0x02;1=0x7f\n");
    });
}
