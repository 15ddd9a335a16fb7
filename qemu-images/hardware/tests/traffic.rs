// SPDX-License-Identifier: GPL-2.0-only
//! What counters show of the traffic tests make.

use resctrl_hardware::registers::{L3Mask, MbaThrottle, PqrAssoc, QmCtr, QmEvtsel, RmidSncConfig};
use resctrl_hardware::{Event, Fault, Flow, Machine, Rdt, TrafficError};

const SECOND: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;

fn rdt(file: &str) -> Rdt {
    let machine = Machine::parse(file).expect("a machine file of this repository is valid");
    Rdt::new(&machine).expect("a parsed machine is valid")
}

fn intel() -> Rdt {
    rdt(include_str!("../../machines/intel.toml"))
}

/// Reads a counter as software does.
fn counter(rdt: &Rdt, cpu: usize, rmid: u64, event: u64, now: u64) -> u64 {
    rdt.wrmsr(cpu, QmEvtsel::ADDRESS, rmid << 32 | event, now).unwrap();
    rdt.rdmsr(cpu, QmCtr::ADDRESS, now).unwrap().unwrap()
}

fn assign(rdt: &Rdt, cpu: usize, closid: u64, rmid: u64, now: u64) {
    rdt.wrmsr(cpu, PqrAssoc::ADDRESS, closid << 32 | rmid, now).unwrap();
}

fn bytes(rdt: &Rdt, domain: usize, rmid: usize, event: Event, now: u64) -> u64 {
    rdt.get(domain, rmid, event, now).unwrap().0
}

#[test]
fn a_counter_is_seen_from_its_own_domain_only() {
    let rdt = intel();
    rdt.add(1, 4, Event::MbmTotal, 3 * 65536 + 1, 0).unwrap();
    assert_eq!([0, 1, 2, 3].map(|cpu| counter(&rdt, cpu, 4, 2, 0)), [0, 0, 3, 3]);
}

#[test]
fn bandwidth_wraps_at_the_width_and_occupancy_does_not() {
    let rdt = intel();
    rdt.add(0, 1, Event::MbmTotal, (1 << 40) + 65536, 0).unwrap();
    rdt.set(0, 1, Event::LlcOccupancy, (1 << 40) + 65536, 0).unwrap();
    assert_eq!(counter(&rdt, 0, 1, 2, 0), 1);
    assert_eq!(counter(&rdt, 0, 1, 1, 0), (1 << 24) + 1);
}

#[test]
fn an_unknown_event_or_rmid_reads_as_error() {
    let rdt = intel();
    for (rmid, event) in [(1, 0), (1, 4), (32, 1), (0x3ff, 2)] {
        assert_eq!(counter(&rdt, 0, rmid, event, 0), 1 << 63, "RMID {rmid} event {event}");
    }
}

#[test]
fn an_event_the_machine_lacks_reads_as_error() {
    let file = include_str!("../../machines/intel.toml").replace(", \"mbm_local_bytes\"]", "]");
    let rdt = rdt(&file);
    assert_eq!(counter(&rdt, 0, 1, 2, 0), 0);
    assert_eq!(counter(&rdt, 0, 1, 3, 0), 1 << 63);
}

#[test]
fn faults_show_as_their_bits_and_end() {
    let rdt = intel();
    rdt.add(0, 1, Event::MbmTotal, 2 * 65536, 0).unwrap();
    rdt.set_fault(0, 1, Event::MbmTotal, Some(Fault::Unavailable), 0).unwrap();
    assert_eq!(counter(&rdt, 0, 1, 2, 0), 1 << 62);
    assert_eq!(counter(&rdt, 0, 1, 3, 0), 0, "the other event is not affected");
    rdt.set_fault(0, 1, Event::MbmTotal, None, 0).unwrap();
    assert_eq!(counter(&rdt, 0, 1, 2, 0), 0, "tracking starts again");
    rdt.set_fault(0, 1, Event::LlcOccupancy, Some(Fault::Error), 0).unwrap();
    assert_eq!(counter(&rdt, 0, 1, 1, 0), 1 << 63);
}

