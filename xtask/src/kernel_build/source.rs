// SPDX-License-Identifier: GPL-2.0-only
//! Debian's packages with the kernel's source.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use regex::Regex;

use crate::apt::{Apt, Available, Wanted, compare_versions};
use crate::{files, progress};

/// The newest package of `suite` whose name matches.
pub(crate) fn newest(available: &[Available], suite: &str, pattern: &Regex) -> Result<Available> {
    available
        .iter()
        .filter(|package| package.suite == suite && pattern.is_match(&package.name))
        .max_by(|a, b| compare_versions(&a.version, &b.version))
        .cloned()
        .with_context(|| format!("{suite} has no package {pattern}"))
}

/// Downloads the package, unless that was done before.
pub(crate) fn fetch(apt: &Apt, source: &Available) -> Result<PathBuf> {
    let wanted = Wanted { packages: vec![format!("{}={}", source.name, source.version)], closure: false };
    let packages = apt.resolve(&wanted)?;
    let [package] = &packages[..] else { bail!("{} is {} packages", source.name, packages.len()) };
    apt.fetch("the kernel's source", &wanted, &packages)?;
    Ok(apt.archive(package))
}

/// Unpacks the source tree to `tree`, or only what is below some of its folders. `label` is shown meanwhile.
pub(crate) fn unpack(archive: &Path, name: &str, folders: &[&str], tree: &Path, label: &str) -> Result<()> {
    let partial = tree.with_extension("partial");
    files::remove(&partial)?;
    fs::create_dir_all(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let spinner = progress::spinner(label);
    let inside = format!("./usr/src/{name}.tar.xz");
    let mut words = vec!["--extract".to_owned(), "--xz".to_owned(), "--strip-components=1".to_owned()];
    words.push(format!("--directory={}", partial.display()));
    words.extend(folders.iter().map(|folder| format!("{name}/{folder}")));
    let output = duct::cmd!("dpkg-deb", "--fsys-tarfile", archive)
        .pipe(duct::cmd!("tar", "--extract", "--to-stdout", inside))
        .pipe(duct::cmd("tar", words))
        .env("LC_ALL", "C")
        .stderr_capture()
        .unchecked()
        .run()?;
    spinner.finish_and_clear();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        files::remove(&partial)?;
        bail!("cannot unpack {} to {}: {}", archive.display(), tree.display(), stderr.trim());
    }
    fs::rename(&partial, tree).with_context(|| format!("cannot move {} into place", partial.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, suite: &str) -> Available {
        Available { name: name.into(), version: version.into(), suite: suite.into() }
    }

    #[test]
    fn the_newest_source_of_the_suite_is_taken() {
        let available = [
            package("linux-source-7.9", "7.9.1-1~bpo13+1", "trixie-backports"),
            package("linux-source-7.10", "7.10.2-1~bpo13+1", "trixie-backports"),
            package("linux-source-7.11", "7.11.1-1", "sid"),
            package("linux-source-rt", "7.12-1~bpo13+1", "trixie-backports"),
        ];
        let pattern = Regex::new(r"^linux-source-\d+\.\d+$").expect("a pattern");
        let found = newest(&available, "trixie-backports", &pattern).expect("there is one");
        assert_eq!(found.name, "linux-source-7.10");
        let error = newest(&available, "trixie", &pattern).expect_err("none there").to_string();
        assert!(error.contains("trixie has no package"), "{error}");
    }
}
