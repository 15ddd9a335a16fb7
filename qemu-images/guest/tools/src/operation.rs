// SPDX-License-Identifier: GPL-2.0-only
//! Operations on resctrl as plain data: what a random sequence is made of, and how it is written down.
//!
//! The host makes sequences, the guest carries them out ([`Display`](fmt::Display) and [`Operation::parse`] are one
//! another's inverse), and the host prints the shortest one that shows a difference as a shell script. One operation is
//! one line: a verb and its fields, separated by tabs, with the escapes of [`escape`](crate::escape). Paths are relative to
//! the mount point; the empty one is its root.

use crate::escape;
use std::fmt;

/// One system call on resctrl, or the few that make a file's write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Mounts with these options.
    Mount(String),
    /// Remounts with these options.
    Remount(String),
    /// Unmounts.
    Unmount,
    /// Makes a directory with a mode.
    Mkdir(String, u32),
    /// Removes a directory.
    Rmdir(String),
    /// renameat2(2): old, new, flags (1 noreplace, 2 exchange).
    Rename(String, String, u32),
    /// Opens a file and writes once.
    Write(String, Vec<u8>),
    /// The same as a user other than root.
    WriteAsUser(String, Vec<u8>),
    /// Opens and reads a file.
    Read(String),
    /// Opens a file with flags of open(2) that matter here: `r`, `w`, `rw`, `create`, `append`, `truncate`.
    Open(String, String),
    /// Removes a file.
    Unlink(String),
    /// Makes a symbolic link.
    Symlink(String),
    /// Changes a mode.
    Chmod(String, u32),
    /// Sets an extended attribute; flags of setxattr(2) (1 create, 2 replace).
    SetXattr(String, String, Vec<u8>, u32),
    /// Reads an extended attribute.
    GetXattr(String, String),
    /// Lists the names of the extended attributes.
    ListXattr(String),
    /// Removes an extended attribute.
    RemoveXattr(String, String),
    /// Maps so much of a file from an offset on, shared, for reading and writing.
    Map(String, u64, u64),
    /// Brings a CPU online, or takes it offline.
    Cpu(u32, bool),
    /// Lists a directory.
    List(String),
    /// Opens a file, with flags as for [`Open`](Self::Open), and keeps it in one of [`SLOTS`] places; what was there is closed.
    Hold(usize, String, String),
    /// Reads so much of a kept file from an offset on.
    ReadHeld(usize, u64, u64),
    /// Writes once to a kept file.
    WriteHeld(usize, Vec<u8>),
    /// Closes a kept file.
    Release(usize),
}

/// The line between parts of a sequence that are carried out at once.
pub const LANE: &str = "lane";

/// How many files can be kept.
pub const SLOTS: usize = 4;

/// A field, or none where a line ends too early.
type Fields<'a> = std::str::Split<'a, char>;

fn bytes(fields: &mut Fields<'_>) -> Option<Vec<u8>> {
    escape::resolve(fields.next()?.as_bytes()).ok()
}

fn text(fields: &mut Fields<'_>) -> Option<String> {
    String::from_utf8(bytes(fields)?).ok()
}

fn decimal(fields: &mut Fields<'_>) -> Option<u64> {
    fields.next()?.parse().ok()
}

fn slot(fields: &mut Fields<'_>) -> Option<usize> {
    fields.next()?.parse().ok().filter(|slot| *slot < SLOTS)
}

fn octal(fields: &mut Fields<'_>) -> Option<u32> {
    u32::from_str_radix(fields.next()?, 8).ok()
}

