// SPDX-License-Identifier: GPL-2.0-only
//! Calls the kernel's Makefiles with the tool root's programs.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Workshop;
use crate::guest::interrupt;
use crate::guest::tail::Tail;
use crate::kernels::{Arch, Kernel, Recipe, Watched};
use crate::progress;

/// Folder of the result with the libraries of the programs that the build makes for itself.
pub(super) const LIBRARY_FOLDER: &str = "lib";

/// How many lines of the log an error shows.
const SHOWN: usize = 20;

/// The kernel's name for an instruction set: the folder below `arch`.
pub(super) const fn kernel_arch(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x86",
        Arch::Arm64 => "arm64",
    }
}

/// Where the source is while `place` is built.
pub(super) fn tree(place: &Path) -> PathBuf {
    place.join("source")
}

/// A source tree with everything make has to be told.
pub(super) struct Make {
    tree: PathBuf,
    arch: &'static str,
    log: PathBuf,
    path: OsString,
    tools: PathBuf,
    arguments: Vec<OsString>,
}

impl Make {
    /// Prepares the tree in `place`, which then says itself which compiler it and modules for it are built with: Debian's
    /// source reads the file `.kernelvariables` for that.
    pub(super) fn new(kernel: &Kernel, recipe: &Recipe, place: &Path, shop: &Workshop) -> Result<Self> {
        let (arch, prefix) = match kernel.arch {
            Arch::Amd64 => (kernel_arch(kernel.arch), "x86_64-linux-gnu-"),
            Arch::Arm64 => (kernel_arch(kernel.arch), "aarch64-linux-gnu-"),
        };
        let variables =
            format!("override ARCH = {arch}\noverride CROSS_COMPILE = {prefix}\nCC = $(CROSS_COMPILE)gcc-14\n");
        let tree = tree(place);
        fs::write(tree.join(".kernelvariables"), variables).context("cannot write .kernelvariables")?;
        let libraries = place.join(LIBRARY_FOLDER);
        let libraries = libraries.display();
        let arguments = [
            // A tree that is not Debian's does not read the file.
            format!("ARCH={arch}"),
            format!("CROSS_COMPILE={prefix}"),
            format!("CC={prefix}gcc-14"),
            format!("HOSTCC=gcc-14 --sysroot={}", shop.tools.display()),
            format!("HOSTLDFLAGS=-Wl,--dynamic-linker={libraries}/ld-linux-x86-64.so.2 -Wl,-rpath={libraries}"),
            // Nothing of the host is to be found in the kernel.
            "KBUILD_BUILD_USER=rig".to_owned(),
            "KBUILD_BUILD_HOST=rig".to_owned(),
        ];
        let folders =
            shop.compilers.iter().cloned().chain([shop.tools.join("usr/bin"), "/usr/bin".into(), "/bin".into()]);
        Ok(Self {
            tree,
            arch,
            log: place.join("build.log"),
            path: std::env::join_paths(folders)?,
            tools: shop.tools.clone(),
            arguments: arguments.into_iter().chain(recipe.watched.as_ref().map(watched)).map(OsString::from).collect(),
        })
    }

    pub(super) fn tree(&self) -> &Path {
        &self.tree
    }

    /// Makes `targets` without showing anything.
    ///
    /// # Errors
    ///
    /// make fails; the message has the end of the log.
    pub(super) fn quiet(&self, targets: &[&str]) -> Result<()> {
        self.run(targets, &mut |_| ())
    }

    /// Makes `targets` under a bar that counts the compiled files, of which there are about `files`.
    ///
    /// # Errors
    ///
    /// As [`Make::quiet`].
    pub(super) fn watched(&self, targets: &[&str], label: &str, files: u32) -> Result<()> {
        let bar = progress::count(label, files as usize);
        let result = self.run(targets, &mut |line| {
            if is_compilation(line) {
                bar.inc(1);
            }
        });
        bar.finish_and_clear();
        result
    }

