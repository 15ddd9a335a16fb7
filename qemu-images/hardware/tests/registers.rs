// SPDX-License-Identifier: GPL-2.0-only
//! What RDMSR, WRMSR and CPUID answer, rule by rule of the manual.

use resctrl_hardware::registers::{
    L2Mask, L2QosCfg, L3Mask, L3QosCfg, MbaThrottle, PqrAssoc, QmCtr, QmEvtsel, RmidSncConfig,
};
use resctrl_hardware::write_log::Kind;
use resctrl_hardware::{Gp, Machine, Rdt};

fn rdt(file: &str) -> Rdt {
    let machine = Machine::parse(file).expect("a machine file of this repository is valid");
    Rdt::new(&machine).expect("a parsed machine is valid")
}

fn intel() -> Rdt {
    rdt(include_str!("../../machines/intel.toml"))
}

fn intel_l2() -> Rdt {
    rdt(include_str!("../../machines/intel-l2.toml"))
}

fn intel_mon_only() -> Rdt {
    rdt(include_str!("../../machines/intel-mon-only.toml"))
}

fn read(rdt: &Rdt, cpu: usize, address: u32) -> u64 {
    rdt.rdmsr(cpu, address, 0).expect("the register exists").expect("the register is RDT's")
}

#[test]
fn registers_start_as_after_reset() {
    let rdt = intel();
    for cpu in 0..4 {
        assert_eq!(read(&rdt, cpu, L3QosCfg::ADDRESS), 0);
        assert_eq!(read(&rdt, cpu, PqrAssoc::ADDRESS), 0);
        for closid in 0..16 {
            assert_eq!(read(&rdt, cpu, L3Mask::ADDRESS + closid), 0xfff);
        }
        for closid in 0..8 {
            assert_eq!(read(&rdt, cpu, MbaThrottle::ADDRESS + closid), 0);
        }
    }
}

#[test]
fn l3_registers_are_shared_by_the_domain_and_by_nobody_else() {
    let rdt = intel();
    for (address, value) in [(L3Mask::ADDRESS + 3, 0x0f0), (MbaThrottle::ADDRESS + 3, 50), (L3QosCfg::ADDRESS, 1)] {
        let before = read(&rdt, 0, address);
        assert_eq!(rdt.wrmsr(2, address, value, 0), Ok(true));
        assert_eq!([0, 1, 2, 3].map(|cpu| read(&rdt, cpu, address)), [before, before, value, value], "{address:#x}");
    }
}

#[test]
fn l2_registers_are_shared_by_the_cores_of_one_l2() {
    let rdt = intel_l2();
    for (address, value) in [(L2Mask::ADDRESS + 1, 0x00f0), (L2QosCfg::ADDRESS, 1)] {
        let before = read(&rdt, 0, address);
        assert_eq!(rdt.wrmsr(1, address, value, 0), Ok(true));
        assert_eq!([0, 1, 2, 3].map(|cpu| read(&rdt, cpu, address)), [value, value, before, before], "{address:#x}");
    }
}

#[test]
fn association_and_selection_belong_to_the_thread() {
    let rdt = intel();
    for (address, value) in [(PqrAssoc::ADDRESS, (3 << 32) | 7), (QmEvtsel::ADDRESS, (7 << 32) | 1)] {
        assert_eq!(rdt.wrmsr(1, address, value, 0), Ok(true));
        assert_eq!([0, 1, 2, 3].map(|cpu| read(&rdt, cpu, address)), [0, value, 0, 0], "{address:#x}");
    }
}

