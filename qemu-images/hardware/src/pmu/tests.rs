// SPDX-License-Identifier: GPL-2.0-only
//! What counters show of what has happened.

use super::*;
use crate::registers::{FixedCtr, PerfGlobalCtrl, PerfGlobalOvfCtrl, PerfGlobalStatus, Pmc};

const PMC: u32 = Pmc::ADDRESS;
const PERFEVTSEL: u32 = PerfEvtSel::ADDRESS;
const FIXED_CTR: u32 = FixedCtr::ADDRESS;
const FIXED_CTR_CTRL: u32 = FixedCtrCtrl::ADDRESS;
const GLOBAL_STATUS: u32 = PerfGlobalStatus::ADDRESS;
const GLOBAL_CTRL: u32 = PerfGlobalCtrl::ADDRESS;
const GLOBAL_OVF_CTRL: u32 = PerfGlobalOvfCtrl::ADDRESS;
const USER: u64 = PerfEvtSel::USR.mask();
const KERNEL: u64 = PerfEvtSel::OS.mask();
const ENABLE: u64 = PerfEvtSel::EN.mask();
const RDPMC_FIXED: u32 = 1 << 30;

const SELECT: [u32; 2] = [PERFEVTSEL, PERFEVTSEL + 1];
const VALUE: [u32; 2] = [PMC, PMC + 1];
const LLC_MISSES: u64 = 0x412e;

fn pmu() -> Pmu {
    let text = include_str!("../../../machines/intel.toml");
    Pmu::of(&Machine::parse(&format!("{text}\n[pmu]\ncounters = 4\n")).unwrap()).unwrap()
}

fn misses(user: u64, kernel: u64) -> Happened {
    Happened { misses: [user, kernel], ..Happened::default() }
}

/// A write that is no fault.
fn write(pmu: &Pmu, address: u32, value: u64, happened: Happened) {
    assert_eq!(pmu.wrmsr(0, address, value, happened), Ok(true), "{address:#x} = {value:#x}");
}

#[test]
fn a_machine_without_them_has_none_and_what_is_not_theirs_is_left_alone() {
    assert!(Pmu::of(&Machine::parse(include_str!("../../../machines/intel.toml")).unwrap()).is_none());
    let pmu = pmu();
    assert_eq!(pmu.cpuid(0x10), None);
    for address in [0xc0, PMC + 4, PERFEVTSEL + 4, FIXED_CTR + 3, 0xc8f] {
        assert!(!pmu.has(address) && pmu.rdmsr(0, address, Happened::default()).is_none());
        assert_eq!(pmu.wrmsr(0, address, 0, Happened::default()), Ok(false));
    }
}

#[test]
fn cpuid_says_version_numbers_and_widths_and_that_branches_are_not_counted() {
    assert_eq!(pmu().cpuid(0xa), Some([0x0730_0402, 0x60, 0, 0x603]));
}

#[test]
fn a_counter_counts_its_event_for_the_modes_it_is_asked_for_while_it_is_on() {
    let pmu = pmu();
    write(&pmu, SELECT[0], LLC_MISSES | USER | ENABLE, misses(5, 50));
    write(&pmu, SELECT[1], LLC_MISSES | USER | KERNEL | ENABLE, misses(5, 50));
    let read = |counter: usize, happened| pmu.rdmsr(0, VALUE[counter], happened).unwrap();
    assert_eq!((read(0, misses(7, 90)), read(1, misses(7, 90))), (2, 42));
    write(&pmu, GLOBAL_CTRL, 0b10, misses(7, 90));
    assert_eq!((read(0, misses(8, 91)), read(1, misses(8, 91))), (2, 44), "one is off");
    write(&pmu, SELECT[1], LLC_MISSES | USER | KERNEL, misses(8, 91));
    assert_eq!(read(1, misses(100, 100)), 44, "both are");
    assert_eq!(pmu.rdmsr(1, VALUE[1], misses(100, 100)), Some(0), "another CPU");
}

