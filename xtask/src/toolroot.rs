// SPDX-License-Identifier: GPL-2.0-only
//! The tool root: QEMU, guest kernels, compiler and guest programs in `target/tools`.
//!
//! Each is a [component](component): a folder unpacked from distribution packages. Nothing is
//! installed on the host and nothing needs root: programs built for a newer C library than the
//! host's run through the dynamic loader that came with them.
//!
//! Each instruction set of guests has components of its own, which are there if a guest of that
//! instruction set was asked for. Packages that two components have in common are fetched once.

mod component;
mod loader;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::apt::{self, Cache};
use crate::kernel_build::{self, Workshop, selftests};
use crate::kernels::{Arch, Kernel, Recipe};
use crate::{rust_src, workspace};
pub(crate) use component::Component;

/// Flags of every subcommand that needs the tool root.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Tools")]
pub(crate) struct ToolOptions {
    /// Use no network; fail with a list of what is missing
    #[arg(long)]
    pub(crate) offline: bool,
    /// Debian mirror to fetch packages from [default: http://deb.debian.org/debian]
    #[arg(long, value_name = "URL")]
    pub(crate) mirror: Option<String>,
    /// Folder for downloads, shared between checkouts [default: ~/.cache/resctrl-rig]
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Use this QEMU instead of the packaged one: for arm64 if its name contains `aarch64`, else for amd64; may be given
    /// for both
    #[arg(long, value_name = "PATH")]
    pub(crate) qemu: Vec<PathBuf>,
    /// Use this built kernel tree (image, modules, headers) in place of the packaged kernel of its instruction set
    #[arg(long, value_name = "DIR")]
    pub(crate) kdir: Option<PathBuf>,
}

impl ToolOptions {
    /// The flags again, for another xtask.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        if self.offline {
            arguments.push("--offline".into());
        }
        let single = [
            ("--mirror", self.mirror.as_ref().map(OsString::from)),
            ("--cache", self.cache.as_ref().map(OsString::from)),
            ("--kdir", self.kdir.as_ref().map(OsString::from)),
        ];
        let valued = single.into_iter().filter_map(|(flag, value)| Some((flag, value?)));
        let qemus = self.qemu.iter().map(|path| ("--qemu", path.into()));
        arguments.extend(valued.chain(qemus).flat_map(|(flag, value)| [flag.into(), value]));
        arguments
    }

    /// The user's QEMU for guests of `arch`.
    fn qemu_for(&self, arch: Arch) -> Option<&Path> {
        let is_arm = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("aarch64"));
        self.qemu.iter().map(PathBuf::as_path).find(|path| is_arm(path) == (arch == Arch::Arm64))
    }

    /// The user's kernel tree, if it is for `arch`.
    fn kernel_tree(&self, arch: Arch) -> Result<Option<GuestKernel>> {
        let tree = self.kdir.as_deref().map(GuestKernel::from_build_tree).transpose()?;
        Ok(tree.filter(|tree| tree.arch == arch))
    }
}

/// The tools, all there and ready to use.
#[derive(Debug)]
pub(crate) struct ToolRoot {
    options: ToolOptions,
    rust_library: PathBuf,
}

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
}

impl ToolRoot {
    /// Makes sure that the tools and `kernels` are installed; does nothing, fast, when they are.
    ///
    /// # Errors
    ///
    /// Something is missing and cannot be fetched or unpacked.
    pub(crate) fn ensure(options: &ToolOptions, kernels: &[Kernel]) -> Result<Self> {
        Self::install(options, kernels, false)
    }

    /// As [`ToolRoot::ensure`], but replaces what is installed where something newer is available.
    ///
    /// # Errors
    ///
    /// As [`ToolRoot::ensure`].
    pub(crate) fn update(options: &ToolOptions, kernels: &[Kernel]) -> Result<Self> {
        Self::install(options, kernels, true)
    }

