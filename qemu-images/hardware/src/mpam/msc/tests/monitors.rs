// SPDX-License-Identifier: GPL-2.0-only
//! What monitors keep, when they count, when they are ready, and what they capture.

use super::*;

const ALL: u32 = u32::MAX;
/// Events of their own and the local one; the value becomes 0.
const CAPTURE: u32 = 7 << 28;
const RESET: u32 = 1 << 27;

fn usage(config: UsageMonitors) -> Msc {
    Msc::new(MscConfig::new(vec![RisConfig { usage: Some(config), ..RisConfig::new(31, 3) }]))
}

fn traffic(config: BandwidthMonitors) -> Msc {
    Msc::new(MscConfig::new(vec![RisConfig { traffic: Some(config), ..RisConfig::new(31, 3) }]))
}

fn kept(mut msc: Msc, offset: u32, value: u32) -> u32 {
    msc.write32(offset, value, 0);
    msc.read32(offset, 0)
}

#[test]
fn filter_and_control_keep_what_the_monitor_is_able_to() {
    let least_usage = UsageMonitors { exclude_clean: false, capture: false, ..USAGE };
    let least = BandwidthMonitors { direction: false, capture: false, ..TRAFFIC };
    // The largest PARTID and PMG, and the bit of an ability.
    let ids = 3 << 16 | 31;
    assert_eq!(kept(usage(least_usage), CsuFlt::OFFSET, ids | 1 << 31), ids);
    assert_eq!(kept(usage(USAGE), CsuFlt::OFFSET, ids | 1 << 31), ids | 1 << 31);
    assert_eq!(kept(usage(least_usage), CsuCtl::OFFSET, ALL), 0x8003_0043);
    assert_eq!(kept(usage(USAGE), CsuCtl::OFFSET, ALL), 0xf003_0043);
    assert_eq!(kept(traffic(least), MbwuFlt::OFFSET, ids | 3 << 30), ids);
    assert_eq!(kept(traffic(TRAFFIC), MbwuFlt::OFFSET, ids | 3 << 30), ids | 3 << 30);
    assert_eq!(kept(traffic(least), MonCtl::OFFSET, ALL), 0x8703_0042);
    assert_eq!(kept(traffic(TRAFFIC), MonCtl::OFFSET, ALL), 0xff03_0042);
    for width in [CounterWidth::Bits44, CounterWidth::Bits63] {
        let long = BandwidthMonitors { width, ..least };
        assert_eq!(kept(traffic(long), MonCtl::OFFSET, ALL), 0x8703_8042, "{width:?}");
    }
}

#[test]
fn what_is_disabled_keeps_its_value() {
    let mut msc = usage(UsageMonitors { not_ready: NotReady::Unmanaged, ..USAGE });
    let bytes = |total| Occupancy { total, dirty: 0 };
    msc.set_occupancy(0, 0, 0, bytes(640));
    assert_eq!(msc.read32(Csu::OFFSET, 0), 0, "after reset it is not enabled");
    msc.write32(CsuCtl::OFFSET, ENABLED, 0);
    assert_eq!(msc.read32(Csu::OFFSET, 0), 640);
    msc.write32(CsuCtl::OFFSET, 0, 0);
    msc.set_occupancy(0, 0, 0, bytes(64));
    msc.write32(CsuCtl::OFFSET, 0, 0);
    assert_eq!(msc.read32(Csu::OFFSET, 0), 640);
    let mut msc = traffic(TRAFFIC);
    msc.request(0, request(0, 0, 5));
    assert_eq!(msc.read32(Mbwu::OFFSET, 0), 0);
    msc.write32(MonCtl::OFFSET, ENABLED, 0);
    msc.request(0, request(0, 0, 5));
    msc.write32(MonCtl::OFFSET, ENABLED & !(1 << 31), 0);
    msc.request(0, request(0, 0, 5));
    assert_eq!(msc.read32(Mbwu::OFFSET, 0), 5);
}

/// IHI 0099, "Monitor is not ready": for a time after what it monitors was changed.
#[test]
fn a_bandwidth_monitor_is_not_ready_after_a_change_of_what_it_counts() {
    let config = BandwidthMonitors { not_ready: NotReady::Nanoseconds(1000), width: CounterWidth::Bits44, ..TRAFFIC };
    let counts = ENABLED | MonCtl::OFLOW_FRZ.mask32();
    let flags = places32([MonCtl::OFLOW_STATUS, MonCtl::OFLOW_STATUS_L]);
    for (offset, before, after, lasts) in [
        (MonCtl::OFFSET, 0, counts, true),
        (MonCtl::OFFSET, counts, ENABLED, true),
        (MonCtl::OFFSET, counts, counts, false),
        // A flag that is cleared, or set, is none.
        (MonCtl::OFFSET, counts | flags, counts, false),
        (MonCtl::OFFSET, counts, counts | flags, false),
        (MonCtl::OFFSET, counts | flags, ENABLED, true),
        (MbwuFlt::OFFSET, 3, 4, true),
        (MbwuFlt::OFFSET, 3, 3, true),
    ] {
        let mut msc = traffic(config);
        msc.write32(offset, before, 0);
        assert_eq!(msc.read32(Mbwu::OFFSET, 5000), 0);
        msc.write32(offset, after, 5000);
        let shown = [5999, 6000].map(|now| (msc.read32(Mbwu::OFFSET, now), msc.read64(MbwuLong::OFFSET, now)));
        let not_ready = if lasts { (1 << 31, 1 << 63) } else { (0, 0) };
        assert_eq!(shown, [not_ready, (0, 0)], "{offset:#x}: {before:#x}, {after:#x}");
    }
}

