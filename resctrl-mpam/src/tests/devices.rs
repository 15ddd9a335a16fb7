// SPDX-License-Identifier: GPL-2.0-only

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;
use resctrl_hardware::mpam::firmware::{Locator, Resource};
use resctrl_hardware::mpam::registers::{
    Cassoc, Cmax, Cmin, Cpbm, Esr, MbwMax, MbwMin, MbwPbm, MbwProp, PAGE_SIZE, Pri,
};
use resctrl_hardware::mpam::{
    BandwidthControls, BandwidthMonitors, CapacityControls, CounterWidth, MscConfig, NotReady, Priority, RisConfig,
    UsageMonitors,
};
use resctrl_types::arch::Trust;
use resctrl_types::{CpuId, Errno, sim};

use super::board::{L3_ID, MscSpec, Rig, Spec, cache, counters, discover, memory, on, refusal};
use crate::devices::{ClassKind, Feature, Managed, Waited};

/// A machine with one level 3 cache, of which every MSC given is a part.
fn slices(instances: Vec<Vec<RisConfig>>) -> Spec {
    let mscs = instances
        .into_iter()
        .map(|ris| {
            let resources =
                (0..ris.len()).map(|ris| Resource { ris: ris as u8, locator: Locator::Cache(L3_ID) }).collect();
            MscSpec { config: MscConfig::new(ris), resources, cluster: None, only: None }
        })
        .collect();
    Spec { mscs, ..Spec::new(1) }
}

#[test]
fn an_msc_is_found_to_have_what_it_has() {
    sim::run(|| {
        let everything = RisConfig {
            cpor_bits: 33,
            capacity: Some(CapacityControls { bits: 8, max: true, soft_limit: true, min: true, associativity_bits: 4 }),
            bandwidth: Some(BandwidthControls {
                bits: 40,
                max: true,
                min: true,
                proportional: true,
                portion_bits: 12,
                window: true,
            }),
            internal_priority: Some(Priority { bits: 3, zero_is_low: true }),
            downstream_priority: Some(Priority { bits: 2, zero_is_low: false }),
            traffic: Some(counters(CounterWidth::Bits44)),
            ..cache()
        };
        let (_, _, devices) = discover(&slices(vec![vec![everything]])).unwrap();
        let props = devices.mscs[0].ris[0].props;
        assert_eq!((props.cpbm_wd, props.cmax_wd, props.cassoc_wd, props.mbw_pbm_bits), (33, 8, 4, 12));
        assert_eq!(props.bwa_wd, 16, "there is no more room in the register");
        assert_eq!((props.intpri_wd, props.dspri_wd, props.num_csu_mon, props.num_mbwu_mon), (3, 2, 4, 4));
        for feature in [
            Feature::Cpor,
            Feature::Cmax,
            Feature::CmaxSoftlim,
            Feature::Cmin,
            Feature::Cassoc,
            Feature::MbwPart,
            Feature::MbwMin,
            Feature::MbwMax,
            Feature::MbwProp,
            Feature::Intpri,
            Feature::Intpri0Low,
            Feature::Dspri,
            Feature::Csu,
            Feature::CsuHwNrdy,
            Feature::Mbwu,
            Feature::Mbwu44,
            Feature::MbwuRwbw,
        ] {
            assert!(props.has(feature), "{feature:?}");
        }
        for feature in [Feature::Dspri0Low, Feature::Mbwu63, Feature::CsuXcl, Feature::PartidNrw] {
            assert!(!props.has(feature), "{feature:?}");
        }
        assert_eq!(devices.classes[0].kind, ClassKind::Cache(3));
    });
}

#[test]
fn a_width_of_zero_is_no_feature() {
    sim::run(|| {
        let hollow = RisConfig {
            capacity: Some(CapacityControls { bits: 0, max: true, min: true, ..CapacityControls::default() }),
            bandwidth: Some(BandwidthControls { bits: 0, max: true, min: true, ..BandwidthControls::default() }),
            ..RisConfig::new(7, 1)
        };
        let (_, _, devices) = discover(&slices(vec![vec![hollow]])).unwrap();
        assert_eq!(devices.mscs[0].ris[0].props.features, crate::devices::Features::default());
    });
}

