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
mod database;
mod guest_kernel;
mod loader;
mod on_demand;
mod packages;
mod root_image;
mod unpacked_image;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::apt::{self, Cache};
use crate::kernel_build::{self, UserTree, Workshop};
use crate::kernels::{Absent, Arch, Kernel, Recipe};
use crate::shell::word;
use crate::{rust_src, workspace};
pub(crate) use component::Component;
use component::Resolved;
pub(crate) use guest_kernel::GuestKernel;
pub(crate) use on_demand::{llvm, rust_library};
#[cfg(test)]
pub(crate) use packages::LLVM_PACKAGE;
pub(crate) use packages::folder;
use packages::{
    KERNEL_BUILD, UEFI, busybox, cc, choice, compiler, compiler_component, compiler_package, emulator_components,
    kernel_build_component, kernel_component, kernel_folder, tool_components,
};

/// The oldest QEMU whose plugins can read and write registers and memory.
const OLDEST_QEMU: u32 = 10;

/// Where the newest kernel's source is.
const SOURCE_SUITE: &str = "trixie-backports";

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
        arguments.extend(self.offline.then(|| "--offline".into()));
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

    /// Looks at the user's own QEMU and kernel tree.
    ///
    /// # Errors
    ///
    /// There is none where it should be, or something else.
    pub(crate) fn check(&self) -> Result<()> {
        self.qemu.iter().try_for_each(|qemu| check_qemu(qemu))?;
        self.kdir.as_deref().map(GuestKernel::from_build_tree).transpose().map(drop)
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

/// Flags of subcommands that boot a tree of the user's.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Your kernel")]
pub(crate) struct TreeOptions {
    /// Build this source tree of Linux, patched or not, and boot it in place of a packaged kernel; it is only read
    #[arg(long, value_name = "DIR", conflicts_with = "kdir")]
    pub(crate) tree: Option<PathBuf>,
    /// The tree's configuration, in place of one with little more than guests need
    #[arg(long, value_name = "FILE", requires = "tree")]
    pub(crate) config: Option<PathBuf>,
    /// Build the tree with KASAN, lockdep and more
    #[arg(long, requires = "tree", conflicts_with = "config")]
    pub(crate) debug: bool,
}

impl TreeOptions {
    /// The flags again, for another xtask.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        for (flag, value) in [("--tree", &self.tree), ("--config", &self.config)] {
            arguments.extend(value.iter().flat_map(|value| [flag.into(), value.into()]));
        }
        arguments.extend(self.debug.then(|| "--debug".into()));
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
        Self::install(options, kernels, Replace::Nothing)
    }

    /// Makes sure that there is QEMU for guests of `arch`; nothing else is.
    ///
    /// # Errors
    ///
    /// It is missing and cannot be fetched or unpacked.
    pub(crate) fn with_emulator(options: &ToolOptions, arch: Arch) -> Result<Self> {
        options.check()?;
        provide(options, &emulator_components(options, arch), SAME_COMMAND)?;
        Ok(Self { options: options.clone(), rust_library: rust_src::Source::find()?.library() })
    }

    /// As [`ToolRoot::ensure`], but replaces what is installed where something newer is available.
    ///
    /// # Errors
    ///
    /// As [`ToolRoot::ensure`].
    pub(crate) fn update(options: &ToolOptions, kernels: &[Kernel]) -> Result<Self> {
        Self::install(options, kernels, Replace::Older)
    }

    /// The packages that the tools and `kernels` would be made from now, as file names with their versions, sorted. Nothing but
    /// package lists is fetched.
    ///
    /// # Errors
    ///
    /// Package lists that cannot be had, or without something that is needed.
    pub(crate) fn resolved(options: &ToolOptions, kernels: &[Kernel]) -> Result<Vec<String>> {
        let needed = Needed::of(options, kernels, Replace::Older)?;
        let mut suites = suites(&needed.components);
        suites.extend(needed.to_build.iter().map(|(kernel, _)| kernel.suite.as_str()));
        let cache = open_cache(options, &suites)?;
        let components: Vec<&Component> = needed.components.iter().collect();
        let resolved = resolve(&cache, &components)?;
        let packages = resolved.iter().flat_map(|(_, resolved)| resolved.packages());
        let mut files: BTreeSet<String> = packages.map(|(_, package)| package.file.clone()).collect();
        for (kernel, recipe) in needed.to_build {
            files.insert(kernel_build::source_package(kernel, recipe, &cache)?);
        }
        Ok(files.into_iter().collect())
    }

    fn install(options: &ToolOptions, kernels: &[Kernel], replace: Replace) -> Result<Self> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            bail!("the rig runs on x86-64 Linux");
        }
        workspace::check_path(workspace::root())?;
        options.check()?;
        let needed = Needed::of(options, kernels, replace)?;
        let otherwise = setup_command(options, kernels);
        match replace {
            Replace::Older => install_all(options, &needed.components, replace, &otherwise)?,
            Replace::Nothing => provide(options, &needed.components, &otherwise)?,
        }
        for (kernel, recipe) in needed.to_build {
            build(options, kernel, recipe).with_context(|| format!("cannot set up kernel `{}`", kernel.name))?;
        }
        Ok(Self { options: options.clone(), rust_library: needed.rust.library() })
    }

    /// The source of a kernel that Debian has as a package, unpacked: the newest called `name`, for all who ask.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be fetched or unpacked.
    pub(crate) fn kernel_source(options: &ToolOptions, name: &str) -> Result<(String, PathBuf)> {
        kernel_build::unpacked_source(
            &cache_folder(options)?,
            &open_cache(options, &[SOURCE_SUITE])?,
            SOURCE_SUITE,
            name,
        )
    }

    /// The folder of the rig's own work tree for the user's `tree`, which is kept.
    ///
    /// # Errors
    ///
    /// There is no current folder.
    pub(crate) fn work_tree(options: &ToolOptions, tree: &Path) -> Result<PathBuf> {
        let mut hasher = DefaultHasher::new();
        tree.hash(&mut hasher);
        Ok(cache_folder(options)?.join("judge").join(format!("tree-{:016x}", hasher.finish())))
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

/// What has to be there for guests with some kernels.
struct Needed<'a> {
    rust: rust_src::Source,
    components: Vec<Component>,
    /// Kernels that are built here.
    to_build: Vec<(&'a Kernel, &'a Recipe)>,
}

