// SPDX-License-Identifier: GPL-2.0-only
//! Which QEMU this is, and what it emulates.

use super::{API_VERSION, Info};
use std::ffi::{CStr, c_int};

/// The guests that the plugin has hardware for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guest {
    X86,
    Aarch64,
}

/// What QEMU says of itself and the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    name: String,
    oldest_version: c_int,
    current_version: c_int,
    system_emulation: bool,
    /// CPUs of the guest.
    pub(crate) cpus: usize,
    /// CPUs that it can have if more are plugged in.
    pub(crate) most_cpus: usize,
}

impl Target {
    /// Reads what QEMU passes to the entry point.
    ///
    /// # Safety
    ///
    /// `info` is valid, as is the string in it.
    pub(crate) unsafe fn read(info: *const Info) -> Self {
        // SAFETY: `info` is valid, says the caller.
        let info = unsafe { &*info };
        // SAFETY: QEMU's target name is a terminated string.
        let name = unsafe { CStr::from_ptr(info.target_name) };
        Self {
            name: name.to_string_lossy().into_owned(),
            oldest_version: info.oldest_version,
            current_version: info.current_version,
            system_emulation: info.system_emulation,
            cpus: usize::try_from(info.smp_vcpus).unwrap_or(0),
            most_cpus: usize::try_from(info.max_vcpus).unwrap_or(0),
        }
    }

    /// Checks that this is a QEMU the plugin can work with, and tells which guests it has.
    pub(crate) fn check(&self) -> Result<Guest, String> {
        let Self { name, oldest_version, current_version, system_emulation, .. } = self;
        if !(*oldest_version..=*current_version).contains(&API_VERSION) {
            return Err(format!(
                "built for version {API_VERSION} of QEMU's plugin interface (QEMU 11), this QEMU has {oldest_version} to \
                 {current_version}"
            ));
        }
        if !system_emulation {
            return Err(
                "there is no RDT or MPAM in user-mode emulation; use qemu-system-x86_64 or qemu-system-aarch64"
                    .to_owned(),
            );
        }
        match name.as_str() {
            "x86_64" => Ok(Guest::X86),
            "aarch64" => Ok(Guest::Aarch64),
            _ => Err(format!("RDT belongs to an x86_64 guest and MPAM to an aarch64 guest, this QEMU emulates {name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Target {
        /// QEMU 11 with so many CPUs.
        pub(crate) fn with_cpus(cpus: usize, most_cpus: usize) -> Self {
            Self {
                name: "x86_64".into(),
                oldest_version: 2,
                current_version: 7,
                system_emulation: true,
                cpus,
                most_cpus,
            }
        }
    }

    fn qemu_11() -> Target {
        Target::with_cpus(4, 4)
    }

    #[test]
    fn a_qemu_of_another_interface_is_refused_with_both_versions() {
        let old = Target { current_version: 5, ..qemu_11() };
        let problem = old.check().unwrap_err();
        assert!(problem.contains("version 7") && problem.contains("2 to 5"), "{problem}");
        assert_eq!(qemu_11().check(), Ok(Guest::X86));
    }

    #[test]
    fn other_guests_are_refused() {
        assert_eq!(Target { name: "aarch64".into(), ..qemu_11() }.check(), Ok(Guest::Aarch64));
        assert!(Target { name: "riscv64".into(), ..qemu_11() }.check().unwrap_err().contains("riscv64"));
        assert!(Target { system_emulation: false, ..qemu_11() }.check().unwrap_err().contains("user-mode"));
    }
}