#[test]
fn values_the_manual_forbids_fault_and_change_nothing() {
    let rdt = intel();
    let cases = [
        (L3Mask::ADDRESS + 1, 0, Gp::MaskEmpty),
        (L3Mask::ADDRESS + 1, 0x1000, Gp::ReservedBits),
        (L3Mask::ADDRESS + 1, 1 << 32, Gp::ReservedBits),
        (L3Mask::ADDRESS + 1, 0x5, Gp::MaskNotContiguous),
        (L3Mask::ADDRESS + 1, 0xf0f, Gp::MaskNotContiguous),
        (MbaThrottle::ADDRESS + 1, 91, Gp::DelayTooLarge),
        (MbaThrottle::ADDRESS + 1, 1 << 16, Gp::ReservedBits),
        (PqrAssoc::ADDRESS, 32, Gp::RmidTooLarge),
        (PqrAssoc::ADDRESS, 1 << 12, Gp::ReservedBits),
        (PqrAssoc::ADDRESS, 16 << 32, Gp::ClosidTooLarge),
        (QmEvtsel::ADDRESS, 1 << 8, Gp::ReservedBits),
        (QmEvtsel::ADDRESS, 1 << 44, Gp::ReservedBits),
        (L3QosCfg::ADDRESS, 2, Gp::ReservedBits),
    ];
    for (address, value, expected) in cases {
        let before = read(&rdt, 0, address);
        assert_eq!(rdt.wrmsr(0, address, value, 0), Err(expected), "{address:#x} = {value:#x}");
        assert_eq!(read(&rdt, 0, address), before, "{address:#x}");
    }
    assert_eq!(rdt.wrmsr(0, QmCtr::ADDRESS, 0, 0), Err(Gp::ReadOnly));
    assert_eq!(rdt.writes(Kind::Refused), cases.len() as u64 + 1);
    assert_eq!(rdt.next_write(), 0);
}

#[test]
fn the_largest_values_allowed_are_taken() {
    let rdt = intel();
    for (address, value) in [
        (L3Mask::ADDRESS + 15, 0xfff),
        (L3Mask::ADDRESS + 15, 0x800),
        (MbaThrottle::ADDRESS + 7, 90),
        (PqrAssoc::ADDRESS, (15 << 32) | 31),
        (QmEvtsel::ADDRESS, (0x3ff << 32) | 0xff),
    ] {
        assert_eq!(rdt.wrmsr(0, address, value, 0), Ok(true), "{address:#x} = {value:#x}");
        assert_eq!(read(&rdt, 0, address), value);
    }
}

#[test]
fn registers_the_machine_does_not_have_fault_on_both_ways() {
    let cases = [
        (intel(), vec![L3Mask::ADDRESS + 16, MbaThrottle::ADDRESS + 8, L2Mask::ADDRESS, L2QosCfg::ADDRESS]),
        (intel_l2(), vec![L3QosCfg::ADDRESS, QmEvtsel::ADDRESS, QmCtr::ADDRESS, L2Mask::ADDRESS + 8]),
        (intel_mon_only(), vec![L3Mask::ADDRESS, L3QosCfg::ADDRESS, MbaThrottle::ADDRESS]),
    ];
    for (rdt, addresses) in cases {
        for address in addresses {
            assert_eq!(rdt.rdmsr(0, address, 0), Err(Gp::NoSuchRegister), "{address:#x}");
            assert_eq!(rdt.wrmsr(0, address, 1, 0), Err(Gp::NoSuchRegister), "{address:#x}");
        }
    }
}

#[test]
fn other_addresses_are_left_to_the_processor() {
    let rdt = intel();
    for address in [0, 0x10, 0xc80, 0xc83, 0xd90, 0xc000_0080] {
        assert_eq!(rdt.rdmsr(0, address, 0), Ok(None));
        assert_eq!(rdt.wrmsr(0, address, u64::MAX, 0), Ok(false));
    }
}

#[test]
fn masks_may_have_holes_where_the_machine_says_so() {
    let rdt = intel_l2();
    assert_eq!(rdt.wrmsr(0, L3Mask::ADDRESS, 0x5_0005, 0), Ok(true));
    assert_eq!(rdt.wrmsr(0, L2Mask::ADDRESS, 0x0005, 0), Err(Gp::MaskNotContiguous));
}

#[test]
fn without_allocation_or_monitoring_only_id_zero_exists() {
    assert_eq!(intel_mon_only().wrmsr(0, PqrAssoc::ADDRESS, 22, 0), Ok(true));
    assert_eq!(intel_mon_only().wrmsr(0, PqrAssoc::ADDRESS, 23, 0), Err(Gp::RmidTooLarge));
    assert_eq!(intel_mon_only().wrmsr(0, PqrAssoc::ADDRESS, 1 << 32, 0), Err(Gp::ClosidTooLarge));
    assert_eq!(intel_l2().wrmsr(0, PqrAssoc::ADDRESS, 1, 0), Err(Gp::RmidTooLarge));
}

