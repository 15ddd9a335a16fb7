// SPDX-License-Identifier: GPL-2.0-only
//! Builds what guests need from this workspace: the plugin and the guest programs.
//!
//! Cargo decides what is out of date. Each has a target folder of its own, so that their flags do
//! not throw the host's builds away.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use super::Provisions;
use crate::kernels::Arch;
use crate::toolroot::ToolRoot;
use crate::workspace;

/// The target of guest programs. Named explicitly so that RUSTFLAGS do not reach build scripts.
const fn target(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x86_64-unknown-linux-gnu",
        Arch::Arm64 => "aarch64-unknown-linux-gnu",
    }
}

/// Linked statically, without what a debugger would want.
const STATIC: &str = "-Ctarget-feature=+crt-static -Cstrip=symbols";

/// Builds everything that is out of date and that guests of `arch` need.
///
/// # Errors
///
/// A build fails; cargo has said why.
pub(crate) fn provisions(tools: &ToolRoot, arch: Arch) -> Result<Provisions> {
    let shell = Shell::new()?;
    shell.change_dir(workspace::root());
    Ok(Provisions {
        qemu: tools.qemu_command(arch),
        firmware: tools.firmware(arch),
        busybox: tools.busybox(arch),
        tools: guest_tools(&shell, tools, arch)?,
        plugin: plugin()?,
    })
}

/// Builds the plugin if it is out of date.
///
/// # Errors
///
/// It does not build; cargo has said why.
pub(crate) fn plugin() -> Result<PathBuf> {
    build_plugin("plugin", &[])
}

/// Builds the plugin without the model of caches.
///
/// # Errors
///
/// As [`plugin`].
pub(crate) fn plugin_with_still_caches() -> Result<PathBuf> {
    build_plugin("plugin-still", &["--features", "still"])
}

fn build_plugin(folder: &str, features: &[&str]) -> Result<PathBuf> {
    let shell = Shell::new()?;
    shell.change_dir(workspace::root());
    let target = workspace::target().join(folder);
    cmd!(shell, "cargo build --quiet --release --package resctrl-qemu-plugin --target-dir {target} {features...}")
        .quiet()
        .run()
        .context("the QEMU plugin does not build")?;
    let path = target.join("release/libresctrl_qemu_plugin.so");
    ensure!(path.is_file(), "the build of the QEMU plugin made no {}", path.display());
    Ok(path)
}

/// The programs of `qemu-images/guest/tools`, linked statically: a guest has no libraries.
fn guest_tools(shell: &Shell, tools: &ToolRoot, arch: Arch) -> Result<Vec<(String, PathBuf)>> {
    let (folder, target) = (workspace::target().join("guest-tools"), target(arch));
    let build = cmd!(
        shell,
        "cargo build --quiet --release --package guest-tools --bins --target {target} --target-dir {folder}"
    )
    .quiet();
    let build = match tools.linker(arch) {
        None => build.env("RUSTFLAGS", STATIC),
        Some(linker) => {
            let offline = tools.offline().then_some("--offline");
            build
                .args(offline)
                // Few hosts have the target's standard library: it is built from the sources that the module is built
                // with, without what the programs do not need.
                .args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features="])
                .env("RUSTC_BOOTSTRAP", "1")
                .env("__CARGO_TESTS_ONLY_SRC_ROOT", tools.rust_library())
                .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", linker)
                .env("RUSTFLAGS", format!("{STATIC} -Cpanic=abort"))
        }
    };
    build.run().context("the guest programs do not build")?;
    programs_in(&folder.join(target).join("release"))
}

/// Executable files of a folder, by name.
fn programs_in(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut programs = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let (path, metadata) = (entry.path(), entry.metadata()?);
        let plain = metadata.is_file() && path.extension().is_none();
        if plain && metadata.permissions().mode() & 0o111 != 0 {
            let name = entry.file_name().into_string().ok().context("odd file name")?;
            programs.push((name, path));
        }
    }
    ensure!(!programs.is_empty(), "no program in {}", folder.display());
    programs.sort();
    Ok(programs)
}
