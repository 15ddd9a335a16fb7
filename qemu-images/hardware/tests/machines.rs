// SPDX-License-Identifier: GPL-2.0-only
//! Machine files: those of this repository are valid, others are refused with the place of the fault.

use resctrl_hardware::mpam::System;
use resctrl_hardware::{Machine, Rdt};
use std::path::Path;

const INTEL: &str = include_str!("../../machines/intel.toml");
const MPAM: &str = include_str!("../../machines/mpam.toml");

#[test]
fn every_machine_of_this_repository_powers_on() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../machines");
    let mut seen = 0;
    for entry in folder.read_dir().expect("the machines have a folder") {
        let path = entry.expect("it can be read").path();
        let machine = Machine::load(&path).unwrap_or_else(|problem| panic!("{problem}"));
        if machine.mpam.is_some() {
            System::new(&machine).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
        } else {
            Rdt::new(&machine).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
        }
        seen += 1;
    }
    assert!(seen >= 4, "{seen} machines");
}

#[test]
fn qemu_gets_processors_and_memory_as_described() {
    let machine = Machine::parse(INTEL).unwrap();
    let args = machine.qemu_args();
    let value = |option: &str| args[args.iter().position(|a| a == option).expect("the option is there") + 1].as_str();
    assert_eq!(value("-smp"), "4,sockets=2,cores=2,threads=1");
    assert_eq!(value("-m"), "1G");
    assert_eq!(value("-machine"), "q35");
    assert!(value("-cpu").contains("level=0x10"), "RDT's leaves must be reachable");
}

#[test]
fn qemu_gets_the_nodes_of_divided_sockets_with_their_memory() {
    let machine = Machine::parse(include_str!("../../machines/intel-snc.toml")).unwrap();
    let args = machine.qemu_args();
    let nodes: Vec<&str> = args.iter().filter(|arg| arg.starts_with("node,")).map(String::as_str).collect();
    assert_eq!(nodes[0], "node,nodeid=0,cpus=0-1,memdev=node0");
    assert_eq!(nodes[3], "node,nodeid=3,cpus=6-7,memdev=node3");
    assert!(args.iter().any(|arg| arg == "memory-backend-ram,id=node3,size=268435456"));
    assert!(!Machine::parse(INTEL).unwrap().qemu_args().contains(&"-numa".to_owned()), "whole sockets need no nodes");
}

#[test]
fn qemu_gets_memory_behind_the_pages_of_an_arm_machine() {
    let args = Machine::parse(MPAM).unwrap().qemu_args();
    let value = |option: &str| args[args.iter().position(|a| a == option).expect("the option is there") + 1].as_str();
    assert_eq!(value("-machine"), "virt,gic-version=3,nvdimm=on");
    assert_eq!(value("-m"), "1G,slots=1,maxmem=4G");
    assert_eq!(value("-object"), "memory-backend-ram,id=msc,size=2097152");
    assert_eq!(value("-device"), "nvdimm,memdev=msc,addr=0x100000000");
}

