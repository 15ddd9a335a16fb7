// SPDX-License-Identifier: GPL-2.0-only
//! What is found out about a machine.

use resctrl_hardware::Machine;
use resctrl_hardware::machine::Cache;
use resctrl_types::arch::{Ids, OccupancyThreshold, Resources};
use resctrl_types::event::EventSet;
use resctrl_types::resource::{BandwidthControl, CacheControl, Control, ControlKind, Monitor, Scope, ThrottleMode};
use resctrl_types::sim::{self};
use resctrl_types::{CpuId, Errno, EventId, ResourceId};
use resctrl_x86::X86;
use resctrl_x86_board::{Emulated, Processor};

use crate::machine::{intel, intel_big, intel_l2, intel_mon_only, probe};

const HASWELL_X: u32 = 0x306f2;
const BROADWELL_X: u32 = 0x406f1;
const SKYLAKE_X: u32 = 0x50654;
const CASCADE_LAKE_X: u32 = 0x50657;

fn control(x86: &X86<Emulated>, resource: ResourceId) -> Option<Control> {
    Resources::control(x86, resource)
}

fn monitor(x86: &X86<Emulated>, resource: ResourceId) -> Option<Monitor> {
    Resources::monitor(x86, resource)
}

fn events(x86: &X86<Emulated>) -> EventSet {
    monitor(x86, ResourceId::L3).map_or(EventSet::EMPTY, |monitor| monitor.events)
}

/// Probes a machine that has something and hands it over with the log.
fn probed(machine: Machine, processor: Processor, options: &'static str, f: fn(&X86<Emulated>, &[String])) {
    sim::run(move || {
        let (sim, board, x86) = probe(&machine, processor, options);
        f(&x86.unwrap(), &sim.log_lines());
        assert_eq!(board.rdt.next_write(), 0, "probing writes no register");
    });
}

/// Probes a machine that has nothing; the log says why.
fn refused(machine: Machine, processor: Processor, options: &'static str, reason: &'static str) {
    sim::run(move || {
        let (sim, _, x86) = probe(&machine, processor, options);
        assert_eq!(x86.err(), Some(Errno::ENODEV));
        assert_eq!(sim.log_lines(), [format!("resctrl: {reason}")]);
    });
}

const NOTHING: &str = "nothing to control or to monitor on this processor";

#[test]
fn everything_that_a_machine_has_is_found() {
    probed(intel(), Processor::default(), "", |x86, log| {
        let l3 = CacheControl { cbm_len: 12, min_cbm_bits: 1, shareable_bits: 0xc00, sparse_masks: false };
        assert_eq!(
            control(x86, ResourceId::L3),
            Some(Control { scope: Scope::L3Cache, num_closid: 16, cdp_capable: true, kind: ControlKind::Cache(l3) })
        );
        let mb = BandwidthControl {
            min_bw: 10,
            max_bw: 100,
            bw_gran: 10,
            delay_linear: true,
            needs_linear: true,
            throttle_mode: Some(ThrottleMode::Max),
        };
        assert_eq!(
            control(x86, ResourceId::Mb),
            Some(Control {
                scope: Scope::L3Cache,
                num_closid: 8,
                cdp_capable: false,
                kind: ControlKind::Bandwidth(mb)
            })
        );
        let all = EventId::L3.into_iter().fold(EventSet::EMPTY, EventSet::with);
        assert_eq!(monitor(x86, ResourceId::L3), Some(Monitor { scope: Scope::L3Cache, num_rmid: 32, events: all }));
        assert_eq!(Resources::occupancy_threshold(x86), OccupancyThreshold { limit: 24576 << 10, unit: 65536 });
        assert_eq!(Ids::num_rmid_index(x86), 32);
        for resource in [ResourceId::L2, ResourceId::Smba, ResourceId::PerfPkg] {
            assert_eq!(control(x86, resource), None);
        }
        assert_eq!(
            log,
            ["resctrl: L3 allocation detected", "resctrl: MB allocation detected", "resctrl: L3 monitoring detected"]
        );
    });
}

#[test]
fn l2_allocation_without_monitoring_is_found() {
    probed(intel_l2(), Processor::default(), "", |x86, log| {
        let l2 = control(x86, ResourceId::L2).unwrap();
        assert_eq!((l2.scope, l2.num_closid, l2.cdp_capable, l2.default_value()), (Scope::L2Cache, 8, true, 0xffff));
        let l3 = control(x86, ResourceId::L3).unwrap();
        assert!(matches!(
            l3.kind,
            ControlKind::Cache(CacheControl { sparse_masks: true, shareable_bits: 0xc0000, .. })
        ));
        assert!(!l3.cdp_capable);
        assert_eq!(monitor(x86, ResourceId::L3), None);
        assert_eq!(Ids::num_rmid_index(x86), 0);
        assert_eq!(log, ["resctrl: L3 allocation detected", "resctrl: L2 allocation detected"]);
    });
}

