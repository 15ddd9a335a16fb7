// SPDX-License-Identifier: GPL-2.0-only
//! `mba_MBps_event`: by what the software bandwidth controller compares a group with its targets.

use resctrl_types::Errno;

use crate::arch::INTEL;
use crate::machine::{MBPS, on};

#[test]
fn a_group_is_compared_by_local_traffic_or_by_all() {
    on(INTEL, MBPS, |machine| {
        let file = "g/mba_MBps_event";
        machine.mkdir("g");
        assert_eq!(machine.read(file), "mbm_local_bytes\n");
        for event in ["mbm_total_bytes\n", "mbm_local_bytes\n", "mbm_total_bytes\n"] {
            machine.set(file, event);
            assert_eq!(machine.read(file), event);
        }
        for event in ["llc_occupancy", "mbm_local_byte", "MBM_LOCAL_BYTES", ""] {
            let words = format!("Unsupported event id '{event}'\n");
            machine.refuses(file, format!("{event}\n"), Errno::EINVAL, &words);
        }
        machine.refuses(file, "mbm_local_bytes", Errno::EINVAL, "mba_MBps_event: Invalid input\n");
        assert_eq!(machine.read(file), "mbm_total_bytes\n");
        assert_eq!(machine.read("mba_MBps_event"), "mbm_local_bytes\n", "the default group has its own");
    });
}
