// SPDX-License-Identifier: GPL-2.0-only
//! What follows from which parts of RDT or QoS a machine has.

use resctrl_hardware::registers::{L2QosCfg, L3QosAbmcCfg, L3QosExtCfg, MbaThrottle, PqrAssoc, QmCtr, QmEvtsel};
use resctrl_hardware::{Event, Flow, Gp, Machine, Rdt};

const SECOND: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;
const INTEL: &str = "[topology]\nsockets = 2\ncores = 2\n[cache.l2]\nsize_kib = 1024\nways = 8\n[cache.l3]\nsize_kib = 24576\nways = 12\n[rdt]\n";
const AMD: &str = "[topology]\nsockets = 2\ncores = 2\n[cache.l2]\nsize_kib = 1024\nways = 8\n[cache.l3]\nsize_kib = 32768\nways = 16\n[qos]\n";

/// A machine with these parts.
fn with(vendor: &str, parts: &str) -> Rdt {
    let cpu = if vendor == AMD {
        "max,vendor=AuthenticAMD,family=25,model=17,stepping=1,level=0x10,xlevel=0x80000022"
    } else {
        "max,vendor=GenuineIntel,level=0x10"
    };
    let head = format!(
        "description = \"x\"\narch = \"x86_64\"\nmemory = \"1G\"\n[qemu]\nmachine = \"q35\"\ncpu = \"{cpu}\"\n"
    );
    let machine = Machine::parse(&format!("{head}{vendor}{parts}")).unwrap_or_else(|problem| panic!("{problem}"));
    Rdt::new(&machine).expect("a parsed machine is valid")
}