#[test]
fn a_rate_counts_with_virtual_time() {
    let rdt = intel();
    rdt.set_rate(0, 2, Event::MbmLocal, MIB, 5 * SECOND).unwrap();
    assert_eq!(counter(&rdt, 0, 2, 3, 15 * SECOND), 160);
    rdt.set_rate(0, 2, Event::MbmLocal, 0, 15 * SECOND).unwrap();
    assert_eq!(counter(&rdt, 0, 2, 3, 99 * SECOND), 160);
}

#[test]
fn a_flow_follows_the_program_from_group_to_group() {
    let rdt = intel();
    rdt.set_flow(2, Some(Flow { total: 2 * MIB, local: MIB, footprint: 0 }), 0).unwrap();
    assign(&rdt, 2, 1, 5, 3 * SECOND);
    assign(&rdt, 2, 1, 6, 7 * SECOND);
    let now = 8 * SECOND;
    let total = [0, 5, 6].map(|rmid| bytes(&rdt, 1, rmid, Event::MbmTotal, now) / MIB);
    let local = [0, 5, 6].map(|rmid| bytes(&rdt, 1, rmid, Event::MbmLocal, now) / MIB);
    assert_eq!((total, local), ([6, 8, 2], [3, 4, 1]));
    assert_eq!(bytes(&rdt, 0, 5, Event::MbmTotal, now), 0, "the other domain sees nothing");
    rdt.set_flow(2, None, now).unwrap();
    assert_eq!(bytes(&rdt, 1, 6, Event::MbmTotal, 99 * SECOND) / MIB, 2);
}

#[test]
fn a_flow_is_slowed_by_the_delay_of_its_class() {
    let rdt = intel();
    assign(&rdt, 0, 3, 1, 0);
    rdt.set_flow(0, Some(Flow { total: 100 * MIB, local: 0, footprint: 0 }), 0).unwrap();
    rdt.wrmsr(1, MbaThrottle::ADDRESS + 3, 70, SECOND).unwrap();
    // Delays are rounded down to a multiple of ten.
    rdt.wrmsr(0, MbaThrottle::ADDRESS + 3, 59, 2 * SECOND).unwrap();
    let so_far = [SECOND, 2 * SECOND, 3 * SECOND].map(|now| bytes(&rdt, 0, 1, Event::MbmTotal, now) / MIB);
    assert_eq!(so_far[2], 100 + 30 + 50);
}

#[test]
fn threads_of_a_core_share_the_larger_delay_unless_control_is_per_thread() {
    let per_thread = include_str!("../../machines/intel-big.toml").to_owned();
    let per_core = per_thread.replace("per_thread = true", "per_thread = false");
    for (file, expected) in [(per_thread, [100, 20]), (per_core, [20, 20])] {
        let rdt = rdt(&file);
        rdt.wrmsr(0, MbaThrottle::ADDRESS + 1, 80, 0).unwrap();
        assign(&rdt, 0, 0, 1, 0);
        assign(&rdt, 1, 1, 2, 0);
        for cpu in [0, 1] {
            rdt.set_flow(cpu, Some(Flow { total: 100 * MIB, local: 0, footprint: 0 }), 0).unwrap();
        }
        assert_eq!([1, 2].map(|rmid| bytes(&rdt, 0, rmid, Event::MbmTotal, SECOND) / MIB), expected);
    }
}

