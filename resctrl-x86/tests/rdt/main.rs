// SPDX-License-Identifier: GPL-2.0-only
//! The architecture on emulated hardware in the simulated kernel: the same calls, the same registers as in a guest.

mod amd;
mod control;
mod ids;
mod machine;
mod monitor;
mod probe;
mod pseudo_lock;
mod snc;
mod telemetry;