#[test]
fn what_no_arm_machine_can_be_is_refused_with_its_place() {
    let cases = [
        ("arch = \"aarch64\"", "arch = \"x86_64\"", "mpam: only a machine of arch \"aarch64\""),
        ("\"virt\"", "\"virt,gic-version=2\"", "qemu.machine: MPAM needs \"virt\" without options"),
        ("cores = 4", "cores = 4\nthreads = 2", "topology.threads: QEMU's \"virt\" has no threads"),
        (
            "memory = \"1G\"",
            "memory = \"4G\"",
            "mpam.base: 0x100000000 is within what QEMU uses; with 4G of memory, 0x140000000",
        ),
        ("pmg_max = 3", "pmg_max = 3\nbase = 0x100100000", "mpam.base: 0x100100000 is no multiple of 2 MiB"),
        ("pmg_max = 3", "pmg_max = 3\ntable_defect = \"odd\"", "unknown variant `odd`"),
        ("pmg_max = 3", "pmg_max = 256", "pmg_max"),
        ("pmg_max = 3", "pmg_max = 3\nstreaming = true", "mpam.streaming: is true, but processor \"cortex-a57\" lacks"),
        ("\"cortex-a57\"", "\"max\"", "mpam.streaming: is false, but processor \"max\" has FEAT_SME"),
        ("error_interrupt = 112", "error_interrupt = 33", "mpam.msc[0].error_interrupt: 33 is not within 16 to 22"),
        ("error_interrupt = 112", "reached_from_l3 = 1", "mpam.msc[0].reached_from_l3: 1 is beyond the 1 L3 domains"),
        (
            "error_interrupt = 112",
            "reached_from_cpus = [3, 2]",
            "mpam.msc[0].reached_from_cpus: [3, 2] are not CPUs in order",
        ),
        ("error_interrupt = 112", "reached_from_cpus = []", "mpam.msc[0].reached_from_cpus: [] are not CPUs in order"),
        (
            "error_interrupt = 112",
            "reached_from_cpus = [3, 4]",
            "mpam.msc[0].reached_from_cpus: [3, 4] are beyond the 4 CPUs",
        ),
        ("error_interrupt = 112", "extended = false", "mpam.msc[0].extended_error_status: without \"extended\""),
        ("error_interrupt = 112", "errors = 1", "unknown field `errors`"),
        ("{ l3 = 0 }", "{ l3 = 1 }", "mpam.msc[0].ris[0].part_of: there is no L3 domain 1, but 1"),
        ("{ l3 = 0 }", "{ l4 = 0 }", "unknown variant `l4`"),
        ("cpor_bits = 16", "cpor_bits = 32769", "mpam.msc[0].ris[0].cpor_bits: 32769 is not within 0 to 32768"),
        ("cpor_bits = 16", "narrowing = 32", "mpam.msc[0].ris[0].narrowing: 32 internal PARTIDs are more"),
        ("cpor_bits = 16", "internal_priority = { bits = 17 }", "mpam.msc[0].ris[0].internal_priority.bits: 17 is"),
        ("usage = { count = 16", "usage = { count = 0", "mpam.msc[0].ris[0].usage.count: is 0; leave the table out"),
        ("bits = 8", "bits = 64", "mpam.msc[1].ris[0].bandwidth.bits: 64 is not within 0 to 63"),
        ("width = 44", "width = 32", "a counter of 32 bits; there are 31, 44 and 63"),
        ("ways = 16", "ways = 12", "cache.l3: 8192 KiB"),
        ("ways = 16", "ways = 16\nfirst_id = 16777216", "cache.l3.first_id: 0x1000000 is not below 0x1000000"),
    ];
    for (good, bad, message) in cases {
        assert!(MPAM.contains(good), "{good}");
        let problem = Machine::parse(&MPAM.replacen(good, bad, 1)).expect_err(bad).to_string();
        assert!(problem.contains(message), "{bad}: {problem}");
    }
    let problem = Machine::parse(&INTEL.replace("ways = 12", "ways = 12\nfirst_id = 1")).unwrap_err().to_string();
    assert!(problem.contains("cache.l3.first_id: only firmware for [mpam]"), "{problem}");
}

#[test]
fn the_tables_of_an_arm_machine_say_what_its_file_says() {
    let tables = Machine::parse(MPAM).unwrap().acpi_tables();
    let [(pptt_name, pptt), (mpam_name, mpam)] = &tables[..] else { panic!("{} tables", tables.len()) };
    assert_eq!((pptt_name.as_str(), mpam_name.as_str()), ("pptt.aml", "mpam.aml"));
    let word = |at: usize| u32::from_le_bytes(mpam[at..at + 4].try_into().unwrap());
    // The table's header, then two nodes with one resource each.
    let nodes = [36, 36 + 72 + 24];
    assert_eq!(mpam.len(), nodes[1] + 72 + 24);
    for (number, (node, interrupt)) in nodes.into_iter().zip([112, 113]).enumerate() {
        assert_eq!(u16::from_le_bytes([mpam[node], mpam[node + 1]]), 96);
        assert_eq!((word(node + 8), word(node + 12)), (0x1_0000 * number as u32, 1));
        assert_eq!((word(node + 16), word(node + 36)), (0x1_0000, interrupt));
    }
    // What firmware grants a monitor is what the slowest takes; memory's take none, so it is the standard.
    assert_eq!([word(nodes[0] + 52), word(nodes[1] + 52)], [20, 1000]);
    // Locator types: a cache, memory.
    assert_eq!([mpam[nodes[0] + 72 + 7], mpam[nodes[1] + 72 + 7]], [0, 1]);
    // The package, then the L3: id 0, and valid.
    assert_eq!((pptt[8], pptt[56], pptt[60] & 0x80, pptt[80]), (3, 1, 0x80, 0));
}

