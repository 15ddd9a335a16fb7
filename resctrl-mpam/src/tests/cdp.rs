// SPDX-License-Identifier: GPL-2.0-only
//! The emulation of code and data prioritisation: a CLOSID is a pair of PARTIDs.

use resctrl_hardware::mpam::Label;
use resctrl_hardware::mpam::firmware::Locator;
use resctrl_hardware::mpam::registers::Cpbm;
use resctrl_types::arch::{Ids, Resources};
use resctrl_types::sim::{self, TaskSpec};
use resctrl_types::{ConfType, CpuId, Errno, ResourceId};

use super::board::{L2_ID, L3_ID, MscSpec, Rig, Spec, cache};
use super::resctrl::{change, id, label};
use crate::resctrl::Options;

#[test]
fn cdp_needs_an_expert_and_two_partids() {
    sim::run(|| {
        let rig = Rig::with(&Spec::new(1), Options { expert: false }).unwrap();
        assert_eq!(rig.set_cdp(ResourceId::L3, true), Err(Errno::EOPNOTSUPP));
        assert!(
            rig.sim
                .log_lines()
                .iter()
                .any(|line| line.ends_with("CDP not supported without the module's parameter expert=1"))
        );
        let rig = Rig::new(&Spec::new(1));
        assert_eq!(rig.set_cdp(ResourceId::L2, true), Err(Errno::EINVAL));
        assert_eq!(rig.set_cdp(ResourceId::Mb, true), Err(Errno::EINVAL));
        assert_eq!(rig.set_cdp(ResourceId::L2, false), Ok(()));
        assert_eq!(rig.set_cdp(ResourceId::Mb, false), Ok(()), "what is never on can be turned off");
        let mut spec = Spec::new(1);
        spec.mscs[0].config.ris[0].partid_max = 0;
        assert_eq!(Rig::new(&spec).set_cdp(ResourceId::L3, true), Err(Errno::EINVAL));
    });
}

#[test]
fn under_cdp_a_closid_is_a_pair_of_partids_everywhere() {
    sim::run(|| {
        let rig = Rig::new(&Spec::new(1));
        let task = rig.sim.spawn_task(TaskSpec::default());
        rig.sim.switch_to(CpuId(0), Some(&task)).unwrap();
        rig.set_cdp(ResourceId::L3, true).unwrap();
        // The default group's CPUs are labelled anew at once.
        assert_eq!((label(&rig, 0, false).partid, label(&rig, 0, true).partid), (0, 1));
        assert_eq!((label(&rig, 1, false).partid, label(&rig, 1, true).partid), (0, 1));
        rig.apply(ResourceId::L3, L3_ID, &[change(3, ConfType::Code, 0x0f), change(3, ConfType::Data, 0xf0)]).unwrap();
        assert_eq!(rig.board.msc(0).control(0, 6, Cpbm::OFFSET), Some(0xf0));
        assert_eq!(rig.board.msc(0).control(0, 7, Cpbm::OFFSET), Some(0x0f));
        assert_eq!(rig.value(ResourceId::L3, L3_ID, 3, ConfType::Code), 0x0f);
        assert_eq!(rig.value(ResourceId::L3, L3_ID, 3, ConfType::Data), 0xf0);
        let word = Ids::task_word(&*rig.driver, id(3, 2));
        rig.irq(0, |here| rig.driver.sched_in(here, word));
        assert_eq!(label(&rig, 0, false), Label { partid: 6, pmg: 2 });
        assert_eq!(label(&rig, 0, true), Label { partid: 7, pmg: 2 });
        assert_eq!(rig.apply(ResourceId::L3, L3_ID, &[change(16, ConfType::Code, 1)]), Err(Errno::EINVAL));
        assert_eq!(rig.driver.monitor(ResourceId::L3).unwrap().num_rmid, 64);
        rig.set_cdp(ResourceId::L3, false).unwrap();
        assert_eq!((label(&rig, 1, false).partid, label(&rig, 1, true).partid), (0, 0));
    });
}

/// Two CPUs with a level 2 cache each, and a level 3 cache.
fn two_levels() -> Spec {
    let mut spec = Spec::new(1);
    for cpu in 0..2 {
        spec.mscs.push(MscSpec::one(cache(), Locator::Cache(L2_ID + cpu)));
    }
    spec
}

#[test]
fn a_cache_without_cdp_gives_both_partids_the_same_value() {
    sim::run(|| {
        let rig = Rig::new(&two_levels());
        rig.set_cdp(ResourceId::L3, true).unwrap();
        assert!(!rig.driver.cdp_enabled(ResourceId::L2));
        // Whatever the value is said to be for.
        for (conf_type, value) in [(ConfType::Both, 0x3c), (ConfType::Data, 0x0f), (ConfType::Code, 0xf0)] {
            rig.apply(ResourceId::L2, L2_ID + 1, &[change(3, conf_type, value)]).unwrap();
            assert_eq!(rig.board.msc(3).control(0, 6, Cpbm::OFFSET), Some(value));
            assert_eq!(rig.board.msc(3).control(0, 7, Cpbm::OFFSET), Some(value));
            assert_eq!(rig.value(ResourceId::L2, L2_ID + 1, 3, conf_type), value);
        }
        assert_eq!(rig.board.msc(2).control(0, 6, Cpbm::OFFSET), Some(0xffff));
    });
}

#[test]
fn the_level_2_caches_have_a_cdp_of_their_own() {
    sim::run(|| {
        let rig = Rig::new(&two_levels());
        rig.set_cdp(ResourceId::L2, true).unwrap();
        assert_eq!([ResourceId::L2, ResourceId::L3].map(|cache| rig.driver.cdp_enabled(cache)), [true, false]);
        assert_eq!((label(&rig, 0, false).partid, label(&rig, 0, true).partid), (0, 1));
        rig.apply(ResourceId::L2, L2_ID, &[change(3, ConfType::Code, 0x0f)]).unwrap();
        rig.apply(ResourceId::L3, L3_ID, &[change(3, ConfType::Both, 0xf0)]).unwrap();
        let held = |msc| [6, 7].map(|partid| rig.board.msc(msc).control(0, partid, Cpbm::OFFSET).unwrap());
        assert_eq!((held(2), held(0)), ([0xffff, 0x0f], [0xf0, 0xf0]));
        rig.set_cdp(ResourceId::L2, false).unwrap();
        assert!(!rig.driver.cdp_enabled(ResourceId::L2));
        assert_eq!(label(&rig, 0, true).partid, 0);
    });
}
