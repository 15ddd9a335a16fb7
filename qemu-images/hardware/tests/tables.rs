// SPDX-License-Identifier: GPL-2.0-only
//! The ACPI tables of an Arm machine, node by node: what firmware tells of its caches and MSCs.

use resctrl_hardware::Machine;
use resctrl_hardware::machine::{Component, Place};

/// Two L3s of two CPUs and an L2 for each CPU, with ids of their own, and an MSC of every sort of place.
const MACHINE: &str = r#"
description = "x"
arch = "aarch64"
memory = "1G"
[qemu]
machine = "virt"
cpu = "cortex-a57"
[topology]
sockets = 1
cores = 4
l3_cores = 2
[cache.l3]
size_kib = 4096
ways = 16
first_id = 0x40
[cache.l2]
size_kib = 512
ways = 8
first_id = 0x80
[mpam]
partid_max = 31
pmg_max = 3
[[mpam.msc]]
[[mpam.msc.ris]]
part_of = { l3 = 0 }
[[mpam.msc.ris]]
part_of = { l3 = 1 }
[[mpam.msc.ris]]
part_of = { l2 = 0 }
[[mpam.msc.ris]]
part_of = { l2 = 3 }
[[mpam.msc.ris]]
part_of = { cache_id = 77 }
[[mpam.msc.ris]]
[[mpam.msc.ris]]
part_of = { memory = 5 }
[[mpam.msc.ris]]
part_of = { other = 9 }
[[mpam.msc]]
reached_from_cpus = [2]
[[mpam.msc.ris]]
[[mpam.msc]]
reached_from_cpus = [3]
[[mpam.msc.ris]]
"#;

fn machine() -> Machine {
    Machine::parse(MACHINE).unwrap_or_else(|problem| panic!("{problem}"))
}

fn word(table: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(table[at..at + 4].try_into().expect("four bytes"))
}

/// A node of the PPTT, ACPI 6.5, 5.2.30.
#[derive(Debug, Clone)]
enum Node {
    Processor { parent: u32, uid: u32, leaf: bool, resources: Vec<u32> },
    Cache { next: u32, size: u32, sets: u32, ways: u8, attributes: u8, line: u16, id: u32 },
}

/// The nodes with their places.
fn nodes(pptt: &[u8]) -> Vec<(u32, Node)> {
    let mut nodes = Vec::new();
    let mut at = 36;
    while at < pptt.len() {
        let node = match pptt[at] {
            0 => Node::Processor {
                leaf: word(pptt, at + 4) & 1 << 3 != 0,
                parent: word(pptt, at + 8),
                uid: word(pptt, at + 12),
                resources: (0..word(pptt, at + 16) as usize).map(|number| word(pptt, at + 20 + 4 * number)).collect(),
            },
            1 => {
                assert_eq!(word(pptt, at + 4), 0xdf, "all is valid but how it writes");
                Node::Cache {
                    next: word(pptt, at + 8),
                    size: word(pptt, at + 12),
                    sets: word(pptt, at + 16),
                    ways: pptt[at + 20],
                    attributes: pptt[at + 21],
                    line: u16::from_le_bytes([pptt[at + 22], pptt[at + 23]]),
                    id: word(pptt, at + 24),
                }
            }
            other => panic!("a node of type {other}"),
        };
        nodes.push((u32::try_from(at).expect("a short table"), node));
        at += usize::from(pptt[at + 1]);
    }
    nodes
}

