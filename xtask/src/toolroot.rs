// SPDX-License-Identifier: GPL-2.0-only
//! The tool root: QEMU, guest kernels, compiler and guest programs in `target/tools`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::kernels::Kernel;

/// Flags of every subcommand that needs the tool root.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Tools")]
pub(crate) struct ToolOptions {
    /// Use no network: fail with a list of what is missing
    #[arg(long)]
    pub(crate) offline: bool,
    /// Debian mirror to fetch packages from
    #[arg(long, value_name = "URL")]
    pub(crate) mirror: Option<String>,
    /// Folder for downloads, shared between checkouts
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Use this QEMU instead of the packaged one
    #[arg(long, value_name = "PATH")]
    pub(crate) qemu: Option<PathBuf>,
    /// Use this kernel build tree (image, headers and modules) instead of a packaged kernel
    #[arg(long, value_name = "DIR")]
    pub(crate) kdir: Option<PathBuf>,
}

/// The tools, all there and ready to use.
#[derive(Debug)]
pub(crate) struct ToolRoot {}

/// An installed guest kernel.
#[derive(Debug, Clone)]
pub(crate) struct GuestKernel {
    /// Release as `uname -r` prints it.
    pub(crate) release: String,
    /// The bootable image.
    pub(crate) image: PathBuf,
    /// Folder with the modules, `.../usr/lib/modules/RELEASE`.
    pub(crate) modules: PathBuf,
}

impl ToolRoot {
    /// Makes sure that the tools and `kernels` are installed; does nothing, fast, when they are.
    ///
    /// # Errors
    ///
    /// Something is missing and cannot be fetched.
    pub(crate) fn ensure(_options: &ToolOptions, _kernels: &[Kernel]) -> Result<Self> {
        bail!("not wired up yet")
    }

    /// Start of a QEMU command line: the program with what it needs to run from the tool root.
    pub(crate) fn qemu_command(&self) -> Vec<OsString> {
        unreachable!()
    }

    /// The installed version of `kernel`, or the user's own build tree in its place.
    pub(crate) fn kernel(&self, _kernel: &Kernel) -> Result<GuestKernel> {
        bail!("not wired up yet")
    }

    /// The statically linked busybox for guests of the kernel's instruction set.
    pub(crate) fn busybox(&self) -> &Path {
        unreachable!()
    }
}

impl GuestKernel {
    /// Path of the module `name` (for example `msr`), as packaged: `.ko`, `.ko.xz` or `.ko.zst`;
    /// `None` if it is built in or absent.
    pub(crate) fn module(&self, _name: &str) -> Option<PathBuf> {
        None
    }
}
