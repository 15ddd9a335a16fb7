// SPDX-License-Identifier: GPL-2.0-only
//! Counters of the processor and of memory controllers, as the kernel gives them to programs: `perf_event_open(2)`.

use crate::{Failure, parse_number};
use nix::errno::Errno;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::FromRawFd;
use std::path::Path;
#[cfg(target_arch = "x86_64")]
use std::{os::fd::AsRawFd, ptr::NonNull};

/// What is counted, of those that every processor may have: `PERF_COUNT_HW_…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time, in cycles.
    Cycles = 0,
    /// Instructions.
    Instructions = 1,
    /// References of the last level cache.
    References = 2,
    /// Those that it did not have.
    Misses = 3,
}

/// `PERF_TYPE_HARDWARE`.
const HARDWARE: u32 = 0;
/// `PERF_TYPE_HW_CACHE`, with the last level cache (`PERF_COUNT_HW_CACHE_LL`), reads of it, and which of these: those that are accesses,
/// those that are misses.
const CACHE: u32 = 3;
const LAST_LEVEL: u64 = 2;
const CACHE_MISS: u64 = 1 << 16;

impl Event {
    /// Type and configuration. What Linux has programs call references and misses of caches is about the first level on Arm.
    const fn attributes(self) -> (u32, u64) {
        match self {
            Self::References if cfg!(target_arch = "aarch64") => (CACHE, LAST_LEVEL),
            Self::Misses if cfg!(target_arch = "aarch64") => (CACHE, LAST_LEVEL | CACHE_MISS),
            _ => (HARDWARE, self as u64),
        }
    }
}

/// `struct perf_event_attr`, of its first version (`PERF_ATTR_SIZE_VER0`).
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    breakpoint_address: u64,
}

const SIZE: u32 = 64;
const _: () = assert!(size_of::<Attributes>() == SIZE as usize, "the kernel tells versions by their size");

/// `exclude_kernel` and `exclude_hv`.
const USER_ONLY: u64 = 1 << 5 | 1 << 6;

fn open(attributes: &Attributes, thread: libc::pid_t, cpu: libc::c_int) -> Result<File, Errno> {
    let (alone, flags) = (-1, 0);
    // SAFETY: the attributes are as long as they say, and stay while they are read.
    let file =
        unsafe { libc::syscall(libc::SYS_perf_event_open, std::ptr::from_ref(attributes), thread, cpu, alone, flags) };
    let file = i32::try_from(Errno::result(file)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the file is new, and nobody else's.
    Ok(unsafe { File::from_raw_fd(file) })
}

fn value(file: &mut File) -> Result<u64, Errno> {
    let mut value = [0; 8];
    let read = file.read_exact(&mut value);
    read.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    Ok(u64::from_ne_bytes(value))
}

/// A counter of each channel of the memory controllers, for one event.
#[derive(Debug)]
pub struct Channels(Vec<File>);

impl Channels {
    /// Begins to count an event that the kernel's driver has described, such as `cas_count_read`, for the socket of CPU 0.
    ///
    /// # Errors
    ///
    /// There is no memory controller with such an event; whatever else the kernel refuses with.
    pub fn begin(event: &str) -> Result<Self, Failure> {
        let mut files = Vec::new();
        for entry in fs::read_dir("/sys/bus/event_source/devices")? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("uncore_imc_") {
                files.push(Self::of(&entry.path(), event)?);
            }
        }
        if files.is_empty() {
            return Err(Failure::Hardware("the kernel has found no memory controller with counters".to_owned()));
        }
        Ok(Self(files))
    }

    fn of(device: &Path, event: &str) -> Result<File, Failure> {
        let text = fs::read_to_string(device.join("type"))?;
        let number = parse_number(text.trim()).and_then(|number| u32::try_from(number).ok());
        let kind = number.ok_or_else(|| Failure::Hardware(format!("{}: type {text}", device.display())))?;
        let text = fs::read_to_string(device.join("events").join(event))?;
        let config = config(text.trim()).ok_or_else(|| Failure::Hardware(format!("{event} is \"{text}\"")))?;
        let (any_thread, first_cpu) = (-1, 0);
        Ok(open(&Attributes { kind, size: SIZE, config, ..Attributes::default() }, any_thread, first_cpu)?)
    }

    /// How much there was so far, of all channels.
    ///
    /// # Errors
    ///
    /// What the kernel refuses with.
    pub fn read(&mut self) -> Result<u64, Errno> {
        self.0.iter_mut().map(value).sum()
    }
}

