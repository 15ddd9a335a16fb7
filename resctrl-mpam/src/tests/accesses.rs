// SPDX-License-Identifier: GPL-2.0-only
//! How often registers of MSCs are read and written: never for what they are known to hold, and all of them again from the
//! moment when that is not known.

use std::string::String;
use std::vec::Vec;

use resctrl_fs::MountOptions;
use resctrl_hardware::mpam::firmware::Locator;
use resctrl_hardware::mpam::registers::{Cpbm, MbwMax};
use resctrl_hardware::mpam::{BandwidthControls, CounterWidth, Request, RisConfig};
use resctrl_types::arch::{Change, Controls, Trust};
use resctrl_types::platform::{CpusReadGuard, Mutex as _};
use resctrl_types::{ConfType, CpuId, CpuMask, Errno, Platform, ResourceId, sim};

use super::board::{L3_ID, MscSpec, Rig, Spec, cache, counters, memory};
use super::file_system::{Fs, Machine, PLAIN};
use super::resctrl::change;
use crate::devices::{Config, Managed};

/// Level 3 caches, each with an MSC of one instance that does everything.
fn complete(caches: u32) -> Spec {
    let bandwidth = BandwidthControls { bits: 8, max: true, ..BandwidthControls::default() };
    let instance = RisConfig { bandwidth: Some(bandwidth), traffic: Some(counters(CounterWidth::Bits44)), ..cache() };
    let mscs = (0..caches).map(|l3| MscSpec::one(instance.clone(), Locator::Cache(L3_ID + l3))).collect();
    Spec { mscs, ..Spec::new(caches) }
}

/// Reads and writes of MSCs, and crossings to other CPUs, of what `f` does.
fn cost(rig: &Rig, f: impl FnOnce()) -> (u64, u64, usize) {
    let count = || (rig.board.accesses(), rig.sim.stats().calls);
    let ((reads, writes), calls) = count();
    f();
    let after = count();
    (after.0.0 - reads, after.0.1 - writes, after.1 - calls)
}

/// The same without the crossings, of a mounted file system.
fn cost_of(machine: &Machine, f: impl FnOnce()) -> (u64, u64) {
    let (reads, writes) = machine.board.accesses();
    f();
    let after = machine.board.accesses();
    (after.0 - reads, after.1 - writes)
}

fn held(rig: &Rig, msc: usize, partid: u16) -> (Option<u32>, Option<u32>) {
    let msc = rig.board.msc(msc);
    (msc.control(0, partid, Cpbm::OFFSET), msc.control(0, partid, MbwMax::OFFSET))
}

fn reset(rig: &Rig, resource: ResourceId, domain: u32) {
    let guard = rig.sim.cpus_read_lock();
    let mut mask = CpuMask::new(rig.sim.nr_cpu_ids()).unwrap();
    mask.set(CpuId(0)).unwrap();
    let mut domains = rig.domains.lock();
    let domain = domains.ctrl.get_mut(&(resource, domain)).unwrap();
    Controls::reset(&*rig.driver, &rig.sim, guard.held(), resource, domain, &mask);
}

const fn both(closid: u32, value: u32) -> [Change; 1] {
    [change(closid, ConfType::Both, value)]
}

#[test]
fn a_change_writes_the_register_that_changes() {
    sim::run(|| {
        let rig = Rig::new(&complete(1));
        for trust in [Trust::Memory, Trust::Registers] {
            let masks = if trust == Trust::Memory { [0xf, 0xf0] } else { [0xff, 0xf00] };
            let apply = |resource, value| rig.apply_trusting(resource, L3_ID, &both(5, value), trust).unwrap();
            // The selector, and what is changed.
            assert_eq!(cost(&rig, || apply(ResourceId::L3, masks[0])), (0, 2, 1));
            assert_eq!(cost(&rig, || apply(ResourceId::Mb, masks[0] % 100)), (0, 2, 1));
            assert_eq!(cost(&rig, || apply(ResourceId::L3, masks[1])), (0, 2, 1));
            // The same again: nothing, or a look at the one register.
            let same = if trust == Trust::Memory { (0, 0, 0) } else { (1, 1, 1) };
            assert_eq!(cost(&rig, || apply(ResourceId::L3, masks[1])), same);
            assert_eq!(cost(&rig, || apply(ResourceId::Mb, masks[0] % 100)), same);
        }
        assert_eq!(held(&rig, 0, 5), (Some(0xf00), Some(0x8c00)));
        assert_eq!(rig.board.msc(0).error_status(), 0);
    });
}

