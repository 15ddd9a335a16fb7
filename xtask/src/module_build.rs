// SPDX-License-Identifier: GPL-2.0-only
//! Builds resctrl.ko when its inputs changed.
//!
//! Two steps: cargo makes a static library of the Rust crates, for the bare target and with the kernel's code
//! generation flags ([`staticlib`]); Kbuild links that with the C shim against the headers of a guest
//! kernel ([`kbuild`]). The Rust step is the same for all kernels of a [flavour](staticlib::Flavour).

mod kbuild;
pub(crate) mod panics;
pub(crate) mod size;
mod staticlib;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSymbol};

use crate::kernels::{Arch, Kernel};
use crate::toolroot::ToolRoot;
use crate::{apt, workspace};
use staticlib::{Branches, Flavour, Watch};

/// What a build gives.
#[derive(Debug, Clone)]
pub(crate) struct BuiltModule {
    /// resctrl.ko.
    pub(crate) path: PathBuf,
    /// resctrl_aet.ko, if the kernel has Intel's driver for telemetry.
    pub(crate) telemetry: Option<PathBuf>,
    /// What the module needs from the kernel: one undefined symbol a line, sorted.
    pub(crate) undefined_symbols: PathBuf,
    /// The Rust code, unless every access to memory is checked in it: then it has places of its own to panic.
    pub(crate) plain_rust: Option<PathBuf>,
}

/// Builds the module for `kernel`, or returns the earlier build if it is up to date.
///
/// # Errors
///
/// Code that does not compile or link, or that draws a warning of the compiler, objtool or modpost.
pub(crate) fn ensure(tools: &ToolRoot, kernel: &Kernel) -> Result<BuiltModule> {
    let guest = tools.kernel(kernel)?;
    let folder = workspace::target().join("module");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let _lock = apt::lock(&folder.join("lock"))?;
    let branches = Branches::of(guest.arch, |option| guest.has(option));
    let watch = Watch::of(|option| guest.has(option));
    let flavour = Flavour { arch: guest.arch, watch, traced: guest.has("CONFIG_KCOV"), branches };
    let library = staticlib::build(flavour, tools.rust_library(), tools.offline())?;
    let output = folder.join(&guest.release);
    let sources = workspace::root().join("qemu-images/module");
    let path = kbuild::build(&sources, &library, &guest, &output)?;
    let telemetry = Some(output.join(kbuild::TELEMETRY)).filter(|path| path.exists());
    let rust = output.join("build/resctrl_rust.o");
    check_instrumented(&rust, flavour)?;
    let undefined_symbols = output.join("undefined-symbols.txt");
    let data = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    fs::write(&undefined_symbols, list_undefined(&data)?)
        .with_context(|| format!("cannot write {}", undefined_symbols.display()))?;
    let plain_rust = (flavour.instrumented() == Watch::Nothing && !flavour.traced).then_some(rust);
    Ok(BuiltModule { path, telemetry, undefined_symbols, plain_rust })
}

/// What builds of the module on other machines are made from: the C code, and the Rust code as it is linked for `kernel`, once for
/// each way in which kernels of its instruction set protect their branches. The names are those that Kbuild looks for.
///
/// # Errors
///
/// Code that does not compile or link.
pub(crate) fn sources(tools: &ToolRoot, kernel: &Kernel) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let guest = tools.kernel(kernel)?;
    let folder = workspace::target().join("module");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let _lock = apt::lock(&folder.join("lock"))?;
    let sources = kbuild::sources(&workspace::root().join("qemu-images/module"))?;
    let mut files = sources.clone();
    for &(branches, name) in Branches::all(kernel.arch) {
        let flavour = Flavour { arch: kernel.arch, watch: Watch::Nothing, traced: false, branches };
        let library = staticlib::build(flavour, tools.rust_library(), tools.offline())?;
        let object = kbuild::link_rust(&sources, &library, &guest, &folder.join(format!("rust-{name}")))?;
        files.push((format!("resctrl_rust-{name}.o_shipped").into(), object));
    }
    // How the Rust code is linked, which it is.
    files.retain(|(name, _)| name != Path::new("rust.lds"));
    kbuild::try_out(&files, &guest, &folder.join(format!("packaged-{}", kernel.arch)))?;
    Ok(files)
}

