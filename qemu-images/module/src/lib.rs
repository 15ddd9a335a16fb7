// SPDX-License-Identifier: GPL-2.0-only
//! resctrl.ko: the file system and an architecture on a real kernel.
//!
//! Cargo makes a static library of this crate for the bare target, Kbuild links it with the C shim (`shim*.c`) into a
//! module. The shim only wraps; what is decided is decided in Rust.
//!
//! | File | What |
//! |---|---|
//! | `instance` | the one [`Resctrl`](resctrl_fs::Resctrl) of this kernel: start, end, hotplug, context switch |
//! | `vfs` | what the kernel's VFS asks of the tree |
//! | `platform`, `lock`, `work`, `cpu`, `task` | the [`Platform`](resctrl_types::Platform) over the shim |
//! | `x86` | the processor's CPUID and MSRs; telemetry of packages; pseudo-locked regions |
//! | `mpam` | on arm64: firmware tables, MSCs, system registers, error interrupts |
//! | `memory` | the allocator, and what a panic does |
//! | `ffi` | every function that crosses the border, once |
//! | `convert`, `line` | what can be tested without a kernel |
//!
//! # Invariants
//!
//! * No Rust lock is held while a user's memory is touched: texts go through the kernel's buffers.
//! * Once the module's exit function has returned no code of it runs: the file system is unregistered, the hotplug
//!   callbacks and the tracepoint are removed and waited for, and the workers' own queue is destroyed.
//!
//! On a host target there is nothing but the tests of `convert` and `line`.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]
#![cfg_attr(not(test), warn(clippy::fn_params_excessive_bools))]

#[cfg(any(target_os = "none", test))]
mod convert;
#[cfg(any(target_os = "none", test))]
mod line;

#[cfg(target_os = "none")]
mod cpu;
#[cfg(target_os = "none")]
mod ffi;
#[cfg(target_os = "none")]
mod instance;
#[cfg(target_os = "none")]
mod lock;
#[cfg(target_os = "none")]
mod memory;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod mpam;
#[cfg(target_os = "none")]
mod platform;
#[cfg(target_os = "none")]
mod task;
#[cfg(target_os = "none")]
mod vfs;
#[cfg(target_os = "none")]
mod work;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod x86;

/// `MODULE_VERSION`. Not `#[used]`: that gives the section a flag which keeps it apart from the shim's.
#[cfg(target_os = "none")]
#[unsafe(no_mangle)]
// SAFETY: the kernel reads this section as text, one `name=value` with a NUL each.
#[unsafe(link_section = ".modinfo")]
static rust_version: [u8; VERSION_TEXT.len()] = *VERSION_TEXT;

#[cfg(target_os = "none")]
const VERSION_TEXT: &[u8; concat!("version=", env!("CARGO_PKG_VERSION"), "\0").len()] =
    match concat!("version=", env!("CARGO_PKG_VERSION"), "\0").as_bytes().first_chunk() {
        Some(text) => text,
        None => panic!("a text is as long as it is"),
    };
