// SPDX-License-Identifier: GPL-2.0-only

mod monitors;
mod registers;

use super::*;
use crate::mpam::registers::{
    Cmax, Cpbm, CporIdr, Csu, CsuCapture, CsuCtl, CsuFlt, CsumonIdr, MbwMax, Mbwu, MbwuCapture, MbwuFlt, MbwuLong,
    MbwuLongCapture, MonCtl, places32,
};
use crate::mpam::{BandwidthControls, BandwidthMonitors, CounterWidth, NotReady, UsageMonitors};

const USAGE: UsageMonitors =
    UsageMonitors { count: 2, exclude_clean: true, capture: true, not_ready: NotReady::Nanoseconds(1000) };
const TRAFFIC: BandwidthMonitors = BandwidthMonitors {
    count: 2,
    width: CounterWidth::Bits31,
    direction: true,
    capture: true,
    not_ready: NotReady::Nanoseconds(0),
    bytes_per_count: 1,
};
const ENABLED: u32 = 1 << 31 | 1 << 17 | 1 << 16;

fn cache() -> RisConfig {
    RisConfig { cpor_bits: 16, usage: Some(USAGE), ..RisConfig::new(31, 3) }
}

fn memory(width: CounterWidth) -> RisConfig {
    let bandwidth = BandwidthControls { bits: 8, max: true, ..BandwidthControls::default() };
    let traffic = BandwidthMonitors { width, ..TRAFFIC };
    RisConfig { bandwidth: Some(bandwidth), traffic: Some(traffic), ..RisConfig::new(31, 3) }
}

fn msc() -> Msc {
    Msc::new(MscConfig::new(vec![cache(), memory(CounterWidth::Bits31)]))
}

fn code(msc: &Msc) -> u64 {
    Esr::ERRCODE.get(msc.error_status())
}

fn select(msc: &mut Msc, ris: u32, partid: u32) {
    msc.write32(PartSel::OFFSET, ris << 24 | partid, 0);
}

fn select_monitor(msc: &mut Msc, ris: u32, monitor: u32) {
    msc.write32(MonSel::OFFSET, ris << 24 | monitor, 0);
}

#[test]
fn identification_is_that_of_the_selected_instance() {
    let mut msc = msc();
    let idr = msc.read64(Idr::OFFSET, 0);
    assert_eq!((Idr::RIS_MAX.get(idr), Idr::HAS_RIS.get(idr), Idr::HAS_CPOR_PART.get(idr)), (1, 1, 1));
    assert_eq!(CporIdr::CPBM_WD.get(msc.read32(CporIdr::OFFSET, 0).into()), 16);
    assert_eq!(CsumonIdr::NUM_MON.get(msc.read32(CsumonIdr::OFFSET, 0).into()), 2);
    select(&mut msc, 1, 0);
    assert_eq!(Idr::HAS_CPOR_PART.get(msc.read64(Idr::OFFSET, 0)), 0);
    assert_eq!(msc.read32(CporIdr::OFFSET, 0), 0);
}

#[test]
fn each_partid_has_a_configuration_of_its_own_and_unimplemented_bits_are_zero() {
    let mut msc = msc();
    select(&mut msc, 0, 3);
    msc.write32(Cpbm::OFFSET, 0xffff_00ff, 0);
    select(&mut msc, 0, 4);
    assert_eq!(msc.read32(Cpbm::OFFSET, 0), 0);
    assert_eq!(msc.control(0, 3, Cpbm::OFFSET), Some(0xff));
    select(&mut msc, 1, 3);
    msc.write32(MbwMax::OFFSET, 0x1234, 0);
    assert_eq!(msc.control(1, 3, MbwMax::OFFSET), Some(0x1200));
}

#[test]
fn every_mistake_of_software_has_its_code() {
    let mut msc = msc();
    let mut provoke = |action: &mut dyn FnMut(&mut Msc), expected: ErrorCode| {
        msc.write64(Esr::OFFSET, 0, 0);
        action(&mut msc);
        assert_eq!(code(&msc), expected as u64, "{expected:?}");
    };
    provoke(&mut |m| (select(m, 0, 32), m.write32(Cpbm::OFFSET, 1, 0)).1, ErrorCode::PartidSelRange);
    provoke(&mut |m| (select(m, 5, 0), m.write32(Cpbm::OFFSET, 1, 0)).1, ErrorCode::UndefinedRisPartSel);
    provoke(&mut |m| (select(m, 1, 0), m.write32(Cpbm::OFFSET, 1, 0)).1, ErrorCode::RisNoControl);
    provoke(&mut |m| (select_monitor(m, 0, 2), m.write32(CsuFlt::OFFSET, 1, 0)).1, ErrorCode::MonitorRange);
    provoke(&mut |m| (select_monitor(m, 9, 0), m.write32(CsuFlt::OFFSET, 1, 0)).1, ErrorCode::UndefinedRisMonSel);
    provoke(&mut |m| (select_monitor(m, 1, 0), m.write32(CsuFlt::OFFSET, 1, 0)).1, ErrorCode::RisNoMonitor);
    provoke(&mut |m| (select_monitor(m, 0, 0), m.write32(CsuFlt::OFFSET, 32, 0)).1, ErrorCode::MsmonCfgIdRange);
    provoke(&mut |m| m.request(0, request(32, 0, 1)), ErrorCode::ReqPartidRange);
    provoke(&mut |m| m.request(0, request(0, 4, 1)), ErrorCode::ReqPmgRange);
}

