// SPDX-License-Identifier: GPL-2.0-only
//! What the VFS asks, by way of `shim_vfs.c` and `shim_file.c`.
//!
//! # Safety
//! Of every function here: called between `rust_start` and `rust_stop`; pointers are valid for the call, and a pointer
//! with a length points to that many bytes.

use core::ffi::{c_char, c_int, c_void};
use core::fmt;
use core::{ptr, slice};

use resctrl_fs::{
    Attr, Bytes, MountOptions, NodeId, NodeKind, OpenFor, OptionError, Resctrl, Seen, SetAttr, TextOut, XattrSet,
};
use resctrl_types::Errno;
use resctrl_types::platform::Timestamp;

use crate::convert::to_ret;
use crate::ffi;
use crate::instance::instance;

const ENOPARAM: c_int = -519;

/// The free part of a buffer of C's.
struct Room<'a> {
    bytes: &'a mut [u8],
    used: usize,
    full: bool,
}

impl<'a> Room<'a> {
    /// # Safety
    /// As the module says; `start` may be null where `len` is 0. Nobody else uses the memory while this lives.
    unsafe fn new(start: *mut c_char, len: usize) -> Self {
        let start = if start.is_null() { ptr::dangling_mut() } else { start.cast() };
        // SAFETY: by the contract. C has bytes there, whatever they are.
        Room { bytes: unsafe { slice::from_raw_parts_mut(start, len) }, used: 0, full: len == 0 }
    }

    /// What C is told of it: how many bytes were filled, all of them if that was not enough.
    fn filled(&self) -> isize {
        if self.full { self.bytes.len().cast_signed() } else { self.used.cast_signed() }
    }
}

impl TextOut for Room<'_> {
    fn bytes(&mut self, bytes: Bytes<'_>) -> fmt::Result {
        let free = self.bytes.get_mut(self.used..).unwrap_or_default();
        match free.split_at_mut_checked(bytes.0.len()) {
            Some((room, _)) if !self.full => {
                room.copy_from_slice(bytes.0);
                self.used = self.used.saturating_add(bytes.0.len());
                Ok(())
            }
            _ => {
                self.full = true;
                Err(fmt::Error)
            }
        }
    }
}

