// SPDX-License-Identifier: GPL-2.0-only
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::vec;
use std::vec::Vec;

use super::*;
use crate::platform::{LockClass, Mutex, Platform, WorkKind, WorkTarget};
use crate::refs::Ref;
use crate::sim::{Topology, current_cpu, explore, explore_all, run};

type Handler = dyn Fn(Ref<Target>, WorkKind, Option<CpuId>) + Send + Sync;

/// Something with two works, whose handler is told where it runs.
struct Target {
    overflow: SimWork,
    limbo: SimWork,
    handler: Arc<Handler>,
}

impl WorkTarget<SimPlatform> for Target {
    fn work(&self, kind: WorkKind) -> &SimWork {
        match kind {
            WorkKind::Overflow => &self.overflow,
            WorkKind::Limbo => &self.limbo,
        }
    }

    fn run(this: Ref<Self>, kind: WorkKind, context: WorkerContext<'_>) {
        let handler = Arc::clone(&this.handler);
        handler(
            this,
            kind,
            match context {
                WorkerContext::Bound(here) => Some(here.cpu()),
                WorkerContext::Displaced => None,
            },
        );
    }
}

fn target(
    sim: &SimPlatform,
    handler: impl Fn(Ref<Target>, WorkKind, Option<CpuId>) + Send + Sync + 'static,
) -> Ref<Target> {
    Ref::new(Target { overflow: sim.work().unwrap(), limbo: sim.work().unwrap(), handler: Arc::new(handler) }).unwrap()
}

fn machine() -> SimPlatform {
    SimPlatform::new(Topology::packages(2, 2))
}

/// Where and when each run was.
type Runs = Arc<StdMutex<Vec<(u64, Option<CpuId>)>>>;

/// A target that notes its runs and drops its reference.
fn noted(sim: &SimPlatform) -> (Ref<Target>, Runs) {
    let runs = Runs::default();
    let (notes, clock) = (Arc::clone(&runs), sim.clone());
    let target = target(sim, move |_, _, cpu| {
        assert_eq!(current_cpu(), cpu);
        notes.lock().unwrap().push((clock.now_ms(), cpu));
    });
    (target, runs)
}

fn schedule(sim: &SimPlatform, target: &Ref<Target>, cpu: u32, delay_ms: u32) -> bool {
    sim.schedule(target.clone(), WorkKind::Overflow, CpuId(cpu), delay_ms).is_ok()
}

const CPU1: CpuId = CpuId(1);
const CPU2: CpuId = CpuId(2);

#[test]
fn a_work_runs_once_on_its_cpu_at_its_time() {
    run(|| {
        let sim = machine();
        let (target, runs) = noted(&sim);
        assert!(schedule(&sim, &target, 2, 1000));
        sim.advance(999);
        assert_eq!(*runs.lock().unwrap(), []);
        sim.advance(5000);
        assert_eq!(*runs.lock().unwrap(), [(1000, Some(CPU2))]);
        sim.assert_idle();
    });
}

#[test]
fn a_pending_work_gives_the_reference_back_and_its_schedule_stands() {
    run(|| {
        let sim = machine();
        let (target, runs) = noted(&sim);
        assert!(schedule(&sim, &target, 2, 1000));
        assert_eq!(Ref::count(&target), 2);
        assert!(!schedule(&sim, &target, 1, 10));
        assert_eq!(Ref::count(&target), 2);
        sim.advance(2000);
        assert_eq!(*runs.lock().unwrap(), [(1000, Some(CPU2))]);
        assert_eq!(Ref::count(&target), 1);
    });
}

#[test]
fn a_work_that_schedules_itself_runs_on_the_cpu_it_asks_for() {
    run(|| {
        let sim = machine();
        let runs = Runs::default();
        let (notes, this) = (Arc::clone(&runs), sim.clone());
        let target = target(&sim, move |target, kind, cpu| {
            notes.lock().unwrap().push((this.now_ms(), cpu));
            if cpu == Some(CPU2) {
                assert!(this.schedule(target, kind, CPU1, 1).is_ok());
            }
        });
        assert!(schedule(&sim, &target, 2, 1000));
        sim.advance(2000);
        assert_eq!(*runs.lock().unwrap(), [(1000, Some(CPU2)), (1001, Some(CPU1))]);
    });
}

