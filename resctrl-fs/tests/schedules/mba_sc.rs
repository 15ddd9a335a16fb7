// SPDX-License-Identifier: GPL-2.0-only
//! The software bandwidth controller, from traffic to the register that limits it.

use resctrl_fs::MountOptions;
use resctrl_hardware::Event;
use resctrl_hardware::registers::MbaThrottle;
use resctrl_types::sim::run;
use resctrl_types::{CpuId, Errno};

use crate::machine::{DEBUG, INTEL, Machine};

const MBPS: MountOptions = MountOptions { mba_mbps: true, ..DEBUG };

/// A machine with a group `g`, and its RMID.
fn with_group(description: &str) -> (Machine, usize) {
    let machine = Machine::boot(description);
    machine.mount_with(&MBPS).unwrap();
    machine.mkdir("g").unwrap();
    let rmid = machine.read("g/mon_hw_id").unwrap().trim().parse().unwrap();
    (machine, rmid)
}

/// By how many percent the first domain throttles `g`.
fn throttled(machine: &Machine) -> u64 {
    machine.msr(CpuId(0), MbaThrottle::ADDRESS + 1)
}

#[test]
fn a_group_is_throttled_step_by_step_while_it_sends_more_than_its_target() {
    run(|| {
        let (machine, rmid) = with_group(INTEL);
        machine.write("g/schemata", "MB:0=1000\n").unwrap();
        machine.set_rate(0, rmid, Event::MbmLocal, 500 << 20);
        machine.sim.advance(3000);
        assert_eq!(throttled(&machine), 0, "500 MiB are less than 1000");
        machine.write("g/schemata", "MB:0=400\n").unwrap();
        machine.sim.advance(3000);
        assert_eq!(throttled(&machine), 30, "one step each second");
        assert_eq!(machine.msr(CpuId(2), MbaThrottle::ADDRESS + 1), 0, "the other domain");
        machine.set_rate(0, rmid, Event::MbmLocal, 100 << 20);
        machine.sim.advance(5000);
        assert_eq!(throttled(&machine), 0);
        machine.finish();
    });
}

#[test]
fn without_local_traffic_groups_are_compared_by_all() {
    run(|| {
        let (machine, rmid) = with_group(&INTEL.replace(", \"mbm_local_bytes\"", ""));
        assert_eq!(machine.read("g/mba_MBps_event").unwrap(), "mbm_total_bytes\n");
        assert_eq!(machine.write("g/mba_MBps_event", "mbm_local_bytes\n"), Err(Errno::EINVAL));
        assert_eq!(machine.read("info/last_cmd_status").unwrap(), "Unsupported event id 'mbm_local_bytes'\n");
        machine.write("g/schemata", "MB:0=400\n").unwrap();
        machine.set_rate(0, rmid, Event::MbmTotal, 500 << 20);
        machine.sim.advance(3000);
        assert!(throttled(&machine) > 0);
        machine.finish();
    });
}

#[test]
fn without_counted_traffic_there_is_no_controller_and_no_worker_that_reads_counters() {
    run(|| {
        let machine = Machine::boot(&INTEL.replace(", \"mbm_total_bytes\", \"mbm_local_bytes\"", ""));
        assert_eq!(machine.mount_with(&MBPS), Err(Errno::EINVAL));
        machine.mount().unwrap();
        assert_eq!(machine.read("info/L3_MON/mon_features").unwrap(), "llc_occupancy\n");
        machine.offline(2);
        machine.offline(3);
        machine.online(3);
        machine.sim.advance(3000);
        assert_eq!(machine.stat("overflow_runs"), 0);
        machine.finish();
    });
}
