// SPDX-License-Identifier: GPL-2.0-only
//! Erratum T241-MPAM-1, on chips that have it.

use resctrl_hardware::mpam::t241::{IIDR, Limits};
use resctrl_hardware::mpam::{BandwidthControls, RisConfig};
use resctrl_types::arch::Resources;
use resctrl_types::{ConfType, CpuId, ResourceId, sim};

use super::board::{L3_ID, Rig, Spec, cache};
use super::resctrl::change;

/// Two chips with a level 3 cache each, which controls bandwidth.
fn chips() -> Spec {
    let mut spec = Spec { t241: true, ..Spec::new(2) };
    spec.mscs.truncate(2);
    for msc in &mut spec.mscs {
        msc.config.iidr = IIDR;
        let bandwidth = BandwidthControls { bits: 8, max: true, min: true, ..BandwidthControls::default() };
        msc.config.ris[0] = RisConfig { bandwidth: Some(bandwidth), ..cache() };
    }
    spec
}

fn limits(rig: &Rig, chip: usize, partid: u16) -> Option<Limits> {
    rig.board.chip(chip).agreed(partid).expect("every slice has the same")
}

const HALF: Limits = Limits { max: 0x7f00, min: 0x7200 };
const ALL: Limits = Limits { max: 0xff00, min: 0xf200 };

#[test]
fn a_limit_takes_effect_on_the_chip_that_the_msc_is_on() {
    sim::run(|| {
        let rig = Rig::new(&chips());
        assert!(
            rig.sim.log_lines().iter().any(|line| line.ends_with("workaround for NVIDIA T241 erratum T241-MPAM-1"))
        );
        let untouched = limits(&rig, 0, 3);
        rig.apply(ResourceId::Mb, L3_ID + 1, &[change(3, ConfType::Both, 50)]).unwrap();
        assert_eq!((limits(&rig, 1, 3), limits(&rig, 0, 3)), (Some(HALF), untouched));
        rig.apply(ResourceId::Mb, L3_ID + 1, &[change(3, ConfType::Both, 100)]).unwrap();
        assert_eq!(limits(&rig, 1, 3), Some(ALL));
        assert!(!rig.sim.log_lines().iter().any(|line| line.contains("inconsistent")));
    });
}

#[test]
fn it_takes_effect_as_well_where_it_comes_back_with_a_cpu() {
    sim::run(|| {
        let mut spec = chips();
        spec.mscs[1].cluster = Some(1);
        let rig = Rig::new(&spec);
        rig.apply(ResourceId::Mb, L3_ID + 1, &[change(3, ConfType::Both, 50)]).unwrap();
        for cpu in [2, 3] {
            rig.sim.offline(CpuId(cpu)).unwrap();
        }
        assert_ne!(limits(&rig, 1, 3), Some(HALF), "nobody is left whom it is meant for");
        *rig.board.chip(1) = Default::default();
        rig.sim.online(CpuId(3)).unwrap();
        assert_eq!(limits(&rig, 1, 3), Some(HALF));
    });
}

#[test]
fn a_slice_that_never_gets_it_is_told_of_and_ends_the_waiting() {
    sim::run(|| {
        let rig = Rig::new(&chips());
        rig.board.chip(0).stick(7);
        let told = || rig.sim.log_lines().iter().filter(|line| line.contains("MSC 0: inconsistent shadow")).count();
        rig.apply(ResourceId::Mb, L3_ID, &[change(3, ConfType::Both, 50)]).unwrap();
        assert_eq!(told(), 1);
        let slices = rig.board.chip(0).in_effect(3).filter(|limits| *limits == Some(HALF)).count();
        assert_eq!(slices, 11, "the others have it all the same");
        // It is not known to be in effect, so the same again is tried, not left out.
        rig.apply(ResourceId::Mb, L3_ID, &[change(3, ConfType::Both, 50)]).unwrap();
        assert_eq!(told(), 2);
    });
}

#[test]
fn without_the_registers_of_the_chip_no_limit_is_offered() {
    sim::run(|| {
        let rig = Rig::new(&Spec { t241: false, ..chips() });
        assert!(rig.driver.control(ResourceId::Mb).is_none() && rig.driver.control(ResourceId::L3).is_some());
        let told = rig.sim.log_lines();
        assert!(told.iter().any(|line| line.contains("MSC 0: no limit of the bandwidth: it has erratum T241-MPAM-1")));
    });
}