/// What programming PARTID 5 costs in reads and writes, on the one MSC of a machine whose level 3 cache is this.
fn programming(spec: &Spec, changes: &[(Config, Managed, Trust)]) -> Vec<(u64, u64)> {
    let rig = Rig::new(spec);
    let devices = rig.driver.devices();
    let vmsc = devices.classes[0].components[0].vmscs().next().unwrap();
    let mut program = |&(config, value, trust): &(Config, Managed, Trust)| {
        let cost = cost(&rig, || {
            rig.on(0, |here| devices.program(here.into(), vmsc, [(5, config)].into_iter(), (value, trust))).unwrap();
        });
        assert_eq!(rig.board.msc(0).error_status(), 0);
        (cost.0, cost.1)
    };
    changes.iter().map(&mut program).collect()
}

#[test]
fn portions_of_bandwidth_are_written_when_they_change_and_only_then() {
    sim::run(|| {
        let mut spec = complete(1);
        let bandwidth = &mut spec.mscs[0].config.ris[0].bandwidth;
        *bandwidth = bandwidth.map(|bandwidth| BandwidthControls { portion_bits: 12, ..bandwidth });
        let with = |cpbm, mbw_pbm| (Config { cpbm, mbw_pbm, ..Config::OPEN }, Managed::CachePortions, Trust::Memory);
        let changes = [with(0xf, u32::MAX), with(0xf, 0xff), with(0xf0, 0xff), with(0xf0, 0xff), with(0xf, 0xfff)];
        // The selector and each control that changes.
        assert_eq!(programming(&spec, &changes), [(0, 2), (0, 2), (0, 2), (0, 0), (0, 3)]);
    });
}

#[test]
fn a_control_that_is_not_managed_is_not_looked_at() {
    for portions in [0, 33, 40] {
        sim::run(move || {
            let mut spec = complete(1);
            spec.mscs[0].config.ris[0].cpor_bits = portions;
            let looked = (Config { cpbm: 0xf, ..Config::OPEN }, Managed::CachePortions, Trust::Registers);
            assert_eq!(programming(&spec, &[looked, looked]), [(0, 0), (0, 0)], "{portions} portions");
        });
    }
}

#[test]
fn a_narrowing_component_is_not_written_the_same_value_again() {
    sim::run(|| {
        let mut spec = complete(1);
        spec.mscs[0].config.ris[0].narrowing = Some(31);
        let rig = Rig::new(&spec);
        let apply = |value| rig.apply_trusting(ResourceId::L3, L3_ID, &both(5, value), Trust::Registers).unwrap();
        apply(0xf);
        // Looks at the mapping and at the register behind it; two writes select them.
        assert_eq!(cost(&rig, || apply(0xf)), (2, 2, 1));
        assert_eq!(held(&rig, 0, 5).0, Some(0xf));
        assert_eq!(rig.board.msc(0).error_status(), 0);
    });
}

#[test]
fn a_register_that_has_lost_its_value_is_written_with_all_of_its_partid() {
    sim::run(|| {
        let mut spec = complete(1);
        spec.mscs[0].config.ris[0].narrowing = Some(31);
        let rig = Rig::new(&spec);
        rig.apply(ResourceId::L3, L3_ID, &both(5, 0xf)).unwrap();
        rig.apply(ResourceId::Mb, L3_ID, &both(5, 50)).unwrap();
        rig.board.msc(0).power_off();
        rig.board.msc(0).power_on();
        // Whoever trusts memory cannot know.
        assert_eq!(cost(&rig, || rig.apply(ResourceId::L3, L3_ID, &both(5, 0xf)).unwrap()), (0, 0, 0));
        rig.apply_trusting(ResourceId::L3, L3_ID, &both(5, 0xf), Trust::Registers).unwrap();
        assert_eq!(held(&rig, 0, 5), (Some(0xf), Some(0x7f00)));
        assert_eq!(rig.board.msc(0).error_status(), 0);
    });
}

