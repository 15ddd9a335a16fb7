// SPDX-License-Identifier: GPL-2.0-only
//! Sub-NUMA clustering: an L3 that is several monitor domains, each with workers and a life of its own.

use resctrl_hardware::Event;
use resctrl_types::Errno;
use resctrl_types::sim::{explore, run};

use crate::concurrent::{actor, away_and_back, storms};
use crate::invariants::check;
use crate::machine::{DEBUG, Machine, clustered};
use crate::sequences::sequence;

/// RMIDs of each node.
const SHARE: usize = 16;

fn rmid(machine: &Machine, group: &str) -> usize {
    machine.read(&format!("{group}/mon_hw_id")).unwrap().trim().parse().unwrap()
}

/// What a file of the group `g` shows, below `mon_data`.
fn shown(machine: &Machine, file: &str) -> resctrl_types::Result<String> {
    machine.read(&format!("g/mon_data/{file}"))
}

/// What hardware counts for a node of the first L3 and an RMID of that node's share.
fn add(machine: &Machine, node: usize, rmid: usize, event: Event, bytes: u64) {
    machine.board.rdt.add(0, node * SHARE + rmid, event, bytes, machine.sim.now_ms() * 1_000_000).unwrap();
}

#[test]
fn each_node_counts_for_itself_and_the_l3_shows_the_sum() {
    run(|| {
        let machine = Machine::mounted_on(&clustered());
        assert_eq!(machine.read("info/L3_MON/num_rmids").unwrap(), "16\n");
        machine.mkdir("g").unwrap();
        machine.mkdir("g/mon_groups/m").unwrap();
        let (ctrl, mon) = (rmid(&machine, "g"), rmid(&machine, "g/mon_groups/m"));
        add(&machine, 0, ctrl, Event::MbmTotal, 1 << 20);
        add(&machine, 1, ctrl, Event::MbmTotal, 2 << 20);
        add(&machine, 1, mon, Event::MbmTotal, 4 << 20);
        for (file, mib) in [("mon_L3_00/mon_sub_L3_00", 1), ("mon_L3_00/mon_sub_L3_01", 6), ("mon_L3_00", 7)] {
            let expected = format!("{}\n", mib << 20);
            assert_eq!(shown(&machine, &format!("{file}/mbm_total_bytes")).unwrap(), expected, "{file}");
        }
        // Half of what CPUID says for the whole L3 is a node's unit.
        add(&machine, 1, ctrl, Event::LlcOccupancy, 3 * 32768);
        assert_eq!(shown(&machine, "mon_L3_00/llc_occupancy").unwrap(), "98304\n");
        assert_eq!(shown(&machine, "mon_L3_01/mon_sub_L3_02/llc_occupancy").unwrap(), "0\n");
        assert_eq!(shown(&machine, "mon_L3_01/mon_sub_L3_01/llc_occupancy"), Err(Errno::ENOENT));
        check(&machine);
        machine.finish();
    });
}

#[test]
fn a_sum_is_of_what_can_be_read_and_unavailable_when_nothing_can() {
    run(|| {
        let machine = Machine::mounted_on(&clustered());
        machine.mkdir("g").unwrap();
        let ctrl = rmid(&machine, "g");
        let fault = |node: usize, fault| {
            machine.board.rdt.set_fault(0, node * SHARE + ctrl, Event::MbmLocal, fault, 0).unwrap();
        };
        add(&machine, 0, ctrl, Event::MbmLocal, 1 << 20);
        add(&machine, 1, ctrl, Event::MbmLocal, 1 << 20);
        fault(0, Some(resctrl_hardware::Fault::Error));
        assert_eq!(shown(&machine, "mon_L3_00/mon_sub_L3_00/mbm_local_bytes").unwrap(), "Error\n");
        assert_eq!(shown(&machine, "mon_L3_00/mbm_local_bytes").unwrap(), "1048576\n");
        fault(1, Some(resctrl_hardware::Fault::Error));
        assert_eq!(shown(&machine, "mon_L3_00/mon_sub_L3_01/mbm_local_bytes").unwrap(), "Error\n");
        assert_eq!(shown(&machine, "mon_L3_00/mbm_local_bytes").unwrap(), "Unavailable\n");
        machine.finish();
    });
}

#[test]
fn a_node_goes_with_its_last_cpu_and_the_l3_with_its_last_node() {
    run(|| {
        let machine = Machine::mounted_on(&clustered());
        machine.mkdir("g").unwrap();
        let (sum, node) = ("g/mon_data/mon_L3_01/llc_occupancy", "g/mon_data/mon_L3_01/mon_sub_L3_03/llc_occupancy");
        let (open_sum, open_node) = (machine.open(sum).unwrap(), machine.open(node).unwrap());
        machine.offline(3);
        check(&machine);
        assert_eq!(machine.read_open(open_node), Err(Errno::ENODEV));
        assert_eq!(machine.read_open(open_sum).unwrap(), "0\n");
        machine.offline(2);
        check(&machine);
        assert_eq!(machine.read_open(open_sum), Err(Errno::ENODEV));
        machine.online(3);
        check(&machine);
        assert_eq!(machine.dirs("g/mon_data/mon_L3_01").unwrap(), ["mon_sub_L3_03"]);
        machine.online(2);
        check(&machine);
        machine.finish();
    });
}

#[test]
fn an_id_stays_in_limbo_until_every_node_is_empty_of_it() {
    run(|| {
        let machine = Machine::mounted_on(&clustered());
        machine.mkdir("g").unwrap();
        let ctrl = rmid(&machine, "g");
        add(&machine, 1, ctrl, Event::LlcOccupancy, 16 << 20);
        machine.rmdir("g").unwrap();
        machine.sim.advance(2500);
        check(&machine);
        assert_eq!(machine.stat("rmids_cleaned"), 0);
        machine.set_occupancy(0, SHARE + ctrl, 0);
        machine.sim.advance(1002);
        assert_eq!(machine.stat("rmids_cleaned"), 1);
        check(&machine);
        machine.finish();
    });
}

#[test]
fn the_bandwidth_controller_is_refused() {
    run(|| {
        let machine = Machine::boot(&clustered());
        assert!(machine.fs.parse_option(&mut DEBUG.clone(), "mba_MBps").is_err());
        machine.finish();
    });
}

#[test]
fn sums_are_read_while_the_nodes_of_the_l3_come_and_go() {
    let clustered = clustered();
    explore(150, move || {
        let machine = Machine::mounted_on(&clustered);
        machine.mkdir("g").unwrap();
        let clock = machine.sim.start_clock(10);
        let mut actors = Vec::from([2, 3].map(|cpu| away_and_back(&machine, 2, cpu)));
        actors.push(actor(&machine, 6, |machine| {
            let sum = shown(machine, "mon_L3_01/mbm_total_bytes");
            assert!(matches!(sum.as_deref(), Ok("0\n") | Err(&Errno::ENOENT | &Errno::ENODEV)), "{sum:?}");
        }));
        for actor in actors {
            actor.join().unwrap();
        }
        clock.stop();
        check(&machine);
        machine.finish();
    });
}

#[test]
fn after_every_command_of_a_random_sequence_the_invariants_hold() {
    let clustered = clustered();
    explore(60, move || sequence(&clustered));
}

#[test]
fn a_storm_of_everything_leaves_a_sound_machine() {
    storms(&clustered());
}
