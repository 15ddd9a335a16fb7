// SPDX-License-Identifier: GPL-2.0-only
//! Control values and the registers they end up in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use resctrl_hardware::Machine;
use resctrl_hardware::write_log::Kind;
use resctrl_types::arch::{Cdp, Change, Controls, Ids, Resources, Trust};
use resctrl_types::locked::Key;
use resctrl_types::platform::LogLevel;
use resctrl_types::resource::{Control, ControlKind};
use resctrl_types::sim;
use resctrl_types::{Closid, ConfType, CpuId, CpuMask, DomainCpus, Errno, OnlineCpus, Platform, ResourceId, Result};

use crate::machine::{Rig, amd, amd_sdciae, intel, intel_big, intel_l2, intel_mon_only};

const L3_QOS_CFG: u32 = 0xc81;
const L2_QOS_CFG: u32 = 0xc82;

/// The register of a control index, and what a value looks like in it, by the manual of the vendor.
fn register(amd: bool, resource: ResourceId, index: u32, value: u32) -> (u32, u64) {
    match (resource, amd) {
        (ResourceId::L3, _) => (0xc90 + index, value.into()),
        (ResourceId::L2, _) => (0xd10 + index, value.into()),
        (ResourceId::Mb, true) => (0xc000_0200 + index, value.into()),
        (ResourceId::Smba, true) => (0xc000_0280 + index, value.into()),
        _ => (0xd50 + index, u64::from(100 - value)),
    }
}

fn index(change: &Change) -> u32 {
    match change.conf_type {
        ConfType::Both => change.closid.0,
        ConfType::Data => change.closid.0 * 2,
        ConfType::Code => change.closid.0 * 2 + 1,
    }
}

fn change(closid: u32, conf_type: ConfType, value: u32) -> Change {
    Change { closid: Closid(closid), conf_type, value }
}

/// Some value that the control admits.
fn admitted(control: &Control, seed: u32) -> u32 {
    match control.kind {
        ControlKind::Bandwidth(mb) => mb.min_bw + seed % (mb.max_bw - mb.min_bw + 1),
        ControlKind::Cache(cache) if cache.sparse_masks => (seed & cache.full_mask()).max(1),
        ControlKind::Cache(cache) => {
            let len = seed % cache.cbm_len + 1;
            let start = (seed >> 8) % (cache.cbm_len - len + 1);
            (u32::MAX >> (32 - len)) << start
        }
    }
}

impl Rig {
    pub(crate) fn apply(&self, resource: ResourceId, id: u32, changes: &[Change]) -> Result<()> {
        self.with_cpus(|cpus| {
            let mut domains = self.domains();
            let ctrl = domains.ctrl(resource, id);
            self.arch().apply(
                &self.sim,
                DomainCpus::new(cpus, &ctrl.mask),
                resource,
                &mut ctrl.domain,
                changes,
                Trust::Memory,
            )
        })
    }

    pub(crate) fn value(&self, resource: ResourceId, id: u32, closid: u32, conf_type: ConfType) -> u32 {
        self.arch().control_value(resource, &self.domains().ctrl(resource, id).domain, Closid(closid), conf_type)
    }

    pub(crate) fn set_cdp(&self, resource: ResourceId, enable: bool) -> Result<()> {
        self.with_cpus(|cpus| {
            self.arch().set_cdp(&self.sim, cpus, resource, enable.into())?;
            for (&(of, _), ctrl) in &mut self.domains().ctrl {
                if of == resource {
                    self.arch().program_cdp(&self.sim, cpus, resource, &mut ctrl.domain, &ctrl.mask);
                }
            }
            Ok(())
        })
    }

    fn reset(&self, resource: ResourceId, id: u32) {
        self.with_cpus(|cpus| {
            let mut domains = self.domains();
            let ctrl = domains.ctrl(resource, id);
            self.arch().reset(&self.sim, cpus, resource, &mut ctrl.domain, &ctrl.mask);
        });
    }