/// `__queue_work`: the pool that runs the work is taken whatever CPU was asked for.
#[test]
fn a_work_that_is_queued_while_it_runs_runs_next_where_it_is_running() {
    run(|| {
        let sim = machine();
        let runs = Runs::default();
        let (notes, this) = (Arc::clone(&runs), sim.clone());
        let target = target(&sim, move |target, kind, cpu| {
            let first = notes.lock().unwrap().is_empty();
            notes.lock().unwrap().push((this.now_ms(), cpu));
            if first {
                assert!(this.schedule(target, kind, CPU1, 1).is_ok());
                // The timer fires before this run has ended.
                this.elapse(1);
            }
        });
        assert!(schedule(&sim, &target, 2, 1000));
        sim.advance(2000);
        assert_eq!(*runs.lock().unwrap(), [(1000, Some(CPU2)), (1001, Some(CPU2))]);
    });
}

/// The same rule, without a timer in between: whoever wants to move must not ask for a delay of 0.
#[test]
fn a_running_work_that_asks_for_no_delay_stays_where_it_runs() {
    run(|| {
        let sim = machine();
        let runs = Runs::default();
        let (notes, this) = (Arc::clone(&runs), sim.clone());
        let target = target(&sim, move |target, kind, cpu| {
            let first = notes.lock().unwrap().is_empty();
            notes.lock().unwrap().push((this.now_ms(), cpu));
            if first {
                assert!(this.schedule(target, kind, CPU1, 0).is_ok());
            }
        });
        assert!(schedule(&sim, &target, 2, 1000));
        sim.advance(2000);
        assert_eq!(*runs.lock().unwrap(), [(1000, Some(CPU2)), (1000, Some(CPU2))]);
    });
}

#[test]
fn a_work_without_delay_runs_at_once_where_it_was_asked_to() {
    run(|| {
        let sim = machine();
        let (target, runs) = noted(&sim);
        assert!(schedule(&sim, &target, 2, 0));
        sim.settle();
        assert_eq!(*runs.lock().unwrap(), [(0, Some(CPU2))]);
    });
}

#[test]
fn two_runs_of_one_work_never_overlap() {
    explore(300, || {
        let sim = machine();
        let (running, count) = (AtomicBool::new(false), Arc::new(AtomicUsize::new(0)));
        let (this, total) = (sim.clone(), Arc::clone(&count));
        let target = target(&sim, move |target, kind, _| {
            assert!(!running.swap(true, Ordering::SeqCst), "two runs at once");
            if total.fetch_add(1, Ordering::SeqCst) < 3 {
                let _ = this.schedule(target, kind, CPU1, 1);
            }
            preemption_point();
            running.store(false, Ordering::SeqCst);
        });
        let clock = sim.start_clock(8);
        for cpu in 0..4 {
            let _ = sim.schedule(target.clone(), WorkKind::Overflow, CpuId(cpu), 1);
        }
        clock.stop();
        sim.advance(10);
        sim.assert_idle();
        assert!(count.load(Ordering::SeqCst) >= 4);
    });
}

/// `timers_dead_cpu`, `delayed_work_timer_fn`: at its time, in the pool of the dead CPU, whose workers are loose.
#[test]
fn a_work_whose_cpu_went_runs_displaced_at_its_time() {
    run(|| {
        let sim = machine();
        let (target, runs) = noted(&sim);
        assert!(schedule(&sim, &target, 2, 1000));
        sim.advance(500);
        sim.offline(CPU2).unwrap();
        sim.advance(2000);
        assert_eq!(*runs.lock().unwrap(), [(1000, None)]);
        assert_eq!(sim.stats().displaced_runs, 1);
    });
}

/// `rebind_workers`.
#[test]
fn a_work_whose_cpu_went_and_came_back_runs_bound() {
    run(|| {
        let sim = machine();
        let (target, runs) = noted(&sim);
        assert!(schedule(&sim, &target, 2, 1000));
        sim.offline(CPU2).unwrap();
        sim.online(CPU2).unwrap();
        sim.advance(2000);
        assert_eq!(*runs.lock().unwrap(), [(1000, Some(CPU2))]);
    });
}