impl<'a> Needed<'a> {
    /// A kernel that is built already is left out, unless older ones are to be replaced.
    fn of(options: &ToolOptions, kernels: &'a [Kernel], replace: Replace) -> Result<Self> {
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
                    if replace == Replace::Older
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
        Ok(Self { rust, components, to_build })
    }
}

/// Asks a program whether it is QEMU, with what plugins need.
fn check_qemu(qemu: &Path) -> Result<()> {
    let flag = format!("--qemu {}", qemu.display());
    if !qemu.is_file() {
        bail!("{flag}: no such file");
    }
    let output = duct::cmd(qemu, ["--version"])
        .env("LC_ALL", "C")
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .with_context(|| format!("{flag}: cannot be run"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version =
        said.strip_prefix("QEMU emulator version ").and_then(|rest| rest.split(['.', ' ']).next()?.parse::<u32>().ok());
    match version {
        None => bail!(
            "{flag}: this is no QEMU system emulator; asked for its version, it says: {}",
            said.lines().next().unwrap_or_default()
        ),
        Some(version) if version < OLDEST_QEMU => {
            bail!("{flag}: version {version} is too old: the plugin needs the plugin interface of QEMU {OLDEST_QEMU}")
        }
        Some(_) => Ok(()),
    }
}

/// What to do with what is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replace {
    /// Leave it.
    Nothing,
    /// Replace it where something newer is available.
    Older,
}

/// How to get what is needed on demand only.
const SAME_COMMAND: &str = "the same command without --offline";

/// The command that fetches all that guests with `kernels` need.
fn setup_command(options: &ToolOptions, kernels: &[Kernel]) -> String {
    let mut command = "`cargo xtask setup".to_owned();
    let packaged = || kernels.iter().filter(|kernel| !kernel.is_the_users());
    for name in packaged().map(|kernel| kernel.name.as_str()).collect::<BTreeSet<_>>() {
        command.push_str(&format!(" --kernel {name}"));
    }
    for arch in kernels.iter().map(|kernel| kernel.arch).collect::<BTreeSet<_>>() {
        command.push_str(&format!(" --arch {arch}"));
    }
    // Else it would fetch into another folder, or what is not needed.
    let options = ToolOptions { offline: false, ..options.clone() };
    for flag in options.arguments() {
        command.push_str(&format!(" {}", word(&flag.to_string_lossy())));
    }
    command + "`"
}

/// Installs what is missing; `otherwise` is what fetches it, if the network is not to be used.
fn provide(options: &ToolOptions, components: &[Component], otherwise: &str) -> Result<()> {
    // So that nobody waits for a lock where there is nothing to do.
    if components.iter().all(|component| component.installed().is_some()) {
        return Ok(());
    }
    install_all(options, components, Replace::Nothing, otherwise)
}

fn install_all(options: &ToolOptions, components: &[Component], replace: Replace, otherwise: &str) -> Result<()> {
    let root = folder("");
    fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
    let _lock = apt::lock(&root.join("lock"))?;
    component::remove_leftovers(&root)?;
    // Another run may have installed what was missing while this one waited for the lock.
    let wanted: Vec<&Component> =
        components.iter().filter(|component| replace == Replace::Older || component.installed().is_none()).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let cache = open_cache(options, &suites(components))?;
    let resolved = resolve(&cache, &wanted)?;
    if options.offline {
        let missing: Vec<String> = resolved
            .iter()
            .flat_map(|(component, resolved)| {
                let absent = resolved.packages().filter(|(apt, package)| !apt.is_cached(package));
                absent.map(|(_, package)| format!("\n  {}: {package}", component.name()))
            })
            .collect();
        if !missing.is_empty() {
            bail!(
                "offline, and {} packages were not fetched before:{}\nget them with {otherwise}",
                missing.len(),
                missing.concat()
            );
        }
    }
    for (component, resolved) in resolved {
        component.install(&resolved).with_context(|| format!("cannot set up {}", component.name()))?;
    }
    Ok(())
}

fn suites(components: &[Component]) -> Vec<&str> {
    components.iter().filter_map(Component::suite).collect()
}

/// What each of `components` would be made from now.
fn resolve<'a, 'b>(cache: &'a Cache, components: &[&'b Component]) -> Result<Vec<(&'b Component, Resolved<'a>)>> {
    let one = |component: &'b Component| {
        let resolved = component.resolve(cache).with_context(|| format!("cannot set up {}", component.name()))?;
        Ok((component, resolved))
    };
    components.iter().map(|&component| one(component)).collect()
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

