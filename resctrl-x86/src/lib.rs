// SPDX-License-Identifier: GPL-2.0-only
//! resctrl on x86: the [`Arch`](resctrl_types::Arch) of Intel Resource Director Technology and AMD Platform Quality of
//! Service.
//!
//! A processor with RDT lets software name the *class of service* (CLOSID) and the *monitoring id* (RMID) a thread works
//! for, in one register that is rewritten at context switches. What a class may use (ways of a cache, a percentage of
//! memory bandwidth) and what an id has used are registers of the cache's domain. This crate finds out through CPUID what
//! a machine has, programs it, and reads its counters; it knows nothing of groups or files.
//!
//! The file names are those of `arch/x86/kernel/cpu/resctrl`:
//!
//! | File | What |
//! |---|---|
//! | `core` | what the machine has; CPUs and domains as they come and go |
//! | `rdtgroup` | ids: task words, `IA32_PQR_ASSOC` at context switches; code and data prioritisation |
//! | `ctrlmondata` | control values: apply, reset |
//! | `monitor` | counters: width, wrap, errors, correction |
//! | `snc` | one L3, several NUMA nodes |
//! | `intel` | what only Intel does |
//! | `intel_aet` | energy and performance of each RMID, counted by package |
//! | `amd` | what only AMD does: extended leaves, limits, switches of each thread |
//! | `counters` | AMD's counters that choose what they count, and for whom |
//! | `quirks` | processors that do not do what they say |
//! | `pseudo_lock` | memory that is read into a cache to stay there |
//! | `options` | the parameter `rdt=` |
//! | `msr`, `cpuid` | every register, once |
//!
//! # Invariants
//!
//! * No register is written with a value that the processor would refuse: ids and values are checked against what CPUID
//!   enumerates. Should a processor refuse an access all the same, the first refusal goes to the log, and nothing panics.
//! * [`Arch::sched_in`](resctrl_types::Arch::sched_in) takes no lock, allocates nothing and writes a register only when
//!   the CPU's ids change.
//! * A control value is remembered only once it is in the register.
//!
//! On a processor of any other vendor [`X86::new`] says so and fails.
#![cfg_attr(not(test), warn(clippy::fn_params_excessive_bools))]
#![no_std]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]
#![forbid(unsafe_code)]

mod amd;
mod arch;
mod core;
mod counters;
mod cpuid;
mod ctrlmondata;
mod fault;
mod intel;
mod intel_aet;
mod monitor;
mod msr;
mod options;
mod pseudo_lock;
mod quirks;
mod rdtgroup;
mod register;
mod snc;

pub use crate::core::{CtrlDomain, X86};
pub use intel_aet::{NoTelemetry, TelemetryFeature, TelemetryRegion, TelemetryRegions};
pub use monitor::MonDomain;
pub use options::Options;

use resctrl_types::Here;

/// What the instruction CPUID answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpuid {
    /// Register EAX.
    pub eax: u32,
    /// Register EBX.
    pub ebx: u32,
    /// Register ECX.
    pub ecx: u32,
    /// Register EDX.
    pub edx: u32,
}

/// The processor refused an access to a model specific register: a general protection fault, caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gp;

/// The registers of the CPU that the calling code runs on.
///
/// All of this crate's access to hardware goes through here. The kernel module executes the instructions; tests put
/// emulated hardware in their place.
pub trait Registers: Send + Sync + 'static {
    /// Telemetry of packages, which is not in registers but in memory of a device; [`NoTelemetry`] where there is none.
    type Telemetry: TelemetryRegions;

    /// Every telemetry region of a feature: the kernel's `intel_pmt_get_regions_by_feature`. May wait for a module to load.
    fn telemetry(&self, feature: TelemetryFeature) -> Option<Self::Telemetry>;

    /// Executes CPUID with this leaf in EAX and subleaf in ECX.
    fn cpuid(&self, leaf: u32, subleaf: u32) -> Cpuid;

    /// Executes RDMSR: the kernel's `rdmsrq_safe`. Callable with interrupts off.
    ///
    /// # Errors
    /// The processor refused.
    fn read_msr(&self, here: Here<'_>, msr: u32) -> Result<u64, Gp>;

    /// Executes WRMSR: the kernel's `wrmsrq_safe`. Callable with interrupts off.
    ///
    /// # Errors
    /// The processor refused; the register is as it was.
    fn write_msr(&self, here: Here<'_>, msr: u32, value: u64) -> Result<(), Gp>;

    /// Executes WBINVD: writes back and empties every cache that this CPU uses. Takes long.
    fn flush_caches(&self, here: Here<'_>);
}
