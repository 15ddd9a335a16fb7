// SPDX-License-Identifier: GPL-2.0-only
//! The guest kernels: one TOML file each in `qemu-images/kernels/`, `NAME.toml` for amd64 and
//! `NAME.arm64.toml` for arm64. A name on the command line stands for both; the machine decides.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use regex::Regex;
use resctrl_hardware::machine;
use serde::Deserialize;

use crate::apt::{Available, compare_versions};
use crate::kernel_build::UserTree;
use crate::workspace;

/// A guest kernel as described by its file; which version of it is installed, the
/// [tool root](crate::toolroot::ToolRoot::kernel) knows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kernel {
    /// Name used on the command line; the file's name without `.toml` or `.arm64.toml`.
    #[serde(skip)]
    pub(crate) name: String,
    /// One line for lists.
    pub(crate) description: String,
    /// Instruction set.
    pub(crate) arch: Arch,
    /// Debian suite the packages come from.
    #[serde(default)]
    pub(crate) suite: String,
    /// The kernel whose scenarios and known differences are its own: of a tree of the user's, or of one that is another but for
    /// what is watched in it.
    #[serde(default)]
    like: Option<String>,
    /// Regular expression for the whole kernel release (`uname -r`); the newest that matches is taken.
    #[serde(default)]
    pub(crate) release: String,
    /// The packages of the guest's instruction set: image, modules, configuration and headers.
    /// `{release}` stands for the release. The first is the one whose versions are compared.
    #[serde(default)]
    pub(crate) packages: Vec<String>,
    /// The packages of the host's instruction set that modules are built with; `{version}` stands for
    /// the release without its flavour.
    #[serde(default)]
    pub(crate) host_packages: Vec<String>,
    /// How it is built; instead of `release` and packages.
    #[serde(default)]
    pub(crate) build: Option<Recipe>,
    /// Boot arguments that it needs whatever runs on it.
    #[serde(default)]
    pub(crate) arguments: String,
    /// Boot argument that keeps the kernel's own resctrl off; empty if it has none.
    pub(crate) resctrl_off: String,
    /// Why `resctrl.ko` does not run on it; `None` if it does.
    #[serde(default)]
    pub(crate) no_module: Option<String>,
    /// Why no resctrl of its own runs on it; `None` if one does.
    #[serde(default)]
    pub(crate) no_kernel_impl: Option<String>,
    /// How many times slower than a stock kernel it is; time limits are stretched by it.
    #[serde(default = "one")]
    pub(crate) slowness: u32,
}

const fn one() -> u32 {
    1
}

/// How a kernel is built, from Debian's source package or a tree of the user's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// Regular expression for the name of the source package; the newest that matches is taken. Empty if there is a tree.
    #[serde(default)]
    pub(crate) source: String,
    /// The user's tree.
    #[serde(skip)]
    pub(crate) tree: Option<PathBuf>,
    /// What the release ends with.
    #[serde(skip)]
    pub(crate) local_version: String,
    /// The configuration to begin with, as a target of the kernel's Makefile: `tinyconfig`, `defconfig`.
    pub(crate) base: String,
    /// The user's own configuration, which takes the place of `base`.
    #[serde(skip)]
    pub(crate) own: Option<PathBuf>,
    /// The files of `qemu-images/kernels/` with the settings to change in it, each of which must be taken.
    pub(crate) config: Vec<String>,
    /// The part of the source that is watched while it runs, where not all of it is to be.
    #[serde(default)]
    pub(crate) watched: Option<Watched>,
    /// About how many files are compiled: the length of the progress bar.
    pub(crate) files: u32,
    /// About how many minutes one processor takes.
    pub(crate) minutes: u32,
}

/// A part of the kernel's source that the compiler has watched while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Watched {
    /// The variable of the kernel's Makefiles that says so for a folder: `GCOV_PROFILE`, `KCSAN_SANITIZE`.
    pub(crate) variable: String,
    /// The folders.
    pub(crate) folders: Vec<String>,
}

impl Recipe {
    /// The settings to change.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(crate) fn fragment(&self) -> Result<String> {
        let mut fragment = format!("CONFIG_LOCALVERSION=\"{}\"\n", self.local_version);
        for name in &self.config {
            let path = folder().join(name);
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            fragment.push_str(&text);
        }
        Ok(fragment)
    }

    /// The regular expression for the source package.
    ///
    /// # Errors
    ///
    /// It is none.
    pub(crate) fn pattern(&self) -> Result<Regex> {
        Regex::new(&format!("^(?:{})$", self.source)).context("`source` is no regular expression")
    }
}