    fn install(options: &ToolOptions, kernels: &[Kernel], update: bool) -> Result<Self> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            bail!("the rig runs on x86-64 Linux");
        }
        check_overrides(options)?;
        let rust = rust_src::Source::find()?;
        let mut components = Vec::new();
        for arch in Arch::ALL {
            if kernels.iter().any(|kernel| kernel.arch == arch) {
                components.extend(tool_components(options, arch)?);
            }
        }
        let tree = options.kdir.as_deref().map(GuestKernel::from_build_tree).transpose()?;
        if let Some(tree) =
            tree.filter(|tree| !kernels.is_empty() && kernels.iter().all(|kernel| kernel.arch != tree.arch))
        {
            bail!("--kdir {} is a kernel for {}, and none of the machines is", tree.build.display(), tree.arch);
        }
        let mut to_build = Vec::new();
        for kernel in kernels {
            if options.kernel_tree(kernel.arch)?.is_some() {
                continue;
            }
            match &kernel.build {
                Some(recipe) if update || kernel_build::installed(kernel, recipe, &choice(kernel))?.is_none() => {
                    to_build.push((kernel, recipe));
                }
                Some(_) => {}
                None => components.push(kernel_component(kernel)),
            }
        }
        if !to_build.is_empty() {
            components.push(kernel_build_component());
            // What runs on this machine while a kernel is built is compiled, too.
            let host = compiler_component(Arch::Amd64);
            if components.iter().all(|component| component.name() != host.name()) {
                components.push(host);
            }
        }
        if let rust_src::Source::Package { version } = &rust {
            components.push(rust_src::component(version));
        }
        if update || components.iter().any(|component| component.installed().is_none()) {
            install_all(options, &components, update)?;
        }
        for (kernel, recipe) in to_build {
            build(options, kernel, recipe).with_context(|| format!("cannot set up kernel `{}`", kernel.name))?;
        }
        Ok(Self { options: options.clone(), rust_library: rust.library() })
    }

    /// Linux's own tests of resctrl, as one program for guests with `kernel`.
    ///
    /// # Errors
    ///
    /// Something is missing and cannot be fetched, or they do not build.
    pub(crate) fn selftests(&self, kernel: &Kernel) -> Result<PathBuf> {
        let components = [kernel_build_component(), compiler_component(Arch::Amd64)];
        if components.iter().any(|component| component.installed().is_none()) {
            install_all(&self.options, &components, false)?;
        }
        let shop = workshop(&self.options, Arch::Amd64)?;
        let cache = open_cache(&self.options, &[&kernel.suite])?;
        selftests::ensure(&self.kernel(kernel)?.release, &kernel.suite, &shop, cache)
            .context("cannot set up the kernel's selftests")
    }

    /// Start of a QEMU command line for guests of `arch`: the program with what it needs to run from the tool root.
    pub(crate) fn qemu_command(&self, arch: Arch) -> Vec<OsString> {
        if let Some(qemu) = self.options.qemu_for(arch) {
            return vec![qemu.into()];
        }
        let (tree, program, data): (_, _, &[&str]) = match arch {
            Arch::Amd64 => (folder("qemu"), "qemu-system-x86_64", &["usr/share/qemu", "usr/share/seabios"]),
            Arch::Arm64 => (folder("qemu-arm64"), "qemu-system-aarch64", &["usr/share/qemu"]),
        };
        let mut command = loader::command(&tree, &tree.join("usr/bin").join(program));
        for data in data {
            command.extend(["-L".into(), tree.join(data).into()]);
        }
        command
    }

    /// The firmware that guests of `arch` need to be told of.
    pub(crate) fn firmware(&self, arch: Arch) -> Option<PathBuf> {
        (arch == Arch::Arm64).then(|| folder("firmware-arm64").join(UEFI).join("QEMU_EFI.fd"))
    }

    /// The program that links programs for guests of `arch`; `None`: the host's.
    pub(crate) fn linker(&self, arch: Arch) -> Option<PathBuf> {
        (arch == Arch::Arm64).then(|| folder("compiler-arm64").join("usr/bin/aarch64-linux-gnu-gcc-14"))
    }

    /// The installed version of `kernel`, or the user's own build tree in its place.
    ///
    /// # Errors
    ///
    /// The build tree given by the user was never built, or `kernel` was not among those installed.
    pub(crate) fn kernel(&self, kernel: &Kernel) -> Result<GuestKernel> {
        if let Some(tree) = self.options.kernel_tree(kernel.arch)? {
            return Ok(tree);
        }
        let compiler = Some(folder(compiler(kernel.arch)).join("usr/bin"));
        if let Some(recipe) = &kernel.build {
            let built = kernel_build::installed(kernel, recipe, &choice(kernel))?
                .with_context(|| format!("kernel `{}` is not built", kernel.name))?;
            return Ok(GuestKernel {
                arch: kernel.arch,
                release: built.release,
                image: built.image,
                modules: built.build.clone(),
                build: built.build,
                compiler,
            });
        }
        let installed = kernel_component(kernel)
            .installed()
            .with_context(|| format!("kernel `{}` is not installed", kernel.name))?;
        let release = installed.release.context("the kernel's stamp names no release")?;
        let tree = folder(&kernel_folder(kernel));
        let modules = tree.join("usr/lib/modules").join(&release);
        // Until 6.12 the image package has it in /boot.
        let image = [modules.join("vmlinuz"), tree.join(format!("boot/vmlinuz-{release}"))]
            .into_iter()
            .find(|path| path.exists())
            .with_context(|| format!("the packages of {release} have no vmlinuz"))?;
        Ok(GuestKernel {
            arch: kernel.arch,
            image,
            modules,
            build: tree.join("usr/src").join(format!("linux-headers-{release}")),
            compiler,
            release,
        })
    }

    /// Whether the user forbade the network.
    pub(crate) fn offline(&self) -> bool {
        self.options.offline
    }

    /// The statically linked busybox for guests of `arch`.
    pub(crate) fn busybox(&self, arch: Arch) -> PathBuf {
        folder(busybox(arch)).join("usr/bin/busybox")
    }

    /// The `library` folder of the Rust sources that match the pinned compiler.
    pub(crate) fn rust_library(&self) -> &Path {
        &self.rust_library
    }
}

