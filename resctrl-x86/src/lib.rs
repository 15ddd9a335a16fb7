// SPDX-License-Identifier: GPL-2.0-only
#![doc = include_str!("../README.md")]
//!
//! # Inside
//!
//! resctrl on x86: the [`Arch`](resctrl_types::Arch) of Intel Resource Director Technology and AMD Platform Quality of
//! Service.
//!
//! A processor with RDT lets software name the *class of service* (CLOSID) and the *monitoring id* (RMID) a thread works
//! for, in one register that is rewritten at context switches. What a class may use (ways of a cache, a percentage of
//! memory bandwidth) and what an id has used are registers of the cache's domain. This crate finds out through CPUID what
//! a machine has, programs it, and reads its counters; it knows nothing of groups or files.
//!
//! The file names are those of `arch/x86/kernel/cpu/resctrl` where there is one for it. From the bottom to the top:
//!
//! | File | What |
//! |---|---|
//! | `processor` | what is asked of whoever runs the processor: CPUID, registers, telemetry |
//! | `msr`, `cpuid` | every register, once |
//! | `fault` | the first access that was refused |
//! | `options` | the parameter `rdt=` |
//! | `quirks` | processors that do not do what they say |
//! | `vendor`, `intel`, `amd` | whose processor it is, and what only Intel or AMD does: leaves, limits |
//! | `snc` | one L3, several NUMA nodes |
//! | `controls`, `monitor/l3`, `intel_aet/telemetry` | what can be shared out, and what can be counted |
//! | `core` | what there is of this machine, and going to a CPU of a domain |
//! | `rdtgroup` | ids: task words, `IA32_PQR_ASSOC` at context switches; code and data prioritisation |
//! | `ctrlmondata` | control values: apply, reset |
//! | `monitor` | counters: width, wrap, errors, correction |
//! | `counters` | AMD's counters that choose what they count, and for whom |
//! | `switches` | AMD's switches of each thread |
//! | `intel_aet` | energy and performance of each RMID, counted by package |
//! | `pseudo_lock` | memory that is read into a cache to stay there |
//! | `domain` | CPUs and domains that come, go, and sleep |
//! | `probe` | finding out what the machine has |
//!
//! # Invariants
//!
//! * No register is written with a value that the processor would refuse: ids and values are checked against what CPUID
//!   enumerates. Should a processor refuse an access all the same, the first refusal goes to the log, and nothing panics.
//! * [`Ids::sched_in`](resctrl_types::arch::Ids::sched_in) takes no lock, allocates nothing and writes a register only when
//!   the CPU's ids change.
//! * A control value is remembered only once it is in the register.
//!
//! On a processor of any other vendor [`X86::new`] says so and fails.
#![cfg_attr(not(test), warn(clippy::fn_params_excessive_bools))]
#![no_std]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]
#![forbid(unsafe_code)]

// By way of the crate, so that resctrl-types/memory-model can compile a file that uses them with Loom's in their place. Who does
// not, orders nothing by them.
use ::core::sync::atomic;

mod amd;
mod controls;
mod core;
mod counters;
mod cpuid;
mod ctrlmondata;
mod domain;
mod fault;
mod intel;
mod intel_aet;
mod monitor;
mod msr;
mod options;
mod probe;
mod processor;
mod pseudo_lock;
mod quirks;
mod rdtgroup;
mod register;
mod snc;
mod switches;
mod vendor;

pub use crate::core::{CtrlDomain, X86};
pub use monitor::MonDomain;
pub use options::Options;
pub use processor::{Cpuid, Gp, NoTelemetry, Registers, TelemetryFeature, TelemetryRegion, TelemetryRegions};