/// Instruction set of a guest, by Debian's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

/// Names of kernels with instruction sets that there is none of that name for.
pub(crate) type Absent = Vec<(String, Arch)>;

impl Arch {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// What the file of a kernel of this instruction set ends with.
    fn file_suffix(self) -> &'static str {
        match self {
            Self::Amd64 => ".toml",
            Self::Arm64 => ".arm64.toml",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}

impl From<machine::Arch> for Arch {
    fn from(arch: machine::Arch) -> Self {
        match arch {
            machine::Arch::X86_64 => Self::Amd64,
            machine::Arch::Aarch64 => Self::Arm64,
        }
    }
}

impl Kernel {
    /// Reads the kernel called `name` for machines of instruction set `arch`.
    ///
    /// # Errors
    ///
    /// No such file (the message lists those there are), or one that does not parse.
    pub(crate) fn load(name: &str, arch: Arch) -> Result<Self> {
        let known = Self::names(arch)?;
        if !known.iter().any(|known| known == name) {
            let others = Self::names(if arch == Arch::Amd64 { Arch::Arm64 } else { Arch::Amd64 })?;
            let known = known.join(", ");
            if others.iter().any(|other| other == name) {
                bail!("there is no kernel `{name}` for {arch}; for {arch} there are: {known}");
            }
            bail!("unknown kernel `{name}`; for {arch} there are: {known}");
        }
        let path = folder().join(format!("{name}{}", arch.file_suffix()));
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(name, arch, &text).with_context(|| format!("{} is malformed", path.display()))
    }

    /// The kernels called one of `names` for each of `arches`; what there is for none of them is an error, and
    /// what there is for some is returned with the instruction sets that it is not there for.
    ///
    /// # Errors
    ///
    /// As [`Kernel::load`].
    pub(crate) fn load_all(names: &[String], arches: &[Arch]) -> Result<(Vec<Self>, Absent)> {
        let (mut kernels, mut absent) = (Vec::new(), Vec::new());
        for name in names {
            let (there, missing): (Vec<Arch>, Vec<Arch>) =
                arches.iter().partition(|&&arch| Self::names(arch).is_ok_and(|names| names.contains(name)));
            if let ([], [arch, ..]) = (&there[..], &missing[..]) {
                // Fails, and says which there are.
                Self::load(name, *arch)?;
            }
            for arch in there {
                kernels.push(Self::load(name, arch)?);
            }
            absent.extend(missing.into_iter().map(|arch| (name.clone(), arch)));
        }
        Ok((kernels, absent))
    }

