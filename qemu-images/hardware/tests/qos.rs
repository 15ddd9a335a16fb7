// SPDX-License-Identifier: GPL-2.0-only
//! What only machines of AMD answer: limits of bandwidth, switches of each thread, counters that choose what they count.

use resctrl_hardware::registers::{
    EvtCfg, L2QosCfg, L3Mask, L3QosAbmcCfg, L3QosAbmcDsc, L3QosCfg, L3QosExtCfg, MbaBandwidth, MbaThrottle, PqrAssoc,
    QmCtr, QmEvtselAmd, SmbaBandwidth,
};
use resctrl_hardware::{Event, Fault, Flow, Gp, Machine, Rdt};

const SECOND: u64 = 1_000_000_000;
const UNAVAILABLE: u64 = 1 << 62;
const ERROR: u64 = 1 << 63;
const LOCAL_READS: u64 = 1;
const REMOTE_READS: u64 = 2;
/// Bytes that a step of a counter of these machines stands for.
const UNIT: u64 = 64;

fn rdt(file: &str) -> Rdt {
    let machine = Machine::parse(file).expect("a machine file of this repository is valid");
    Rdt::new(&machine).expect("a parsed machine is valid")
}

fn amd() -> Rdt {
    rdt(include_str!("../../machines/amd.toml"))
}

fn amd_abmc() -> Rdt {
    rdt(include_str!("../../machines/amd-abmc.toml"))
}

fn amd_sdciae() -> Rdt {
    rdt(include_str!("../../machines/amd-sdciae.toml"))
}

fn read(rdt: &Rdt, cpu: usize, address: u32) -> u64 {
    rdt.rdmsr(cpu, address, 0).expect("the register exists").expect("the register is QoS's")
}

/// Reads the counter of an event as software does.
fn event(rdt: &Rdt, cpu: usize, rmid: u64, event: u64) -> u64 {
    rdt.wrmsr(cpu, QmEvtselAmd::ADDRESS, rmid << 32 | event, 0).unwrap();
    read(rdt, cpu, QmCtr::ADDRESS)
}

/// Reads an assignable counter as software does.
fn assignable(rdt: &Rdt, cpu: usize, number: u64) -> u64 {
    rdt.wrmsr(cpu, QmEvtselAmd::ADDRESS, number << 32 | 1 << 31 | 1, 0).unwrap();
    read(rdt, cpu, QmCtr::ADDRESS)
}

/// What a write to the register of assignable counters looks like.
fn assignment(number: u64, rmid: u64, kinds: u64) -> u64 {
    1 << 63 | 1 << 62 | number << 48 | rmid << 32 | kinds
}

fn switch_assignment(rdt: &Rdt, on: bool) {
    for cpu in 0..4 {
        rdt.wrmsr(cpu, L3QosExtCfg::ADDRESS, on.into(), 0).unwrap();
    }
}

#[test]
fn limits_start_at_none_and_belong_to_the_domain() {
    let rdt = amd();
    for base in [MbaBandwidth::ADDRESS, SmbaBandwidth::ADDRESS] {
        for closid in 0..16 {
            assert_eq!([0, 3].map(|cpu| read(&rdt, cpu, base + closid)), [2048; 2]);
        }
        assert_eq!(rdt.wrmsr(2, base + 5, 17, 0), Ok(true));
        assert_eq!([0, 1, 2, 3].map(|cpu| read(&rdt, cpu, base + 5)), [2048, 2048, 17, 17]);
        assert_eq!(rdt.wrmsr(2, base + 5, 0, 0), Ok(true));
        assert_eq!(rdt.wrmsr(2, base + 5, 2048, 0), Ok(true));
        assert_eq!(rdt.wrmsr(2, base + 5, 2049, 0), Err(Gp::LimitTooLarge));
        assert_eq!(rdt.wrmsr(2, base + 16, 1, 0), Err(Gp::NoSuchRegister));
    }
}

#[test]
fn registers_of_one_vendor_fault_on_machines_of_the_other() {
    let intel = rdt(include_str!("../../machines/intel.toml"));
    for address in [MbaBandwidth::ADDRESS, SmbaBandwidth::ADDRESS, EvtCfg::ADDRESS, L3QosExtCfg::ADDRESS] {
        assert_eq!(intel.rdmsr(0, address, 0), Err(Gp::NoSuchRegister), "{address:#x}");
    }
    let amd = amd();
    for address in [MbaThrottle::ADDRESS, L3QosAbmcCfg::ADDRESS, L3QosExtCfg::ADDRESS] {
        assert_eq!(amd.rdmsr(0, address, 0), Err(Gp::NoSuchRegister), "{address:#x}");
    }
}