impl GuestKernel {
    fn from_build_tree(tree: &Path) -> Result<Self> {
        let tree = tree.canonicalize().with_context(|| format!("--kdir {}: no such folder", tree.display()))?;
        let release_file = tree.join("include/config/kernel.release");
        let release = fs::read_to_string(&release_file).with_context(|| {
            format!("--kdir {}: not a built kernel tree, no {}", tree.display(), release_file.display())
        })?;
        let configuration = fs::read_to_string(tree.join("include/config/auto.conf")).unwrap_or_default();
        let arm = configuration.lines().any(|line| line == "CONFIG_ARM64=y");
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
        })
    }

    /// Whether `option` is `y` in its configuration.
    pub(crate) fn has(&self, option: &str) -> bool {
        let configuration = fs::read_to_string(self.build.join("include/config/auto.conf")).unwrap_or_default();
        let wanted = format!("{option}=y");
        configuration.lines().any(|line| line == wanted)
    }

    /// Path of the module `name` (for example `msr`), as packaged: `.ko`, `.ko.xz`, `.ko.zst` or
    /// `.ko.gz`; `None` if it is built in or absent.
    pub(crate) fn module(&self, name: &str) -> Option<PathBuf> {
        find_module(&self.modules, name)
    }
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

/// Says early what a user's own QEMU or kernel tree lacks.
fn check_overrides(options: &ToolOptions) -> Result<()> {
    if let Some(qemu) = options.qemu.iter().find(|qemu| !qemu.is_file()) {
        bail!("--qemu {}: no such file", qemu.display());
    }
    if let Some(tree) = &options.kdir {
        GuestKernel::from_build_tree(tree)?;
    }
    Ok(())
}

fn install_all(options: &ToolOptions, components: &[Component], update: bool) -> Result<()> {
    let root = folder("");
    fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
    let _lock = apt::lock(&root.join("lock"))?;
    component::remove_leftovers(&root)?;
    // Another run may have installed what was missing while this one waited for the lock.
    let wanted: Vec<&Component> =
        components.iter().filter(|component| update || component.installed().is_none()).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let suites: Vec<&str> = components.iter().filter_map(Component::suite).collect();
    let cache = open_cache(options, &suites)?;
    for component in wanted {
        component.install(&cache).with_context(|| format!("cannot set up {}", component.name()))?;
    }
    Ok(())
}

fn open_cache(options: &ToolOptions, suites: &[&str]) -> Result<Cache> {
    let mirror = options.mirror.as_deref().unwrap_or(apt::DEFAULT_MIRROR);
    Cache::open(&cache_folder(options)?, mirror, suites, options.offline)
}

/// What builds something for guests of `arch` with the installed tools.
fn workshop(options: &ToolOptions, arch: Arch) -> Result<Workshop> {
    let (compilers, package) = ([arch, Arch::Amd64].map(compiler_component), compiler_package(arch));
    let stamp = compilers[0].installed().context("its compiler is not installed")?;
    Ok(Workshop {
        cache: cache_folder(options)?,
        tools: folder(KERNEL_BUILD),
        compilers: compilers.iter().map(|compiler| folder(compiler.name()).join("usr/bin")).collect(),
        compiler_version: stamp.package(package).with_context(|| format!("{package} is not installed"))?.to_owned(),
    })
}

/// Builds a kernel with the installed tools, or finds it built by another checkout.
fn build(options: &ToolOptions, kernel: &Kernel, recipe: &Recipe) -> Result<()> {
    let shop = workshop(options, kernel.arch)?;
    kernel_build::ensure(kernel, recipe, &shop, open_cache(options, &[&kernel.suite])?, &choice(kernel))
}

fn cache_folder(options: &ToolOptions) -> Result<PathBuf> {
    Ok(match &options.cache {
        Some(cache) => std::path::absolute(cache)?,
        None => default_cache(),
    })
}

fn default_cache() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("XDG_CACHE_HOME")
        .filter(|folder| folder.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .map_or_else(|| workspace::target().join("cache"), |folder| folder.join("resctrl-rig"))
}

/// Folder of the component `name`.
pub(crate) fn folder(name: &str) -> PathBuf {
    workspace::target().join("tools").join(name)
}

