// SPDX-License-Identifier: GPL-2.0-only
//! What a user brings along to a guest, what it runs in there, and what is taken home.
//!
//! `qemu-images/guest/lib/visit.sh` is the other end: it puts everything in its place when the guest is up.

pub(crate) mod home;
pub(crate) mod root;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::debugging::Debugging;
use super::qemu::{Folder, option_path};
use crate::initramfs::Initramfs;
use crate::shell::word;
use crate::toolroot::GuestKernel;
use root::Root;

/// Where a script begins, and where files without a place go.
const IN: &str = "/in";

/// Places that are made anew when the guest boots; nothing that is brought there would be seen.
const MADE_ANEW: &[&str] = &["/proc", "/sys", "/dev", "/tmp", "/run", "/rig", "/out", "/init", "/system"];

/// What a guest has for its user beyond what every guest has. By default nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visit {
    /// Files and folders.
    pub(crate) files: Vec<Brought>,
    /// Arguments of the script.
    pub(crate) arguments: Vec<String>,
    /// How long the script may run.
    pub(crate) limit: Option<Duration>,
    /// What is below /out at the end is taken home.
    pub(crate) takes_home: bool,
    /// Who runs the script.
    pub(crate) account: Account,
    /// Its root file system, in place of the guest's own.
    pub(crate) root: Option<Root>,
    /// A network behind which is the host's.
    pub(crate) network: bool,
    /// Help for who looks into a failure.
    pub(crate) debugging: Debugging,
}

/// Who runs a script.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Account {
    /// The superuser.
    #[default]
    Root,
    /// `user`, who has number 1000 and may do nothing in particular.
    User,
}

/// A file or folder of the host's, and its place in the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Brought {
    /// On the host.
    pub(crate) from: PathBuf,
    /// An absolute path in the guest.
    pub(crate) to: String,
}

impl Brought {
    /// Parses SRC[:DST]. A path that is there as it is written is all SRC.
    ///
    /// # Errors
    ///
    /// There is no SRC, or DST is no place that stays.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (from, to) = match text.rsplit_once(':') {
            Some((from, to)) if !Path::new(text).exists() => (from, Some(to)),
            _ => (text, None),
        };
        let path = PathBuf::from(from);
        let Ok(metadata) = path.metadata() else {
            bail!("--file {text}: there is no {from} on this machine (expected SRC or SRC:DST)");
        };
        ensure!(
            metadata.is_file() || metadata.is_dir(),
            "--file {text}: {from} is neither a file nor a folder; only these can be brought along"
        );
        // `.` and `..` have no name of their own.
        let name = || path.canonicalize().ok()?.file_name()?.to_str().map(str::to_owned);
        let to = match to {
            None | Some("") => format!("{IN}/{}", name().unwrap_or_else(|| "root".to_owned())),
            Some(to) => {
                let to = if to.starts_with('/') { to.to_owned() } else { format!("{IN}/{to}") };
                match to.strip_suffix('/') {
                    Some(folder) => format!("{folder}/{}", name().unwrap_or_else(|| "root".to_owned())),
                    None => to,
                }
            }
        };
        ensure!(!to.contains('\n'), "--file {text}: DST has a line feed in it");
        ensure!(!to.split('/').any(|part| part == ".."), "--file {text}: DST must not have `..` in it");
        if let Some(place) = MADE_ANEW.iter().find(|place| Path::new(&to).starts_with(place)) {
            bail!(
                "--file {text}: the guest makes {place} anew when it boots, so nothing can be brought to {to}; \
                 a DST without a slash at its beginning is below {IN}, where scripts begin"
            );
        }
        Ok(Self { from: path, to })
    }
}

/// A driver that a guest may need, and how a kernel has it.
struct Driver {
    /// What needs it.
    asked_by: &'static str,
    /// Its option, which is `y` where the driver is part of the kernel.
    option: &'static str,
    /// The modules that it is made of otherwise, each after what it depends on.
    modules: &'static [&'static str],
}

