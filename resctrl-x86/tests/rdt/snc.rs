// SPDX-License-Identifier: GPL-2.0-only
//! Sub-NUMA clustering: what is found of it, and by which RMIDs each node's counters are read.

use resctrl_hardware::registers::RmidSncConfig;
use resctrl_hardware::{Event, Machine};
use resctrl_types::arch::{MonId, Monitors, ReadError, Resources};
use resctrl_types::resource::Scope;
use resctrl_types::sim::{self};
use resctrl_types::{Closid, CpuId, CpuMask, DomainCpus, EventId, Platform, ResourceId, Result, Rmid};
use resctrl_x86_board::Processor;

use crate::machine::{Rig, intel_snc, probe};

const SKYLAKE_X: u32 = 0x50657;
const GRANITE_RAPIDS_X: u32 = 0xa06d1;
/// RMIDs of each node of the machine.
const SHARE: u32 = 32;

/// Scope of the monitors, number of RMIDs, and the log's first line.
fn found(machine: Machine, version: u32) -> (Scope, u32, String) {
    let found = std::sync::Arc::new(std::sync::Mutex::new(None));
    let into = std::sync::Arc::clone(&found);
    sim::run(move || {
        let (sim, _, x86) = probe(&machine, Processor { version, ..Processor::default() }, "cmt,mbmtotal,mbmlocal");
        let monitor = Resources::monitor(&x86.unwrap(), ResourceId::L3).unwrap();
        *into.lock().unwrap() = Some((monitor.scope, monitor.num_rmid, sim.log_lines()[0].clone()));
    });
    let found = found.lock().unwrap().take();
    found.unwrap()
}

/// The machine with each socket divided into so many nodes, of one CPU each.
fn divided(nodes: usize) -> Machine {
    let mut machine = intel_snc();
    (machine.topology.sockets, machine.topology.cores, machine.topology.nodes) = (1, nodes, nodes);
    machine.memory = "5040M".into();
    machine
}

#[test]
fn nodes_that_share_an_l3_are_found_and_share_its_rmids() {
    for nodes in [2, 3, 4, 6] {
        let log = format!("resctrl: Sub-NUMA Cluster mode detected with {nodes} nodes per L3 cache");
        let rmids = 64 / u32::try_from(nodes).unwrap();
        assert_eq!(found(divided(nodes), GRANITE_RAPIDS_X), (Scope::Node, rmids, log));
    }
    let (scope, rmids, log) = found(divided(1), GRANITE_RAPIDS_X);
    assert_eq!((scope, rmids), (Scope::L3Cache, 64));
    assert_eq!(log, "resctrl: L3 allocation detected");
}

#[test]
fn numbers_of_nodes_that_no_package_has_are_not_believed() {
    for nodes in [5, 7, 8] {
        let log = format!("resctrl: Ignore improbable SNC node count {nodes}");
        assert_eq!(found(divided(nodes), GRANITE_RAPIDS_X), (Scope::L3Cache, 64, log));
    }
}

#[test]
fn on_processors_that_do_not_tell_nodes_apart_they_are_ignored_with_a_warning() {
    let log = "resctrl: CoD enabled system? Resctrl not supported".to_owned();
    assert_eq!(found(intel_snc(), SKYLAKE_X), (Scope::L3Cache, 64, log));
}

#[test]
fn a_threshold_keeps_the_unit_of_the_whole_cache() {
    sim::run(|| {
        let (_, _, x86) = probe(&intel_snc(), Processor::default(), "");
        assert_eq!(Resources::occupancy_threshold(&x86.unwrap()).unit, 65536);
    });
}

/// Reads an event of a node from a CPU.
fn read(rig: &Rig, cpu: u32, node: u32, rmid: u32, event: EventId) -> Result<u64, ReadError> {
    let id = MonId { closid: Closid(1), rmid: Rmid(rmid) };
    let mut result = None;
    rig.with_cpus(|cpus| {
        let mut mask = CpuMask::new(rig.sim.nr_cpu_ids())?;
        mask.set(CpuId(cpu))?;
        let mut domains = rig.domains();
        let domain = domains.mon(node);
        rig.arch().read(&rig.sim, DomainCpus::new(cpus, &mask), event, &mut (), &mut |read| result = read(domain, id))
    })
    .unwrap();
    result.unwrap()
}

#[test]
fn each_nodes_counters_are_read_by_its_share_of_rmids_from_any_node_of_the_package() {
    sim::run(|| {
        let rig = Rig::boot(&intel_snc());
        for cpu in [0, 7] {
            assert_eq!(rig.msr(cpu, RmidSncConfig::ADDRESS), 0, "CPU {cpu}");
        }
        // Two CPUs a node, two nodes a package: node 3 is the second of package 1.
        let traffic: [(u32, usize, u32); 4] = [(0, 0, 7), (1, 0, 7 + SHARE), (2, 1, 7), (3, 1, 7 + SHARE)];
        for (node, l3, physical) in traffic {
            let bytes = (u64::from(node) + 1) << 20;
            rig.board.rdt.add(l3, physical as usize, Event::MbmTotal, bytes, 0).unwrap();
            rig.board.rdt.set(l3, physical as usize, Event::LlcOccupancy, 32768 * 3, 0).unwrap();
        }
        for node in 0..4 {
            let package = node / 2 * 4;
            for cpu in package..package + 4 {
                let expected = (u64::from(node) + 1) << 20;
                assert_eq!(read(&rig, cpu, node, 7, EventId::MbmTotal), Ok(expected), "node {node} from CPU {cpu}");
                assert_eq!(read(&rig, cpu, node, 7, EventId::LlcOccupancy), Ok(32768 * 3));
            }
            assert_eq!(read(&rig, package, node, SHARE, EventId::MbmTotal), Err(ReadError::Error));
        }
        assert_eq!(rig.refused(), 0);
        rig.halt();
    });
}

#[test]
fn the_switch_is_written_once_for_a_package() {
    sim::run(|| {
        let rig = Rig::boot(&intel_snc());
        let switches = rig.board.rdt.writes_since(0);
        let switches: Vec<_> =
            switches.iter().filter(|write| write.address == RmidSncConfig::ADDRESS).map(|write| write.cpu).collect();
        assert_eq!(switches, [0, 4]);
        rig.halt();
    });
}