/// The folder for downloads and kernels that are built here.
///
/// # Errors
///
/// There is no current folder.
pub(crate) fn cache_folder(options: &ToolOptions) -> Result<PathBuf> {
    Ok(match &options.cache {
        Some(cache) => std::path::absolute(cache)?,
        None => default_cache(),
    })
}

/// The folder for downloads and kernels where none is named.
pub(crate) fn default_cache() -> PathBuf {
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
        let error = options.check().expect_err("no kernel there").to_string();
        assert!(error.contains("not a built kernel tree"), "{error}");
    }

    #[test]
    fn a_program_that_is_no_qemu_is_refused_with_what_it_says() {
        let options = |path: &str| ToolOptions { qemu: vec![path.into()], ..ToolOptions::default() };
        let why = |path: &str| format!("{:#}", options(path).check().expect_err("no QEMU"));
        assert_eq!(why("/nonexistent/qemu"), "--qemu /nonexistent/qemu: no such file");
        assert!(
            why("/bin/true").starts_with("--qemu /bin/true: this is no QEMU system emulator"),
            "{}",
            why("/bin/true")
        );
        let folder = tempfile::tempdir().expect("a folder");
        let old = folder.path().join("qemu-system-x86_64");
        fs::write(&old, "#!/bin/sh\necho 'QEMU emulator version 8.2.2 (Debian)'\n").expect("written");
        fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("changed");
        assert!(why(old.to_str().expect("text")).contains("version 8 is too old"));
    }

    #[test]
    fn the_command_that_fetches_names_all_kernels_and_instruction_sets() {
        let kernel = |name, arch| Kernel::load(name, arch).expect("well formed");
        let kernels = [kernel("stock", Arch::Arm64), kernel("stock", Arch::Amd64), kernel("stable", Arch::Amd64)];
        assert_eq!(
            setup_command(&ToolOptions { offline: true, ..ToolOptions::default() }, &kernels),
            "`cargo xtask setup --kernel stable --kernel stock --arch amd64 --arch arm64`"
        );
        let options = ToolOptions { offline: true, cache: Some("/my cache".into()), ..ToolOptions::default() };
        assert_eq!(setup_command(&options, &[]), "`cargo xtask setup --cache '/my cache'`");
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
