// SPDX-License-Identifier: GPL-2.0-only
//! Builds the initramfs of a guest: a newc cpio archive, the same bytes for the same contents.
//!
//! The kernel unpacks it into the guest's root folder. Owner is root, times are zero, inode numbers
//! count up: nothing of the machine it is built on goes in.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use cpio::newc;

const DIRECTORY: u32 = 0o040_755;
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
/// The bits of a mode that are no type.
const PERMISSIONS: u32 = 0o7777;
const EXECUTABLE: u32 = 0o100_755;
const PLAIN: u32 = 0o100_644;
const SYMBOLIC_LINK: u32 = 0o120_777;
const CHARACTER_DEVICE: u32 = 0o020_600;

#[derive(Debug)]
enum Entry {
    File {
        mode: u32,
        content: Vec<u8>,
    },
    /// Read when the archive is written.
    Copy {
        mode: u32,
        from: PathBuf,
    },
    Link {
        target: String,
    },
    Device {
        major: u32,
        minor: u32,
    },
    Directory {
        mode: u32,
    },
}

/// An initramfs in the making: paths without a leading slash, kept in order.
#[derive(Debug, Default)]
pub(crate) struct Initramfs {
    entries: BTreeMap<String, Entry>,
}

impl Initramfs {
    /// One with `/dev/console`, which the kernel opens before the first process can make it.
    pub(crate) fn new() -> Self {
        let mut new = Self::default();
        new.add("dev/console", Entry::Device { major: 5, minor: 1 });
        new
    }

    fn add(&mut self, path: &str, entry: Entry) {
        let mut end = 0;
        while let Some(slash) = path[end..].find('/') {
            end += slash;
            self.entries.entry(path[..end].to_owned()).or_insert(Entry::Directory { mode: DIRECTORY });
            end += 1;
        }
        self.entries.insert(path.to_owned(), entry);
    }

    /// Adds a file that is read.
    pub(crate) fn file(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.add(path, Entry::File { mode: PLAIN, content: content.into() });
    }

    /// Adds a file that is executed.
    pub(crate) fn program(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.add(path, Entry::File { mode: EXECUTABLE, content: content.into() });
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: &str, target: &str) {
        self.add(path, Entry::Link { target: target.to_owned() });
    }