#[test]
fn monitoring_without_allocation_is_found() {
    probed(intel_mon_only(), Processor::default(), "", |x86, log| {
        assert!(ResourceId::ALL.into_iter().all(|resource| control(x86, resource).is_none()));
        assert_eq!(monitor(x86, ResourceId::L3).unwrap().num_rmid, 23);
        assert_eq!(Resources::occupancy_threshold(x86).unit, 114_688);
        assert_eq!(log, ["resctrl: L3 monitoring detected"]);
    });
}

#[test]
fn threads_with_delays_of_their_own_are_found() {
    probed(intel_big(), Processor::default(), "", |x86, _| {
        let Some(Control { kind: ControlKind::Bandwidth(mb), .. }) = control(x86, ResourceId::Mb) else {
            panic!("no bandwidth control");
        };
        assert_eq!(mb.throttle_mode, Some(ThrottleMode::PerThread));
    });
}

#[test]
fn probing_works_with_the_first_cpu_offline() {
    sim::run(|| {
        let (sim, board, _) = probe(&intel(), Processor::default(), "");
        sim.offline(CpuId(0)).unwrap();
        assert!(X86::new(Emulated(board), &sim, resctrl_x86::Options::default()).is_ok());
    });
}

#[test]
fn features_are_turned_off_by_the_user() {
    probed(intel(), Processor::default(), "!l3cdp,!mba,!mbmlocal,!cmt", |x86, _| {
        assert!(!control(x86, ResourceId::L3).unwrap().cdp_capable);
        assert_eq!(control(x86, ResourceId::Mb), None);
        assert_eq!(events(x86), EventSet::EMPTY.with(EventId::MbmTotal));
    });
    probed(intel(), Processor::default(), "!l3cat,!cmt,!mbmtotal,!mbmlocal", |x86, _| {
        assert_eq!(control(x86, ResourceId::L3), None);
        assert!(control(x86, ResourceId::Mb).is_some());
        assert_eq!(monitor(x86, ResourceId::L3), None);
    });
    probed(intel_l2(), Processor::default(), "!l2cdp", |x86, _| {
        assert!(!control(x86, ResourceId::L2).unwrap().cdp_capable);
    });
    refused(intel_l2(), Processor::default(), "!l2cat,!l3cat", NOTHING);
}

#[test]
fn turning_on_makes_no_feature_that_the_processor_lacks() {
    probed(intel_mon_only(), Processor::default(), "l3cat,l2cat,mba,l3cdp", |x86, _| {
        assert!(ResourceId::ALL.into_iter().all(|resource| control(x86, resource).is_none()));
    });
}

#[test]
fn other_vendors_are_refused_by_name() {
    let other = Processor { vendor: b"CentaurHauls", ..Processor::default() };
    refused(intel(), other, "", "no support for processors of vendor CentaurHauls");
}

#[test]
fn a_processor_without_the_leaves_or_their_announcement_has_nothing() {
    refused(intel(), Processor { last_leaf: 0xe, ..Processor::default() }, "", NOTHING);
    let unannounced = |leaf, _, mut answer: [u32; 4]| {
        if leaf == 7 {
            answer[1] &= !(1 << 12 | 1 << 15);
        }
        answer
    };
    refused(intel(), Processor { bend: unannounced, ..Processor::default() }, "", NOTHING);
    probed(intel(), Processor { last_leaf: 0xf, ..Processor::default() }, "", |x86, _| {
        assert_eq!(control(x86, ResourceId::L3), None);
        assert!(!events(x86).is_empty());
    });
}

#[test]
fn a_bandwidth_scale_that_is_no_percentage_is_not_used() {
    let mut machine = intel();
    machine.rdt.as_mut().unwrap().mba.as_mut().unwrap().linear = false;
    probed(machine, Processor::default(), "", |x86, log| {
        assert_eq!(control(x86, ResourceId::Mb), None);
        assert_eq!(log[0], "resctrl: MBA b/w map not implemented for cpu:6, model:106");
    });
    // A delay of 100 % would leave a smallest amount, and so a step, of 0.
    let all = |leaf, subleaf, mut answer: [u32; 4]| {
        if (leaf, subleaf) == (0x10, 3) {
            answer[0] = 99;
        }
        answer
    };
    probed(intel(), Processor { bend: all, ..Processor::default() }, "", |x86, _| {
        assert_eq!(control(x86, ResourceId::Mb), None);
    });
}