#[test]
fn who_trusts_registers_asks_the_one_that_is_changed() {
    sim::run(|| {
        let rig = Rig::new(&complete(1));
        for (resource, offset, value) in [(ResourceId::L3, Cpbm::OFFSET, 0xf), (ResourceId::Mb, MbwMax::OFFSET, 50)] {
            let apply = || rig.apply_trusting(resource, L3_ID, &both(5, value), Trust::Registers).unwrap();
            let held = || rig.board.msc(0).control(0, 5, offset);
            apply();
            let programmed = held();
            // Somebody else has written to it.
            assert!(rig.board.msc(0).set_control(0, 5, offset, 0x100));
            assert_ne!(held(), programmed);
            apply();
            assert_eq!(held(), programmed, "{resource:?}");
        }
    });
}

#[test]
fn a_reset_writes_what_is_restricted() {
    sim::run(|| {
        let rig = Rig::new(&complete(2));
        let reset_all = || {
            for domain in [L3_ID, L3_ID + 1] {
                [ResourceId::L3, ResourceId::Mb].into_iter().for_each(|resource| reset(&rig, resource, domain));
            }
        };
        assert_eq!(cost(&rig, reset_all), (0, 0, 0));
        rig.apply(ResourceId::L3, L3_ID, &[change(5, ConfType::Both, 1), change(6, ConfType::Both, 2)]).unwrap();
        rig.apply(ResourceId::Mb, L3_ID, &both(6, 10)).unwrap();
        rig.apply(ResourceId::Mb, L3_ID + 1, &both(31, 10)).unwrap();
        assert_eq!(cost(&rig, reset_all), (0, 4 + 2 + 2, 3));
        for msc in [0, 1] {
            assert!((0..32).all(|partid| held(&rig, msc, partid) == (Some(0xffff), Some(0xff00))));
        }
        assert_eq!(cost(&rig, reset_all), (0, 0, 0));
    });
}

#[test]
fn what_was_programmed_in_part_is_not_taken_for_what_memory_says() {
    sim::run(|| {
        // Two parts of a cache: the first takes the value, the second is in use by somebody else.
        let mut spec = complete(1);
        spec.mscs.push(spec.mscs[0].clone());
        let rig = Rig::new(&spec);
        let held = || [0, 1].map(|msc| held(&rig, msc, 5).0);
        rig.apply(ResourceId::L3, L3_ID, &both(5, 0xf)).unwrap();
        rig.on(1, |here| {
            let devices = rig.driver.devices();
            let busy = devices.mscs[1].access(here.into()).unwrap();
            let component = &devices.classes[0].components[0];
            let how = (Managed::CachePortions, Trust::Memory);
            let config = Config { cpbm: 0xf0, ..component.configs.get(5).unwrap() };
            let programmed =
                component.vmscs().map(|vmsc| devices.program(here.into(), vmsc, [(5, config)].into_iter(), how));
            assert!(programmed.eq([Ok(()), Err(Errno::EBUSY)]));
            drop(busy);
        });
        assert_eq!((held(), rig.value(ResourceId::L3, L3_ID, 5, ConfType::Both)), ([Some(0xf0), Some(0xf)], 0xf));
        rig.apply(ResourceId::L3, L3_ID, &both(5, 0xf)).unwrap();
        assert_eq!(held(), [Some(0xf), Some(0xf)]);
    });
}

#[test]
fn what_may_have_lost_its_power_is_programmed_in_full() {
    for slept in [false, true] {
        sim::run(move || {
            let mut spec = complete(2);
            spec.mscs[1].cluster = Some(1);
            let rig = Rig::new(&spec);
            rig.apply(ResourceId::L3, L3_ID + 1, &both(5, 0xf)).unwrap();
            let devices = rig.driver.devices();
            // The last CPU: what is restricted is opened, and nothing else is touched.
            rig.on(2, |here| devices.cpu_offline(here));
            let gone = cost(&rig, || {
                rig.on(3, |here| if slept { devices.cpu_suspend(here.into()) } else { devices.cpu_offline(here) });
            });
            assert_eq!((gone.0, gone.1), (0, if slept { 1 } else { 1 + 2 }), "the interrupt is one of them");
            // It is still there, but nobody can know: the selector and both controls of every PARTID, and the interrupt.
            let back = cost(&rig, || rig.on(3, |here| devices.cpu_online(here.into(), crate::devices::Reached::Used)));
            assert_eq!((back.0, back.1), (0, 32 * 3 + 1));
            assert_eq!(held(&rig, 1, 5), (Some(0xf), Some(0xff00)));
        });
    }
}

