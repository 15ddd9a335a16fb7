// SPDX-License-Identifier: GPL-2.0-only
//! Debian's lintian, from the tool root: it is told where its own perl has its libraries, and runs on any distribution.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::toolroot::{ToolOptions, ToolRoot};

/// Where perl's libraries are in Debian's packages. Of the first ones it is a folder by perl's version.
const OF_A_VERSION: [&str; 3] = ["usr/lib/x86_64-linux-gnu/perl5", "usr/lib/x86_64-linux-gnu/perl", "usr/share/perl"];
const PLAIN: [&str; 2] = ["usr/share/perl5", "usr/lib/x86_64-linux-gnu/perl-base"];

/// Has lintian look at `packages`, and prints what it finds.
///
/// # Errors
///
/// It finds an error or a warning, or cannot be had.
pub(super) fn run(options: &ToolOptions, packages: &[PathBuf]) -> Result<()> {
    let tree = ToolRoot::lintian(options)?;
    let output = command(&tree, packages)?.run().context("cannot run lintian")?;
    let said = String::from_utf8_lossy(&output.stdout);
    eprint!("{said}");
    ensure!(output.status.success(), "lintian does not like a package ({})", output.status);
    packages.iter().try_for_each(|package| check_manuals(&tree, package))
}

/// Has groff read the manual pages of a package. lintian would have man do it, which looks for its programs in `/usr/libexec` alone.
fn check_manuals(tree: &Path, package: &Path) -> Result<()> {
    let data = tree.join("usr/share/groff/current");
    let groff = duct::cmd!(tree.join("usr/bin/groff"), "-mandoc", "-ww", "-z", "-Tutf8", "-Kutf8")
        .env("PATH", path(tree)?)
        .env("GROFF_FONT_PATH", data.join("font"))
        .env("GROFF_TMAC_PATH", data.join("tmac"))
        .stderr_to_stdout();
    let said = duct::cmd!("dpkg-deb", "--fsys-tarfile", package)
        .pipe(duct::cmd!("tar", "--extract", "--to-stdout", "--wildcards", "./usr/share/man/*.gz"))
        .pipe(duct::cmd!("gzip", "--decompress", "--stdout"))
        .pipe(groff)
        .read()
        .with_context(|| format!("cannot read the manual pages of {}", package.display()))?;
    ensure!(said.is_empty(), "groff does not like a manual page of {}:\n{said}", package.display());
    Ok(())
}

/// Programs of the tree come first: what lintian calls, it has of the same version.
fn path(tree: &Path) -> Result<OsString> {
    let mut folders = vec![tree.join("usr/bin")];
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    Ok(env::join_paths(folders)?)
}

fn command(tree: &Path, packages: &[PathBuf]) -> Result<duct::Expression> {
    let mut words: Vec<OsString> = vec![tree.join("usr/share/lintian/bin/lintian").into()];
    words.extend(
        ["--no-cfg", "--fail-on", "error,warning", "--tag-display-limit", "0", "--suppress-tags", "groff-message"]
            .map(OsString::from),
    );
    words.extend(packages.iter().map(OsString::from));
    Ok(duct::cmd(tree.join("usr/bin/perl"), words)
        .env("PERL5LIB", env::join_paths(libraries(tree)?)?)
        .env("PATH", path(tree)?)
        .env("LC_ALL", "C.UTF-8")
        .stdin_null()
        .stdout_capture()
        .stderr_to_stdout()
        .unchecked())
}

/// Where perl finds what its programs use.
fn libraries(tree: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = PLAIN.iter().map(|folder| tree.join(folder)).collect();
    for parent in OF_A_VERSION.map(|folder| tree.join(folder)) {
        let entries = parent.read_dir().with_context(|| format!("cannot read {}", parent.display()))?;
        found.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A tree with a `perl` that says this.
    fn tree(script: &str) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for folder in OF_A_VERSION.iter().map(|folder| format!("{folder}/5.99")).chain(["usr/bin".to_owned()]) {
            fs::create_dir_all(tree.path().join(folder)).unwrap();
        }
        let perl = tree.path().join("usr/bin/perl");
        fs::write(&perl, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&perl, fs::Permissions::from_mode(0o755)).unwrap();
        tree
    }

    #[test]
    fn lintian_gets_its_own_perl_with_its_libraries_and_the_packages() {
        let tree = tree("echo \"$PERL5LIB|$*\"; exit 2");
        let output = command(tree.path(), &["/a.deb".into()]).unwrap().run().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("/usr/share/perl/5.99") && said.contains("/usr/share/perl5:"), "{said}");
        assert!(said.contains("/usr/share/lintian/bin/lintian --no-cfg --fail-on error,warning"), "{said}");
        assert!(said.trim_end().ends_with(" /a.deb"), "{said}");
        assert_eq!(output.status.code(), Some(2));
    }

    #[test]
    fn a_tree_without_perls_libraries_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(command(folder.path(), &[]).unwrap_err().to_string().starts_with("cannot read "));
    }
}
