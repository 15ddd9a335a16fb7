// SPDX-License-Identifier: GPL-2.0-only
//! A source tree of the user's, which is only read: what is built is a copy, brought up to date from run to run, so that only
//! what has changed is compiled again.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::kernels::Arch;
use crate::{files, git, progress};

/// How long a name may be: with it, a kernel's release must not be longer than 64 bytes.
const LONGEST_NAME: usize = 40;

/// A tree as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserTree {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// What `git describe` calls it, or its folder's name.
    pub(crate) name: String,
    /// The user's configuration, in place of the rig's.
    pub(crate) config: Option<PathBuf>,
    /// All checks are to be on.
    pub(crate) checks: bool,
}

impl UserTree {
    /// Looks at a tree.
    ///
    /// # Errors
    ///
    /// It is no source tree of Linux with resctrl in it, or there is no such configuration.
    pub(crate) fn open(folder: &Path, config: Option<&Path>, checks: bool) -> Result<Self> {
        let flag = format!("--tree {}", folder.display());
        let folder = folder.canonicalize().with_context(|| format!("{flag}: no such folder"))?;
        for part in ["Makefile", "Kbuild", "Kconfig", "scripts/kconfig"] {
            ensure!(folder.join(part).exists(), "{flag}: no source tree of Linux: it has no {part}");
        }
        let resctrl = ["fs/resctrl", "arch/x86/kernel/cpu/resctrl"];
        ensure!(
            resctrl.iter().any(|part| folder.join(part).is_dir()),
            "{flag}: this Linux has no resctrl: no {}",
            resctrl.join(", no ")
        );
        let config =
            config.map(|config| config.canonicalize().with_context(|| format!("--config {}", config.display())));
        Ok(Self { name: name_of(&folder), folder, config: config.transpose()?, checks })
    }

    /// Looks whether it can be built for guests of `arch`, before anything is.
    ///
    /// # Errors
    ///
    /// The tree has no such instruction set, or no control hardware of it; its configuration is for another one.
    pub(crate) fn check(&self, arch: Arch) -> Result<()> {
        let flag = format!("--tree {}", self.folder.display());
        let (folder, drivers): (_, &[&str]) = match arch {
            Arch::Amd64 => ("arch/x86", &["arch/x86/kernel/cpu/resctrl"]),
            Arch::Arm64 => ("arch/arm64", &["drivers/resctrl", "drivers/platform/mpam"]),
        };
        let instead = "choose other machines (--machine), or another tree";
        ensure!(
            self.folder.join(folder).is_dir(),
            "{flag}: the machines that are asked for are of {arch}, and this tree is not for it: it has no {folder}; {instead}"
        );
        ensure!(
            drivers.iter().any(|driver| self.folder.join(driver).is_dir()),
            "{flag}: the machines that are asked for are of {arch}, whose part of resctrl this Linux does not have: no {}; {instead}",
            drivers.join(", no ")
        );
        let Some(config) = &self.config else { return Ok(()) };
        let text = fs::read_to_string(config).with_context(|| format!("--config {}", config.display()))?;
        let is_for = |arch: &Arch| text.lines().any(|line| line == setting_of(*arch));
        if let Some(other) = [Arch::Amd64, Arch::Arm64].into_iter().find(is_for).filter(|_| !is_for(&arch)) {
            bail!(
                "--config {}: this is a configuration for {other} ({}), and the machines that are asked for are of {arch}",
                config.display(),
                setting_of(other)
            );
        }
        Ok(())
    }

    /// The same by another name.
    pub(crate) fn called(self, name: &str) -> Self {
        Self { name: plain(name), ..self }
    }
}

/// The line that a configuration for guests of `arch` has.
const fn setting_of(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "CONFIG_X86_64=y",
        Arch::Arm64 => "CONFIG_ARM64=y",
    }
}

