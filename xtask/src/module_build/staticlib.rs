// SPDX-License-Identifier: GPL-2.0-only
//! The Rust part of the module: a static library for the bare target.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Cmd, Shell, cmd};

use crate::kernels::Arch;
use crate::workspace;

/// core and alloc are built from source: the shipped ones lack the kernel's code generation flags.
const BUILD_STD: &str = "-Zbuild-std=core,alloc,compiler_builtins";

/// What a library is built for. Kernels of one flavour can share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flavour {
    /// Instruction set.
    pub(super) arch: Arch,
    /// What looks at memory accesses.
    pub(super) watch: Watch,
    /// Tasks can ask which code they run in the kernel: `CONFIG_KCOV`.
    pub(super) traced: bool,
    /// What protects returns and indirect branches.
    pub(super) branches: Branches,
}

/// What of a kernel's looks at memory accesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    /// Nothing.
    Nothing,
    /// KASAN: whether there is memory.
    Kasan,
    /// KCSAN: whether another CPU accesses the same.
    Kcsan,
}

impl Watch {
    /// What a kernel has, by its configuration.
    pub(super) fn of(has: impl Fn(&str) -> bool) -> Self {
        match () {
            () if has("CONFIG_KASAN_GENERIC") => Self::Kasan,
            () if has("CONFIG_KCSAN") => Self::Kcsan,
            () => Self::Nothing,
        }
    }

    /// What folders of libraries with it are called.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Kasan => "-kasan",
            Self::Kcsan => "-kcsan",
        }
    }
}

/// What a kernel has its branches protected by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Branches {
    /// What all kernels for x86-64 have: it is among their flags.
    Always,
    /// Landing pads and signed return addresses: `CONFIG_ARM64_BTI_KERNEL`.
    LandAndSign,
    /// Signed return addresses: `CONFIG_ARM64_PTR_AUTH_KERNEL`.
    Sign,
    /// Nothing. What it calls would be as slow as if it had something.
    Unprotected,
}

impl Branches {
    /// As the kernel's own code has it, by its configuration (arch/arm64/Makefile).
    pub(super) fn of(arch: Arch, has: impl Fn(&str) -> bool) -> Self {
        match arch {
            Arch::Amd64 => Self::Always,
            Arch::Arm64 if has("CONFIG_ARM64_BTI_KERNEL") => Self::LandAndSign,
            Arch::Arm64 if has("CONFIG_ARM64_PTR_AUTH_KERNEL") => Self::Sign,
            Arch::Arm64 => Self::Unprotected,
        }
    }

    /// All that kernels for an instruction set may have, with the names that the module's Kbuild file has for them.
    pub(super) const fn all(arch: Arch) -> &'static [(Self, &'static str)] {
        match arch {
            Arch::Amd64 => &[(Self::Always, "x86")],
            Arch::Arm64 => &[(Self::LandAndSign, "bti"), (Self::Sign, "pac"), (Self::Unprotected, "plain")],
        }
    }

    /// The compiler's flag, and what folders of libraries with it are called.
    const fn flag(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Always => (&[], ""),
            // Hints, where the processor has none.
            Self::LandAndSign => (&["-Zbranch-protection=bti,pac-ret"], ""),
            Self::Sign => (&["-Zbranch-protection=pac-ret"], "-pac"),
            Self::Unprotected => (&[], "-unprotected"),
        }
    }
}

/// What every kernel is compiled with, as far as it shows in object code, so that objtool and modpost accept
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
    "-Coverflow-checks=y",
    "-Ztune-cpu=generic",
    // Lets the linker drop what no entry point reaches.
    "-Zfunction-sections=y",
    // alloc without the functions that cannot report a failed allocation.
    "--cfg=no_global_oom_handling",
];

const RUSTFLAGS_AMD64: &[&str] = &[
    "-Ccode-model=kernel",
    "-Ctarget-cpu=x86-64",
    // Interrupts use the stack below the stack pointer.
    "-Cno-redzone=y",
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
];

/// Checks of every memory access, as the kernel's own C code has them under `CONFIG_KASAN_INLINE`.
const RUSTFLAGS_KASAN_AMD64: &[&str] = &[
    "-Zsanitizer=kernel-address",
    // A report says what is wrong; whether the kernel goes on is its decision.
    "-Zsanitizer-recover=kernel-address",
    // Where the kernel keeps the state of memory (KASAN_SHADOW_OFFSET of x86-64; the same in every configuration).
    "-Cllvm-args=-asan-mapping-offset=0xdffffc0000000000",
    // Variables on the stack and globals: the kernel has no hooks for how LLVM describes them.
    "-Cllvm-args=-asan-stack=0",
    "-Cllvm-args=-asan-globals=0",
    // Copies through __asan_memcpy: the kernel's memcpy does not check.
    "-Cllvm-args=-asan-kernel-mem-intrinsic-prefix=1",
];

