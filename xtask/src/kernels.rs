// SPDX-License-Identifier: GPL-2.0-only
//! The guest kernels: one TOML file each in `qemu-images/kernels/`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use regex::Regex;
use serde::Deserialize;

use crate::apt::{Available, compare_versions};
use crate::workspace;

/// A guest kernel as described by its file; which version of it is installed, the
/// [tool root](crate::toolroot::ToolRoot::kernel) knows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kernel {
    /// Name used on the command line; the file's name without `.toml`.
    #[serde(skip)]
    pub(crate) name: String,
    /// One line for lists.
    pub(crate) description: String,
    /// Instruction set.
    pub(crate) arch: Arch,
    /// Debian suite the packages come from.
    pub(crate) suite: String,
    /// Regular expression for the whole kernel release (`uname -r`); the newest that matches is taken.
    pub(crate) release: String,
    /// The packages with image, modules, configuration and headers; `{release}` stands for the
    /// release. The first is the one whose versions are compared.
    pub(crate) packages: Vec<String>,
    /// Boot argument that keeps the kernel's own resctrl off; empty if it has none.
    pub(crate) resctrl_off: String,
    /// Why `resctrl.ko` does not run on it; `None` if it does.
    #[serde(default)]
    pub(crate) no_module: Option<String>,
}

/// Instruction set of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

impl Kernel {
    /// Reads the kernel called `name`.
    ///
    /// # Errors
    ///
    /// No such file (the message lists those there are), or one that does not parse.
    pub(crate) fn load(name: &str) -> Result<Self> {
        let names = Self::names()?;
        if !names.iter().any(|known| known == name) {
            bail!("unknown kernel `{name}`; there are: {}", names.join(", "));
        }
        let path = folder().join(format!("{name}.toml"));
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(name, &text).with_context(|| format!("{} is malformed", path.display()))
    }

    /// Names of all kernels, sorted.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub(crate) fn names() -> Result<Vec<String>> {
        let folder = folder();
        let entries = folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))?;
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".toml").map(str::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }

    fn parse(name: &str, text: &str) -> Result<Self> {
        let mut kernel: Self = toml::from_str(text)?;
        name.clone_into(&mut kernel.name);
        kernel.release_pattern()?;
        if kernel.packages.is_empty() {
            bail!("`packages` is empty");
        }
        if let Some(package) = kernel.packages.iter().find(|package| !package.contains("{release}")) {
            bail!("package `{package}` has no {{release}} in its name");
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

    /// Names of the packages of `release`.
    pub(crate) fn packages_of(&self, release: &str) -> Vec<String> {
        self.packages.iter().map(|package| package.replace("{release}", release)).collect()
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
        resctrl_off = ""
    "#;

    fn package(name: &str, version: &str, suite: &str) -> Available {
        Available { name: name.into(), version: version.into(), suite: suite.into() }
    }

    #[test]
    fn every_kernel_file_parses() {
        let names = Kernel::names().expect("the folder is there");
        assert!(names.iter().any(|name| name == "stock"));
        for name in names {
            Kernel::load(&name).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        }
    }

    #[test]
    fn the_newest_release_of_the_right_flavour_and_suite_is_taken() {
        let kernel = Kernel::parse("stock", STOCK).expect("well formed");
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
    }

    #[test]
    fn a_suite_without_a_match_has_no_release() {
        let kernel = Kernel::parse("stock", STOCK).expect("well formed");
        let other = [package("linux-binary-7.9.1+deb14-cloud-amd64", "7.9.1-1", "trixie-backports")];
        assert_eq!(kernel.newest_release(&other).expect("a good pattern"), None);
    }

    #[test]
    fn a_kernel_file_with_a_package_that_ignores_the_release_is_refused() {
        let text = STOCK.replace("linux-headers-{release}", "linux-headers-amd64");
        assert!(Kernel::parse("x", &text).is_err());
        assert!(Kernel::parse("x", &format!("{STOCK}\nsurprise = 1")).is_err());
    }
}