/// Runs clippy on the module's Rust code as it is built for the kernels of each instruction set; warnings are errors.
///
/// # Errors
///
/// clippy found something.
pub(crate) fn clippy(tools: &ToolRoot) -> Result<()> {
    for arch in [Arch::Amd64, Arch::Arm64] {
        let flavour = Flavour { arch, watch: Watch::Nothing, traced: false, branches: Branches::of(arch, |_| true) };
        staticlib::clippy(flavour, tools.rust_library(), tools.offline())?;
    }
    Ok(())
}

/// Fetches the crates that builds of the module and of this workspace need, so that later ones need no network.
///
/// # Errors
///
/// The registry cannot be reached, or offline and something is missing.
pub(crate) fn fetch_crates(tools: &ToolRoot) -> Result<()> {
    staticlib::fetch(tools.rust_library(), tools.offline())
}

/// Sees that what looks at memory accesses is called by the Rust code: flags that stop having an effect would go unnoticed.
///
/// # Errors
///
/// It is not.
fn check_instrumented(rust: &Path, flavour: Flavour) -> Result<()> {
    let data = fs::read(rust).with_context(|| format!("cannot read {}", rust.display()))?;
    let symbols = list_undefined(&data)?;
    let watch = flavour.instrumented();
    ensure!(
        !flavour.traced || symbols.lines().any(|symbol| symbol == "__sanitizer_cov_trace_pc"),
        "the kernel has kcov, and the Rust code in {} does not tell it what runs",
        rust.display()
    );
    ensure!(
        is_instrumented(&symbols, watch),
        "the kernel has {watch:?}, and the Rust code in {} does not tell it of its memory accesses",
        rust.display()
    );
    Ok(())
}

/// Whether code with these undefined symbols tells of loads, stores and copies, and for KCSAN of atomic accesses.
fn is_instrumented(symbols: &str, watch: Watch) -> bool {
    let calls: &[&str] = match watch {
        Watch::Nothing => &[],
        Watch::Kasan => &["__asan_report_load", "__asan_report_store", "__asan_mem"],
        Watch::Kcsan => &["__tsan_read", "__tsan_write", "__tsan_mem", "__tsan_atomic"],
    };
    calls.iter().all(|call| symbols.lines().any(|symbol| symbol.starts_with(call)))
}

/// The names of all undefined symbols of an object file, sorted, one a line.
fn list_undefined(object: &[u8]) -> Result<String> {
    let file = object::File::parse(object).context("resctrl.ko is no object file")?;
    let mut names: Vec<&str> = file
        .symbols()
        .filter(ObjectSymbol::is_undefined)
        .filter_map(|symbol| symbol.name().ok())
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    names.dedup();
    Ok(names.into_iter().flat_map(|name| [name, "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_instrumented_if_it_reports_loads_stores_and_copies() {
        let symbols = "__asan_memcpy\n__asan_report_load8_noabort\n__asan_report_store1_noabort\n_printk\n";
        assert!(is_instrumented(symbols, Watch::Kasan));
        assert!(!is_instrumented(symbols, Watch::Kcsan));
        for missing in symbols.lines().take(3) {
            assert!(!is_instrumented(&symbols.replace(missing, "memcpy"), Watch::Kasan), "{missing}");
        }
    }

    #[test]
    fn undefined_symbols_are_those_a_program_needs_from_its_libraries() {
        let this = fs::read(std::env::current_exe().expect("a program")).expect("readable");
        let file = object::File::parse(&*this).expect("an object file");
        // A linked program keeps them in the table for the dynamic loader; this looks at the static one.
        let any_defined = file.symbols().find(|symbol| symbol.is_definition() && symbol.name() == Ok("main"));
        assert!(any_defined.is_some());
        let list = list_undefined(&this).expect("an object file");
        assert!(!list.lines().any(|name| name == "main"));
        assert!(list.lines().is_sorted());
        assert!(list_undefined(b"no object").is_err());
    }
}
