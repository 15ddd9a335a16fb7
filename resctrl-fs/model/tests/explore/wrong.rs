// SPDX-License-Identifier: GPL-2.0-only
//! The versions that were wrong, which `resctrl-fs/tests/wrong` has too: each breaks, and the shortest way is kept.

use resctrl_fs_model::rules::{Hotplug, Time, Version};

use crate::life::{Life, PLAIN, breaks, one_cache};

fn shortest(version: Version, time: Time, name: &'static str) -> String {
    breaks(&Life { rules: one_cache(version, time, Hotplug::Quick, 2), bounds: PLAIN }, name)
}

#[test]
fn before_the_patch_a_worker_uses_a_freed_domain() {
    insta::assert_snapshot!(shortest(Version::Before, Time::Any, "no domain is touched after it was freed"));
}

#[test]
fn as_posted_a_displaced_worker_leaves_two_periods_between_readings() {
    insta::assert_snapshot!(shortest(Version::Posted, Time::Prompt(3), "counters are read again in time"));
}

#[test]
fn as_posted_a_quick_remount_forgets_where_the_worker_is_queued() {
    insta::assert_snapshot!(shortest(Version::Posted, Time::Any, "counters are read in their domain"));
}

#[test]
fn as_posted_but_without_the_hotplug_lock_a_worker_uses_arrays_that_offline_freed() {
    insta::assert_snapshot!(shortest(Version::PostedUnlocked, Time::Any, "no array is touched after it was freed"));
}

#[test]
fn upstream_loses_a_worker_that_picks_the_leaving_cpu() {
    insta::assert_snapshot!(shortest(Version::Upstream, Time::Any, "no worker is lost"));
}