#[test]
fn numbers_beyond_the_registers_are_cut_to_them() {
    let huge = |leaf, subleaf, mut answer: [u32; 4]| {
        match (leaf, subleaf) {
            (0x10, 1..=3) => answer[3] = u32::MAX,
            (0xf, 1) => {
                answer[0] = 39;
                answer[2] = u32::MAX;
            }
            _ => {}
        }
        answer
    };
    probed(intel(), Processor { bend: huge, ..Processor::default() }, "", |x86, log| {
        assert_eq!(control(x86, ResourceId::L3).unwrap().num_closid, 128);
        assert_eq!(control(x86, ResourceId::Mb).unwrap().num_closid, 64);
        assert_eq!(monitor(x86, ResourceId::L3).unwrap().num_rmid, 4096);
        assert_eq!(log[0], "resctrl: Ignoring impossible MBM counter offset");
    });
}

#[test]
fn skylake_loses_what_does_not_work_there_unless_the_user_insists() {
    let skylake = Processor { version: SKYLAKE_X, ..Processor::default() };
    probed(intel(), skylake, "", |x86, _| {
        assert_eq!(control(x86, ResourceId::L3), None);
        assert_eq!(monitor(x86, ResourceId::L3), None);
        assert!(control(x86, ResourceId::Mb).is_some());
    });
    probed(intel(), skylake, "l3cat,cmt", |x86, _| {
        assert!(control(x86, ResourceId::L3).is_some());
        assert_eq!(events(x86), EventSet::EMPTY.with(EventId::LlcOccupancy));
    });
    probed(intel(), Processor { version: CASCADE_LAKE_X, ..Processor::default() }, "", |x86, _| {
        assert_eq!(control(x86, ResourceId::L3), None);
        assert!(events(x86).any_mbm());
    });
}

#[test]
fn a_number_of_rmids_without_a_known_correction_is_told() {
    let mut machine = intel();
    machine.rdt.as_mut().unwrap().monitoring.as_mut().unwrap().rmids = 7;
    probed(machine, Processor { version: BROADWELL_X, ..Processor::default() }, "", |_, log| {
        assert_eq!(log[0], "resctrl: No MBM correction factor available");
    });
    probed(intel(), Processor { version: BROADWELL_X, ..Processor::default() }, "", |_, log| {
        assert_eq!(log[0], "resctrl: L3 allocation detected");
    });
}

/// A machine with masks of so many bits which says nothing of allocation.
fn haswell(cbm_len: u32) -> (Machine, Processor) {
    let mut machine = intel();
    let rdt = machine.rdt.as_mut().unwrap();
    let l3 = rdt.l3.as_mut().unwrap();
    (l3.cbm_len, l3.closids, l3.cdp, l3.shareable) = (cbm_len, 4, false, 0);
    machine.cache.l3 = Some(Cache { size_kib: u64::from(cbm_len) << 10, ways: cbm_len.into(), first_id: None });
    (rdt.mba, rdt.monitoring) = (None, None);
    let silent = |leaf, _, mut answer: [u32; 4]| {
        match leaf {
            7 => answer[1] &= !(1 << 15),
            0x10 => answer = [0; 4],
            _ => {}
        }
        answer
    };
    (machine, Processor { version: HASWELL_X, bend: silent, ..Processor::default() })
}

#[test]
fn haswell_is_tried_since_it_says_nothing() {
    let (machine, processor) = haswell(20);
    sim::run(move || {
        let (_, _, x86) = probe(&machine, processor, "");
        let cache = CacheControl { cbm_len: 20, min_cbm_bits: 2, shareable_bits: 0xc0000, sparse_masks: false };
        assert_eq!(
            control(&x86.unwrap(), ResourceId::L3),
            Some(Control { scope: Scope::L3Cache, num_closid: 4, cdp_capable: false, kind: ControlKind::Cache(cache) })
        );
    });
    refused(haswell(20).0, haswell(20).1, "!l3cat", NOTHING);
    // On any other processor the same silence is taken at its word.
    refused(haswell(20).0, Processor { version: BROADWELL_X, ..haswell(20).1 }, "", NOTHING);
}

#[test]
fn a_haswell_that_refuses_the_mask_has_no_allocation() {
    let (machine, processor) = haswell(12);
    refused(machine, processor, "", NOTHING);
}