#[test]
fn software_writes_the_not_ready_bit_that_nobody_else_manages() {
    let mut msc = usage(UsageMonitors { not_ready: NotReady::Unmanaged, ..USAGE });
    for value in [1 << 31, 0, ALL, ALL >> 1] {
        msc.write32(Csu::OFFSET, value, 0);
        assert_eq!(msc.read32(Csu::OFFSET, 0), value & 1 << 31, "a usage is not written");
    }
    for width in [CounterWidth::Bits31, CounterWidth::Bits63] {
        let mut msc = traffic(BandwidthMonitors { not_ready: NotReady::Unmanaged, width, ..TRAFFIC });
        for (value, read) in [(1 << 31, 1 << 31), (7, 7), (ALL, 1 << 31), (ALL >> 1, ALL >> 1)] {
            msc.write32(Mbwu::OFFSET, value, 0);
            assert_eq!(msc.read32(Mbwu::OFFSET, 0), read, "{width:?}");
        }
    }
    let mut msc = traffic(BandwidthMonitors { not_ready: NotReady::Unmanaged, width: CounterWidth::Bits44, ..TRAFFIC });
    for (value, read) in [(1 << 63, 1 << 63), (7, 7), (u64::MAX, 1 << 63), (u64::MAX >> 1, (1 << 44) - 1)] {
        msc.write64(MbwuLong::OFFSET, value, 0);
        assert_eq!(msc.read64(MbwuLong::OFFSET, 0), read);
    }
}

#[test]
fn a_monitor_that_is_kept_from_getting_ready_is_that_which_counts_the_label() {
    let mut msc = msc();
    select_monitor(&mut msc, 0, 0);
    msc.write32(CsuFlt::OFFSET, 1 << 16 | 3, 0);
    msc.write32(CsuCtl::OFFSET, ENABLED, 0);
    for (partid, pmg, expected) in [(3, 2, 0), (4, 1, 0), (3, 1, 1 << 31)] {
        msc.set_not_ready(0, partid, pmg, true);
        assert_eq!(msc.read32(Csu::OFFSET, 9000), expected, "{partid} {pmg}");
    }
    for width in [CounterWidth::Bits31, CounterWidth::Bits44] {
        let mut msc = counting(width);
        msc.request(0, request(3, 1, 9));
        let long = if width == CounterWidth::Bits31 { [0, 0] } else { [9, 1 << 63] };
        let shown = |msc: &mut Msc| (msc.read32(Mbwu::OFFSET, 0), msc.read64(MbwuLong::OFFSET, 0) & !0xf);
        for (partid, pmg) in [(3, 2), (4, 1)] {
            msc.set_not_ready(0, partid, pmg, true);
            assert_eq!(shown(&mut msc), (9, long[0] & !0xf), "{partid} {pmg}");
        }
        msc.set_not_ready(0, 3, 1, true);
        assert_eq!(shown(&mut msc), (1 << 31, long[1]), "{width:?}");
        msc.set_not_ready(0, 3, 1, false);
        assert_eq!(shown(&mut msc), (9, long[0] & !0xf));
    }
}

#[test]
fn an_event_captures_the_monitors_that_wait_for_it() {
    let ready = NotReady::Unmanaged;
    for (able, control, event, captured) in [
        (true, ENABLED | CAPTURE, 7, true),
        (true, ENABLED | 3 << 28, 3, true),
        (true, ENABLED | 3 << 28, 7, false),
        (true, ENABLED, 0, false),
        (false, ENABLED | CAPTURE, 7, false),
        (false, ENABLED, 0, false),
    ] {
        let mut msc = usage(UsageMonitors { capture: able, not_ready: ready, ..USAGE });
        msc.write32(CsuCtl::OFFSET, control, 0);
        msc.set_occupancy(0, 0, 0, Occupancy { total: 640, dirty: 0 });
        msc.capture(event, 0);
        assert_eq!(msc.read32(CsuCapture::OFFSET, 0), if captured { 640 } else { 0 }, "{able} {control:#x} {event}");
        let mut msc = traffic(BandwidthMonitors { capture: able, not_ready: ready, ..TRAFFIC });
        msc.write32(MonCtl::OFFSET, control | RESET, 0);
        msc.request(0, request(0, 0, 77));
        // Nothing is captured yet.
        assert_eq!(msc.read32(MbwuCapture::OFFSET, 0), 1 << 31);
        msc.capture(event, 0);
        let expected = if captured { (77, 0) } else { (1 << 31, 77) };
        assert_eq!((msc.read32(MbwuCapture::OFFSET, 0), msc.read32(Mbwu::OFFSET, 0)), expected);
    }
}

