// SPDX-License-Identifier: GPL-2.0-only
//! Operations become system calls.

use guest_tools::operation::{Operation, SLOTS};
use guest_tools::{Failure, Outcome, escape, xattr};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, open, renameat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::Mode;
use nix::unistd::{Uid, mkdir, read, seteuid, symlinkat, unlink, write};
use std::fs::{self, File, Permissions};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cast;
use super::seen::{DEVICES, MOUNT_POINT, is_counter, normal};

/// Files whose content outlives a mount.
const LASTING: [&str; 5] = [
    "info/L3_MON/mbm_assign_mode",
    "info/L3_MON/mbm_assign_on_mkdir",
    "info/L3_MON/max_threshold_occupancy",
    "info/L3_MON/mbm_total_bytes_config",
    "info/L3_MON/mbm_local_bytes_config",
];

/// The most that is read at once.
const ROOM: usize = 64 << 10;

pub(super) struct Performer {
    /// [`LASTING`] as they were at first, as far as they are there.
    lasting: Vec<(&'static str, Vec<u8>)>,
    /// Files that are kept open.
    held: [Option<File>; SLOTS],
}

fn path(relative: &str) -> PathBuf {
    Path::new(MOUNT_POINT).join(relative)
}

fn cpu_file(cpu: u32) -> String {
    format!("/sys/devices/system/cpu/cpu{cpu}/online")
}

/// The one line that a write takes: of a mode the word in brackets, of a list all in one.
fn first_line(content: &[u8]) -> Vec<u8> {
    let line = content.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
    line.iter().copied().filter(|byte| !b"[]".contains(byte)).collect()
}

impl Performer {
    /// Mounts once, to see what there is.
    pub(super) fn new() -> Result<Self, Failure> {
        mount_with("")?;
        let content = |name: &'static str| Some((name, first_line(&fs::read(path(name)).ok()?)));
        let lasting = LASTING.into_iter().filter_map(content).collect();
        umount2(MOUNT_POINT, MntFlags::empty())?;
        Ok(Self { lasting, held: Default::default() })
    }

    /// One beside another, which alone goes back to the state that there was at first.
    pub(super) fn beside() -> Self {
        Self { lasting: Vec::new(), held: Default::default() }
    }

    /// Closes what is kept open.
    pub(super) fn release(&mut self) {
        self.held = Default::default();
    }

