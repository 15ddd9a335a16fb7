// SPDX-License-Identifier: GPL-2.0-only
//! What runs a guest: QEMU with the emulated hardware of this project, or Arm's own model.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::fvp::Model;
use crate::kernels::Arch;

/// Flags of the subcommands that boot guests.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Platform")]
pub(crate) struct PlatformOptions {
    /// What runs the guest: QEMU with emulated hardware, or Arm's FVP Base RevC (arm64 only; not included)
    #[arg(long, value_enum, default_value_t)]
    platform: Kind,
    /// The model FVP_Base_RevC-2xAEMvA [default: $FVP_BASE_REVC]
    #[arg(long, value_name = "PATH")]
    fvp: Option<PathBuf>,
    /// Folder with the model's firmware, bl1.bin and fip.bin (TF-A with UEFI) [default: $FVP_FIRMWARE]
    #[arg(long, value_name = "DIR")]
    fvp_firmware: Option<PathBuf>,
}

impl PlatformOptions {
    /// The flags again.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let kind = (self.platform == Kind::Fvp).then(|| ("--platform", "fvp".into()));
        let fvp = self.fvp.as_ref().map(|path| ("--fvp", path.into()));
        let firmware = self.fvp_firmware.as_ref().map(|path| ("--fvp-firmware", path.into()));
        [kind, fvp, firmware].into_iter().flatten().flat_map(|(flag, value)| [flag.into(), value]).collect()
    }
}

/// Value of `--platform`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// QEMU
    #[default]
    Qemu,
    /// Arm's Fixed Virtual Platform
    Fvp,
}

/// What runs a guest, ready to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Platform {
    /// QEMU.
    Qemu,
    /// Arm's model.
    Fvp(Model),
}

impl PlatformOptions {
    /// Which one is asked for.
    pub(crate) fn kind(&self) -> Kind {
        self.platform
    }

    /// Finds what is asked for, for guests of `arch`.
    ///
    /// # Errors
    ///
    /// The model is asked for and not configured, or cannot run such guests.
    pub(crate) fn find(&self, arch: Arch) -> Result<Platform> {
        self.find_in(arch, |name| env::var_os(name))
    }

    fn find_in(&self, arch: Arch, variable: impl Fn(&str) -> Option<OsString>) -> Result<Platform> {
        let configured = |flag: &Option<PathBuf>, name: &str| {
            flag.clone().or_else(|| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from))
        };
        if self.platform == Kind::Qemu {
            ensure!(self.fvp.is_none(), "--fvp has no meaning without --platform fvp");
            return Ok(Platform::Qemu);
        }
        ensure!(arch == Arch::Arm64, "the FVP runs guests for arm64; the machine is for {arch}");
        let Some(program) = configured(&self.fvp, "FVP_BASE_REVC") else {
            bail!(
                "--platform fvp needs Arm's model \"FVP Base RevC\". It is free of charge, but may not be passed on: \
                 download \"Armv-A Base RevC AEM FVP\" for Linux from https://developer.arm.com (Tools and Software, \
                 Fixed Virtual Platforms), and give the path of its program FVP_Base_RevC-2xAEMvA with --fvp or in the \
                 environment variable FVP_BASE_REVC"
            );
        };
        ensure!(program.is_file(), "there is no FVP at {}", program.display());
        let Some(firmware) = configured(&self.fvp_firmware, "FVP_FIRMWARE") else {
            bail!(
                "--platform fvp needs firmware that turns MPAM on for the kernel and boots through UEFI and ACPI: Trusted \
                 Firmware-A (with ENABLE_FEAT_MPAM) with EDK2 for platform fvp. Give the folder with bl1.bin and fip.bin \
                 with --fvp-firmware or in the environment variable FVP_FIRMWARE"
            );
        };
        let file = |name: &str| -> Result<PathBuf> {
            let path = firmware.join(name);
            ensure!(path.is_file(), "the FVP's firmware is incomplete: there is no {}", path.display());
            std::path::absolute(&path).with_context(|| format!("no such place: {}", path.display()))
        };
        Ok(Platform::Fvp(Model { program, boot_rom: file("bl1.bin")?, flash: file("fip.bin")? }))
    }
}

impl Platform {
    /// Name for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Qemu => "QEMU",
            Self::Fvp(_) => "the FVP",
        }
    }

    /// How many times longer than QEMU it takes for anything; time limits are stretched by it.
    pub(crate) fn slowness(&self) -> u32 {
        match self {
            Self::Qemu => 1,
            Self::Fvp(_) => 10,
        }
    }

    /// The folder with its machine files, within the checkout.
    pub(crate) fn machines(kind: Kind) -> &'static Path {
        Path::new(match kind {
            Kind::Qemu => "qemu-images/machines",
            Kind::Fvp => "qemu-images/fvp/machines",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn fvp(program: Option<&Path>) -> PlatformOptions {
        PlatformOptions { platform: Kind::Fvp, fvp: program.map(Path::to_owned), fvp_firmware: None }
    }

    #[test]
    fn without_the_model_the_message_says_where_it_is_and_what_to_set() {
        let error = fvp(None).find_in(Arch::Arm64, |_| None).unwrap_err().to_string();
        for part in ["https://developer.arm.com", "free of charge", "--fvp", "FVP_BASE_REVC"] {
            assert!(error.contains(part), "{error}");
        }
        let error = fvp(Some(Path::new("/nonexistent/FVP"))).find_in(Arch::Arm64, |_| None).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/FVP"), "{error}");
        let error = fvp(None).find_in(Arch::Amd64, |_| None).unwrap_err().to_string();
        assert!(error.contains("arm64"), "{error}");
    }

    #[test]
    fn the_model_is_found_by_flag_or_variable_and_needs_its_firmware() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("FVP_Base_RevC-2xAEMvA");
        fs::write(&program, "").unwrap();
        let error = fvp(Some(&program)).find_in(Arch::Arm64, |_| None).unwrap_err().to_string();
        assert!(error.contains("--fvp-firmware") && error.contains("ENABLE_FEAT_MPAM"), "{error}");
        let variables = |name: &str| match name {
            "FVP_BASE_REVC" => Some(program.clone().into_os_string()),
            "FVP_FIRMWARE" => Some(folder.path().as_os_str().to_owned()),
            _ => None,
        };
        let error = fvp(None).find_in(Arch::Arm64, variables).unwrap_err().to_string();
        assert!(error.contains("bl1.bin"), "{error}");
        for name in ["bl1.bin", "fip.bin"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let Ok(Platform::Fvp(model)) = fvp(None).find_in(Arch::Arm64, variables) else { panic!("all is there") };
        assert_eq!(model.program, program);
    }
}
