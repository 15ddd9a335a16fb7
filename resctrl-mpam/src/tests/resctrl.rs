// SPDX-License-Identifier: GPL-2.0-only
//! The contract of an architecture, on the simulated kernel.

use std::vec;

use resctrl_hardware::mpam::firmware::{Locator, Resource};
use resctrl_hardware::mpam::registers::{Cpbm, MbwMax};
use resctrl_hardware::mpam::{Label, Level, MscConfig, NotReady, Occupancy, RisConfig, UsageMonitors};
use resctrl_types::arch::{Cdp, Change, Controls, Ids, MonId, Monitors, ReadError, Resources, Trust};
use resctrl_types::platform::{CpusReadGuard, Mutex as _};
use resctrl_types::resource::{BandwidthControl, ControlKind};
use resctrl_types::sim::SimPlatform;
use resctrl_types::{
    Closid, ConfType, CpuId, CpuMask, DomainCpus, Errno, EventId, Platform, ResourceId, Result, Rmid, TaskWord,
    TaskWords, sim,
};

use super::board::{CPU, Driver, L3_ID, L3_SIZE, MscSpec, Rig, Spec, cache, memory};
use crate::resctrl::Options;

pub(super) fn id(closid: u32, rmid: u32) -> MonId {
    MonId { closid: Closid(closid), rmid: Rmid(rmid) }
}

pub(super) const fn change(closid: u32, conf_type: ConfType, value: u32) -> Change {
    Change { closid: Closid(closid), conf_type, value }
}

impl Rig {
    /// `ENODEV` for a domain that is away.
    pub(super) fn apply(&self, resource: ResourceId, domain: u32, changes: &[Change]) -> Result<()> {
        self.apply_trusting(resource, domain, changes, Trust::Memory)
    }

    pub(super) fn apply_trusting(
        &self,
        resource: ResourceId,
        domain: u32,
        changes: &[Change],
        trust: Trust,
    ) -> Result<()> {
        let guard = self.sim.cpus_read_lock();
        let mut mask = CpuMask::new(self.sim.nr_cpu_ids())?;
        self.sim.online_cpus().into_iter().try_for_each(|cpu| mask.set(cpu))?;
        let mut domains = self.domains.lock();
        let domain = domains.ctrl.get_mut(&(resource, domain)).ok_or(Errno::ENODEV)?;
        Controls::apply(
            &*self.driver,
            &self.sim,
            DomainCpus::new(guard.held(), &mask),
            resource,
            domain,
            changes,
            trust,
        )
    }

    pub(super) fn value(&self, resource: ResourceId, domain: u32, closid: u32, conf_type: ConfType) -> u32 {
        let domains = self.domains.lock();
        Controls::<SimPlatform>::control_value(
            &*self.driver,
            resource,
            &domains.ctrl[&(resource, domain)],
            Closid(closid),
            conf_type,
        )
    }

    pub(super) fn set_cdp(&self, resource: ResourceId, enable: bool) -> Result<()> {
        let guard = self.sim.cpus_read_lock();
        Cdp::set_cdp(&*self.driver, &self.sim, guard.held(), resource, enable.into())
    }

    /// Occupancy of a domain with these CPUs.
    pub(super) fn read(&self, cpus: &[u32], domain: u32, id: MonId) -> Result<u64, ReadError> {
        let guard = self.sim.cpus_read_lock();
        let mut mask = CpuMask::new(self.sim.nr_cpu_ids()).unwrap();
        cpus.iter().for_each(|&cpu| mask.set(CpuId(cpu)).unwrap());
        let mut domains = self.domains.lock();
        let domain = domains.mon.get_mut(&domain).unwrap();
        let mut context = Monitors::<SimPlatform>::mon_context(&*self.driver, ResourceId::L3, EventId::LlcOccupancy)?;
        let cpus = DomainCpus::new(guard.held(), &mask);
        let mut result = None;
        Monitors::read(&*self.driver, &self.sim, cpus, EventId::LlcOccupancy, &mut context, &mut |read| {
            // A value comes once.
            assert_eq!(result, None);
            result = read(domain, id);
        })
        .unwrap();
        result.unwrap()
    }
}

