// SPDX-License-Identifier: GPL-2.0-only
//! Guest kernels that no distribution has: built from Debian's source package, or from a tree of the user's, once.
//!
//! The result (image, configuration and what modules are built against) is kept in the cache folder, under a name that
//! tells what it was made from, so that every checkout on this machine uses the same one. Only a stamp, written
//! last, makes it valid: a build that was interrupted goes on where it was. The source tree goes when all is done; that of a
//! user's tree is a copy and stays, so that the next build compiles what has changed.
//!
//! Like everything in the tool root, it needs no root and nothing of the host: the compiler is the one for modules, and the
//! programs that the kernel's build makes for itself are linked against a C library of the tool root's, of which the
//! result keeps a copy, because module builds run them again.

mod make;
pub(crate) mod selftests;
mod source;
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::apt::{self, Apt, Available, Cache};
use crate::files;
use crate::kernels::{Arch, Kernel, Recipe};
use make::Make;
pub(crate) use tree::UserTree;

/// Raise when the way kernels are built changes, so that they are built anew.
const REVISION: u32 = 1;

/// What the kernel's build needs beyond a compiler, make, and what any Debian has.
pub(crate) const PACKAGES: &[&str] = &["base-files", "bc", "bison", "flex", "libc6-dev", "libelf-dev"];

/// Shared libraries of the programs that the build makes for itself.
const LIBRARIES: &[&str] =
    &["ld-linux-x86-64.so.2", "libc.so.6", "libelf.so.1", "libm.so.6", "libz.so.1", "libzstd.so.1"];

/// Folder of the result with what the compiler wrote down of the code that counts how often it runs.
const NOTES: &str = "notes";

/// Where the build happens and with what.
#[derive(Debug)]
pub(crate) struct Workshop {
    /// The folder for downloads, which checkouts share.
    pub(crate) cache: PathBuf,
    /// The component with [`PACKAGES`].
    pub(crate) tools: PathBuf,
    /// Folders with the compilers: for the guest's instruction set, and for the host's.
    pub(crate) compilers: Vec<PathBuf>,
    /// Version of the first of them.
    pub(crate) compiler_version: String,
}

/// A built kernel; the file `stamp.toml` beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    /// As `uname -r` prints it.
    release: String,
}

/// Which of the built kernels this checkout uses; a file in the tool root.
#[derive(Debug, Serialize, Deserialize)]
struct Choice {
    request: String,
    place: PathBuf,
}

/// A kernel that was built.
#[derive(Debug)]
pub(crate) struct BuiltKernel {
    /// As `uname -r` prints it.
    pub(crate) release: String,
    /// The bootable image.
    pub(crate) image: PathBuf,
    /// What modules are built against.
    pub(crate) build: PathBuf,
    /// What the compiler wrote down of the code that counts how often it runs; there where some does.
    pub(crate) notes: PathBuf,
}

/// The built kernel that this checkout uses for `kernel`, unless its description has changed since; `choice` is the file
/// that says which.
pub(crate) fn installed(kernel: &Kernel, recipe: &Recipe, choice: &Path) -> Result<Option<BuiltKernel>> {
    let request = request(kernel, recipe, &recipe.fragment()?);
    let Ok(text) = fs::read_to_string(choice) else { return Ok(None) };
    let Ok(choice) = toml::from_str::<Choice>(&text) else { return Ok(None) };
    Ok(if choice.request == request { built(&choice.place) } else { None })
}

/// Makes sure that `kernel` is built from the newest source there is, and has this checkout use it. Builds of the same
/// kernel wait for each other; `cache` is only held while packages are fetched.
///
/// # Errors
///
/// No source package, offline and not fetched before, a configuration that the source does not take, or a failed build.
pub(crate) fn ensure(kernel: &Kernel, recipe: &Recipe, shop: &Workshop, cache: Cache, choice: &Path) -> Result<()> {
    let fragment = recipe.fragment()?;
    if let Some(tree) = &recipe.tree {
        drop(cache);
        let place = of_tree(kernel, recipe, &fragment, tree, shop)?;
        return choose(choice, kernel, recipe, &fragment, place);
    }
    let apt = cache.packages(Arch::Amd64)?;
    let source = newest_source(kernel, recipe, apt)?;
    let place =
        shop.cache.join("kernels").join(folder_name(kernel, recipe, &fragment, &source, &shop.compiler_version));
    if built(&place).is_none() {
        check_paths(&[&place, &shop.tools])?;
        fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
        let archive = source::fetch(apt, &source)?;
        // Others may want packages while this compiles.
        drop(cache);
        let _lock = apt::lock(&place.join("lock"))?;
        if built(&place).is_none() {
            let what = format!("Linux {} ({})", source.version, kernel.description);
            let job = Job { kernel, recipe, fragment: &fragment, what: &what, work: &place, place: &place, shop };
            job.unpack(&archive, &source.name)?;
            job.run()?;
            files::remove(&make::tree(&place))?;
        }
    }
    choose(choice, kernel, recipe, &fragment, place)
}

