// SPDX-License-Identifier: GPL-2.0-only
//! Root file systems that users have programs in.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::files;

/// A root file system for scripts and shells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Root {
    /// A folder of the host's; the guest has a copy in its memory.
    Folder(PathBuf),
    /// A file with a file system in it, as a disk.
    Image {
        /// On the host.
        path: PathBuf,
        /// What is in it.
        kind: FileSystem,
    },
}

/// A file system that Debian's kernels have a driver for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSystem {
    /// ext2, ext3 and ext4.
    Ext4,
    /// Compressed, cannot be written.
    Squashfs,
    /// Compressed or not, cannot be written.
    Erofs,
}

impl FileSystem {
    /// The name that `mount -t` takes.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Squashfs => "squashfs",
            Self::Erofs => "erofs",
        }
    }

    pub(super) const fn option(self) -> &'static str {
        match self {
            Self::Ext4 => "CONFIG_EXT4_FS",
            Self::Squashfs => "CONFIG_SQUASHFS",
            Self::Erofs => "CONFIG_EROFS_FS",
        }
    }

    pub(super) const fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Ext4 => &["jbd2", "mbcache", "ext4"],
            Self::Squashfs => &["squashfs"],
            Self::Erofs => &["erofs"],
        }
    }

    pub(super) const fn is_writable(self) -> bool {
        matches!(self, Self::Ext4)
    }

    /// Recognises it by its superblock: ext4 has its magic number at byte 56 of the one at 1024, erofs at its beginning
    /// (Documentation/filesystems of Linux); squashfs begins with its own.
    fn of(start: &[u8]) -> Option<Self> {
        let is = |at: usize, magic: &[u8]| start.get(at..at + magic.len()) == Some(magic);
        match () {
            () if is(1080, &[0x53, 0xef]) => Some(Self::Ext4),
            () if is(0, b"hsqs") => Some(Self::Squashfs),
            () if is(1024, &[0xe2, 0xe1, 0xf5, 0xe0]) => Some(Self::Erofs),
            () => None,
        }
    }
}

impl Root {
    /// The user's folder or image.
    ///
    /// # Errors
    ///
    /// It is neither, or an image of a kind that guests do not take.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let flag = format!("--root {}", path.display());
        let Ok(place) = path.canonicalize() else {
            bail!("{flag}: there is no such folder or image; `--root debian` makes one of Debian's packages");
        };
        if place.is_dir() {
            ensure!(
                ["usr", "bin", "sbin", "opt"].iter().any(|folder| place.join(folder).is_dir()),
                "{flag}: this folder is no root file system: it has no usr, bin, sbin or opt (--file brings single folders)"
            );
            return Ok(Self::Folder(place));
        }
        let mut start = Vec::new();
        File::open(&place)
            .and_then(|file| file.take(4096).read_to_end(&mut start))
            .with_context(|| format!("{flag}: cannot read it"))?;
        let Some(kind) = FileSystem::of(&start) else {
            let what = match start.get(..4) {
                Some(b"QFI\xfb") => "is a qcow2 image: convert it (qemu-img convert -O raw)",
                _ if start.get(510..512) == Some(&[0x55, 0xaa]) => {
                    "has a partition table: give the partition with the root file system alone (dd, or losetup -P)"
                }
                _ => "has no file system that guests know: they take ext4, squashfs and erofs",
            };
            bail!("{flag}: it {what}");
        };
        Ok(Self::Image { path: place, kind })
    }
}

/// What a guest needs of its memory for itself.
const OWN_MEMORY: u64 = 300 << 20;

impl Root {
    /// Says early when a guest's memory, of `memory` bytes, has no room for it.
    ///
    /// # Errors
    ///
    /// It has none, or a folder cannot be read.
    pub(crate) fn check_room(&self, machine: &str, memory: u64) -> Result<()> {
        let Self::Folder(folder) = self else { return Ok(()) };
        let size = files::size(folder).context("--root")?;
        // The archive is there until it is unpacked.
        ensure!(
            2 * size + OWN_MEMORY <= memory,
            "--root {}: its {} MiB lie in the guest's memory, and machine {machine} has {} MiB, which is enough for {}. Make it \
             an image, and give that to --root: mke2fs -t ext4 -d {} root.img {}M",
            folder.display(),
            size >> 20,
            memory >> 20,
            (memory.saturating_sub(OWN_MEMORY) / 2) >> 20,
            crate::shell::word(&folder.to_string_lossy()),
            (size >> 20) * 3 / 2 + 64
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_a_guests_memory_has_no_room_for_is_to_become_an_image() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("usr/bin")).unwrap();
        File::create(folder.path().join("usr/bin/big")).unwrap().set_len(400 << 20).unwrap();
        let root = Root::open(folder.path()).unwrap();
        root.check_room("large", 2 << 30).unwrap();
        let error = root.check_room("intel", 1 << 30).unwrap_err().to_string();
        for part in ["400 MiB", "machine intel has 1024 MiB", "enough for 362", "mke2fs -t ext4 -d /", "root.img 664M"]
        {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn an_image_is_known_by_its_superblock_and_what_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let image = |at: usize, magic: &[u8]| {
            let mut bytes = vec![0; 4096];
            bytes[at..at + magic.len()].copy_from_slice(magic);
            std::fs::write(&path, bytes).unwrap();
            Root::open(&path)
        };
        for (at, magic, expected) in [
            (1080, &[0x53, 0xef][..], FileSystem::Ext4),
            (0, b"hsqs", FileSystem::Squashfs),
            (1024, &[0xe2, 0xe1, 0xf5, 0xe0], FileSystem::Erofs),
        ] {
            let Ok(Root::Image { kind, .. }) = image(at, magic) else { panic!("{expected:?} is not recognised") };
            assert_eq!(kind, expected);
        }
        for (at, magic, said) in
            [(0, &b"QFI\xfb"[..], "qemu-img convert"), (510, &[0x55, 0xaa], "partition table"), (0, b"", "ext4")]
        {
            let error = image(at, magic).unwrap_err().to_string();
            assert!(error.starts_with("--root /") && error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_folder_that_is_no_root_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = Root::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no root file system"), "{error}");
        std::fs::create_dir(folder.path().join("usr")).unwrap();
        assert!(matches!(Root::open(folder.path()), Ok(Root::Folder(_))));
    }
}
