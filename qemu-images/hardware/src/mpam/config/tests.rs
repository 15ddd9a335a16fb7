// SPDX-License-Identifier: GPL-2.0-only

use super::*;

const USAGE: UsageMonitors =
    UsageMonitors { count: 2, exclude_clean: false, capture: false, not_ready: NotReady::Unmanaged };
const TRAFFIC: BandwidthMonitors = BandwidthMonitors {
    count: 2,
    width: CounterWidth::Bits31,
    direction: false,
    capture: false,
    not_ready: NotReady::Unmanaged,
    bytes_per_count: 1,
};

/// An instance that has a control of every kind, each able to do as little as there is.
fn least() -> RisConfig {
    let priority = Some(Priority { bits: 1, zero_is_low: false });
    RisConfig {
        cpor_bits: 1,
        capacity: Some(CapacityControls { max: true, ..CapacityControls::default() }),
        bandwidth: Some(BandwidthControls::default()),
        internal_priority: priority,
        downstream_priority: priority,
        narrowing: Some(0),
        usage: Some(USAGE),
        traffic: Some(TRAFFIC),
        ..RisConfig::new(1, 0)
    }
}

fn alone() -> MscConfig {
    MscConfig {
        extended: false,
        error_status: false,
        extended_error_status: false,
        local_capture: false,
        ..MscConfig::new(Vec::new())
    }
}

#[test]
fn an_instance_without_controls_says_so_in_every_register() {
    let (none, msc) = (RisConfig::new(1, 0), alone());
    assert_eq!(none.idr(&msc, 0), 1);
    for offset in [
        CporIdr::OFFSET,
        CcapIdr::OFFSET,
        MbwIdr::OFFSET,
        PriIdr::OFFSET,
        PartidNrwIdr::OFFSET,
        MsmonIdr::OFFSET,
        CsumonIdr::OFFSET,
        MbwumonIdr::OFFSET,
    ] {
        assert_eq!(none.identification(&msc, offset), Some(0), "{offset:#x}");
    }
    assert_eq!(none.identification(&msc, 0x0a0), None);
}

/// IHI 0099, the identification registers: the bits are written out here, as the manual has them.
#[test]
fn each_ability_has_bits_of_its_own() {
    type Change = fn(&mut RisConfig);
    fn with(ris: &mut RisConfig, change: impl FnOnce(&mut CapacityControls)) {
        change(ris.capacity.as_mut().unwrap());
    }
    fn bandwidth(ris: &mut RisConfig, change: impl FnOnce(&mut BandwidthControls)) {
        change(ris.bandwidth.as_mut().unwrap());
    }
    fn usage(ris: &mut RisConfig, change: impl FnOnce(&mut UsageMonitors)) {
        change(ris.usage.as_mut().unwrap());
    }
    fn traffic(ris: &mut RisConfig, change: impl FnOnce(&mut BandwidthMonitors)) {
        change(ris.traffic.as_mut().unwrap());
    }
    let nothing: Change = |_| ();
    let cases: [(u32, Change, u64); 36] = [
        (CporIdr::OFFSET, nothing, 1),
        (CporIdr::OFFSET, |ris| ris.cpor_bits = 0xffff, 0xffff),
        (CcapIdr::OFFSET, nothing, 0),
        (CcapIdr::OFFSET, |ris| with(ris, |capacity| capacity.bits = 16), 0x10),
        (CcapIdr::OFFSET, |ris| with(ris, |capacity| capacity.associativity_bits = 1), 0x1000_0100),
        (CcapIdr::OFFSET, |ris| with(ris, |capacity| capacity.min = true), 0x2000_0000),
        (CcapIdr::OFFSET, |ris| with(ris, |capacity| capacity.max = false), 0x4000_0000),
        (CcapIdr::OFFSET, |ris| with(ris, |capacity| capacity.soft_limit = true), 0x8000_0000),
        (MbwIdr::OFFSET, nothing, 0),
        (MbwIdr::OFFSET, |ris| bandwidth(ris, |bandwidth| bandwidth.bits = 63), 0x3f),
        (MbwIdr::OFFSET, |ris| bandwidth(ris, |bandwidth| bandwidth.min = true), 0x400),
        (MbwIdr::OFFSET, |ris| bandwidth(ris, |bandwidth| bandwidth.max = true), 0x800),
        (MbwIdr::OFFSET, |ris| bandwidth(ris, |bandwidth| bandwidth.portion_bits = 1), 0x0001_1000),
        (MbwIdr::OFFSET, |ris| bandwidth(ris, |bandwidth| bandwidth.proportional = true), 0x2000),
        (MbwIdr::OFFSET, |ris| bandwidth(ris, |bandwidth| bandwidth.window = true), 0x4000),
        (PriIdr::OFFSET, nothing, 0x0011_0011),
        (PriIdr::OFFSET, |ris| ris.internal_priority = None, 0x0011_0000),
        (PriIdr::OFFSET, |ris| ris.downstream_priority = None, 0x0011),
        (PriIdr::OFFSET, |ris| ris.internal_priority = Some(Priority { bits: 16, zero_is_low: true }), 0x0011_0103),
        (PriIdr::OFFSET, |ris| ris.downstream_priority = Some(Priority { bits: 16, zero_is_low: true }), 0x0103_0011),
        (PartidNrwIdr::OFFSET, |ris| ris.narrowing = Some(0xffff), 0xffff),
        (MsmonIdr::OFFSET, nothing, 0x3_0000),
        (MsmonIdr::OFFSET, |ris| ris.usage = None, 0x2_0000),
        (MsmonIdr::OFFSET, |ris| ris.traffic = None, 0x1_0000),
        (CsumonIdr::OFFSET, nothing, 2),
        (CsumonIdr::OFFSET, |ris| usage(ris, |usage| usage.count = 0xffff), 0xffff),
        (CsumonIdr::OFFSET, |ris| usage(ris, |usage| usage.exclude_clean = true), 0x2000_0002),
        // Where hardware manages the not-ready bit, nothing of the value can be written.
        (CsumonIdr::OFFSET, |ris| usage(ris, |usage| usage.not_ready = NotReady::Nanoseconds(0)), 0x4000_0002),
        (CsumonIdr::OFFSET, |ris| usage(ris, |usage| usage.capture = true), 0x8000_0002),
        (MbwumonIdr::OFFSET, nothing, 2),
        (MbwumonIdr::OFFSET, |ris| traffic(ris, |traffic| traffic.count = 0xffff), 0xffff),
        (MbwumonIdr::OFFSET, |ris| traffic(ris, |traffic| traffic.direction = true), 0x1000_0002),
        (MbwumonIdr::OFFSET, |ris| traffic(ris, |traffic| traffic.width = CounterWidth::Bits44), 0x4000_0002),
        (MbwumonIdr::OFFSET, |ris| traffic(ris, |traffic| traffic.width = CounterWidth::Bits63), 0x6000_0002),
        (MbwumonIdr::OFFSET, |ris| traffic(ris, |traffic| traffic.capture = true), 0x8000_0002),
        (MbwumonIdr::OFFSET, |ris| ris.traffic = None, 0),
    ];
    for (number, (offset, change, expected)) in cases.into_iter().enumerate() {
        let mut ris = least();
        change(&mut ris);
        let value = ris.identification(&alone(), offset).unwrap();
        assert_eq!(value, expected, "case {number}: {offset:#x} reads {value:#x}, not {expected:#x}");
    }
    let capture = MscConfig { local_capture: true, ..alone() };
    assert_eq!(least().identification(&capture, MsmonIdr::OFFSET), Some(0x8003_0000));
}