    fn first_cpu(&self, resource: ResourceId, id: u32) -> u32 {
        self.domains().ctrl(resource, id).mask.first().unwrap().0
    }

    /// The registers written since a position, with what was written.
    fn written(&self, since: u64) -> Vec<(u32, u64)> {
        self.board.rdt.writes_since(since).into_iter().map(|write| (write.address, write.value)).collect()
    }
}

fn controlled_machines() -> [fn() -> Machine; 5] {
    [intel, intel_l2, intel_big, amd, amd_sdciae]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn only_what_changes_is_written_and_every_value_arrives(
        machine in 0..controlled_machines().len(),
        cdp in any::<bool>(),
        rounds in prop::collection::vec(
            (any::<u32>(), any::<u32>(), prop::collection::btree_map((0..64_u32, any::<bool>()), any::<u32>(), 0..6)),
            1..12,
        ),
    ) {
        let machine = controlled_machines()[machine];
        sim::run(move || {
            let machine = machine();
            let amd = machine.qos.is_some();
            let rig = Rig::boot(&machine);
            let mut programmed = BTreeMap::new();
            if cdp {
                for resource in rig.controlled() {
                    let capable = rig.arch().control(resource).unwrap().cdp_capable;
                    assert_eq!(rig.set_cdp(resource, true).is_ok(), capable);
                }
            }
            let keys: Vec<_> = rig.domains().ctrl.keys().copied().collect();
            for (which, few, values) in &rounds {
                let (resource, id) = keys[*which as usize % keys.len()];
                let control = rig.arch().control(resource).unwrap();
                let halves = rig.arch().cdp_enabled(resource);
                let closids = control.num_closid / if halves { 2 } else { 1 };
                let changes: BTreeMap<u32, Change> = values
                    .iter()
                    .map(|(&(closid, data), &seed)| {
                        let conf_type = match (halves, data) {
                            (false, _) => ConfType::Both,
                            (true, true) => ConfType::Data,
                            (true, false) => ConfType::Code,
                        };
                        // Few different values, so that some are there already.
                        change(closid % closids, conf_type, admitted(&control, seed % (few % 64 + 1)))
                    })
                    .map(|change| (index(&change), change))
                    .collect();
                let expected: BTreeSet<_> = changes
                    .iter()
                    .filter(|(index, change)| {
                        let before = programmed.insert((resource, id, **index), change.value);
                        before.unwrap_or(control.default_value()) != change.value
                    })
                    .map(|(&index, change)| register(amd, resource, index, change.value))
                    .collect();
                let since = rig.board.rdt.next_write();
                rig.apply(resource, id, &changes.values().copied().collect::<Vec<_>>()).unwrap();
                let written = rig.written(since);
                assert_eq!(written.len(), expected.len(), "each register once");
                assert_eq!(written.into_iter().collect::<BTreeSet<_>>(), expected);
                for (&index, change) in &changes {
                    let (msr, raw) = register(amd, resource, index, change.value);
                    assert_eq!(rig.msr(rig.first_cpu(resource, id), msr), raw);
                    assert_eq!(rig.value(resource, id, change.closid.0, change.conf_type), change.value);
                }
            }
            assert_eq!(rig.refused(), 0);
            rig.halt();
        });
    }

    #[test]
    fn what_the_hardware_would_refuse_is_refused_before_it(
        machine in 0..controlled_machines().len(), which in any::<u32>(), closid in any::<u32>(), value in any::<u32>(),
        narrow in any::<bool>(),
    ) {
        let machine = controlled_machines()[machine];
        sim::run(move || {
            let rig = Rig::boot(&machine());
            let keys: Vec<_> = rig.domains().ctrl.keys().copied().collect();
            let (resource, id) = keys[which as usize % keys.len()];
            let control = rig.arch().control(resource).unwrap();
            let closid = if narrow { closid % control.num_closid } else { closid };
            let value = if narrow { value & (control.default_value() << 1 | 1) } else { value };
            let since = rig.board.rdt.next_write();
            // Another change that is good must not go through beside a bad one.
            let good = change(0, ConfType::Both, admitted(&control, 1));
            let result = rig.apply(resource, id, &[good, change(closid, ConfType::Both, value)]);
            match result {
                Ok(()) => assert_eq!(rig.value(resource, id, closid, ConfType::Both), value),
                Err(error) => {
                    assert_eq!(error, Errno::EINVAL);
                    assert_eq!(rig.written(since), []);
                }
            }
            assert_eq!(rig.refused(), 0);
            rig.halt();
        });
    }
}