#[test]
fn masks_may_have_holes_and_be_empty() {
    let rdt = amd();
    for mask in [0, 0x5, 0x8001, 0xffff] {
        assert_eq!(rdt.wrmsr(0, L3Mask::ADDRESS + 1, mask, 0), Ok(true), "{mask:#x}");
    }
    assert_eq!(rdt.wrmsr(0, L3Mask::ADDRESS + 1, 0x1_0000, 0), Err(Gp::ReservedBits));
}

#[test]
fn the_switch_of_cdp_belongs_to_the_thread() {
    let rdt = amd();
    rdt.wrmsr(1, L3QosCfg::ADDRESS, 1, 0).unwrap();
    assert_eq!([0, 1, 2, 3].map(|cpu| read(&rdt, cpu, L3QosCfg::ADDRESS)), [0, 1, 0, 0]);
    assert_eq!(rdt.rdmsr(0, L2QosCfg::ADDRESS, 0), Err(Gp::NoSuchRegister));
    // CLOSID 1 of a thread with the switch on fills by the mask at index 2, of one without by that at index 1.
    rdt.wrmsr(0, L3Mask::ADDRESS + 1, 0x000f, 0).unwrap();
    rdt.wrmsr(0, L3Mask::ADDRESS + 2, 0x0001, 0).unwrap();
    for (cpu, rmid) in [(0, 1), (1, 2)] {
        rdt.wrmsr(cpu, PqrAssoc::ADDRESS, 1 << 32 | rmid, 0).unwrap();
        rdt.set_flow(cpu, Some(Flow { total: 1 << 30, local: 0, footprint: u64::MAX }), 0).unwrap();
    }
    let way = (32768 << 10) / 16;
    let held = |rmid| rdt.get(0, rmid, Event::LlcOccupancy, SECOND).unwrap().0;
    assert_eq!((held(1), held(2)), (4 * way, way));
}

#[test]
fn a_limit_slows_the_cpus_of_its_class_down_together() {
    let rdt = amd();
    for cpu in [0, 1] {
        rdt.wrmsr(cpu, PqrAssoc::ADDRESS, 3 << 32 | (1 + cpu as u64), 0).unwrap();
    }
    // Two gigabytes a second for the class, three and one wanted.
    rdt.wrmsr(0, MbaBandwidth::ADDRESS + 3, 16, 0).unwrap();
    for (cpu, total) in [(0, 3 * SECOND), (1, SECOND)] {
        rdt.set_flow(cpu, Some(Flow { total, local: total, footprint: 0 }), 0).unwrap();
    }
    let moved = |rmid, now| rdt.get(0, rmid, Event::MbmTotal, now).unwrap().0;
    assert_eq!((moved(1, SECOND), moved(2, SECOND)), (3 * SECOND / 2, SECOND / 2));
    rdt.wrmsr(0, MbaBandwidth::ADDRESS + 3, 2048, SECOND).unwrap();
    assert_eq!((moved(1, 2 * SECOND), moved(2, 2 * SECOND)), (9 * SECOND / 2, 3 * SECOND / 2));
}

#[test]
fn events_count_the_kinds_they_are_configured_for() {
    let rdt = amd();
    assert_eq!([0, 1].map(|n| read(&rdt, 0, EvtCfg::ADDRESS + n)), [0x7f, 0x15]);
    rdt.transact(0, 4, REMOTE_READS, 10 * UNIT, 0).unwrap();
    rdt.transact(0, 4, LOCAL_READS, UNIT, 0).unwrap();
    assert_eq!((event(&rdt, 1, 4, 2), event(&rdt, 1, 4, 3)), (11, 1));

    assert_eq!(rdt.wrmsr(1, EvtCfg::ADDRESS, 0x1, 0), Ok(true));
    assert_eq!([0, 1, 2].map(|cpu| read(&rdt, cpu, EvtCfg::ADDRESS)), [1, 1, 0x7f]);
    // Both events of every RMID begin anew, and say so once each.
    for id in [2, 3] {
        assert_eq!(event(&rdt, 0, 4, id), UNAVAILABLE);
        assert_eq!(event(&rdt, 0, 4, id), 0);
        assert_eq!(event(&rdt, 0, 9, id), UNAVAILABLE);
    }
    assert_eq!(event(&rdt, 0, 4, 1), 0, "occupancy goes on");
    rdt.transact(0, 4, REMOTE_READS, 10 * UNIT, 0).unwrap();
    rdt.transact(0, 4, LOCAL_READS, UNIT, 0).unwrap();
    assert_eq!((event(&rdt, 0, 4, 2), event(&rdt, 0, 4, 3)), (1, 1));
    assert_eq!(rdt.wrmsr(0, EvtCfg::ADDRESS, 0x80, 0), Err(Gp::ReservedBits));
}