fn kernel_folder(kernel: &Kernel) -> String {
    match kernel.arch {
        Arch::Amd64 => format!("kernel-{}", kernel.name),
        Arch::Arm64 => format!("kernel-{}-arm64", kernel.name),
    }
}

/// Component with the guest's user land.
fn busybox(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "busybox",
        Arch::Arm64 => "busybox-arm64",
    }
}

/// Component with the programs that build modules for guests of `arch`.
fn compiler(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "compiler",
        Arch::Arm64 => "compiler-arm64",
    }
}

/// Where qemu-efi-aarch64 has the firmware that is no more than firmware: no Secure Boot.
const UEFI: &str = "usr/share/qemu-efi-aarch64";

/// What the headers' Makefiles call, beyond a compiler, the shell and the text tools that any Debian has.
const BUILD_TOOLS: [&str; 4] = ["make", "libelf1t64", "libssl3t64", "pahole"];
const BUILD_FOLDERS: &[&str] = &["usr/bin", "usr/libexec"];

/// Everything guests of `arch` need beside a kernel.
fn tool_components(options: &ToolOptions, arch: Arch) -> Result<Vec<Component>> {
    let mut components = vec![Component::packages(busybox(arch), &["busybox-static"]).of_arch(arch)];
    let packaged_qemu = options.qemu_for(arch).is_none();
    match arch {
        Arch::Amd64 => {
            components.extend(packaged_qemu.then(|| Component::packages("qemu", &["qemu-system-x86"])));
            if options.kernel_tree(arch)?.is_none() {
                components.push(compiler_component(arch));
            }
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
            components.push(compiler_component(arch));
        }
    }
    Ok(components)
}

fn compiler_package(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "gcc-14",
        Arch::Arm64 => "gcc-14-aarch64-linux-gnu",
    }
}

fn compiler_component(arch: Arch) -> Component {
    let libraries: &[&str] = match arch {
        Arch::Amd64 => &[],
        // Guest programs are linked with it, too.
        Arch::Arm64 => &["libc6-dev-arm64-cross"],
    };
    let packages = [&[compiler_package(arch)][..], libraries, &BUILD_TOOLS].concat();
    Component::packages(compiler(arch), &packages).with_loader(BUILD_FOLDERS, compiler(arch))
}

const KERNEL_BUILD: &str = "kernel-build";

/// Component with what builds of kernels need beside a compiler.
fn kernel_build_component() -> Component {
    Component::packages(KERNEL_BUILD, kernel_build::PACKAGES).with_loader(&["usr/bin"], KERNEL_BUILD)
}

/// The file that says which built kernel this checkout uses for `kernel`.
fn choice(kernel: &Kernel) -> PathBuf {
    folder(&format!("{}.toml", kernel_folder(kernel)))
}

fn kernel_component(kernel: &Kernel) -> Component {
    Component::kernel(&kernel_folder(kernel), kernel).with_loader(&["usr/lib"], compiler(kernel.arch))
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

    #[test]
    fn a_folder_that_is_no_built_kernel_tree_is_refused_by_name() {
        let tree = tempfile::tempdir().expect("a folder");
        let options = ToolOptions { kdir: Some(tree.path().to_owned()), ..ToolOptions::default() };
        let error = check_overrides(&options).expect_err("no kernel there").to_string();
        assert!(error.contains("not a built kernel tree"), "{error}");
    }

    #[test]
    fn a_built_tree_stands_for_the_kernels_of_its_instruction_set_only() {
        let tree = tempfile::tempdir().expect("a folder");
        let config = tree.path().join("include/config");
        fs::create_dir_all(&config).expect("created");
        fs::write(config.join("kernel.release"), "7.3.4\n").expect("written");
        fs::write(config.join("auto.conf"), "CONFIG_ARM64=y\n").expect("written");
        let options = ToolOptions { kdir: Some(tree.path().to_owned()), ..ToolOptions::default() };
        assert!(options.kernel_tree(Arch::Amd64).expect("it is built").is_none());
        let kernel = options.kernel_tree(Arch::Arm64).expect("it is built").expect("its own");
        assert!(kernel.image.ends_with("arch/arm64/boot/Image") && kernel.compiler.is_some());
    }

    #[test]
    fn the_users_qemu_is_told_by_its_name_and_reaches_another_xtask() {
        let qemu = vec!["/q/qemu-system-aarch64".into(), "/q/mine".into()];
        let options = ToolOptions { qemu, ..ToolOptions::default() };
        assert_eq!(options.qemu_for(Arch::Amd64), Some(Path::new("/q/mine")));
        assert_eq!(options.qemu_for(Arch::Arm64), Some(Path::new("/q/qemu-system-aarch64")));
        assert_eq!(options.arguments().len(), 4);
        assert_eq!(ToolOptions::default().qemu_for(Arch::Amd64), None);
    }
}
