// SPDX-License-Identifier: GPL-2.0-only
//! A kernel that guests can boot, and what is built against it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::packages::{compiler, folder};
use super::unpacked_image;
use crate::kernels::Arch;

/// An installed guest kernel.
#[derive(Debug, Clone)]
pub(crate) struct GuestKernel {
    /// Instruction set.
    pub(crate) arch: Arch,
    /// Release as `uname -r` prints it.
    pub(crate) release: String,
    /// The bootable image.
    pub(crate) image: PathBuf,
    /// Folder with the modules, `.../usr/lib/modules/RELEASE`, or the user's build tree.
    pub(crate) modules: PathBuf,
    /// Folder to build modules against: the headers, or the user's build tree.
    pub(crate) build: PathBuf,
    /// Folder of programs to build modules with, to put before the host's in `PATH`; `None` for the
    /// user's build tree for amd64, which is used with the host's compiler.
    pub(crate) compiler: Option<PathBuf>,
    /// The compiler's program, unless the tree knows it.
    pub(crate) cc: Option<&'static str>,
}

impl GuestKernel {
    /// A built kernel tree of the user's.
    ///
    /// # Errors
    ///
    /// It is none.
    pub(super) fn from_build_tree(tree: &Path) -> Result<Self> {
        let tree = tree.canonicalize().with_context(|| format!("--kdir {}: no such folder", tree.display()))?;
        let release_file = tree.join("include/config/kernel.release");
        let release = fs::read_to_string(&release_file).with_context(|| {
            format!("--kdir {}: not a built kernel tree, no {}", tree.display(), release_file.display())
        })?;
        let arm = is_configured(&tree, "CONFIG_ARM64");
        let (arch, image) =
            if arm { (Arch::Arm64, "arch/arm64/boot/Image") } else { (Arch::Amd64, "arch/x86/boot/bzImage") };
        Ok(Self {
            arch,
            release: release.trim().to_owned(),
            image: tree.join(image),
            modules: tree.clone(),
            build: tree,
            // Few hosts have a compiler for another instruction set than their own.
            compiler: arm.then(|| folder(compiler(arch)).join("usr/bin")),
            cc: None,
        })
    }

    /// The image for guests that never reset their machine: QEMU would load it anew, over the running kernel. What such a guest
    /// needs not do is to unpack it.
    ///
    /// # Errors
    ///
    /// The image cannot be read or unpacked.
    pub(crate) fn image_of_one_start(&self) -> Result<PathBuf> {
        match self.arch {
            Arch::Amd64 => unpacked_image::unpacked(&self.image),
            Arch::Arm64 => Ok(self.image.clone()),
        }
    }

    /// Whether `option` is `y` in its configuration.
    pub(crate) fn has(&self, option: &str) -> bool {
        is_configured(&self.build, option)
    }

    /// How often a second its timer ticks.
    pub(crate) fn ticks_a_second(&self) -> Option<u64> {
        number(&configuration(&self.build), "CONFIG_HZ")
    }

    /// Path of the module `name` (for example `msr`), as packaged: `.ko`, `.ko.xz`, `.ko.zst` or
    /// `.ko.gz`; `None` if it is built in or absent.
    pub(crate) fn module(&self, name: &str) -> Option<PathBuf> {
        find_module(&self.modules, name)
    }
}

/// The configuration of a kernel's build folder.
fn configuration(build: &Path) -> String {
    fs::read_to_string(build.join("include/config/auto.conf")).unwrap_or_default()
}

/// Whether `option` is `y` there.
fn is_configured(build: &Path, option: &str) -> bool {
    let wanted = format!("{option}=y");
    configuration(build).lines().any(|line| line == wanted)
}

/// The number that `option` is in a configuration.
fn number(configuration: &str, option: &str) -> Option<u64> {
    configuration.lines().find_map(|line| line.strip_prefix(option)?.strip_prefix('=')?.parse().ok())
}

fn find_module(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut folders = Vec::new();
    for entry in folder.read_dir().ok()?.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let file = entry.file_name();
        let file = file.to_string_lossy();
        if kind.is_dir() {
            folders.push(entry.path());
        } else if kind.is_file() {
            // Names of modules do not tell `-` from `_`.
            let is_module = file.split_once(".ko").is_some_and(|(stem, rest)| {
                stem.replace('-', "_") == name.replace('-', "_") && ["", ".xz", ".zst", ".gz"].contains(&rest)
            });
            if is_module {
                return Some(entry.path());
            }
        }
    }
    folders.iter().find_map(|folder| find_module(folder, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_in_any_folder_compression_and_spelling() {
        let tree = tempfile::tempdir().expect("a folder");
        let deep = tree.path().join("kernel/arch/x86");
        fs::create_dir_all(&deep).expect("created");
        fs::write(deep.join("intel-pmt.ko.xz"), "").expect("written");
        fs::write(deep.join("msr.ko.sig"), "").expect("written");
        assert_eq!(find_module(tree.path(), "intel_pmt"), Some(deep.join("intel-pmt.ko.xz")));
        assert_eq!(find_module(tree.path(), "msr"), None);
    }
}
