// SPDX-License-Identifier: GPL-2.0-only
//! The C part of the module and the link, by the kernel's own build system.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::kernels::Arch;
use crate::toolroot::GuestKernel;

/// Warnings about the user's own build tree that say nothing about the module.
const HARMLESS: &[&str] = &[
    "the compiler differs from the one used to build the kernel",
    "pahole version differs from the one used to build the kernel",
];

/// The module beside resctrl.ko on kernels that have Intel's driver for telemetry.
pub(super) const TELEMETRY: &str = "resctrl_aet.ko";

/// Builds resctrl.ko in `output` from the C files of `sources` and the static `library`; returns its path.
///
/// # Errors
///
/// make failed or a tool printed a warning; no resctrl.ko is left then.
pub(super) fn build(sources: &Path, library: &Path, kernel: &GuestKernel, output: &Path) -> Result<PathBuf> {
    let mut inputs = vec![(LIBRARY.into(), read(library)?)];
    collect(sources, Path::new(""), &mut inputs)?;
    if !inputs.iter().any(|(name, _)| name == Path::new("Kbuild")) {
        bail!("{} has no Kbuild", sources.display());
    }
    let build = output.join("build");
    let module = output.join("resctrl.ko");
    let stamp = output.join("stamp");
    let fingerprint = fingerprint(&inputs, kernel);
    if module.exists() && fs::read_to_string(&stamp).is_ok_and(|text| text == fingerprint) {
        return Ok(module);
    }
    // From scratch: make would not call a tool again on a file it warned about, and so hide the warning.
    start(output, &[])?;
    for (name, data) in &inputs {
        write(&build.join(name), data)?;
    }
    make(kernel, &build, "modules")?;
    if build.join(TELEMETRY).exists() {
        fs::copy(build.join(TELEMETRY), output.join(TELEMETRY)).context("cannot copy a module")?;
    }
    // Last, so that a build that was interrupted is not taken for done.
    let built = build.join("resctrl.ko");
    fs::copy(&built, &module).with_context(|| format!("Kbuild made no {}", built.display()))?;
    fs::write(&stamp, fingerprint).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(module)
}

/// The Rust code alone, linked as for `kernel` from the static `library`, as packages have it: without what is for debuggers.
///
/// # Errors
///
/// make or the linker failed.
pub(super) fn link_rust(sources: &[Input], library: &Path, kernel: &GuestKernel, folder: &Path) -> Result<Vec<u8>> {
    start(folder, sources)?;
    write(&folder.join(LIBRARY), &read(library)?)?;
    make(kernel, folder, "resctrl_rust.o")?;
    let [object, plain] = ["resctrl_rust.o", "plain.o"].map(|name| folder.join(name));
    let linker = format!("{}ld", cross_compile(kernel.arch));
    let linker = kernel.compiler.as_ref().map_or_else(|| PathBuf::from(&linker), |folder| folder.join(&linker));
    // Not strip: that has the linker look for what nothing refers to any more.
    let options = ["-r", "--strip-debug", "--discard-locals", "-o"].map(OsString::from);
    let words = options.into_iter().chain([plain.clone().into(), object.into()]);
    duct::cmd(linker, words).run().context("cannot link the Rust code without what is for debuggers")?;
    read(&plain)
}

/// Builds the module for `kernel` from nothing but `files`, as a machine does that has them from a package.
///
/// # Errors
///
/// As [`build`].
pub(super) fn try_out(files: &[Input], kernel: &GuestKernel, folder: &Path) -> Result<()> {
    start(folder, files)?;
    make(kernel, folder, "modules")
}

/// Makes `folder` anew with `files` in it.
fn start(folder: &Path, files: &[Input]) -> Result<()> {
    crate::files::remove(folder)?;
    files.iter().try_for_each(|(name, data)| write(&folder.join(name), data))
}

/// What Kbuild needs beside the Rust code, in a fixed order.
///
/// # Errors
///
/// A file cannot be read.
pub(super) fn sources(folder: &Path) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    collect(folder, Path::new(""), &mut inputs)?;
    Ok(inputs)
}

/// What Kbuild knows the Rust code as.
const LIBRARY: &str = "libresctrl_module.a";

/// A file: its name, and what is in it.
pub(super) type Input = (PathBuf, Vec<u8>);

