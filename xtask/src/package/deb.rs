// SPDX-License-Identifier: GPL-2.0-only
//! A Debian package: its files, and `dpkg-deb`, which the rig needs anyway, to put them together.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A package.
#[derive(Debug)]
pub(crate) struct Deb {
    file: String,
    control: String,
    /// The scripts of its maintainer, by their names.
    pub(crate) scripts: BTreeMap<&'static str, String>,
    /// By where they go, without a slash at the beginning.
    files: BTreeMap<String, Vec<u8>>,
}

impl Deb {
    /// An empty package, to be the file `NAME_VERSION_ARCH.deb`. Its `control` file has `@SIZE@` where the size of its files goes.
    pub(crate) fn new(file: String, control: String) -> Self {
        Self { file, control, scripts: BTreeMap::new(), files: BTreeMap::new() }
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, place: &str, data: impl Into<Vec<u8>>) {
        self.files.insert(place.to_owned(), data.into());
    }

    /// Adds a text, compressed as Debian has its documentation.
    ///
    /// # Errors
    ///
    /// There is no gzip.
    pub(crate) fn compressed(&mut self, place: &str, text: &str) -> Result<()> {
        let output = duct::cmd!("gzip", "-9n").stdin_bytes(text).stdout_capture().run().context("cannot run gzip")?;
        self.file(&format!("{place}.gz"), output.stdout);
        Ok(())
    }

    /// Writes it into `folder`. Nothing in it depends on when or by whom that is done.
    ///
    /// # Errors
    ///
    /// A file cannot be written, or dpkg-deb does not like something.
    pub(crate) fn write(&self, folder: &Path, epoch: u64) -> Result<PathBuf> {
        let stage = tempfile::tempdir_in(folder).with_context(|| format!("cannot write to {}", folder.display()))?;
        let root = stage.path().join("root");
        for (place, data) in &self.files {
            put(&root, place, data, 0o644)?;
        }
        let kib: usize = self.files.values().map(|data| data.len().div_ceil(1024)).sum();
        let control = self.control.replace("@SIZE@", &kib.to_string());
        put(&root, "DEBIAN/control", control.as_bytes(), 0o644)?;
        put(&root, "DEBIAN/md5sums", self.sums(&root)?.as_bytes(), 0o644)?;
        for (name, script) in &self.scripts {
            put(&root, &format!("DEBIAN/{name}"), script.as_bytes(), 0o755)?;
        }
        let made = stage.path().join("deb");
        let output = duct::cmd!("dpkg-deb", "--root-owner-group", "-Zxz", "--build", &root, &made)
            .env("SOURCE_DATE_EPOCH", epoch.to_string())
            .env("DPKG_DEB_THREADS_MAX", "1")
            .env("LC_ALL", "C")
            .stdout_null()
            .stderr_capture()
            .unchecked()
            .run()
            .context("cannot run dpkg-deb")?;
        anyhow::ensure!(output.status.success(), "dpkg-deb: {}", String::from_utf8_lossy(&output.stderr).trim());
        let path = folder.join(&self.file);
        fs::rename(&made, &path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// The file `md5sums` of the package, by which dpkg finds out what was changed.
    fn sums(&self, root: &Path) -> Result<String> {
        let sums = duct::cmd("md5sum", self.files.keys()).dir(root).env("LC_ALL", "C").read();
        Ok(sums.context("cannot run md5sum")? + "\n")
    }
}

/// Writes a file; its folders are everybody's to read, whatever the user's umask says.
fn put(root: &Path, place: &str, data: &[u8], mode: u32) -> Result<()> {
    let path = root.join(place);
    let mut folder = root.to_owned();
    for part in Path::new(place).parent().into_iter().flat_map(Path::components) {
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        folder.push(part);
    }
    fs::create_dir_all(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
    fs::write(&path, data)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Deb {
        let control = "Package: x\nVersion: 1-1\nArchitecture: all\nMaintainer: A <a@b.org>\nInstalled-Size: @SIZE@\n\
                       Description: x\n";
        let mut deb = Deb::new("x_1-1_all.deb".to_owned(), control.to_owned());
        deb.scripts.insert("postinst", "#!/bin/sh\n".to_owned());
        deb.file("usr/share/x/data", vec![0; 3000]);
        deb.compressed("usr/share/doc/x/changelog", "text\n").unwrap();
        deb
    }

    fn ask(option: &str, path: &Path) -> String {
        duct::cmd!("dpkg-deb", option, path).read().unwrap()
    }

    #[test]
    fn a_package_belongs_to_root_and_has_its_size_sums_and_scripts() {
        let folder = tempfile::tempdir().unwrap();
        let path = package().write(folder.path(), 1_700_000_000).unwrap();
        let listed = ask("--contents", &path);
        let line = |end: &str| listed.lines().find(|line| line.ends_with(end)).unwrap().to_owned();
        assert!(line("./usr/share/x/data").starts_with("-rw-r--r-- root/root"), "{listed}");
        assert!(line("./usr/share/").starts_with("drwxr-xr-x root/root"), "{listed}");
        assert!(listed.lines().all(|line| line.contains("2023-11-1")), "{listed}");
        assert!(ask("--field", &path).contains("\nInstalled-Size: 4\n"));
        let sums = duct::cmd!("dpkg-deb", "--ctrl-tarfile", &path).pipe(duct::cmd!("tar", "-xO", "./md5sums")).read();
        let names: Vec<_> = sums.unwrap().lines().map(|line| line.split_once("  ").unwrap().1.to_owned()).collect();
        assert_eq!(names, ["usr/share/doc/x/changelog.gz", "usr/share/x/data"]);
        let left: Vec<_> = folder.path().read_dir().unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["x_1-1_all.deb"]);
    }

    #[test]
    fn the_same_is_the_same_bytes_at_another_time_and_place() {
        let make = || {
            let folder = tempfile::tempdir().unwrap();
            fs::read(package().write(folder.path(), 1_700_000_000).unwrap()).unwrap()
        };
        let first = make();
        std::thread::sleep(std::time::Duration::from_millis(1100));
        assert!(first == make(), "packages differ");
    }

    #[test]
    fn what_dpkg_deb_says_is_passed_on() {
        let folder = tempfile::tempdir().unwrap();
        let deb = Deb::new("x.deb".to_owned(), "Package: X Y\n".to_owned());
        let error = deb.write(folder.path(), 0).unwrap_err();
        assert!(error.to_string().starts_with("dpkg-deb: "), "{error}");
    }
}