#[test]
fn what_cannot_be_told_apart_cannot_be_configured() {
    let file = include_str!("../../machines/amd.toml").replace("bmec = true", "bmec = true\ntransactions = 0x43");
    let rdt = rdt(&file);
    assert_eq!([0, 1].map(|n| read(&rdt, 0, EvtCfg::ADDRESS + n)), [0x43, 0x01]);
    assert_eq!(rdt.wrmsr(0, EvtCfg::ADDRESS, 0x04, 0), Err(Gp::ReservedBits));
    assert_eq!(rdt.cpuid(0, 0x8000_0020, 3), Some([0, 2, 0x43, 0]));
}

#[test]
fn an_assigned_counter_counts_its_kinds_for_its_rmid_in_its_domain() {
    let rdt = amd_abmc();
    switch_assignment(&rdt, true);
    rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, assignment(7, 4, 0x7f), 0).unwrap();
    rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, assignment(2, 4, LOCAL_READS), 0).unwrap();
    rdt.transact(0, 4, REMOTE_READS, 10 * UNIT, 0).unwrap();
    rdt.transact(0, 4, LOCAL_READS, UNIT, 0).unwrap();
    rdt.transact(0, 5, LOCAL_READS, UNIT, 0).unwrap();
    assert_eq!((assignable(&rdt, 1, 7), assignable(&rdt, 1, 2)), (11, 1));
    assert_eq!(assignable(&rdt, 2, 7), ERROR, "nothing is assigned in the other domain");
    assert_eq!(assignable(&rdt, 0, 3), ERROR, "nor to another counter");
    assert_eq!(assignable(&rdt, 0, 8), ERROR, "and this is none");
    assert_eq!(event(&rdt, 0, 4, 2), UNAVAILABLE, "an RMID has no counter of its own now");
    assert_eq!(event(&rdt, 0, 4, 1), 0, "but occupancy");
    // Configuring it again is what makes 0 of it, and taking it away makes it no counter.
    rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, assignment(7, 4, 0x7f), 0).unwrap();
    assert_eq!((assignable(&rdt, 0, 7), assignable(&rdt, 0, 2)), (0, 1));
    rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, assignment(2, 4, 0) & !(1 << 62), 0).unwrap();
    assert_eq!(assignable(&rdt, 0, 2), ERROR);
}

#[test]
fn a_counter_can_be_looked_at_without_changing_it() {
    let rdt = amd_abmc();
    switch_assignment(&rdt, true);
    rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, assignment(5, 9, 0x15), 0).unwrap();
    rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, 3 << 48, 0).unwrap();
    assert_eq!(read(&rdt, 1, L3QosAbmcDsc::ADDRESS), 0);
    rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, 5 << 48, 0).unwrap();
    assert_eq!(read(&rdt, 1, L3QosAbmcDsc::ADDRESS), assignment(5, 9, 0x15) & !(1 << 63));
    assert_eq!(rdt.wrmsr(0, L3QosAbmcDsc::ADDRESS, 0, 0), Err(Gp::ReadOnly));
    assert_eq!(rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, assignment(8, 1, 1), 0), Err(Gp::ReservedBits));
    assert_eq!(rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, assignment(1, 1, 0x80), 0), Err(Gp::ReservedBits));
}

