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
mod guest_kernel;
mod loader;
mod on_demand;
mod packages;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::apt::{self, Cache};
use crate::kernel_build::{self, UserTree, Workshop};
use crate::kernels::{Absent, Arch, Kernel, Recipe};
use crate::{rust_src, workspace};
pub(crate) use component::Component;
pub(crate) use guest_kernel::GuestKernel;
pub(crate) use packages::folder;
use packages::{
    KERNEL_BUILD, UEFI, busybox, cc, choice, compiler, compiler_component, compiler_package, kernel_build_component,
    kernel_component, kernel_folder, tool_components,
};

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
    #[arg(long, value_name = "DIR", conflicts_with = "tree")]
    pub(crate) kdir: Option<PathBuf>,
    /// Build this source tree of Linux, patched or not, and boot it in place of a packaged kernel; it is only read
    #[arg(long, value_name = "DIR")]
    pub(crate) tree: Option<PathBuf>,
    /// The tree's configuration, in place of one with little more than guests need
    #[arg(long, value_name = "FILE", requires = "tree")]
    pub(crate) config: Option<PathBuf>,
    /// Build the tree with KASAN, lockdep and more
    #[arg(long, requires = "tree", conflicts_with = "config")]
    pub(crate) debug: bool,
}

impl ToolOptions {
    /// The flags again, for another xtask.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        for (given, flag) in [(self.offline, "--offline"), (self.debug, "--debug")] {
            arguments.extend(given.then(|| flag.into()));
        }
        let single = [
            ("--mirror", self.mirror.as_ref().map(OsString::from)),
            ("--cache", self.cache.as_ref().map(OsString::from)),
            ("--kdir", self.kdir.as_ref().map(OsString::from)),
            ("--tree", self.tree.as_ref().map(OsString::from)),
            ("--config", self.config.as_ref().map(OsString::from)),
        ];
        let valued = single.into_iter().filter_map(|(flag, value)| Some((flag, value?)));
        let qemus = self.qemu.iter().map(|path| ("--qemu", path.into()));
        arguments.extend(valued.chain(qemus).flat_map(|(flag, value)| [flag.into(), value]));
        arguments
    }

    /// The kernels to boot on machines of `arches`: the user's tree, if there is one, else those called `names`; and what there
    /// is not for some.
    ///
    /// # Errors
    ///
    /// As [`Kernel::load_all`]; the tree is none.
    pub(crate) fn kernels(&self, names: &[String], arches: &[Arch]) -> Result<(Vec<Kernel>, Absent)> {
        let Some(tree) = &self.tree else { return Kernel::load_all(names, arches) };
        let tree = UserTree::open(tree, self.config.as_deref(), self.debug)?;
        let kernels = arches.iter().map(|&arch| Kernel::of_tree(&tree, arch)).collect::<Result<_>>()?;
        Ok((kernels, Absent::new()))
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
                // Whether it has changed is known when it was read.
                Some(recipe)
                    if update
                        || kernel.is_the_users()
                        || kernel_build::installed(kernel, recipe, &choice(kernel))?.is_none() =>
                {
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
        if update {
            install_all(options, &components, update)?;
        } else {
            provide(options, &components)?;
        }
        for (kernel, recipe) in to_build {
            build(options, kernel, recipe).with_context(|| format!("cannot set up kernel `{}`", kernel.name))?;
        }
        Ok(Self { options: options.clone(), rust_library: rust.library() })
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
                cc: kernel.is_the_users().then(|| cc(kernel.arch)),
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
            cc: None,
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

/// Installs what is missing.
fn provide(options: &ToolOptions, components: &[Component]) -> Result<()> {
    // So that nobody waits for a lock where there is nothing to do.
    if components.iter().all(|component| component.installed().is_some()) {
        return Ok(());
    }
    install_all(options, components, false)
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

#[cfg(test)]
mod tests {
    use super::*;

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