impl fmt::Write for Room<'_> {
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
unsafe extern "C" fn rust_show_options(text: *mut c_char, len: usize) -> isize {
    // SAFETY: by the contract.
    let mut room = unsafe { Room::new(text, len) };
    // A room that is full says so itself.
    let _ = instance().show_options(&mut room);
    room.filled()
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_show_stats(text: *mut c_char, len: usize) -> isize {
    // SAFETY: by the contract.
    let mut room = unsafe { Room::new(text, len) };
    // A room that is full says so itself.
    let _ = Resctrl::show_stats(instance(), &mut room);
    room.filled()
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
unsafe extern "C" fn rust_tree_version() -> u64 {
    instance().tree_version()
}

fn to_attr(seen: Seen<Option<Attr>>) -> ffi::Attr {
    let version = seen.version;
    seen.what.map_or(ffi::Attr { version, ..ffi::Attr::default() }, |found| ffi::Attr {
        version,
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
    })
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_entry(parent: u64, name: *const c_char, len: usize, attr: *mut ffi::Attr) -> bool {
    // SAFETY: by the contract.
    let name = unsafe { bytes(name, len) };
    let seen = instance().entry(NodeId(parent), name);
    // SAFETY: by the contract.
    unsafe { attr.write(to_attr(seen)) };
    seen.what.is_some()
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_attr(node: u64, attr: *mut ffi::Attr) -> bool {
    let seen = instance().look(NodeId(node));
    // SAFETY: by the contract.
    unsafe { attr.write(to_attr(seen)) };
    seen.what.is_some()
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_set_attr(node: u64, set: u32, attr: *const ffi::Attr) {
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
    // Of a node that has gone only the inode is left, in the hands of whoever has it open, as in kernfs.
    let _ = instance().set_attr(NodeId(node), &change);
}

const _: () = assert!(
    (size_of::<ffi::Entry>() + ffi::NAME_MAX + 1).next_multiple_of(align_of::<ffi::Entry>()) <= ffi::ENTRIES_SIZE,
    "there is room for any entry"
);

/// The bytes that were filled, 0 at the end, or an error: `ERANGE` when the next entry needs more.
///
/// # Safety
/// As the module says; `entries` has room for `size` bytes, aligned for an [`ffi::Entry`].
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_entries(dir: u64, after: u64, entries: *mut c_void, size: usize) -> c_int {
    let (mut filled, mut too_few) = (0, false);
    let listed = instance().entries(NodeId(dir), after, &mut |found| {
        // A name ends with a byte that is 0; the next entry begins where its alignment lets it.
        let bytes = size_of::<ffi::Entry>().saturating_add(found.name.len()).saturating_add(1);
        let (Some(bytes), Ok(len)) =
            (bytes.checked_next_multiple_of(align_of::<ffi::Entry>()), u32::try_from(found.name.len()))
        else {
            return false;
        };
        if bytes > size.saturating_sub(filled) {
            too_few = filled == 0;
            return false;
        }
        let entry =
            ffi::Entry { position: found.position, id: found.id.0, len, is_dir: (found.kind == NodeKind::Dir).into() };
        // SAFETY: there is room for `bytes` bytes behind `filled`, which is a multiple of the alignment.
        let place = unsafe { entries.byte_add(filled) }.cast::<ffi::Entry>();
        // SAFETY: as above.
        unsafe { place.write(entry) };
        // SAFETY: as above.
        let name = unsafe { place.add(1) }.cast::<u8>();
        // SAFETY: as above; the name is not in the caller's buffer.
        unsafe { name.copy_from_nonoverlapping(found.name.as_ptr(), found.name.len()) };
        // SAFETY: as above: there is room for one byte more than the name.
        let end = unsafe { name.add(found.name.len()) };
        // SAFETY: as above.
        unsafe { end.write(0) };
        filled = filled.saturating_add(bytes);
        true
    });
    match listed {
        Ok(()) if too_few => Errno::ERANGE.to_ret(),
        // At most SHIM_ENTRIES_SIZE.
        Ok(()) => c_int::try_from(filled).unwrap_or(c_int::MAX),
        Err(errno) => errno.to_ret(),
    }
}

/// # Safety
/// As the module says; `value` is null or has room for `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_xattr_get(
    node: u64,
    name: *const c_char,
    len: usize,
    value: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: by the contract.
    let name = unsafe { bytes(name, len) };
    // SAFETY: by the contract.
    let value = (!value.is_null()).then(|| unsafe { slice::from_raw_parts_mut(value.cast::<u8>(), size) });
    match instance().xattr(NodeId(node), name, value) {
        // The VFS ends values at 64 KiB.
        Ok(len) => c_int::try_from(len).unwrap_or(c_int::MAX),
        Err(errno) => errno.to_ret(),
    }
}

/// # Safety
/// As the module says; `value` is null or points to `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_xattr_set(
    node: u64,
    name: *const c_char,
    len: usize,
    value: *const c_void,
    size: usize,
    flags: c_int,
) -> c_int {
    // SAFETY: by the contract.
    let name = unsafe { bytes(name, len) };
    // SAFETY: by the contract.
    let value = (!value.is_null()).then(|| unsafe { bytes(value.cast(), size) });
    let how = match (flags & ffi::XATTR_CREATE != 0, flags & ffi::XATTR_REPLACE != 0) {
        (false, false) => XattrSet::Any,
        (true, false) => XattrSet::Create,
        (false, true) => XattrSet::Replace,
        (true, true) => XattrSet::CreateAndReplace,
    };
    to_ret(instance().set_xattr(NodeId(node), name, value, how))
}

/// # Safety
/// As the module says; `names` has room for `size` bytes, or is null and `size` is 0.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_xattr_list(node: u64, names: *mut c_char, size: usize) -> isize {
    let mut total = 0_usize;
    instance().xattr_names(NodeId(node), &mut |name| {
        if total.saturating_add(name.len()) < size {
            // SAFETY: there is room for the name and a byte behind `total`.
            let place = unsafe { names.add(total) }.cast::<u8>();
            // SAFETY: as above; the name is not in the caller's buffer.
            unsafe { place.copy_from_nonoverlapping(name.as_ptr(), name.len()) };
            // SAFETY: as above.
            let end = unsafe { place.add(name.len()) };
            // SAFETY: as above.
            unsafe { end.write(0) };
        }
        total = total.saturating_add(name.len()).saturating_add(1);
        true
    });
    total.cast_signed()
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_open(node: u64, access: u32) -> c_int {
    let (read, write) = (access & ffi::OPEN_READ != 0, access & ffi::OPEN_WRITE != 0);
    to_ret(instance().open(NodeId(node), OpenFor { read, write }))
}

/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_read(node: u64, text: *mut c_char, len: usize) -> isize {
    // SAFETY: by the contract.
    let mut room = unsafe { Room::new(text, len) };
    match Resctrl::read(instance(), NodeId(node), &mut room) {
        Ok(()) => room.filled(),
        Err(errno) => errno.to_ret() as isize,
    }
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
