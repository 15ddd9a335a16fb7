// SPDX-License-Identifier: GPL-2.0-only
//! Code that was wrong, kept so that it must be caught.
//!
//! Each model is the worker and hotplug protocol of some version of the kernel, cut down to what the lifetime of a
//! monitor domain hangs on, on the same simulated kernel on which the shipped code is tested. If a scheduler that finds
//! nothing in the shipped code finds nothing here either, it is the scheduler that is blind. The schedules that break
//! each model are told as stories in `docs/lifetime.md`.
//!
//! | Model | Version |
//! |---|---|
//! | [`before`] | before the patch: offline cancels the worker without waiting and frees the domain |
//! | [`posted`] | the patch as it was posted: a count in each domain, "no CPU" as a mark |
//! | [`upstream`] | Linux 7.3: offline cancels the worker, waits for it, and queues it anew |

mod before;
mod posted;
mod upstream;
mod world;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use resctrl_fs_model::follow::{Refusal, follow, in_order};
use resctrl_fs_model::rules::{Hotplug, Rules, Time, Version};
use resctrl_types::CpuId;
use resctrl_types::sim;
use resctrl_types::sim::trace::{record, recorded};

use world::{Model, World};

/// How many random schedules a model may survive before the test takes the search for blind.
const TRIES: usize = 20_000;
/// With how many preemptions at most each model breaks.
const PREEMPTIONS: usize = 2;

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// A search must find a schedule that fails, and with this complaint. One that is run again just fails.
fn must_fail(complaint: &str, search: impl FnOnce() -> usize) {
    if sim::is_replay() {
        search();
        return;
    }
    let outcome = catch_unwind(AssertUnwindSafe(search));
    let panic = outcome.expect_err("no schedule broke the model");
    let message = message(&*panic);
    assert!(message.contains(complaint), "expected `{complaint}`, got: {message}");
}

/// A random search through `long` must find a schedule that fails with this complaint, and so must one through all
/// schedules of `short` with few preemptions.
fn must_be_caught(complaint: &str, long: fn(), short: fn()) {
    must_fail(complaint, || sim::explore(TRIES, long));
    must_fail(complaint, || sim::explore_preemptions(PREEMPTIONS, short));
}

/// The CPUs of the second package, which is domain 1.
const PACKAGE: [CpuId; 2] = [CpuId(2), CpuId(3)];

/// Takes the whole of domain 1 away while its workers run.
fn lose_the_domain<M: Model>() {
    let world = World::<M>::boot();
    world.mount();
    world.make_busy(1);
    let clock = world.sim.start_clock(6);
    for cpu in PACKAGE {
        world.sim.offline(cpu).unwrap();
    }
    clock.stop();
    world.sim.advance(3000);
    world.shutdown();
}

/// One CPU of domain 1 goes and comes back; afterwards the worker must still be there, and never have been late.
fn move_the_worker<M: Model>() {
    let world = World::<M>::boot();
    world.mount();
    let clock = world.sim.start_clock(6);
    world.sim.offline(PACKAGE[0]).unwrap();
    clock.stop();
    world.sim.advance(3000);
    world.check_workers();
    world.shutdown();
}

/// Unmounted and mounted again within a period, around a change of CPUs; then the rest of the domain goes.
fn remount_quickly<M: Model>() {
    let world = World::<M>::boot();
    world.sim.offline(PACKAGE[0]).unwrap();
    world.mount();
    world.unmount();
    world.sim.online(PACKAGE[0]).unwrap();
    world.mount();
    let clock = world.sim.start_clock(6);
    for cpu in [PACKAGE[1], PACKAGE[0]] {
        world.sim.offline(cpu).unwrap();
    }
    clock.stop();
    world.sim.advance(3000);
    world.shutdown();
}

/// A machine one tick before the worker of domain 1 is due, alone: the domain has come half a second after the other.
fn due<M: Model>(remounted: bool) -> Arc<World<M>> {
    let world = World::<M>::boot();
    for cpu in PACKAGE {
        world.sim.offline(cpu).unwrap();
    }
    world.mount();
    world.sim.advance(500);
    if remounted {
        world.sim.online(PACKAGE[1]).unwrap();
        world.unmount();
        world.sim.online(PACKAGE[0]).unwrap();
        world.mount();
    } else {
        for cpu in PACKAGE {
            world.sim.online(cpu).unwrap();
        }
    }
    world.sim.advance(999);
    world
}