#[test]
fn a_power_cycle_resets_the_thread_and_keeps_the_caches() {
    let rdt = intel();
    for (address, value) in [(PqrAssoc::ADDRESS, 1 << 32), (QmEvtsel::ADDRESS, 2), (L3Mask::ADDRESS + 1, 1)] {
        rdt.wrmsr(3, address, value, 0).unwrap();
    }
    rdt.power_cycle(3, 0);
    assert_eq!(read(&rdt, 3, PqrAssoc::ADDRESS), 0);
    assert_eq!(read(&rdt, 3, QmEvtsel::ADDRESS), 0);
    assert_eq!(read(&rdt, 3, L3Mask::ADDRESS + 1), 1);
}

#[test]
fn writes_are_remembered_with_whether_they_changed_anything() {
    let rdt = intel();
    let start = rdt.next_write();
    rdt.wrmsr(0, L3Mask::ADDRESS + 2, 0xf, 0).unwrap();
    rdt.wrmsr(1, L3Mask::ADDRESS + 2, 0xf, 0).unwrap();
    rdt.wrmsr(2, PqrAssoc::ADDRESS, 1, 0).unwrap();
    let seen: Vec<_> = rdt.writes_since(start).iter().map(|w| (w.cpu, w.address, w.value, w.changed)).collect();
    assert_eq!(seen, [(0, 0xc92, 0xf, true), (1, 0xc92, 0xf, false), (2, 0xc8f, 1, true)]);
    assert_eq!([Kind::L3Mask, Kind::Assoc, Kind::Mba].map(|kind| rdt.writes(kind)), [2, 1, 0]);
    assert_eq!(rdt.control_write_at_or_after(start + 2), None);
}

#[test]
fn leaves_of_rdt_say_what_the_machine_file_says() {
    let intel = intel();
    assert_eq!(intel.cpuid(0, 0xf, 0), Some([0, 31, 0, 2]));
    assert_eq!(intel.cpuid(0, 0xf, 1), Some([0, 65536, 31, 7]));
    assert_eq!(intel.cpuid(0, 0x10, 0), Some([0, 0b1010, 0, 0]));
    assert_eq!(intel.cpuid(0, 0x10, 1), Some([11, 0xc00, 1 << 2, 15]));
    assert_eq!(intel.cpuid(0, 0x10, 2), Some([0; 4]));
    assert_eq!(intel.cpuid(0, 0x10, 3), Some([89, 0, 1 << 2, 7]));
    assert_eq!(intel.cpuid(0, 0x10, 4), Some([0; 4]));
    assert_eq!(intel.cpuid(0, 0x11, 0), None);
    let l2 = intel_l2();
    assert_eq!(l2.cpuid(0, 0x10, 0), Some([0, 0b0110, 0, 0]));
    assert_eq!(l2.cpuid(0, 0x10, 1), Some([19, 0xc0000, 1 << 3, 15]));
    assert_eq!(l2.cpuid(0, 0x10, 2), Some([15, 0, 1 << 2, 7]));
    assert_eq!(l2.cpuid(0, 0xf, 0), Some([0; 4]));
    assert_eq!(intel_mon_only().cpuid(0, 0xf, 1), Some([8, 114_688, 22, 7]));
    let big = rdt(include_str!("../../machines/intel-big.toml"));
    assert_eq!(big.cpuid(0, 0x10, 3), Some([89, 0, 1 | 1 << 2, 15]));
}

#[test]
fn feature_bits_are_set_and_cleared_in_the_processors_own_leaf() {
    let (monitoring, allocation, other) = (1 << 12, 1 << 15, 1 << 5);
    let all = monitoring | allocation | other;
    assert_eq!(intel().patch_cpuid(7, 0, [2, other, 3, 4]), [2, all, 3, 4]);
    assert_eq!(intel_l2().patch_cpuid(7, 0, [2, all, 3, 4]), [2, allocation | other, 3, 4]);
    assert_eq!(intel_mon_only().patch_cpuid(7, 0, [2, all, 3, 4]), [2, monitoring | other, 3, 4]);
    assert_eq!(intel().patch_cpuid(7, 1, [1, 2, 3, 4]), [1, 2, 3, 4]);
}