    /// The kernel that the user's `tree` makes for machines of instruction set `arch`.
    ///
    /// # Errors
    ///
    /// The file with its description does not parse.
    pub(crate) fn of_tree(tree: &UserTree, arch: Arch) -> Result<Self> {
        tree.check(arch)?;
        let kind = if tree.checks { format!("{arch}-debug") } else { arch.to_string() };
        let path = folder().join("tree").join(kind).with_extension("toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut kernel =
            Self::parse(&tree.name, arch, &text).with_context(|| format!("{} is malformed", path.display()))?;
        let recipe = kernel.build.as_mut().context("it is not built")?;
        recipe.tree = Some(tree.folder.clone());
        recipe.own.clone_from(&tree.config);
        if recipe.own.is_some() {
            // Beside what the user says, only what a guest cannot do without.
            recipe.config = vec![format!("tree/{arch}.config")];
        }
        Ok(kernel)
    }

    /// The kernel whose scenarios and known differences hold for this one: itself, unless it is a user's.
    pub(crate) fn like(&self) -> &str {
        self.like.as_deref().unwrap_or(&self.name)
    }

    /// Whether it is built from a tree of the user's.
    pub(crate) fn is_the_users(&self) -> bool {
        self.build.as_ref().is_some_and(|recipe| recipe.tree.is_some())
    }

    /// Names of all kernels for `arch`, sorted.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub(crate) fn names(arch: Arch) -> Result<Vec<String>> {
        let folder = folder();
        let entries = folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))?;
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(arch.file_suffix()).map(str::to_owned))
            // `stock.arm64.toml` ends with `.toml`, too.
            .filter(|name| !name.contains('.'))
            .collect();
        names.sort();
        Ok(names)
    }

    fn parse(name: &str, arch: Arch, text: &str) -> Result<Self> {
        let mut kernel: Self = toml::from_str(text)?;
        name.clone_into(&mut kernel.name);
        kernel.release_pattern()?;
        if kernel.arch != arch {
            bail!("`arch` is {}, the file's name says {arch}", kernel.arch);
        }
        if let Some(recipe) = &mut kernel.build {
            recipe.local_version = format!("-{name}");
        }
        match &kernel.build {
            Some(recipe) => {
                ensure!(
                    kernel.like.is_some() || !recipe.source.is_empty(),
                    "a `[build]` has a `source`, or it is `like` another"
                );
                recipe.pattern()?;
                recipe.fragment()?;
                if !(kernel.release.is_empty() && kernel.packages.is_empty() && kernel.host_packages.is_empty()) {
                    bail!("it has a `[build]`, so `release` and packages have no meaning");
                }
            }
            None if kernel.packages.is_empty() => bail!("it has neither `packages` nor a `[build]`"),
            None if kernel.release.is_empty() => bail!("`release` is missing"),
            None => {}
        }
        if kernel.slowness == 0 {
            bail!("`slowness` is 0");
        }
        if let Some(package) = kernel.packages.iter().find(|package| !package.contains("{release}")) {
            bail!("package `{package}` has no {{release}} in its name");
        }
        if let Some(package) = kernel.host_packages.iter().find(|package| !package.contains("{version}")) {
            bail!("package `{package}` has no {{version}} in its name");
        }
        Ok(kernel)
    }

    fn release_pattern(&self) -> Result<Regex> {
        Regex::new(&format!("^(?:{})$", self.release)).context("`release` is no regular expression")
    }

    /// What the names of the packages that decide on the release start with.
    pub(crate) fn package_prefix(&self) -> &str {
        self.packages[0].split("{release}").next().unwrap_or_default()
    }

    /// The newest release among `available` packages, `None` if the suite has none.
    pub(crate) fn newest_release(&self, available: &[Available]) -> Result<Option<String>> {
        let pattern = self.release_pattern()?;
        let (before, after) = self.packages[0].split_once("{release}").unwrap_or_default();
        let newest = available
            .iter()
            .filter(|package| package.suite == self.suite)
            .filter_map(|package| {
                let release = package.name.strip_prefix(before)?.strip_suffix(after)?;
                pattern.is_match(release).then_some((release, &package.version))
            })
            .max_by(|a, b| compare_versions(a.1, b.1));
        Ok(newest.map(|(release, _)| release.to_owned()))
    }

    /// Names of the packages of `release` for the guest's instruction set.
    pub(crate) fn packages_of(&self, release: &str) -> Vec<String> {
        self.packages.iter().map(|package| package.replace("{release}", release)).collect()
    }

    /// Names of the packages of `release` for the host's instruction set.
    pub(crate) fn host_packages_of(&self, release: &str) -> Vec<String> {
        let version = release.split('-').next().unwrap_or(release);
        self.host_packages.iter().map(|package| package.replace("{version}", version)).collect()
    }
}