#[test]
fn a_control_that_no_instance_has_is_no_error() {
    let mut msc = msc();
    msc.write32(Cmax::OFFSET, 1, 0);
    assert_eq!((msc.read32(Cmax::OFFSET, 0), code(&msc)), (0, 0));
}

#[test]
fn the_error_interrupt_is_a_level_of_status_and_enable() {
    let mut msc = msc();
    msc.request(1, request(99, 0, 1));
    assert!(!msc.error_interrupt());
    msc.write32(Ecr::OFFSET, 1, 0);
    assert!(msc.error_interrupt());
    msc.request(1, request(98, 0, 1));
    assert_eq!(Esr::OVRWR.get(msc.error_status()), 1);
    assert_eq!((Esr::PARTID_MON.get(msc.error_status()), Esr::RIS.get(msc.error_status())), (98, 1));
    msc.write64(Esr::OFFSET, 0, 0);
    assert!(!msc.error_interrupt());
}

#[test]
fn narrowing_needs_internal_partids_and_maps_the_others() {
    let mut msc = Msc::new(MscConfig::new(vec![RisConfig { narrowing: Some(7), ..cache() }]));
    select(&mut msc, 0, 20);
    msc.write32(Cpbm::OFFSET, 0x3, 0);
    assert_eq!(code(&msc), ErrorCode::IntPartidRange as u64);
    msc.write32(Intpartid::OFFSET, 1 << 16 | 5, 0);
    msc.write32(PartSel::OFFSET, 1 << 16 | 5, 0);
    msc.write32(Cpbm::OFFSET, 0x3, 0);
    assert_eq!(msc.control(0, 20, Cpbm::OFFSET), Some(3));
    msc.write64(Esr::OFFSET, 0, 0);
    msc.write32(Intpartid::OFFSET, 1 << 16 | 5, 0);
    assert_eq!(code(&msc), ErrorCode::UnexpectedInternal as u64);
    select(&mut msc, 0, 20);
    msc.write64(Esr::OFFSET, 0, 0);
    msc.write32(Intpartid::OFFSET, 1 << 16 | 8, 0);
    assert_eq!(code(&msc), ErrorCode::IntPartidRange as u64);
}

fn request(partid: u16, pmg: u8, bytes: u64) -> Request {
    Request { partid, pmg, bytes, write: false }
}

#[test]
fn a_usage_monitor_is_not_ready_for_a_while_and_then_shows_what_it_matches() {
    let mut msc = msc();
    msc.set_occupancy(0, 3, 1, Occupancy { total: 4096, dirty: 64 });
    msc.set_occupancy(0, 3, 2, Occupancy { total: 8192, dirty: 0 });
    select_monitor(&mut msc, 0, 1);
    msc.write32(CsuFlt::OFFSET, 1 << 16 | 3, 10);
    msc.write32(CsuCtl::OFFSET, ENABLED, 10);
    assert_eq!(msc.read32(Csu::OFFSET, 1009), 1 << 31);
    assert_eq!(msc.read32(Csu::OFFSET, 1010), 4096);
    msc.write32(CsuCtl::OFFSET, ENABLED & !(1 << 17), 2000);
    assert_eq!(msc.read32(Csu::OFFSET, 3000), 4096 + 8192);
    msc.write32(CsuFlt::OFFSET, 1 << 31 | 1 << 16 | 3, 4000);
    assert_eq!(msc.read32(Csu::OFFSET, 5000), 64);
    assert_eq!(msc.read32(CsuCtl::OFFSET, 0) & 0xff, 0x43);
}

fn counting(width: CounterWidth) -> Msc {
    let mut msc = Msc::new(MscConfig::new(vec![memory(width)]));
    msc.write32(MbwuFlt::OFFSET, 1 << 16 | 3, 0);
    msc.write32(MonCtl::OFFSET, ENABLED | MonCtl::OFLOW_INTR.mask32(), 0);
    msc
}

#[test]
fn a_short_counter_wraps_and_says_so() {
    let mut msc = counting(CounterWidth::Bits31);
    msc.request(0, request(3, 1, (1 << 31) - 1));
    assert_eq!(msc.read32(Mbwu::OFFSET, 0), (1 << 31) - 1);
    assert!(!msc.overflow_interrupt());
    msc.request(0, request(3, 1, 5));
    msc.request(0, request(3, 2, 5));
    msc.request(0, request(4, 1, 5));
    assert_eq!(msc.read32(Mbwu::OFFSET, 0), 4);
    assert!(msc.overflow_interrupt());
    let control = msc.read32(MonCtl::OFFSET, 0);
    assert_eq!(MonCtl::OFLOW_STATUS.get(control.into()), 1);
    msc.write32(MonCtl::OFFSET, control & !MonCtl::OFLOW_STATUS.mask32(), 0);
    assert!(!msc.overflow_interrupt());
    assert_eq!(msc.read32(MbwuLong::OFFSET, 0), 0);
}