/// The package with the source that `kernel` would be built from now, and its version.
///
/// # Errors
///
/// The suite has none.
pub(crate) fn source_package(kernel: &Kernel, recipe: &Recipe, cache: &Cache) -> Result<String> {
    let Available { name, version, .. } = newest_source(kernel, recipe, cache.packages(Arch::Amd64)?)?;
    Ok(format!("{name}_{version}"))
}

/// The package with the source of `kernel`, the same for every instruction set.
fn newest_source(kernel: &Kernel, recipe: &Recipe, apt: &Apt) -> Result<Available> {
    source::newest(&apt.available("linux-source-")?, &kernel.suite, &recipe.pattern()?)
}

/// The source of the newest package called `name`, with its version, unpacked once in a folder of `folder` that is its user's.
///
/// # Errors
///
/// There is none in the suite, or it cannot be fetched or unpacked.
pub(crate) fn unpacked_source(folder: &Path, cache: &Cache, suite: &str, name: &str) -> Result<(String, PathBuf)> {
    let pattern = Regex::new(&format!("^{}$", regex::escape(name)))?;
    let apt = cache.packages(Arch::Amd64)?;
    let source = source::newest(&apt.available(name)?, suite, &pattern)?;
    let place = folder.join("judge").join(format!("{name}-{}", source.version.replace(':', "_")));
    check_paths(&[&place])?;
    if !place.exists() {
        let archive = source::fetch(apt, &source)?;
        source::unpack(&archive, &source.name, &[], &place, &format!("unpacking {name}"))?;
    }
    Ok((source.version, place))
}

/// Has this checkout use the kernel in `place`.
fn choose(choice: &Path, kernel: &Kernel, recipe: &Recipe, fragment: &str, place: PathBuf) -> Result<()> {
    let text = toml::to_string(&Choice { request: request(kernel, recipe, fragment), place })?;
    fs::write(choice, text).with_context(|| format!("cannot write {}", choice.display()))
}

/// Builds the user's tree as it is now, or finds it built.
fn of_tree(kernel: &Kernel, recipe: &Recipe, fragment: &str, tree: &Path, shop: &Workshop) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    (request(kernel, recipe, fragment), &shop.compiler_version).hash(&mut hasher);
    let work = shop.cache.join("trees").join(format!("{}-{:016x}", kernel.arch, hasher.finish()));
    check_paths(&[&work, &shop.tools])?;
    let source = make::tree(&work);
    fs::create_dir_all(&source).with_context(|| format!("cannot create {}", source.display()))?;
    let _lock = apt::lock(&work.join("lock"))?;
    let label = format!("kernel {}: reading its source", kernel.name);
    let content = tree::synchronise(tree, &source, &work.join("manifest.json"), &label)?;
    (content, settings(fragment), &recipe.own.as_ref().map(fs::read).transpose()?).hash(&mut hasher);
    let place = shop.cache.join("kernels").join(format!("tree-{}-{:016x}", kernel.arch, hasher.finish()));
    if built(&place).is_none() {
        fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
        let what = format!("{} ({})", tree.display(), kernel.description);
        Job { kernel, recipe, fragment, what: &what, work: &work, place: &place, shop }.run()?;
    }
    Ok(place)
}

/// All that decides on the content except versions of packages, as text.
fn request(kernel: &Kernel, recipe: &Recipe, fragment: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (REVISION, kernel.arch, &recipe.base).hash(&mut hasher);
    if let Some(watched) = &recipe.watched {
        watched.hash(&mut hasher);
    }
    match &recipe.tree {
        Some(tree) => {
            // Not the fragment, which has the name that a commit has.
            (&recipe.config, &recipe.own).hash(&mut hasher);
            format!("{} {:016x}", tree.display(), hasher.finish())
        }
        None => {
            (&recipe.source, settings(fragment)).hash(&mut hasher);
            format!("{}/{} {:016x}", kernel.suite, recipe.source, hasher.finish())
        }
    }
}

fn folder_name(kernel: &Kernel, recipe: &Recipe, fragment: &str, source: &Available, compiler: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (request(kernel, recipe, fragment), &source.name, compiler).hash(&mut hasher);
    // make cannot have a colon in a path; versions may.
    let version = source.version.replace(':', "_");
    format!("{}-{}-{version}-{:016x}", kernel.name, kernel.arch, hasher.finish())
}