/// A machine of this repository.
fn of(name: &str) -> Rdt {
    let path = format!("{}/../machines/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    Rdt::new(&Machine::load(path.as_ref()).expect("a machine")).expect("a parsed machine is valid")
}

const CAT: &str = "cbm_len = 8\nclosids = 4\n";
const MONITORING: &str =
    "rmids = 8\nunit = 64\ncounter_bits = 44\nevents = [\"llc_occupancy\", \"mbm_total_bytes\", \"mbm_local_bytes\"]\n";

/// SDM Vol. 3, "Architectural Support for RDT", and APM Vol. 2, "Platform QoS": any one of them needs the register that says for whom
/// a CPU works, and is announced.
#[test]
fn any_part_alone_brings_the_association_and_its_bit_in_leaf_7() {
    let (monitoring, allocation) = (1 << 12, 1 << 15);
    let limit = "bits = 11\nclosids = 4\n";
    for (vendor, parts, bit, largest) in [
        (INTEL, String::new(), 0, None),
        (INTEL, format!("[rdt.monitoring]\n{MONITORING}"), monitoring, Some(7)),
        (INTEL, format!("[rdt.l3]\n{CAT}"), allocation, Some(3 << 32)),
        (INTEL, format!("[rdt.l2]\n{CAT}"), allocation, Some(3 << 32)),
        (INTEL, "[rdt.mba]\nmax_delay = 90\nlinear = true\nclosids = 6\n".to_owned(), allocation, Some(5 << 32)),
        (AMD, String::new(), 0, None),
        (AMD, format!("[qos.monitoring]\n{MONITORING}"), monitoring, Some(7)),
        (AMD, format!("[qos.l3]\n{CAT}"), allocation, Some(3 << 32)),
        (AMD, format!("[qos.l2]\n{CAT}"), allocation, Some(3 << 32)),
        (AMD, format!("[qos.mba]\n{limit}"), allocation, Some(3 << 32)),
        (AMD, format!("[qos.smba]\n{limit}"), allocation, Some(3 << 32)),
        // The largest number of classes counts.
        (AMD, format!("[qos.l3]\n{CAT}[qos.mba]\nbits = 11\nclosids = 8\n"), allocation, Some(7 << 32)),
        (AMD, format!("[qos.l3]\n{CAT}[qos.smba]\nbits = 11\nclosids = 2\n"), allocation, Some(3 << 32)),
    ] {
        let rdt = with(vendor, &parts);
        assert_eq!(rdt.patch_cpuid(7, 0, [1, 0xffff_ffff, 3, 4]), [1, 0xffff_6fff | bit, 3, 4], "{parts}");
        let write = |value| rdt.wrmsr(3, PqrAssoc::ADDRESS, value, 0);
        let Some(largest) = largest else {
            assert_eq!(write(0), Err(Gp::NoSuchRegister), "{parts}");
            continue;
        };
        assert_eq!(write(largest), Ok(true), "{parts}");
        assert_eq!(rdt.rdmsr(3, PqrAssoc::ADDRESS, 0), Ok(Some(largest)), "{parts}");
        let next = if largest < 1 << 32 { largest + 1 } else { largest + (1 << 32) };
        assert!(write(next).is_err(), "{parts}");
    }
}

#[test]
fn on_amd_each_thread_has_switches_for_code_and_data_of_its_own() {
    let l2 = "[qos.l2]\ncbm_len = 8\nclosids = 4\ncdp = true\n";
    let rdt = with(AMD, l2);
    assert_eq!(rdt.wrmsr(1, L2QosCfg::ADDRESS, 1, 0), Ok(true));
    assert_eq!([0, 1, 2].map(|cpu| rdt.rdmsr(cpu, L2QosCfg::ADDRESS, 0)), [Ok(Some(0)), Ok(Some(1)), Ok(Some(0))]);
    assert_eq!(rdt.wrmsr(1, L2QosCfg::ADDRESS, 2, 0), Err(Gp::ReservedBits));
    // On Intel the threads of an L2 have one together.
    let rdt = with(&INTEL.replace("cores = 2", "cores = 2\nl2_cores = 2"), &l2.replace("qos", "rdt"));
    assert_eq!(rdt.wrmsr(1, L2QosCfg::ADDRESS, 1, 0), Ok(true));
    assert_eq!([0, 1, 2].map(|cpu| rdt.rdmsr(cpu, L2QosCfg::ADDRESS, 0)), [Ok(Some(1)), Ok(Some(1)), Ok(Some(0))]);
}

#[test]
fn kinds_of_transactions_are_announced_where_something_chooses_among_them() {
    let subleaf = |rdt: &Rdt| rdt.cpuid(0, 0x8000_0020, 3).expect("it is QoS's");
    let mut seen = Vec::new();
    for parts in ["", "bmec = true\n", "[qos.abmc]\ncounters = 8\n", "transactions = 0x33\nbmec = true\n"] {
        seen.push(subleaf(&with(AMD, &format!("{parts}[qos.monitoring]\n{MONITORING}"))));
    }
    assert_eq!(seen, [[0; 4], [0, 2, 0x7f, 0], [0, 0, 0x7f, 0], [0, 2, 0x33, 0]]);
}

#[test]
fn the_counter_that_is_looked_at_is_the_one_that_was_named_last() {
    let rdt = of("amd-abmc");
    for counter in [3, 7, 0] {
        let config = L3QosAbmcCfg::default().with(&L3QosAbmcCfg::COUNTER, counter).with(&L3QosAbmcCfg::SOURCE, 5);
        assert_eq!(rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, config.0, 0), Ok(true));
        let shown = L3QosAbmcCfg::default().with(&L3QosAbmcCfg::COUNTER, counter);
        assert_eq!(rdt.rdmsr(1, L3QosAbmcCfg::ADDRESS, 0), Ok(Some(shown.0)), "nothing was configured");
    }
}

#[test]
fn the_extended_events_are_selected_where_counters_can_be_assigned() {
    let (extended, reserved) = (1 << 31, 1 << 30);
    let select = |rdt: &Rdt, value| rdt.wrmsr(0, QmEvtsel::ADDRESS, value, 0);
    let (with, without) = (of("amd-abmc"), of("amd"));
    assert_eq!((select(&with, extended | 1), select(&without, extended | 1)), (Ok(true), Err(Gp::ReservedBits)));
    assert_eq!((select(&with, reserved), select(&without, reserved)), (Err(Gp::ReservedBits), Err(Gp::ReservedBits)));
    // Assigned or not, there is one extended event.
    let read = |value: u64| {
        assert_eq!(select(&with, value), Ok(true));
        with.rdmsr(0, QmCtr::ADDRESS, 0).expect("there is one").expect("there is one") >> 63
    };
    let config = L3QosAbmcCfg::default()
        .with(&L3QosAbmcCfg::CONFIGURE, 1)
        .with(&L3QosAbmcCfg::COUNTER_ENABLE, 1)
        .with(&L3QosAbmcCfg::KINDS, 1);
    assert_eq!(read(extended | 1), 1, "counters are not assigned");
    assert_eq!(with.wrmsr(0, L3QosExtCfg::ADDRESS, L3QosExtCfg::ABMC.mask(), 0), Ok(true));
    assert_eq!(with.wrmsr(0, L3QosAbmcCfg::ADDRESS, config.0, 0), Ok(true));
    assert_eq!([extended | 1, extended | 2, extended].map(read), [0, 1, 1]);
}