#[test]
fn an_interrupt_that_each_processor_has_for_itself_is_called_private() {
    let errors_are = |number: u32| {
        let file = MPAM.replace("error_interrupt = 112", &format!("error_interrupt = {number}"));
        let [_, (_, mpam)] = &Machine::parse(&file).unwrap().acpi_tables()[..] else { panic!("not two tables") };
        [72, 76].map(|at| u32::from_le_bytes(mpam[at..at + 4].try_into().unwrap()))
    };
    assert_eq!(errors_are(20), [20, 0x10]);
    assert_eq!(errors_are(112), [112, 0]);
}

#[test]
fn a_defect_changes_the_table_that_has_it_and_nothing_else() {
    let with = |defect: &str| {
        Machine::parse(&MPAM.replace("pmg_max = 3", &format!("pmg_max = 3\ntable_defect = \"{defect}\""))).unwrap()
    };
    let good = Machine::parse(MPAM).unwrap().acpi_tables();
    let sum = |table: &[u8]| table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    for defect in ["checksum", "truncated", "node_length", "resource_count", "reserved", "revision"] {
        let bad = with(defect).acpi_tables();
        assert_eq!(bad[0], good[0], "{defect}");
        assert_ne!(bad[1], good[1], "{defect}");
        assert_eq!(sum(&bad[1].1) == 0, defect != "checksum", "{defect}");
        let length = u32::from_le_bytes(bad[1].1[4..8].try_into().unwrap());
        assert_eq!(length as usize, bad[1].1.len(), "{defect}");
    }
    let bad = with("no_cache_ids").acpi_tables();
    assert_eq!(bad[1], good[1]);
    assert_eq!((bad[0].1[60] & 0x80, sum(&bad[0].1)), (0, 0));
}

#[test]
fn what_no_hardware_can_be_is_refused_with_its_place() {
    let cases = [
        ("cbm_len = 12", "cbm_len = 33", "rdt.l3.cbm_len: 33 is not within 1 to 32"),
        ("cbm_len = 12", "cbm_len = 0", "rdt.l3.cbm_len: 0 is not within 1 to 32"),
        ("cbm_len = 12", "cbm_len = 14", "cache.l3.size_kib: 24576 KiB do not divide into rdt.l3.cbm_len = 14"),
        ("shareable = 0xc00", "shareable = 0x1000", "rdt.l3.shareable: 0x1000 has bits beyond"),
        ("closids = 16", "closids = 129", "rdt.l3.closids: 129 is not within 1 to 128"),
        ("closids = 16", "closids = 15", "rdt.l3.closids: CDP makes pairs, 15 is odd"),
        ("closids = 8", "closids = 0", "rdt.mba.closids: 0 is not within 1 to 64"),
        ("max_delay = 90", "max_delay = 100", "rdt.mba.max_delay: 100 is not within"),
        ("rmids = 32", "rmids = 4097", "rdt.monitoring.rmids: 4097 is not within 1 to 4096"),
        ("unit = 65536", "unit = 0", "rdt.monitoring.unit: 0 is not within"),
        ("counter_bits = 24", "counter_bits = 23", "rdt.monitoring.counter_bits: 23 is not within 24 to 62"),
        ("\"mbm_total_bytes\", ", "\"llc_occupancy\", ", "rdt.monitoring.events: \"llc_occupancy\" is there twice"),
        ("sockets = 2", "sockets = 0", "topology.sockets: 0 is not within"),
        ("cores = 2", "cores = 2\nthreads = 3", "topology.threads: 3 is not 1 or 2"),
        ("cores = 2", "cores = 2\nl3_cores = 3", "topology.l3_cores: 2 cores cannot be shared out by 3"),
        ("cores = 2", "cores = 6\nl2_cores = 2", "both must be powers of two"),
        ("cores = 2", "cores = 4\nl2_cores = 4\nl3_cores = 2", "topology.l2_cores: 4 cores of one L2"),
        ("cores = 2", "cores = 3\nnodes = 2", "topology.nodes: 3 cores cannot be shared out by 2"),
        ("cores = 2", "cores = 4\nl3_cores = 2\nnodes = 2", "topology.nodes: a divided socket has one L3"),
        ("ways = 12", "ways = 13", "cache.l3: 24576 KiB are no whole number of sets of 13 ways"),
        ("memory = \"1G\"", "memory = \"1\"", "memory: \"1\" is not a number with unit"),
        ("arch = \"x86_64\"", "arch = \"aarch64\"", "rdt: only a machine of arch \"x86_64\""),
        ("[cache.l3]\nsize_kib = 24576\nways = 12\n", "", "cache.l3: is needed"),
        ("memory = \"1G\"", "memory = \"0G\"", "memory: \"0G\" is not a number with unit"),
        ("linear = true", "linear = true\nspeed = 9", "unknown field `speed`"),
        ("[rdt.mba]", "[other]\n[rdt.mba]", "unknown field `other`"),
    ];
    for (good, bad, message) in cases {
        assert!(INTEL.contains(good), "{good}");
        let problem = Machine::parse(&INTEL.replacen(good, bad, 1)).expect_err(bad).to_string();
        assert!(problem.contains(message), "{bad}: {problem}");
    }
}

