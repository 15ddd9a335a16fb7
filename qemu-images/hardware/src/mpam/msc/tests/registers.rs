// SPDX-License-Identifier: GPL-2.0-only
//! What of its registers an MSC has, what they keep, and what an error says.

use super::*;

const ALL: u32 = u32::MAX;

fn one(config: RisConfig) -> MscConfig {
    MscConfig::new(vec![config])
}

/// What a register reads as after all its bits were written.
fn kept(config: MscConfig, offset: u32) -> u32 {
    let mut msc = Msc::new(config);
    msc.write32(offset, ALL, 0);
    msc.read32(offset, 0)
}

#[test]
fn a_register_keeps_the_bits_that_the_msc_implements() {
    let two = || MscConfig::new(vec![cache(), memory(CounterWidth::Bits31)]);
    let narrow = || one(RisConfig { narrowing: Some(7), ..cache() });
    let without_errors = || MscConfig { error_status: false, extended_error_status: false, ..two() };
    let short_errors = || MscConfig { extended_error_status: false, ..two() };
    let old = || MscConfig { extended: false, error_status: false, extended_error_status: false, ..one(cache()) };
    // One instance is not selected, nor any without an upper half of the identification.
    for (number, (config, offset, expected)) in [
        (one(cache()), PartSel::OFFSET, 0xffff),
        (narrow(), PartSel::OFFSET, 0x1_ffff),
        (two(), PartSel::OFFSET, 0x0f00_ffff),
        (MscConfig { extended: false, ..two() }, PartSel::OFFSET, 0xffff),
        (one(cache()), MonSel::OFFSET, 0xffff),
        (two(), MonSel::OFFSET, 0x0f00_ffff),
        (two(), Ecr::OFFSET, 1),
        (without_errors(), Ecr::OFFSET, 0),
        (old(), Ecr::OFFSET, 1),
        (two(), Esr::OFFSET, ALL),
        (without_errors(), Esr::OFFSET, 0),
        (old(), Esr::OFFSET, ALL),
        (two(), Esr::OFFSET + 4, 0xf),
        (short_errors(), Esr::OFFSET + 4, 0),
        (old(), Esr::OFFSET + 4, 0),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(kept(config, offset), expected, "case {number}: {offset:#x}");
    }
}

#[test]
fn the_halves_of_a_long_register_are_written_each_for_itself() {
    let mut msc = msc();
    msc.write64(Esr::OFFSET, 0x5_8765_4321, 0);
    assert_eq!(msc.read64(Esr::OFFSET, 0), 0x5_8765_4321);
    msc.write32(Esr::OFFSET, 0, 0);
    assert_eq!(msc.read64(Esr::OFFSET, 0), 0x5_0000_0000);
    msc.write64(Esr::OFFSET, 0x5_8765_4321, 0);
    msc.write32(Esr::OFFSET + 4, 0x13, 0);
    assert_eq!(msc.read64(Esr::OFFSET, 0), 0x3_8765_4321);
    let mut counter = counting(CounterWidth::Bits63);
    counter.write64(MbwuLong::OFFSET, 0x1234_5678_9abc_def0, 0);
    assert_eq!(counter.read64(MbwuLong::OFFSET, 0), 0x1234_5678_9abc_def0);
    counter.write32(MbwuLong::OFFSET, 1, 0);
    assert_eq!(counter.read64(MbwuLong::OFFSET, 0), 0x1234_5678_0000_0001);
    counter.write32(MbwuLong::OFFSET + 4, 2, 0);
    assert_eq!(counter.read64(MbwuLong::OFFSET, 0), 0x2_0000_0001);
}

#[test]
fn an_msc_without_an_error_status_takes_no_note_of_errors() {
    let mut msc =
        Msc::new(MscConfig { error_status: false, ..MscConfig::new(vec![cache(), memory(CounterWidth::Bits31)]) });
    msc.write32(Ecr::OFFSET, 1, 0);
    msc.request(0, request(99, 0, 1));
    assert_eq!((msc.error_status(), msc.error_interrupt()), (0, false));
}