fn built(place: &Path) -> Option<BuiltKernel> {
    let text = fs::read_to_string(place.join("stamp.toml")).ok()?;
    let Stamp { release } = toml::from_str(&text).ok()?;
    Some(BuiltKernel { release, image: place.join("vmlinuz"), build: place.join("build"), notes: place.join(NOTES) })
}

/// The kernel's Makefiles cannot live with every path.
fn check_paths(paths: &[&Path]) -> Result<()> {
    for path in paths {
        let text = path.to_string_lossy();
        ensure!(
            !text.contains(|c: char| c.is_whitespace() || c == ':'),
            "a kernel cannot be built in `{text}`: there is a space or a colon in the path (--cache DIR takes another folder)"
        );
    }
    Ok(())
}

/// One build.
struct Job<'a> {
    kernel: &'a Kernel,
    recipe: &'a Recipe,
    fragment: &'a str,
    /// What is built, for people.
    what: &'a str,
    /// Where it is compiled.
    work: &'a Path,
    /// Where the result goes.
    place: &'a Path,
    shop: &'a Workshop,
}

impl Job<'_> {
    fn run(&self) -> Result<()> {
        let start = Instant::now();
        let Self { kernel, recipe, what, work, place, .. } = self;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let processors = u32::try_from(processors).unwrap_or(u32::MAX);
        eprintln!(
            "kernel {}: building {what}, which takes about {} minutes on {processors} processors, once",
            kernel.name,
            recipe.minutes.div_ceil(processors)
        );
        self.copy_libraries()?;
        let make = Make::new(kernel, recipe, work, self.shop)?;
        self.configure(&make)?;
        let (target, image) = match kernel.arch {
            Arch::Amd64 => ("bzImage", "arch/x86/boot/bzImage"),
            Arch::Arm64 => ("Image", "arch/arm64/boot/Image"),
        };
        let jobs = format!("-j{processors}");
        make.watched(&[&jobs, target, "modules"], &format!("kernel {}: compiling", kernel.name), recipe.files)?;
        self.keep(&make, image)?;
        let release = fs::read_to_string(make.tree().join("include/config/kernel.release"))?.trim().to_owned();
        let stamp = toml::to_string(&Stamp { release })?;
        fs::write(place.join("stamp.toml"), stamp).context("cannot write the stamp")?;
        eprintln!("kernel {}: built in {} s", kernel.name, start.elapsed().as_secs());
        Ok(())
    }

    /// Unpacks the source, unless an earlier run has.
    fn unpack(&self, archive: &Path, package: &str) -> Result<()> {
        let tree = make::tree(self.work);
        if tree.exists() {
            return Ok(());
        }
        let label = format!("kernel {}: unpacking its source", self.kernel.name);
        source::unpack(archive, package, &[], &tree, &label)
    }

    fn copy_libraries(&self) -> Result<()> {
        let to = self.work.join(make::LIBRARY_FOLDER);
        fs::create_dir_all(&to).with_context(|| format!("cannot create {}", to.display()))?;
        let from = self.shop.tools.join("usr/lib/x86_64-linux-gnu");
        for library in LIBRARIES {
            copy(&from.join(library), &to.join(library))?;
        }
        Ok(())
    }

    /// Configures the tree, unless an earlier run has: a new configuration would have everything compiled again. The user's
    /// tree may have another Kconfig than last time; there, what comes out the same is not compiled again.
    fn configure(&self, make: &Make) -> Result<()> {
        let config = make.tree().join(".config");
        if self.recipe.tree.is_some() || !config.exists() {
            let folder = make.tree().join("arch").join(make::kernel_arch(self.kernel.arch)).join("configs");
            fs::write(folder.join("rig.config"), self.fragment)?;
            if let Some(own) = &self.recipe.own {
                copy(own, &config)?;
                make.quiet(&["rig.config"])?;
            } else {
                make.quiet(&[&self.recipe.base, "rig.config"])?;
            }
        }
        let text = fs::read_to_string(&config).with_context(|| format!("cannot read {}", config.display()))?;
        let ignored = ignored(self.fragment, &text);
        if ignored.is_empty() {
            return Ok(());
        }
        // So that the next run tries again.
        fs::remove_file(&config)?;
        bail!(
            "{} does not take these settings of {}: {}",
            self.what,
            self.recipe.config.join(" and "),
            ignored.join(", ")
        )
    }

    /// Copies what is needed later out of the tree.
    fn keep(&self, make: &Make, image: &str) -> Result<()> {
        let build = self.place.join("build");
        files::remove(&build)?;
        make.install_headers(&build)?;
        for file in [".config", ".kernelvariables", "System.map"] {
            copy(&make.tree().join(file), &build.join(file))?;
        }
        if self.recipe.own.is_some() {
            keep_modules(make.tree(), &build.join("modules"))?;
        }
        if let Some(watched) = &self.recipe.watched {
            keep_notes(make.tree(), &watched.folders, &self.place.join(NOTES))?;
        }
        copy(&make.tree().join(image), &self.place.join("vmlinuz"))
    }
}