#[test]
fn a_not_ready_bit_that_software_can_set_and_clear_is_nobodys() {
    sim::run(|| {
        let usage = UsageMonitors { not_ready: NotReady::Unmanaged, ..cache().usage.unwrap() };
        let (_, _, devices) = discover(&slices(vec![vec![RisConfig { usage: Some(usage), ..cache() }]])).unwrap();
        assert!(!devices.mscs[0].ris[0].props.has(Feature::CsuHwNrdy));
    });
}

#[test]
fn architecture_versions_that_are_not_known_are_refused() {
    for (aidr, good) in [(0x00, false), (0x01, true), (0x10, true), (0x11, true), (0x20, false)] {
        sim::run(move || {
            let mut spec = slices(vec![vec![cache()]]);
            spec.mscs[0].config.aidr = aidr;
            let (errno, log) = refusal(&spec);
            assert_eq!(errno, (!good).then_some(Errno::EIO), "{aidr:#x}");
            assert_eq!(log.iter().any(|line| line.ends_with("MSC 0: does not match architecture v1.x")), !good);
        });
    }
}

#[test]
fn an_instance_that_the_hardware_does_not_have_is_refused() {
    sim::run(|| {
        let mut spec = slices(vec![vec![cache()]]);
        spec.mscs[0].resources.push(Resource { ris: 1, locator: Locator::Memory(0) });
        let text = "MSC 0: has no such resource instance as the firmware says";
        assert_eq!(refusal(&spec), (Some(Errno::EINVAL), vec![text.into()]));
        let mut spec = slices(vec![vec![cache()]]);
        spec.mscs[0].resources.push(Resource { ris: 0, locator: Locator::Memory(0) });
        let text = "MSC 0: a resource instance is described twice";
        assert_eq!(refusal(&spec), (Some(Errno::EBUSY), vec![text.into()]));
    });
}

#[test]
fn a_refusal_says_in_one_line_what_is_wrong() {
    sim::run(|| {
        let mut none = slices(vec![vec![cache()]]);
        none.mscs.clear();
        assert_eq!(refusal(&none), (Some(Errno::EINVAL), vec!["No MSC devices found in firmware".into()]));
        let mut elsewhere = slices(vec![vec![cache()]]);
        elsewhere.mscs[0].cluster = Some(77);
        assert_eq!(refusal(&elsewhere), (Some(Errno::EINVAL), vec!["MSC 0: not accessible from any CPU".into()]));
        let mut unknown = slices(vec![vec![cache()]]);
        unknown.mscs[0].resources[0].locator = Locator::Cache(0x999);
        let text = "MSC 0: part of a cache that the table PPTT does not have";
        assert_eq!(refusal(&unknown), (Some(Errno::EINVAL), vec![text.into()]));
    });
}

#[test]
fn an_instance_that_only_the_hardware_knows_is_reset_and_left_alone() {
    sim::run(|| {
        let mut spec = Spec::new(1);
        spec.mscs[0].config.ris.push(RisConfig { narrowing: Some(3), ..cache() });
        let rig = Rig::new(&spec);
        assert_eq!(rig.driver.devices().mscs[0].ris[1].class, ClassKind::Unknown);
        // Narrowing there does not lower the limit for everybody.
        assert_eq!(rig.driver.devices().ids.partid_max, 31);
        assert_eq!(rig.driver.devices().classes.len(), 2);
    });
}

#[test]
fn limits_are_those_of_the_poorest_component() {
    sim::run(|| {
        let poor = RisConfig { partid_max: 15, pmg_max: 1, ..cache() };
        let (_, _, devices) = discover(&slices(vec![vec![cache(), poor]])).unwrap();
        assert_eq!((devices.ids.partid_max, devices.ids.pmg_max), (15, 1));
        let narrow = RisConfig { narrowing: Some(7), ..cache() };
        let (_, _, devices) = discover(&slices(vec![vec![cache()], vec![narrow]])).unwrap();
        assert_eq!((devices.ids.partid_max, devices.ids.pmg_max), (7, 3));
    });
}