impl Visit {
    /// Drivers that it needs, in the order in which they are to be loaded.
    fn drivers(&self) -> Vec<Driver> {
        let disk = |asked_by| Driver { asked_by, option: "CONFIG_VIRTIO_BLK", modules: &["virtio_blk"] };
        let mut drivers = Vec::new();
        if self.takes_home {
            drivers.push(disk("--out"));
        }
        if let Some(Root::Image { kind, .. }) = &self.root {
            if !self.takes_home {
                drivers.push(disk("--root IMAGE"));
            }
            let asked_by = kind.name();
            drivers.push(Driver { asked_by, option: kind.option(), modules: kind.modules() });
            if !kind.is_writable() {
                drivers.push(Driver { asked_by, option: "CONFIG_OVERLAY_FS", modules: &["overlay"] });
            }
        }
        if self.network {
            let modules = &["failover", "net_failover", "virtio_net"];
            drivers.push(Driver { asked_by: "--net", option: "CONFIG_VIRTIO_NET", modules });
        }
        drivers
    }

    /// The modules of `kernel` to load, in their order.
    ///
    /// # Errors
    ///
    /// The kernel lacks a driver.
    pub(crate) fn modules(&self, kernel: &GuestKernel) -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for Driver { asked_by, option, modules } in self.drivers() {
            if kernel.has(option) {
                continue;
            }
            for name in modules {
                let Some(path) = kernel.module(name) else {
                    bail!(
                        "{asked_by}: kernel {} has no {name} and no {option}=y; take --kernel stock, or a configuration \
                         that has it (--tree DIR --config FILE)",
                        kernel.release
                    );
                };
                paths.push(path);
            }
        }
        Ok(paths)
    }

    /// Adds what it brings to a guest's root folder.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub(super) fn pack(&self, root: &mut Initramfs) -> Result<()> {
        let words: Vec<String> = self.arguments.iter().map(|argument| word(argument)).collect();
        root.file("rig/arguments", words.join(" "));
        let mut places = String::new();
        for (number, Brought { from, to }) in self.files.iter().enumerate() {
            root.tree(&format!("rig/files/{number}"), from)?;
            places.push_str(&format!("{number} {to}\n"));
        }
        root.file("rig/places", places);
        if let Some(Root::Folder(folder)) = &self.root {
            root.tree("system", folder)?;
        }
        Ok(())
    }

    /// Variables that tell the guest what to do.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = Vec::new();
        match &self.root {
            None => {}
            Some(Root::Folder(_)) => variables.push(("RIG_ROOT", "folder".to_owned())),
            Some(Root::Image { kind, .. }) => variables.push(("RIG_ROOT", kind.name().to_owned())),
        }
        if self.account == Account::User {
            variables.push(("RIG_USER", "user".to_owned()));
        }
        if let Some(limit) = self.limit {
            variables.push(("RIG_LIMIT", limit.as_secs().to_string()));
        }
        if self.network {
            variables.push(("RIG_NET", "yes".to_owned()));
        }
        if self.takes_home {
            variables.push(("RIG_OUT", "/out".to_owned()));
        }
        variables
    }

    /// QEMU's devices for it.
    pub(super) fn qemu_arguments(&self, folder: &Folder) -> Vec<OsString> {
        let mut line = self.debugging.qemu_arguments(folder);
        let mut disk = |id: &str, options: String| {
            let device = format!("virtio-blk-pci,drive={id},serial={id}");
            line.extend(["-drive".into(), options.into(), "-device".into(), device.into()]);
        };
        if self.takes_home {
            disk("out", format!("if=none,id=out,format=raw,file={}", option_path(&home::disk(folder))));
        }
        if let Some(Root::Image { path, .. }) = &self.root {
            // What the guest changes is forgotten.
            disk("root", format!("if=none,id=root,format=raw,snapshot=on,file={}", option_path(path)));
        }
        if self.network {
            line.extend(
                ["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="].map(OsString::from),
            );
        }
        line
    }
}

#[cfg(test)]
mod tests;