    /// Goes back to the state of a machine that has just booted, and leaves resctrl unmounted.
    pub(super) fn reset(&mut self) -> Outcome {
        self.release();
        give_up();
        let mut tries = 0;
        loop {
            match umount2(MOUNT_POINT, MntFlags::empty()) {
                Ok(()) => {}
                Err(Errno::EINVAL) => break,
                Err(Errno::EBUSY) if tries < 50 => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        for cpu in 1.. {
            match fs::read(cpu_file(cpu)) {
                Ok(state) if state.starts_with(b"0") => fs::write(cpu_file(cpu), "1")?,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        mount_with("")?;
        for (name, content) in &self.lasting {
            // Some are only there, and can only be written, in one of the modes.
            if fs::read(path(name)).is_ok_and(|now| first_line(&now) != *content) {
                write_once(name, content)?;
            }
        }
        umount2(MOUNT_POINT, MntFlags::empty())?;
        Ok(())
    }

    /// Carries out an operation; says how it ended.
    pub(super) fn perform(&mut self, operation: &Operation) -> String {
        match self.attempt(operation) {
            Ok(None) => "ok".to_owned(),
            Ok(Some(content)) => format!("ok {}", shown(operation, &content)),
            Err(Failure::Errno(errno)) => format!("{errno:?}"),
            Err(other) => other.to_string(),
        }
    }

    fn held(&self, slot: usize) -> Result<&File, Errno> {
        self.held[slot].as_ref().ok_or(Errno::EBADF)
    }
}

/// What a read gave. A counter is only told to be a number: two machines never count the same.
fn shown(operation: &Operation, content: &[u8]) -> String {
    let counter = matches!(operation, Operation::Read(path) if is_counter(path));
    let number = |content: &[u8]| content.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'\n'));
    if counter && number(content) && content.len() > 1 {
        return "number".to_owned();
    }
    match operation {
        Operation::Read(path) => normal(path, content),
        _ => escape::quote(content),
    }
}

/// Gives up what the unmount of Linux 7.3.4's own does not: nobody comes back from it while there are locked regions (it
/// removes their devices with its mutex held, which is taken again to find out what those are called), and devices keep their
/// class of service, which the next mount then has, too.
fn give_up() {
    for device in fs::read_dir(DEVICES).into_iter().flatten().flatten() {
        // Without its group, the device of an older mount is in nobody's way.
        let _ = fs::remove_dir(Path::new(MOUNT_POINT).join(device.file_name()));
    }
    for switch in ["info/L3/io_alloc", "info/L3CODE/io_alloc"] {
        if fs::read(path(switch)).is_ok_and(|state| state.starts_with(b"enabled")) {
            // What the unmount then finds is compared.
            let _ = write_once(switch, b"0");
        }
    }
}

fn mount_with(options: &str) -> Outcome {
    // What all file systems know is a flag of the call.
    let (flags, own): (Vec<&str>, Vec<&str>) = options.split(',').partition(|&option| option == "ro");
    let flags = if flags.is_empty() { MsFlags::empty() } else { MsFlags::MS_RDONLY };
    mount(Some("resctrl"), MOUNT_POINT, Some("resctrl"), flags, Some(own.join(",").as_str()))?;
    Ok(())
}

fn write_once(relative: &str, bytes: &[u8]) -> Outcome {
    let file = open(&path(relative), OFlag::O_WRONLY, Mode::empty())?;
    whole(write(&file, bytes)?, bytes)
}

fn whole(written: usize, bytes: &[u8]) -> Outcome {
    if written == bytes.len() { Ok(()) } else { Err(Failure::Hardware(format!("wrote {written}"))) }
}

fn write_as_user(relative: &str, bytes: &[u8]) -> Outcome {
    let file = open(&path(relative), OFlag::O_WRONLY, Mode::empty())?;
    seteuid(cast::USER)?;
    let written = write(&file, bytes);
    seteuid(Uid::from_raw(0))?;
    whole(written?, bytes)
}

/// Maps a file and lets go of it.
fn map(relative: &str, offset: u64, length: u64) -> Outcome {
    let file = open(&path(relative), OFlag::O_RDWR, Mode::empty())?;
    let length = usize::try_from(length).ok().and_then(NonZeroUsize::new).ok_or(Errno::EINVAL)?;
    let offset = i64::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the kernel chooses where, so nothing of this program's is replaced.
    let start = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &file, offset)? };
    // SAFETY: that is the mapping just made, which nobody has a pointer to.
    unsafe { munmap(start, length.get())? };
    Ok(())
}

fn open_flags(words: &str) -> OFlag {
    words
        .split(',')
        .map(|word| match word {
            "w" => OFlag::O_WRONLY,
            "rw" => OFlag::O_RDWR,
            "create" => OFlag::O_CREAT,
            "append" => OFlag::O_APPEND,
            "truncate" => OFlag::O_TRUNC,
            _ => OFlag::O_RDONLY,
        })
        .collect()
}

impl Performer {
    fn attempt(&mut self, operation: &Operation) -> Result<Option<Vec<u8>>, Failure> {
        match operation {
            Operation::Mount(options) => mount_with(options)?,
            Operation::Remount(options) => {
                let none = None::<&Path>;
                mount(none, MOUNT_POINT, none, MsFlags::MS_REMOUNT, Some(options.as_str()))?;
            }
            Operation::Unmount => {
                give_up();
                umount2(MOUNT_POINT, MntFlags::empty())?;
            }
            Operation::Mkdir(name, mode) => mkdir(&path(name), Mode::from_bits_truncate(*mode))?,
            Operation::Rmdir(name) => fs::remove_dir(path(name))?,
            Operation::Rename(old, new, flags) => {
                renameat2(AT_FDCWD, &path(old), AT_FDCWD, &path(new), RenameFlags::from_bits_truncate(*flags))?;
            }
            Operation::Write(name, bytes) => write_once(name, bytes)?,
            Operation::WriteAsUser(name, bytes) => write_as_user(name, bytes)?,
            Operation::Read(name) => {
                let file = open(&path(name), OFlag::O_RDONLY, Mode::empty())?;
                let mut room = vec![0; ROOM];
                let length = read(&file, &mut room)?;
                room.truncate(length);
                return Ok(Some(room));
            }
            Operation::Open(name, flags) => {
                open(&path(name), open_flags(flags), Mode::from_bits_truncate(0o644))?;
            }
            Operation::Unlink(name) => unlink(&path(name))?,
            Operation::Symlink(name) => symlinkat("/tmp", AT_FDCWD, &path(name))?,
            Operation::Chmod(name, mode) => fs::set_permissions(path(name), Permissions::from_mode(*mode))?,
            Operation::SetXattr(name, attribute, value, flags) => {
                xattr::set(&path(name), attribute, value, xattr::Flags::from_bits_retain(*flags))?;
            }
            Operation::GetXattr(name, attribute) => return Ok(Some(xattr::get(&path(name), attribute)?)),
            Operation::ListXattr(name) => return Ok(Some(xattr::list(&path(name))?.join(" ").into_bytes())),
            Operation::RemoveXattr(name, attribute) => xattr::remove(&path(name), attribute)?,
            Operation::Map(name, offset, length) => map(name, *offset, *length)?,
            Operation::Cpu(cpu, online) => fs::write(cpu_file(*cpu), if *online { "1" } else { "0" })?,
            Operation::List(name) => {
                let entries = fs::read_dir(path(name))?.collect::<Result<Vec<_>, _>>()?;
                let mut names: Vec<_> = entries.iter().map(|entry| entry.file_name().into_encoded_bytes()).collect();
                names.sort();
                return Ok(Some(names.join(&b' ')));
            }
            Operation::Hold(slot, name, flags) => {
                self.held[*slot] = None;
                let file = open(&path(name), open_flags(flags), Mode::from_bits_truncate(0o644))?;
                self.held[*slot] = Some(file.into());
            }
            Operation::ReadHeld(slot, offset, length) => {
                let length = usize::try_from(*length).map_or(ROOM, |length| length.min(ROOM));
                let mut room = vec![0; length];
                let length = self.held(*slot)?.read_at(&mut room, *offset)?;
                room.truncate(length);
                return Ok(Some(room));
            }
            Operation::WriteHeld(slot, bytes) => whole(write(self.held(*slot)?, bytes)?, bytes)?,
            Operation::Release(slot) => self.held[*slot] = None,
        }
        Ok(None)
    }
}