fn write(path: &Path, data: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    fs::write(path, data).with_context(|| format!("cannot write {}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Adds the files below `folder` that Kbuild needs, named relative to `root`, in a fixed order.
fn collect(root: &Path, folder: &Path, inputs: &mut Vec<Input>) -> Result<()> {
    let path = root.join(folder);
    let mut names: Vec<_> = path
        .read_dir()
        .with_context(|| format!("cannot read {}", path.display()))?
        .flatten()
        .map(|entry| (entry.path().is_dir(), folder.join(entry.file_name())))
        .collect();
    names.sort();
    for (is_folder, name) in names {
        if is_folder {
            collect(root, &name, inputs)?;
        } else if is_kbuild_input(&name) {
            inputs.push((name.clone(), read(&root.join(&name))?));
        }
    }
    Ok(())
}

fn is_kbuild_input(name: &Path) -> bool {
    let extension = name.extension().and_then(|extension| extension.to_str());
    name.ends_with("Kbuild") || extension.is_some_and(|extension| ["c", "h", "lds", "S"].contains(&extension))
}

/// Identifies what a module was built from.
fn fingerprint(inputs: &[Input], kernel: &GuestKernel) -> String {
    let mut hasher = DefaultHasher::new();
    inputs.hash(&mut hasher);
    kernel.build.hash(&mut hasher);
    // A user's tree is rebuilt in place, and then its symbols change.
    let symbols = fs::metadata(kernel.build.join("Module.symvers")).and_then(|file| file.modified()).ok();
    symbols.hash(&mut hasher);
    format!("{:016x}\n", hasher.finish())
}

/// The instruction set as the kernel's Makefile calls it.
const fn arch(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x86",
        Arch::Arm64 => "arm64",
    }
}

/// What the names of the compiler's programs start with. The rig runs on x86-64.
const fn cross_compile(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "",
        Arch::Arm64 => "aarch64-linux-gnu-",
    }
}

fn make(kernel: &GuestKernel, build: &Path, what: &str) -> Result<()> {
    let path = match &kernel.compiler {
        // The host's shell and text tools come after the tool root's programs.
        Some(folder) => format!("{}:/usr/bin:/bin", folder.display()),
        None => std::env::var("PATH").unwrap_or_default(),
    };
    let mut words: Vec<OsString> = vec!["-C".into(), kernel.build.clone().into()];
    words.push(format!("M={}", build.display()).into());
    words.push(format!("ARCH={}", arch(kernel.arch)).into());
    words.push(format!("CROSS_COMPILE={}", cross_compile(kernel.arch)).into());
    words.extend(kernel.cc.map(|cc| format!("CC={cc}").into()));
    words.push(format!("-j{}", std::thread::available_parallelism().map_or(1, usize::from)).into());
    words.push(what.into());
    let output = duct::cmd("make", words)
        .env("PATH", path)
        .env("LC_ALL", "C")
        // A make that calls cargo passes these on; they are for that make.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .stdin_null()
        .stderr_to_stdout()
        .stdout_capture()
        .unchecked()
        .run()
        .context("cannot run make")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("Kbuild failed:\n{}", text.trim_end());
    }
    let warnings = warnings(&text);
    if !warnings.is_empty() {
        bail!("the module builds with warnings:\n{}\n\nall of the output:\n{}", warnings.join("\n"), text.trim_end());
    }
    Ok(())
}

/// The lines of a build's output in which the compiler, objtool, modpost or the linker complain.
fn warnings(output: &str) -> Vec<&str> {
    output
        .lines()
        .filter(|line| {
            let lower = line.to_ascii_lowercase();
            lower.contains("warning:") || lower.contains("objtool:")
        })
        .filter(|line| !HARMLESS.iter().any(|harmless| line.contains(harmless)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(build: &str) -> GuestKernel {
        GuestKernel {
            arch: Arch::Amd64,
            release: "7.0".into(),
            image: PathBuf::new(),
            modules: PathBuf::new(),
            build: build.into(),
            compiler: None,
            cc: None,
        }
    }

    #[test]
    fn complaints_of_each_tool_count_and_notes_about_the_users_compiler_do_not() {
        let output = "  CC [M]  shim.o\n\
            warning: the compiler differs from the one used to build the kernel\n\
            shim.c:3:5: warning: unused variable 'x' [-Wunused-variable]\n\
            resctrl.o: warning: objtool: f+0x1: unannotated intra-function call\n\
            WARNING: modpost: missing MODULE_DESCRIPTION() in resctrl.o\n\
            ld: warning: missing .note.GNU-stack section\n  BTF [M] resctrl.ko\n";
        assert_eq!(warnings(output).len(), 4);
        assert!(warnings("  LD [M]  resctrl.ko\n").is_empty());
    }

    #[test]
    fn every_input_and_the_kernel_show_in_the_fingerprint() {
        let one = [(PathBuf::from("a.c"), b"1".to_vec()), (PathBuf::from("b.c"), b"2".to_vec())];
        let same = fingerprint(&one, &kernel("/k"));
        assert_eq!(same, fingerprint(&one, &kernel("/k")));
        assert_ne!(same, fingerprint(&one, &kernel("/other")));
        assert_ne!(same, fingerprint(&one[..1], &kernel("/k")));
        // The same bytes cut differently into files.
        let moved = [(PathBuf::from("a.c"), b"".to_vec()), (PathBuf::from("b.c"), b"12".to_vec())];
        assert_ne!(same, fingerprint(&moved, &kernel("/k")));
    }

    #[test]
    fn kbuild_gets_its_sources_in_order_and_no_rust() {
        let root = tempfile::tempdir().expect("a folder");
        for name in ["Kbuild", "z.c", "a.h", "rust.lds", "src/lib.rs", "shim/node.c", "Cargo.toml"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("within root")).expect("created");
            fs::write(path, "").expect("written");
        }
        let mut inputs = Vec::new();
        collect(root.path(), Path::new(""), &mut inputs).expect("readable");
        let names: Vec<_> = inputs.iter().map(|(name, _)| name.to_str().expect("ASCII")).collect();
        assert_eq!(names, ["Kbuild", "a.h", "rust.lds", "z.c", "shim/node.c"]);
    }
}