#[test]
fn classes_can_what_all_their_mscs_can() {
    sim::run(|| {
        let cpor = |bits| RisConfig { cpor_bits: bits, usage: None, ..cache() };
        let cmin = RisConfig {
            capacity: Some(CapacityControls { bits: 4, min: true, ..CapacityControls::default() }),
            usage: None,
            cpor_bits: 0,
            ..cache()
        };
        let class = |instances| {
            let (_, _, devices) = discover(&slices(instances)).unwrap();
            assert_eq!(devices.classes.len(), 1);
            devices.classes[0].props
        };
        assert_eq!(class(vec![vec![cpor(4), cpor(4)]]).cpbm_wd, 4);
        let both = class(vec![vec![cpor(4), cmin.clone()]]);
        assert!(both.has(Feature::Cpor) && both.has(Feature::Cmin));
        assert_eq!((both.cpbm_wd, both.cmax_wd), (4, 4));
        assert_eq!(class(vec![vec![cpor(4)], vec![cpor(4)]]).cpbm_wd, 4);
        let neither = class(vec![vec![cpor(4)], vec![cmin]]);
        assert_eq!((neither.features, neither.cpbm_wd, neither.cmax_wd), (crate::devices::Features::default(), 0, 0));
        assert!(!class(vec![vec![cpor(5)], vec![cpor(3)]]).has(Feature::Cpor));
    });
}

#[test]
fn components_of_one_class_are_merged_too() {
    sim::run(|| {
        let mut spec = Spec::new(2);
        spec.mscs[1].config.ris[0].cpor_bits = 0;
        let (_, _, devices) = discover(&spec).unwrap();
        assert_eq!(devices.classes[0].components.len(), 2);
        assert!(!devices.classes[0].props.has(Feature::Cpor));
        assert!(devices.classes[0].props.has(Feature::Csu));
    });
}

#[test]
fn a_reset_opens_every_bit_of_a_bit_map_of_any_width() {
    for (bits, words) in [(0, [0, 0]), (1, [1, 0]), (16, [0xffff, 0]), (32, [u32::MAX, 0]), (33, [u32::MAX, 1])] {
        sim::run(move || {
            let (sim, board, devices) =
                discover(&slices(vec![vec![RisConfig { cpor_bits: bits, ..cache() }]])).unwrap();
            on(&sim, 0, |here| devices.reset_msc(&devices.mscs[0].access(here.into()).unwrap()));
            for (offset, expected) in [Cpbm::OFFSET, Cpbm::OFFSET + 4].into_iter().zip(words) {
                assert_eq!(board.msc(0).control(0, 31, offset).unwrap_or(0), expected, "{bits} bits");
            }
        });
    }
}

#[test]
fn a_reset_restricts_nothing() {
    sim::run(|| {
        let everything = RisConfig {
            capacity: Some(CapacityControls {
                bits: 8,
                max: true,
                min: true,
                associativity_bits: 4,
                soft_limit: false,
            }),
            bandwidth: Some(BandwidthControls {
                bits: 8,
                max: true,
                min: true,
                proportional: true,
                portion_bits: 40,
                window: false,
            }),
            internal_priority: Some(Priority { bits: 3, zero_is_low: true }),
            downstream_priority: Some(Priority { bits: 2, zero_is_low: false }),
            ..cache()
        };
        let (sim, board, devices) = discover(&slices(vec![vec![everything]])).unwrap();
        on(&sim, 0, |here| devices.reset_msc(&devices.mscs[0].access(here.into()).unwrap()));
        let expected = [
            (Cmax::OFFSET, 0xff00),
            (Cmin::OFFSET, 0),
            (Cassoc::OFFSET, 0xf000),
            (MbwMax::OFFSET, 0xff00),
            (MbwMin::OFFSET, 0),
            (MbwProp::OFFSET, 0),
            (MbwPbm::OFFSET, u32::MAX),
            (MbwPbm::OFFSET + 4, 0xff),
            (Pri::OFFSET, 7),
        ];
        for (offset, value) in expected {
            assert_eq!(board.msc(0).control(0, 9, offset), Some(value), "{offset:#x}");
        }
        assert_eq!(Esr::ERRCODE.get(board.msc(0).error_status()), 0);
        // What is known to be open is not opened again.
        let writes = board.msc(0).writes();
        on(&sim, 0, |here| devices.reset_msc(&devices.mscs[0].access(here.into()).unwrap()));
        assert_eq!(board.msc(0).writes(), writes);
    });
}