#[test]
fn software_captures_where_the_msc_lets_it_and_only_with_a_one() {
    for (local_capture, value, captured) in [(true, 1, 77), (true, 0, 1 << 31), (true, 2, 1 << 31), (false, 1, 1 << 31)]
    {
        let ris = vec![RisConfig { traffic: Some(TRAFFIC), ..RisConfig::new(31, 3) }];
        let mut msc = Msc::new(MscConfig { local_capture, ..MscConfig::new(ris) });
        msc.write32(MonCtl::OFFSET, ENABLED | CAPTURE, 0);
        msc.request(0, request(0, 0, 77));
        msc.write32(CaptEvnt::OFFSET, value, 0);
        assert_eq!(msc.read32(MbwuCapture::OFFSET, 0), captured, "{local_capture} {value}");
    }
}

#[test]
fn a_capture_of_what_was_not_ready_is_not_ready() {
    let mut msc =
        traffic(BandwidthMonitors { not_ready: NotReady::Nanoseconds(1000), width: CounterWidth::Bits63, ..TRAFFIC });
    msc.write32(MonCtl::OFFSET, ENABLED | CAPTURE, 0);
    msc.write64(MbwuLong::OFFSET, 0x1234_5678_9abc_def0, 0);
    for (now, long) in [(999, 1 << 63), (1000, 0x1234_5678_9abc_def0)] {
        msc.capture(7, now);
        assert_eq!(msc.read64(MbwuLongCapture::OFFSET, now), long, "{now}");
    }
}

#[test]
fn without_a_long_counter_its_registers_read_as_zero_and_cannot_be_written() {
    for not_ready in [NotReady::Unmanaged, NotReady::Nanoseconds(1000)] {
        let mut msc = traffic(BandwidthMonitors { not_ready, ..TRAFFIC });
        msc.write32(MonCtl::OFFSET, ENABLED | CAPTURE, 0);
        msc.request(0, request(0, 0, 5));
        let long = [MbwuLong::OFFSET, MbwuLong::OFFSET + 4, MbwuLongCapture::OFFSET, MbwuLongCapture::OFFSET + 4];
        for offset in long {
            msc.write32(offset, ALL, 0);
        }
        // Ready or not, captured or not.
        for now in [0, 1000, 1000] {
            assert_eq!(long.map(|offset| msc.read32(offset, now)), [0; 4]);
            msc.capture(7, now);
            assert_eq!(long.map(|offset| msc.read32(offset, now)), [0; 4]);
        }
        assert_eq!((msc.read32(Mbwu::OFFSET, 1000), msc.read32(MbwuCapture::OFFSET, 1000)), (5, 5), "{not_ready:?}");
    }
}

#[test]
fn what_a_monitor_is_told_and_counts_is_seen_from_outside_as_well() {
    let mut msc = counting(CounterWidth::Bits44);
    msc.request(0, request(3, 1, 1 << 40));
    let control = u64::from(ENABLED | MonCtl::OFLOW_INTR.mask32() | 0x0400_0042);
    assert_eq!(msc.traffic_monitor(0, 0, 0), Some([1 << 16 | 3, control, 1 << 40]));
    assert_eq!(msc.traffic_monitor(0, 1, 0), Some([0, 0x42, 0]));
    assert_eq!(
        (msc.traffic_monitor(0, 2, 0), msc.traffic_monitor(1, 0, 0), msc.usage_monitor(0, 0, 0)),
        (None, None, None)
    );
}

#[test]
fn either_overflow_freezes_and_interrupts_where_that_is_asked_for() {
    let (freeze, interrupt) = (MonCtl::OFLOW_FRZ.mask32(), MonCtl::OFLOW_INTR.mask32());
    for flag in [MonCtl::OFLOW_STATUS.mask32(), MonCtl::OFLOW_STATUS_L.mask32()] {
        for (control, counted, interrupts) in [
            (freeze | interrupt | flag, 0, true),
            (freeze | flag, 0, false),
            (interrupt | flag, 5, true),
            (freeze | interrupt, 5, false),
        ] {
            let mut msc = counting(CounterWidth::Bits44);
            msc.write32(MonCtl::OFFSET, ENABLED | control, 0);
            msc.request(0, request(3, 1, 5));
            assert_eq!((msc.read32(Mbwu::OFFSET, 0), msc.overflow_interrupt()), (counted, interrupts), "{control:#x}");
        }
    }
}