#[test]
fn a_flow_fills_its_footprint_or_the_ways_it_may() {
    let rdt = intel();
    assign(&rdt, 0, 1, 1, 0);
    rdt.set_flow(0, Some(Flow { total: MIB, local: 0, footprint: 6 * MIB }), 0).unwrap();
    assert_eq!(bytes(&rdt, 0, 1, Event::LlcOccupancy, 4 * SECOND), 4 * MIB);
    assert_eq!(bytes(&rdt, 0, 1, Event::LlcOccupancy, 60 * SECOND), 6 * MIB);
    // 2 MiB a way: with two ways no more than 4 MiB.
    assign(&rdt, 0, 2, 2, 60 * SECOND);
    rdt.wrmsr(0, L3Mask::ADDRESS + 2, 0x3, 60 * SECOND).unwrap();
    assert_eq!(bytes(&rdt, 0, 2, Event::LlcOccupancy, 99 * SECOND), 4 * MIB);
}

#[test]
fn an_rmid_drains_only_while_no_cpu_of_its_domain_works_for_it() {
    let rdt = intel();
    rdt.set_drain(0, MIB, 0).unwrap();
    assign(&rdt, 0, 0, 9, 0);
    assign(&rdt, 2, 0, 9, 0);
    rdt.set(0, 9, Event::LlcOccupancy, 10 * MIB, 0).unwrap();
    assert_eq!(bytes(&rdt, 0, 9, Event::LlcOccupancy, 5 * SECOND), 10 * MIB, "CPU 0 works for it");
    assign(&rdt, 0, 0, 1, 5 * SECOND);
    assert_eq!(bytes(&rdt, 0, 9, Event::LlcOccupancy, 8 * SECOND), 7 * MIB, "CPU 2 is of another domain");
    assign(&rdt, 1, 0, 9, 9 * SECOND);
    assign(&rdt, 1, 0, 0, 12 * SECOND);
    assert_eq!(bytes(&rdt, 0, 9, Event::LlcOccupancy, 14 * SECOND), 4 * MIB);
    assert_eq!(bytes(&rdt, 0, 9, Event::LlcOccupancy, 99 * SECOND), 0);
}

#[test]
fn without_a_drain_lines_stay_for_ever() {
    let rdt = intel();
    rdt.set(0, 9, Event::LlcOccupancy, 10 * MIB, 0).unwrap();
    assert_eq!(bytes(&rdt, 0, 9, Event::LlcOccupancy, 1000 * SECOND), 10 * MIB);
}

#[test]
fn what_the_machine_does_not_have_gets_no_traffic() {
    let rdt = intel();
    assert_eq!(rdt.add(2, 0, Event::MbmTotal, 1, 0), Err(TrafficError::NoSuchDomain));
    assert_eq!(rdt.add(0, 32, Event::MbmTotal, 1, 0), Err(TrafficError::NoSuchRmid));
    assert_eq!(rdt.set_flow(4, None, 0), Err(TrafficError::NoSuchCpu));
    assert_eq!(rdt.association(4), Err(TrafficError::NoSuchCpu));
    assert_eq!(rdt.set_drain(2, 1, 0), Err(TrafficError::NoSuchDomain));
    assert_eq!(rdt.set_rate(0, 0, Event::LlcOccupancy, 1, 0), Err(TrafficError::NoRateForOccupancy));
}

#[test]
fn nodes_that_share_rmids_count_by_their_own_part_of_them_and_in_smaller_steps() {
    let rdt = rdt(include_str!("../../machines/intel-snc.toml"));
    // CPUs 2 and 3 are the second node of the first socket; 64 RMIDs are 32 for each.
    let flow = Some(Flow { total: 65536, local: 0, footprint: 0 });
    rdt.set_flow(3, flow, 0).unwrap();
    assign(&rdt, 3, 0, 5, 0);
    rdt.wrmsr(0, RmidSncConfig::ADDRESS, 0, SECOND).unwrap();
    rdt.set_flow(3, None, 4 * SECOND).unwrap();
    assert_eq!(bytes(&rdt, 0, 5, Event::MbmTotal, 4 * SECOND), 65536, "before they share");
    assert_eq!(bytes(&rdt, 0, 37, Event::MbmTotal, 4 * SECOND), 3 * 65536, "and after");
    assert_eq!(counter(&rdt, 0, 37, 2, 4 * SECOND), 6);
}
