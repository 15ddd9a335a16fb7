// SPDX-License-Identifier: GPL-2.0-only
//! Machine files: those of this repository are valid, others are refused with the place of the fault.

use resctrl_hardware::{Machine, Rdt};
use std::path::Path;

const INTEL: &str = include_str!("../../machines/intel.toml");

#[test]
fn every_machine_of_this_repository_powers_on() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../machines");
    let mut seen = 0;
    for entry in folder.read_dir().expect("the machines have a folder") {
        let path = entry.expect("it can be read").path();
        let machine = Machine::load(&path).unwrap_or_else(|problem| panic!("{problem}"));
        Rdt::new(&machine).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
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
        ("rmids = 32", "rmids = 1025", "rdt.monitoring.rmids: 1025 is not within 1 to 1024"),
        ("unit = 65536", "unit = 0", "rdt.monitoring.unit: 0 is not within"),
        ("counter_bits = 24", "counter_bits = 23", "rdt.monitoring.counter_bits: 23 is not within 24 to 62"),
        ("\"mbm_total_bytes\", ", "\"llc_occupancy\", ", "rdt.monitoring.events: \"llc_occupancy\" is there twice"),
        ("sockets = 2", "sockets = 0", "topology.sockets: 0 is not within"),
        ("cores = 2", "cores = 2\nthreads = 3", "topology.threads: 3 is not 1 or 2"),
        ("cores = 2", "cores = 2\nl3_cores = 3", "topology.l3_cores: 2 cores cannot be shared out by 3"),
        ("cores = 2", "cores = 6\nl2_cores = 2", "both must be powers of two"),
        ("cores = 2", "cores = 4\nl2_cores = 4\nl3_cores = 2", "topology.l2_cores: 4 cores of one L2"),
        ("ways = 12", "ways = 13", "cache.l3: 24576 KiB are no whole number of sets of 13 ways"),
        ("memory = \"1G\"", "memory = \"1\"", "memory: \"1\" is not a number with unit"),
        ("arch = \"x86_64\"", "arch = \"aarch64\"", "rdt: only a machine of arch \"x86_64\""),
        ("[cache.l3]\nsize_kib = 24576\nways = 12\n", "", "cache.l3: is needed"),
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