#[test]
fn a_displaced_work_gets_away_by_scheduling_itself() {
    run(|| {
        let sim = machine();
        let runs = Runs::default();
        let (notes, this) = (Arc::clone(&runs), sim.clone());
        let target = target(&sim, move |target, kind, cpu| {
            notes.lock().unwrap().push((this.now_ms(), cpu));
            if cpu.is_none() {
                assert!(this.schedule(target, kind, CpuId(3), 1).is_ok());
            }
        });
        assert!(schedule(&sim, &target, 2, 1000));
        sim.offline(CPU2).unwrap();
        sim.advance(2000);
        assert_eq!(*runs.lock().unwrap(), [(1000, None), (1001, Some(CpuId(3)))]);
    });
}

/// `unbind_workers`, `rebind_workers`: both reach workers in the middle of a work.
#[test]
fn a_running_work_loses_its_cpu_under_way_and_gets_it_back() {
    run(|| {
        let sim = machine();
        let steps = Arc::new(StdMutex::new(Vec::new()));
        let (notes, this) = (Arc::clone(&steps), sim.clone());
        let target = target(&sim, move |_, _, cpu| {
            notes.lock().unwrap().push((cpu, current_cpu()));
            while this.is_online(CPU2) {
                shuttle::thread::yield_now();
            }
            notes.lock().unwrap().push((cpu, current_cpu()));
            while !this.is_online(CPU2) || current_cpu().is_none() {
                shuttle::thread::yield_now();
            }
            notes.lock().unwrap().push((cpu, current_cpu()));
        });
        assert!(schedule(&sim, &target, 2, 1));
        sim.elapse(1);
        while steps.lock().unwrap().is_empty() {
            shuttle::thread::yield_now();
        }
        sim.offline(CPU2).unwrap();
        while steps.lock().unwrap().len() < 2 {
            shuttle::thread::yield_now();
        }
        sim.online(CPU2).unwrap();
        sim.settle();
        let on = Some(CPU2);
        assert_eq!(*steps.lock().unwrap(), [(on, on), (on, None), (on, on)]);
        assert_eq!(sim.stats().unbound_under_way, 1);
    });
}

#[test]
fn a_work_that_meets_its_cpu_on_the_way_out_runs_in_each_of_three_ways() {
    static SEEN: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
    explore_all(None, || {
        let sim = SimPlatform::new(Topology::packages(1, 2));
        let target = target(&sim, |_, _, cpu| {
            preemption_point();
            let at = match (cpu, current_cpu()) {
                (Some(_), Some(_)) => 0,
                (Some(_), None) => 1,
                (None, _) => 2,
            };
            SEEN[at].fetch_add(1, Ordering::Relaxed);
        });
        assert!(schedule(&sim, &target, 1, 1));
        sim.elapse(1);
        sim.offline(CPU1).unwrap();
        sim.settle();
        sim.assert_idle();
    });
    let [bound, lost, displaced] = SEEN.each_ref().map(|seen| seen.load(Ordering::Relaxed));
    assert!(bound > 0 && lost > 0 && displaced > 0, "{bound} bound, {lost} lost it, {displaced} displaced");
}