#[test]
fn admitted_values_are_not_refused_and_their_neighbours_are() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        for (resource, value, good) in [
            (ResourceId::L3, 0x001, true),
            (ResourceId::L3, 0xfff, true),
            (ResourceId::L3, 0x1000, false),
            (ResourceId::L3, 0x000, false),
            (ResourceId::L3, 0x005, false),
            (ResourceId::Mb, 10, true),
            (ResourceId::Mb, 9, false),
            (ResourceId::Mb, 100, true),
            (ResourceId::Mb, 101, false),
        ] {
            let result = rig.apply(resource, 0, &[change(1, ConfType::Both, value)]);
            assert_eq!(result, if good { Ok(()) } else { Err(Errno::EINVAL) }, "{resource:?} {value:#x}");
        }
        let last = change(15, ConfType::Both, 1);
        assert_eq!(rig.apply(ResourceId::L3, 0, &[last]), Ok(()));
        let too_high = change(16, ConfType::Both, 1);
        assert_eq!(rig.apply(ResourceId::L3, 0, &[too_high]), Err(Errno::EINVAL));
        let two = [change(2, ConfType::Both, 1), too_high];
        assert_eq!(rig.apply(ResourceId::L3, 0, &two), Err(Errno::EINVAL));
        assert_eq!(
            rig.value(ResourceId::L3, 0, 2, ConfType::Both),
            0xfff,
            "of changes that are not all good none is made"
        );
        assert_eq!(rig.refused(), 0);
        rig.halt();
    });
}

#[test]
fn when_nothing_changes_no_cpu_is_bothered() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        let none = CpuMask::new(4).unwrap();
        rig.with_cpus(|cpus| {
            let cpus = DomainCpus::new(cpus, &none);
            let mut domains = rig.domains();
            let domain = &mut domains.ctrl(ResourceId::L3, 1).domain;
            let same = [change(1, ConfType::Both, 0xfff), change(3, ConfType::Both, 0xfff)];
            // With no CPU to go to, going to one fails.
            assert_eq!(rig.arch().apply(&rig.sim, cpus, ResourceId::L3, domain, &same, Trust::Memory), Ok(()));
            assert_eq!(rig.arch().apply(&rig.sim, cpus, ResourceId::L3, domain, &[], Trust::Memory), Ok(()));
            let other = [change(1, ConfType::Both, 0x00f)];
            let again = rig.arch().apply(&rig.sim, cpus, ResourceId::L3, domain, &same, Trust::Registers);
            assert_eq!(again, Err(Errno::ENODEV), "only the registers can tell");
            assert_eq!(
                rig.arch().apply(&rig.sim, cpus, ResourceId::L3, domain, &other, Trust::Memory),
                Err(Errno::ENODEV)
            );
        });
        assert_eq!(rig.value(ResourceId::L3, 1, 1, ConfType::Both), 0xfff);
        rig.halt();
    });
}