#[test]
fn a_long_counter_goes_on_where_the_short_one_wraps() {
    for (width, limit) in [(CounterWidth::Bits44, 1_u64 << 44), (CounterWidth::Bits63, 1 << 63)] {
        let mut msc = counting(width);
        msc.request(0, request(3, 1, limit - 1));
        assert_eq!(msc.read64(MbwuLong::OFFSET, 0), limit - 1);
        assert_eq!(MonCtl::OFLOW_STATUS_L.get(msc.read32(MonCtl::OFFSET, 0).into()), 0);
        msc.request(0, request(3, 1, 3));
        assert_eq!(msc.read64(MbwuLong::OFFSET, 0), 2);
        assert_eq!(MonCtl::OFLOW_STATUS_L.get(msc.read32(MonCtl::OFFSET, 0).into()), 1);
    }
}

#[test]
fn a_frozen_counter_stays_until_its_flag_is_cleared() {
    let mut msc = counting(CounterWidth::Bits31);
    msc.write32(MonCtl::OFFSET, ENABLED | MonCtl::OFLOW_FRZ.mask32(), 0);
    msc.request(0, request(3, 1, 1 << 31));
    msc.request(0, request(3, 1, 100));
    assert_eq!(msc.read32(Mbwu::OFFSET, 0), 0);
    msc.write32(MonCtl::OFFSET, ENABLED | MonCtl::OFLOW_FRZ.mask32(), 0);
    msc.request(0, request(3, 1, 100));
    assert_eq!(msc.read32(Mbwu::OFFSET, 0), 100);
}

#[test]
fn reads_and_writes_can_be_told_apart() {
    let mut msc = counting(CounterWidth::Bits31);
    msc.write32(MbwuFlt::OFFSET, 1 << 30 | 1 << 16 | 3, 0);
    msc.request(0, request(3, 1, 100));
    msc.request(0, Request { write: true, ..request(3, 1, 7) });
    assert_eq!(msc.read32(Mbwu::OFFSET, 0), 7);
}

#[test]
fn a_capture_copies_the_value_and_can_start_again_from_zero() {
    let mut msc = counting(CounterWidth::Bits44);
    msc.write32(MonCtl::OFFSET, ENABLED | MonCtl::CAPT_EVNT.mask32() | MonCtl::CAPT_RESET.mask32(), 0);
    msc.request(0, request(3, 1, 77));
    msc.write32(CaptEvnt::OFFSET, 1, 0);
    msc.request(0, request(3, 1, 5));
    assert_eq!(msc.read64(MbwuLongCapture::OFFSET, 0), 77);
    assert_eq!(msc.read32(MbwuCapture::OFFSET, 0), 77);
    assert_eq!(msc.read64(MbwuLong::OFFSET, 0), 5);
    msc.capture(3, 0);
    assert_eq!(msc.read64(MbwuLongCapture::OFFSET, 0), 77);
}

#[test]
fn without_power_everything_is_lost_and_accesses_are_counted() {
    let mut msc = msc();
    select(&mut msc, 0, 3);
    msc.write32(Cpbm::OFFSET, 0xff, 0);
    msc.power_off();
    msc.write32(Cpbm::OFFSET, 0xff, 0);
    assert_eq!(msc.read32(Cpbm::OFFSET, 0), 0);
    assert_eq!(msc.accesses_unpowered(), 2);
    msc.power_on();
    assert_eq!(msc.control(0, 3, Cpbm::OFFSET), Some(0));
    assert_eq!(msc.control(0, 0, Cpbm::OFFSET), Some(0xffff));
}

#[test]
fn a_peek_raises_no_error() {
    let mut msc = msc();
    select(&mut msc, 5, 0);
    assert_eq!(msc.peek32(Cpbm::OFFSET, 0), 0);
    assert_eq!(code(&msc), 0);
    assert_eq!(msc.read32(Cpbm::OFFSET, 0), 0);
    assert_eq!(code(&msc), ErrorCode::UndefinedRisPartSel as u64);
}

#[test]
fn an_msc_of_version_1_0_has_a_narrow_id_register_and_always_an_error_status() {
    let config = MscConfig {
        extended: false,
        error_status: false,
        extended_error_status: false,
        aidr: 0x10,
        ..MscConfig::new(vec![cache()])
    };
    let mut msc = Msc::new(config);
    assert_eq!(msc.read64(Idr::OFFSET, 0) >> 32, 0);
    msc.request(0, request(99, 0, 1));
    assert_eq!(code(&msc), 2);
}
