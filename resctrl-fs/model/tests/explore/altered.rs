// SPDX-License-Identifier: GPL-2.0-only
//! Mistakes that could be made in the protocol here: what must hold does not any more.

use resctrl_fs_model::bounds::Bounds;
use resctrl_fs_model::rules::{Alteration, Hotplug, Time, Version};

use crate::life::{Life, PLAIN, breaks, one_cache};

#[test]
fn each_mistake_breaks_what_it_should() {
    let (any, timed) = (Time::Any, Time::Prompt(3));
    for (alteration, time, name) in [
        (Alteration::TargetsKept, any, "the target says where the worker is"),
        (Alteration::TargetsKept, timed, "the target says where the worker is"),
        (Alteration::RepickLate, timed, "counters are read again in time"),
        (Alteration::PlaceNotAsked, any, "counters are read in their domain"),
        (Alteration::ArmedWithoutReference, any, "each reference has a holder"),
        (Alteration::ArmedWithoutReference, any, "no domain is touched after it was freed"),
        (Alteration::TargetNotIdle, any, "no worker is lost"),
        (Alteration::ExitNotCounting, any, "no worker is left after the end"),
        (Alteration::ExitNotDraining, any, "no worker is left after the end"),
        (Alteration::LostKept, any, "nothing is scheduled on a CPU that has gone"),
    ] {
        let bounds = Bounds { domains: 1, sleep: alteration == Alteration::LostKept, exit: true, ..PLAIN };
        let way =
            breaks(&Life { rules: one_cache(Version::Altered(alteration), time, Hotplug::Slow, 2), bounds }, name);
        println!("{alteration:?}: {way}\n");
    }
}