#[test]
fn a_machine_with_one_level_3_cache_has_masks_bandwidth_and_occupancy() {
    sim::run(|| {
        let rig = Rig::new(&Spec::new(1));
        let l3 = rig.driver.control(ResourceId::L3).unwrap();
        assert_eq!((l3.num_closid, l3.cdp_capable, l3.default_value()), (32, true, 0xffff));
        let ControlKind::Cache(mask) = l3.kind else { panic!("{l3:?}") };
        assert_eq!((mask.cbm_len, mask.min_cbm_bits, mask.shareable_bits, mask.sparse_masks), (16, 1, 0xffff, true));
        let mb = rig.driver.control(ResourceId::Mb).unwrap();
        let ControlKind::Bandwidth(bandwidth) = mb.kind else { panic!("{mb:?}") };
        let expected = BandwidthControl {
            min_bw: 0,
            max_bw: 100,
            bw_gran: 1,
            delay_linear: true,
            needs_linear: false,
            throttle_mode: None,
        };
        assert_eq!(bandwidth, expected);
        assert!(rig.driver.control(ResourceId::L2).is_none() && rig.driver.control(ResourceId::Smba).is_none());
        let monitor = rig.driver.monitor(ResourceId::L3).unwrap();
        assert_eq!(monitor.num_rmid, 32 * 4);
        assert!(monitor.events.iter().eq([EventId::LlcOccupancy]));
        assert!(rig.driver.monitor(ResourceId::L2).is_none() && rig.driver.monitor(ResourceId::Mb).is_none());
        assert_eq!(rig.driver.occupancy_threshold().limit, L3_SIZE);
        assert!(rig.sim.log_lines().iter().any(|line| line.contains("MPAM enabled with 32 PARTIDs and 4 PMGs")));
    });
}

#[test]
fn without_anything_that_counts_there_is_nothing_to_monitor() {
    sim::run(|| {
        let mut spec = Spec::new(1);
        spec.mscs[0].config.ris[0].usage = None;
        let rig = Rig::new(&spec);
        assert!(rig.driver.control(ResourceId::L3).is_some());
        assert!(rig.driver.monitor(ResourceId::L3).is_none());
        assert_eq!(rig.driver.occupancy_threshold().limit, 0);
    });
}

/// The kernel's driver does not take it for bandwidth either: `topology_matches_l3()`.
#[test]
fn memory_is_no_bandwidth_where_some_of_it_belongs_to_no_cpu() {
    sim::run(|| {
        let mut spec = Spec::new(1);
        spec.mscs.push(MscSpec::one(memory(8), Locator::Memory(1)));
        assert!(Rig::new(&spec).driver.control(ResourceId::Mb).is_none());
    });
}

#[test]
fn memory_is_bandwidth_only_where_it_sees_what_leaves_the_one_level_3_cache() {
    let has_mb = |change: fn(&mut Spec)| {
        sim::run(move || {
            let mut spec = Spec::new(1);
            change(&mut spec);
            assert!(Rig::new(&spec).driver.control(ResourceId::Mb).is_none());
        });
    };
    has_mb(|spec| *spec = Spec::new(2));
    has_mb(|spec| spec.memory_side_cache = true);
    has_mb(|spec| spec.nodes = 2);
    has_mb(|spec| spec.mscs[1].config.ris[0] = memory(0));
}

#[test]
fn bandwidth_of_the_level_3_cache_comes_before_that_of_memory() {
    sim::run(|| {
        let mut spec = Spec::new(1);
        spec.mscs[0].config.ris[0].bandwidth = memory(4).bandwidth;
        let rig = Rig::new(&spec);
        let ControlKind::Bandwidth(bandwidth) = rig.driver.control(ResourceId::Mb).unwrap().kind else { panic!() };
        assert_eq!(bandwidth.bw_gran, 7);
    });
}

#[test]
fn masks_that_resctrl_cannot_show_are_not_shown() {
    sim::run(|| {
        let mut spec = Spec::new(1);
        spec.mscs[0].config.ris[0].cpor_bits = 33;
        let rig = Rig::new(&spec);
        assert!(rig.driver.control(ResourceId::L3).is_none());
        assert!(rig.driver.monitor(ResourceId::L3).is_some());
    });
}

#[test]
fn nothing_to_control_and_to_monitor_is_not_supported() {
    sim::run(|| {
        let mut spec = Spec::new(1);
        spec.mscs.truncate(1);
        spec.mscs[0].config.ris[0] = RisConfig::new(31, 3);
        assert_eq!(Rig::with(&spec, Options::default()).map(drop), Err(Errno::EOPNOTSUPP));
    });
}