/// SDM Vol. 3, "Memory Bandwidth Allocation Configuration".
#[test]
fn a_delay_is_rounded_down_to_one_that_the_hardware_has() {
    let moved = |rdt: &Rdt, delay: u64| {
        rdt.wrmsr(0, MbaThrottle::ADDRESS + 1, delay, 0).expect("it takes this delay");
        rdt.wrmsr(0, PqrAssoc::ADDRESS, 1 << 32 | 1, 0).expect("it takes these ids");
        rdt.set_flow(0, Some(Flow { total: 100 * MIB, local: 0, footprint: 0 }), 0).expect("it has this CPU");
        rdt.get(0, 1, Event::MbmTotal, SECOND).expect("there is one").0 / MIB
    };
    for (delay, left) in [(0, 100), (9, 100), (10, 90), (59, 50), (90, 10)] {
        assert_eq!(moved(&of("intel"), delay), left, "{delay}");
    }
    // Powers of two where delays are not linear.
    for (delay, left) in [(0, 100), (1, 99), (2, 98), (3, 98), (31, 84), (32, 68), (33, 68), (63, 68)] {
        assert_eq!(moved(&of("intel-nonlinear-mba"), delay), left, "{delay}");
    }
}

#[test]
fn a_delay_of_another_core_is_not_felt() {
    // Without control per thread, two threads a core.
    let file = include_str!("../../machines/intel-big.toml").replace("per_thread = true", "per_thread = false");
    let rdt = Rdt::new(&Machine::parse(&file).expect("a machine")).expect("a parsed machine is valid");
    let threads = rdt.machine().topology.threads;
    assert_eq!(threads, 2);
    rdt.wrmsr(0, MbaThrottle::ADDRESS + 1, 80, 0).expect("it takes this delay");
    rdt.wrmsr(0, PqrAssoc::ADDRESS, 1 << 32, 0).expect("it takes this class");
    let flow = Some(Flow { total: 100 * MIB, local: 0, footprint: 0 });
    for (cpu, rmid) in [(1, 1), (2, 2), (3, 3)] {
        rdt.wrmsr(cpu, PqrAssoc::ADDRESS, rmid, 0).expect("it takes this RMID");
        rdt.set_flow(cpu, flow, 0).expect("it has this CPU");
    }
    let moved = [1, 2, 3].map(|rmid| rdt.get(0, rmid, Event::MbmTotal, SECOND).expect("there is one").0 / MIB);
    assert_eq!(moved, [20, 100, 100]);
}

#[test]
fn what_is_shown_goes_to_the_last_register_of_each_kind() {
    let has = |rdt: &Rdt, names: &[&str]| {
        let shown = rdt.shown(0);
        let registers: Vec<&str> =
            shown.lines().filter_map(|line| line.strip_prefix("0x")?.split(':').next()).collect();
        for name in names {
            let times = registers.iter().filter(|register| register.ends_with(&format!(" {name}"))).count();
            assert_eq!(times, 1, "{name} is not once in\n{shown}");
        }
    };
    let intel = with(
        INTEL,
        "[rdt.l3]\ncbm_len = 12\nclosids = 16\n[rdt.l2]\ncbm_len = 8\nclosids = 8\n[rdt.mba]\nmax_delay = 90\nlinear = true\nclosids = 8\n",
    );
    has(&intel, &["L3Mask(15)", "L2Mask(0)", "L2Mask(7)", "MbaThrottle(0)", "MbaThrottle(7)"]);
    let amd = of("amd");
    has(&amd, &["MbaBandwidth(15)", "SmbaBandwidth(0)", "SmbaBandwidth(15)", "EvtCfg(0)", "EvtCfg(1)"]);
}
