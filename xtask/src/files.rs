// SPDX-License-Identifier: GPL-2.0-only
//! Folders with all that is in them.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// All files below `folder`, relative to it. Links are files.
///
/// # Errors
///
/// A folder cannot be read.
pub(crate) fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    walk(folder, Path::new(""), &mut files)?;
    Ok(files)
}

fn walk(top: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let place = top.join(folder);
    for entry in place.read_dir().with_context(|| format!("cannot read {}", place.display()))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            walk(top, &path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Copies the files below `from` that are `wanted`, by their paths relative to it, to the same places below `to`.
///
/// # Errors
///
/// One cannot be read or written.
pub(crate) fn copy(from: &Path, to: &Path, wanted: impl Fn(&Path) -> bool) -> Result<()> {
    for file in below(from)?.iter().filter(|file| wanted(file)) {
        let (from, to) = (from.join(file), to.join(file));
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::copy(&from, &to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}

/// Removes a folder with all that is in it, if it is there.
///
/// # Errors
///
/// It cannot be removed.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Bytes in all files below `folder`.
///
/// # Errors
///
/// A folder cannot be read, or a file is gone by the time that it is looked at.
pub(crate) fn size(folder: &Path) -> Result<u64> {
    sum(folder, Metadata::len)
}

/// Bytes that all files below `folder` take on a disk: of one with holes, what is in it.
///
/// # Errors
///
/// As [`size`].
pub(crate) fn taken(folder: &Path) -> Result<u64> {
    sum(folder, |metadata| metadata.len().min(metadata.blocks() * 512))
}

fn sum(folder: &Path, of: fn(&Metadata) -> u64) -> Result<u64> {
    let of = |file: &PathBuf| {
        let path = folder.join(file);
        Ok(of(&path.symlink_metadata().with_context(|| format!("cannot read {}", path.display()))?))
    };
    below(folder)?.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_hole_takes_no_room() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("full"), vec![1; 10_000]).unwrap();
        let disk = fs::File::create(folder.path().join("disk")).unwrap();
        disk.set_len(8 << 30).unwrap();
        let taken = taken(folder.path()).unwrap();
        assert!((1..1 << 20).contains(&taken), "{taken}");
        assert_eq!(size(folder.path()).unwrap(), (8 << 30) + 10_000);
    }

    #[test]
    fn what_is_wanted_is_copied_and_what_is_gone_can_be_removed_again() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        for file in ["a/b/x.gcno", "a/y.o", "z.gcno"] {
            fs::write(from.join(file), file).unwrap();
        }
        copy(&from, &to, |file| file.extension().is_some_and(|ending| ending == "gcno")).unwrap();
        let mut copied = below(&to).unwrap();
        copied.sort();
        assert_eq!(copied, [Path::new("a/b/x.gcno"), Path::new("z.gcno")]);
        assert_eq!(fs::read_to_string(to.join("a/b/x.gcno")).unwrap(), "a/b/x.gcno");
        remove(&to).unwrap();
        remove(&to).unwrap();
        assert!(!to.exists());
    }
}