    fn run(&self, targets: &[&str], line: &mut dyn FnMut(&str)) -> Result<()> {
        let log = File::create(&self.log).with_context(|| format!("cannot write {}", self.log.display()))?;
        // If xtask dies, the kernel ends make for it.
        let mut words: Vec<OsString> = ["--pdeathsig", "TERM", "make", "-C"].map(OsString::from).to_vec();
        words.push(self.tree.clone().into());
        words.extend(self.arguments.iter().cloned());
        words.extend(targets.iter().map(OsString::from));
        let handle = self
            .prepared(&duct::cmd("setpriv", words))
            .stdout_file(log)
            .start()
            .context("cannot run setpriv and make")?;
        let mut tail = Tail::new(&self.log);
        let output = loop {
            let ended = handle.wait_timeout(Duration::from_millis(200))?.cloned();
            for text in tail.lines()? {
                line(&text);
            }
            if interrupt::requested() {
                bail!("interrupted; the next run goes on from here");
            }
            if let Some(output) = ended {
                break output;
            }
        };
        if output.status.success() {
            return Ok(());
        }
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        bail!("the kernel does not build; {} says:\n{}", self.log.display(), excerpt(&text))
    }

    /// Copies what modules are built against to `to`, with the script that Linux has for its packages.
    ///
    /// # Errors
    ///
    /// The script fails.
    pub(super) fn install_headers(&self, to: &Path) -> Result<()> {
        let script = duct::cmd!("sh", "scripts/package/install-extmod-build", to)
            .env("srctree", ".")
            .env("SRCARCH", self.arch)
            // Alike: the programs that modules are built with are to run on this machine.
            .env("CC", "gcc-14")
            .env("HOSTCC", "gcc-14");
        let output = self.prepared(&script).dir(&self.tree).stdout_capture().run()?;
        if output.status.success() {
            return Ok(());
        }
        bail!("cannot copy the kernel's headers: {}", String::from_utf8_lossy(&output.stdout).trim())
    }

    /// The environment of everything that runs here.
    fn prepared(&self, command: &duct::Expression) -> duct::Expression {
        command
            .env("PATH", &self.path)
            // Programs that look for their data in /usr.
            .env("M4", self.tools.join("usr/bin/m4"))
            .env("BISON_PKGDATADIR", self.tools.join("usr/share/bison"))
            .env("LC_ALL", "C")
            // A make that calls cargo passes these on; they are for that make.
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL")
            .stdin_null()
            .stderr_to_stdout()
            .unchecked()
    }
}

/// Has the code of some folders watched, and no other: a Makefile would say so for its folder with this variable.
fn watched(Watched { variable, folders }: &Watched) -> String {
    format!("{variable}=$(if $(filter {},$(obj)),y,n)", folders.join(" "))
}

/// Whether this line of make's output announces a file that is compiled for the kernel.
fn is_compilation(line: &str) -> bool {
    line.starts_with("  CC ") || line.starts_with("  AS ")
}

/// The lines of a log that tell why a build failed: from the first error on, or else the last ones.
fn excerpt(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let is_error = |line: &&str| line.contains("error:") || line.contains("***");
    let from = match lines.iter().position(is_error) {
        // What the compiler said about where it is comes before.
        Some(first) => first.saturating_sub(3),
        None => lines.len().saturating_sub(SHOWN),
    };
    lines[from..].iter().take(SHOWN).copied().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_files_are_counted_and_nothing_else() {
        for line in ["  CC      mm/slub.o", "  CC [M]  a.o", "  AS      arch/x86/lib/memcpy_64.o"] {
            assert!(is_compilation(line), "{line}");
        }
        for line in ["  AR      mm/built-in.a", "  HOSTCC  scripts/kallsyms.o", "  LD      vmlinux", "CC"] {
            assert!(!is_compilation(line), "{line}");
        }
    }

    #[test]
    fn the_first_error_is_shown_however_much_follows() {
        let mut log = "  CC      a.o\n".repeat(50);
        log.push_str("a.c: In function 'f':\na.c:1:2: error: 'x' undeclared\n");
        log.push_str(&"  CC      b.o\n".repeat(50));
        let shown = excerpt(&log);
        assert!(shown.contains("In function") && shown.contains("undeclared"), "{shown}");
        assert_eq!(shown.lines().count(), SHOWN);
        assert_eq!(excerpt("one\ntwo\n"), "one\ntwo");
    }
}
