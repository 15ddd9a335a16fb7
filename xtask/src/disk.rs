// SPDX-License-Identifier: GPL-2.0-only
//! Room on disks, and what to do where there is none.
//!
//! Most of what fills a disk is written by programs that the rig calls (apt, tar, cargo, make), each of which says it in its own
//! words, some on a terminal only. So whatever a command has failed for, it is looked whether a disk is full.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use rustix::fs::statvfs;

/// With less a disk counts as full: everything that is unpacked or built is larger.
const LEAST: u64 = 32 << 20;

/// How programs say that a disk is full, or that they may not write more.
const SAID: [&str; 5] =
    ["No space left on device", "Disk quota exceeded", "enough free space", "is full", "File too large"];

/// Somewhere that the rig writes to.
#[derive(Debug)]
pub(crate) struct Place {
    /// What goes there.
    pub(crate) what: &'static str,
    /// The folder; it may have to be made yet.
    pub(crate) folder: PathBuf,
    /// Bytes that may be needed.
    pub(crate) wanted: u64,
    /// How it gets elsewhere.
    pub(crate) elsewhere: &'static str,
}

/// All of them.
pub(crate) fn places(target: PathBuf, cache: PathBuf) -> [Place; 3] {
    [
        Place {
            what: "this checkout's tools and builds",
            folder: target,
            wanted: 4 << 30,
            elsewhere: "move the checkout, or make `target` a symbolic link to a folder on another disk",
        },
        Place {
            what: "packages, and kernels that are built here",
            folder: cache,
            wanted: 1 << 30,
            elsewhere: "--cache DIR takes another folder",
        },
        Place {
            what: "temporary files",
            folder: std::env::temp_dir(),
            wanted: 64 << 20,
            elsewhere: "TMPDIR names another folder",
        },
    ]
}

/// The folder that is there, and the bytes that are free on its disk; `None` where nothing is known of it.
pub(crate) fn free(folder: &Path) -> (&Path, Option<u64>) {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    (there, statvfs(there).ok().map(|disk| disk.f_bavail * disk.f_frsize))
}

/// Whether a command failed because it could not write any more, as far as it says so.
fn says_full(error: &anyhow::Error) -> bool {
    let is_full = |error: &std::io::Error| {
        matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
    };
    error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(is_full))
        || SAID.iter().any(|said| format!("{error:#}").contains(said))
}

/// What to do after `error`, if a disk is full.
pub(crate) fn advice(error: &anyhow::Error, places: &[Place]) -> Option<String> {
    let line = |place: &Place| {
        let free = free(&place.folder).1.map_or("an unknown amount".to_owned(), |free| HumanBytes(free).to_string());
        let (folder, wanted) = (place.folder.display(), HumanBytes(place.wanted));
        format!("\n  {folder}: {free} free, up to {wanted} may be needed: {}; {}", place.what, place.elsewhere)
    };
    let is_full = |place: &&Place| free(&place.folder).1.is_some_and(|free| free < LEAST);
    let full: String = places.iter().filter(is_full).map(line).collect();
    match (full.is_empty(), says_full(error)) {
        (false, _) => Some(format!("a disk is full, which may be the reason:{full}")),
        // A quota, a limit of the shell's, or a disk that has room again.
        (true, true) => {
            let all: String = places.iter().map(line).collect();
            Some(format!("something could not be written. Where the rig writes to:{all}"))
        }
        (true, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    fn place(folder: &str) -> Place {
        Place {
            what: "packages",
            folder: folder.into(),
            wanted: 1 << 30,
            elsewhere: "--cache DIR takes another folder",
        }
    }

    #[test]
    fn a_full_disk_is_told_with_its_folder_what_is_needed_and_how_to_get_elsewhere() {
        // A file system that never has room.
        let none = place("/proc/x");
        let other = anyhow!("the QEMU plugin does not build");
        let advice = advice(&other, &[none, place("/")]).unwrap();
        assert_eq!(
            advice,
            "a disk is full, which may be the reason:\n  /proc/x: 0 B free, up to 1.00 GiB may be needed: packages; --cache \
             DIR takes another folder"
        );
    }

    #[test]
    fn whoever_cannot_write_is_told_of_all_folders() {
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge] {
            let error = Err::<(), _>(std::io::Error::from(kind)).context("cannot write x").unwrap_err();
            assert!(advice(&error, &[place("/")]).unwrap().contains("\n  /: "), "{kind}");
        }
        let said = anyhow!("make failed: cc1: fatal error: No space left on device");
        assert!(advice(&said, &[place("/")]).is_some());
    }

    #[test]
    fn other_failures_are_nothing_of_disks() {
        let error = Err::<(), _>(std::io::Error::from(ErrorKind::NotFound)).context("cannot read x").unwrap_err();
        assert_eq!(advice(&error, &[place("/")]), None);
    }
}
