// SPDX-License-Identifier: GPL-2.0-only
//! CPUs that come and go, power that goes with them, and the end of it all.

use std::sync::{Arc, Mutex};
use std::vec::Vec;

use resctrl_hardware::mpam::registers::{Cpbm, Ecr, Esr, MbwMax};
use resctrl_hardware::mpam::{Label, Level, Request};
use resctrl_types::arch::{Cpus, Ids, ReadError, Resources};
use resctrl_types::platform::{CpusReadGuard, Mutex as _};
use resctrl_types::sim::TaskSpec;
use resctrl_types::{ConfType, CpuId, Errno, Platform, Ref, ResourceId, TaskWord, sim};

use crate::devices::Reached;

use super::board::{L3_ID, MscSpec, Rig, Spec};
use super::resctrl::{change, id};

#[test]
fn an_msc_without_cpus_is_reset_and_comes_back_as_it_was() {
    sim::run(|| {
        let mut spec = Spec::new(2);
        spec.mscs[1].cluster = Some(1);
        let rig = Rig::new(&spec);
        rig.apply(ResourceId::L3, L3_ID + 1, &[change(5, ConfType::Both, 0x3)]).unwrap();
        rig.sim.offline(CpuId(2)).unwrap();
        assert_eq!(rig.board.msc(1).control(0, 5, Cpbm::OFFSET), Some(0x3));
        rig.sim.offline(CpuId(3)).unwrap();
        assert_eq!(rig.board.msc(1).control(0, 5, Cpbm::OFFSET), Some(0xffff));
        assert!(!rig.domains.lock().ctrl.contains_key(&(ResourceId::L3, L3_ID + 1)));
        rig.board.msc(1).power_off();
        rig.board.msc(1).power_on();
        rig.sim.online(CpuId(3)).unwrap();
        // Every PARTID, which the power loss has closed.
        assert_eq!(rig.board.msc(1).control(0, 5, Cpbm::OFFSET), Some(0x3));
        assert_eq!(rig.board.msc(1).control(0, 31, Cpbm::OFFSET), Some(0xffff));
        assert_eq!(rig.value(ResourceId::L3, L3_ID + 1, 5, ConfType::Both), 0x3);
        assert_eq!(rig.board.msc(1).accesses_unpowered(), 0);
    });
}

#[test]
fn an_msc_that_comes_back_is_programmed_from_memory() {
    sim::run(|| {
        let mut spec = Spec::new(2);
        // A slice of the first level 3 cache that only its own CPUs can reach, beside one that all can.
        spec.mscs.push(MscSpec { cluster: Some(0), ..spec.mscs[0].clone() });
        let rig = Rig::new(&spec);
        rig.apply(ResourceId::L3, L3_ID, &[change(5, ConfType::Both, 0x3)]).unwrap();
        assert_eq!(rig.board.msc(3).control(0, 5, Cpbm::OFFSET), Some(0x3));
        rig.sim.offline(CpuId(1)).unwrap();
        let devices = rig.driver.devices();
        rig.on(0, |here| devices.cpu_offline(here));
        rig.board.msc(3).power_off();
        rig.board.msc(3).power_on();
        assert_eq!(rig.board.msc(3).control(0, 5, Cpbm::OFFSET), Some(0));
        rig.on(0, |here| devices.cpu_online(here.into(), Reached::Used));
        assert_eq!(rig.board.msc(3).control(0, 5, Cpbm::OFFSET), Some(0x3));
        assert_eq!(rig.board.msc(3).accesses_unpowered(), 0);
    });
}

#[test]
fn what_nobody_can_reach_now_is_programmed_when_somebody_can() {
    sim::run(|| {
        let mut spec = Spec::new(2);
        // A slice of the first level 3 cache that only the other one's CPUs can reach.
        spec.mscs.push(MscSpec { cluster: Some(1), ..spec.mscs[0].clone() });
        let rig = Rig::new(&spec);
        rig.sim.offline(CpuId(2)).unwrap();
        rig.sim.offline(CpuId(3)).unwrap();
        rig.apply(ResourceId::L3, L3_ID, &[change(5, ConfType::Both, 0x3)]).unwrap();
        assert_eq!(rig.board.msc(0).control(0, 5, Cpbm::OFFSET), Some(0x3));
        assert_eq!(rig.board.msc(3).control(0, 5, Cpbm::OFFSET), Some(0xffff));
        rig.sim.online(CpuId(3)).unwrap();
        assert_eq!(rig.board.msc(3).control(0, 5, Cpbm::OFFSET), Some(0x3));
    });
}