/// Copies what the compiler wrote down of code that counts how often it runs: without it the counts mean nothing.
fn keep_notes(tree: &Path, folders: &[String], to: &Path) -> Result<()> {
    for folder in folders.iter().filter(|folder| tree.join(folder).is_dir()) {
        let is_note = |file: &Path| file.extension().is_some_and(|ending| ending == "gcno");
        files::copy(&tree.join(folder), &to.join(folder), is_note)?;
    }
    Ok(())
}

/// Copies the modules below `tree` to the folder `to`; their names are unique.
fn keep_modules(tree: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for file in files::below(tree)?.iter().filter(|file| file.extension().is_some_and(|extension| extension == "ko")) {
        copy(&tree.join(file), &to.join(file.file_name().context("a file without a name")?))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// The settings of `fragment` that `config` does not have: the source does not know them, or something else decides
/// otherwise. A kernel that silently lacks KASAN would find nothing.
fn ignored<'a>(fragment: &'a str, config: &str) -> Vec<&'a str> {
    let is_set = |line: &str| config.lines().any(|found| found == line);
    let taken = |line: &str| match line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set")) {
        // What is off because something else is may not be mentioned at all.
        Some(name) => !config.lines().any(|found| found.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))),
        None => is_set(line),
    };
    settings(fragment).into_iter().filter(|line| !taken(line)).collect()
}

/// The lines of a configuration that say something, sorted: all that decides on what is built.
fn settings(fragment: &str) -> BTreeSet<&str> {
    fragment.lines().filter(|line| line.starts_with("CONFIG_") || line.ends_with(" is not set")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(source: &str) -> Recipe {
        Recipe {
            source: source.into(),
            tree: None,
            local_version: "-debug".into(),
            base: "tinyconfig".into(),
            own: None,
            config: vec!["guest.config".into()],
            watched: None,
            files: 1000,
            minutes: 10,
        }
    }

    fn package(name: &str, version: &str, suite: &str) -> Available {
        Available { name: name.into(), version: version.into(), suite: suite.into() }
    }

    #[test]
    fn everything_a_kernel_is_made_from_shows_in_its_folder() {
        let kernel = Kernel::load("debug", Arch::Amd64).expect("well formed");
        let recipe = recipe("linux-source-7.3");
        let source = package("linux-source-7.3", "1:7.3.4-1", "trixie-backports");
        let name = |fragment, source: &Available, compiler| folder_name(&kernel, &recipe, fragment, source, compiler);
        let first = name("CONFIG_A=y", &source, "gcc-14_14.2.0-19");
        assert!(first.starts_with("debug-amd64-1_7.3.4-1-"), "{first}");
        assert_eq!(first, name("CONFIG_A=y", &source, "gcc-14_14.2.0-19"));
        assert_ne!(first, name("CONFIG_B=y", &source, "gcc-14_14.2.0-19"));
        assert_ne!(first, name("CONFIG_A=y", &source, "gcc-14_14.2.0-20"));
        assert_ne!(first, name("CONFIG_A=y", &package("linux-source-7.3", "7.3.5-1", ""), "gcc-14_14.2.0-19"));
    }

    #[test]
    fn a_setting_that_the_source_does_not_take_is_noticed() {
        let config = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=3\n";
        assert!(
            ignored("# Why.\nCONFIG_A=y\nCONFIG_C=3\n# CONFIG_B is not set\n# CONFIG_GONE is not set\n", config)
                .is_empty()
        );
        assert_eq!(ignored("CONFIG_B=y\nCONFIG_C=4\nCONFIG_D=y\n", config), ["CONFIG_B=y", "CONFIG_C=4", "CONFIG_D=y"]);
        assert_eq!(ignored("# CONFIG_C is not set\n", config), ["# CONFIG_C is not set"]);
    }

    #[test]
    fn a_build_without_its_stamp_does_not_count() {
        let place = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(place.path().join("build")).expect("created");
        assert!(built(place.path()).is_none());
        fs::write(place.path().join("stamp.toml"), "release = \"7.3.4-debug\"\n").expect("written");
        assert_eq!(built(place.path()).expect("now it does").release, "7.3.4-debug");
    }

    #[test]
    fn a_path_that_make_cannot_take_is_refused_before_anything_is_built() {
        assert!(check_paths(&[Path::new("/a b")]).is_err());
        assert!(check_paths(&[Path::new("/a:b")]).is_err());
        assert!(check_paths(&[Path::new("/a-b+c~d")]).is_ok());
    }
}
