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

use resctrl_types::CpuId;
use resctrl_types::sim;

use world::{Model, World};

/// How many random schedules a model may survive before the test takes the search for blind.
const TRIES: usize = 20_000;

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// Some schedule of `body` must fail, and with this complaint.
fn must_be_caught(complaint: &str, body: impl Fn() + Send + Sync + 'static) {
    let outcome = catch_unwind(AssertUnwindSafe(|| sim::explore(TRIES, body)));
    let panic = outcome.expect_err("no schedule broke the model");
    let message = message(&*panic);
    assert!(message.contains(complaint), "expected `{complaint}`, got: {message}");
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

#[test]
fn before_the_patch_a_worker_uses_a_freed_domain() {
    must_be_caught("use of a freed domain", lose_the_domain::<before::Before>);
}

#[test]
fn as_posted_a_displaced_worker_leaves_two_periods_between_readings() {
    must_be_caught("too long between two readings", move_the_worker::<posted::Posted<true>>);
}

#[test]
fn as_posted_a_quick_remount_forgets_where_the_worker_is_queued() {
    must_be_caught("outside its domain", remount_quickly::<posted::Posted<true>>);
}

#[test]
fn as_posted_but_without_the_hotplug_lock_a_worker_uses_arrays_that_offline_freed() {
    must_be_caught("use of freed arrays", lose_the_domain::<posted::Posted<false>>);
}

#[test]
fn upstream_loses_a_worker_that_picks_the_leaving_cpu() {
    must_be_caught("lost for good", move_the_worker::<upstream::Upstream>);
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
