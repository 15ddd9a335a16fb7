// SPDX-License-Identifier: GPL-2.0-only
//! Root file systems of Debian's packages that a guest's memory has no room for: as a disk.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::packages::{SQUASH, folder, squash_component};
use super::{SAME_COMMAND, ToolRoot, provide};
use crate::guest::visit::root::{FileSystem, Root};
use crate::{apt, files};

/// What fits twice into the memory of the smallest machines, of 1 GiB.
const LARGEST_FOLDER: u64 = 300 << 20;

impl ToolRoot {
    /// What [`ToolRoot::root_file_system`] has made, for a guest: the folder, or an image of it if that is large and the
    /// guest may have a disk.
    ///
    /// # Errors
    ///
    /// The image cannot be made.
    pub(crate) fn root_for_guest(&self, tree: PathBuf, disks: bool) -> Result<Root> {
        if !disks || files::size(&tree)? <= LARGEST_FOLDER {
            return Ok(Root::Folder(tree));
        }
        provide(&self.options, &[squash_component()], SAME_COMMAND)?;
        let program = folder(SQUASH).join("usr/bin/mksquashfs");
        Ok(Root::Image { path: image(&tree, &program)?, kind: FileSystem::Squashfs })
    }
}

/// The image of `tree`, beside it. It is made once for what the tree was made of.
fn image(tree: &Path, mksquashfs: &Path) -> Result<PathBuf> {
    let stamp = tree.join("stamp.toml");
    let stamp = fs::read(&stamp).with_context(|| format!("cannot read {}", stamp.display()))?;
    let mut hasher = DefaultHasher::new();
    stamp.hash(&mut hasher);
    let name = tree.file_name().context("a folder has a name")?.to_string_lossy().into_owned();
    let of_tree = format!("{name}.squashfs-");
    let path = tree.with_file_name(format!("{of_tree}{:016x}", hasher.finish()));
    let _lock = apt::lock(&tree.with_file_name(format!("{name}.lock")))?;
    if path.exists() {
        return Ok(path);
    }
    let place = tree.parent().context("a folder is in a folder")?;
    for entry in place.read_dir().with_context(|| format!("cannot read {}", place.display()))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&of_tree) {
            fs::remove_file(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    let partial = path.with_extension("partial");
    // Everything is the superuser's, whoever unpacked it.
    let options = ["-all-root", "-noappend", "-no-progress", "-quiet", "-comp", "zstd", "-Xcompression-level", "3"];
    let words = [tree.as_os_str(), partial.as_os_str()].into_iter().chain(options.iter().map(std::ffi::OsStr::new));
    let output = duct::cmd(mksquashfs, words)
        .stdout_null()
        .stderr_capture()
        .unchecked()
        .run()
        .context("cannot run mksquashfs")?;
    ensure!(output.status.success(), "mksquashfs: {}", String::from_utf8_lossy(&output.stderr).trim());
    fs::rename(&partial, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_image_is_made_once_and_again_when_the_tree_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, program) = (folder.path().join("root"), folder.path().join("mksquashfs"));
        fs::create_dir(&tree).unwrap();
        fs::write(&program, "#!/bin/sh\ncat \"$1/stamp.toml\" >\"$2\"\necho x >>\"${0%/*}/calls\"\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let make = |stamp: &str| {
            fs::write(tree.join("stamp.toml"), stamp).unwrap();
            image(&tree, &program).unwrap()
        };
        let first = make("one");
        assert_eq!(first, make("one"));
        let second = make("two");
        assert_ne!(first, second);
        assert!(!first.exists());
        assert_eq!(fs::read_to_string(second).unwrap(), "two");
        assert_eq!(fs::read_to_string(folder.path().join("calls")).unwrap(), "x\nx\n");
    }

    #[test]
    fn what_goes_wrong_is_said_and_leaves_no_image() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("root");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("stamp.toml"), "one").unwrap();
        let error = image(&tree, Path::new("/bin/false")).unwrap_err().to_string();
        assert!(error.starts_with("mksquashfs"), "{error}");
        assert!(
            !folder.path().read_dir().unwrap().flatten().any(|it| it.file_name().to_string_lossy().contains("squash"))
        );
    }
}