impl Operation {
    /// Parses a line, `None` if it is none.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let f = &mut fields;
        let operation = match f.next()? {
            "mount" => Self::Mount(text(f)?),
            "remount" => Self::Remount(text(f)?),
            "umount" => Self::Unmount,
            "mkdir" => Self::Mkdir(text(f)?, octal(f)?),
            "rmdir" => Self::Rmdir(text(f)?),
            "rename" => Self::Rename(text(f)?, text(f)?, octal(f)?),
            "write" => Self::Write(text(f)?, bytes(f)?),
            "write-as-user" => Self::WriteAsUser(text(f)?, bytes(f)?),
            "read" => Self::Read(text(f)?),
            "open" => Self::Open(text(f)?, text(f)?),
            "unlink" => Self::Unlink(text(f)?),
            "symlink" => Self::Symlink(text(f)?),
            "chmod" => Self::Chmod(text(f)?, octal(f)?),
            "setxattr" => Self::SetXattr(text(f)?, text(f)?, bytes(f)?, octal(f)?),
            "getxattr" => Self::GetXattr(text(f)?, text(f)?),
            "listxattr" => Self::ListXattr(text(f)?),
            "removexattr" => Self::RemoveXattr(text(f)?, text(f)?),
            "map" => Self::Map(text(f)?, decimal(f)?, decimal(f)?),
            "cpu" => Self::Cpu(f.next()?.parse().ok()?, f.next()? == "online"),
            "list" => Self::List(text(f)?),
            "hold" => Self::Hold(slot(f)?, text(f)?, text(f)?),
            "read-held" => Self::ReadHeld(slot(f)?, decimal(f)?, decimal(f)?),
            "write-held" => Self::WriteHeld(slot(f)?, bytes(f)?),
            "release" => Self::Release(slot(f)?),
            _ => return None,
        };
        fields.next().is_none().then_some(operation)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| escape::quote(text.as_bytes());
        match self {
            Self::Mount(options) => write!(f, "mount\t{}", quoted(options)),
            Self::Remount(options) => write!(f, "remount\t{}", quoted(options)),
            Self::Unmount => f.write_str("umount"),
            Self::Mkdir(path, mode) => write!(f, "mkdir\t{}\t{mode:o}", quoted(path)),
            Self::Rmdir(path) => write!(f, "rmdir\t{}", quoted(path)),
            Self::Rename(old, new, flags) => write!(f, "rename\t{}\t{}\t{flags:o}", quoted(old), quoted(new)),
            Self::Write(path, bytes) => write!(f, "write\t{}\t{}", quoted(path), escape::quote(bytes)),
            Self::WriteAsUser(path, bytes) => write!(f, "write-as-user\t{}\t{}", quoted(path), escape::quote(bytes)),
            Self::Read(path) => write!(f, "read\t{}", quoted(path)),
            Self::Open(path, flags) => write!(f, "open\t{}\t{}", quoted(path), quoted(flags)),
            Self::Unlink(path) => write!(f, "unlink\t{}", quoted(path)),
            Self::Symlink(path) => write!(f, "symlink\t{}", quoted(path)),
            Self::Chmod(path, mode) => write!(f, "chmod\t{}\t{mode:o}", quoted(path)),
            Self::SetXattr(path, name, value, flags) => {
                write!(f, "setxattr\t{}\t{}\t{}\t{flags:o}", quoted(path), quoted(name), escape::quote(value))
            }
            Self::GetXattr(path, name) => write!(f, "getxattr\t{}\t{}", quoted(path), quoted(name)),
            Self::ListXattr(path) => write!(f, "listxattr\t{}", quoted(path)),
            Self::RemoveXattr(path, name) => write!(f, "removexattr\t{}\t{}", quoted(path), quoted(name)),
            Self::Map(path, offset, length) => write!(f, "map\t{}\t{offset}\t{length}", quoted(path)),
            Self::Cpu(cpu, online) => write!(f, "cpu\t{cpu}\t{}", if *online { "online" } else { "offline" }),
            Self::List(path) => write!(f, "list\t{}", quoted(path)),
            Self::Hold(slot, path, flags) => write!(f, "hold\t{slot}\t{}\t{}", quoted(path), quoted(flags)),
            Self::ReadHeld(slot, offset, length) => write!(f, "read-held\t{slot}\t{offset}\t{length}"),
            Self::WriteHeld(slot, bytes) => write!(f, "write-held\t{slot}\t{}", escape::quote(bytes)),
            Self::Release(slot) => write!(f, "release\t{slot}"),
        }
    }
}

/// A number that two texts only share if they are equal, with near certainty (FNV-1a): both ends check with it that a
/// sequence arrived as it was sent.
#[must_use]
pub fn digest(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_back() {
        let path = || "a b/mon_groups\n\\".to_owned();
        for operation in [
            Operation::Mount("cdp,debug".to_owned()),
            Operation::Remount(String::new()),
            Operation::Unmount,
            Operation::Mkdir(path(), 0o755),
            Operation::Rmdir(path()),
            Operation::Rename(path(), path(), 2),
            Operation::Write(path(), b"L3:0=f\n\0\xff\t".to_vec()),
            Operation::WriteAsUser(path(), Vec::new()),
            Operation::Read(path()),
            Operation::Open(path(), "rw".to_owned()),
            Operation::Unlink(path()),
            Operation::Symlink(path()),
            Operation::Chmod(path(), 0o644),
            Operation::SetXattr(path(), "trusted.a".to_owned(), b"\0\xff\n".to_vec(), 2),
            Operation::GetXattr(path(), "security.x".to_owned()),
            Operation::ListXattr(path()),
            Operation::RemoveXattr(path(), String::new()),
            Operation::Map(path(), 4096, 1 << 40),
            Operation::Cpu(3, false),
            Operation::Cpu(1, true),
            Operation::List(path()),
            Operation::Hold(3, path(), "r".to_owned()),
            Operation::ReadHeld(0, 5, 4096),
            Operation::WriteHeld(1, b"L3:0=f\n".to_vec()),
            Operation::Release(2),
        ] {
            let line = operation.to_string();
            assert!(line.bytes().all(|byte| byte == b'\t' || (b' '..0x7f).contains(&byte)), "{line:?}");
            assert_eq!(Operation::parse(&line), Some(operation));
        }
    }

    #[test]
    fn a_line_cut_short_or_too_long_is_no_operation() {
        for line in [
            "",
            "mkdir\ta",
            "mkdir\ta\t8",
            "umount\tx",
            "write\ta",
            "write\ta\t\\q",
            "cpu\tx\tonline",
            "spin",
            "release\t4",
        ] {
            assert_eq!(Operation::parse(line), None, "{line:?}");
        }
    }

    #[test]
    fn one_byte_makes_another_digest() {
        assert_ne!(digest(b"mkdir\ta\t755\n"), digest(b"mkdir\tb\t755\n"));
    }
}
