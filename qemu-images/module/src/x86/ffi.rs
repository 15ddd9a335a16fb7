// SPDX-License-Identifier: GPL-2.0-only
//! The mirror of `shim_x86.h`.

use core::ffi::{c_char, c_int};

/// `struct shim_cpuid`.
#[repr(C)]
#[derive(Default)]
pub(super) struct Cpuid {
    pub(super) eax: u32,
    pub(super) ebx: u32,
    pub(super) ecx: u32,
    pub(super) edx: u32,
}

// SAFETY: these are the declarations of `shim_x86.h`.
unsafe extern "C" {
    pub(super) safe fn shim_rdt_parameter() -> *const c_char;
    pub(super) fn shim_cpuid(leaf: u32, subleaf: u32, out: *mut Cpuid);
    pub(super) fn shim_rdmsr(msr: u32, value: *mut u64) -> c_int;
    pub(super) fn shim_wrmsr(msr: u32, value: u64) -> c_int;
}