#[test]
fn a_value_reaches_its_domain_and_partid_and_nothing_is_written_twice() {
    sim::run(|| {
        let rig = Rig::new(&Spec::new(2));
        rig.apply(ResourceId::L3, L3_ID + 1, &[change(5, ConfType::Both, 0x00f0)]).unwrap();
        assert_eq!(rig.board.msc(1).control(0, 5, Cpbm::OFFSET), Some(0x00f0));
        assert_eq!(rig.board.msc(1).control(0, 4, Cpbm::OFFSET), Some(0xffff));
        assert_eq!(rig.board.msc(0).control(0, 5, Cpbm::OFFSET), Some(0xffff));
        assert_eq!(rig.value(ResourceId::L3, L3_ID + 1, 5, ConfType::Both), 0x00f0);
        let writes = rig.board.msc(1).writes();
        rig.apply(ResourceId::L3, L3_ID + 1, &[change(5, ConfType::Both, 0x00f0)]).unwrap();
        assert_eq!(rig.board.msc(1).writes(), writes);
    });
}

#[test]
fn values_and_closids_that_do_not_exist_are_refused_before_anything_is_written() {
    sim::run(|| {
        let rig = Rig::new(&Spec::new(1));
        let writes = rig.board.msc(0).writes();
        for bad in [(5, 0), (5, 0x1_0000), (32, 1), (u32::MAX, 1)] {
            let changes = [change(1, ConfType::Both, 1), change(bad.0, ConfType::Both, bad.1)];
            assert_eq!(rig.apply(ResourceId::L3, L3_ID, &changes), Err(Errno::EINVAL), "{bad:?}");
        }
        assert_eq!(rig.board.msc(0).writes(), writes);
        assert_eq!(rig.value(ResourceId::L3, L3_ID, 1, ConfType::Both), 0xffff);
    });
}

#[test]
fn less_bandwidth_than_the_least_is_refused() {
    sim::run(|| {
        let mut spec = Spec::new(1);
        spec.mscs[1].config.ris[0] = memory(4);
        let rig = Rig::new(&spec);
        // One of 16 bands, rounded.
        rig.apply(ResourceId::Mb, L3_ID, &[change(2, ConfType::Both, 6)]).unwrap();
        assert_eq!(rig.apply(ResourceId::Mb, L3_ID, &[change(2, ConfType::Both, 5)]), Err(Errno::EINVAL));
    });
}

#[test]
fn a_bandwidth_reads_back_as_the_fraction_that_was_programmed() {
    sim::run(|| {
        let rig = Rig::new(&Spec::new(1));
        rig.apply(ResourceId::Mb, L3_ID, &[change(2, ConfType::Both, 50)]).unwrap();
        assert_eq!(rig.board.msc(1).control(0, 2, MbwMax::OFFSET), Some(0x7f00));
        assert_eq!(rig.value(ResourceId::Mb, L3_ID, 2, ConfType::Both), 50);
        assert_eq!(rig.value(ResourceId::Mb, L3_ID, 3, ConfType::Both), 100);
    });
}

#[test]
fn b4_everything_rounded_up_to_more_than_everything_is_everything() {
    sim::run(|| {
        let mut spec = Spec::new(1);
        spec.mscs[1].config.ris[0] = memory(4);
        let rig = Rig::new(&spec);
        rig.apply(ResourceId::Mb, L3_ID, &[change(2, ConfType::Both, 50)]).unwrap();
        rig.apply(ResourceId::Mb, L3_ID, &[change(2, ConfType::Both, 105)]).unwrap();
        assert_eq!(rig.board.msc(1).control(0, 2, MbwMax::OFFSET), Some(0xf000));
        assert_eq!(rig.value(ResourceId::Mb, L3_ID, 2, ConfType::Both), 100);
    });
}

#[test]
fn resources_of_one_msc_do_not_disturb_each_other() {
    sim::run(|| {
        let mut spec = Spec::new(1);
        let resources =
            vec![Resource { ris: 0, locator: Locator::Cache(L3_ID) }, Resource { ris: 1, locator: Locator::Memory(0) }];
        spec.mscs =
            vec![MscSpec { config: MscConfig::new(vec![cache(), memory(8)]), resources, cluster: None, only: None }];
        let rig = Rig::new(&spec);
        rig.apply(ResourceId::L3, L3_ID, &[change(2, ConfType::Both, 0x3)]).unwrap();
        rig.apply(ResourceId::Mb, L3_ID, &[change(2, ConfType::Both, 25)]).unwrap();
        let guard = rig.sim.cpus_read_lock();
        let mut mask = CpuMask::new(2).unwrap();
        mask.set(CpuId(0)).unwrap();
        let mut domains = rig.domains.lock();
        let domain = domains.ctrl.get_mut(&(ResourceId::Mb, L3_ID)).unwrap();
        Controls::reset(&*rig.driver, &rig.sim, guard.held(), ResourceId::Mb, domain, &mask);
        assert_eq!(rig.board.msc(0).control(0, 2, Cpbm::OFFSET), Some(0x3));
        assert_eq!(rig.board.msc(0).control(1, 2, MbwMax::OFFSET), Some(0xff00));
        assert_eq!(rig.board.msc(0).error_status(), 0);
    });
}

