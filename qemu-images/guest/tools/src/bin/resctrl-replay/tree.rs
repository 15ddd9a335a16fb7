// SPDX-License-Identifier: GPL-2.0-only
//! The tree below the mount point: modes, owners, extended attributes and contents.
//!
//! It is looked at after every operation, so this is what a sequence's time goes to. A file takes the system calls that it
//! needs and no more: an emulated processor is slow at each.

use guest_tools::{escape, xattr};
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstat, fstatat};
use nix::unistd::read;
use std::ffi::{CStr, CString};
use std::fmt::Write as _;
use std::os::fd::AsFd;

use super::seen::{MOUNT_POINT, Seen, is_counter, normal};

/// Room for the content of a file. No file of resctrl gives less than it has if there is room for it; what is longer than
/// this is read on.
const ROOM: usize = 64 << 10;

/// Adds everything below the mount point.
pub(super) fn look(seen: &mut Seen) {
    let mut walker = Walker { seen, room: vec![0; ROOM] };
    // The path of a mount point has no zero in it.
    if let Ok(root) = CString::new(MOUNT_POINT) {
        walker.folder(AT_FDCWD, &root, "");
    }
}

struct Walker<'a> {
    seen: &'a mut Seen,
    room: Vec<u8>,
}

/// Mode and owner.
fn about(kind: char, stat: &FileStat) -> String {
    format!("{kind}{:o} {}:{}", stat.st_mode & 0o7777, stat.st_uid, stat.st_gid)
}

/// The same of something that cannot be opened.
fn about_at(kind: char, folder: impl AsFd, name: &CStr) -> String {
    match fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => about(kind, &stat),
        Err(errno) => format!("{errno:?}"),
    }
}

/// The extended attributes of an open file, with a space before each; nothing if there are none.
fn attributes(file: impl AsFd) -> String {
    match xattr::list_of(&file) {
        Ok(names) => names.iter().fold(String::new(), |all, name| match xattr::get_of(&file, name) {
            Ok(value) => all + &format!(" {name}={}", escape::quote(&value)),
            Err(failure) => all + &format!(" {name}: {failure}"),
        }),
        Err(failure) => format!(" attributes: {failure}"),
    }
}

impl Walker<'_> {
    fn folder(&mut self, parent: impl AsFd, name: &CStr, path: &str) {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let key = format!("{}/", path.replace('\n', "\\n"));
        let mut folder = match Dir::openat(&parent, name, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(errno) => {
                self.seen.insert(key, format!("{} {errno:?}", about_at('d', &parent, name)));
                return;
            }
        };
        let mut value = fstat(&folder).map_or_else(|errno| format!("{errno:?}"), |stat| about('d', &stat));
        value += &attributes(&folder);
        self.seen.insert(key, value);
        let mut entries: Vec<(CString, bool)> = folder
            .iter()
            .flatten()
            .map(|entry| (entry.file_name().to_owned(), entry.file_type() == Some(Type::Directory)))
            .filter(|(name, _)| !matches!(name.to_bytes(), b"." | b".."))
            .collect();
        // Reading some files leaves a status, and of others clears it: the order must be the same on both.
        entries.sort();
        for (name, is_folder) in entries {
            let text = name.to_string_lossy();
            let path = if path.is_empty() { text.into_owned() } else { format!("{path}/{text}") };
            if is_folder {
                self.folder(&folder, &name, &path);
            } else {
                let value = self.file(&folder, &name, &path);
                self.seen.insert(path.replace('\n', "\\n"), value);
            }
        }
    }

    fn file(&mut self, folder: impl AsFd, name: &CStr, path: &str) -> String {
        if path == "info/last_cmd_status" || is_counter(path) {
            return about_at('f', folder, name);
        }
        let file = match openat(&folder, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(file) => file,
            Err(errno) => return format!("{} {errno:?}", about_at('f', &folder, name)),
        };
        let mut value = fstat(&file).map_or_else(|errno| format!("{errno:?}"), |stat| about('f', &stat));
        value += &attributes(&file);
        let _ = match self.content(&file) {
            // The number of a monitoring id is needed until it is known who else has it.
            Ok(content) if name.to_bytes() == b"mon_hw_id" => write!(value, " {}", escape::quote(&content)),
            Ok(content) => write!(value, " {}", normal(path, &content)),
            Err(errno) => write!(value, " {errno:?}"),
        };
        value
    }

    fn content(&mut self, file: impl AsFd) -> Result<Vec<u8>, Errno> {
        let mut content = Vec::new();
        loop {
            let length = read(&file, &mut self.room)?;
            content.extend_from_slice(&self.room[..length]);
            if length < self.room.len() {
                return Ok(content);
            }
        }
    }
}