#[test]
fn a_change_reaches_its_own_domain_only() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        rig.apply(ResourceId::L3, 1, &[change(2, ConfType::Both, 0x03c)]).unwrap();
        rig.apply(ResourceId::Mb, 1, &[change(2, ConfType::Both, 40)]).unwrap();
        assert_eq!((rig.msr(0, 0xc92), rig.msr(2, 0xc92), rig.msr(3, 0xc92)), (0xfff, 0x03c, 0x03c));
        assert_eq!((rig.msr(0, 0xd52), rig.msr(2, 0xd52)), (0, 60));
        rig.halt();
    });
}

#[test]
fn the_bandwidth_controller_writes_from_where_it_is() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        let since = rig.board.rdt.next_write();
        let before = rig.sim.stats();
        for value in [50, 50, 60] {
            rig.on(3, |here| {
                let key = Key::new();
                // Nobody says of any CPU that it stays: none can be called.
                let online = OnlineCpus::new(&key, rig.sim.nr_cpu_ids()).unwrap();
                let mut domains = rig.domains();
                let ctrl = domains.ctrl(ResourceId::Mb, 1);
                let cpus = DomainCpus::new(online.stay(key.held()), &ctrl.mask).from_here(here);
                let mut apply = |value| {
                    let change = [change(1, ConfType::Both, value)];
                    rig.arch().apply(&rig.sim, cpus, ResourceId::Mb, &mut ctrl.domain, &change, Trust::Memory)
                };
                apply(value).unwrap();
                assert_eq!(apply(5), Err(Errno::EINVAL));
            });
        }
        assert_eq!(rig.written(since), [(0xd51, 50), (0xd51, 40)]);
        let after = rig.sim.stats();
        assert_eq!(
            (after.calls - before.calls, after.interrupts - before.interrupts),
            (3, 0),
            "those of the test alone"
        );
        rig.halt();
    });
}

#[test]
fn a_domain_that_comes_back_has_its_defaults_whatever_the_registers_held() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        rig.apply(ResourceId::L3, 1, &[change(5, ConfType::Both, 0x00f)]).unwrap();
        rig.apply(ResourceId::Mb, 1, &[change(7, ConfType::Both, 10)]).unwrap();
        rig.sim.offline(CpuId(2)).unwrap();
        assert_eq!(rig.value(ResourceId::L3, 1, 5, ConfType::Both), 0x00f, "the domain still has a CPU");
        rig.sim.offline(CpuId(3)).unwrap();
        assert_eq!(rig.msr(3, 0xc95), 0x00f);
        rig.sim.online(CpuId(3)).unwrap();
        assert_eq!(rig.value(ResourceId::L3, 1, 5, ConfType::Both), 0xfff);
        for closid in 0..16 {
            assert_eq!(rig.msr(3, 0xc90 + closid), 0xfff);
        }
        for closid in 0..8 {
            assert_eq!(rig.msr(3, 0xd50 + closid), 0);
        }
        assert_eq!(rig.refused(), 0);
        rig.halt();
    });
}

#[test]
fn a_reset_writes_what_is_not_the_default_and_goes_nowhere_for_nothing() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        rig.apply(ResourceId::L3, 0, &[change(1, ConfType::Both, 0x00f)]).unwrap();
        let before = (rig.board.rdt.writes(Kind::L3Mask), rig.sim.stats().interrupts);
        for _ in 0..2 {
            rig.reset(ResourceId::L3, 0);
            assert_eq!((rig.board.rdt.writes(Kind::L3Mask), rig.sim.stats().interrupts), (before.0 + 1, before.1 + 1));
        }
        assert!((0..16).all(|closid| rig.msr(0, 0xc90 + closid) == 0xfff));
        assert_eq!(rig.value(ResourceId::L3, 0, 1, ConfType::Both), 0xfff);
        rig.halt();
    });
}