#[test]
fn every_rmid_index_is_that_of_one_pair() {
    sim::run(|| {
        let rig = Rig::new(&Spec::new(1));
        assert_eq!(rig.driver.num_rmid_index(), 128);
        for index in 0..128 {
            let pair = rig.driver.rmid_decode(resctrl_types::RmidIndex(index));
            assert!(pair.closid.0 < 32 && pair.rmid.0 < 4);
            assert_eq!(rig.driver.rmid_index(pair).0, index);
            let word = Ids::task_word(&*rig.driver, pair);
            assert_eq!(Ids::task_ids(&*rig.driver, word), pair);
            for other in (0..128).map(|index| rig.driver.rmid_decode(resctrl_types::RmidIndex(index))) {
                let like = |places| TaskWords::like(word, places).contain(Ids::task_word(&*rig.driver, other));
                assert_eq!(like(<Driver as Ids>::CLOSID_PLACES), other.closid == pair.closid);
                assert_eq!(like(<Driver as Ids>::RMID_PLACES), other.rmid == pair.rmid);
            }
        }
        assert_eq!(Ids::task_word(&*rig.driver, id(0, 0)), TaskWord(0));
    });
}

pub(super) fn label(rig: &Rig, cpu: u32, instruction: bool) -> Label {
    let user = rig.board.cpu(cpu).label(Level::El0, instruction);
    assert_eq!(rig.board.cpu(cpu).label(Level::El1, instruction), user, "kernel and user space are labelled alike");
    user
}

#[test]
fn a_context_switch_labels_the_cpu_and_writes_only_changes() {
    sim::run(|| {
        let rig = Rig::new(&Spec::new(1));
        let word = Ids::task_word(&*rig.driver, id(5, 2));
        rig.irq(1, |here| rig.driver.sched_in(here, word));
        assert_eq!(label(&rig, 1, true), Label { partid: 5, pmg: 2 });
        assert_eq!(label(&rig, 1, false), Label { partid: 5, pmg: 2 });
        assert_eq!(label(&rig, 0, true), Label::default());
        let writes = rig.board.cpu(1).writes();
        rig.irq(1, |here| rig.driver.sched_in(here, word));
        assert_eq!(rig.board.cpu(1).writes(), writes);
        rig.driver.set_cpu_default(CpuId(1), id(7, 1));
        rig.irq(1, |here| rig.driver.sched_in(here, TaskWord(0)));
        assert_eq!(label(&rig, 1, false), Label { partid: 7, pmg: 1 });
    });
}

#[test]
fn labels_that_the_system_does_not_have_are_never_written() {
    sim::run(|| {
        let rig = Rig::new(&Spec::new(1));
        for bad in [id(32, 0), id(0xffff, 0), id(1, 4)] {
            let word = Ids::task_word(&*rig.driver, bad);
            rig.irq(0, |here| rig.driver.sched_in(here, word));
            assert_eq!(label(&rig, 0, false), Label::default(), "{bad:?}");
        }
    });
}

#[test]
fn a_streaming_unit_is_labelled_too() {
    sim::run(|| {
        let rig = Rig::new(&Spec { cpu: resctrl_hardware::mpam::CpuConfig { streaming: true, ..CPU }, ..Spec::new(1) });
        let word = Ids::task_word(&*rig.driver, id(5, 2));
        rig.irq(0, |here| rig.driver.sched_in(here, word));
        let value = rig.board.cpu(0).read(resctrl_hardware::mpam::SystemRegister::Mpamsm, Level::El1);
        assert_eq!(value, Some(2 << 40 | 5 << 16));
    });
}