#[test]
fn switching_the_mode_makes_all_counts_zero_and_takes_the_counters_away() {
    let rdt = amd_abmc();
    rdt.transact(0, 4, LOCAL_READS, UNIT, 0).unwrap();
    rdt.transact(1, 4, LOCAL_READS, UNIT, 0).unwrap();
    assert_eq!(event(&rdt, 0, 4, 2), 1);
    rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, assignment(0, 4, 0x7f), 0).unwrap();
    for cpu in [0, 1] {
        rdt.wrmsr(cpu, L3QosExtCfg::ADDRESS, 1, 0).unwrap();
    }
    assert_eq!(assignable(&rdt, 0, 0), ERROR, "what was written while counters were not assigned is void");
    rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, assignment(0, 4, 0x7f), 0).unwrap();
    rdt.transact(0, 4, LOCAL_READS, UNIT, 0).unwrap();
    assert_eq!(event(&rdt, 2, 4, 2), 1, "the other domain goes on as it was");
    switch_assignment(&rdt, false);
    assert_eq!(event(&rdt, 0, 4, 2), 0);
    switch_assignment(&rdt, true);
    assert_eq!(assignable(&rdt, 0, 0), ERROR);
}

#[test]
fn tests_address_an_assigned_counter_by_what_it_stands_for() {
    let rdt = amd_abmc();
    switch_assignment(&rdt, true);
    rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, assignment(0, 4, 0x7f), 0).unwrap();
    rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, assignment(1, 4, 0x15), 0).unwrap();
    rdt.add(0, 4, Event::MbmTotal, 3 * UNIT, 0).unwrap();
    rdt.set_rate(0, 4, Event::MbmLocal, 5 * UNIT, 0).unwrap();
    assert_eq!(assignable(&rdt, 0, 0), 3);
    assert_eq!(rdt.get(0, 4, Event::MbmLocal, SECOND), Ok((5 * UNIT, None)));
    rdt.set_fault(0, 4, Event::MbmTotal, Some(Fault::Unavailable), 0).unwrap();
    assert_eq!(assignable(&rdt, 0, 0), UNAVAILABLE);
    // Without a counter nothing is counted.
    rdt.add(0, 5, Event::MbmTotal, UNIT, 0).unwrap();
    assert_eq!(rdt.get(0, 5, Event::MbmTotal, 0), Ok((0, None)));
}

#[test]
fn flows_arrive_at_assigned_counters() {
    let rdt = amd_abmc();
    switch_assignment(&rdt, true);
    rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, assignment(0, 4, 0x7f), 0).unwrap();
    rdt.wrmsr(0, L3QosAbmcCfg::ADDRESS, assignment(1, 4, 0x15), 0).unwrap();
    rdt.wrmsr(1, PqrAssoc::ADDRESS, 4, 0).unwrap();
    rdt.set_flow(1, Some(Flow { total: 10 * UNIT, local: 4 * UNIT, footprint: 0 }), 0).unwrap();
    assert_eq!(rdt.get(0, 4, Event::MbmTotal, SECOND), Ok((10 * UNIT, None)));
    assert_eq!(rdt.get(0, 4, Event::MbmLocal, SECOND), Ok((4 * UNIT, None)));
}

#[test]
fn the_switches_of_the_extension_exist_as_far_as_the_features_do() {
    for (rdt, bits) in [(amd_abmc(), 1), (amd_sdciae(), 2)] {
        for value in 0..4 {
            let allowed = value & !bits == 0;
            assert_eq!(
                rdt.wrmsr(3, L3QosExtCfg::ADDRESS, value, 0),
                if allowed { Ok(true) } else { Err(Gp::ReservedBits) }
            );
        }
        assert_eq!([2, 3].map(|cpu| read(&rdt, cpu, L3QosExtCfg::ADDRESS)), [0, bits]);
        assert_eq!(rdt.wrmsr(0, L3QosExtCfg::ADDRESS, 4, 0), Err(Gp::ReservedBits));
    }
}

