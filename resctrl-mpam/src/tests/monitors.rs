// SPDX-License-Identifier: GPL-2.0-only
//! The bandwidth monitors of one MSC; see `counters` for what resctrl makes of them.

use std::sync::{Arc, Mutex};
use std::vec::Vec;

use proptest::prelude::*;
use resctrl_hardware::mpam::firmware::Locator;
use resctrl_hardware::mpam::{BandwidthMonitors, CounterWidth, NotReady, Request, RisConfig};
use resctrl_types::{CpuId, sim};

use super::board::{L3_ID, MscSpec, Rig, Spec, cache, counters, memory};
use crate::devices::{Direction, Filter};

const FILTER: Filter = Filter { partid: 3, pmg: 1, direction: Direction::Both };

/// A machine whose memory has counters of this width.
fn counting(width: CounterWidth) -> Spec {
    let memory = RisConfig { traffic: Some(counters(width)), ..memory(8) };
    let mut spec = Spec::new(1);
    spec.mscs[1] = MscSpec::one(memory, Locator::Memory(0));
    spec
}

fn traffic(rig: &Rig, bytes: u64) {
    rig.board.msc(1).request(0, Request { partid: 3, pmg: 1, bytes, write: false });
}

fn read(rig: &Rig) -> Option<u64> {
    rig.on(0, |here| rig.driver.devices().mscs[1].read_mbwu(here.into(), 0, 2, FILTER).ok())
}

const WIDTHS: [CounterWidth; 3] = [CounterWidth::Bits31, CounterWidth::Bits44, CounterWidth::Bits63];

#[test]
fn a_counter_counts_from_its_first_reading_on() {
    for width in WIDTHS {
        sim::run(move || {
            let rig = Rig::new(&counting(width));
            traffic(&rig, 1000);
            assert_eq!(read(&rig), Some(0));
            traffic(&rig, 500);
            rig.board.msc(1).request(0, Request { partid: 4, pmg: 1, bytes: 9, write: false });
            assert_eq!(read(&rig), Some(500));
        });
    }
}

#[test]
fn a_wrap_between_two_readings_is_added() {
    for width in WIDTHS {
        sim::run(move || {
            let rig = Rig::new(&counting(width));
            assert_eq!(read(&rig), Some(0));
            traffic(&rig, width.mask());
            assert_eq!(read(&rig), Some(width.mask()));
            traffic(&rig, 10);
            assert_eq!(read(&rig), Some(width.mask() + 10));
            assert_eq!(read(&rig), Some(width.mask() + 10), "a wrap is added once");
        });
    }
}

#[test]
fn a_reset_lets_the_next_reading_begin_at_zero() {
    for width in WIDTHS {
        sim::run(move || {
            let rig = Rig::new(&counting(width));
            let _ = read(&rig);
            // Every bit of the counter.
            traffic(&rig, width.mask());
            rig.on(0, |here| {
                let msc = &rig.driver.devices().mscs[1];
                msc.access(here.into()).unwrap().reset_mbwu(&msc.ris[0], 2);
            });
            assert_eq!(read(&rig), Some(0));
            traffic(&rig, 7);
            assert_eq!(read(&rig), Some(7));
        });
    }
}

/// IHI 0099, `MSMON_CFG_MBWU_FLT.RWBW`: there if `MPAMF_MBWUMON_IDR.HAS_RWBW` says so, and reserved otherwise.
#[test]
fn reads_and_writes_are_told_apart_where_the_monitor_can() {
    for (able, direction, counted) in [
        (true, Direction::Both, 1100),
        (true, Direction::Writes, 1000),
        (true, Direction::Reads, 100),
        (false, Direction::Both, 1100),
        (false, Direction::Writes, 1100),
        (false, Direction::Reads, 1100),
    ] {
        sim::run(move || {
            let traffic = BandwidthMonitors { direction: able, ..counters(CounterWidth::Bits44) };
            let mut spec = counting(CounterWidth::Bits44);
            spec.mscs[1].config.ris[0].traffic = Some(traffic);
            let rig = Rig::new(&spec);
            let read = || {
                let filter = Filter { direction, ..FILTER };
                rig.on(0, |here| rig.driver.devices().mscs[1].read_mbwu(here.into(), 0, 2, filter).ok())
            };
            assert_eq!(read(), Some(0));
            for (bytes, write) in [(1000, true), (100, false)] {
                rig.board.msc(1).request(0, Request { partid: 3, pmg: 1, bytes, write });
            }
            assert_eq!(read(), Some(counted), "able: {able}, {direction:?}");
        });
    }
}

