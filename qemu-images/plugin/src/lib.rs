// SPDX-License-Identifier: GPL-2.0-only
//! A TCG plugin for stock QEMU that puts [`resctrl_hardware`] under an x86 guest.
//!
//! ```text
//! qemu-system-x86_64 -accel tcg ... -plugin libresctrl_qemu_plugin.so,machine=intel.toml[,log=FILE]
//! ```
//!
//! QEMU knows nothing of RDT: it answers CPUID without it, reads its registers as zero and drops writes to them. The
//! plugin watches the three instructions involved and nothing else, so a guest runs at almost full speed:
//!
//! * CPUID and RDMSR execute as they are; before the *next* instruction the plugin puts the emulated results into the
//!   registers (`pending`). Skipping the instruction instead would lose the lazily computed flags.
//! * WRMSR is carried out before QEMU drops it.
//! * A general protection fault is raised by QEMU itself: the plugin swaps the arguments for ones QEMU refuses, and puts
//!   the guest's own back when the exception is on its way (`hooks`).
//!
//! A leaf of CPUID that no processor has is the way for guest programs to drive the traffic source, see
//! [`resctrl_hardware::control`].

mod hooks;
mod instruction;
mod log;
mod options;
mod pending;
mod qemu;

use hooks::Plugin;
use options::Options;
use resctrl_hardware::Rdt;
use std::ffi::{c_char, c_int};

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
    target.check()?;
    let api = qemu::Api::resolve()?;
    let options = Options::parse(arguments)?;
    let rdt = Rdt::new(&options.machine).map_err(|problem| problem.to_string())?;
    let cpus = options.machine.topology.cpus();
    if target.cpus != cpus {
        return Err(format!(
            "{} describes {cpus} CPUs, QEMU was started with {}: use -smp {}",
            options.machine_path.display(),
            target.cpus,
            options.machine.smp()
        ));
    }
    Plugin::start(api, rdt, options.log, cpus).register(id);
    Ok(())
}
