// SPDX-License-Identifier: GPL-2.0-only
use std::sync::atomic::{AtomicUsize, Ordering};
use std::vec::Vec;

use core::ops::ControlFlow;

use super::*;
use crate::cpumask::CpuMask;
use crate::ids::TaskWords;
use crate::platform::{CpusReadGuard, Platform};
use crate::sim::{Topology, current_cpu, explore_all, run};

fn machine() -> SimPlatform {
    SimPlatform::new(Topology::packages(1, 2))
}

fn pid_of(sim: &SimPlatform, id: i32) -> Option<i32> {
    let mut pid = None;
    let found = sim.with_task(id, &mut |task| pid = Some(task.pid()));
    assert_eq!(found, pid.is_some());
    pid
}

#[test]
fn a_namespace_has_ids_of_its_own_and_sees_only_its_tasks() {
    run(|| {
        let sim = machine();
        let outside = sim.spawn_task(TaskSpec::default());
        let inside = sim.spawn_task(TaskSpec { namespace: 7, ..TaskSpec::default() });
        let sibling = sim.fork(&inside);
        assert_eq!((sim.task_id(&outside), sim.task_id(&inside)), (Some(2), Some(3)));
        sim.as_task(&inside, || {
            assert_eq!((sim.task_id(&inside), sim.task_id(&sibling), sim.task_id(&outside)), (Some(1), Some(2), None));
            assert_eq!((pid_of(&sim, 2), pid_of(&sim, 3)), (Some(sibling.pid()), None));
            assert_eq!(pid_of(&sim, 0), Some(inside.pid()), "0 is the caller");
        });
        assert_eq!((pid_of(&sim, 0), pid_of(&sim, 3), pid_of(&sim, 99)), (Some(1), Some(3), None));
    });
}

#[test]
fn a_task_may_be_moved_by_root_and_by_its_real_or_saved_user() {
    run(|| {
        let sim = machine();
        let setuid = sim.spawn_task(TaskSpec { uid: 10, euid: 0, suid: 11, gid: 10, namespace: 0 });
        for (caller, may) in [(10, true), (11, true), (12, false), (0, true)] {
            let caller = sim.spawn_task(TaskSpec::user(caller));
            assert_eq!(sim.as_task(&caller, || sim.may_move(&setuid)), may, "{caller:?}");
        }
        let user = sim.spawn_task(TaskSpec::user(10));
        assert_eq!(sim.as_task(&user, || sim.owner()), crate::platform::Owner { uid: 10, gid: 10 });
        assert_eq!(sim.owner().uid, 0);
    });
}

#[test]
fn a_child_inherits_the_word_and_a_dead_task_is_not_listed() {
    run(|| {
        let sim = machine();
        let parent = sim.spawn_task(TaskSpec::default());
        sim.set_task_word(&parent, TaskWord(5));
        let child = sim.fork(&parent);
        assert_eq!(sim.task_word(&child), TaskWord(5));
        sim.exit_task(&parent);
        let pids: Vec<_> = sim.tasks().iter().map(SimTask::pid).collect();
        assert_eq!(pids, [1, child.pid()]);
        assert_eq!(pid_of(&sim, parent.pid()), None);
    });
}