#[test]
fn cache_geometry_multiplies_to_the_size_and_shares_by_the_topology() {
    let size = |ebx: u32, ecx: u32| ((ebx >> 22) + 1) * ((ebx & 0xfff) + 1) * (ecx + 1);
    let (l2, l3) = (0x1c00_4143, 0x1c00_4163);
    let rdt = intel_l2();
    let [eax, ebx, ecx, edx] = rdt.patch_cpuid(4, 2, [l2, 0, 0, 6]);
    assert_eq!((size(ebx, ecx), eax >> 14 & 0xfff, edx), (2048 << 10, 1, 6));
    let [eax, ebx, ecx, _] = rdt.patch_cpuid(4, 3, [l3, 0, 0, 0]);
    assert_eq!((size(ebx, ecx), eax >> 14 & 0xfff), (20480 << 10, 3));
    // First level and end of list stay the processor's.
    assert_eq!(rdt.patch_cpuid(4, 0, [0x0400_0121, 1, 2, 3]), [0x0400_0121, 1, 2, 3]);
    assert_eq!(rdt.patch_cpuid(4, 4, [0; 4]), [0; 4]);
    // `intel` leaves the L2 alone.
    assert_eq!(intel().patch_cpuid(4, 2, [l2, 7, 8, 9]), [l2, 7, 8, 9]);
}

#[test]
fn a_machine_that_keeps_quiet_about_its_masks_has_them_all_the_same() {
    let rdt = rdt(include_str!("../../machines/intel-haswell.toml"));
    let allocation = 1 << 15;
    assert_eq!(rdt.patch_cpuid(7, 0, [0, allocation, 0, 0])[1], 1 << 12, "monitoring is announced, allocation is not");
    for subleaf in 0..=3 {
        assert_eq!(rdt.cpuid(0, 0x10, subleaf), Some([0; 4]), "subleaf {subleaf}");
    }
    assert_eq!(rdt.wrmsr(0, L3Mask::ADDRESS + 3, 0xfffff, 0), Ok(true));
    assert_eq!(rdt.wrmsr(0, L3Mask::ADDRESS + 4, 0xfffff, 0), Err(Gp::NoSuchRegister));
}

#[test]
fn a_mask_narrower_than_the_machine_takes_faults() {
    let rdt = rdt(include_str!("../../machines/intel-haswell.toml"));
    assert_eq!(rdt.wrmsr(0, L3Mask::ADDRESS, 0b10, 0), Err(Gp::MaskTooNarrow));
    assert_eq!(rdt.wrmsr(0, L3Mask::ADDRESS, 0b110, 0), Ok(true));
    assert_eq!(rdt.wrmsr(0, L3Mask::ADDRESS, 0b1010, 0), Err(Gp::MaskNotContiguous));
}

#[test]
fn a_divided_socket_has_a_switch_where_others_have_a_mask() {
    let rdt = rdt(include_str!("../../machines/intel-snc.toml"));
    assert_eq!([0, 7].map(|cpu| read(&rdt, cpu, RmidSncConfig::ADDRESS)), [1, 1]);
    assert_eq!(rdt.wrmsr(5, RmidSncConfig::ADDRESS, 2, 0), Err(Gp::ReservedBits));
    assert_eq!(rdt.wrmsr(5, RmidSncConfig::ADDRESS, 0, 0), Ok(true));
    assert_eq!([0, 3, 4, 7].map(|cpu| read(&rdt, cpu, RmidSncConfig::ADDRESS)), [1, 1, 0, 0]);
    assert_eq!(rdt.rdmsr(0, L3Mask::ADDRESS + 15, 0), Err(Gp::NoSuchRegister));
    assert_eq!(intel().rdmsr(0, RmidSncConfig::ADDRESS, 0), Err(Gp::NoSuchRegister));
}