/// A call before each memory access, as the kernel's own C code has them under `CONFIG_KCSAN` (scripts/Makefile.kcsan): those of the
/// user programs' sanitizer, which KCSAN answers in the kernel.
const RUSTFLAGS_KCSAN_AMD64: &[&str] = &[
    "-Zsanitizer=thread",
    // Volatile accesses are marked: they may race.
    "-Cllvm-args=-tsan-distinguish-volatile=1",
    "-Cllvm-args=-tsan-compound-read-before-write=1",
    // Only weak memory needs them.
    "-Cllvm-args=-tsan-instrument-func-entry-exit=0",
];

/// A call in each basic block, as the kernel's own C code has them where kcov is to see it (scripts/Makefile.kcov).
const RUSTFLAGS_KCOV: &[&str] =
    &["-Cpasses=sancov-module", "-Cllvm-args=-sanitizer-coverage-level=3", "-Cllvm-args=-sanitizer-coverage-trace-pc"];

/// The bare target, but for one thing: rustc lets it have that sanitizer. What else there is to it, rustc is asked.
const KCSAN_TARGET: &str = "x86_64-kcsan-none";

/// No room for ftrace: on arm64 the kernel's own Rust code has none either (arch/arm64/Makefile).
const RUSTFLAGS_ARM64: &[&str] = &[
    "-Ctarget-cpu=generic",
    // Kernels with a shadow call stack keep it there.
    "-Zfixed-x18",
    // What stack traces follow.
    "-Cforce-frame-pointers=y",
];

impl Flavour {
    /// The bare target. Neither may use floating-point registers: they are the interrupted task's.
    const fn target(self) -> &'static str {
        match self.arch {
            Arch::Amd64 => "x86_64-unknown-none",
            Arch::Arm64 => "aarch64-unknown-none-softfloat",
        }
    }

    /// What looks at the memory accesses of the Rust code. Nothing on arm64: where KASAN keeps the state of memory depends on the
    /// kernel's configuration there.
    pub(super) fn instrumented(self) -> Watch {
        if self.arch == Arch::Amd64 { self.watch } else { Watch::Nothing }
    }

    /// The folder that cargo has for the target.
    fn folder(self) -> &'static str {
        if self.instrumented() == Watch::Kcsan { KCSAN_TARGET } else { self.target() }
    }

    /// The target that cargo is told. It may be one that has to be written down first.
    fn place(self) -> Result<OsString> {
        if self.instrumented() != Watch::Kcsan {
            return Ok(self.target().into());
        }
        let shell = Shell::new()?;
        let text = cmd!(shell, "rustc -Zunstable-options --print target-spec-json --target")
            .arg(self.target())
            .env("RUSTC_BOOTSTRAP", "1")
            .quiet()
            .read()?;
        let text = with_thread_sanitizer(&text)?;
        let path = self.target_dir().join(KCSAN_TARGET).with_extension("json");
        std::fs::create_dir_all(self.target_dir())?;
        // A new file would have cargo compile everything again.
        if std::fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(path.into())
    }

    fn rustflags(self) -> Vec<&'static str> {
        let arch = match self.arch {
            Arch::Amd64 => RUSTFLAGS_AMD64,
            Arch::Arm64 => RUSTFLAGS_ARM64,
        };
        let checks = match self.instrumented() {
            Watch::Nothing => &[],
            Watch::Kasan => RUSTFLAGS_KASAN_AMD64,
            Watch::Kcsan => RUSTFLAGS_KCSAN_AMD64,
        };
        let traced = if self.traced { RUSTFLAGS_KCOV } else { &[] };
        let (branches, _) = self.branches.flag();
        [RUSTFLAGS, arch, checks, traced, branches].concat()
    }

    /// Cargo's target folder. It has a folder for each target in it, but none for each set of flags.
    fn target_dir(self) -> PathBuf {
        let (_, branches) = self.branches.flag();
        let traced = if self.traced { "-kcov" } else { "" };
        workspace::target().join(format!("module-rust{}{traced}{branches}", self.watch.suffix()))
    }
}

/// A target as rustc describes it, with the sanitizer that finds races among those that it supports.
fn with_thread_sanitizer(target: &str) -> Result<String> {
    let mut target: serde_json::Value = serde_json::from_str(target).context("rustc's target is no JSON")?;
    let supported = target["supported-sanitizers"].as_array_mut().context("rustc's target has no sanitizers")?;
    supported.push("thread".into());
    Ok(serde_json::to_string_pretty(&target)?)
}

