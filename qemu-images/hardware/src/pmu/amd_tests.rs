// SPDX-License-Identifier: GPL-2.0-only
//! What AMD's counters have that Intel's have not.

use super::*;
use crate::registers::{LegacyPerfCtr, LegacyPerfEvtSel, PerfCntrGlobalCtl, PerfCntrGlobalStatus, PerfCtl, PerfCtr};

const USER: u64 = PerfCtl::USR.mask();
const ENABLE: u64 = PerfCtl::EN.mask();
const L2_MISSES: u64 = 0x0964;
const STATUS_CLEAR: u32 = 0xc000_0302;

fn pmu() -> Pmu {
    let text = include_str!("../../../machines/amd.toml");
    Pmu::of(&Machine::parse(&format!("{text}\n[pmu]\ncounters = 6\n")).unwrap()).unwrap()
}

fn references(user: u64, kernel: u64) -> Happened {
    Happened { references: [user, kernel], ..Happened::default() }
}

/// A write that is no fault.
fn write(pmu: &Pmu, address: u32, value: u64, happened: Happened) {
    assert_eq!(pmu.wrmsr(0, address, value, happened), Ok(true), "{address:#x} = {value:#x}");
}

#[test]
fn cpuid_says_version_and_number_in_a_leaf_of_amds() {
    assert_eq!((pmu().cpuid(0x8000_0022), pmu().cpuid(0xa)), (Some([1, 6, 0, 0]), None));
}

#[test]
fn controls_and_counters_take_turns_and_the_first_four_have_their_old_places_besides() {
    let pmu = pmu();
    for counter in 0..6 {
        write(&pmu, PerfCtl::ADDRESS + 2 * counter, L2_MISSES | USER | ENABLE, references(0, 0));
        write(&pmu, PerfCtr::ADDRESS + 2 * counter, u64::from(counter), references(0, 0));
    }
    for counter in 0..6 {
        let happened = references(10, 99);
        assert_eq!(pmu.rdmsr(0, PerfCtr::ADDRESS + 2 * counter, happened), Some(10 + u64::from(counter)));
        assert_eq!(pmu.rdpmc(0, counter, happened), Some(10 + u64::from(counter)));
        let old = (counter < 4).then_some(10 + u64::from(counter));
        assert_eq!(pmu.rdmsr(0, LegacyPerfCtr::ADDRESS + counter, happened), old);
    }
    assert_eq!(pmu.rdmsr(0, LegacyPerfEvtSel::ADDRESS + 3, references(10, 0)), Some(L2_MISSES | USER | ENABLE));
    assert_eq!(pmu.rdpmc(0, 6, references(10, 0)), None);
    for address in [PerfCtl::ADDRESS + 12, PerfCtl::ADDRESS - 1, LegacyPerfEvtSel::ADDRESS + 8, 0xc1, 0x186, 0x38f] {
        assert!(!pmu.has(address), "{address:#x}");
    }
}

#[test]
fn what_linux_calls_references_and_misses_are_those_of_the_l2() {
    let pmu = pmu();
    let happened = Happened { time: 7, instructions: [100, 0], accesses: [50, 0], references: [20, 0], misses: [5, 0] };
    let events = [0x0076, 1 << 32 | 0x0120, 0x00c0, 0xff60, 0x0964, 0x00c2];
    for (counter, event) in (0..).zip(events) {
        write(&pmu, PerfCtl::ADDRESS + 2 * counter, event | USER | ENABLE, Happened::default());
    }
    let counted = [0, 1, 2, 3, 4, 5].map(|counter| pmu.rdpmc(0, counter, happened).unwrap());
    assert_eq!(counted, [7, 7, 100, 50, 20, 0]);
}

/// What Linux does to be interrupted after so many.
#[test]
fn a_value_is_written_with_48_bits_and_wraps_behind_them() {
    let pmu = pmu();
    write(&pmu, PerfCtl::ADDRESS, L2_MISSES | USER | ENABLE, references(0, 0));
    write(&pmu, PerfCtr::ADDRESS, u64::MAX, references(0, 0));
    assert_eq!(pmu.rdmsr(0, PerfCtr::ADDRESS, references(0, 0)), Some(COUNTER));
    assert_eq!(pmu.rdmsr(0, PerfCtr::ADDRESS, references(2, 0)), Some(1));
    assert_eq!(pmu.rdmsr(0, PerfCntrGlobalStatus::ADDRESS, references(2, 0)), Some(1));
    // With the bits for what is frozen, as Linux clears everything.
    write(&pmu, STATUS_CLEAR, 1 << 58 | 0x3f, references(2, 0));
    assert_eq!(pmu.rdmsr(0, PerfCntrGlobalStatus::ADDRESS, references(2, 0)), Some(0));
    // No sign, as Intel's have one.
    write(&pmu, PerfCtr::ADDRESS + 2, 0x8000_0001, references(2, 0));
    assert_eq!(pmu.rdmsr(0, PerfCtr::ADDRESS + 2, references(2, 0)), Some(0x8000_0001));
    write(&pmu, PerfCntrGlobalCtl::ADDRESS, 0x3f, references(2, 0));
    assert_eq!(pmu.rdmsr(0, PerfCntrGlobalCtl::ADDRESS, references(2, 0)), Some(0x3f));
    write(&pmu, PerfCntrGlobalCtl::ADDRESS, 0, references(2, 0));
    assert_eq!(pmu.rdmsr(0, PerfCtr::ADDRESS, references(9, 0)), Some(1), "all are off");
}

#[test]
fn reserved_bits_and_the_status_fault() {
    let pmu = pmu();
    for (address, value) in [(PerfCtl::ADDRESS, 1 << 36), (PerfCntrGlobalCtl::ADDRESS, 1 << 6), (STATUS_CLEAR, 1 << 6)]
    {
        assert_eq!(pmu.wrmsr(0, address, value, references(0, 0)), Err(Gp::ReservedBits), "{address:#x}");
    }
    assert_eq!(pmu.wrmsr(0, PerfCntrGlobalStatus::ADDRESS, 0, references(0, 0)), Err(Gp::ReadOnly));
}

#[test]
fn a_machine_says_what_amds_processors_have() {
    let text = include_str!("../../../machines/amd.toml");
    let with = |counters| Machine::parse(&format!("{text}\n[pmu]\ncounters = {counters}\n"));
    assert!(with(6).is_ok() && with(4).is_err());
}