/// The worker comes due while CPUs leave. For the search through all schedules: one thread and the worker.
fn leave_when_due<M: Model>(remounted: bool, cpus: &[CpuId]) {
    let world = sim::in_one_order(|| due::<M>(remounted));
    let timer = {
        let sim = world.sim.clone();
        shuttle::thread::spawn(move || sim.elapse(1))
    };
    cpus.iter().for_each(|&cpu| world.sim.offline(cpu).unwrap());
    timer.join().unwrap();
    sim::in_one_order(|| {
        world.sim.advance(3000);
        world.check_workers();
        world.shutdown();
    });
}

#[test]
fn before_the_patch_a_worker_uses_a_freed_domain() {
    type M = before::Before;
    must_be_caught("use of a freed domain", lose_the_domain::<M>, || leave_when_due::<M>(false, &PACKAGE));
}

#[test]
fn as_posted_a_displaced_worker_leaves_two_periods_between_readings() {
    type M = posted::Posted<true>;
    must_be_caught("too long between two readings", move_the_worker::<M>, || leave_when_due::<M>(false, &PACKAGE[..1]));
}

#[test]
fn as_posted_a_quick_remount_forgets_where_the_worker_is_queued() {
    type M = posted::Posted<true>;
    must_be_caught("outside its domain", remount_quickly::<M>, || leave_when_due::<M>(true, &PACKAGE[1..]));
}

#[test]
fn as_posted_but_without_the_hotplug_lock_a_worker_uses_arrays_that_offline_freed() {
    type M = posted::Posted<false>;
    must_be_caught("use of freed arrays", lose_the_domain::<M>, || leave_when_due::<M>(false, &PACKAGE));
}

#[test]
fn upstream_loses_a_worker_that_picks_the_leaving_cpu() {
    type M = upstream::Upstream;
    must_be_caught("lost for good", move_the_worker::<M>, || leave_when_due::<M>(false, &PACKAGE[..1]));
}

/// What the explicit model of the protocol here says to a run of a version, in which a CPU leaves or none does.
fn judged<M: Model>(leaving: &'static [CpuId]) -> Result<usize, Refusal> {
    let runs = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&runs);
    sim::run(move || {
        let world = World::<M>::boot();
        record();
        world.mount();
        world.sim.advance(1500);
        leaving.iter().for_each(|&cpu| world.sim.offline(cpu).unwrap());
        if leaving.is_empty() {
            world.sim.advance(2500);
            world.unmount();
            world.sim.advance(1500);
        }
        kept.lock().unwrap().push(in_order(recorded().unwrap()));
        world.shutdown();
    });
    let packages = vec![0, 0, 1, 1];
    let (version, time, hotplug) = (Version::Counted, Time::Recorded, Hotplug::Slow);
    let rules = Rules { version, time, hotplug, packages, isolated: vec![false; 4], anchored: false };
    let runs = runs.lock().unwrap();
    follow(&rules, &runs[0])
}

/// As long as no CPU leaves, all versions do the same. Then none of these does what the model allows.
#[test]
fn the_model_of_the_protocol_here_allows_none_of_these() {
    fn refused<M: Model>(what: &str) {
        judged::<M>(&[]).unwrap();
        let why = judged::<M>(&PACKAGE[..1]).unwrap_err().why;
        assert!(why.contains(what), "expected `{what}`, got: {why}");
    }
    if sim::is_replay() {
        return;
    }
    refused::<before::Before>("the model cancels nothing");
    refused::<posted::Posted<true>>("the model cannot do `callback: takes the mutex` here");
    refused::<posted::Posted<false>>("the model cannot do `callback: takes the mutex` here");
    refused::<upstream::Upstream>("the model cancels nothing");
}

#[test]
fn the_models_work_as_long_as_nothing_races() {
    fn quiet<M: Model>() {
        let world = World::<M>::boot();
        world.mount();
        world.make_busy(1);
        world.sim.advance(5000);
        world.check_workers();
        world.unmount();
        world.sim.advance(2000);
        world.shutdown();
    }
    sim::run(quiet::<before::Before>);
    sim::run(quiet::<posted::Posted<true>>);
    sim::run(quiet::<upstream::Upstream>);
}
