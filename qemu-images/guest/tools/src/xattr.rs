// SPDX-License-Identifier: GPL-2.0-only
//! Extended attributes of files, one system call each.

use crate::Failure;
use rustix::fs::{XattrFlags, fgetxattr, flistxattr, getxattr, listxattr, removexattr, setxattr};
use rustix::io;
use std::os::fd::AsFd;
use std::path::Path;

/// The longest value and the longest list that Linux gives (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
const ROOM: usize = 64 << 10;

/// What setting an attribute does about one that is there: flags of setxattr(2).
pub type Flags = XattrFlags;

impl From<io::Errno> for Failure {
    fn from(errno: io::Errno) -> Self {
        std::io::Error::from(errno).into()
    }
}

/// setxattr(2).
///
/// # Errors
/// What the kernel says.
pub fn set(path: &Path, name: &str, value: &[u8], flags: Flags) -> Result<(), Failure> {
    Ok(setxattr(path, name, value, flags)?)
}

/// getxattr(2).
///
/// # Errors
/// What the kernel says.
pub fn get(path: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    let mut room = vec![0; ROOM];
    let len = getxattr(path, name, &mut room[..])?;
    room.truncate(len);
    Ok(room)
}

/// fgetxattr(2).
///
/// # Errors
/// What the kernel says.
pub fn get_of(file: impl AsFd, name: &str) -> Result<Vec<u8>, Failure> {
    let mut room = vec![0; ROOM];
    let len = fgetxattr(file, name, &mut room[..])?;
    room.truncate(len);
    Ok(room)
}

/// The names of all attributes, by listxattr(2).
///
/// # Errors
/// What the kernel says.
pub fn list(path: &Path) -> Result<Vec<String>, Failure> {
    let mut room = vec![0; ROOM];
    let len = listxattr(path, &mut room[..])?;
    Ok(names(&room[..len]))
}

/// The names of all attributes, by flistxattr(2).
///
/// # Errors
/// What the kernel says.
pub fn list_of(file: impl AsFd) -> Result<Vec<String>, Failure> {
    let mut room = [0; 4096];
    let len = flistxattr(file, &mut room[..])?;
    Ok(names(&room[..len]))
}

fn names(list: &[u8]) -> Vec<String> {
    let names = list.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

/// removexattr(2).
///
/// # Errors
/// What the kernel says.
pub fn remove(path: &Path, name: &str) -> Result<(), Failure> {
    Ok(removexattr(path, name)?)
}