#[test]
fn a_narrowing_component_maps_each_partid_to_itself() {
    sim::run(|| {
        let (sim, board, devices) = discover(&slices(vec![vec![RisConfig { narrowing: Some(7), ..cache() }]])).unwrap();
        let vmsc = devices.classes[0].components[0].vmscs().next().unwrap();
        let config = crate::devices::Config { cpbm: 0x00f0, mbw_pbm: 0, mbw_max: 0 };
        const HOW: (Managed, Trust) = (Managed::CachePortions, Trust::Memory);
        on(&sim, 0, |here| devices.program(here.into(), vmsc, [(5, config)].into_iter(), HOW)).unwrap();
        assert_eq!(board.msc(0).control(0, 5, Cpbm::OFFSET), Some(0x00f0));
        let beyond = on(&sim, 0, |here| devices.program(here.into(), vmsc, [(8, config)].into_iter(), HOW));
        assert_eq!(beyond, Err(Errno::EINVAL));
        assert_eq!(board.msc(0).error_status(), 0);
    });
}

#[test]
fn an_msc_is_only_used_from_where_it_can_be_reached_and_by_one_at_a_time() {
    sim::run(|| {
        let mut spec = Spec::new(2);
        spec.mscs[0].cluster = Some(0);
        let (sim, _, devices) = discover(&spec).unwrap();
        assert!(devices.mscs[0].cpus.iter().eq([CpuId(0), CpuId(1)]));
        on(&sim, 2, |here| assert_eq!(devices.mscs[0].access(here.into()).err(), Some(Errno::EIO)));
        on(&sim, 1, |here| {
            let first = devices.mscs[0].access(here.into()).unwrap();
            assert_eq!(devices.mscs[0].access(here.into()).err(), Some(Errno::EBUSY));
            drop(first);
            assert!(devices.mscs[0].access(here.into()).is_ok());
        });
    });
}

#[test]
fn hardware_that_counts_with_wrong_units_and_cannot_tell_when_it_is_ready_is_known() {
    sim::run(|| {
        let mut spec = slices(vec![vec![cache()]]);
        spec.mscs[0].config.iidr = 0x2410_036b;
        let (_, _, devices) = discover(&spec).unwrap();
        assert!(devices.mscs[0].quirks.mbwu_counts_lines && devices.classes[0].quirks.mbw_min_follows_max);
    });
}

/// CMN-650 3642720: the not-ready bit may stay for ever, but the value is good after the time-out.
#[test]
fn a_usage_monitor_that_never_calls_itself_ready_is_believed_after_the_time_out_where_that_is_an_erratum() {
    for (iidr, waited, ready) in [
        (0x0000_043b, Waited::NotYet, false),
        (0x0000_043b, Waited::TimeOut, true),
        (0x1230_043b, Waited::NotYet, false),
        (0x1230_043b, Waited::TimeOut, false),
    ] {
        sim::run(move || {
            let usage = UsageMonitors { not_ready: NotReady::Nanoseconds(u64::MAX), ..cache().usage.unwrap() };
            let mut spec = slices(vec![vec![RisConfig { usage: Some(usage), ..cache() }]]);
            spec.mscs[0].config.iidr = iidr;
            let (sim, _, devices) = discover(&spec).unwrap();
            let reach = &devices.classes[0].components[0].reaches[0];
            let usage = on(&sim, 0, |here| devices.usage(here.into(), reach, 0, (3, 1), waited)).unwrap();
            assert_eq!(usage.is_ok(), ready, "{iidr:#x} {waited:?}");
        });
    }
}

#[test]
fn t241_gets_a_minimum_bandwidth_below_its_maximum_and_shows_none() {
    sim::run(|| {
        let bandwidth = BandwidthControls { bits: 8, max: true, min: true, ..BandwidthControls::default() };
        let mut spec = slices(vec![vec![RisConfig { bandwidth: Some(bandwidth), ..memory(8) }]]);
        spec.mscs[0].config.iidr = 0x2410_036b;
        let (sim, board, devices) = discover(&spec).unwrap();
        assert!(!devices.classes[0].props.has(Feature::MbwMin));
        on(&sim, 0, |here| devices.reset_msc(&devices.mscs[0].access(here.into()).unwrap()));
        assert_eq!(board.msc(0).control(0, 3, MbwMin::OFFSET), Some(0xf200));
    });
}