#[test]
fn what_is_just_possible_is_taken_and_what_is_just_not_is_refused() {
    let accepts = |text: &str, changes: &[(&str, &str)]| {
        let changed = changes.iter().fold(text.to_owned(), |text, (old, new)| {
            assert!(text.contains(old), "{old}");
            text.replacen(old, new, 1)
        });
        Machine::parse(&changed).map(drop).map_err(|problem| problem.to_string())
    };
    let refused = |answer: Result<(), String>, problem: &str| {
        assert!(answer.as_ref().is_err_and(|answer| answer.contains(problem)), "{problem}: {answer:?}");
    };
    let model = ("[cache.l3]", "[cache]\nmodel = true\n[cache.l3]");
    // 65536 pairs of PARTID and PMG.
    for (partid_max, pmg_max, most) in [(16383, 3, true), (16384, 3, false), (255, 255, true), (256, 255, false)] {
        let labels = format!("partid_max = {partid_max}\npmg_max = {pmg_max}\n");
        let answer = accepts(MPAM, &[model, ("partid_max = 31\npmg_max = 3\n", &labels)]);
        match most {
            true => assert_eq!(answer, Ok(())),
            false => refused(answer, "labels are more than the 65536 that cache.model can have"),
        }
    }
    let l3 = "cpor_bits = 16";
    assert_eq!(accepts(MPAM, &[(l3, "bandwidth = { portion_bits = 8191 }")]), Ok(()));
    refused(
        accepts(MPAM, &[(l3, "bandwidth = { portion_bits = 8192 }")]),
        "mpam.msc[0].ris[0].bandwidth.portion_bits: 8192 is not within 0 to 8191",
    );
    assert_eq!(accepts(MPAM, &[("{ l3 = 0 }", "{ l2 = 3 }")]), Ok(()));
    refused(
        accepts(MPAM, &[("{ l3 = 0 }", "{ l2 = 4 }")]),
        "mpam.msc[0].ris[0].part_of: there is no L2 domain 4, but 4",
    );
    // The register of a divided socket is where the 17th mask would be.
    let snc = include_str!("../../machines/intel-snc.toml");
    assert_eq!(accepts(snc, &[("closids = 15", "closids = 16")]), Ok(()));
    refused(accepts(snc, &[("closids = 15", "closids = 17")]), "rdt.l3.closids: on a divided socket");
    let aet = include_str!("../../machines/intel-aet.toml");
    let first = |package: u32| {
        accepts(aet, &[("[telemetry.energy]", &format!("[telemetry]\nfirst_package = {package}\n[telemetry.energy]"))])
    };
    assert_eq!(first(254), Ok(()));
    refused(first(255), "telemetry.first_package: the last package would be 256");
    // What is monitored is needed as well as what is controlled.
    let only = include_str!("../../machines/intel-mon-only.toml");
    let at = only.find("[cache.l3]").expect("it has one");
    let end = at + only[at + 1..].find("\n[").expect("more tables") + 1;
    refused(
        accepts(&format!("{}{}", &only[..at], &only[end..]), &[]),
        "cache.l3: is needed, because [rdt] controls or",
    );
    let none = "description = \"x\"\narch = \"x86_64\"\nmemory = \"1G\"\n[qemu]\nmachine = \"q35\"\ncpu = \"max\"\n\
                [topology]\nsockets = 1\ncores = 1\n[cache.l3]\nsize_kib = 1024\nways = 16\n";
    assert_eq!(accepts(none, &[]), Ok(()));
    refused(accepts(none, &[model]), "cache.model: needs [rdt], [qos] or [mpam]");
    assert!(!Machine::parse(none).unwrap().has_controls());
}

