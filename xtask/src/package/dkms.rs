// SPDX-License-Identifier: GPL-2.0-only
//! `resctrl-rust-dkms`: the module's Rust code compiled, its C code as source, and what DKMS and Debian need to know.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use regex::Regex;

use super::deb::Deb;
use super::version::Version;
use crate::kernels::{Arch, Kernel};
use crate::workspace;

/// Name of the package.
pub(crate) const NAME: &str = "resctrl-rust-dkms";

/// What the kernel calls an instruction set.
const fn machine(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x86_64",
        Arch::Arm64 => "aarch64",
    }
}

/// Options that a kernel must have: room in its tasks, and what the compiled code calls.
const fn configuration(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "CONFIG_X86_CPU_RESCTRL CONFIG_MITIGATION_RETPOLINE CONFIG_MITIGATION_RETHUNK",
        Arch::Arm64 => "CONFIG_ARM64_MPAM",
    }
}

/// The package for `kernel`'s instruction set, with what `module` is built from.
///
/// # Errors
///
/// A file of qemu-images/module/debian is not as it should be.
pub(crate) fn package(module: &[(PathBuf, Vec<u8>)], kernel: &Kernel, version: &Version) -> Result<Deb> {
    let mut deb = Texts::new(kernel.arch, &kernel.resctrl_off, version)?.package()?;
    for (name, data) in module {
        deb.file(&format!("usr/src/resctrl-rust-{}/{}", version.full, name.display()), data.clone());
    }
    Ok(deb)
}

/// Files with places for what depends on the version and the instruction set.
struct Texts<'a> {
    arch: Arch,
    version: &'a Version,
    values: [(&'static str, String); 9],
}

impl<'a> Texts<'a> {
    fn new(arch: Arch, off: &str, version: &'a Version) -> Result<Self> {
        let values = [
            ("@VERSION@", version.full.clone()),
            ("@ARCH@", arch.to_string()),
            ("@MACHINE@", machine(arch).to_owned()),
            ("@CONFIG@", configuration(arch).to_owned()),
            ("@OFF@", off.to_owned()),
            ("@MAINTAINER@", version.maintainer.clone()),
            ("@COMMIT@", version.commit.clone()),
            ("@DATE@", version.date("+%F")?),
            ("@YEAR@", version.date("+%Y")?),
        ];
        Ok(Self { arch, version, values })
    }

    /// A file of qemu-images/module/debian with its places filled.
    fn read(&self, name: &str) -> Result<String> {
        let path = workspace::root().join("qemu-images/module/debian").join(name);
        let mut text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for (place, value) in &self.values {
            text = text.replace(place, value);
        }
        // The size is known last.
        let place = Regex::new("@[A-Z]+@")?;
        let left = place.find_iter(&text).map(|found| found.as_str()).find(|found| *found != "@SIZE@");
        ensure!(left.is_none(), "{}: there is nothing for {}", path.display(), left.unwrap_or_default());
        Ok(text)
    }

    /// The package without the module.
    fn package(&self) -> Result<Deb> {
        let full = &self.version.full;
        let mut deb = Deb::new(format!("{NAME}_{full}_{}.deb", self.arch), self.read("control")?);
        for name in ["postinst", "prerm"] {
            deb.scripts.insert(name, self.read(name)?);
        }
        deb.file(&format!("usr/src/resctrl-rust-{full}/dkms.conf"), self.read("dkms.conf")?);
        let documents = format!("usr/share/doc/{NAME}");
        deb.file(&format!("{documents}/copyright"), self.read("copyright")?);
        deb.compressed(&format!("{documents}/changelog.Debian"), &self.version.changelog("resctrl-rust")?)?;
        for example in ["modprobe.conf", "grub.cfg", "sys-fs-resctrl.mount"] {
            deb.file(&format!("{documents}/examples/{example}"), self.read(&format!("examples/{example}"))?);
        }
        deb.file(&format!("usr/share/lintian/overrides/{NAME}"), self.read("lintian-overrides")?);
        let page = workspace::root().join("docs/package.md");
        let page = fs::read(&page).with_context(|| format!("cannot read {}", page.display()))?;
        deb.file(&format!("{documents}/README.md"), page);
        deb.compressed("usr/share/man/man4/resctrl-rust.4", &self.read("resctrl-rust.4")?)?;
        Ok(deb)
    }
}

#[cfg(test)]
mod tests;
