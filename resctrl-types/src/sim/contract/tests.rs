// SPDX-License-Identifier: GPL-2.0-only
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::vec::Vec;

use super::*;
use crate::context::{Here, HotplugCpu};
use crate::crossing::DomainCpus;
use crate::locked::Key;
use crate::online::OnlineCpus;
use crate::platform::{CpusReadGuard, Mutex, RwLock};
use crate::sim::{Topology, current_cpu, explore_all, run};

fn machine() -> SimPlatform {
    SimPlatform::new(Topology::packages(2, 2).isolate(&[3]))
}

#[test]
fn a_mutex_excludes() {
    let schedules = explore_all(None, || {
        let sim = machine();
        let mutex = Arc::new(sim.mutex(LockClass::Rdtgroup, 0).unwrap());
        let other = Arc::clone(&mutex);
        let add = |mutex: &SimMutex<i32>| {
            let mut guard = mutex.lock();
            let old = *guard;
            preemption_point();
            *guard = old + 1;
        };
        let thread = shuttle::thread::spawn(move || add(&other));
        add(&mutex);
        thread.join().unwrap();
        assert_eq!(*mutex.lock(), 2);
    });
    assert!(schedules > 1);
}

#[test]
fn a_shared_lock_lets_readers_meet_and_keeps_a_writer_alone() {
    static MET: AtomicUsize = AtomicUsize::new(0);
    explore_all(Some(2000), || {
        let lock = Arc::new(machine().rw_lock(LockClass::Tree, (0, 0)).unwrap());
        let inside = Arc::new(AtomicUsize::new(0));
        let readers = [0, 1].map(|_| {
            let (lock, inside) = (Arc::clone(&lock), Arc::clone(&inside));
            shuttle::thread::spawn(move || {
                let guard = lock.read();
                MET.fetch_max(inside.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                preemption_point();
                assert_eq!(guard.0, guard.1, "half of a change was seen");
                inside.fetch_sub(1, Ordering::Relaxed);
            })
        });
        let mut guard = lock.write();
        assert_eq!(inside.load(Ordering::Relaxed), 0);
        guard.0 += 1;
        preemption_point();
        guard.1 += 1;
        drop(guard);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    assert_eq!(MET.load(Ordering::Relaxed), 2);
}

#[test]
#[should_panic(expected = "Tree lock taken twice")]
fn a_shared_lock_read_twice_is_caught() {
    run(|| {
        let tree = machine().rw_lock(LockClass::Tree, ()).unwrap();
        let _tree = tree.read();
        let _again = tree.read();
    });
}

#[test]
#[should_panic(expected = "allocated under the lock of the tree")]
fn an_allocation_under_the_lock_of_the_tree_is_caught() {
    run(|| {
        let tree = machine().rw_lock(LockClass::Tree, crate::KVec::new()).unwrap();
        let _ = tree.write().push(1);
    });
}

#[test]
fn the_lock_order_of_the_contract_is_accepted() {
    run(|| {
        let sim = machine();
        let (rdtgroup, tree) = (sim.mutex(LockClass::Rdtgroup, ()).unwrap(), sim.rw_lock(LockClass::Tree, ()).unwrap());
        for _ in 0..2 {
            let _cpus = sim.cpus_read_lock();
            let _rdtgroup = rdtgroup.lock();
            let _tree = tree.read();
        }
    });
}

#[test]
#[should_panic(expected = "Rdtgroup lock taken while holding Tree")]
fn the_rdtgroup_mutex_inside_the_lock_of_the_tree_is_caught() {
    run(|| {
        let sim = machine();
        let (rdtgroup, tree) = (sim.mutex(LockClass::Rdtgroup, ()).unwrap(), sim.rw_lock(LockClass::Tree, ()).unwrap());
        let _tree = tree.read();
        let _rdtgroup = rdtgroup.lock();
    });
}

#[test]
#[should_panic(expected = "Hotplug lock taken while holding Rdtgroup")]
fn the_hotplug_lock_inside_a_mutex_is_caught() {
    run(|| {
        let sim = machine();
        let rdtgroup = sim.mutex(LockClass::Rdtgroup, ()).unwrap();
        let _rdtgroup = rdtgroup.lock();
        let _cpus = sim.cpus_read_lock();
    });
}

#[test]
#[should_panic(expected = "Hotplug lock taken twice")]
fn the_hotplug_lock_read_twice_is_caught() {
    run(|| {
        let sim = machine();
        let _cpus = sim.cpus_read_lock();
        let _again = sim.cpus_read_lock();
    });
}

#[test]
#[should_panic(expected = "Hotplug lock taken twice")]
fn the_hotplug_lock_in_a_hotplug_callback_is_caught() {
    run(|| {
        let sim = machine();
        let this = sim.clone();
        sim.register_hotplug(|_| Ok(()), move |_| drop(this.cpus_read_lock())).unwrap();
        let _ = sim.offline(CpuId(1));
    });
}

#[test]
#[should_panic(expected = "Rdtgroup lock taken in a function called on a CPU")]
fn a_lock_taken_in_a_function_called_on_a_cpu_is_caught() {
    run(|| {
        let sim = machine();
        let rdtgroup = sim.mutex(LockClass::Rdtgroup, ()).unwrap();
        let cpus = sim.cpus_read_lock();
        let _ = sim.call_on(cpus.held(), CpuId(1), &mut |_| drop(rdtgroup.lock()));
    });
}

#[test]
#[should_panic(expected = "the lock of the tree taken with interrupts off")]
fn sleeping_in_an_interrupt_is_caught() {
    run(|| {
        let sim = machine();
        let tree = sim.rw_lock(LockClass::Tree, ()).unwrap();
        let cpus = sim.cpus_read_lock();
        let _ = sim.interrupt(cpus.held(), CpuId(1), &mut |_| drop(tree.write()));
    });
}

#[test]
#[should_panic(expected = "the lock of the tree taken in a callback that must not sleep")]
fn sleeping_among_the_tasks_is_caught() {
    run(|| {
        let sim = machine();
        let tree = sim.rw_lock(LockClass::Tree, ()).unwrap();
        sim.set_every_task_word(TaskWord(0));
        sim.for_each_task(TaskWords::ALL, &mut |_| {
            drop(tree.write());
            ControlFlow::Continue(())
        });
    });
}

#[test]
#[should_panic(expected = "a cross-call without the hotplug lock")]
fn a_cross_call_without_the_hotplug_lock_is_caught() {
    run(|| {
        let sim = machine();
        // SAFETY: none; that this is found out is what is tested.
        let held = unsafe { CpusHeld::new() };
        let _ = sim.call_on(held, CpuId(1), &mut |_| ());
    });
}

/// What both hotplug callbacks keep, as the file system does.
struct Kept {
    key: Key,
    online: OnlineCpus,
}

/// A machine whose callbacks report CPUs under the mutex, unless `forgets`: then none is reported offline.
fn reporting(forgets: bool) -> (SimPlatform, Arc<SimMutex<Kept>>) {
    let sim = machine();
    let key = Key::new();
    let online = OnlineCpus::new(&key, sim.nr_cpu_ids()).unwrap();
    let kept = Arc::new(sim.mutex(LockClass::Rdtgroup, Kept { key, online }).unwrap());
    let (comes, goes) = (Arc::clone(&kept), Arc::clone(&kept));
    let go = move |cpu: HotplugCpu<'_>| {
        if !forgets {
            goes.lock().online.leave(cpu.cpu(), crate::cpu::Edge::Go);
        }
    };
    sim.register_hotplug(move |cpu| if comes.lock().online.come(cpu) { Ok(()) } else { Err(Errno::EINVAL) }, go)
        .unwrap();
    (sim, kept)
}

#[test]
fn a_cpu_stays_while_the_mutex_is_held_under_which_it_would_be_reported_offline() {
    crate::sim::explore(300, || {
        let (sim, kept) = reporting(false);
        let plug = {
            let sim = sim.clone();
            shuttle::thread::spawn(move || {
                sim.offline(CpuId(2)).unwrap();
                sim.online(CpuId(2)).unwrap();
            })
        };
        for _ in 0..3 {
            let kept = kept.lock();
            let stay = kept.online.stay(kept.key.held());
            if stay.includes(CpuId(2)) {
                sim.call_on(stay, CpuId(2), &mut |here| assert_eq!(here.cpu(), CpuId(2))).unwrap();
            }
        }
        plug.join().unwrap();
        sim.forget_hotplug();
    });
}

#[test]
#[should_panic(expected = "which has gone though it was to stay")]
fn a_cross_call_to_a_cpu_that_was_not_reported_offline_is_caught() {
    run(|| {
        let (sim, kept) = reporting(true);
        sim.offline(CpuId(2)).unwrap();
        let kept = kept.lock();
        let _ = sim.call_on(kept.online.stay(kept.key.held()), CpuId(2), &mut |_| ());
    });
}

#[test]
#[should_panic(expected = "of which nobody says that it stays")]
fn a_cross_call_to_a_cpu_that_may_go_is_caught() {
    run(|| {
        let (sim, kept) = reporting(false);
        sim.offline(CpuId(2)).unwrap();
        let kept = kept.lock();
        let _ = sim.call_on(kept.online.stay(kept.key.held()), CpuId(2), &mut |_| ());
    });
}

#[test]
#[should_panic(expected = "a cross-call without the mutex that keeps the CPUs")]
fn a_cross_call_without_the_mutex_that_keeps_the_cpus_is_caught() {
    run(|| {
        let sim = machine();
        let key = Key::new();
        let online = OnlineCpus::new(&key, sim.nr_cpu_ids()).unwrap();
        let _ = sim.call_on(online.stay(key.held()), CpuId(2), &mut |_| ());
    });
}

#[test]
#[should_panic(expected = "CPUs that another mutex keeps")]
fn the_cpus_of_one_mutex_do_not_stay_because_of_another() {
    run(|| {
        let online = OnlineCpus::new(&Key::new(), 4).unwrap();
        let _ = online.stay(Key::new().held());
    });
}

/// Where a call for a domain of these CPUs ran, and whether in a thread; from a thread on `here`, if it is on one.
fn run_in(sim: &SimPlatform, cpus: &[u32], here: Option<u32>) -> Option<(u32, bool)> {
    let mut mask = CpuMask::new(sim.nr_cpu_ids()).unwrap();
    cpus.iter().for_each(|&cpu| mask.set(CpuId(cpu)).unwrap());
    let guard = sim.cpus_read_lock();
    let domain = DomainCpus::new(guard.held(), &mask);
    // SAFETY: none; nobody looks where the thread really is.
    let domain = here.map_or(domain, |cpu| domain.from_here(unsafe { Pinned::new(CpuId(cpu)) }));
    let mut ran = None;
    let called = domain.on_one(sim, &mut |here| ran = Some((here.cpu().0, matches!(here, Here::Thread(_)))));
    assert_eq!(called.err(), if cpus.is_empty() { Some(Errno::ENOENT) } else { None });
    ran
}

#[test]
fn one_cpu_of_a_domain_is_this_one_or_one_for_unbound_work_or_one_that_is_interrupted() {
    run(|| {
        let sim = SimPlatform::new(Topology::packages(2, 2).isolate(&[0, 2, 3]));
        assert_eq!(run_in(&sim, &[0, 1], None), Some((1, true)));
        assert_eq!(run_in(&sim, &[2, 3], None), Some((2, false)), "all are to be left alone");
        assert_eq!((sim.stats().calls, sim.stats().interrupts), (1, 1));
        assert_eq!(run_in(&sim, &[0, 1], Some(0)), Some((0, true)));
        assert_eq!((sim.stats().calls, sim.stats().interrupts), (1, 1), "no crossing from within");
        assert_eq!(run_in(&sim, &[0, 1], Some(3)), Some((1, true)));
        assert_eq!(run_in(&sim, &[], Some(0)), None);
    });
}

#[test]
fn a_cpu_that_reaches_something_is_this_one_or_one_of_the_domain_or_any() {
    run(|| {
        let sim = SimPlatform::new(Topology::packages(2, 3).isolate(&[0, 4]));
        sim.offline(CpuId(2)).unwrap();
        let mask_of = |cpus: &[u32]| {
            let mut mask = CpuMask::new(sim.nr_cpu_ids()).unwrap();
            cpus.iter().for_each(|&cpu| mask.set(CpuId(cpu)).unwrap());
            mask
        };
        let domain = mask_of(&[0, 1]);
        let to = |here: Option<u32>, reach: &[u32]| {
            let guard = sim.cpus_read_lock();
            let cpus = DomainCpus::new(guard.held(), &domain);
            // SAFETY: none; nobody looks where the thread really is.
            let cpus = here.map_or(cpus, |cpu| cpus.from_here(unsafe { Pinned::new(CpuId(cpu)) }));
            let mut ran = Err(Errno::EIO);
            let called = cpus.on_one_of(&sim, &mask_of(reach), &mut |here| ran = Ok(here.cpu().0));
            called.and(ran)
        };
        assert_eq!(to(Some(0), &[0, 1]), Ok(0));
        assert_eq!(to(Some(3), &[0, 1, 3]), Ok(3), "outside of the domain, but there");
        assert_eq!(to(Some(3), &[0, 1, 5]), Ok(1));
        assert_eq!(to(None, &[0, 5]), Ok(0), "rather of the domain than for unbound work");
        assert_eq!(to(None, &[2, 4, 5]), Ok(5), "neither offline nor to be left alone");
        assert_eq!(to(None, &[4]), Ok(4));
        assert_eq!(to(None, &[2]), Err(Errno::ENODEV));
    });
}

#[test]
fn who_happens_to_be_where_it_will_do_stays_there() {
    run(|| {
        let sim = SimPlatform::new(Topology::packages(2, 3));
        let guard = sim.cpus_read_lock();
        let mask_of = |cpus: &[u32]| {
            let mut mask = CpuMask::new(sim.nr_cpu_ids()).unwrap();
            cpus.iter().for_each(|&cpu| mask.set(CpuId(cpu)).unwrap());
            mask
        };
        let mut seen = Vec::new();
        sim.call_on(guard.held(), CpuId(2), &mut |_| {
            for cpus in [&[0, 1, 2][..], &[3, 4]] {
                let mask = mask_of(cpus);
                let cpus = DomainCpus::new(guard.held(), &mask);
                cpus.on_one(&sim, &mut |here| seen.push(here.cpu().0)).unwrap();
            }
            let (mask, reach) = (mask_of(&[1]), mask_of(&[1, 2]));
            let cpus = DomainCpus::new(guard.held(), &mask);
            cpus.on_one_of(&sim, &reach, &mut |here| seen.push(here.cpu().0)).unwrap();
        })
        .unwrap();
        assert_eq!(seen, [2, 3, 2]);
    });
}

#[test]
fn a_call_runs_on_its_cpu_and_comes_back() {
    run(|| {
        let sim = machine();
        sim.offline(CpuId(2)).unwrap();
        let cpus = sim.cpus_read_lock();
        let mut seen = Vec::new();
        sim.call_on(cpus.held(), CpuId(1), &mut |here| seen.push((here.cpu(), current_cpu()))).unwrap();
        sim.interrupt(cpus.held(), CpuId(3), &mut |here| seen.push((here.cpu(), current_cpu()))).unwrap();
        assert_eq!(seen, [(CpuId(1), Some(CpuId(1))), (CpuId(3), Some(CpuId(3)))]);
        assert_eq!(current_cpu(), None);
        let called = sim.call_on(cpus.held(), CpuId(2), &mut |_| unreachable!("it is offline"));
        assert_eq!(called, Err(Errno::ENODEV));
        let interrupted = sim.interrupt(cpus.held(), CpuId(2), &mut |_| unreachable!("it is offline"));
        assert_eq!(interrupted, Err(Errno::ENODEV));
    });
}

#[test]
fn an_interrupt_of_a_mask_reaches_its_online_cpus_once_each() {
    run(|| {
        let sim = machine();
        sim.offline(CpuId(2)).unwrap();
        let mut mask = CpuMask::new(4).unwrap();
        [1, 2, 3].into_iter().for_each(|cpu| mask.set(CpuId(cpu)).unwrap());
        let seen = StdMutex::new(Vec::new());
        let cpus = sim.cpus_read_lock();
        sim.interrupt_mask(cpus.held(), &mask, &|here| seen.lock().unwrap().push(here.cpu()));
        assert_eq!(seen.into_inner().unwrap(), [CpuId(1), CpuId(3)]);
    });
}

#[test]
fn topology_time_and_log_are_as_set() {
    run(|| {
        let sim = machine();
        assert_eq!(sim.nr_cpu_ids(), 4);
        assert_eq!(sim.cache(CpuId(2), CacheLevel::L3), Some(CacheInfo { id: 1, size: Topology::L3_SIZE }));
        assert_eq!(sim.cache(CpuId(2), CacheLevel::L2), Some(CacheInfo { id: 2, size: Topology::L2_SIZE }));
        assert_eq!((sim.node(CpuId(3)), sim.package(CpuId(1)), sim.node(CpuId(4))), (Some(1), Some(0), None));
        assert!(sim.is_housekeeping(CpuId(2)) && !sim.is_housekeeping(CpuId(3)));
        sim.offline(CpuId(2)).unwrap();
        assert_eq!(sim.cache(CpuId(2), CacheLevel::L3), None);
        let before = sim.now();
        sim.advance(1250);
        assert_eq!((sim.now().sec - before.sec, sim.now().nsec), (1, 250_000_000));
        sim.log(LogLevel::Info, format_args!("{} allocation detected", "L3"));
        assert_eq!(sim.log_lines(), ["resctrl: L3 allocation detected"]);
        assert!(sim.log_lines_at(LogLevel::Warn).is_empty());
    });
}

#[test]
#[should_panic(expected = "found by chance")]
fn a_failure_that_needs_one_order_is_found() {
    static TRIED: AtomicUsize = AtomicUsize::new(0);
    crate::sim::explore(500, || {
        let sim = machine();
        let flag = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&flag);
        let thread = shuttle::thread::spawn(move || {
            for step in 1..=4 {
                theirs.store(step, Ordering::SeqCst);
                preemption_point();
            }
        });
        TRIED.fetch_add(1, Ordering::SeqCst);
        drop(sim.cpus_read_lock());
        assert!(flag.load(Ordering::SeqCst) != 3, "found by chance");
        thread.join().unwrap();
    });
}