#[test]
fn registers_lost_with_power_are_written_again() {
    sim::run(|| {
        let rig = Rig::new(&Spec::new(1));
        let word = Ids::task_word(&*rig.driver, id(5, 2));
        rig.irq(0, |here| rig.driver.sched_in(here, word));
        *rig.board.cpu(0) = resctrl_hardware::mpam::Cpu::new(CPU);
        rig.irq(0, |here| rig.driver.cpu_resumed(here));
        assert_eq!(label(&rig, 0, false), Label { partid: 5, pmg: 2 });
    });
}

#[test]
fn a_late_processor_that_can_make_fewer_labels_stays_offline() {
    sim::run(|| {
        let rig = Rig::new(&Spec::new(1));
        rig.sim.offline(CpuId(1)).unwrap();
        *rig.board.cpu(1) =
            resctrl_hardware::mpam::Cpu::new(resctrl_hardware::mpam::CpuConfig { partid_max: 15, ..CPU });
        assert_eq!(rig.sim.online(CpuId(1)), Err(Errno::EINVAL));
        assert!(!rig.sim.is_online(CpuId(1)));
    });
}

#[test]
fn occupancy_is_the_sum_of_what_all_instances_and_both_partids_hold() {
    sim::run(|| {
        let mut spec = Spec::new(1);
        spec.mscs.insert(1, spec.mscs[0].clone());
        let rig = Rig::new(&spec);
        let hold = |msc: usize, partid, pmg, total| {
            rig.board.msc(msc).set_occupancy(0, partid, pmg, Occupancy { total, dirty: 0 });
        };
        hold(0, 6, 1, 4096);
        hold(1, 6, 1, 100);
        hold(0, 7, 1, 64);
        hold(0, 6, 2, 1 << 20);
        assert_eq!(rig.read(&[0, 1], L3_ID, id(6, 1)), Ok(4196));
        rig.set_cdp(ResourceId::L3, true).unwrap();
        assert_eq!(rig.read(&[0, 1], L3_ID, id(3, 1)), Ok(4260));
        assert_eq!(rig.board.msc(0).error_status(), 0);
    });
}

#[test]
fn b7_a_monitor_that_never_gets_ready_is_unavailable_and_no_number() {
    sim::run(|| {
        let mut spec = Spec::new(1);
        let never = UsageMonitors { not_ready: NotReady::Nanoseconds(u64::MAX), ..cache().usage.unwrap() };
        spec.mscs[0].config.ris[0].usage = Some(never);
        assert_eq!(Rig::new(&spec).read(&[0, 1], L3_ID, id(1, 1)), Err(ReadError::Unavailable));
        // Where that is a known erratum, the count is good after the time-out.
        spec.mscs[0].config.iidr = 0x0000_043b;
        assert!(Rig::new(&spec).read(&[0, 1], L3_ID, id(1, 1)).is_ok());
        let late = UsageMonitors { not_ready: NotReady::Nanoseconds(8_000), ..never };
        spec.mscs[0].config.ris[0].usage = Some(late);
        let rig = Rig::new(&spec);
        rig.board.msc(0).set_occupancy(0, 1, 1, Occupancy { total: 4096, dirty: 0 });
        assert_eq!(rig.read(&[0, 1], L3_ID, id(1, 1)), Ok(4096));
    });
}

#[test]
fn b12_without_a_free_monitor_there_is_no_context_to_read_with() {
    sim::run(|| {
        let rig = Rig::new(&Spec::new(1));
        let take = || Monitors::<SimPlatform>::mon_context(&*rig.driver, ResourceId::L3, EventId::LlcOccupancy);
        let taken = [take().ok(), take().ok(), take().ok(), take().ok()];
        assert!(taken.iter().all(Option::is_some));
        assert_eq!(take().err(), Some(ReadError::Unavailable));
        drop(taken);
        assert!(take().is_ok());
        let bandwidth = Monitors::<SimPlatform>::mon_context(&*rig.driver, ResourceId::L3, EventId::MbmTotal);
        assert_eq!(bandwidth.err(), Some(ReadError::Unavailable));
    });
}

#[test]
fn a_reading_may_sleep_and_so_is_made_in_a_thread_even_where_all_cpus_are_to_be_left_alone() {
    sim::run(|| {
        let rig = Rig::new(&Spec { isolated: &[0, 1], ..Spec::new(1) });
        let before = rig.sim.stats();
        assert_eq!(rig.read(&[0, 1], L3_ID, id(1, 1)), Ok(0));
        let after = rig.sim.stats();
        assert_eq!((after.calls - before.calls, after.interrupts - before.interrupts), (1, 0));
    });
}