#[test]
fn a_monitor_that_is_told_to_count_for_somebody_else_begins_at_zero() {
    sim::run(|| {
        let rig = Rig::new(&counting(CounterWidth::Bits44));
        let other = Filter { partid: 4, ..FILTER };
        let read_other = || rig.on(0, |here| rig.driver.devices().mscs[1].read_mbwu(here.into(), 0, 2, other).ok());
        assert_eq!(read(&rig), Some(0));
        traffic(&rig, 700);
        assert_eq!(read_other(), Some(0));
        traffic(&rig, 50);
        rig.board.msc(1).request(0, Request { partid: 4, pmg: 1, bytes: 6, write: false });
        assert_eq!(read_other(), Some(6));
    });
}

/// After reset every filter is that of PARTID 0 and PMG 0, and no monitor counts.
#[test]
fn a_monitor_of_the_default_group_that_was_reset_behind_our_back_counts_again() {
    sim::run(|| {
        let rig = Rig::new(&counting(CounterWidth::Bits44));
        let default = Filter { partid: 0, pmg: 0, direction: Direction::Both };
        let read = || rig.on(0, |here| rig.driver.devices().mscs[1].read_mbwu(here.into(), 0, 2, default).ok());
        assert_eq!(read(), Some(0));
        rig.board.msc(1).power_off();
        rig.board.msc(1).power_on();
        assert_eq!(read(), Some(0));
        rig.board.msc(1).request(0, Request { partid: 0, pmg: 0, bytes: 9, write: false });
        assert_eq!(read(), Some(9));
    });
}

/// IHI 0099: accesses of 32 bits to `MSMON_MBWU_L` are not one, so the upper half is seen to be the same before and after.
#[test]
fn a_long_counter_at_rest_is_read_upper_lower_and_upper_half() {
    sim::run(|| {
        let rig = Rig::new(&counting(CounterWidth::Bits63));
        let _ = read(&rig);
        traffic(&rig, 5 << 32 | 6);
        // Takes note that the short counter has wrapped.
        assert_eq!(read(&rig), Some(5 << 32 | 6));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let accesses = Arc::clone(&seen);
        rig.board.preempt(move |offset| accesses.lock().unwrap().push(offset));
        assert_eq!(read(&rig), Some(5 << 32 | 6));
        rig.board.preempt(|_| {});
        // The selector, the control and the filter before it.
        assert_eq!(*seen.lock().unwrap(), [0x800, 0x828, 0x820, 0x884, 0x880, 0x884]);
    });
}

#[test]
fn a_monitor_that_is_not_ready_gives_no_number() {
    sim::run(|| {
        let mut spec = counting(CounterWidth::Bits31);
        let traffic = &mut spec.mscs[1].config.ris[0].traffic;
        *traffic =
            traffic.map(|traffic| BandwidthMonitors { not_ready: NotReady::Nanoseconds(1_000_000_000), ..traffic });
        let rig = Rig::new(&spec);
        assert_eq!(read(&rig), None);
        assert_eq!(read(&rig), None);
    });
}

#[test]
fn a_monitor_that_does_not_exist_is_not_asked() {
    sim::run(|| {
        let rig = Rig::new(&counting(CounterWidth::Bits31));
        rig.on(0, |here| {
            assert!(rig.driver.devices().mscs[1].read_mbwu(here.into(), 0, 4, FILTER).is_err());
            assert!(rig.driver.devices().mscs[1].read_mbwu(here.into(), 5, 0, FILTER).is_err());
        });
        assert_eq!(rig.board.msc(1).error_status(), 0);
    });
}

#[test]
fn a_long_counter_that_carries_between_its_halves_is_read_again() {
    sim::run(|| {
        let rig = Rig::new(&counting(CounterWidth::Bits44));
        let _ = read(&rig);
        traffic(&rig, 0xffff_ffff);
        // Between the upper and the lower half one more byte comes, once.
        rig.board.before_read(|msc, offset| {
            if offset == 0x880 && msc.peek32(0x880, 0) == 0xffff_ffff {
                msc.request(0, Request { partid: 3, pmg: 1, bytes: 1, write: false });
            }
        });
        assert_eq!(read(&rig), Some(0x1_0000_0000));
    });
}

