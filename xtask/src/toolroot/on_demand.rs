// SPDX-License-Identifier: GPL-2.0-only
//! Components that only some runs need; they are fetched when they are asked for.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::packages::{
    BOOK, BROWSER, GO, KERNEL_BUILD, LINTIAN, LLVM, LLVM_FOLDER, POLICY, PROFILE, book_component, browser_component,
    cc, compiler, compiler_component, folder, go_component, kernel_build_component, lintian_component, llvm_component,
    policy_component, profile_component, root_component,
};
use super::{SAME_COMMAND, ToolOptions, ToolRoot, choice, open_cache, provide, workshop};
use crate::kernel_build::{self, selftests};
use crate::kernels::{Arch, Kernel};
use crate::rust_src::{self, Source};

/// Debian's Go.
#[derive(Debug)]
pub(crate) struct Go {
    /// The program `go`.
    pub(crate) program: PathBuf,
    /// Its `GOROOT`.
    pub(crate) root: PathBuf,
    /// A `GOPATH` with the libraries.
    pub(crate) path: PathBuf,
}

/// The folder of LLVM's programs, for what the pinned compiler's programs write.
///
/// # Errors
///
/// They are missing and cannot be fetched.
pub(crate) fn llvm(options: &ToolOptions) -> Result<PathBuf> {
    provide(options, &[llvm_component()], SAME_COMMAND)?;
    Ok(folder(LLVM).join(LLVM_FOLDER))
}

/// The folder with the sources of the standard library of the pinned compiler.
///
/// # Errors
///
/// They are missing and cannot be fetched.
pub(crate) fn rust_library(options: &ToolOptions) -> Result<PathBuf> {
    let source = Source::find()?;
    if let Source::Package { version } = &source {
        provide(options, &[rust_src::component(version)], SAME_COMMAND)?;
    }
    Ok(source.library())
}

impl ToolRoot {
    /// Linux's own tests of resctrl, as one program for guests with `kernel`.
    ///
    /// # Errors
    ///
    /// Something is missing and cannot be fetched, or they do not build.
    pub(crate) fn selftests(&self, kernel: &Kernel) -> Result<PathBuf> {
        let arch = kernel.arch;
        provide(&self.options, &[kernel_build_component(), compiler_component(arch)], SAME_COMMAND)?;
        let shop = workshop(&self.options, arch)?;
        let cache = open_cache(&self.options, &[&kernel.suite])?;
        let sysroot = match arch {
            Arch::Amd64 => folder(KERNEL_BUILD),
            // The cross compiler's component has the library that guest programs are linked with.
            Arch::Arm64 => folder(compiler(arch)),
        };
        let target = selftests::Target { arch, compiler: cc(arch), sysroot: &sysroot };
        selftests::ensure(&self.kernel(kernel)?.release, &kernel.suite, target, &shop, cache)
            .context("cannot set up the kernel's selftests")
    }

    /// What the compiler wrote down of the code of `kernel` that counts how often it runs.
    ///
    /// # Errors
    ///
    /// It is not built, or nothing in it counts.
    pub(crate) fn compiler_notes(&self, kernel: &Kernel) -> Result<PathBuf> {
        let recipe = kernel.build.as_ref().with_context(|| format!("kernel `{}` is not built here", kernel.name))?;
        let built = kernel_build::installed(kernel, recipe, &choice(kernel))?
            .with_context(|| format!("kernel `{}` is not built", kernel.name))?;
        ensure!(built.notes.is_dir(), "nothing in kernel `{}` counts", kernel.name);
        Ok(built.notes)
    }

    /// The program that reads what such code has counted: that of the host's compiler, which is of the same version as those for
    /// other instruction sets.
    ///
    /// # Errors
    ///
    /// It is missing and cannot be fetched.
    pub(crate) fn gcov(&self) -> Result<PathBuf> {
        let compiler = compiler_component(Arch::Amd64);
        provide(&self.options, std::slice::from_ref(&compiler), SAME_COMMAND)?;
        Ok(folder(compiler.name()).join("usr/bin/gcov-14"))
    }

    /// The compiler of policies of SELinux.
    ///
    /// # Errors
    ///
    /// It is missing and cannot be fetched.
    pub(crate) fn policy_compiler(&self) -> Result<PathBuf> {
        provide(&self.options, &[policy_component()], SAME_COMMAND)?;
        Ok(folder(POLICY).join("usr/bin/secilc"))
    }

    /// The compiler of profiles of AppArmor, and the file that says what kernels know of them.
    ///
    /// # Errors
    ///
    /// It is missing and cannot be fetched.
    pub(crate) fn profile_compiler(&self) -> Result<[PathBuf; 2]> {
        provide(&self.options, &[profile_component()], SAME_COMMAND)?;
        Ok(["usr/sbin/apparmor_parser", "usr/share/apparmor-features/features"].map(|file| folder(PROFILE).join(file)))
    }

    /// mdBook. It needs none of the others.
    ///
    /// # Errors
    ///
    /// It is missing and cannot be fetched.
    pub(crate) fn mdbook(options: &ToolOptions) -> Result<PathBuf> {
        options.check()?;
        provide(options, &[book_component()], SAME_COMMAND)?;
        Ok(folder(BOOK).join("usr/bin/mdbook"))
    }

    /// The folder with a browser. It needs none of the others.
    ///
    /// # Errors
    ///
    /// It is missing and cannot be fetched.
    pub(crate) fn browser(options: &ToolOptions) -> Result<PathBuf> {
        options.check()?;
        provide(options, &[browser_component()], SAME_COMMAND)?;
        Ok(folder(BROWSER))
    }

    /// The folder of lintian and all that it needs.
    ///
    /// # Errors
    ///
    /// It is missing and cannot be fetched.
    pub(crate) fn lintian(options: &ToolOptions) -> Result<PathBuf> {
        options.check()?;
        provide(options, &[lintian_component()], SAME_COMMAND)?;
        Ok(folder(LINTIAN))
    }

    /// A root file system with Debian's `packages` and what they depend on, for guests with `kernel`: unpacked, not configured.
    /// In the name of a package `{release}` is the kernel's. It is made once for the same packages.
    ///
    /// # Errors
    ///
    /// A package does not exist, or cannot be fetched or unpacked.
    pub(crate) fn root_file_system(&self, kernel: &Kernel, packages: &[String]) -> Result<PathBuf> {
        let release = self.kernel(kernel)?.release;
        let packages: Vec<String> = packages.iter().map(|name| name.replace("{release}", &release)).collect();
        let component = root_component(kernel.arch, &packages)?;
        provide(&self.options, std::slice::from_ref(&component), SAME_COMMAND)?;
        Ok(folder(component.name()))
    }

    /// Go, with the library goresctrl.
    ///
    /// # Errors
    ///
    /// It is missing and cannot be fetched.
    pub(crate) fn go(&self) -> Result<Go> {
        provide(&self.options, &[go_component()], SAME_COMMAND)?;
        let tree = folder(GO);
        let libraries = tree.join("usr/lib");
        // Its name has the version.
        let root = libraries
            .read_dir()
            .with_context(|| format!("cannot read {}", libraries.display()))?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.join("bin/go").is_file())
            .with_context(|| format!("Debian's packages of Go have no program `go` in {}", libraries.display()))?;
        Ok(Go { program: root.join("bin/go"), root, path: tree.join("usr/share/gocode") })
    }
}