#[test]
fn mpamf_idr_has_a_bit_for_each_kind_of_control_and_an_upper_half_where_that_is_announced() {
    type Change = fn(&mut RisConfig);
    // Every control, and then without one.
    let all = 0xcf00_0001;
    let cases: [(Change, u64); 11] = [
        (|_| (), all),
        (|ris| ris.partid_max = 0xffff, 0xcf00_ffff),
        (|ris| ris.pmg_max = 0xff, 0xcfff_0001),
        (|ris| ris.capacity = None, all & !(1 << 24)),
        (|ris| ris.cpor_bits = 0, all & !(1 << 25)),
        (|ris| ris.bandwidth = None, all & !(1 << 26)),
        (|ris| ris.internal_priority = None, all),
        (|ris| ris.downstream_priority = None, all),
        (|ris| (ris.internal_priority, ris.downstream_priority) = (None, None), all & !(1 << 27)),
        (|ris| (ris.usage, ris.traffic) = (None, None), all & !(1 << 30)),
        (|ris| ris.narrowing = None, all & !(1 << 31)),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let mut ris = least();
        change(&mut ris);
        assert_eq!(ris.idr(&alone(), 0), expected, "case {number}");
    }
    let upper = |msc: MscConfig, ris_max| least().idr(&msc, ris_max) >> 28;
    let extended = || MscConfig { extended: true, ..alone() };
    assert_eq!(upper(alone(), 3), 0xc, "bits 30 and 31 only");
    assert_eq!(upper(extended(), 0), 0xd, "one instance is not selected");
    assert_eq!(upper(extended(), 15), 0xf000_001d);
    assert_eq!(upper(MscConfig { extended_error_status: true, ..extended() }, 0), 1 << 10 | 0xd);
    assert_eq!(upper(MscConfig { error_status: true, ..extended() }, 0), 1 << 11 | 0xd);
}

#[test]
fn a_bandwidth_counter_has_31_44_or_63_bits() {
    for bits in 0..=64_u32 {
        let mask = CounterWidth::try_from(bits).map(CounterWidth::mask);
        assert_eq!(mask.ok(), [31, 44, 63].contains(&bits).then(|| (1 << bits) - 1), "{bits}");
    }
}
