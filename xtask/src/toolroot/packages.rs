// SPDX-License-Identifier: GPL-2.0-only
//! Which packages each component of the tool root is made of, and what it is called.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::{Component, ToolOptions};
use crate::kernels::{Arch, Kernel};
use crate::{kernel_build, workspace};

/// Folder of the component `name`.
pub(crate) fn folder(name: &str) -> PathBuf {
    workspace::target().join("tools").join(name)
}

pub(super) fn kernel_folder(kernel: &Kernel) -> String {
    match kernel.arch {
        Arch::Amd64 => format!("kernel-{}", kernel.name),
        Arch::Arm64 => format!("kernel-{}-arm64", kernel.name),
    }
}

/// Component with the guest's user land.
pub(super) fn busybox(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "busybox",
        Arch::Arm64 => "busybox-arm64",
    }
}

/// Component with the programs that build modules for guests of `arch`.
pub(super) fn compiler(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "compiler",
        Arch::Arm64 => "compiler-arm64",
    }
}

/// Where qemu-efi-aarch64 has the firmware that is no more than firmware: no Secure Boot.
pub(super) const UEFI: &str = "usr/share/qemu-efi-aarch64";

/// What the headers' Makefiles call, beyond a compiler, the shell and the text tools that any Debian has.
const BUILD_TOOLS: [&str; 4] = ["make", "libelf1t64", "libssl3t64", "pahole"];
const BUILD_FOLDERS: &[&str] = &["usr/bin", "usr/libexec"];

/// QEMU for guests of `arch`, and the firmware that it has to be told of.
pub(super) fn emulator_components(options: &ToolOptions, arch: Arch) -> Vec<Component> {
    let mut components = Vec::new();
    let packaged_qemu = options.qemu_for(arch).is_none();
    match arch {
        Arch::Amd64 => {
            components.extend(packaged_qemu.then(|| Component::packages("qemu", &["qemu-system-x86"])));
        }
        Arch::Arm64 => {
            components.extend(packaged_qemu.then(|| Component::packages("qemu-arm64", &["qemu-system-arm"])));
            components.push(Component::version(
                "firmware-arm64",
                "qemu-efi-aarch64",
                "",
                UEFI,
                "guests for arm64 boot through UEFI",
            ));
        }
    }
    components
}

/// Everything guests of `arch` need beside a kernel.
pub(super) fn tool_components(options: &ToolOptions, arch: Arch) -> Result<Vec<Component>> {
    let mut components = vec![Component::packages(busybox(arch), &["busybox-static"]).of_arch(arch)];
    components.extend(emulator_components(options, arch));
    if arch == Arch::Arm64 || options.kernel_tree(arch)?.is_none() {
        components.push(compiler_component(arch));
    }
    Ok(components)
}

/// The compiler's program, which trees that are not Debian's have to be told.
pub(super) fn cc(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "gcc-14",
        Arch::Arm64 => "aarch64-linux-gnu-gcc-14",
    }
}

pub(super) fn compiler_package(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "gcc-14",
        Arch::Arm64 => "gcc-14-aarch64-linux-gnu",
    }
}

pub(super) fn compiler_component(arch: Arch) -> Component {
    let libraries: &[&str] = match arch {
        Arch::Amd64 => &[],
        // Guest programs are linked with it, too.
        Arch::Arm64 => &["libc6-dev-arm64-cross"],
    };
    let packages = [&[compiler_package(arch)][..], libraries, &BUILD_TOOLS].concat();
    Component::packages(compiler(arch), &packages).with_loader(BUILD_FOLDERS, compiler(arch))
}

pub(super) const KERNEL_BUILD: &str = "kernel-build";

/// Component with what builds of kernels need beside a compiler.
pub(super) fn kernel_build_component() -> Component {
    Component::packages(KERNEL_BUILD, kernel_build::PACKAGES).with_loader(&["usr/bin"], KERNEL_BUILD)
}

pub(super) const POLICY: &str = "policy";

/// Component with the compiler of policies of SELinux.
pub(super) fn policy_component() -> Component {
    Component::packages(POLICY, &["secilc"]).with_loader(&["usr/bin"], POLICY)
}

pub(super) const PROFILE: &str = "profile";

/// Component with the compiler of profiles of AppArmor.
pub(super) fn profile_component() -> Component {
    Component::packages(PROFILE, &["apparmor"]).with_loader(&["usr/sbin"], PROFILE)
}

pub(super) const BOOK: &str = "book";