#[test]
fn a_long_counter_that_never_rests_gives_no_number() {
    sim::run(|| {
        let rig = Rig::new(&counting(CounterWidth::Bits63));
        let _ = read(&rig);
        rig.board.before_read(|msc, offset| {
            if offset == 0x884 {
                msc.request(0, Request { partid: 3, pmg: 1, bytes: 1 << 32, write: false });
            }
        });
        assert_eq!(read(&rig), None);
    });
}

/// Takes every CPU that can reach the memory of cluster 0 away and back, with a loss of power between.
fn power_cycle(rig: &Rig, msc: usize) {
    for cpu in [2, 3] {
        rig.sim.offline(CpuId(cpu)).unwrap();
    }
    rig.board.msc(msc).power_off();
    rig.board.msc(msc).power_on();
    for cpu in [2, 3] {
        rig.sim.online(CpuId(cpu)).unwrap();
    }
}

/// Two level 3 caches, the second with counters and reachable from its own CPUs only.
fn losing_power(width: CounterWidth) -> Spec {
    let mut spec = Spec::new(2);
    let counting = RisConfig { traffic: Some(counters(width)), ..cache() };
    spec.mscs[1] = MscSpec { cluster: Some(1), ..MscSpec::one(counting, Locator::Cache(L3_ID + 1)) };
    spec
}

fn read_second(rig: &Rig) -> u64 {
    rig.on(2, |here| rig.driver.devices().mscs[1].read_mbwu(here.into(), 0, 2, FILTER).unwrap())
}

#[test]
fn b13_what_was_counted_outlives_the_power_masked_and_scaled() {
    for (width, iidr, scale) in [
        (CounterWidth::Bits31, 0x1230_043b, 1),
        (CounterWidth::Bits44, 0x1230_043b, 1),
        (CounterWidth::Bits63, 0x1230_043b, 1),
        (CounterWidth::Bits44, 0x2410_036b, 64),
    ] {
        sim::run(move || {
            let mut spec = losing_power(width);
            spec.mscs[1].config.iidr = iidr;
            let traffic = &mut spec.mscs[1].config.ris[0].traffic;
            *traffic = traffic.map(|traffic| BandwidthMonitors { bytes_per_count: scale, ..traffic });
            let rig = Rig::new(&spec);
            assert_eq!(read_second(&rig), 0);
            traffic_second(&rig, 6400);
            assert_eq!(read_second(&rig), 6400);
            power_cycle(&rig, 1);
            assert_eq!(read_second(&rig), 6400);
            traffic_second(&rig, 640);
            assert_eq!(read_second(&rig), 7040);
            assert_eq!(rig.board.msc(1).accesses_unpowered(), 0);
        });
    }
}

#[test]
fn b13_a_monitor_that_is_not_ready_when_the_power_goes_adds_no_not_ready_bit() {
    sim::run(|| {
        let mut spec = losing_power(CounterWidth::Bits31);
        let traffic = &mut spec.mscs[1].config.ris[0].traffic;
        *traffic = traffic.map(|traffic| BandwidthMonitors { not_ready: NotReady::Nanoseconds(8_000), ..traffic });
        let rig = Rig::new(&spec);
        let read = || rig.on(2, |here| rig.driver.devices().mscs[1].read_mbwu(here.into(), 0, 2, FILTER).ok());
        assert_eq!(read(), None);
        power_cycle(&rig, 1);
        assert_eq!(read(), None);
        rig.on(2, |here| crate::SystemRegisters::wait_us(&rig.driver.system, here, 10));
        assert_eq!(read(), Some(0));
    });
}

fn traffic_second(rig: &Rig, bytes: u64) {
    rig.board.msc(1).request(0, Request { partid: 3, pmg: 1, bytes, write: false });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_total_is_what_went_by_whatever_wraps_and_power_losses_come_between(
        width in 0_usize..3,
        steps in prop::collection::vec(prop_oneof![
            3 => (0_u64..1 << 31).prop_map(Some),
            1 => Just(None),
        ], 1..12),
    ) {
        sim::run(move || {
            let rig = Rig::new(&losing_power(WIDTHS[width]));
            let mut total = 0;
            assert_eq!(read_second(&rig), 0);
            for step in &steps {
                match step {
                    Some(bytes) => {
                        traffic_second(&rig, *bytes);
                        total += bytes;
                    }
                    None => power_cycle(&rig, 1),
                }
                assert_eq!(read_second(&rig), total);
            }
        });
    }
}