#[test]
fn b11_a_component_with_two_halves_is_freed_by_neither_while_bandwidth_is_hidden() {
    sim::run(|| {
        let rig = Rig::new(&Spec::new(1));
        let count = |rig: &Rig| Ref::count(&rig.driver.devices().classes[0].components[0]);
        let memory = |rig: &Rig| Ref::count(&rig.driver.devices().classes[1].components[0]);
        // The driver's list, the control half and the monitor half; the list and the bandwidth half.
        assert_eq!((count(&rig), memory(&rig)), (3, 2));
        rig.set_cdp(ResourceId::L3, true).unwrap();
        assert!(rig.driver.control(ResourceId::Mb).is_none());
        rig.sim.offline(CpuId(1)).unwrap();
        assert_eq!((count(&rig), memory(&rig)), (3, 2), "a CPU that leaves others behind frees nothing");
        rig.sim.online(CpuId(1)).unwrap();
        rig.set_cdp(ResourceId::L3, false).unwrap();
        // The hidden half is as it was, and still works.
        rig.apply(ResourceId::Mb, L3_ID, &[change(2, ConfType::Both, 50)]).unwrap();
        assert_eq!(rig.board.msc(1).control(0, 2, MbwMax::OFFSET), Some(0x7f00));
        rig.domains.lock().ctrl.remove(&(ResourceId::L3, L3_ID));
        assert_eq!(count(&rig), 2, "the monitor half outlives the control half");
        assert!(rig.read(&[0, 1], L3_ID, id(0, 0)).is_ok());
        rig.domains.lock().mon.clear();
        assert_eq!(count(&rig), 1);
    });
}

#[test]
fn an_error_interrupt_ends_the_use_of_mpam_and_leaves_nothing_restricted() {
    sim::run(|| {
        let rig = Rig::new(&Spec::new(1));
        rig.apply(ResourceId::L3, L3_ID, &[change(5, ConfType::Both, 0x3)]).unwrap();
        rig.board.msc(0).request(0, Request { partid: 40, pmg: 1, bytes: 1, write: false });
        assert!(rig.board.msc(0).error_interrupt());
        assert!(!rig.irq(1, |here| rig.driver.error_interrupt(&rig.sim, here.into(), 1)), "not this MSC's");
        assert!(rig.irq(1, |here| rig.driver.error_interrupt(&rig.sim, here.into(), 0)));
        assert!(!rig.board.msc(0).error_interrupt());
        assert_eq!(Esr::ERRCODE.get(rig.board.msc(0).error_status()), 0);
        let log = rig.sim.log_lines();
        assert!(
            log.iter().any(|line| line.ends_with("error irq from msc:0 'Req_PARTID_Range', partid:40, pmg: 1, ris: 0"))
        );
        assert!(log.iter().any(|line| line.ends_with("MPAM disabled due to hardware error interrupt")));
        // Once is enough, for whichever MSC.
        rig.board.msc(1).request(0, Request { partid: 40, pmg: 1, bytes: 1, write: false });
        assert!(!rig.irq(1, |here| rig.driver.error_interrupt(&rig.sim, here.into(), 1)));
        assert_eq!(rig.apply(ResourceId::L3, L3_ID, &[change(5, ConfType::Both, 0x7)]), Err(Errno::EIO));
        assert_eq!(rig.read(&[0, 1], L3_ID, id(1, 1)), Err(ReadError::Error));
        let guard = rig.sim.cpus_read_lock();
        rig.driver.shut_down(&rig.sim, guard.held());
        assert_eq!(rig.board.msc(0).control(0, 5, Cpbm::OFFSET), Some(0xffff));
        assert_eq!(rig.board.msc(0).peek32(Ecr::OFFSET, 0), 0);
        assert_eq!(rig.board.msc(1).peek32(Ecr::OFFSET, 0), 0);
    });
}

#[test]
fn when_mpam_ends_cpus_have_no_labels_whether_or_not_they_switch_tasks() {
    sim::run(|| {
        let rig = Rig::new(&Spec::new(1));
        let label = |cpu| [Level::El0, Level::El1].map(|level| rig.board.cpu(cpu).label(level, false));
        let word = Ids::task_word(&*rig.driver, id(5, 1));
        rig.irq(0, |here| rig.driver.sched_in(here, word));
        rig.driver.set_cpu_default(CpuId(1), id(7, 2));
        rig.irq(1, |here| rig.driver.sched_in(here, TaskWord(0)));
        assert_eq!([label(0)[0].partid, label(1)[0].partid], [5, 7]);
        let guard = rig.sim.cpus_read_lock();
        rig.driver.shut_down(&rig.sim, guard.held());
        drop(guard);
        assert_eq!([label(0), label(1)], [[Label::default(); 2]; 2]);
        // Tasks keep their words and CPUs are in groups no more: neither matters.
        for word in [word, TaskWord(0)] {
            (0..2).for_each(|cpu| rig.irq(cpu, |here| rig.driver.sched_in(here, word)));
            assert_eq!([label(0), label(1)], [[Label::default(); 2]; 2]);
        }
    });
}

