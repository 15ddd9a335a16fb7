// SPDX-License-Identifier: GPL-2.0-only
use std::sync::Mutex as StdMutex;
use std::vec;

use super::*;
use crate::platform::Platform;
use crate::sim::{Topology, current_cpu, explore_all, run};

type Calls = Arc<StdMutex<Vec<(&'static str, u32)>>>;

/// Registers callbacks that note what they are called for; `refuse` fails to come online.
fn register(sim: &SimPlatform, refuse: Option<u32>) -> (Result<()>, Calls) {
    let calls = Calls::default();
    let (on, off, this) = (Arc::clone(&calls), Arc::clone(&calls), sim.clone());
    let result = sim.register_hotplug(
        move |cpu| {
            assert_eq!(current_cpu(), Some(cpu.cpu()));
            if refuse == Some(cpu.cpu().0) {
                return Err(Errno::ENOMEM);
            }
            on.lock().unwrap().push(("online", cpu.cpu().0));
            Ok(())
        },
        move |cpu| {
            assert_eq!(current_cpu(), Some(cpu.here().cpu()));
            assert!(this.is_online(cpu.cpu()), "a CPU is online during its callback");
            off.lock().unwrap().push(("offline", cpu.cpu().0));
        },
    );
    (result, calls)
}

#[test]
fn registering_calls_every_online_cpu_and_unregistering_again() {
    run(|| {
        let sim = SimPlatform::new(Topology::packages(1, 3));
        sim.offline(CpuId(1)).unwrap();
        let (result, calls) = register(&sim, None);
        assert_eq!(result, Ok(()));
        sim.unregister_hotplug();
        assert_eq!(*calls.lock().unwrap(), [("online", 0), ("online", 2), ("offline", 0), ("offline", 2)]);
        sim.offline(CpuId(2)).unwrap();
        assert_eq!(calls.lock().unwrap().len(), 4, "nobody is called any more");
    });
}

#[test]
fn a_callback_that_fails_at_registering_undoes_the_ones_before() {
    run(|| {
        let sim = SimPlatform::new(Topology::packages(1, 3));
        let (result, calls) = register(&sim, Some(2));
        assert_eq!(result, Err(Errno::ENOMEM));
        assert_eq!(*calls.lock().unwrap(), [("online", 0), ("online", 1), ("offline", 0), ("offline", 1)]);
    });
}

#[test]
fn a_cpu_goes_and_comes_with_one_call_each() {
    run(|| {
        let sim = SimPlatform::new(Topology::packages(1, 2));
        let (result, calls) = register(&sim, None);
        result.unwrap();
        calls.lock().unwrap().clear();
        for _ in 0..2 {
            sim.offline(CpuId(1)).unwrap();
        }
        assert_eq!(sim.online_cpus(), [CpuId(0)]);
        for _ in 0..2 {
            sim.online(CpuId(1)).unwrap();
        }
        assert_eq!(*calls.lock().unwrap(), [("offline", 1), ("online", 1)]);
        assert_eq!((sim.stats().offlines, sim.stats().onlines), (1, 1));
    });
}

#[test]
fn a_cpu_whose_callback_fails_stays_offline() {
    run(|| {
        let sim = SimPlatform::new(Topology::packages(1, 2));
        sim.offline(CpuId(1)).unwrap();
        register(&sim, Some(1)).0.unwrap();
        assert_eq!(sim.online(CpuId(1)), Err(Errno::ENOMEM));
        assert_eq!(sim.online_cpus(), [CpuId(0)]);
    });
}

#[test]
fn the_last_cpu_and_impossible_ones_do_not_go() {
    run(|| {
        let sim = SimPlatform::new(Topology::packages(1, 2));
        sim.offline(CpuId(0)).unwrap();
        assert_eq!(sim.offline(CpuId(1)), Err(Errno::EBUSY));
        assert_eq!(sim.offline(CpuId(2)), Err(Errno::EINVAL));
        assert_eq!(sim.online(CpuId(2)), Err(Errno::EINVAL));
    });
}

#[test]
fn no_cpu_goes_while_the_hotplug_lock_is_held_for_reading() {
    let schedules = explore_all(None, || {
        let sim = SimPlatform::new(Topology::packages(1, 2));
        let other = sim.clone();
        let thread = shuttle::thread::spawn(move || other.offline(CpuId(1)).unwrap());
        let guard = sim.cpus_read_lock();
        let before = sim.online_cpus();
        preemption_point();
        assert_eq!(sim.online_cpus(), before);
        drop(guard);
        thread.join().unwrap();
        assert_eq!(sim.online_cpus(), vec![CpuId(0)]);
    });
    assert!(schedules > 1);
}
