// SPDX-License-Identifier: GPL-2.0-only
//! What the VFS asks, by way of `shim_vfs.c` and `shim_file.c`.
//!
//! # Safety
//! Of every function here: called between `rust_start` and `rust_stop`; pointers are valid for the call, and a pointer
//! with a length points to that many bytes.

use core::ffi::{c_char, c_int, c_void};
use core::fmt;
use core::slice;

use resctrl_fs::{Bytes, MountOptions, NodeId, NodeKind, OptionError, Resctrl, SetAttr, TextOut};
use resctrl_types::Errno;
use resctrl_types::platform::Timestamp;

use crate::convert::to_ret;
use crate::ffi;
use crate::instance::instance;

const ENOPARAM: c_int = -519;

/// A `seq_file`. It never reports that it is full: it notes it, and the text is asked for again with a larger buffer.
struct SeqText(*mut ffi::SeqFile);

impl TextOut for SeqText {
    fn bytes(&mut self, bytes: Bytes<'_>) -> fmt::Result {
        // SAFETY: the seq_file is valid for the call that this value lives in.
        unsafe { ffi::shim_seq_write(self.0, bytes.0.as_ptr().cast(), bytes.0.len()) };
        Ok(())
    }
}

impl fmt::Write for SeqText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(Bytes(text.as_bytes()))
    }
}

/// # Safety
/// As the module says.
unsafe fn bytes<'a>(start: *const c_char, len: usize) -> &'a [u8] {
    // SAFETY: by the contract.
    unsafe { slice::from_raw_parts(start.cast(), len) }
}

const _: () = {
    assert!(size_of::<MountOptions>() <= ffi::OPTIONS_SIZE && align_of::<MountOptions>() <= align_of::<u64>());
    assert!(!core::mem::needs_drop::<MountOptions>(), "C frees the options without asking");
};

/// # Safety
/// As the module says; `options` has room for a [`MountOptions`].
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_options_init(options: *mut c_void) {
    // SAFETY: by the contract and the assertion above.
    unsafe { options.cast::<MountOptions>().write(MountOptions::default()) };
}

/// # Safety
/// As the module says; `options` is initialised.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_option(
    options: *mut c_void,
    key: *const c_char,
    len: usize,
    message: *mut *const c_char,
    message_len: *mut usize,
) -> c_int {
    // SAFETY: by the contract.
    let options = unsafe { &mut *options.cast::<MountOptions>() };
    // SAFETY: by the contract.
    let Ok(key) = core::str::from_utf8(unsafe { bytes(key, len) }) else { return ENOPARAM };
    match instance().parse_option(options, key) {
        Ok(()) => 0,
        Err(OptionError::Unknown) => ENOPARAM,
        Err(OptionError::Refused(text)) => {
            // SAFETY: by the contract.
            unsafe { *message = text.as_ptr().cast() };
            // SAFETY: by the contract.
            unsafe { *message_len = text.len() };
            Errno::EINVAL.to_ret()
        }
    }
}