#[test]
fn when_mpam_ends_an_msc_is_opened_from_the_first_of_its_cpus_that_is_online() {
    sim::run(|| {
        let rig = Rig::new(&Spec::new(2));
        rig.apply(ResourceId::L3, L3_ID, &[change(5, ConfType::Both, 0x3)]).unwrap();
        rig.sim.offline(CpuId(0)).unwrap();
        let guard = rig.sim.cpus_read_lock();
        let (before, writes) = (rig.sim.stats().calls, rig.board.accesses().1);
        rig.driver.shut_down(&rig.sim, guard.held());
        assert_eq!(rig.board.msc(0).control(0, 5, Cpbm::OFFSET), Some(0xffff));
        assert_eq!(rig.board.msc(0).peek32(Ecr::OFFSET, 0), 0);
        // One crossing for each MSC: the caches' two and the memory's.
        assert_eq!(rig.sim.stats().calls - before, 3);
        assert!(rig.board.accesses().1 > writes);
    });
}

/// Where the handler is a thread, context switches of its CPU come between any two of its accesses: with interrupts off
/// none could, and the simulated CPU would wait for itself.
#[test]
fn a_handler_in_a_thread_may_be_preempted_before_each_of_its_accesses() {
    // What the handler does, and whether the failure is known then: it reads the status, clears it, and keeps the MSC
    // quiet. Nobody who runs in between finds an MSC that is quiet and trusted.
    const ACCESSES: [(u32, bool); 5] = [
        (Esr::OFFSET + 4, false),
        (Esr::OFFSET, false),
        (Esr::OFFSET + 4, false),
        (Esr::OFFSET, false),
        (Ecr::OFFSET, true),
    ];
    for (preempted, (_, too_late)) in ACCESSES.into_iter().enumerate() {
        sim::run(move || {
            let rig = Rig::new(&Spec::new(1));
            let (group, word) = (id(5, 1), Ids::task_word(&*rig.driver, id(5, 1)));
            let task = rig.sim.spawn_task(TaskSpec::default());
            rig.sim.set_task_word(&task, word);
            let driver = Arc::clone(&rig.driver);
            rig.sim.set_sched_in(move |here, word| driver.sched_in(here, word));
            let _watching = rig.sim.watch_switches().unwrap();
            rig.board.msc(0).request(0, Request { partid: 40, pmg: 1, bytes: 1, write: false });

            let seen = Arc::new(Mutex::new(Vec::new()));
            let (sim, driver, accesses) = (rig.sim.clone(), Arc::clone(&rig.driver), Arc::clone(&seen));
            rig.board.preempt(move |offset| {
                let known = driver.has_failed();
                let mut accesses = accesses.lock().unwrap();
                accesses.push((offset, known));
                if accesses.len() == preempted + 1 {
                    sim.switch_to(CpuId(1), Some(&task)).unwrap();
                }
            });
            assert!(rig.on(1, |here| rig.driver.error_interrupt(&rig.sim, here.into(), 0)));
            rig.board.preempt(|_| {});

            assert_eq!(*seen.lock().unwrap(), ACCESSES);
            // The task got its labels, as long as there were any to get.
            let label = rig.board.cpu(1).label(Level::El1, false);
            let kept = if too_late { id(0, 0) } else { group };
            assert_eq!((label.partid, u32::from(label.pmg)), (u16::try_from(kept.closid.0).unwrap(), kept.rmid.0));
            assert!(!rig.board.msc(0).error_interrupt());
            assert_eq!(rig.apply(ResourceId::L3, L3_ID, &[change(5, ConfType::Both, 0x7)]), Err(Errno::EIO));
            rig.sim.unregister_hotplug();
            assert_eq!(rig.board.cpu(1).label(Level::El1, false), Label { partid: 0, pmg: 0 });
        });
    }
}