#[test]
fn a_walk_meets_the_tasks_whose_words_it_wants_until_it_breaks() {
    run(|| {
        let sim = machine();
        let tasks = [0x15, 0x25, 0x16, 0x35].map(|word| {
            let task = sim.spawn_task(TaskSpec::default());
            sim.set_task_word(&task, TaskWord(word));
            task.pid()
        });
        let met = |which: TaskWords, limit: usize| {
            let mut pids = Vec::new();
            sim.for_each_task(which, &mut |task| {
                pids.push(task.pid());
                if pids.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            pids
        };
        assert_eq!(met(TaskWords::ALL, 9).len(), 5);
        assert_eq!(met(TaskWords::like(TaskWord(0x95), 0xf), 9), [tasks[0], tasks[1], tasks[3]]);
        assert_eq!(met(TaskWords::like(TaskWord(0x95), 0xf), 2), [tasks[0], tasks[1]]);
        assert_eq!(met(TaskWords::like(TaskWord(0x16), !0), 9), [tasks[2]]);
        sim.set_every_task_word(TaskWord(7));
        assert!(sim.tasks().iter().all(|task| task.word() == TaskWord(7)));
    });
}

#[test]
fn a_context_switch_loads_the_next_tasks_word_on_the_cpu() {
    run(|| {
        let sim = machine();
        let task = sim.spawn_task(TaskSpec::default());
        sim.set_task_word(&task, TaskWord(5));
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        sim.set_sched_in(move |here, word| {
            assert_eq!(current_cpu(), Some(here.cpu()));
            notes.lock().unwrap().push((here.cpu().0, word.0));
        });
        sim.switch_to(CpuId(0), Some(&task)).unwrap();
        assert_eq!(sim.running_on(&task), Some(CpuId(0)));
        let watching = [(); 2].map(|()| sim.watch_switches().unwrap());
        sim.switch_to(CpuId(1), Some(&task)).unwrap();
        assert_eq!(sim.running_on(&task), Some(CpuId(1)));
        let [first, second] = watching;
        drop(first);
        sim.switch_to(CpuId(1), Some(&task)).unwrap();
        drop(second);
        sim.switch_to(CpuId(1), Some(&task)).unwrap();
        sim.offline(CpuId(1)).unwrap();
        assert_eq!(sim.running_on(&task), None);
        assert_eq!(sim.switch_to(CpuId(1), Some(&task)), Err(Errno::ENODEV));
        // Nothing before, everywhere to begin with, and nothing afterwards.
        let begins = [(0, 5), (1, 0)];
        let nobody = [(0, 0), (1, 0)];
        assert_eq!(
            *seen.lock().unwrap(),
            [&begins[..], &begins[..], &[(0, 0), (1, 5), (1, 5)][..], &nobody[..]].concat()
        );
    });
}

/// Moves a task while it may be switched in; `store_first` is the order that the contract asks for. Panics in the
/// schedules after which the CPU goes on with the old word.
fn move_during_switch(store_first: bool) {
    explore_all(None, move || {
        let sim = machine();
        let task = sim.spawn_task(TaskSpec::default());
        let register = Arc::new(AtomicUsize::new(0));
        let loads = |word: TaskWord| usize::try_from(word.0).unwrap();
        let hook = Arc::clone(&register);
        sim.set_sched_in(move |_, word| hook.store(loads(word), Ordering::SeqCst));
        let _watching = sim.watch_switches().unwrap();
        let (other, theirs) = (sim.clone(), task.clone());
        let switcher = shuttle::thread::spawn(move || other.switch_to(CpuId(1), Some(&theirs)).unwrap());
        let cpus = sim.cpus_read_lock();
        if store_first {
            sim.set_task_word(&task, TaskWord(5));
            preemption_point();
        }
        let cpu = sim.running_on(&task);
        preemption_point();
        sim.set_task_word(&task, TaskWord(5));
        if let Some(cpu) = cpu {
            let mut mask = CpuMask::new(2).unwrap();
            mask.set(cpu).unwrap();
            sim.interrupt_mask(cpus.held(), &mask, &|here| {
                register.store(loads(sim.current_word(here)), Ordering::SeqCst);
            });
        }
        drop(cpus);
        switcher.join().unwrap();
        assert_eq!(register.load(Ordering::SeqCst), 5, "the CPU runs the task with its old word");
        sim.clear_sched_in();
    });
}

#[test]
fn a_word_stored_before_asking_where_the_task_runs_reaches_its_cpu() {
    move_during_switch(true);
}

#[test]
#[should_panic(expected = "the CPU runs the task with its old word")]
fn a_word_stored_after_asking_where_the_task_runs_can_miss_its_cpu() {
    move_during_switch(false);
}