/// What a tree is called in tables, paths and releases.
fn name_of(folder: &Path) -> String {
    let described = git::text(folder, &["describe", "--tags", "--always", "--dirty"]).ok();
    let name = described.unwrap_or_else(|| folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
    plain(&name)
}

/// A name that is fit for paths and for the end of a release.
fn plain(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let mut name: String = name.trim().chars().map(fit).collect();
    if name.len() > LONGEST_NAME {
        // The end tells commits apart.
        name = name.split_off(name.len() - LONGEST_NAME).trim_start_matches(['-', '.']).to_owned();
    }
    name
}

/// The files of a tree, relative to it: for git, those it follows and those it does not ignore; else all.
fn files(tree: &Path) -> Result<Vec<PathBuf>> {
    let top = git::text(tree, &["rev-parse", "--show-toplevel"]);
    if top.is_ok_and(|top| Path::new(&top) == tree) {
        let words = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"];
        let list = git::bytes(tree, &words.map(Into::into))?;
        let paths = list.split(|&byte| byte == 0).filter(|path| !path.is_empty());
        return Ok(paths.map(|path| std::ffi::OsString::from_vec(path.to_vec()).into()).collect());
    }
    if tree.join("include/config/auto.conf").exists() {
        bail!(
            "{} is not of git, and something was built in it, which cannot be told from its source: `make mrproper` there, \
             or --kdir for what was built",
            tree.display()
        );
    }
    files::below(tree)
}

/// What is known of a file that was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    size: u64,
    /// Nanoseconds since the epoch.
    modified: i128,
    mode: u32,
    hash: u64,
}

/// What the copy was made from; a file beside it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    files: BTreeMap<PathBuf, Seen>,
}

/// Makes `copy` what `tree` is, leaves files alone that are the same, and returns a number that tells contents apart.
/// Files of the copy that are not the tree's (what was built there) stay. `manifest` is a file that remembers.
///
/// # Errors
///
/// A file cannot be read or written.
pub(super) fn synchronise(tree: &Path, copy: &Path, manifest: &Path, label: &str) -> Result<u64> {
    let before = fs::read(manifest).ok().and_then(|text| serde_json::from_slice::<Manifest>(&text).ok());
    let mut before = before.unwrap_or_default();
    let paths = files(tree)?;
    let bar = progress::count(label, paths.len());
    let mut now = Manifest::default();
    for path in paths {
        bar.inc(1);
        let from = tree.join(&path);
        let metadata = match fs::symlink_metadata(&from) {
            // Deleted, and git has not been told.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata.with_context(|| format!("cannot read {}", from.display()))?,
        };
        if metadata.is_dir() {
            // A repository of its own: a submodule, which Linux has none of.
            continue;
        }
        let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        let (size, mode) = (metadata.size(), metadata.mode());
        let old = before.files.remove(&path);
        let same = |old: &Seen| (old.size, old.modified, old.mode) == (size, modified, mode);
        let seen = match old {
            Some(old) if same(&old) => old,
            old => {
                let content = if metadata.is_symlink() {
                    fs::read_link(&from)?.into_os_string().into_vec()
                } else {
                    fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?
                };
                let mut hasher = DefaultHasher::new();
                content.hash(&mut hasher);
                let hash = hasher.finish();
                // Touched and not changed: nothing is compiled again.
                if old.is_none_or(|old| (old.hash, old.mode) != (hash, mode)) {
                    write(&copy.join(&path), &content, &metadata)?;
                }
                Seen { size, modified, mode, hash }
            }
        };
        now.files.insert(path, seen);
    }
    bar.finish_and_clear();
    for gone in before.files.keys() {
        match fs::remove_file(copy.join(gone)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", copy.join(gone).display()));
            }
            _ => {}
        }
    }
    fs::write(manifest, serde_json::to_vec(&now)?).with_context(|| format!("cannot write {}", manifest.display()))?;
    let mut hasher = DefaultHasher::new();
    for (path, seen) in &now.files {
        (path, seen.mode, seen.hash).hash(&mut hasher);
    }
    Ok(hasher.finish())
}