#[test]
fn events_have_the_numbers_of_the_manual() {
    let pmu = pmu();
    let happened = Happened { time: 7, instructions: [100, 0], references: [20, 0], misses: [5, 0], accesses: [50, 0] };
    for (event, counted) in
        [(0x003c, 7), (0x013c, 7), (0x00c0, 100), (0x4f2e, 20), (0x412e, 5), (0x00c4, 0), (0x00c5, 0), (0x4f2f, 0)]
    {
        write(&pmu, SELECT[0], 0, Happened::default());
        write(&pmu, VALUE[0], 0, Happened::default());
        write(&pmu, SELECT[0], event | USER | ENABLE, Happened::default());
        assert_eq!(pmu.rdmsr(0, VALUE[0], happened), Some(counted), "{event:#x}");
    }
}

#[test]
fn each_counter_has_a_register_and_a_bit_of_its_own() {
    let pmu = pmu();
    let general: Vec<u32> = (0..4).map(|number| PMC + number).collect();
    let fixed: Vec<u32> = (0..3).map(|number| FIXED_CTR + number).collect();
    assert!(general.iter().chain(&fixed).chain(&[GLOBAL_STATUS, FIXED_CTR_CTRL]).all(|address| pmu.has(*address)));
    // A general-purpose counter is written with 32 bits, whatever is above, and a sign; a fixed one with 48.
    for (place, address) in (1..).zip(general.iter().chain(&fixed)) {
        write(&pmu, *address, 0x8000_0000 | place, Happened::default());
    }
    let read = |address: &u32| pmu.rdmsr(0, *address, Happened::default()).unwrap();
    let sign = COUNTER & !0xffff_ffff;
    assert_eq!(general.iter().map(read).collect::<Vec<_>>(), [1, 2, 3, 4].map(|place| sign | 0x8000_0000 | place));
    assert_eq!(fixed.iter().map(read).collect::<Vec<_>>(), [5, 6, 7].map(|place| 0x8000_0000 | place));
    write(&pmu, PMC + 3, 1 << 63 | 5, Happened::default());
    assert_eq!(read(&(PMC + 3)), 5);
    // All of them overflow, and each says so.
    let on = (FixedCtrCtrl::USR) * 0x111;
    write(&pmu, FIXED_CTR_CTRL, on, Happened::default());
    write(&pmu, GLOBAL_CTRL, 0x7_0000_000f, Happened::default());
    for (number, bit) in
        [(PMC, 0), (PMC + 1, 1), (PMC + 3, 3), (FIXED_CTR, 32), (FIXED_CTR + 1, 33), (FIXED_CTR + 2, 34)]
    {
        for address in general.iter().chain(&fixed) {
            write(&pmu, *address, 0, Happened::default());
        }
        for select in 0..4 {
            write(&pmu, PERFEVTSEL + select, 0x00c0 | USER | ENABLE, Happened::default());
        }
        write(&pmu, number, if bit < 32 { 0xffff_ffff } else { COUNTER }, Happened::default());
        let happened = Happened { time: 2, instructions: [2, 0], ..Happened::default() };
        assert_eq!(pmu.rdmsr(0, GLOBAL_STATUS, happened), Some(1 << bit), "{number:#x}");
        write(&pmu, GLOBAL_OVF_CTRL, 1 << bit, happened);
        assert_eq!(pmu.rdmsr(0, GLOBAL_STATUS, happened), Some(0));
        let _ = pmu.rdmsr(0, GLOBAL_STATUS, Happened::default());
    }
}

#[test]
fn other_events_are_kept_and_count_nothing() {
    let pmu = pmu();
    write(&pmu, SELECT[0], 0x00c5 | USER | ENABLE, misses(0, 0));
    assert_eq!(pmu.rdmsr(0, VALUE[0], misses(9, 9)), Some(0));
    assert_eq!(pmu.rdmsr(0, SELECT[0], misses(9, 9)), Some(0x00c5 | USER | ENABLE));
}