/// Two MSCs complain, and their handlers are threads on two CPUs, with context switches on both: it ends once.
#[test]
fn handlers_in_threads_end_the_use_of_mpam_once() {
    let schedules = sim::explore(300, || {
        let rig = Arc::new(Rig::new(&Spec::new(1)));
        let task = rig.sim.spawn_task(TaskSpec::default());
        rig.sim.set_task_word(&task, Ids::task_word(&*rig.driver, id(5, 1)));
        let driver = Arc::clone(&rig.driver);
        rig.sim.set_sched_in(move |here, word| driver.sched_in(here, word));
        let _watching = rig.sim.watch_switches().unwrap();
        rig.board.preempt(|_| shuttle::thread::yield_now());
        let handlers = [0, 1].map(|msc| {
            rig.board.msc(msc).request(0, Request { partid: 40, pmg: 1, bytes: 1, write: false });
            let rig = Arc::clone(&rig);
            shuttle::thread::spawn(move || {
                let cpu = u32::try_from(msc).unwrap();
                rig.on(cpu, |here| rig.driver.error_interrupt(&rig.sim, here.into(), msc))
            })
        });
        for cpu in [CpuId(0), CpuId(1)] {
            rig.sim.switch_to(cpu, Some(&task)).unwrap();
        }
        let ends = handlers.map(|handler| handler.join().unwrap());
        assert_eq!(ends.iter().filter(|&&ends| ends).count(), 1, "{ends:?}");
        rig.board.preempt(|_| {});
        assert!(!rig.board.msc(0).error_interrupt() && !rig.board.msc(1).error_interrupt());
        let said = rig.sim.log_lines().iter().filter(|line| line.contains("MPAM disabled")).count();
        assert_eq!(said, 1);
        rig.sim.clear_sched_in();
        rig.sim.unregister_hotplug();
        for cpu in 0..2 {
            assert_eq!(rig.board.cpu(cpu).label(Level::El1, false), Label { partid: 0, pmg: 0 });
        }
    });
    assert!(schedules >= 300);
}

#[test]
fn after_an_error_cpus_come_and_go_and_nothing_is_programmed() {
    sim::run(|| {
        let mut spec = Spec::new(2);
        spec.mscs[1].cluster = Some(1);
        let rig = Rig::new(&spec);
        rig.board.msc(0).request(0, Request { partid: 40, pmg: 1, bytes: 1, write: false });
        assert!(rig.irq(0, |here| rig.driver.error_interrupt(&rig.sim, here.into(), 0)));
        rig.sim.unregister_hotplug();
        let devices = rig.driver.devices();
        assert!(devices.mscs.iter().all(|msc| !msc.is_online()));
        let writes = rig.board.msc(1).writes();
        rig.on(2, |here| devices.cpu_online(here.into(), Reached::LeftAlone));
        assert!(devices.mscs[1].is_online());
        assert_eq!(rig.board.msc(1).writes(), writes);
        rig.on(2, |here| devices.cpu_offline(here));
        assert!(devices.mscs.iter().all(|msc| !msc.is_online()));
    });
}

/// In whatever order CPUs go, values are written and counters are read: no MSC is touched without power, none complains,
/// and what is remembered is what is programmed.
#[test]
fn hotplug_changes_and_readings_in_any_order_leave_memory_and_hardware_alike() {
    let schedules = sim::explore(300, || {
        let mut spec = Spec::new(2);
        spec.mscs[1].cluster = Some(1);
        let rig = Arc::new(Rig::new(&spec));
        let plug = {
            let rig = Arc::clone(&rig);
            shuttle::thread::spawn(move || {
                for _ in 0..2 {
                    rig.sim.offline(CpuId(2)).unwrap();
                    rig.sim.offline(CpuId(3)).unwrap();
                    rig.board.msc(1).power_off();
                    rig.board.msc(1).power_on();
                    rig.sim.online(CpuId(3)).unwrap();
                    rig.sim.online(CpuId(2)).unwrap();
                }
            })
        };
        let write = {
            let rig = Arc::clone(&rig);
            shuttle::thread::spawn(move || {
                for value in [0x3, 0x30, 0x300] {
                    for domain in [L3_ID, L3_ID + 1] {
                        let applied = rig.apply(ResourceId::L3, domain, &[change(5, ConfType::Both, value)]);
                        assert!(matches!(applied, Ok(()) | Err(Errno::ENODEV)), "{applied:?}");
                    }
                }
            })
        };
        for _ in 0..3 {
            assert!(rig.read(&[0, 1], L3_ID, id(5, 1)).is_ok());
        }
        plug.join().unwrap();
        write.join().unwrap();
        for (msc, domain) in [(0, L3_ID), (1, L3_ID + 1)] {
            for closid in [0, 5, 31] {
                let remembered = rig.value(ResourceId::L3, domain, closid, ConfType::Both);
                let programmed = rig.board.msc(msc).control(0, u16::try_from(closid).unwrap(), Cpbm::OFFSET);
                assert_eq!(programmed, Some(remembered));
            }
            assert_eq!(rig.board.msc(msc).error_status(), 0);
            assert_eq!(rig.board.msc(msc).accesses_unpowered(), 0);
        }
        assert_eq!(rig.value(ResourceId::L3, L3_ID, 5, ConfType::Both), 0x300);
        rig.sim.unregister_hotplug();
    });
    assert!(schedules >= 300);
}