#[test]
fn after_a_failure_nothing_is_taken_for_open() {
    sim::run(|| {
        let rig = Rig::new(&complete(1));
        // It has forgotten what nobody changed.
        rig.board.msc(0).power_off();
        rig.board.msc(0).power_on();
        assert_ne!(held(&rig, 0, 9), (Some(0xffff), Some(0xff00)));
        let guard = rig.sim.cpus_read_lock();
        resctrl_types::arch::Cpus::shut_down(&*rig.driver, &rig.sim, guard.held());
        assert!((0..32).all(|partid| held(&rig, 0, partid) == (Some(0xffff), Some(0xff00))));
    });
}

#[test]
fn instances_of_one_class_that_differ_are_open_where_the_class_is_not_managed() {
    sim::run(|| {
        let mut spec = Spec::new(2);
        // Portions of different number, and a limit that one has: the class has neither.
        spec.mscs[1].config.ris[0].cpor_bits = 8;
        spec.mscs[0].config.ris[0].bandwidth = memory(8).bandwidth;
        let rig = Rig::new(&spec);
        assert!(resctrl_types::arch::Resources::control(&*rig.driver, ResourceId::L3).is_none());
        assert_eq!(held(&rig, 0, 3), (Some(0xffff), Some(0xff00)));
        assert_eq!(held(&rig, 1, 3).0, Some(0xff));
    });
}

#[test]
fn counters_begin_without_a_reading_and_end_without_an_access() {
    sim::run(|| {
        let machine = Machine::boot(&complete(2));
        let file = "p0/mbm_L3_assignments";
        let total = || machine.read("p0/mon_data/mon_L3_768/mbm_total_bytes").unwrap();
        let send = |bytes| machine.board.msc(0).request(0, Request { partid: 1, pmg: 0, bytes, write: false });
        // In each domain: selector, filter, control twice, both halves of the counter.
        const BEGIN: (u64, u64) = (0, 6);
        const EACH: (u64, u64) = (0, 2 * BEGIN.1);
        assert_eq!(cost_of(&machine, || Fs::mount(&machine.fs, &PLAIN).unwrap()), EACH);
        assert_eq!(cost_of(&machine, || machine.mkdir("", "p0").unwrap()), EACH);
        send(1000);
        // Selector, control, filter, and the counter: upper, lower, upper half.
        assert_eq!(cost_of(&machine, || assert_eq!(total(), "1000\n")), (5, 1));
        assert_eq!(cost_of(&machine, || machine.write(file, "mbm_total_bytes:768=_\n").unwrap()), (0, 0));
        send(200);
        assert_eq!(cost_of(&machine, || assert_eq!(total(), "Unassigned\n")), (0, 0));
        assert_eq!(cost_of(&machine, || machine.write(file, "mbm_total_bytes:768=e\n").unwrap()), BEGIN);
        assert_eq!(total(), "0\n", "what it counted for nobody is forgotten");
        send(7);
        assert_eq!(total(), "7\n");
        assert_eq!(cost_of(&machine, || machine.rmdir("p0").unwrap()), (0, 0));
        assert_eq!(cost_of(&machine, || Fs::unmount(&machine.fs)), (0, 0));
        machine.sim.advance(2000);
        machine.finish();
    });
}

#[test]
fn an_unmount_writes_what_was_restricted() {
    sim::run(|| {
        let machine = Machine::mounted(&complete(2), &MountOptions { debug: true, ..PLAIN });
        machine.mkdir("", "p0").unwrap();
        machine.write("p0/schemata", "L3:768=f\nMB:768=10;769=20\n").unwrap();
        machine.write("schemata", "L3:769=f\n").unwrap();
        assert_eq!(cost_of(&machine, || Fs::unmount(&machine.fs)), (0, 2 * 4));
        for msc in [0, 1] {
            let msc = machine.board.msc(msc);
            assert!((0..32).all(|partid| msc.control(0, partid, Cpbm::OFFSET) == Some(0xffff)));
            assert!((0..32).all(|partid| msc.control(0, partid, MbwMax::OFFSET) == Some(0xff00)));
        }
        Fs::mount(&machine.fs, &PLAIN).unwrap();
        let schemata: String = machine.read("schemata").unwrap();
        assert!(schemata.contains("MB:768=100;769=100") && schemata.contains("L3:768=ffff;769=ffff"), "{schemata}");
        machine.sim.advance(2000);
        machine.finish();
    });
}
