// SPDX-License-Identifier: GPL-2.0-only
//! What a script leaves below /out, taken home.
//!
//! At the end the guest writes it, as an archive, to a disk whose file is as large as that archive: serial ports are slow,
//! and not every guest kernel can share a folder.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::guest::qemu::Folder;

/// The most that a guest can hand over. The disk's file takes no room until something is written.
const CAPACITY: u64 = 8 << 30;

/// The disk's file.
pub(super) fn disk(folder: &Folder) -> PathBuf {
    folder.0.join("out.tar")
}

/// Makes the folder at home before anything is booted.
///
/// # Errors
///
/// It cannot be made, or nothing can be written there.
pub(crate) fn open(home: &Path) -> Result<()> {
    fs::create_dir_all(home).with_context(|| format!("--out {}: cannot make that folder", home.display()))?;
    tempfile::tempfile_in(home).map(drop).with_context(|| format!("--out {}: cannot write there", home.display()))
}

/// Makes the empty disk for a guest.
///
/// # Errors
///
/// It cannot be made.
pub(in crate::guest) fn prepare(folder: &Folder) -> Result<()> {
    let path = disk(folder);
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    file.set_len(CAPACITY).with_context(|| format!("cannot make {} large enough", path.display()))
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// All that the script left.
    Everything,
    /// The guest was gone before it could hand anything over.
    Nothing,
}

/// Unpacks what the guest in `folder` handed over into `home`, and removes the disk.
///
/// # Errors
///
/// `home` cannot be written, or the archive is damaged.
pub(crate) fn take(folder: &Folder, home: &Path) -> Result<Arrived> {
    let path = disk(folder);
    let mut first = [0; 512];
    File::open(&path)
        .and_then(|mut file| file.read_exact(&mut first))
        .with_context(|| format!("cannot read {}", path.display()))?;
    // An archive begins with the folder itself.
    let arrived = if first == [0; 512] { Arrived::Nothing } else { Arrived::Everything };
    if arrived == Arrived::Everything {
        unpack(&path, home)?;
    }
    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(arrived)
}

fn unpack(archive: &Path, home: &Path) -> Result<()> {
    // The modes of the folder itself are the user's own business.
    let output =
        duct::cmd!("tar", "--extract", "--no-same-owner", "--no-overwrite-dir", "--file", archive, "--directory", home)
            .env("LC_ALL", "C")
            .stderr_capture()
            .unchecked()
            .run()
            .context("cannot run tar, which unpacks what the guest hands over")?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(!stderr.contains("No space left on device"), "--out {}: its disk is full", home.display());
    bail!("--out {}: cannot unpack {}: {}", home.display(), archive.display(), stderr.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(folder: &Path) -> Folder {
        let guest = Folder(folder.to_owned());
        prepare(&guest).unwrap();
        guest
    }

    #[test]
    fn what_the_guest_wrote_to_the_disk_is_at_home_and_the_disk_gone() {
        let (run, left, home) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let guest = guest(run.path());
        fs::create_dir(left.path().join("logs")).unwrap();
        fs::write(left.path().join("logs/a b"), vec![7; 100_000]).unwrap();
        std::os::unix::fs::symlink("a b", left.path().join("logs/link")).unwrap();
        duct::cmd!("tar", "--create", "--file", "archive", ".")
            .dir(left.path())
            .run()
            .unwrap_or_else(|_| panic!("tar"));
        // As the guest does: over the beginning of the disk, whose size stays.
        let mut disk = File::options().write(true).open(disk(&guest)).unwrap();
        std::io::copy(&mut File::open(left.path().join("archive")).unwrap(), &mut disk).unwrap();
        fs::write(home.path().join("mine"), "stays").unwrap();
        assert_eq!(take(&guest, home.path()).unwrap(), Arrived::Everything);
        assert_eq!(fs::read(home.path().join("logs/link")).unwrap(), vec![7; 100_000]);
        assert_eq!(fs::read_to_string(home.path().join("mine")).unwrap(), "stays");
        assert!(!super::disk(&guest).exists());
    }

    #[test]
    fn a_guest_that_handed_nothing_over_is_told_from_one_that_left_nothing() {
        let (run, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let guest = guest(run.path());
        assert_eq!(take(&guest, home.path()).unwrap(), Arrived::Nothing);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_found_before_anything_boots() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = format!("{:#}", open(&file.join("below")).unwrap_err());
        assert!(error.starts_with("--out ") && error.contains("cannot make that folder"), "{error}");
    }
}