    /// Adds a copy of the host's file `from` as [`program`](Self::program).
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub(crate) fn copy(&mut self, path: &str, from: &Path) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.program(path, content);
        Ok(())
    }

    /// Adds copies of every plain file in the host's folder `from`.
    ///
    /// # Errors
    ///
    /// The folder or a file cannot be read, or a name is not UTF-8.
    pub(crate) fn copy_folder(&mut self, path: &str, from: &Path) -> Result<()> {
        for entry in from.read_dir().with_context(|| format!("cannot read {}", from.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let name = entry.file_name().into_string().ok().context("odd file name")?;
                self.copy(&format!("{path}/{name}"), &entry.path())?;
            }
        }
        Ok(())
    }

    /// Adds a copy of the host's file or folder `from`, with all that is in it: modes and symbolic links stay as they are.
    /// Devices, sockets and pipes in a folder are left out.
    ///
    /// # Errors
    ///
    /// Something cannot be read, or a name is not UTF-8.
    pub(crate) fn tree(&mut self, path: &str, from: &Path) -> Result<()> {
        let metadata = from.metadata().with_context(|| format!("cannot read {}", from.display()))?;
        let mode = metadata.permissions().mode() & PERMISSIONS;
        if metadata.is_file() {
            // Found out before anything is booted.
            File::open(from).with_context(|| format!("cannot read {}", from.display()))?;
            self.add(path, Entry::Copy { mode: FILE | mode, from: from.to_owned() });
            return Ok(());
        }
        self.add(path, Entry::Directory { mode: FOLDER | mode });
        for entry in from.read_dir().with_context(|| format!("cannot read {}", from.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().with_context(|| format!("{} is not UTF-8", entry.path().display()))?;
            let (place, kind) = (format!("{path}/{name}"), entry.file_type()?);
            if kind.is_symlink() {
                let target = fs::read_link(entry.path())?;
                let target = target.to_str().with_context(|| format!("{} is not UTF-8", target.display()))?;
                self.link(&place, target);
            } else if kind.is_dir() || kind.is_file() {
                self.tree(&place, &entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes the archive.
    ///
    /// # Errors
    ///
    /// Those of `output`; a file of 4 GiB or more.
    pub(crate) fn write(&self, mut output: impl Write) -> Result<()> {
        for (number, (path, entry)) in self.entries.iter().enumerate() {
            let header = newc::Builder::new(path).ino(u32::try_from(number + 1)?).nlink(1).mtime(0);
            let (header, content): (_, &[u8]) = match entry {
                Entry::File { mode, content } => (header.mode(*mode), content),
                Entry::Copy { mode, from } => {
                    copy(header.mode(*mode), from, &mut output)?;
                    continue;
                }
                Entry::Link { target } => (header.mode(SYMBOLIC_LINK), target.as_bytes()),
                Entry::Device { major, minor } => {
                    (header.mode(CHARACTER_DEVICE).rdev_major(*major).rdev_minor(*minor), &[])
                }
                Entry::Directory { mode } => (header.mode(*mode), &[]),
            };
            let size = u32::try_from(content.len()).with_context(|| format!("{path} is too big"))?;
            let mut file = header.write(&mut output, size);
            file.write_all(content)?;
            file.finish()?;
        }
        newc::trailer(&mut output)?;
        Ok(())
    }

    /// Writes the archive to the file `path`, whole or not at all.
    ///
    /// # Errors
    ///
    /// The file cannot be written, for example because the disk is full.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let folder = path.parent().context("an archive has a folder")?;
        let mut file =
            tempfile::NamedTempFile::new_in(folder).with_context(|| format!("cannot write to {}", folder.display()))?;
        self.write(io::BufWriter::new(&mut file)).with_context(|| format!("cannot write {}", path.display()))?;
        ensure!(file.as_file().metadata()?.len() > 0, "{} came out empty", path.display());
        file.persist(path)?;
        Ok(())
    }
}

/// Writes a file of the host's. It has the size that it had when it was opened.
fn copy(header: newc::Builder, from: &Path, output: &mut impl Write) -> Result<()> {
    let read = || format!("cannot read {}", from.display());
    let file = File::open(from).with_context(read)?;
    let size = u32::try_from(file.metadata().with_context(read)?.len())
        .with_context(|| format!("{} is too big for an archive", from.display()))?;
    let mut entry = header.write(output, size);
    let copied = io::copy(&mut file.take(u64::from(size)), &mut entry).with_context(read)?;
    ensure!(copied == u64::from(size), "{} became shorter while it was read", from.display());
    entry.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(initramfs: &Initramfs) -> Vec<u8> {
        let mut bytes = Vec::new();
        initramfs.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_same_contents_give_the_same_bytes_in_any_order_of_adding() {
        let (mut one, mut other) = (Initramfs::new(), Initramfs::new());
        one.file("a/b", "1");
        one.program("init", "2");
        other.program("init", "2");
        other.file("a/b", "1");
        assert_eq!(archive(&one), archive(&other));
    }

    #[test]
    fn folders_come_before_what_is_in_them_and_times_are_zero() {
        let mut initramfs = Initramfs::new();
        initramfs.file("rig/lib/check.sh", "text");
        let bytes = archive(&initramfs);
        let mut rest: &[u8] = &bytes;
        let mut seen = Vec::new();
        loop {
            let reader = newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            assert_eq!(reader.entry().mtime(), 0);
            seen.push(reader.entry().name().to_owned());
            rest = reader.finish().unwrap();
        }
        assert_eq!(seen, ["dev", "dev/console", "rig", "rig/lib", "rig/lib/check.sh"]);
    }

    #[test]
    fn a_folder_comes_with_its_modes_and_links_and_without_what_is_no_file() {
        let host = tempfile::tempdir().unwrap();
        let deep = host.path().join("bin/deep");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("tool"), "12345").unwrap();
        fs::set_permissions(deep.join("tool"), fs::Permissions::from_mode(0o4750)).unwrap();
        fs::set_permissions(&deep, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink("deep/none", host.path().join("bin/dangling")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(host.path().join("socket")).unwrap();
        let mut initramfs = Initramfs::new();
        initramfs.tree("work", host.path()).unwrap();
        let bytes = archive(&initramfs);
        let (mut rest, mut seen): (&[u8], _) = (&bytes, Vec::new());
        loop {
            let mut reader = newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let mut content = String::new();
            reader.read_to_string(&mut content).unwrap();
            seen.push((name, mode, content));
            rest = reader.finish().unwrap();
        }
        let of = |name: &str| seen.iter().find(|entry| entry.0 == name).map(|entry| (entry.1, entry.2.as_str()));
        assert_eq!(of("work/bin/deep/tool"), Some((0o104_750, "12345")));
        assert_eq!(of("work/bin/deep"), Some((0o040_700, "")));
        assert_eq!(of("work/bin/dangling"), Some((0o120_777, "deep/none")));
        assert_eq!(of("work/socket"), None);
        let error = initramfs.tree("x", &host.path().join("none")).unwrap_err().to_string();
        assert!(error.ends_with("none"), "{error}");
    }
}