/// Puts a file in place of what is there.
fn write(to: &Path, content: &[u8], metadata: &fs::Metadata) -> Result<()> {
    let result = (|| {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        match fs::remove_file(to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if metadata.is_symlink() {
            return symlink(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(content), to);
        }
        fs::write(to, content)?;
        fs::set_permissions(to, fs::Permissions::from_mode(metadata.mode() & 0o777 | 0o600))
    })();
    result.with_context(|| format!("cannot write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with something of a kernel in it.
    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for (path, text) in
            [("Makefile", "all:\n"), ("Kbuild", ""), ("Kconfig", ""), ("fs/resctrl/rdtgroup.c", "int a;\n")]
        {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(tree.path().join("scripts/kconfig")).unwrap();
        symlink("rdtgroup.c", tree.path().join("fs/resctrl/link.c")).unwrap();
        tree
    }

    struct Copy {
        folder: tempfile::TempDir,
    }

    impl Copy {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        fn path(&self, path: &str) -> PathBuf {
            self.folder.path().join("source").join(path)
        }

        fn take(&self, tree: &Path) -> u64 {
            synchronise(tree, &self.path(""), &self.folder.path().join("manifest"), "copying").unwrap()
        }

        fn modified(&self, path: &str) -> i64 {
            fs::metadata(self.path(path)).unwrap().mtime_nsec()
        }
    }

    #[test]
    fn the_copy_follows_the_tree_and_touches_only_what_has_changed() {
        let (tree, copy) = (tree(), Copy::new());
        let first = copy.take(tree.path());
        assert_eq!(fs::read_to_string(copy.path("fs/resctrl/link.c")).unwrap(), "int a;\n");
        assert!(fs::symlink_metadata(copy.path("fs/resctrl/link.c")).unwrap().is_symlink());
        // What is built there stays.
        fs::write(copy.path("fs/resctrl/rdtgroup.o"), "").unwrap();
        let [makefile, source] = ["Makefile", "fs/resctrl/rdtgroup.c"].map(|path| copy.modified(path));
        assert_eq!(copy.take(tree.path()), first);

        fs::write(tree.path().join("Makefile"), "all:\n").unwrap();
        fs::write(tree.path().join("fs/resctrl/rdtgroup.c"), "int b;\n").unwrap();
        fs::write(tree.path().join("fs/resctrl/new.c"), "").unwrap();
        let second = copy.take(tree.path());
        assert_ne!(second, first);
        assert_eq!(copy.modified("Makefile"), makefile, "the same content is no change");
        assert_ne!(copy.modified("fs/resctrl/rdtgroup.c"), source);
        assert!(copy.path("fs/resctrl/rdtgroup.o").exists() && copy.path("fs/resctrl/new.c").exists());

        fs::remove_file(tree.path().join("fs/resctrl/new.c")).unwrap();
        fs::write(tree.path().join("fs/resctrl/rdtgroup.c"), "int a;\n").unwrap();
        assert_eq!(copy.take(tree.path()), first, "the same tree again is the same content");
        assert!(!copy.path("fs/resctrl/new.c").exists());
    }

    #[test]
    fn of_a_work_tree_what_git_ignores_is_left_out_and_it_has_gits_name() {
        let (tree, copy) = (tree(), Copy::new());
        let git = |arguments: &[&str]| git::text(tree.path(), arguments).unwrap();
        git(&["init", "--quiet"]);
        fs::write(tree.path().join(".gitignore"), "*.o\n").unwrap();
        git(&["add", "."]);
        git(&["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "a"]);
        git(&["tag", "v7.4-rc1"]);
        fs::write(tree.path().join("fs/resctrl/rdtgroup.o"), "").unwrap();
        fs::write(tree.path().join("fs/resctrl/new.c"), "").unwrap();
        copy.take(tree.path());
        assert!(copy.path("fs/resctrl/new.c").exists() && !copy.path("fs/resctrl/rdtgroup.o").exists());
        let name = || UserTree::open(tree.path(), None, false).unwrap().name;
        assert_eq!(name(), "v7.4-rc1");
        fs::write(tree.path().join("fs/resctrl/rdtgroup.c"), "int b;\n").unwrap();
        assert_eq!(name(), "v7.4-rc1-dirty");
        fs::remove_file(tree.path().join("fs/resctrl/rdtgroup.c")).unwrap();
        copy.take(tree.path());
        assert!(!copy.path("fs/resctrl/rdtgroup.c").exists());
    }

    #[test]
    fn what_cannot_be_built_is_refused_with_what_it_lacks() {
        let tree = tree();
        let open =
            |path: &Path, config| UserTree::open(path, config, false).map(drop).map_err(|error| format!("{error:#}"));
        assert!(open(tree.path(), None).is_ok());
        let why = open(tree.path(), Some(Path::new("/nonexistent"))).unwrap_err();
        assert!(why.starts_with("--config /nonexistent: "), "{why}");
        let why = open(Path::new("/nonexistent"), None).unwrap_err();
        assert!(why.starts_with("--tree /nonexistent: no such folder"), "{why}");
        fs::remove_dir_all(tree.path().join("fs")).unwrap();
        let why = open(tree.path(), None).unwrap_err();
        assert!(why.ends_with("this Linux has no resctrl: no fs/resctrl, no arch/x86/kernel/cpu/resctrl"), "{why}");
        fs::remove_file(tree.path().join("Kbuild")).unwrap();
        assert!(open(tree.path(), None).unwrap_err().ends_with("it has no Kbuild"));
    }

    #[test]
    fn a_tree_or_configuration_of_another_instruction_set_is_refused_before_anything_is_built() {
        let tree = tree();
        let open = |config: Option<&Path>| UserTree::open(tree.path(), config, false).unwrap();
        let why = |tree: &UserTree, arch| tree.check(arch).unwrap_err().to_string();
        assert!(
            why(&open(None), Arch::Arm64).contains("are of arm64, and this tree is not for it: it has no arch/arm64")
        );
        assert!(why(&open(None), Arch::Amd64).contains("it has no arch/x86"));
        fs::create_dir_all(tree.path().join("arch/x86/kernel/cpu/resctrl")).unwrap();
        fs::create_dir_all(tree.path().join("arch/arm64")).unwrap();
        assert!(open(None).check(Arch::Amd64).is_ok());
        let without = why(&open(None), Arch::Arm64);
        assert!(without.contains("whose part of resctrl this Linux does not have: no drivers/resctrl"), "{without}");
        fs::create_dir_all(tree.path().join("drivers/resctrl")).unwrap();
        assert!(open(None).check(Arch::Arm64).is_ok());
        let config = tree.path().join("arm.config");
        fs::write(&config, "CONFIG_64BIT=y\nCONFIG_ARM64=y\n").unwrap();
        let tree = open(Some(&config));
        assert!(tree.check(Arch::Arm64).is_ok());
        let why = why(&tree, Arch::Amd64);
        assert!(why.contains("for arm64 (CONFIG_ARM64=y), and the machines that are asked for are of amd64"), "{why}");
    }

    #[test]
    fn a_tree_without_git_in_which_something_was_built_is_refused() {
        let tree = tree();
        fs::create_dir_all(tree.path().join("include/config")).unwrap();
        fs::write(tree.path().join("include/config/auto.conf"), "").unwrap();
        let why = files(tree.path()).unwrap_err().to_string();
        assert!(why.contains("make mrproper") && why.contains("--kdir"), "{why}");
    }

    #[test]
    fn a_name_is_short_and_fit_for_paths() {
        let tree = tree();
        let folder = tree.path().join("a b:c");
        fs::create_dir(&folder).unwrap();
        assert_eq!(name_of(&folder), "a-b-c");
        let long = tree.path().join("v7.4-rc1-1234-this-is-a-very-long-name-of-a-tag-gabcdef0123");
        fs::create_dir(&long).unwrap();
        let name = name_of(&long);
        assert!(name.len() <= LONGEST_NAME && name.ends_with("gabcdef0123"), "{name}");
    }
}
