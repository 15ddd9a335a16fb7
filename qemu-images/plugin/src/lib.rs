// SPDX-License-Identifier: GPL-2.0-only
//! A TCG plugin for stock QEMU that puts [`resctrl_hardware`] under a guest.
//!
//! ```text
//! qemu-system-x86_64  -accel tcg ... -plugin libresctrl_qemu_plugin.so,machine=intel.toml[,log=FILE][,registers=FILE][,count=yes]
//! qemu-system-aarch64 -accel tcg ... -plugin libresctrl_qemu_plugin.so,machine=mpam.toml[,log=FILE][,registers=FILE][,count=yes]
//! ```
//!
//! `log` tells of register writes as they happen; `registers` has what the registers hold at the end, and when the guest asked for
//! it (`rdt-traffic keep`).
//!
//! Where the machine has PCI devices ([`Machine::devices`](resctrl_hardware::Machine::devices)), they are QEMU's to be made:
//! `devices=PATH` lets the plugin serve them on sockets, for a `-device vfio-user-pci` with each of them (`PATH.0`, `PATH.1`, ...).
//!
//! One library serves both: what QEMU says of itself decides between RDT (`x86`) and MPAM (`aarch64`). The machine file
//! must be of that architecture, and QEMU be started with the arguments that the file leads to
//! ([`Machine::qemu_args`](resctrl_hardware::Machine::qemu_args)); an Arm guest also needs the machine's tables in its
//! initial RAM disk ([`Machine::acpi_tables`](resctrl_hardware::Machine::acpi_tables)).

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

mod aarch64;
mod count;
mod devices;
mod feed;
mod fit;
mod kept;
mod log;
mod options;
mod qemu;
mod spin;
mod x86;

use count::Counts;
use fit::Fit;
use options::Options;
use qemu::Guest;
use resctrl_hardware::Rdt;
use resctrl_hardware::mpam::System;
use std::ffi::{c_char, c_int};
use std::time::Instant;

/// Version of the plugin interface this was written for. QEMU reads it before anything else and refuses to load a plugin
/// of a version it does not know.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "QEMU looks for this name")]
pub static qemu_plugin_version: c_int = qemu::API_VERSION;

/// Entry point: QEMU calls it once, before the guest exists.
///
/// # Safety
///
/// For QEMU to call, with `info` valid for the call and `argv` an array of `argc` strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: qemu::PluginId,
    info: *const qemu::Info,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: as this function requires of its caller.
    let target = unsafe { qemu::Target::read(info) };
    // SAFETY: as above.
    let arguments = unsafe { qemu::arguments(argc, argv) };
    match install(id, &target, &arguments) {
        Ok(()) => 0,
        Err(problem) => {
            eprintln!("resctrl plugin: {problem}");
            1
        }
    }
}

fn install(id: qemu::PluginId, target: &qemu::Target, arguments: &[String]) -> Result<(), String> {
    let guest = target.check()?;
    let api = qemu::Api::resolve()?;
    let options = Options::parse(arguments)?;
    options.check(guest, target)?;
    let fit = Fit::new(&options.machine_path, &options.machine);
    let counts = options.count.then(Counts::default);
    match guest {
        Guest::X86 => {
            let rdt = Rdt::new(&options.machine).map_err(|problem| problem.to_string())?;
            let plugin = x86::Plugin::start(id, api, (rdt, fit), (options.log, options.kept), counts, target.cpus);
            if let Some(path) = &options.devices {
                devices::serve(plugin.rdt(), path)?;
            }
            plugin.register();
        }
        Guest::Aarch64 => {
            let system = System::new(&options.machine)
                .map_err(|problem| format!("{}: {problem}", options.machine_path.display()))?;
            aarch64::Plugin::start(id, api, (system, fit), (options.log, options.kept), counts, target.cpus).register();
        }
    }
    Ok(())
}

/// Nanoseconds since then.
fn nanoseconds_since(then: Instant) -> u64 {
    u64::try_from(then.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The lower half of a register.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
const fn low(register: u64) -> u32 {
    register as u32
}