/// # Safety
/// As the module says; `options` is initialised.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_mount(options: *const c_void) -> c_int {
    // SAFETY: by the contract.
    let options = unsafe { &*options.cast::<MountOptions>() };
    to_ret(Resctrl::mount(instance(), options))
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_unmount() {
    Resctrl::unmount(instance());
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_show_options(seq: *mut ffi::SeqFile) -> c_int {
    // The text never reports that it is full.
    let _ = instance().show_options(&mut SeqText(seq));
    0
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_show_stats(seq: *mut ffi::SeqFile) -> c_int {
    // The text never reports that it is full.
    let _ = Resctrl::show_stats(instance(), &mut SeqText(seq));
    0
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_root() -> u64 {
    instance().root().map_or(0, |node| node.0)
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_lookup(parent: u64, name: *const c_char, len: usize) -> u64 {
    // SAFETY: by the contract.
    let name = unsafe { bytes(name, len) };
    instance().lookup(NodeId(parent), name).map_or(0, |node| node.0)
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_is_linked(node: u64, parent: u64, name: *const c_char, len: usize) -> bool {
    // SAFETY: by the contract.
    let name = unsafe { bytes(name, len) };
    instance().is_linked(NodeId(node), NodeId(parent), name)
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_attr(node: u64, attr: *mut ffi::Attr) -> bool {
    let Some(found) = instance().attr(NodeId(node)) else { return false };
    let found = ffi::Attr {
        id: found.id.0,
        atime_sec: found.atime.sec,
        mtime_sec: found.mtime.sec,
        ctime_sec: found.ctime.sec,
        atime_nsec: found.atime.nsec,
        mtime_nsec: found.mtime.nsec,
        ctime_nsec: found.ctime.nsec,
        mode: found.mode.into(),
        uid: found.owner.uid,
        gid: found.owner.gid,
        nlink: found.nlink,
        is_dir: (found.kind == NodeKind::Dir).into(),
    };
    // SAFETY: by the contract.
    unsafe { attr.write(found) };
    true
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_set_attr(node: u64, set: u32, attr: *const ffi::Attr) -> c_int {
    // SAFETY: by the contract.
    let attr = unsafe { &*attr };
    let is_set = |bit| set & bit != 0;
    let time = |bit, sec, nsec| is_set(bit).then_some(Timestamp { sec, nsec });
    let change = SetAttr {
        mode: is_set(ffi::SET_MODE).then_some((attr.mode & 0o7777) as u16),
        uid: is_set(ffi::SET_UID).then_some(attr.uid),
        gid: is_set(ffi::SET_GID).then_some(attr.gid),
        atime: time(ffi::SET_ATIME, attr.atime_sec, attr.atime_nsec),
        mtime: time(ffi::SET_MTIME, attr.mtime_sec, attr.mtime_nsec),
        ctime: Timestamp { sec: attr.ctime_sec, nsec: attr.ctime_nsec },
    };
    match instance().set_attr(NodeId(node), &change) {
        // Only its inode is left, in the hands of whoever has it open: that one may be changed, as in kernfs.
        Err(_) if instance().attr(NodeId(node)).is_none() => 0,
        result => to_ret(result),
    }
}

/// 1 and an entry, 0 at the end, or an error.
///
/// # Safety
/// As the module says; `name` has room for [`ffi::NAME_MAX`] bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_next_entry(dir: u64, after: u64, name: *mut c_char, entry: *mut ffi::Entry) -> c_int {
    // SAFETY: by the contract.
    let name = unsafe { &mut *name.cast::<[u8; ffi::NAME_MAX]>() };
    let found = match instance().next_entry(NodeId(dir), after, name) {
        Ok(Some(found)) => found,
        Ok(None) => return 0,
        Err(errno) => return errno.to_ret(),
    };
    let found = ffi::Entry {
        position: found.position,
        id: found.id.0,
        // Names are at most NAME_MAX bytes.
        len: found.len as u32,
        is_dir: (found.kind == NodeKind::Dir).into(),
    };
    // SAFETY: by the contract.
    unsafe { entry.write(found) };
    1
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_open(node: u64, read: bool, write: bool) -> c_int {
    to_ret(instance().open(NodeId(node), read, write))
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_read(node: u64, seq: *mut ffi::SeqFile) -> c_int {
    to_ret(Resctrl::read(instance(), NodeId(node), &mut SeqText(seq)))
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_write(node: u64, data: *const c_char, len: usize) -> c_int {
    // SAFETY: by the contract.
    let data = unsafe { bytes(data, len) };
    to_ret(Resctrl::write(instance(), NodeId(node), data))
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_mkdir(parent: u64, name: *const c_char, len: usize, mode: u32) -> c_int {
    // SAFETY: by the contract.
    let name = unsafe { bytes(name, len) };
    to_ret(Resctrl::mkdir(instance(), NodeId(parent), name, (mode & 0o7777) as u16))
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_rmdir(dir: u64) -> c_int {
    to_ret(Resctrl::rmdir(instance(), NodeId(dir)))
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_rename(node: u64, new_parent: u64, name: *const c_char, len: usize, flags: u32) -> c_int {
    // SAFETY: by the contract.
    let name = unsafe { bytes(name, len) };
    to_ret(Resctrl::rename(instance(), NodeId(node), NodeId(new_parent), name, flags))
}