#[test]
fn nodes_of_a_socket_are_counted_by_cpus_whatever_threads_there_are() {
    let snc = include_str!("../../machines/intel-snc.toml");
    // Two sockets of four cores of two threads, each divided into four nodes.
    let file = snc.replace("nodes = 2", "nodes = 4\nthreads = 2");
    let machine = Machine::parse(&file).unwrap_or_else(|problem| panic!("{problem}"));
    let topology = &machine.topology;
    assert_eq!((topology.sockets, topology.cores, topology.threads, topology.nodes), (2, 4, 2, 4));
    for cpu in 0..16 {
        assert_eq!((topology.node(cpu), topology.node_of_socket(cpu)), (cpu / 2, cpu / 2 % 4), "{cpu}");
    }
    let args = machine.qemu_args();
    let nodes: Vec<&str> = args.iter().filter(|arg| arg.starts_with("node,")).map(String::as_str).collect();
    assert_eq!(nodes.len(), 8);
    assert_eq!(nodes[7], "node,nodeid=7,cpus=14-15,memdev=node7");
    assert!(args.iter().any(|arg| arg == "memory-backend-ram,id=node7,size=134217728"), "an eighth of 1 GiB");
}

/// SDM Vol. 2, CPUID leaf 4: ids of the APIC take a power of two for each level.
#[test]
fn a_cache_is_shared_by_all_threads_of_its_cores() {
    let file = INTEL.replace("cores = 2", "cores = 4\nthreads = 2");
    let rdt = Rdt::new(&Machine::parse(&file).unwrap()).unwrap();
    let [eax, ..] = rdt.patch_cpuid(4, 3, [0x1c00_4163, 0, 0, 0]);
    assert_eq!(eax >> 14 & 0xfff, 7);
}

#[test]
fn a_machine_has_the_devices_that_its_file_asks_for_each_at_its_place() {
    use resctrl_hardware::machine::Device;
    let devices = |name: &str| {
        let path = format!("{}/../machines/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        Machine::load(path.as_ref()).unwrap().devices()
    };
    assert_eq!(devices("intel"), []);
    let telemetry = devices("intel-aet");
    assert_eq!(telemetry, [Device::Telemetry(0), Device::Telemetry(1)]);
    assert!(telemetry.iter().all(|device| device.address().is_none()), "QEMU chooses");
    let addresses: Vec<_> =
        devices("intel-imc").iter().map(|device| device.address().expect("it has a place")).collect();
    assert_eq!(addresses.len(), 11);
    assert_eq!(addresses[..4], ["08.0", "0a.0", "0a.2", "0a.6"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let problem = Machine::load(Path::new("no/such.toml")).unwrap_err().to_string();
    assert!(problem.starts_with("no/such.toml: "), "{problem}");
}

#[test]
fn caches_are_shared_as_the_topology_says() {
    let file = INTEL.replace("cores = 2", "cores = 4\nthreads = 2\nl2_cores = 2\nl3_cores = 2");
    let topology = Machine::parse(&file).unwrap().topology;
    assert_eq!((topology.cpus(), topology.l3_domains(), topology.l2_domains()), (16, 4, 4));
    assert_eq!([0, 3, 4, 8, 15].map(|cpu| topology.l3_domain(cpu)), [0, 0, 1, 2, 3]);
    assert_eq!(topology.l3_domain_cpus(2), 8..12);
    assert_eq!([0, 1, 2].map(|cpu| topology.core(cpu)), [0, 0, 1]);
}
