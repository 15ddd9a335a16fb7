// SPDX-License-Identifier: GPL-2.0-only
//! Folders with all that is in them.

use std::fs::Metadata;
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
        std::fs::write(folder.path().join("full"), vec![1; 10_000]).unwrap();
        let disk = std::fs::File::create(folder.path().join("disk")).unwrap();
        disk.set_len(8 << 30).unwrap();
        let taken = taken(folder.path()).unwrap();
        assert!((1..1 << 20).contains(&taken), "{taken}");
        assert_eq!(size(folder.path()).unwrap(), (8 << 30) + 10_000);
    }
}
