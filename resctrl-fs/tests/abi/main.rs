// SPDX-License-Identifier: GPL-2.0-only
//! What users read and write, byte for byte: the whole file system on the simulated kernel, over an architecture that
//! is nothing but its parameters, so that machines of every vendor can be had.

mod amd;
mod arch;
mod machine;

mod assignments;
mod counters;
mod cpus;
mod event_config;
mod event_filter;
mod info;
mod initial;
mod io_alloc;
mod mba_sc;
mod mistakes;
mod mode;
mod mon_data;
mod names;
mod pseudo_lock;
mod pseudo_lock_device;
mod schemata;
mod tasks;