fn folder() -> PathBuf {
    workspace::root().join("qemu-images/kernels")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOCK: &str = r#"
        description = "x"
        arch = "amd64"
        suite = "trixie-backports"
        release = '\d+\.\d+\.\d+\+deb13-cloud-amd64'
        packages = ["linux-binary-{release}", "linux-headers-{release}"]
        host_packages = ["linux-kbuild-{version}"]
        resctrl_off = ""
    "#;

    fn package(name: &str, version: &str, suite: &str) -> Available {
        Available { name: name.into(), version: version.into(), suite: suite.into() }
    }

    #[test]
    fn every_kernel_file_parses() {
        for arch in Arch::ALL {
            let names = Kernel::names(arch).expect("the folder is there");
            assert!(names.iter().any(|name| name == "stock"), "{arch}");
            for name in names {
                Kernel::load(&name, arch).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            }
        }
    }

    #[test]
    fn a_kernel_of_the_other_instruction_set_is_no_unknown_one() {
        let error = Kernel::load("stable", Arch::Arm64).expect_err("6.12 has no MPAM").to_string();
        assert!(error.starts_with("there is no kernel `stable` for arm64; for arm64 there are: "), "{error}");
        let error = Kernel::load("nosuch", Arch::Amd64).expect_err("no such file").to_string();
        assert!(error.contains("unknown kernel `nosuch`") && error.contains("stock"), "{error}");
    }

    #[test]
    fn a_name_stands_for_the_kernels_of_all_machines_that_have_it() {
        let names = ["stock".to_owned(), "stable".to_owned()];
        let (kernels, absent) = Kernel::load_all(&names, &Arch::ALL).expect("both are there for amd64");
        let found: Vec<_> = kernels.iter().map(|kernel| (kernel.name.as_str(), kernel.arch)).collect();
        assert_eq!(found, [("stock", Arch::Amd64), ("stock", Arch::Arm64), ("stable", Arch::Amd64)]);
        assert_eq!(absent, [("stable".to_owned(), Arch::Arm64)]);
        assert!(Kernel::load_all(&names, &[Arch::Arm64]).is_err());
    }

    #[test]
    fn the_newest_release_of_the_right_flavour_and_suite_is_taken() {
        let kernel = Kernel::parse("stock", Arch::Amd64, STOCK).expect("well formed");
        assert_eq!(kernel.package_prefix(), "linux-binary-");
        let available = [
            package("linux-binary-7.9.1+deb13-cloud-amd64", "7.9.1-1~bpo13+1", "trixie-backports"),
            package("linux-binary-7.10.2+deb13-cloud-amd64", "7.10.2-1~bpo13+1", "trixie-backports"),
            package("linux-binary-7.11.1+deb13-amd64", "7.11.1-1~bpo13+1", "trixie-backports"),
            package("linux-binary-7.12.0+deb13-cloud-amd64", "7.12.0-1", "sid"),
        ];
        let release = kernel.newest_release(&available).expect("a good pattern");
        assert_eq!(release.as_deref(), Some("7.10.2+deb13-cloud-amd64"));
        assert_eq!(kernel.packages_of("7.10.2+deb13-cloud-amd64")[1], "linux-headers-7.10.2+deb13-cloud-amd64");
        assert_eq!(kernel.host_packages_of("7.10.2+deb13-cloud-amd64"), ["linux-kbuild-7.10.2+deb13"]);
    }

    #[test]
    fn a_suite_without_a_match_has_no_release() {
        let kernel = Kernel::parse("stock", Arch::Amd64, STOCK).expect("well formed");
        let other = [package("linux-binary-7.9.1+deb14-cloud-amd64", "7.9.1-1", "trixie-backports")];
        assert_eq!(kernel.newest_release(&other).expect("a good pattern"), None);
    }

    #[test]
    fn a_kernel_comes_from_packages_or_from_a_build_and_not_from_both() {
        let build = r#"
            [build]
            source = 'linux-source-\d+\.\d+'
            base = "tinyconfig"
            config = ["checks.config"]
            files = 1000
            minutes = 10
        "#;
        let alone = format!("description = \"x\"\narch = \"amd64\"\nsuite = \"sid\"\nresctrl_off = \"\"\n{build}");
        let kernel = Kernel::parse("x", Arch::Amd64, &alone).expect("well formed");
        assert_eq!((kernel.slowness, kernel.build.map(|recipe| recipe.minutes)), (1, Some(10)));
        let both = Kernel::parse("x", Arch::Amd64, &format!("{STOCK}{build}")).expect_err("both").to_string();
        assert!(both.contains("[build]"), "{both}");
        assert!(Kernel::parse("x", Arch::Amd64, &alone.replace("checks.config", "nosuch.config")).is_err());
        let neither = alone.replace(build, "");
        assert!(Kernel::parse("x", Arch::Amd64, &neither).is_err());
    }

    #[test]
    fn a_kernel_file_with_a_package_that_ignores_the_release_is_refused() {
        let parse = |text: &str| Kernel::parse("x", Arch::Amd64, text);
        assert!(parse(STOCK).is_ok());
        assert!(parse(&STOCK.replace("linux-headers-{release}", "linux-headers-amd64")).is_err());
        assert!(parse(&STOCK.replace("linux-kbuild-{version}", "linux-kbuild")).is_err());
        assert!(parse(&format!("{STOCK}\nsurprise = 1")).is_err());
        assert!(Kernel::parse("x", Arch::Arm64, STOCK).is_err());
    }
}
