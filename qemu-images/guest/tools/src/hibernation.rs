// SPDX-License-Identifier: GPL-2.0-only
//! Hibernation without a disk: `/dev/snapshot`, with the image in the memory of this program.

use crate::{Failure, Outcome};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::Command;

/// Requests of `<linux/suspend_ioctls.h>`.
const FREEZE: libc::Ioctl = 0x3301;
const UNFREEZE: libc::Ioctl = 0x3302;
const ATOMIC_RESTORE: libc::Ioctl = 0x3304;
const CREATE_IMAGE: libc::Ioctl = 0x4004_3311;
const PREF_IMAGE_SIZE: libc::Ioctl = 0x3312;

/// The size of a page of the guest.
const PAGE: usize = 4096;

/// The device: whoever has it open can freeze everybody else. Closing it frees the image and lets all go on.
struct Snapshot(File);

impl Snapshot {
    fn open(flags: OFlag) -> Result<Self, Failure> {
        Ok(Snapshot(open("/dev/snapshot", flags, Mode::empty())?.into()))
    }

    /// A request that takes a number or nothing.
    fn ask(&self, request: libc::Ioctl) -> Outcome {
        // SAFETY: the descriptor is open; of these requests none looks at memory, and a size of 0 is as small as it gets.
        Errno::result(unsafe { libc::ioctl(self.0.as_raw_fd(), request, 0) })?;
        Ok(())
    }

    /// Makes an image. False in the life that goes on from it.
    fn create_image(&self) -> Result<bool, Failure> {
        let mut made: libc::c_int = 0;
        // SAFETY: the descriptor is open, and the kernel writes one int.
        Errno::result(unsafe { libc::ioctl(self.0.as_raw_fd(), CREATE_IMAGE, &raw mut made) })?;
        Ok(made != 0)
    }
}

/// Goes half the way: makes an image and throws it away.
///
/// # Errors
/// The kernel's.
pub fn image() -> Outcome {
    let device = Snapshot::open(OFlag::O_RDONLY)?;
    device.ask(FREEZE)?;
    let made = device.create_image();
    device.ask(UNFREEZE)?;
    made.map(drop)
}

/// Goes all the way: makes an image, reads it, runs a command, and gives the memory back to the image.
///
/// # Errors
/// The kernel's, and the command's: it has failed, or is not there.
pub fn hibernate(command: &[OsString]) -> Outcome {
    let (program, arguments) = command.split_first().ok_or_else(|| Failure::Usage("there is no COMMAND".to_owned()))?;
    let mut image = Vec::new();
    {
        let mut device = Snapshot::open(OFlag::O_RDONLY)?;
        device.ask(FREEZE)?;
        device.ask(PREF_IMAGE_SIZE)?;
        if !device.create_image()? {
            // This is the life that goes on from the image: the rest of the function has never been.
            return device.ask(UNFREEZE);
        }
        // The kernel gives a page for each read, and parts of one wrongly.
        let mut page = [0; PAGE];
        loop {
            match device.0.read(&mut page)? {
                0 => break,
                size => image.extend_from_slice(&page[..size]),
            }
        }
    }
    let status = Command::new(program).args(arguments).status()?;
    if !status.success() {
        return Err(Failure::Hardware(format!("{}: {status}", program.display())));
    }
    let mut device = Snapshot::open(OFlag::O_WRONLY)?;
    for page in image.chunks(PAGE) {
        device.0.write_all(page)?;
    }
    drop(image);
    device.ask(FREEZE)?;
    device.ask(ATOMIC_RESTORE)?;
    Err(Failure::Hardware("the memory has not been given back to the image".to_owned()))
}
