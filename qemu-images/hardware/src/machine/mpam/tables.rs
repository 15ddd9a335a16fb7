// SPDX-License-Identifier: GPL-2.0-only
//! The ACPI tables of a machine, faults included.

use super::{CacheIds, Component, MSC_STRIDE, Machine, MpamFeatures, Place, TableDefect};
use crate::machine::Cache;
use crate::mpam::FIRST_SHARED_INTERRUPT;
use crate::mpam::firmware::{self, Cluster, Interrupt, Locator, Node, Processor, Resource};
use crate::numbers::{low, word};
use std::ops::Range;

/// Geometry of a cache that the machine file leaves out.
const L2: Cache = Cache { size_kib: 1024, ways: 8, first_id: None };

/// PPTT and MPAM.
pub(super) fn tables(machine: &Machine, features: &MpamFeatures) -> [Vec<u8>; 2] {
    let nodes: Vec<Node> =
        features.msc.iter().enumerate().map(|(index, msc)| node(machine, features, index, msc)).collect();
    let mut pptt = firmware::pptt(&clusters(machine, features));
    let mut mpam = firmware::mpam(&nodes);
    match features.table_defect {
        None => {}
        Some(TableDefect::NoCacheIds) => firmware::forget_cache_ids(&mut pptt),
        Some(defect) => spoil(&mut mpam, defect),
    }
    [pptt, mpam]
}

/// Ids of the containers within a cluster begin here.
const FIRST_PART: u32 = 0x1000;

/// The containers within a cluster that some MSC is reached from alone, each once.
fn parts<'a>(features: &'a MpamFeatures, cluster: &'a Range<usize>) -> impl Iterator<Item = &'a [usize]> {
    let reached = |msc: &'a Component| msc.reached_from_cpus.as_deref();
    features.msc.iter().enumerate().filter_map(move |(place, msc)| {
        let part = reached(msc).filter(|part| cluster.contains(&part[0]))?;
        features.msc[..place].iter().all(|earlier| reached(earlier) != Some(part)).then_some(part)
    })
}

/// The id of the container of these CPUs.
fn part_uid(cpus: &[usize]) -> u32 {
    FIRST_PART + word(cpus[0])
}

fn clusters(machine: &Machine, features: &MpamFeatures) -> Vec<Cluster> {
    let topology = &machine.topology;
    let ids = CacheIds::of(machine);
    let cache = |geometry: &Cache, id: u32| firmware::Cache {
        id,
        size: u32::try_from(geometry.size_kib * 1024).unwrap_or(u32::MAX),
        ways: u8::try_from(geometry.ways).unwrap_or(u8::MAX),
    };
    let l2 = machine.cache.l2.as_ref().unwrap_or(&L2);
    (0..topology.l3_domains())
        .map(|domain| {
            let cpus = topology.l3_domain_cpus(domain);
            let first_l2 = topology.l2_domain(cpus.start);
            Cluster {
                uid: word(domain),
                l3: machine.cache.l3.as_ref().map(|l3| cache(l3, ids.l3 + word(domain))),
                parts: parts(features, &cpus).map(part_uid).collect(),
                l2: (first_l2..=topology.l2_domain(cpus.end - 1)).map(|n| cache(l2, ids.l2 + word(n))).collect(),
                processors: cpus
                    .clone()
                    .map(|cpu| Processor {
                        uid: word(cpu),
                        l2: Some(topology.l2_domain(cpu) - first_l2),
                        part: parts(features, &cpus).position(|part| part.contains(&cpu)),
                    })
                    .collect(),
            }
        })
        .collect()
}

fn node(machine: &Machine, features: &MpamFeatures, index: usize, msc: &Component) -> Node {
    let ids = CacheIds::of(machine);
    let interrupt = |number: Option<u32>| match number {
        None => Interrupt::default(),
        Some(number) if number < FIRST_SHARED_INTERRUPT => Interrupt { number, flags: Interrupt::PRIVATE },
        Some(number) => Interrupt { number, flags: 0 },
    };
    let locator = |place| match place {
        Place::L3(domain) => Locator::Cache(ids.l3 + word(domain)),
        Place::L2(domain) => Locator::Cache(ids.l2 + word(domain)),
        Place::CacheId(id) => Locator::Cache(id),
        Place::Memory(domain) => Locator::Memory(domain),
        Place::Other(kind) => Locator::Other(kind, 0, 0),
    };
    let resources = msc
        .ris
        .iter()
        .zip(0..)
        .map(|(instance, ris)| (ris, instance))
        .filter_map(|(ris, instance)| Some(Resource { ris, locator: locator(instance.part_of?) }));
    Node {
        id: word(index),
        address: features.address(index),
        size: if msc.disabled { 0 } else { low(MSC_STRIDE) },
        overflow: interrupt(msc.overflow_interrupt),
        error: interrupt(msc.error_interrupt),
        not_ready_us: msc.firmware_not_ready_us(),
        container: match &msc.reached_from_cpus {
            Some(cpus) => Some(part_uid(cpus)),
            None => msc.reached_from_l3.map(word),
        },
        resources: resources.collect(),
    }
}

/// Byte offsets in the table: of its length, revision and checksum, and of the first node's fields.
const TABLE_LENGTH: usize = 4;
const TABLE_REVISION: usize = 8;
const TABLE_CHECKSUM: usize = 9;
const FIRST_NODE: usize = 36;
const NODE_RESERVED: usize = FIRST_NODE + 3;
const NODE_RESOURCES: usize = FIRST_NODE + 68;

fn spoil(table: &mut Vec<u8>, defect: TableDefect) {
    match defect {
        TableDefect::Checksum => {
            table[TABLE_CHECKSUM] = table[TABLE_CHECKSUM].wrapping_add(1);
            return;
        }
        TableDefect::Truncated => {
            table.truncate(table.len() - 8);
            let length = word(table.len()).to_le_bytes();
            table[TABLE_LENGTH..TABLE_LENGTH + 4].copy_from_slice(&length);
        }
        TableDefect::NodeLength => table[FIRST_NODE..FIRST_NODE + 2].copy_from_slice(&4_u16.to_le_bytes()),
        TableDefect::ResourceCount => table[NODE_RESOURCES] = 200,
        TableDefect::Reserved => table[NODE_RESERVED] = 1,
        TableDefect::Revision => table[TABLE_REVISION] = 0,
        TableDefect::NoCacheIds => {}
    }
    firmware::sum_up(table);
}
