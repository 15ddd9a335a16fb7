// SPDX-License-Identifier: GPL-2.0-only
//! The Rust part of the module: a static library for the bare target.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Cmd, Shell, cmd};

use crate::workspace;

const TARGET: &str = "x86_64-unknown-none";

/// core and alloc are built from source: the shipped ones lack the kernel's code generation flags.
const BUILD_STD: &str = "-Zbuild-std=core,alloc,compiler_builtins";

/// What the kernel is compiled with, as far as it shows in object code, so that objtool and modpost accept
/// the library as if it were the kernel's own.
const RUSTFLAGS: &[&str] = &[
    "-Cpanic=abort",
    "-Cembed-bitcode=n",
    "-Cforce-unwind-tables=n",
    "-Ccodegen-units=1",
    // The v0 names of nested generics are longer than the kernel's tools take (KSYM_NAME_LEN, 512).
    "-Csymbol-mangling-version=legacy",
    "-Zunstable-options",
    "-Crelocation-model=static",
    "-Ccode-model=kernel",
    "-Coverflow-checks=y",
    "-Ctarget-cpu=x86-64",
    "-Ztune-cpu=generic",
    // Interrupts use the stack below the stack pointer.
    "-Cno-redzone=y",
    // Lets the linker drop what no entry point reaches.
    "-Zfunction-sections=y",
    // Without it calls go through GOTPCREL, a relocation the kernel's module loader does not know.
    "-Zplt=y",
    // Mitigations: indirect branch tracking, retpolines, return thunks.
    "-Zcf-protection=branch",
    "-Cjump-tables=n",
    "-Zfunction-return=thunk-extern",
    "-Zretpoline-external-thunk",
    "-Zindirect-branch-cs-prefix",
    // Room for ftrace and call depth tracking in front of each function.
    "-Zpatchable-function-entry=16,16",
    // alloc without the functions that cannot report a failed allocation.
    "--cfg=no_global_oom_handling",
];

/// Builds the library, if anything it depends on changed, and returns its path.
///
/// # Errors
///
/// The code does not compile, or cargo cannot fetch what core and alloc depend on.
pub(super) fn build(rust_library: &Path, offline: bool) -> Result<PathBuf> {
    let shell = Shell::new()?;
    cargo(&shell, rust_library, &["build", "--release"], offline)
        .run()
        .context("the Rust part of the module does not build")?;
    let library = target_dir().join(TARGET).join("release/libresctrl_module.a");
    if !library.exists() {
        bail!("cargo made no {}; is resctrl-module a static library?", library.display());
    }
    Ok(library)
}

/// Runs clippy as [`build`] would build.
///
/// # Errors
///
/// clippy found something.
pub(super) fn clippy(rust_library: &Path, offline: bool) -> Result<()> {
    let shell = Shell::new()?;
    cargo(&shell, rust_library, &["clippy", "--release"], offline)
        .args(["--", "-D", "warnings"])
        .run()
        .context("clippy found something in the module's Rust code")
}

/// Fetches the crates that core and alloc and this workspace depend on, so that later builds need no network.
///
/// # Errors
///
/// The registry cannot be reached, or offline and something is missing.
pub(super) fn fetch(rust_library: &Path, offline: bool) -> Result<()> {
    let shell = Shell::new()?;
    let offline = offline.then_some("--offline");
    for folder in [workspace::root(), rust_library] {
        shell.change_dir(folder);
        cmd!(shell, "cargo fetch --quiet --locked {offline...}")
            // As build does: the sources may use features that the compiler's release channel hides.
            .env("RUSTC_BOOTSTRAP", "1")
            .quiet()
            .run()
            .with_context(|| format!("cannot fetch the crates that {} depends on", folder.display()))?;
    }
    Ok(())
}

fn target_dir() -> PathBuf {
    workspace::target().join("module-rust")
}

fn cargo<'a>(shell: &'a Shell, rust_library: &Path, action: &[&str], offline: bool) -> Cmd<'a> {
    shell.change_dir(workspace::root());
    let target_dir = target_dir();
    let offline = offline.then_some("--offline");
    cmd!(shell, "cargo {action...} {offline...} --locked --package resctrl-module --target {TARGET} {BUILD_STD}")
        .arg("--target-dir")
        .arg(target_dir)
        .env("RUSTC_BOOTSTRAP", "1")
        // Where -Zbuild-std looks for the sources; the toolchain itself stays as it is.
        .env("__CARGO_TESTS_ONLY_SRC_ROOT", rust_library)
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\u{1f}"))
        .env_remove("RUSTFLAGS")
        .quiet()
}