/// Component with what makes the book.
pub(super) fn book_component() -> Component {
    Component::packages(BOOK, &["mdbook"]).with_loader(&["usr/bin"], BOOK)
}

pub(super) const BROWSER: &str = "browser";

/// Component with a browser that needs no screen.
pub(super) fn browser_component() -> Component {
    Component::packages(BROWSER, &["chromium-headless-shell"])
        .with_loader(&["usr/lib/chromium"], BROWSER)
        .with_libraries(&["usr/lib/x86_64-linux-gnu/pulseaudio"])
}

pub(super) const LINTIAN: &str = "lintian";

/// Component with what looks for mistakes in packages.
pub(super) fn lintian_component() -> Component {
    Component::packages(LINTIAN, &["lintian"]).with_loader(&["usr/bin"], LINTIAN).with_libraries(&["usr/lib/man-db"])
}

pub(super) const SQUASH: &str = "squashfs-tools";

/// Component with what makes images of root file systems.
pub(super) fn squash_component() -> Component {
    Component::packages(SQUASH, &["squashfs-tools"]).with_loader(&["usr/bin"], SQUASH)
}

pub(super) const GO: &str = "go";

/// Component with Go and the library that container engines use resctrl by.
pub(super) fn go_component() -> Component {
    Component::packages(GO, &["golang-go", "golang-github-intel-goresctrl-dev"]).with_loader(&["usr/lib"], GO)
}

pub(super) const LLVM: &str = "llvm";

/// LLVM's programs of the major version that the pinned compiler was built with: others cannot read what its programs write.
pub(crate) const LLVM_PACKAGE: &str = "llvm-22";

/// Where that package has the programs.
pub(super) const LLVM_FOLDER: &str = "usr/lib/llvm-22/bin";

/// Component with what reads coverage.
pub(super) fn llvm_component() -> Component {
    Component::packages(LLVM, &[LLVM_PACKAGE]).with_loader(&[LLVM_FOLDER], LLVM)
}

/// What every root file system of Debian's packages has: the folders and links that programs expect, and a shell.
const ROOT: [&str; 2] = ["base-files", "dash"];

/// Component with a root file system for guests: these packages, whatever their order.
///
/// # Errors
///
/// A name is none of a package (Debian Policy 5.6.1).
pub(super) fn root_component(arch: Arch, packages: &[String]) -> Result<Component> {
    for name in packages {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
        ensure!(
            name.len() > 1 && name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(plain),
            "--package {name}: this is no name of a Debian package"
        );
    }
    let all: BTreeSet<&str> = packages.iter().map(String::as_str).chain(ROOT).collect();
    let all: Vec<&str> = all.into_iter().collect();
    let mut hasher = DefaultHasher::new();
    all.hash(&mut hasher);
    let name = format!("root-{arch}-{:016x}", hasher.finish());
    Ok(Component::packages(&name, &all).of_arch(arch).with_database())
}

/// The file that says which built kernel this checkout uses for `kernel`.
pub(super) fn choice(kernel: &Kernel) -> PathBuf {
    let Some(recipe) = kernel.build.as_ref().filter(|recipe| recipe.tree.is_some()) else {
        return folder(&format!("{}.toml", kernel_folder(kernel)));
    };
    // The user's trees: one for each folder and way to build it, whatever it is called at the moment.
    let mut hasher = DefaultHasher::new();
    (&recipe.tree, &recipe.own, &recipe.config).hash(&mut hasher);
    folder(&format!("kernel-tree-{}-{:016x}.toml", kernel.arch, hasher.finish()))
}

pub(super) fn kernel_component(kernel: &Kernel) -> Component {
    Component::kernel(&kernel_folder(kernel), kernel).with_loader(&["usr/lib"], compiler(kernel.arch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_the_same_for_the_same_packages_in_any_order() {
        let name = |arch, packages: &[&str]| {
            let packages: Vec<String> = packages.iter().map(|&name| name.to_owned()).collect();
            root_component(arch, &packages).map(|component| component.name().to_owned())
        };
        let two = name(Arch::Amd64, &["python3", "crun"]).unwrap();
        assert_eq!(two, name(Arch::Amd64, &["crun", "python3", "dash"]).unwrap());
        assert_ne!(two, name(Arch::Amd64, &["crun"]).unwrap());
        assert_ne!(two, name(Arch::Arm64, &["python3", "crun"]).unwrap());
        for wrong in ["-oAPT=x", "Foo", "a", "x=1", "x y"] {
            let error = name(Arch::Amd64, &[wrong]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--package {wrong}: ")), "{error}");
        }
    }
}