#[test]
fn each_processor_has_the_caches_and_the_containers_of_its_machine() {
    let [(_, pptt), _] = &machine().acpi_tables()[..] else { panic!("two tables") };
    let nodes = nodes(pptt);
    let at = |place: u32| &nodes.iter().find(|(at, _)| *at == place).expect("a node").1;
    let cache = |place: u32| match *at(place) {
        Node::Cache { next, size, sets, ways, attributes, line, id } => {
            assert_eq!(size, sets * u32::from(ways) * u32::from(line));
            assert_eq!(line, 64);
            (next, size, ways, attributes >> 2 & 3, id)
        }
        ref other => panic!("{other:?} is no cache"),
    };
    let kinds = nodes.iter().filter(|(_, node)| matches!(node, Node::Cache { .. })).count();
    assert_eq!(kinds, 2 + 4 + 2 * 4, "L3s, L2s, and two L1s for each processor");
    let leaves: Vec<_> = nodes
        .iter()
        .filter_map(|(_, node)| match node {
            Node::Processor { parent, uid, leaf: true, resources } => Some((*parent, *uid, resources.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(leaves.iter().map(|(_, uid, _)| *uid).collect::<Vec<_>>(), [0, 1, 2, 3]);
    for (mut parent, cpu, resources) in leaves {
        // Instructions and data, and no two caches have one id.
        for (place, (kind, id)) in resources.iter().zip([(0, 0x1000_0000), (1, 0x1800_0000)]) {
            let (next, size, ways, of, own) = cache(*place);
            assert_eq!((size, ways, of, own), (64 << 10, 4, kind, id | cpu));
            assert_eq!(cache(next), (0, 512 << 10, 8, cache(next).3, 0x80 + cpu), "the L2 of CPU {cpu}");
            assert_ne!(cache(next).3 & 2, 0, "unified");
        }
        assert_eq!(resources.len(), 2);
        // CPUs 2 and 3 are in containers of their own.
        let mut containers = Vec::new();
        while let Node::Processor { parent: next, uid, resources, .. } = at(parent) {
            containers.push(*uid);
            if let [l3] = resources[..] {
                assert_eq!((cache(l3).1, cache(l3).2, cache(l3).4), (4 << 20, 16, 0x40 + cpu / 2));
                break;
            }
            parent = *next;
        }
        let expected = if cpu < 2 { vec![0] } else { vec![0x1000 + cpu, 1] };
        assert_eq!(containers, expected, "CPU {cpu}");
    }
}

#[test]
fn each_instance_is_told_to_be_part_of_what_its_file_says() {
    let [_, (_, mpam)] = &machine().acpi_tables()[..] else { panic!("two tables") };
    let first = 36;
    let count = word(mpam, first + 68) as usize;
    let resources: Vec<(u8, u8, u32)> = (0..count)
        .map(|number| first + 72 + 24 * number)
        .map(|at| (mpam[at + 4], mpam[at + 7], word(mpam, at + 8)))
        .collect();
    // Instance, type of place (0 a cache, 1 memory), and which; the one without a place is not mentioned.
    let expected = [(0, 0, 0x40), (1, 0, 0x41), (2, 0, 0x80), (3, 0, 0x83), (4, 0, 77), (6, 1, 5), (7, 9, 0)];
    assert_eq!(resources, expected);
    // The containers of the others.
    let others = [0, 1].map(|number| first + 72 + 24 * count + 72 * number);
    assert_eq!(others.map(|at| word(mpam, at + 64)), [0x1002, 0x1003]);
    // What ends within its last node lacks some of it.
    let cut = MACHINE.replace("pmg_max = 3", "pmg_max = 3\ntable_defect = \"truncated\"");
    let [_, (_, short)] = &Machine::parse(&cut).expect("a machine").acpi_tables()[..] else { panic!("two tables") };
    assert_eq!(short.len(), mpam.len() - 8);
}

#[test]
fn a_place_is_a_cache_of_the_machine_or_none() {
    let machine = machine();
    for (place, l3, l2) in [
        (Place::L3(0), Some(0), None),
        (Place::L3(1), Some(1), None),
        (Place::L3(2), None, None),
        (Place::L2(0), None, Some(0)),
        (Place::L2(3), None, Some(3)),
        (Place::L2(4), None, None),
        (Place::CacheId(0x3f), None, None),
        (Place::CacheId(0x40), Some(0), None),
        (Place::CacheId(0x41), Some(1), None),
        (Place::CacheId(0x42), None, None),
        (Place::CacheId(0x80), None, Some(0)),
        (Place::CacheId(0x83), None, Some(3)),
        (Place::CacheId(0x84), None, None),
        (Place::Memory(0), None, None),
        (Place::Other(0), None, None),
    ] {
        assert_eq!((place.l3_domain(&machine), place.l2_domain(&machine)), (l3, l2), "{place:?}");
    }
}

#[test]
fn the_registers_of_a_component_are_those_of_its_file() {
    let component = |keys: &str| {
        let file = MACHINE.replacen("[[mpam.msc]]\nreached_from_cpus = [2]", &format!("[[mpam.msc]]\n{keys}"), 1);
        let machine = Machine::parse(&file).unwrap_or_else(|problem| panic!("{keys}: {problem}"));
        let features = machine.mpam.expect("it has MPAM");
        let of = |msc: &Component| msc.config(&features);
        of(&features.msc[1])
    };
    let standard = component("");
    assert_eq!((standard.aidr, standard.extended, standard.error_status), (0x11, true, true));
    assert_eq!((standard.extended_error_status, standard.local_capture), (true, true));
    assert_eq!(component("iidr = 0x1234\naidr = 0x10\n").aidr, 0x10);
    assert_eq!(component("iidr = 0x1234\naidr = 0x10\n").iidr, 0x1234);
    assert!(!component("extended = false\nextended_error_status = false\n").extended);
    assert!(!component("error_status = false\nextended_error_status = false\n").error_status);
    assert!(!component("extended_error_status = false\n").extended_error_status);
    assert!(!component("local_capture = false\n").local_capture);
}

#[test]
fn firmware_grants_a_monitor_what_the_slowest_takes_or_the_usual_time() {
    let granted = |keys: &str, monitors: &str| {
        let from = "[[mpam.msc]]\nreached_from_cpus = [2]\n[[mpam.msc.ris]]\n";
        let file = MACHINE.replacen(from, &format!("[[mpam.msc]]\n{keys}[[mpam.msc.ris]]\n{monitors}"), 1);
        let machine = Machine::parse(&file).unwrap_or_else(|problem| panic!("{monitors}: {problem}"));
        let [_, (_, mpam)] = &machine.acpi_tables()[..] else { panic!("two tables") };
        let second = 36 + 72 + 24 * word(mpam, 36 + 68) as usize;
        word(mpam, second + 52)
    };
    let usage = |time: u32| format!("usage = {{ count = 1, not_ready_us = {time} }}\n");
    let traffic = |time: u32| format!("traffic = {{ count = 1, width = 31, not_ready_us = {time} }}\n");
    assert_eq!(granted("", ""), 1000);
    assert_eq!(granted("", &usage(0)), 1000, "no time is none that anybody has to wait for");
    assert_eq!(granted("", &usage(1)), 1);
    assert_eq!(granted("", &format!("{}{}", usage(20), traffic(30))), 30);
    assert_eq!(granted("not_ready_us = 7\n", &usage(20)), 7);
}