prop_compose! {
    fn any_ris()(
        partid_max in 0_u16..64, pmg_max in any::<u8>(), cpor_bits in 0_u32..100,
        cmax in 0_u32..64, cassoc in 0_u32..32, bwa in 0_u32..64, pbm in 0_u32..300,
        flags in any::<[bool; 12]>(), widths in (1_u32..17, 1_u32..17), narrowing in prop::option::of(0_u16..64),
        csu in prop::option::of(1_u16..5), mbwu in prop::option::of((1_u16..5, 0_usize..3)),
    ) -> RisConfig {
        let priority = |on: bool, bits, zero_is_low| on.then_some(Priority { bits, zero_is_low });
        RisConfig {
            partid_max,
            pmg_max,
            cpor_bits,
            capacity: flags[0].then_some(CapacityControls {
                bits: cmax, max: flags[1], soft_limit: flags[2], min: flags[3], associativity_bits: cassoc,
            }),
            bandwidth: flags[4].then_some(BandwidthControls {
                bits: bwa, max: flags[5], min: flags[6], proportional: flags[7], portion_bits: pbm, window: flags[8],
            }),
            internal_priority: priority(flags[9], widths.0, flags[10]),
            downstream_priority: priority(flags[11], widths.1, flags[10]),
            narrowing,
            usage: csu.map(|count| UsageMonitors {
                count, exclude_clean: flags[2], capture: false,
                not_ready: if flags[3] { NotReady::Unmanaged } else { NotReady::Nanoseconds(1) },
            }),
            traffic: mbwu.map(|(count, width)| BandwidthMonitors {
                count, width: [CounterWidth::Bits31, CounterWidth::Bits44, CounterWidth::Bits63][width],
                ..counters(CounterWidth::Bits31)
            }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_hardware_is_asked_for_what_it_does_not_have(
        instances in prop::collection::vec(prop::collection::vec(any_ris(), 1..4), 1..4),
        aidr in prop_oneof![Just(0x10_u32), Just(0x11)],
    ) {
        sim::run(move || {
            let mut spec = slices(instances.clone());
            spec.mscs.iter_mut().for_each(|msc| msc.config.aidr = aidr);
            let (sim, board, devices) = discover(&spec).unwrap();
            for place in 0..devices.mscs.len() {
                // Unmapped internal PARTIDs and errors of the questions are cleared; from here on there are none.
                assert_eq!(board.msc(place).error_status(), 0);
                on(&sim, 0, |here| devices.reset_msc(&devices.mscs[place].access(here.into()).unwrap()));
                assert_eq!(Esr::ERRCODE.get(board.msc(place).error_status()), 0);
            }
        });
    }

    #[test]
    fn random_id_registers_are_survived(words in prop::collection::vec(any::<u32>(), 64)) {
        /// Registers of no MSC there is.
        struct Noise(Vec<u32>);
        impl crate::Msc for Noise {
            fn read32(&self, _: resctrl_types::Here<'_>, offset: u32) -> u32 {
                assert!(offset < PAGE_SIZE && offset.is_multiple_of(4));
                // The version is a good one, or nothing more would be read.
                if offset == 0x20 { 0x11 } else { self.0[(offset / 4) as usize % self.0.len()] }
            }
            fn write32(&self, _: resctrl_types::Here<'_>, offset: u32, _: u32) {
                assert!(offset < PAGE_SIZE && offset.is_multiple_of(4));
            }
        }
        sim::run(move || {
            let sim = sim::SimPlatform::new(sim::Topology::packages(1, 1));
            let mut cpus = resctrl_types::CpuMask::new(1).unwrap();
            cpus.set(CpuId(0)).unwrap();
            let mut msc = crate::devices::MscDevice::new(0, Noise(words.clone()), cpus);
            on(&sim, 0, |here| {
                let _ = msc.probe(here.into());
                assert!((1..=16).contains(&msc.ris.len()));
            });
        });
    }
}