/// The configuration of an event as the kernel's driver describes it, `event=0x04,umask=0x03`.
fn config(description: &str) -> Option<u64> {
    description.split(',').try_fold(0, |config, part| {
        let (name, number) = part.split_once('=')?;
        let shift = match name {
            "event" => 0,
            "umask" => 8,
            _ => return None,
        };
        Some(config | parse_number(number)? << shift)
    })
}

/// A counter of what this thread does in user mode.
#[derive(Debug)]
pub struct Counter {
    file: File,
    /// From the beginning: what Linux writes there behind a `read` is not what a program is told to add its own reading to.
    #[cfg(target_arch = "x86_64")]
    page: Page,
}

impl Counter {
    /// Begins to count.
    ///
    /// # Errors
    ///
    /// `ENOENT` where no processor of this machine has counters, or none of this event; whatever else the kernel refuses with.
    pub fn begin(event: Event) -> Result<Self, Errno> {
        let (kind, config) = event.attributes();
        let attributes = Attributes { kind, size: SIZE, config, flags: USER_ONLY, ..Attributes::default() };
        let (this_thread, any_cpu) = (0, -1);
        let file = open(&attributes, this_thread, any_cpu)?;
        Ok(Self {
            #[cfg(target_arch = "x86_64")]
            page: Page::of(&file)?,
            file,
        })
    }

    /// How much there was so far.
    ///
    /// # Errors
    ///
    /// What the kernel refuses with.
    pub fn read(&mut self) -> Result<u64, Errno> {
        value(&mut self.file)
    }

    /// The same, without the kernel: RDPMC. `None` where that cannot be.
    #[cfg(target_arch = "x86_64")]
    #[must_use]
    pub fn read_directly(&self) -> Option<u64> {
        let page = &self.page;
        loop {
            let sequence = page.field::<u32>(Page::LOCK);
            let (index, offset) = (page.field::<u32>(Page::INDEX), page.field::<i64>(Page::OFFSET));
            let width = u32::from(page.field::<u16>(Page::WIDTH));
            if index == 0 || width == 0 {
                return None;
            }
            // SAFETY: the kernel has just said that this counter is this thread's, and lets it read it.
            let value = unsafe { rdpmc(index - 1) };
            let unused = 64 - width;
            let value = (value << unused).cast_signed() >> unused;
            if page.field::<u32>(Page::LOCK) == sequence {
                return Some(offset.wrapping_add(value).cast_unsigned());
            }
        }
    }
}

/// `struct perf_event_mmap_page`.
#[cfg(target_arch = "x86_64")]
#[derive(Debug)]
struct Page(NonNull<u8>);

#[cfg(target_arch = "x86_64")]
impl Page {
    const BYTES: usize = 4096;
    // Where its fields are.
    const LOCK: usize = 8;
    const INDEX: usize = 12;
    const OFFSET: usize = 16;
    const WIDTH: usize = 48;

    fn of(file: &File) -> Result<Self, Errno> {
        let (file, protection) = (file.as_raw_fd(), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping, which overlaps nothing.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), Self::BYTES, protection, libc::MAP_SHARED, file, 0) };
        if page == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        NonNull::new(page.cast()).map(Self).ok_or(Errno::ENOMEM)
    }

    /// A field, as it is now: the kernel changes them meanwhile.
    fn field<T: Copy>(&self, at: usize) -> T {
        let field = self.0.as_ptr().wrapping_add(at).cast::<T>();
        // SAFETY: a field of this type is there, aligned, while the page is mapped; any bits are a value of a number.
        unsafe { field.read_volatile() }
    }
}

#[cfg(target_arch = "x86_64")]
impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: mapped by this, and nobody has a reference to it.
        unsafe { libc::munmap(self.0.as_ptr().cast(), Self::BYTES) };
    }
}

/// # Safety
///
/// The kernel lets this thread read counters, and has this one.
#[cfg(target_arch = "x86_64")]
unsafe fn rdpmc(counter: u32) -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: as this function requires of its caller.
    unsafe { std::arch::asm!("rdpmc", in("ecx") counter, out("rax") low, out("rdx") high, options(nomem, nostack)) };
    high << 32 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_configured_as_it_is_described() {
        assert_eq!(config("event=0x04,umask=0x03"), Some(0x0304));
        assert_eq!(config("event=0xff"), Some(0xff));
        for other in ["", "event", "event=x", "event=1,edge=1"] {
            assert_eq!(config(other), None, "{other}");
        }
    }
}
