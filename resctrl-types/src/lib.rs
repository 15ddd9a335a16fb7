// SPDX-License-Identifier: GPL-2.0-only
#![doc = include_str!("../README.md")]
//!
//! # Inside
//!
//! The vocabulary of resctrl and the two contracts that cut it into pieces.
//!
//! resctrl shares caches and memory bandwidth out between groups of tasks and counts what each group
//! uses. Three parties make that work, and they only meet here:
//!
//! * the **file system** (`resctrl-fs`), which knows groups, texts and files but no hardware;
//! * an **architecture** ([`Arch`]: `resctrl-x86`, `resctrl-mpam`), which knows registers but no files;
//! * a **platform** ([`Platform`]: the kernel module, the simulated kernel), which knows locks, CPUs,
//!   workers and tasks but neither of the others.
//!
//! What the crate holds:
//!
//! | Module | What |
//! |---|---|
//! | [`errno`] | error numbers as a type |
//! | [`mem`] | `Vec`, `Box` and `String` whose every allocation can fail |
//! | [`refs`] | the reference count behind monitor domains |
//! | [`once`] | data that is found out once and never changes again |
//! | [`locked`] | data that can only be touched while a particular mutex is held |
//! | [`ids`], [`cpumask`], [`cbm`] | newtypes for the numbers of the field |
//! | [`register`] | fields of registers |
//! | [`cache`] | the caches of a machine |
//! | [`resource`], [`event`], [`counter`] | what can be shared out, what can be counted, and with which counters |
//! | [`cpu`] | one life of a CPU: its states and edges, and what its registers hold |
//! | [`context`] | proofs of where code is running: hotplug excluded, on which CPU, may it sleep |
//! | [`online`] | the life of each CPU, and which stay online while a mutex is held |
//! | [`stay`] | proofs of which CPUs stay |
//! | [`crossing`] | going to a CPU of a domain |
//! | [`switch`] | on and off as arguments |
//! | [`pseudo_lock`] | memory that is locked into a cache |
//! | [`arch`], [`platform`] | the contracts |
//! | `sim` | with the feature of that name: a simulated kernel to run all of it in tests |
//!
//! Everything is `no_std`; `unsafe` is confined to [`mem`], [`refs`], [`once`] and [`locked`] and to the
//! constructors of the proofs in [`context`], of which [`online`] makes one.
#![no_std]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]
#![cfg_attr(not(test), warn(clippy::fn_params_excessive_bools))]

extern crate alloc;
#[cfg(feature = "sim")]
extern crate std;

// By way of the crate, so that `memory-model` can compile a file that uses them with Loom's in their place. Who does not, orders
// nothing by them.
use core::sync::atomic;

pub mod arch;
pub mod bits;
pub mod cache;
pub mod cbm;
mod cell;
pub mod context;
pub mod counter;
pub mod cpu;
pub mod cpumask;
pub mod crossing;
pub mod errno;
pub mod event;
pub mod ids;
pub mod locked;
pub mod mem;
pub mod once;
pub mod online;
pub mod platform;
pub mod pseudo_lock;
pub mod refs;
pub mod register;
pub mod resource;
#[cfg(feature = "sim")]
pub mod sim;
pub mod stay;
pub mod switch;

pub use arch::Arch;
pub use context::{BoundTo, CpusHeld, Here, HotplugCpu, IrqOff, Pinned, WorkerContext};
pub use counter::{Counter, CounterAssignment, Transactions};
pub use cpumask::CpuMask;
pub use crossing::DomainCpus;
pub use errno::{Errno, Result};
pub use event::EventId;
pub use ids::{Closid, CpuId, DomainId, MonId, ResourceId, Rmid, RmidIndex, TaskWord, TaskWords};
pub use mem::{KBox, KString, KVec};
pub use online::OnlineCpus;
pub use platform::Platform;
pub use refs::Ref;
pub use resource::ConfType;
pub use stay::CpusStay;
pub use switch::Switch;