/// Builds the library, if anything it depends on changed, and returns its path.
///
/// # Errors
///
/// The code does not compile, or cargo cannot fetch what core and alloc depend on.
pub(super) fn build(flavour: Flavour, rust_library: &Path, offline: bool) -> Result<PathBuf> {
    let shell = Shell::new()?;
    cargo(&shell, flavour, rust_library, &["build", "--release"], offline)?
        .run()
        .context("the Rust part of the module does not build")?;
    let library = flavour.target_dir().join(flavour.folder()).join("release/libresctrl_module.a");
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
pub(super) fn clippy(flavour: Flavour, rust_library: &Path, offline: bool) -> Result<()> {
    let shell = Shell::new()?;
    cargo(&shell, flavour, rust_library, &["clippy", "--release"], offline)?
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

fn cargo<'a>(
    shell: &'a Shell,
    flavour: Flavour,
    rust_library: &Path,
    action: &[&str],
    offline: bool,
) -> Result<Cmd<'a>> {
    shell.change_dir(workspace::root());
    let target = flavour.place()?;
    let offline = offline.then_some("--offline");
    let described = (flavour.instrumented() == Watch::Kcsan).then_some("-Zjson-target-spec");
    let command = cmd!(
        shell,
        "cargo {action...} {offline...} --locked --package resctrl-module --target {target} {described...} {BUILD_STD}"
    )
    .arg("--target-dir")
    .arg(flavour.target_dir())
    .env("RUSTC_BOOTSTRAP", "1")
    // Where -Zbuild-std looks for the sources; the toolchain itself stays as it is.
    .env("__CARGO_TESTS_ONLY_SRC_ROOT", rust_library)
    .env("CARGO_ENCODED_RUSTFLAGS", flavour.rustflags().join("\u{1f}"))
    .env_remove("RUSTFLAGS")
    // Of core itself, which is what it is.
    .env("CARGO_FUTURE_INCOMPAT_REPORT_FREQUENCY", "never")
    .quiet();
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_protected_as_the_kernels_are_and_on_arm64_alone() {
        let flags = |arch, options: &[&str]| {
            let branches = Branches::of(arch, |option| options.contains(&option));
            let flavour = Flavour { arch, watch: Watch::Nothing, traced: false, branches };
            let flag = flavour.rustflags().into_iter().find(|flag| flag.starts_with("-Zbranch-protection="));
            let folder = flavour.target_dir().file_name().map(|name| name.to_string_lossy().into_owned());
            (flag, folder.unwrap_or_default())
        };
        let (bti, pac) = ("CONFIG_ARM64_BTI_KERNEL", "CONFIG_ARM64_PTR_AUTH_KERNEL");
        let is = |flag: Option<&'static str>, folder: &str| (flag, folder.to_owned());
        assert_eq!(flags(Arch::Arm64, &[pac, bti]), is(Some("-Zbranch-protection=bti,pac-ret"), "module-rust"));
        assert_eq!(flags(Arch::Arm64, &[pac]), is(Some("-Zbranch-protection=pac-ret"), "module-rust-pac"));
        assert_eq!(flags(Arch::Arm64, &[]), is(None, "module-rust-unprotected"));
        assert_eq!(flags(Arch::Amd64, &[]), is(None, "module-rust"));
    }

    #[test]
    fn the_target_with_the_sanitizer_is_rustcs_own_otherwise() {
        let own = r#"{"arch": "x86_64", "supported-sanitizers": ["kcfi", "kernel-address"]}"#;
        let target: serde_json::Value = serde_json::from_str(&with_thread_sanitizer(own).unwrap()).unwrap();
        assert_eq!(target["supported-sanitizers"], serde_json::json!(["kcfi", "kernel-address", "thread"]));
        assert_eq!(target["arch"], "x86_64");
        assert!(with_thread_sanitizer("{}").is_err());
    }

    #[test]
    fn each_checker_has_a_library_of_its_own_and_arm64_has_none() {
        let flavour = |arch, watch, traced| Flavour { arch, watch, traced, branches: Branches::Always };
        let folder = |arch, watch| flavour(arch, watch, false).target_dir();
        assert_ne!(folder(Arch::Amd64, Watch::Kasan), folder(Arch::Amd64, Watch::Kcsan));
        assert_ne!(folder(Arch::Amd64, Watch::Kcsan), folder(Arch::Amd64, Watch::Nothing));
        let traced = flavour(Arch::Amd64, Watch::Kasan, true);
        assert_ne!(traced.target_dir(), folder(Arch::Amd64, Watch::Kasan));
        assert!(RUSTFLAGS_KCOV.iter().all(|flag| traced.rustflags().contains(flag)));
        let flavour = Flavour { arch: Arch::Arm64, watch: Watch::Kcsan, traced: false, branches: Branches::Sign };
        assert_eq!(flavour.instrumented(), Watch::Nothing);
        assert!(!flavour.rustflags().iter().any(|flag| flag.contains("sanitizer")));
        assert_eq!(Watch::of(|option| option == "CONFIG_KCSAN"), Watch::Kcsan);
    }
}
