// SPDX-License-Identifier: GPL-2.0-only
//! The driver against emulated MSCs, in the simulated kernel.

mod accesses;
pub(crate) mod board;
mod cdp;
mod counters;
mod devices;
mod file_system;
mod guests;
mod hotplug;
mod monitors;
mod moves;
mod probe;
mod resctrl;
mod sleep;
mod split;
mod t241;
