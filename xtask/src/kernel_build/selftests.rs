// SPDX-License-Identifier: GPL-2.0-only
//! Linux's own tests of resctrl, `tools/testing/selftests/resctrl`: built from the source package of the guest's kernel, once,
//! as they are. Nothing of theirs is in this project.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use regex::Regex;

use super::{Workshop, source};
use crate::apt::{self, Cache};
use crate::files;
use crate::kernels::Arch;

/// Their program.
const PROGRAM: &str = "resctrl_tests";

/// Where guests have it.
pub(crate) const PLACE: &str = "rig/bin/resctrl_tests";

const TESTS: &str = "tools/testing/selftests/resctrl";

/// What they need of the tree.
const FOLDERS: [&str; 4] = [TESTS, "tools/testing/selftests/kselftest.h", "tools/include", "tools/arch/x86/include"];

/// What makes programs of an instruction set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    /// The instruction set.
    pub(crate) arch: Arch,
    /// The compiler's program.
    pub(crate) compiler: &'a str,
    /// Where the C library is.
    pub(crate) sysroot: &'a Path,
}

/// The program with the tests of the kernel that says it is `release`, linked statically.
///
/// # Errors
///
/// No source package of that kernel, offline and not fetched before, or it does not build.
pub(crate) fn ensure(release: &str, suite: &str, target: Target<'_>, shop: &Workshop, cache: Cache) -> Result<PathBuf> {
    let series: Vec<&str> = release.splitn(3, '.').take(2).collect();
    let pattern = Regex::new(&format!("^linux-source-{}$", regex::escape(&series.join("."))))?;
    let apt = cache.packages(Arch::Amd64)?;
    let package = source::newest(&apt.available("linux-source-")?, suite, &pattern)?;
    let name = format!("{}-{}-{}-{}", package.name, package.version, target.arch, shop.compiler_version);
    let name = name.replace(':', "_");
    let place = shop.cache.join("selftests").join(name);
    let program = place.join(PROGRAM);
    if program.exists() {
        return Ok(program);
    }
    fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
    let archive = source::fetch(apt, &package)?;
    // Others may want packages while this compiles.
    drop(cache);
    let _lock = apt::lock(&place.join("lock"))?;
    if !program.exists() {
        let tree = place.join("source");
        files::remove(&tree)?;
        source::unpack(&archive, &package.name, &FOLDERS, &tree, "selftests: unpacking their source")?;
        compile(&tree, target, shop, &program)?;
        files::remove(&tree)?;
    }
    Ok(program)
}

fn compile(tree: &Path, target: Target<'_>, shop: &Workshop, program: &Path) -> Result<()> {
    let folder = tree.join(TESTS);
    let mut sources: Vec<PathBuf> = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            sources.push(path);
        }
    }
    sources.sort();
    let partial = program.with_extension("partial");
    let mut words: Vec<std::ffi::OsString> = ["-static", "-O2", "-s", "-w", "-D_GNU_SOURCE="].map(Into::into).to_vec();
    words.push(format!("--sysroot={}", target.sysroot.display()).into());
    words.push("-I".into());
    words.push(tree.join("tools/include").into());
    words.push("-I".into());
    words.push(tree.join("tools/testing/selftests").into());
    words.extend(sources.into_iter().map(Into::into));
    words.push("-o".into());
    words.push(partial.clone().into());
    let folders = shop.compilers.iter().cloned().chain(["/usr/bin".into(), "/bin".into()]);
    let output = duct::cmd(target.compiler, words)
        .env("PATH", std::env::join_paths(folders)?)
        .env("LC_ALL", "C")
        .stderr_capture()
        .unchecked()
        .run()
        .context("cannot run the compiler of the tool root")?;
    if !output.status.success() {
        bail!("the selftests do not build:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    fs::rename(&partial, program).with_context(|| format!("cannot move {} into place", partial.display()))
}