#[test]
fn code_and_data_are_told_apart_in_every_domain_and_again_in_new_ones() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        assert!(!rig.arch().cdp_enabled(ResourceId::L3));
        let before = rig.board.rdt.writes(Kind::Config);
        rig.set_cdp(ResourceId::L3, true).unwrap();
        assert!(rig.arch().cdp_enabled(ResourceId::L3));
        assert_eq!(rig.board.rdt.writes(Kind::Config) - before, 2, "one CPU of each domain");
        assert_eq!((rig.msr(0, L3_QOS_CFG), rig.msr(2, L3_QOS_CFG)), (1, 1));

        rig.apply(ResourceId::L3, 1, &[change(3, ConfType::Code, 0x0f0), change(3, ConfType::Data, 0x00f)]).unwrap();
        assert_eq!((rig.msr(2, 0xc96), rig.msr(2, 0xc97)), (0x00f, 0x0f0));

        rig.sim.offline(CpuId(2)).unwrap();
        rig.sim.offline(CpuId(3)).unwrap();
        rig.board.rdt.wrmsr(2, L3_QOS_CFG, 0, 0).unwrap();
        rig.sim.online(CpuId(2)).unwrap();
        assert_eq!(rig.msr(2, L3_QOS_CFG), 1);
        assert_eq!(rig.value(ResourceId::L3, 1, 3, ConfType::Code), 0xfff);

        rig.set_cdp(ResourceId::L3, false).unwrap();
        assert_eq!((rig.msr(0, L3_QOS_CFG), rig.msr(2, L3_QOS_CFG)), (0, 0));
        assert_eq!(rig.refused(), 0);
        rig.halt();
    });
}

#[test]
fn code_and_data_are_told_apart_in_one_cache_without_the_other() {
    sim::run(|| {
        let rig = Rig::boot(&intel_l2());
        rig.set_cdp(ResourceId::L2, true).unwrap();
        assert!(rig.arch().cdp_enabled(ResourceId::L2) && !rig.arch().cdp_enabled(ResourceId::L3));
        assert_eq!((rig.msr(0, L2_QOS_CFG), rig.msr(2, L2_QOS_CFG)), (1, 1));
        // The L3 of this machine cannot, bandwidth nowhere can; turning off what is off is no error.
        for resource in [ResourceId::L3, ResourceId::Mb, ResourceId::PerfPkg] {
            assert_eq!(rig.set_cdp(resource, true), Err(Errno::EINVAL));
            assert_eq!(rig.set_cdp(resource, false), Ok(()));
            assert!(!rig.arch().cdp_enabled(resource));
        }
        assert_eq!(rig.refused(), 0);
        rig.halt();
    });
}

#[test]
fn a_machine_without_allocation_refuses_changes() {
    sim::run(|| {
        let rig = Rig::boot(&intel_mon_only());
        assert!(rig.domains().ctrl.is_empty());
        assert_eq!(rig.set_cdp(ResourceId::L3, true), Err(Errno::EINVAL));
        assert_eq!(rig.board.rdt.writes(Kind::L3Mask) + rig.board.rdt.writes(Kind::Config), 0);
        rig.halt();
    });
}

#[test]
fn a_register_that_refuses_is_told_once_and_its_value_not_believed() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        rig.board.refusing.store(0xc92, Ordering::Relaxed);
        let changes =
            [change(1, ConfType::Both, 0x00f), change(2, ConfType::Both, 0x00f), change(3, ConfType::Both, 0x00f)];
        for _ in 0..3 {
            assert_eq!(rig.apply(ResourceId::L3, 1, &changes), Err(Errno::EIO));
        }
        let values = [1, 2, 3].map(|closid| rig.value(ResourceId::L3, 1, closid, ConfType::Both));
        assert_eq!(values, [0x00f, 0xfff, 0x00f]);
        rig.board.refusing.store(0, Ordering::Relaxed);
        assert_eq!(rig.apply(ResourceId::L3, 1, &changes), Ok(()));
        assert_eq!(
            rig.sim.log_lines_at(LogLevel::Warn),
            ["resctrl: CPU 2 refused to write MSR 0xc92; control or monitoring does not work as shown"]
        );
        rig.halt();
    });
}