#[test]
fn fixed_counters_count_instructions_and_time() {
    let pmu = pmu();
    write(
        &pmu,
        FIXED_CTR_CTRL,
        FixedCtrCtrl::USR | (FixedCtrCtrl::USR | FixedCtrCtrl::OS) << FixedCtrCtrl::STRIDE,
        Happened::default(),
    );
    write(&pmu, GLOBAL_CTRL, 0x7_0000_0000, Happened::default());
    let happened = Happened { time: 1000, instructions: [30, 4], ..Happened::default() };
    let fixed = [0, 1, 2].map(|counter| pmu.rdpmc(0, RDPMC_FIXED | counter, happened));
    assert_eq!(fixed, [Some(30), Some(1000), Some(0)], "the third is off");
    assert_eq!(pmu.rdpmc(0, RDPMC_FIXED | 3, happened), None);
    assert_eq!(pmu.rdpmc(0, 4, happened), None);
    assert_eq!(pmu.rdpmc(0, PERFEVTSEL - PMC, happened), None, "no value");
    assert_eq!(pmu.rdpmc(0, u32::MAX, happened), None);
}

/// What Linux does to be interrupted after so many, and to see whether there are counters at all.
#[test]
fn a_value_is_written_with_32_bits_and_wraps_behind_48() {
    let pmu = pmu();
    write(&pmu, VALUE[0], 0xffff_fffe, misses(0, 0));
    assert_eq!(pmu.rdmsr(0, VALUE[0], misses(0, 0)), Some(COUNTER - 1));
    write(&pmu, SELECT[0], LLC_MISSES | USER | ENABLE, misses(0, 0));
    assert_eq!(pmu.rdmsr(0, GLOBAL_STATUS, misses(1, 0)), Some(0));
    assert_eq!(pmu.rdmsr(0, VALUE[0], misses(3, 0)), Some(1));
    assert_eq!(pmu.rdmsr(0, GLOBAL_STATUS, misses(3, 0)), Some(1));
    write(&pmu, GLOBAL_OVF_CTRL, 1, misses(3, 0));
    assert_eq!(pmu.rdmsr(0, GLOBAL_STATUS, misses(3, 0)), Some(0));
    write(&pmu, FIXED_CTR, COUNTER, misses(3, 0));
    assert_eq!(pmu.rdmsr(0, FIXED_CTR, misses(3, 0)), Some(COUNTER));
}

#[test]
fn reserved_bits_and_the_status_fault_and_change_nothing() {
    let pmu = pmu();
    let refused = [
        (SELECT[0], 1 << 32),
        (FIXED_CTR, COUNTER + 1),
        (FIXED_CTR_CTRL, 1 << 12),
        (GLOBAL_CTRL, 1 << 4),
        (GLOBAL_OVF_CTRL, 1 << 40),
    ];
    for (address, value) in refused {
        let before = pmu.rdmsr(0, address, misses(0, 0));
        assert_eq!(pmu.wrmsr(0, address, value, misses(0, 0)), Err(Gp::ReservedBits), "{address:#x}");
        assert_eq!(pmu.rdmsr(0, address, misses(0, 0)), before);
    }
    assert_eq!(pmu.wrmsr(0, GLOBAL_STATUS, 0, misses(0, 0)), Err(Gp::ReadOnly));
}

#[test]
fn power_takes_everything_and_caches_that_begin_anew_take_nothing_away() {
    let pmu = pmu();
    write(&pmu, SELECT[0], LLC_MISSES | USER | ENABLE, misses(0, 0));
    assert_eq!(pmu.rdmsr(0, VALUE[0], misses(10, 0)), Some(10));
    assert_eq!(pmu.rdmsr(0, VALUE[0], misses(3, 0)), Some(10));
    assert_eq!(pmu.rdmsr(0, VALUE[0], misses(5, 0)), Some(12));
    pmu.lose_power();
    assert_eq!((pmu.rdmsr(0, VALUE[0], misses(9, 0)), pmu.rdmsr(0, SELECT[0], misses(9, 0))), (Some(0), Some(0)));
    assert_eq!(pmu.rdmsr(0, GLOBAL_CTRL, misses(9, 0)), Some(0xf));
}
