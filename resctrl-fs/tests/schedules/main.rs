// SPDX-License-Identifier: GPL-2.0-only
//! The shipped file system and architecture on the simulated kernel and the emulated hardware, driven through the public
//! face only: CPUs and whole domains come and go while workers run, groups come and go and the file system is mounted
//! and unmounted, under many schedules. How to repeat one that failed: see `resctrl_types::sim`.

#![expect(clippy::duplicate_mod, reason = "each example has what examples have in common")]

mod concurrent;
mod counters;
mod crossings;
mod examples;
mod exhaustive;
mod faults;
mod hotplug;
mod invariants;
mod lifetime;
mod machine;
mod mba_sc;
mod model;
mod nodes;
mod pseudo_lock;
mod published;
mod scale;
mod sequences;
mod sleep;
mod snc;
mod telemetry;
mod timing;
