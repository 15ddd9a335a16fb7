// SPDX-License-Identifier: GPL-2.0-only
//! dpkg's database of a root file system whose packages were unpacked without dpkg: what `dpkg --unpack` would have written.
//!
//! So `dpkg --configure -a` in a guest makes it a system like any other, in which packages are installed, upgraded and removed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Writes down that `tree` has what is in the packages `archives`.
///
/// # Errors
///
/// A file that is no package, or that cannot be written.
pub(super) fn record(tree: &Path, archives: &[PathBuf]) -> Result<()> {
    let folder = tree.join("var/lib/dpkg");
    let info = folder.join("info");
    for needed in [&info, &folder.join("updates"), &folder.join("triggers")] {
        fs::create_dir_all(needed).with_context(|| format!("cannot create {}", needed.display()))?;
    }
    let mut status = String::new();
    for archive in archives {
        let about = || format!("cannot record {}", archive.display());
        let control = tempfile::tempdir()?;
        duct::cmd!("dpkg-deb", "--control", archive, control.path()).stderr_null().run().with_context(about)?;
        let fields = fs::read_to_string(control.path().join("control")).with_context(about)?;
        let name = name(&fields).with_context(about)?;
        for entry in control.path().read_dir()?.flatten().filter(|entry| entry.file_name() != "control") {
            let kind = entry.file_name();
            fs::copy(entry.path(), info.join(format!("{name}.{}", kind.to_string_lossy()))).with_context(about)?;
        }
        let listed = duct::cmd!("dpkg-deb", "--fsys-tarfile", archive).pipe(duct::cmd!("tar", "--list")).read();
        fs::write(info.join(format!("{name}.list")), list(&listed.with_context(about)?)).with_context(about)?;
        status.push_str(&paragraph(&fields));
    }
    fs::write(info.join("format"), "1\n")?;
    fs::write(folder.join("status"), status).context("cannot write dpkg's status")?;
    fs::write(folder.join("available"), "").context("cannot write dpkg's list")
}

fn field<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    fields.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim)
}

/// What dpkg calls a package's files: with its instruction set, where it may be there for several.
fn name(fields: &str) -> Option<String> {
    let name = field(fields, "Package")?;
    let arch = field(fields, "Architecture")?;
    Some(match field(fields, "Multi-Arch") {
        Some("same") => format!("{name}:{arch}"),
        _ => name.to_owned(),
    })
}

/// A package as dpkg's status has it: unpacked, not configured.
fn paragraph(fields: &str) -> String {
    let mut paragraph = String::new();
    for line in fields.trim_end().lines() {
        paragraph.push_str(line);
        paragraph.push('\n');
        if line.starts_with("Package: ") {
            paragraph.push_str("Status: install ok unpacked\n");
        }
    }
    paragraph + "\n"
}

/// The names of an archive as dpkg lists files: absolute, folders without a slash at their end.
fn list(names: &str) -> String {
    names
        .lines()
        .map(|name| name.trim_start_matches('.').trim_end_matches('/'))
        .map(|name| if name.is_empty() { "/.\n".to_owned() } else { format!("{name}\n") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: &str = "Package: x\nVersion: 1-1\nArchitecture: amd64\nMulti-Arch: same\nMaintainer: A <a@b.org>\n\
                           Description: x\n more\n";

    #[test]
    fn dpkg_itself_reads_what_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let (stage, tree, archive) = (folder.path().join("x"), folder.path().join("tree"), folder.path().join("x.deb"));
        fs::create_dir_all(stage.join("DEBIAN")).unwrap();
        fs::create_dir_all(stage.join("usr/share/x")).unwrap();
        fs::write(stage.join("DEBIAN/control"), CONTROL).unwrap();
        fs::write(stage.join("DEBIAN/md5sums"), "").unwrap();
        fs::write(stage.join("usr/share/x/file"), "").unwrap();
        duct::cmd!("dpkg-deb", "--build", &stage, &archive).stdout_null().run().unwrap();
        record(&tree, &[archive]).unwrap();
        let info = tree.join("var/lib/dpkg/info");
        assert!(info.join("x:amd64.md5sums").is_file());
        let listed = fs::read_to_string(info.join("x:amd64.list")).unwrap();
        assert_eq!(listed, "/.\n/usr\n/usr/share\n/usr/share/x\n/usr/share/x/file\n");
        let database = format!("--admindir={}", tree.join("var/lib/dpkg").display());
        let format = "--showformat=${Package} ${Version} ${Status}";
        let said = duct::cmd!("dpkg-query", database, "--show", format).read().unwrap();
        assert_eq!(said, "x 1-1 install ok unpacked");
    }

    #[test]
    fn a_file_that_is_no_package_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("broken.deb");
        fs::write(&archive, "no package").unwrap();
        let error = format!("{:#}", record(folder.path(), &[archive]).unwrap_err());
        assert!(error.contains("broken.deb"), "{error}");
    }

    #[test]
    fn packages_that_are_there_once_have_plain_names() {
        assert_eq!(name("Package: x\nArchitecture: all\n").as_deref(), Some("x"));
        assert_eq!(name("Package: x\nArchitecture: arm64\nMulti-Arch: foreign\n").as_deref(), Some("x"));
        assert_eq!(name("Version: 1\n"), None);
    }
}
