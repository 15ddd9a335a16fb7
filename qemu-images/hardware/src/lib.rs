// SPDX-License-Identifier: GPL-2.0-only
#![doc = include_str!("../README.md")]
//!
//! # Inside
//!
//! Emulated cache and memory-bandwidth control hardware, as a plain library.
//!
//! One [`Rdt`] value is the Intel Resource Director Technology of one whole machine: its CPUID leaves, its model
//! specific registers and its monitoring counters. It answers exactly what a processor answers and knows nothing of
//! resctrl, QEMU or wall-clock time, so that the same value serves below a driver's unit tests (virtual time, thousands
//! of machines in a process) and below a guest (the QEMU plugin). It shares no code with the drivers it is there to
//! test: an error made on both sides would cancel out.
//!
//! What the parts are:
//!
//! * [`machine`]: the declarative description of a machine, read from a TOML file.
//! * [`registers`]: every register once, with its fields and where the manual describes it.
//! * [`Rdt`]: `cpuid`, `rdmsr` and `wrmsr` of each CPU, and the traffic source behind the counters; of Intel's RDT and of
//!   AMD's Platform Quality of Service, which has the same registers and some of its own.
//! * [`caches`]: caches that behave: what they hold and move because of what the guest does, where that is asked for.
//! * [`pmu`]: counters of the processor, which count what those caches miss; [`memory_controller`]: those of the memory behind them.
//! * [`write_log`]: what was written to the registers, to prove that something was, or was not.
//! * [`telemetry`]: what the management units of packages count, and the PCI devices that show it.
//! * [`control`]: how software inside a guest drives the traffic source.
//! * [`mpam`]: the same for Arm: MPAM's memory system components, processors and firmware tables.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

mod cpuid;
mod domain;
mod flow;
mod monitor;
mod numbers;
mod qos;
mod rdt;
mod traffic;

pub mod caches;
pub mod control;
pub mod machine;
pub mod memory_controller;
pub mod mpam;
pub mod pmu;
pub mod registers;
pub mod telemetry;
pub mod write_log;

pub use caches::Caches;
pub use flow::{Flow, TrafficError};
pub use machine::{Machine, MachineError};
pub use monitor::{Event, Fault};
pub use rdt::{Gp, Rdt};