#[test]
fn an_error_names_its_id_its_instance_and_whether_it_came_upon_another() {
    type Action = fn(&mut Msc);
    for extended_error_status in [true, false] {
        let all = MscConfig::new(vec![cache(), memory(CounterWidth::Bits31)]);
        let mut msc = Msc::new(MscConfig { extended_error_status, ..all });
        // A request, a store and a load of controls, a store and a load of monitors.
        let actions: [(Action, u64); 6] = [
            (|m| m.request(1, request(7, 9, 1)), 0x1_0409_0007),
            (|m| (select(m, 0, 99), m.write32(Cpbm::OFFSET, 1, 0)).1, 0x0100_0063),
            (|m| (select(m, 1, 9), m.write32(Cpbm::OFFSET, 1, 0)).1, 0x1_0900_0009),
            (|m| assert_eq!((select(m, 1, 9), m.read32(Cpbm::OFFSET, 0)).1, 0), 0x1_0900_0009),
            (|m| (select_monitor(m, 1, 1), m.write32(CsuFlt::OFFSET, 1, 0)).1, 0x1_0b00_0001),
            (|m| assert_eq!((select(m, 0, 0), select_monitor(m, 1, 1), m.read32(Csu::OFFSET, 0)).2, 0), 0x1_0b00_0001),
        ];
        for (number, (action, status)) in actions.into_iter().enumerate() {
            let status = if extended_error_status { status } else { status & 0xffff_ffff };
            msc.write64(Esr::OFFSET, 0, 0);
            action(&mut msc);
            assert_eq!(msc.read64(Esr::OFFSET, 0), status, "action {number}");
            action(&mut msc);
            assert_eq!(msc.read64(Esr::OFFSET, 0), status | 1 << 31, "action {number} again");
        }
    }
}

#[test]
fn the_largest_partid_pmg_and_monitor_are_still_ones() {
    let mut msc = msc();
    select(&mut msc, 0, 31);
    msc.write32(Cpbm::OFFSET, 5, 0);
    assert_eq!(msc.control(0, 31, Cpbm::OFFSET), Some(5));
    select_monitor(&mut msc, 1, 1);
    msc.write32(MbwuFlt::OFFSET, 3 << 16 | 31, 0);
    msc.write32(MonCtl::OFFSET, ENABLED, 0);
    msc.request(1, request(31, 3, 8));
    assert_eq!((msc.read32(Mbwu::OFFSET, 0), code(&msc)), (8, 0));
    msc.write32(MbwuFlt::OFFSET, 4 << 16 | 31, 0);
    assert_eq!(code(&msc), ErrorCode::MsmonCfgIdRange as u64);
    assert_eq!(msc.read32(MbwuFlt::OFFSET, 0), 3 << 16 | 31);
}

/// IHI 0099, "PARTID narrowing": where an instance narrows, its controls are those of internal PARTIDs.
#[test]
fn a_control_is_of_an_internal_partid_where_the_instance_narrows_and_nowhere_else() {
    let new = || Msc::new(MscConfig::new(vec![RisConfig { narrowing: Some(7), ..cache() }, cache()]));
    const INTERNAL: u32 = 1 << 16;
    for (ris, partid, error) in [
        (0, 7, ErrorCode::IntPartidRange as u64),
        (0, INTERNAL | 7, 0),
        (0, INTERNAL | 8, ErrorCode::IntPartidRange as u64),
        (1, 7, 0),
        (1, 31, 0),
        (1, 32, ErrorCode::PartidSelRange as u64),
        (1, INTERNAL | 7, ErrorCode::UnexpectedInternal as u64),
    ] {
        let mut msc = new();
        select(&mut msc, ris, partid);
        msc.write32(Cpbm::OFFSET, 3, 0);
        assert_eq!(code(&msc), error, "{ris} {partid:#x}");
        assert_eq!(msc.read32(Cpbm::OFFSET, 0), if error == 0 { 3 } else { 0 }, "{ris} {partid:#x}");
    }
    for (ris, partid, value, error) in [
        (0, 31, INTERNAL | 7, 0),
        (0, 32, INTERNAL | 7, ErrorCode::PartidSelRange as u64),
        (0, 3, 7, ErrorCode::IntPartidRange as u64),
        (0, 3, INTERNAL | 8, ErrorCode::IntPartidRange as u64),
        (1, 3, INTERNAL | 7, ErrorCode::RisNoControl as u64),
        (2, 3, INTERNAL | 7, ErrorCode::UndefinedRisPartSel as u64),
    ] {
        let mut msc = new();
        select(&mut msc, ris, partid);
        msc.write32(Intpartid::OFFSET, value, 0);
        assert_eq!(code(&msc), error, "{ris} {partid} {value:#x}");
        assert_eq!(msc.read32(Intpartid::OFFSET, 0), if error == 0 { 7 } else { 0 }, "{ris} {partid} {value:#x}");
    }
}

#[test]
fn accesses_are_counted_for_ever_also_those_without_power() {
    let mut msc = msc();
    msc.write32(Ecr::OFFSET, 0, 0);
    msc.power_off();
    msc.write32(Ecr::OFFSET, 0, 0);
    msc.power_off();
    let _ = msc.read32(Ecr::OFFSET, 0);
    assert_eq!((msc.writes(), msc.accesses_unpowered()), (1, 2));
}