/// The window of upstream's lost worker: callbacks have run, workers are still bound.
#[test]
fn a_work_can_run_bound_to_a_cpu_whose_callback_has_run() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    explore_all(None, || {
        let sim = SimPlatform::new(Topology::packages(1, 2));
        let told = Arc::new(AtomicBool::new(false));
        let gone = Arc::clone(&told);
        sim.register_hotplug(|_| Ok(()), move |_| gone.store(true, Ordering::SeqCst)).unwrap();
        let target = target(&sim, move |_, _, cpu| {
            if cpu.is_some() && told.load(Ordering::SeqCst) {
                SEEN.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert!(schedule(&sim, &target, 1, 1));
        sim.elapse(1);
        sim.offline(CPU1).unwrap();
        sim.settle();
    });
    assert!(SEEN.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_sleeping_work_does_not_keep_its_pool_from_the_next() {
    run(|| {
        let sim = machine();
        let mutex = Arc::new(sim.mutex(LockClass::Rdtgroup, ()).unwrap());
        let done = Arc::new(StdMutex::new(vec![]));
        let (lock, notes) = (Arc::clone(&mutex), Arc::clone(&done));
        let target = target(&sim, move |_, kind, _| {
            if kind == WorkKind::Overflow {
                drop(lock.lock());
            }
            notes.lock().unwrap().push(kind);
        });
        let guard = mutex.lock();
        assert!(sim.schedule(target.clone(), WorkKind::Overflow, CPU2, 1).is_ok());
        assert!(sim.schedule(target.clone(), WorkKind::Limbo, CPU2, 1).is_ok());
        sim.elapse(1);
        while done.lock().unwrap().is_empty() {
            shuttle::thread::yield_now();
        }
        drop(guard);
        sim.settle();
        assert_eq!(*done.lock().unwrap(), [WorkKind::Limbo, WorkKind::Overflow]);
    });
}

#[test]
fn a_handler_may_free_its_own_work() {
    run(|| {
        let sim = machine();
        let (target, runs) = noted(&sim);
        assert!(sim.schedule(target, WorkKind::Limbo, CPU2, 10).is_ok());
        assert_eq!(sim.live_works(), 2);
        sim.advance(10);
        assert_eq!(runs.lock().unwrap().len(), 1);
        assert_eq!(sim.live_works(), 0);
    });
}

#[test]
#[should_panic(expected = "a work was freed while it was scheduled on CPU 2")]
fn freeing_a_scheduled_work_is_caught() {
    run(|| {
        let sim = machine();
        let (target, _) = noted(&sim);
        assert!(schedule(&sim, &target, 2, 1000));
        // What freeing the memory under a timer would be: the same work goes twice.
        drop(SimWork { kernel: Arc::downgrade(&sim.kernel), id: target.overflow.id });
    });
}

#[test]
#[should_panic(expected = "not idle: 1 works wait for their time")]
fn a_work_that_is_left_behind_is_caught() {
    run(|| {
        let sim = machine();
        let (target, _) = noted(&sim);
        assert!(schedule(&sim, &target, 2, 1000));
        sim.assert_idle();
    });
}

#[test]
#[should_panic(expected = "scheduled on CPU 2, which has gone")]
fn scheduling_on_a_cpu_that_has_gone_is_caught() {
    run(|| {
        let sim = machine();
        let (target, _) = noted(&sim);
        sim.offline(CPU2).unwrap();
        schedule(&sim, &target, 2, 1000);
    });
}

#[test]
fn a_model_of_wrong_code_may_schedule_on_a_cpu_that_has_gone() {
    run(|| {
        let sim = machine();
        sim.tolerate_gone_cpus();
        let (target, runs) = noted(&sim);
        sim.offline(CPU2).unwrap();
        assert!(schedule(&sim, &target, 2, 1000));
        sim.advance(1000);
        assert_eq!(*runs.lock().unwrap(), [(1000, None)]);
    });
}

#[test]
fn a_clock_of_its_own_fires_as_often_as_it_was_told() {
    run(|| {
        let sim = machine();
        let runs = Runs::default();
        let (notes, this) = (Arc::clone(&runs), sim.clone());
        let target = target(&sim, move |target, kind, cpu| {
            notes.lock().unwrap().push((this.now_ms(), cpu));
            assert!(this.schedule(target, kind, CPU2, 1000).is_ok());
        });
        let clock = sim.start_clock(3);
        assert!(schedule(&sim, &target, 2, 1000));
        while runs.lock().unwrap().len() < 3 {
            shuttle::thread::yield_now();
        }
        clock.stop();
        let on = Some(CPU2);
        assert_eq!(*runs.lock().unwrap(), [(1000, on), (2000, on), (3000, on)]);
        assert_eq!(sim.scheduled_works(), 1);
    });
}

#[test]
fn a_machine_that_is_switched_off_lets_go_of_everything() {
    run(|| {
        let sim = machine();
        let (target, _) = noted(&sim);
        let held = target.clone();
        sim.register_hotplug(|_| Ok(()), move |_| assert_eq!(Ref::count(&held), 0)).unwrap();
        assert!(schedule(&sim, &target, 2, 1000));
        sim.power_off();
        assert_eq!(Ref::count(&target), 1);
        sim.advance(2000);
        sim.assert_idle();
    });
}