#[test]
fn cpuid_says_what_there_is() {
    let (amd, abmc, sdciae) = (amd(), amd_abmc(), amd_sdciae());
    let extended = |rdt: &Rdt, subleaf| rdt.cpuid(0, 0x8000_0020, subleaf).unwrap();
    assert_eq!(extended(&amd, 0), [0, 0b000_1110, 0, 0]);
    assert_eq!(extended(&abmc, 0), [0, 0b010_1010, 0, 0]);
    assert_eq!(extended(&sdciae, 0), [0, 0b100_0000, 0, 0]);
    assert_eq!(extended(&amd, 1), [11, 0, 0, 15]);
    assert_eq!(extended(&amd, 2), [11, 0, 0, 15]);
    assert_eq!(extended(&abmc, 2), [0; 4]);
    assert_eq!(extended(&abmc, 3), [0, 2, 0x7f, 0]);
    assert_eq!(extended(&abmc, 5), [24, 7, 0, 0]);
    assert_eq!(extended(&amd, 5), [0; 4]);
    // Bandwidth is no resource of the common leaf, and no bit tells that masks may have holes.
    assert_eq!(amd.cpuid(0, 0x10, 0), Some([0, 0b0010, 0, 0]));
    assert_eq!(sdciae.cpuid(0, 0x10, 0), Some([0, 0b0110, 0, 0]));
    assert_eq!(amd.cpuid(0, 0x10, 1), Some([15, 0xc000, 0b0100, 15]));
    // A width of 44 goes without saying.
    assert_eq!(amd.cpuid(0, 0xf, 1), Some([0, 64, 31, 7]));
    assert_eq!(abmc.cpuid(0, 0xf, 1), Some([24, 64, 31, 7]));
    let intel = rdt(include_str!("../../machines/intel.toml"));
    assert_eq!(intel.cpuid(0, 0x8000_0020, 0), None);
    assert!(amd.patches_cpuid(0x8000_001d) && !intel.patches_cpuid(0x8000_001d) && intel.patches_cpuid(7));
}

#[test]
fn leaves_of_the_processor_are_completed() {
    let rdt = amd();
    assert_eq!(rdt.patch_cpuid(7, 0, [0; 4]), [0, 1 << 12 | 1 << 15, 0, 0]);
    assert_eq!(rdt.patch_cpuid(0x8000_0001, 0, [1, 2, 3, 4]), [1, 2, 3 | 1 << 22, 4]);
    assert_eq!(rdt.patch_cpuid(0x8000_0008, 0, [1, 2, 3, 4]), [1, 2 | 1 << 6, 3, 4]);
    assert_eq!(rdt.patch_cpuid(0x8000_0006, 0, [1, 2, 0x0200_6140, 4]), [1, 2, 0x0400_6140, 4]);
    // An L3 of 16 ways, shared by the two threads of a package.
    let [eax, ebx, ecx, _] = rdt.patch_cpuid(0x8000_001d, 3, [0x163, 0, 0, 0]);
    assert_eq!((eax, ebx, ecx), (0x163 | 1 << 14, 15 << 22 | 63, 32767));
    assert_eq!(rdt.patch_cpuid(4, 3, [0x163, 1, 2, 3]), [0x163, 1, 2, 3], "AMD has another leaf for caches");
}

#[test]
fn what_no_machine_of_amd_can_be_is_refused_with_its_place() {
    let file = include_str!("../../machines/amd-abmc.toml");
    let cases = [
        ("counters = 8", "counters = 33", "qos.abmc.counters: 33 is not within 1 to 32"),
        ("counters = 8", "counters = 0", "qos.abmc.counters: 0 is not within 1 to 32"),
        ("bits = 11", "bits = 32", "qos.mba.bits: 32 is not within 1 to 31"),
        ("bmec = true", "bmec = true\ntransactions = 0x80", "qos.transactions: 0x80 is not a mask"),
        (", \"mbm_local_bytes\"]", "]", "qos.bmec: needs both bandwidth events"),
        ("cdp = true", "cdp = true\nnoncontiguous = true", "qos.l3.noncontiguous: is not said of AMD"),
        (
            "cbm_len = 16\nshareable = 0xc000",
            "cbm_len = 12",
            "cache.l3.size_kib: 32768 KiB do not divide into qos.l3.cbm_len = 12",
        ),
        ("rmids = 32", "rmids = 0", "qos.monitoring.rmids: 0 is not within"),
        ("[qos.abmc]", "[rdt]\n[qos.abmc]", "rdt: no machine has both [rdt] and [qos]"),
        ("arch = \"x86_64\"", "arch = \"aarch64\"", "qos: only a machine of arch \"x86_64\""),
    ];
    for (good, bad, message) in cases {
        assert!(file.contains(good), "{good}");
        let problem = Machine::parse(&file.replacen(good, bad, 1)).expect_err(bad).to_string();
        assert!(problem.contains(message), "{bad}: {problem}");
    }
}
